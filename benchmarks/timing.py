"""Interleaved timing: the minimum of several rounds in which every contender runs once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping


def interleaved(
    contenders: Mapping[str, Callable[[], object]], rounds: int = 4, clock: Callable[[], float] = time.process_time
) -> dict[str, float]:
    """Smallest time in seconds of each contender; the first, untimed round compiles and warms up.

    CPU time by default: other work on the machine disturbs it less. Give time.perf_counter for wall time.
    """
    best = {}
    for contender in contenders.values():
        contender()
    for _ in range(rounds):
        for name, contender in contenders.items():
            begin = clock()
            contender()
            best[name] = min(best.get(name, float("inf")), clock() - begin)
    return best
