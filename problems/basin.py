"""A basin: where a path counts as not yet escaped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sgdlimits.exact.errors import InvalidInput, calling, finite_array, function, real_array, real_number

Scores = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Basin:
    """Where a path counts as not yet escaped: score(x) < level.

    Parameters
    ----------
    score : function of positions (P, d) with values (P,)
        Grows on the way out: the levels of a splitting method are taken of it too.
    level : float
    start : array (d,)
        A point inside, where paths begin.

    Raises
    ------
    InvalidInput
        If an argument cannot be used, or the start lies outside.
    """

    score: Scores
    level: float
    start: np.ndarray

    def __post_init__(self) -> None:
        function("score", self.score, "of positions (P, d)")
        object.__setattr__(self, "level", real_number("level", self.level))
        start = finite_array("start", np.atleast_1d(real_array("start", self.start)), shape=(None,)).copy()
        start.flags.writeable = False
        object.__setattr__(self, "start", start)
        found = float(self.scores(start[None])[0])
        if not found < self.level:
            raise InvalidInput(
                f"the start {start.tolist()} lies outside the basin: its score {found:.6g} is not below the level "
                f"{self.level:.6g}; start inside, or raise the level"
            )

    @classmethod
    def interval(cls, lower: float, upper: float, start: float) -> Basin:
        """The interval (lower, upper) of a line, either end infinite; the score is the part of the way from `start`."""
        ends = [float(end) if end in (-np.inf, np.inf) else real_number("an end of the basin", end)
                for end in (lower, upper)]  # fmt: skip
        start = real_number("start", start)
        if not ends[0] < ends[1]:
            raise InvalidInput(f"the basin ({ends[0]:g}, {ends[1]:g}) is empty: give the lower end first")
        if not ends[0] < start < ends[1]:
            raise InvalidInput(
                f"the start {start:g} lies outside the basin ({ends[0]:g}, {ends[1]:g}): move it, or the ends"
            )
        if np.isinf(ends).all():
            raise InvalidInput("the basin (-inf, inf) has no end, so nothing escapes from it: name one")

        def score(x: np.ndarray) -> np.ndarray:
            away = x[..., 0] - start
            return np.maximum(away / (ends[0] - start), away / (ends[1] - start))

        return cls(score, 1.0, np.array([start]))

    @property
    def dimension(self) -> int:
        """d."""
        return self.start.size

    def scores(self, x: np.ndarray) -> np.ndarray:
        """Scores (P,) at positions (P, d), checked."""
        with calling("score"):
            given = self.score(x)
        found = real_array("what score returns", given)
        if found.shape != x.shape[:1] or np.isnan(found).any():
            raise InvalidInput(
                f"score must give one number, and no nan, for each of {len(x)} positions, got shape {found.shape} with "
                f"{int(np.isnan(found).sum())} nan"
            )
        return found

    def inside(self, x: np.ndarray) -> np.ndarray:
        """Whether positions (P, d) are in the basin, (P,)."""
        return self.scores(x) < self.level
