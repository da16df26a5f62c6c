"""Drops of the noise that comparisons ask for: what changes, and words for what stays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, shown

SAME = "same"  # stands for what does not drop
BATCH, SIZE, RULE = "batch size", "step size", "rule"
EVERYTHING = ("n", "full")  # batches that hold all, beside None and inf


def same(value: Any) -> bool:
    """Whether nothing was asked to change."""
    return isinstance(value, str) and value == SAME


def event(told: Mapping[str, Any]) -> str:
    """What happens at the drop, with what changes in brackets: a larger batch is less noise."""
    noise = "noise rises" if told.get("rises") else "noise drops"
    return f"the {'rule changes' if told['drop'] == RULE else noise} ({told['change']})"


def is_everything(batch_size: Any) -> bool:
    """Whether a batch is so large that nothing of it is random."""
    if isinstance(batch_size, str):
        if batch_size not in EVERYTHING:
            raise InvalidInput(
                f"batch_size is {shown(batch_size)}: give a whole number, or None for gradient descent after the drop"
            )
        return True
    return batch_size is None or (isinstance(batch_size, (float, np.floating)) and float(batch_size) == np.inf)
