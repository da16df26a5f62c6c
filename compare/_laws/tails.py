"""What tail indices take from the rows: means, variances, intervals that would mean nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..known_tails import KnownTail, known_tail, lost_to_tails
from .means import Mean
from .observables import Observable, Watched
from .sides import KnownSide, Side

if TYPE_CHECKING:
    import xarray

LOST = ("no mean", "no variance")


def power_of(observable: Observable) -> float | None:
    """The power of |x| with which an observable grows; None where it is not known."""
    if observable.source == "norm":
        return 1.0
    if observable.source == "risk" or observable.name == "test_risk":
        return 2.0
    quadratic = observable.source.quadratic if isinstance(observable.source, Watched) else None
    if quadratic is None or observable.source.left:
        return None
    return 2.0 if np.any(quadratic.matrix) else 1.0 if np.any(quadratic.linear) else None


def tail_of(side: Side) -> KnownTail:
    """What is known of the tail of what the rows are about: of a process, not of a scheme for it."""
    return KnownTail() if isinstance(side, KnownSide) or side.scheme else known_tail(side.process)


def without_meaning(mean: Mean, tail: KnownTail, observable: Observable, record: np.ndarray) -> tuple[Mean, str]:
    """The mean less what its side's tail makes meaningless, and what that was, one of `LOST` or nothing.

    What is exact stays: at every finite step it is finite or known to be infinite.
    """
    lost = "" if mean.exact else lost_to_tails(tail, power_of(observable))
    moved = record > 0
    if not lost or not moved.any():
        return mean, ""
    value = np.where(moved, np.nan, mean.value) if lost == "no mean" else mean.value
    return replace(mean, value=value, unsure=mean.unsure | moved, errorless=moved), lost


def tail_notes(sides: list[Side], tails: list[KnownTail]) -> str:
    """JSON: what is known of each side's index, and of which sides it cannot be the reference's."""
    return json.dumps(
        [
            {
                "process": side.label, "index": str(tail), "why": tail.why,
                "other": bool(place) and tail.apart_from(tails[0]), "upper": min(tail.upper, 1e300),
            }
            for place, (side, tail) in enumerate(zip(sides, tails))
            if tail.known
        ]
    )  # fmt: skip


def tails(dataset: xarray.Dataset) -> list[str]:
    """What is known of the tail indices; marked where it takes a mean or an interval away, or sides are not alike."""
    known = json.loads(dataset.attrs.get("tails", "[]"))
    said = "; ".join(f"{note['process']} {note['index']} ({note['why']})" for note in known)
    if not said:
        return []
    reference = dataset["process"].values.tolist()[0]
    lost = any(word in text for text in dataset["caution"].values.ravel().tolist() for word in LOST)
    apart = [note["process"] for note in known if note["other"]]
    heavy = any(note["upper"] <= 2 for note in known)
    text = f"Tail indices of the stationary laws: {said}."
    if apart:
        text += f" The index of {' and of '.join(apart)} is not that of {reference}."
    return [f"TAILS: {text}" if apart or lost or heavy else text]
