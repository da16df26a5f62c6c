"""Diffusions on a line among several wells: residence and passage times and shares of the wells, by quadrature.

dX = drift dt + sqrt(variance) dB. With psi' = 2 drift / variance the scale function has the density exp(-psi), the
speed measure 2 exp(psi) / variance (Karlin and Taylor, A Second Course in Stochastic Processes, chapter 15). A path is
in a well until it reaches the minimum beside it, so that the wells it visits are a walk to the left and the right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .errors import OutOfReach
from .slow_chains import without_subtraction

Array = np.ndarray
Function = Callable[[Array], Array]
NODES = 16  # a panel
TURN = 1.0  # change of psi over a panel
WITHIN = np.linspace(0, 1, 5)  # of a panel
MOST_PANELS = 20_000
FAR = 2.0  # by which the range grows
MOST_WIDENINGS = 400
SPARE = 1e-12  # of the speed measure: what the last widening may have added
DEEPEST = 600.0  # of psi, where numbers end
FINER = 0.6


@dataclass(frozen=True)
class Shares:
    """Shares (n,) of the wells in all visits and in all time in the long run."""

    visits: Array
    time: Array


class WellDiffusion:
    """A diffusion on a line among wells.

    Parameters
    ----------
    drift, variance : functions of positions (P,) with values (P,)
    minima, tops : arrays (n,) and (n - 1,)
    start : float

    Raises
    ------
    OutOfReach
        If it does not settle, or its wells are too deep for numbers.
    """

    def __init__(self, drift: Function, variance: Function, minima: Array, tops: Array, start: float, turn: float = TURN
                 ) -> None:  # fmt: skip
        self.minima, self.tops, self.start, self._turn = np.asarray(minima), np.asarray(tops), float(start), turn
        self._variance = variance

        def pull(x: Array) -> Array:
            return 2 * drift(x) / variance(x)

        self._pull = pull
        breaks = np.unique(np.r_[self.minima, self.tops, self.start])
        span = breaks[-1] - breaks[0]
        ends, reach = self._panels(breaks), np.array([span, span]) / 4
        for sign, side in ((-1, 0), (1, 1)):
            for _ in range(MOST_WIDENINGS):
                edge = ends[0] if sign < 0 else ends[-1]
                more = self._panels(np.sort([edge, edge + sign * reach[side]]))
                ends = np.r_[more[:-1], ends] if sign < 0 else np.r_[ends, more[1:]]
                reach[side] *= FAR
                self._tabulate(ends)
                parts = self._speed_parts
                added = parts[: len(more) - 1] if sign < 0 else parts[1 - len(more) :]
                if added.sum() <= SPARE * parts.sum():
                    break
            else:
                raise OutOfReach("the diffusion wanders so far out that no stationary law was found")

    def _panels(self, breaks: Array) -> Array:
        found = [breaks[0]]
        for a, b in zip(breaks[:-1], breaks[1:]):
            first, ahead = len(found), (b - a) / 4
            while found[-1] < b:
                ahead = min(2 * ahead, b - a)
                while True:
                    at = np.minimum(found[-1] + ahead * WITHIN, b)
                    if np.abs(self._pull(at)).max() * ahead <= self._turn or ahead < 1e-12 * (b - a):
                        break
                    ahead /= 2
                found.append(found[-1] + ahead)
                if len(found) > MOST_PANELS:
                    raise OutOfReach("the noise is so small beside the wells that their depth is out of reach")
            for k in range(first, len(found)):
                found[k] = float(a + (found[k] - a) * (b - a) / (found[-1] - a)) if k < len(found) - 1 else found[k]
            found[-1] = float(b)
        return np.array(found)

    def _tabulate(self, ends: Array) -> None:
        from numpy.polynomial import legendre
        from scipy.special import eval_legendre, roots_legendre

        t, weight = roots_legendre(NODES)
        polynomials = np.array([(2 * k + 1) / 2 * eval_legendre(k, t) * weight for k in range(NODES)])
        upto = np.array([legendre.legval(t, legendre.legint(column, lbnd=-1)) for column in polynomials.T]).T
        half = np.diff(ends)[:, None] / 2
        x = ends[:-1, None] + half * (t + 1)
        shape = x.shape
        rise = half * self._pull(x.ravel()).reshape(shape)
        psi = np.r_[0.0, np.cumsum(rise @ weight)][:-1, None] + rise @ upto.T
        top = psi.max()
        if top - psi[(ends[:-1] >= self.minima[0]) & (ends[1:] <= self.minima[-1])].min() > DEEPEST:
            raise OutOfReach(f"psi falls by more than {DEEPEST:g} between wells: the noise is too small for numbers")
        psi = np.maximum(psi - top, -DEEPEST)
        # The scale function is asked for here alone; beyond it would swallow all digits.
        low, high = min(self.minima[0], self.start), max(self.minima[-1], self.start)
        asked = (ends[:-1] >= low - 1e-12) & (ends[1:] <= high + 1e-12)
        scale = half * np.where(asked[:, None], np.exp(-psi), 0.0)
        self._ends, self._half, self._weight, self._upto = ends, half, weight, upto
        self._scale_at_ends = np.r_[0.0, np.cumsum(scale @ weight)]
        self._scale = self._scale_at_ends[:-1, None] + scale @ upto.T
        self._speed = half * weight * 2 * np.exp(psi) / self._variance(x.ravel()).reshape(shape)
        self._speed_parts = self._speed.sum(axis=1)

    def _place(self, x: float) -> int:
        """Panel end at a place."""
        found = int(np.argmin(np.abs(self._ends - x)))
        assert abs(self._ends[found] - x) <= 1e-9 * (1 + abs(x))
        return found

    def _leaving(self, well: int, x: float) -> tuple[float, float, float]:
        """From x: mean time in a well, and the probabilities to leave it upward and downward."""
        at = self._place(x)
        scale, inner, speed = self._scale_at_ends, self._scale, self._speed
        if len(self.minima) == 1:
            raise OutOfReach("one well is never left")
        low = None if well == 0 else self._place(self.minima[well - 1])
        high = None if well == len(self.minima) - 1 else self._place(self.minima[well + 1])
        if low is None:
            assert high is not None
            above = float(((scale[high] - inner[at:high]) * speed[at:high]).sum())
            return above + (scale[high] - scale[at]) * float(speed[:at].sum()), 1.0, 0.0
        if high is None:
            below = float(((inner[low:at] - scale[low]) * speed[low:at]).sum())
            return below + (scale[at] - scale[low]) * float(speed[at:].sum()), 0.0, 1.0
        whole = scale[high] - scale[low]
        up, down = (scale[at] - scale[low]) / whole, (scale[high] - scale[at]) / whole
        below = float(((inner[low:at] - scale[low]) * speed[low:at]).sum())
        above = float(((scale[high] - inner[at:high]) * speed[at:high]).sum())
        return down * below + up * above, up, down

    @property
    def home(self) -> int:
        """Number of the well of the start."""
        return int(np.searchsorted(self.tops, self.start))

    @cached_property
    def _from_minima(self) -> Array:
        return np.array([self._leaving(c, float(m)) for c, m in enumerate(self.minima)])

    @property
    def mean_residence(self) -> float:
        """Mean time in the well of the start, from there."""
        return self._leaving(self.home, self.start)[0]

    def next_visited(self) -> Array:
        """Probabilities (n,) of the well visited next."""
        _, up, down = self._leaving(self.home, self.start)
        found = np.zeros(len(self.minima))
        found[self.home + 1 :][:1] = up
        found[: self.home][-1:] = down
        return found

    def mean_passage(self, target: int) -> float:
        """Mean time from the start until a well is entered."""
        n = len(self.minima)
        times, up, down = self._from_minima.T
        walk = np.diag(up[:-1], 1) + np.diag(down[1:], -1)
        others = np.arange(n) != target
        means = np.zeros(n)
        means[others] = np.linalg.solve(np.eye(n - 1) - walk[np.ix_(others, others)], times[others])
        first, _, _ = self._leaving(self.home, self.start)
        return float(first + self.next_visited() @ means)

    @cached_property
    def long_run(self) -> Shares:
        """Shares of the wells in the long run."""
        times, up, down = self._from_minima.T
        visits = without_subtraction(np.diag(up[:-1], 1) + np.diag(down[1:], -1))
        return Shares(visits, visits * times / (visits @ times))
