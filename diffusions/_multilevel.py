"""Multilevel Monte Carlo: most paths on coarse steps, few on fine ones, coupled on one Brownian path a level."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from sgdlimits.ensembles import Brownian, Gaussian, Noise, coarsen, draw_initial, initial_state
from sgdlimits.exact.errors import InvalidInput, function, positive, real_number, whole_number

from .integration import grid_steps
from ._monte_carlo import Observable, _confidence, observed, sample_paths
from .solvers import Coefficients, Scheme, SchemeSimulator, StepNoise, find_scheme
from .solvers.coefficients import check_diffusion

FEWEST = 32  # paths of a level that is needed at all
LEVEL_SHIFT = 40  # level l uses paths l 2^40, l 2^40 + 1, ...: levels are independent
NUMBERS_AHEAD = 2**14


@dataclass(frozen=True)
class Level:
    """What one level cost and gave.

    Attributes
    ----------
    dt : float
        The fine step; the coarse one of the difference is twice as long (level 0 has none).
    paths : int
    mean, variance : float
        Of observable(fine) - observable(coarse).
    cost : int
        Steps of the scheme, both grids, over all paths.
    """

    dt: float
    paths: int
    mean: float
    variance: float
    cost: int


@dataclass(frozen=True)
class MultilevelEstimate:
    """An expectation with sampling error and bias under control.

    Attributes
    ----------
    value, standard_error : float
    bias : float
        Estimated distance of the finest level from dt = 0, from the means of the last levels.
    interval : (float, float)
        value -+ (quantile * standard_error + bias).
    confidence, tolerance : float
    levels : tuple of Level
    variance_rate, mean_rate : float
        Fitted powers of dt by which variance and mean of the differences fall (nan with fewer than two differences).
    solver : str
    """

    value: float
    standard_error: float
    bias: float
    interval: tuple[float, float]
    confidence: float
    tolerance: float
    levels: tuple[Level, ...]
    variance_rate: float
    mean_rate: float
    solver: str

    @property
    def cost(self) -> int:
        """Steps of the scheme, over all levels."""
        return sum(level.cost for level in self.levels)

    @property
    def complexity(self) -> str:
        """How the cost grows as the tolerance falls, from the scheme's claimed strong order."""
        rate = (
            find_scheme(self.solver).strong_order * 2
            if self.variance_rate != self.variance_rate
            else self.variance_rate
        )
        if rate > 1.25:
            return "tolerance^-2: the variance falls faster than the cost of a step rises"
        if rate > 0.75:
            return "tolerance^-2 log(tolerance)^2: every level costs the same, so their number enters as a logarithm"
        return f"tolerance^-{2 + (1 - rate) / max(self.mean_rate, 0.5):.2g}: the finest level dominates"

    def __str__(self) -> str:
        low, high = self.interval
        rows = [
            f"{self.value:.6g} in [{low:.6g}, {high:.6g}] ({self.confidence:.0%}; standard error "
            f"{self.standard_error:.2g}, bias {self.bias:.2g}), {self.solver}, {self.cost} steps",
            f"cost grows like {self.complexity} (fitted variance rate {self.variance_rate:.2f})",
            "level          dt     paths         mean     variance         cost",
        ]
        for number, level in enumerate(self.levels):
            rows.append(
                f"{number:5d} {level.dt:11.4g} {level.paths:9d} {level.mean:12.4g} {level.variance:12.4g} "
                f"{level.cost:12d}"
            )
        return "\n".join(rows)


def multilevel(
    diffusion: Any,
    observable: Observable,
    tolerance: float,
    *,
    x0: Any,
    t1: float,
    dt: float | None = None,
    t0: float = 0.0,
    solver: str | Scheme = "milstein",
    seed: int = 0,
    confidence: float = 0.95,
    first_paths: int = 256,
    most_levels: int = 16,
    quality: str = "float32",
    threads: int | None = None,
) -> MultilevelEstimate:
    """Estimate E observable(X at t1) with a root mean square error of about `tolerance` (Giles, Oper. Res. 56, 2008).

    Half of the squared error goes to the bias, seen in the means of the last levels, half to sampling, shared out
    among the levels by their variance and cost.

    Parameters
    ----------
    observable : function of a (P, d) array with values (P,)
    tolerance : float
    dt : float, optional
        Step of the coarsest level, halved from level to level. Default: a quarter of the horizon.
    x0, t1, t0, solver, seed, quality, threads
        As in `integrate`; the scheme needs Gaussian increments and a strong order.
    confidence : float
    first_paths : int
        Paths from which the variances of the first three levels are estimated; finer levels take what the level
        before lets expect, at least 32.
    most_levels : int

    Raises
    ------
    InvalidInput
        As `integrate`; if the scheme has no strong order, or `most_levels` levels do not bring the bias down.
    """
    check_diffusion(diffusion)
    tolerance, confidence = positive("tolerance", tolerance), _confidence(confidence)
    function("observable", observable, "of a (P, d) array")
    most_levels = whole_number("most_levels", most_levels, 3)
    t0, t1, chosen = real_number("t0", t0), real_number("t1", t1), find_scheme(solver)
    steps = grid_steps(t0, t1, (t1 - t0) / 4 if dt is None else dt)
    initial = initial_state(x0, int(diffusion.dimension), 1)
    start = initial.mean if isinstance(initial, Gaussian) else initial
    coefficients = Coefficients(diffusion, t0, start)
    chosen.check(coefficients)
    if chosen.increments != "gaussian" or chosen.orders[coefficients.noise_type][0] == 0:
        raise InvalidInput(
            f"solver {chosen.name!r} claims no strong order, so its levels are not coupled: take 'milstein', 'sriw1' "
            "or 'euler'"
        )
    weak = chosen.orders[coefficients.noise_type][1]
    levels = [_Sampler(coefficients, chosen, observable, initial, t0, t1 - t0, steps, seed, quality, threads)]
    while len(levels) < 3:
        levels.append(levels[-1].finer())
    for level in levels:
        level.extend(whole_number("first_paths", first_paths, FEWEST))
    while True:
        _share(levels, tolerance)
        means = [abs(level.mean) for level in levels]
        # A difference of level l says 2^weak - 1 times the bias left; the last three guard against a chance zero.
        bias = max(mean / 2 ** (weak * back) for back, mean in enumerate(means[:0:-1][:3])) / (2**weak - 1)
        if bias <= tolerance / math.sqrt(2):
            break
        if len(levels) >= most_levels:
            raise InvalidInput(
                f"after {most_levels} levels the bias is still about {bias:.3g}, above the tolerance {tolerance:g}: "
                "raise tolerance, or lower dt"
            )
        levels.append(levels[-1].finer())
    value = sum(level.mean for level in levels)
    error = math.sqrt(sum(level.variance / level.values.size for level in levels))
    reach = NormalDist().inv_cdf(0.5 + confidence / 2) * error + bias
    return MultilevelEstimate(
        value, error, bias, (value - reach, value + reach), confidence, tolerance,
        tuple(level.outcome() for level in levels), _rate([level.variance for level in levels[1:]]),
        _rate(means[1:]), chosen.name,
    )  # fmt: skip


def _share(levels: list[_Sampler], tolerance: float) -> None:
    """Give every level the paths that reach a sampling variance of tolerance^2 / 2 at the least cost."""
    while True:
        total = sum(math.sqrt(level.variance * level.path_cost) for level in levels)
        wanted = [
            math.ceil(2 / tolerance**2 * math.sqrt(level.variance / level.path_cost) * total)
            for level in levels
        ]
        # A hundredth more or less is left alone: variances are estimates.
        short = [
            (level, number)
            for level, number in zip(levels, wanted, strict=True)
            if number > level.values.size * 1.01
        ]
        if not short:
            return
        for level, number in short:
            level.extend(max(FEWEST, min(number, 10 * level.values.size) if level.values.size else number))


def _rate(values: list[float]) -> float:
    """Power of dt by which positive values fall from level to level."""
    kept = [(place, math.log2(value)) for place, value in enumerate(values) if value > 0]
    if len(kept) < 2:
        return math.nan
    places, logs = np.array(kept).T
    return -float(np.polyfit(places, logs, 1)[0])


@dataclass(eq=False)
class _Sampler:
    """Differences of one level, sampled so far."""

    coefficients: Coefficients
    chosen: Scheme
    observable: Observable
    initial: Any
    t0: float
    horizon: float
    coarsest: int
    seed: int
    quality: str
    threads: int | None
    level: int = 0
    coarser: _Sampler | None = None

    def __post_init__(self) -> None:
        self.values = np.empty(0)
        self.steps = self.coarsest * 2**self.level
        self.brownian = Brownian(
            self.horizon,
            self.steps,
            self.coefficients.noise_dimension,
            self.seed,
            self.quality,
            self.chosen.areas,
        )

    def finer(self) -> _Sampler:
        return _Sampler(
            self.coefficients, self.chosen, self.observable, self.initial, self.t0, self.horizon, self.coarsest,
            self.seed, self.quality, self.threads, self.level + 1, self,
        )  # fmt: skip

    @property
    def path_cost(self) -> float:
        return self.steps * (1.5 if self.level else 1.0)

    @property
    def mean(self) -> float:
        return float(self.values.mean())

    @property
    def variance(self) -> float:
        # Of few values it may be far too small by chance: at least half of what the level before lets expect.
        expected = 0.5 * self.expected_variance if self.level > 1 else 0.0
        return max(float(self.values.var(ddof=1)), expected) if self.values.size >= FEWEST else 2 * expected

    @property
    def expected_variance(self) -> float:
        strong = self.chosen.orders[self.coefficients.noise_type][0]
        return self.coarser.variance / 2 ** (2 * strong)

    def outcome(self) -> Level:
        paths = self.values.size
        return Level(
            self.horizon / self.steps, paths, self.mean, self.variance, round(paths * self.path_cost)
        )

    def extend(self, paths: int) -> None:
        simulator = SchemeSimulator(self.coefficients, self.chosen, self.brownian, self.t0)
        fresh = sample_paths(self._quietly, self.values.size, paths, simulator, self.threads)
        self.values = np.concatenate([self.values, fresh])

    def _quietly(self, paths: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused by the observable's check
            return self._sample(paths)

    def _sample(self, paths: np.ndarray) -> np.ndarray:
        paths = paths + (self.level << LEVEL_SHIFT)
        fine = draw_initial(self.initial, Noise(self.seed, paths, self.quality))
        coarse, dt = fine, self.horizon / self.steps
        ahead = max(1, NUMBERS_AHEAD // (2 * paths.size * self.coefficients.noise_dimension)) * 2
        for first in range(0, self.steps, ahead):
            w, h = self.brownian.increments(paths, first, min(first + ahead, self.steps))
            for k in range(len(w)):
                noise = StepNoise(w[k], None if h is None else h[k])
                fine = self.chosen.step(self.coefficients, self.t0 + (first + k) * dt, fine, dt, noise)
            if self.level:
                w, h = coarsen(w, h, 2)
                for k in range(len(w)):
                    noise = StepNoise(w[k], None if h is None else h[k])
                    t = self.t0 + (first + 2 * k) * dt
                    coarse = self.chosen.step(self.coefficients, t, coarse, 2 * dt, noise)
        values = observed(self.observable, fine)
        return values - observed(self.observable, coarse) if self.level else values
