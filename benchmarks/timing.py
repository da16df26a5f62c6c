"""Interleaved timing: the minimum of several rounds in which every contender runs once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping


def interleaved(contenders: Mapping[str, Callable[[], object]], rounds: int = 4) -> dict[str, float]:
    """Smallest wall time in seconds of each contender; the first, untimed round compiles and warms up."""
    best = {}
    for contender in contenders.values():
        contender()
    for _ in range(rounds):
        for name, contender in contenders.items():
            begin = time.perf_counter()
            contender()
            best[name] = min(best.get(name, float("inf")), time.perf_counter() - begin)
    return best
