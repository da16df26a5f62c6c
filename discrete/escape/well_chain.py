"""Which well a recurrence on a line is in: exact residence and passage times, visits and occupation.

The chain is on pairs (well, position): a path is in a well until it reaches the minimum beside it or passes it, and
then in the one between whose tops it is. Nodes of Gauss and Legendre resolve the law of a step everywhere; what leaves
the range that they hold is lost, and the range grows until that matters to nothing that is asked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sgdlimits.exact.errors import OutOfReach
from sgdlimits.exact.killed_chains import quasi_stationary
from sgdlimits.exact.slow_chains import evolved, part, solved, stationary
from sgdlimits.problems.wells import WellLandscape, wells_of

from .models import model_of
from .steps import LineSteps
from .well_mesh import mesh_of, quantiles

Array = np.ndarray
WIDTHS, FINE = 6.5, 4.5  # of a panel, in widths of a step; what changes between the two is the error
MOST_PAIRS = 4500
LEAST = 1e-18  # of a step's mass: less goes nowhere
SPARE = 1e-9  # of the rate of leaving the well: mass that may be lost a step
WIDER, FEW, MOST_WIDENINGS = (1.5, 3.0, 9.0), 4, 40  # factors by which the range grows, so many times each
OTHERS = 1e-3  # weight of the law of all wells beside that of the start's, in what may be lost
GONE = 1e-4  # probability to leave the nodes before what is asked for, from which it is not given
RARE = 1e-11  # rates below it leave too few digits to what is solved for
DENSE = 0.2  # share of entries from which a matrix is handled as a whole


@dataclass(frozen=True, eq=False)
class Expected:
    """What is expected of a path in so many steps.

    Attributes
    ----------
    visits, time : (n,) arrays
        Number of times that each well is entered, and of steps at whose end the path is in it.
    reached : float
        Probability that the target was entered.
    lost : float
        Probability to have left the range of the nodes, of which nothing more is known: an error of all the others.
    """

    visits: Array
    time: Array
    reached: float
    lost: float


@dataclass(frozen=True, eq=False)
class LongRun:
    """Shares (n,) of the wells in all visits (nan where one is all but never left) and in all time, in the long run,
    and an error of theirs."""

    visits: Array
    time: Array
    error: float


class WellChain:
    """The chain on pairs (well, position) of a recurrence whose step on a line is known.

    Parameters
    ----------
    steps : LineSteps
        The law of one own step.
    landscape : WellLandscape
    substeps : int
        Own steps between two looks at which well the path is in.
    widths : float
        Of a panel, in widths of a step.
    target : int, optional
        Number of a well: the range then holds paths from the start until they are there.
    """

    def __init__(
        self, steps: LineSteps, landscape: WellLandscape, substeps: int = 1, widths: float = WIDTHS,
        target: int | None = None,
    ) -> None:  # fmt: skip
        self.steps, self.landscape, self.substeps, self.widths = steps, landscape, substeps, widths
        inner = np.sort(np.r_[landscape.minima, landscape.tops])
        reach = [2 * well.width for well in (landscape.basins[0], landscape.basins[-1])]
        before = inner
        for k in range(MOST_WIDENINGS):
            ends = np.r_[inner[0] - reach[0], inner, inner[-1] + reach[1]]
            try:
                self._build(ends)
            except OutOfReach:
                if not k:
                    raise
                self._build(before)  # what it loses is said where it matters
                break
            outer = np.array(self._leaks(target)) / SPARE
            if max(outer) <= 1:
                break
            factor = WIDER[min(k // FEW, len(WIDER) - 1)]
            before, reach = ends, [r * (factor if leak > 1 else 1) for r, leak in zip(reach, outer)]
        else:
            raise OutOfReach("paths wander so far out that the nodes do not hold them: there may be no stationary law")

    def _build(self, ends: Array) -> None:
        self.mesh = mesh_of(self.steps, ends, self.widths)
        x, zero = self.mesh.nodes, np.zeros(self.mesh.nodes.size)
        own = self.steps.density(x, zero, np.broadcast_to(x, (x.size, x.size))) * self.mesh.weights
        self._own = own
        self.kernel = own if self.substeps == 1 else np.linalg.matrix_power(own, self.substeps)
        low, high = self.landscape.bounds
        self.wells = self.landscape.well_of(x)
        self.inside = (x > low[:, None]) & (x < high[:, None])  # (wells, nodes)
        for name in ("home_law", "rate"):
            self.__dict__.pop(name, None)
        home = self.inside[self.landscape.home]
        matrix = self.kernel[np.ix_(home, home)]
        out = self.kernel[np.ix_(home, ~home)].sum(axis=1)
        if self.substeps == 1:  # without the mass that the nodes do not hold, to all digits
            bounds = float(low[self.landscape.home]), float(high[self.landscape.home])
            out = self.steps.leaving(x[home], zero[home], *bounds)
        self.home_law, self.rate = quasi_stationary(matrix, out)

    def _leaks(self, target: int | None) -> tuple[float, float]:
        """What leaves the nodes on either side: of paths in the well of the start, over their rate; with less weight of
        the law of all wells, and of paths from the start until they are between the target's tops."""
        from scipy.linalg import lu_factor, lu_solve

        n, home = self.mesh.nodes.size, self.inside[self.landscape.home]
        factors, everywhere = lu_factor(self.kernel.T - (1 + 1e-12) * np.eye(n)), np.full(n, 1 / n)
        for _ in range(3):
            everywhere = np.abs(lu_solve(factors, everywhere))
            everywhere /= everywhere.sum()
        law = OTHERS * everywhere
        law[home] += self.home_law
        law /= self.rate
        if target is not None:
            way = self.wells != target
            first = self._arrival(self.landscape.start)[way]
            law[way] += OTHERS * np.abs(np.linalg.solve(np.eye(way.sum()) - self.kernel[np.ix_(way, way)].T, first))
        down, up = self._outward
        return float(law @ down), float(law @ up)

    def _arrival(self, start: float) -> Array:
        """Masses (n,) at the nodes after one step from a position."""
        law = (self.steps.density(np.array([start]), np.zeros(1), self.mesh.nodes[None]) * self.mesh.weights)[0]
        for _ in range(self.substeps - 1):
            law = law @ self._own
        return law

    @property
    def _outward(self) -> tuple[Array, Array]:
        """Probability (n,) to leave the nodes on either side within a step."""
        x, zero, ends = self.mesh.nodes, np.zeros(self.mesh.nodes.size), self.mesh.ends
        down = self.steps.leaving(x, zero, float(ends[0]), np.inf)
        up = self.steps.leaving(x, zero, -np.inf, float(ends[-1]))
        return self.substeps * down, self.substeps * up

    @cached_property
    def pairs(self) -> tuple[Array, Array, Array]:
        """Well (N,) and node (N,) of each pair, and the pair (wells, n) that a path in a well becomes at a node."""
        well, node = np.nonzero(self.inside)
        if well.size > MOST_PAIRS:
            raise OutOfReach(
                f"{well.size} pairs of well and position would be needed, at most {MOST_PAIRS} are used: state fewer "
                "wells, or raise step_size or the noise"
            )
        place = np.full(self.inside.shape, -1)
        place[well, node] = np.arange(well.size)
        own = place[self.wells, np.arange(self.wells.size)]
        return well, node, np.where(self.inside, place, own)

    @cached_property
    def matrix(self) -> Any:
        """(N, N), sparse where few entries matter."""
        from scipy.sparse import csr_matrix

        well, node, target = self.pairs
        kernel = np.where(self.kernel > LEAST, self.kernel, 0.0)
        if np.count_nonzero(kernel) > DENSE * kernel.size:
            found = np.zeros((well.size, well.size))
            for c in range(len(target)):
                found[np.ix_(well == c, target[c])] = kernel[self.inside[c]]
            return found
        values, rows, columns = [], [], []
        for c in range(len(target)):
            i, j = np.nonzero(kernel[self.inside[c]])
            values.append(kernel[self.inside[c]][i, j])
            rows.append(np.flatnonzero(well == c)[i])
            columns.append(target[c][j])
        parts = (np.concatenate(part) for part in (values, rows, columns))
        value, row, column = parts
        return csr_matrix((value, (row, column)), shape=(well.size, well.size))

    @cached_property
    def entries(self) -> Array:
        """Probability (N, wells) to enter each well in the next step."""
        well, _, target = self.pairs
        found = np.zeros((well.size, len(target)))
        for c in range(len(target)):
            new = ~self.inside[c]
            for other in np.unique(self.wells[new]):
                found[well == c, other] = self.kernel[np.ix_(self.inside[c], new & (self.wells == other))].sum(axis=1)
        return found

    def first_step(self, start: float) -> tuple[Array, Array]:
        """Law (N,) of the pair after one step, and the probability (wells,) to have entered each well by it."""
        _, _, target = self.pairs
        law, c = self._arrival(start), int(self.landscape.well_of(np.array([start]))[0])
        found = np.zeros(self.pairs[0].size)
        found[target[c]] = law
        new = ~self.inside[c]
        return found, np.bincount(self.wells[new], law[new], len(target))

    @property
    def next_visited(self) -> Array:
        """Probability (wells,) of the well that is entered next, from the quasi-stationary law of the start's."""
        home = self.inside[self.landscape.home]
        flux = self.home_law @ self.kernel[np.ix_(home, ~home)]
        return np.bincount(self.wells[~home], flux, len(self.inside)) / flux.sum()

    def mean_residence(self, start: float) -> tuple[float, float]:
        """Mean number of steps in the well of the start, and an error, from the position `start`."""
        well, _, _ = self.pairs
        return self._mean_time(start, well == self.landscape.well_of(np.array([start]))[0])

    def mean_passage(self, start: float, target: int) -> tuple[float, float]:
        """Mean number of steps until a well is entered, and an error."""
        return self._mean_time(start, self.pairs[0] != target)

    def _mean_time(self, start: float, staying: Array) -> tuple[float, float]:
        law, _ = self.first_step(start)
        down, up = self._outward
        asked = np.column_stack([np.ones(int(staying.sum())), (down + up)[self.pairs[1]][staying]])
        times, gone = solved(part(self.matrix, staying), asked).T
        found, lost = 1 + float(law[staying] @ times), float(law[staying] @ gone)
        if not 0 < found < 1 / RARE:
            raise OutOfReach(f"the well is left less than once in {1 / RARE:.0e} steps: too rare for a mean time")
        if lost > GONE:
            raise OutOfReach(f"{lost:.2g} of the paths leave the range of the nodes first: no mean time is known")
        # The equations are as ill conditioned as times are long; where a lost path would have gone is not known.
        return found, found * min(1.0, 1e-15 * found + 10 * lost)

    def expected(self, start: float, steps: int, target: int) -> Expected:
        """Visits, time and the chance to have entered the target in so many steps."""
        law, entered = self.first_step(start)
        hit, free = float(entered[target]), law * (self.pairs[0] != target)
        total, last, alive = evolved(self.matrix, law, free, self.pairs[0] != target, steps - 1)
        visits = entered + (total - last) @ self.entries
        time = np.bincount(self.pairs[0], total, len(self.inside))
        lost = max(0.0, 1 - float(last.sum()))
        if lost > GONE:
            raise OutOfReach(f"{lost:.2g} of the paths leave the range of the nodes in {steps} steps")
        return Expected(visits, time, hit + float(free.sum()) - alive, lost)

    @cached_property
    def long_run(self) -> LongRun:
        """Shares in the long run, by the stationary law of the chain."""
        law, rest = stationary(self.matrix, self.pairs[0])
        flux = law @ self.entries
        time = np.bincount(self.pairs[0], law, len(self.inside))
        down, up = self._outward
        lost = float(law @ (down + up)[self.pairs[1]])
        if rest:  # how often is not known, where almost all the time is spent is
            return LongRun(np.full(time.size, np.nan), time, rest + lost)
        return LongRun(flux / flux.sum(), time, min(1.0, (lost + 1e-15) / float(flux.sum())))

    @property
    def interquartile_range(self) -> float:
        """Of the position under the quasi-stationary law of the well of the start."""
        low, high = quantiles(self.home_law, self.mesh.nodes[self.inside[self.landscape.home]], (0.25, 0.75))
        return float(high - low)


def chain_of(descent: Any, widths: float = WIDTHS) -> WellChain:
    """Of a LandscapeDescent without momentum on a landscape with several wells.

    Raises
    ------
    OutOfReach
        If its step has no known density on a line.
    """
    model = model_of(descent)
    if model is None or model.line is None or model.momentum:
        why = "with momentum it holds two numbers" if model is not None and model.momentum else "it is not known"
        raise OutOfReach(f"no law of one step on a line: {why}", about=math.nan)
    return WellChain(model.line, wells_of(descent.landscape), widths=widths)
