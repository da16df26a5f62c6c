"""How long a walk of exact moments takes, said once where that is long."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence

from sgdlimits.exact.callers import callers_level
from sgdlimits.exact.errors import LongRun

LOOK_AFTER, LONG = 5.0, 60.0  # seconds after which the pace is known, and from which on it is worth a warning


class Pace:
    """Says once how long it will take, where that is long and no progress was asked for."""

    def __init__(self, total: int, steps: int, chosen: Sequence[str]) -> None:
        self.left, self.steps, self.chosen = total, steps, chosen
        self.began: float | None = None  # with the first report: what is prepared before it is done once
        self.done, self.said = 0, False

    def update(self, n: int) -> None:
        """So many steps more are done."""
        now = time.monotonic()
        self.left -= n
        if self.began is None:
            self.began = now
            return
        self.done += n
        spent = now - self.began
        if self.said or spent < LOOK_AFTER or not self.done:
            return
        self.said = True
        seconds = spent * self.left / self.done
        if seconds > LONG:
            fewer = ", leave the covariances out (quantities=('risk',))" if "covariance" in self.chosen else ""
            warnings.warn(
                f"the exact moments of {self.steps} steps will take about {seconds / 60:.2g} minutes more: pass "
                f"progress=True to watch them{fewer}, or ask for fewer steps",
                LongRun,
                stacklevel=callers_level(),
            )
