"""Multilevel Monte Carlo: most paths on coarse steps, few on fine ones, coupled on one Brownian path a level."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.special import ndtri

from sgdlimits.ensembles import Gaussian, initial_state
from sgdlimits.ensembles.intervals import COCHRAN
from sgdlimits.ensembles.stopping import PATIENCE
from sgdlimits.exact.errors import InvalidInput, positive, real_number, whole_number

from ._expectation import ExpectationEstimate
from ._levels import LevelSampler, Setting
from ._sampled_ends import Observable, checked_confidence, checked_observable
from .integration import grid_steps
from .solvers import Coefficients, Scheme, find_scheme
from .solvers.coefficients import check_diffusion

FEWEST = 32  # paths of a level that is needed at all
PILOT = 8  # the fresh sample of a level is at most so many pilots
APART = 0.9  # variance of a difference over that of the finer value from which a coarse level is useless
SLOWEST = 0.25  # weak rate below which nothing is extrapolated
SHAPE = 0.5  # relative error of the law mean = c dt^rate on level 1, halved from level to level


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
    most_paths: int = 10**8,
    most_cost: int = 10**11,
    quality: str = "float32",
    threads: int | None = None,
) -> ExpectationEstimate:
    """Estimate E observable(X at t1) with a root mean square error of about `tolerance` (Giles, Oper. Res. 56, 2008).

    Half of the squared error goes to the bias, seen in the means of the last levels, half to sampling, shared out
    among the levels by their variance and cost. Pilots fix the number of levels and of paths, fresh paths give the
    estimate (`ensembles.stopping` says why). Where few differences are not zero, as of an indicator, their variance is
    bounded from above rather than estimated. Coarse levels on which the scheme is unstable, or whose paths say little
    about finer ones, are left out.

    Parameters
    ----------
    observable : function of a (P, d) array with values (P,)
        Booleans (``x[:, 0] > 3``) say that it is an indicator before a path has hit.
    tolerance : float
    dt : float, optional
        Step of the coarsest level, halved from level to level. Default: a quarter of the horizon.
    x0, t1, t0, solver, seed, quality, threads
        As in `integrate`; the scheme needs Gaussian increments and a strong order.
    confidence : float
    first_paths : int
        Paths from which the variances of the first three levels are estimated at first; finer levels take 32.
    most_levels, most_paths : int
        Over everything: levels that were left out, pilots, all levels.
    most_cost : int
        Steps of the scheme over all paths.

    Returns
    -------
    ExpectationEstimate

    Raises
    ------
    InvalidInput
        As `integrate`; if the scheme has no strong order, if `most_levels` levels do not bring the bias down, if more
        paths or steps would be needed than may be taken (it says how many), if too little can be seen, or if the
        observable raises or its values are of the wrong shape or not finite.
    """
    tolerance, confidence = positive("tolerance", tolerance), checked_confidence(confidence)
    observable = checked_observable(observable)
    check_diffusion(diffusion)
    t0, t1, chosen = real_number("t0", t0), real_number("t1", t1), find_scheme(solver)
    steps = grid_steps(t0, t1, (t1 - t0) / 4 if dt is None else dt)
    initial = initial_state(x0, int(diffusion.dimension), 1)
    coefficients = Coefficients(diffusion, t0, initial.mean if isinstance(initial, Gaussian) else initial)
    chosen.check(coefficients)
    if chosen.increments != "gaussian" or chosen.orders[coefficients.noise_type][0] == 0:
        raise InvalidInput(
            f"solver {chosen.name!r} claims no strong order, so its levels are not coupled: take 'milstein', 'sriw1' "
            "or 'euler'"
        )
    weak = chosen.orders[coefficients.noise_type][1]
    setting = Setting(coefficients, chosen, observable, initial, t0, t1 - t0, seed, quality, threads)
    first = whole_number("first_paths", first_paths, FEWEST)
    most_levels = whole_number("most_levels", most_levels, 3)
    run = _Run(
        setting, tolerance, weak, first, most_levels, whole_number("most_paths", most_paths, 1),
        whole_number("most_cost", most_cost, 1),
    )  # fmt: skip
    run.find_coarsest(steps)
    bias, rate = run.without_noise() if run.exact else run.sample()
    levels = run.levels
    value = sum(level.best.mean for level in levels)
    error = 0.0 if run.exact else math.sqrt(sum(level.error**2 for level in levels))
    reach = float(ndtri(0.5 + confidence / 2)) * error + bias
    outcomes = tuple(level.outcome() for level in levels)
    variance_rate = _rate([level.best.variance for level in levels[1:]])
    mean_rate = _rate([abs(level.best.mean) for level in levels[1:]])
    paths, pilots = run.spent_paths(), sum(level.pilot.count for level in levels if level.fresh and level.pilot)
    strong = chosen.orders[coefficients.noise_type][0]
    return ExpectationEstimate(
        value, error, (value - reach, value + reach), bias, confidence, tolerance, paths, run.dropped_paths + pilots,
        run.spent_cost(), chosen.name, levels[-1].dt, run.why, tuple(run.notes), outcomes, variance_rate, mean_rate,
        rate, _complexity(variance_rate if not math.isnan(variance_rate) else 2 * strong, mean_rate),
    )  # fmt: skip


class _Run:
    """One call: its settings, and the levels so far."""

    def __init__(
        self, setting: Setting, tolerance: float, weak: float, first: int, most_levels: int, most_paths: int,
        most_cost: int,
    ) -> None:  # fmt: skip
        self.setting, self.tolerance, self.weak, self.first = setting, tolerance, weak, first
        self.most_levels, self.most_paths, self.most_cost = most_levels, most_paths, most_cost
        self.levels: list[LevelSampler] = []
        self.notes: list[str] = []
        self.exact, self.dropped, self.dropped_paths, self.dropped_cost, self.why = False, 0, 0, 0, ""

    def find_coarsest(self, steps: int) -> None:
        """Pilots of three levels, from the coarsest step on that says something about finer ones."""
        started, seen = steps, "they say little about finer ones"
        while True:
            base = LevelSampler(self.setting, steps)
            self.exact = base.one_path()
            self.levels = [base]
            while len(self.levels) < 3:
                self.levels.append(self.levels[-1].finer())
            paths = 16 if self.exact else self.first
            for level in self.levels:
                self._afford({level: paths}, "even the first look")
                level.draw(paths)
                if level.lost:
                    break
            lost = next((level for level in self.levels if level.lost), None)
            if lost is None and not self._apart():
                break
            if self.dropped + 3 >= self.most_levels:
                if lost is not None:
                    lost.refuse_lost()
                raise InvalidInput(
                    f"the levels are not coupled down to dt = {self.levels[-1].dt:.3g}: a difference varies as much "
                    "as the observable itself; lower dt, or take another solver"
                )
            seen = "the scheme is unstable there" if lost is not None or self._grows() else seen
            self.dropped += 1
            self.dropped_paths += sum(level.taken for level in self.levels)
            self.dropped_cost += round(sum(level.taken * level.path_cost for level in self.levels))
            steps *= 2
        if steps > started:
            self.notes.append(
                f"levels with dt from {self.setting.horizon / started:.3g} to {2 * self.setting.horizon / steps:.3g} "
                f"are left out: {seen}"
            )

    def _apart(self) -> bool:
        """Whether a difference varies about as much as the finer value itself, as uncoupled paths let it."""
        return any(
            level.pilot is not None and level.fine is not None and level.pilot.away >= 8
            and not level.pilot.variance < APART * level.fine.variance
            for level in self.levels[1:]
        )  # fmt: skip

    def _grows(self) -> bool:
        """Whether the spread changes a hundredfold from one level to the next."""
        level = self.levels[1]
        assert level.fine is not None and level.coarse is not None
        small, large = sorted((level.fine.variance, level.coarse.variance))
        return not large < 100 * small

    def without_noise(self) -> tuple[float, float]:
        """One path a level, until the bias is small."""
        self.notes.append("there is no noise on the way, so all paths are one path and sampling has no error")
        while True:
            bias, rate = self._bias()
            if bias <= self.tolerance / math.sqrt(2):
                self.why = "the bias is small enough"
                return bias, rate
            self._deeper(bias).draw(16)

    def sample(self) -> tuple[float, float]:
        """Pilots until they fix levels and paths, then fresh paths; (bias, rate by which it was extrapolated)."""
        self._wait_for_something()
        while True:
            self._pilots()
            bias, _ = self._bias()
            if bias <= self.tolerance / math.sqrt(2):
                break
            level = self._deeper(bias)
            level.draw(FEWEST)
            self._checked(level)
        for level, paths in zip(self.levels, self._sizes(2 * COCHRAN, True), strict=True):
            level.draw_fresh(paths)
            self._checked(level)
        while True:
            self._top_up()
            bias, rate = self._bias()
            if bias <= self.tolerance / math.sqrt(2):
                self.why = "sampling error and bias are small enough, with numbers of paths that pilots had fixed"
                return bias, rate
            level = self._deeper(bias)
            level.draw(FEWEST)
            self._checked(level)
            self._pilots()
            level.draw_fresh(self._sizes(2 * COCHRAN, True)[-1])

    def _wait_for_something(self) -> None:
        """All equal is too little, unless it is an indicator: level 0 goes on for a while."""
        base = self.levels[0]
        assert base.pilot is not None
        while not base.pilot.away and not base.pilot.boolean:
            most = PATIENCE * 1024
            if base.pilot.count >= most and base.pilot.usual in (0.0, 1.0):
                # an indicator of this tolerance would show itself by then
                most = max(most, min(math.ceil(4 / self.tolerance), 100 * most))
            if base.pilot.count >= most:
                raise InvalidInput(
                    f"all {base.pilot.count} values of the observable are {base.pilot.usual:g} on the coarsest level, "
                    "so nothing is known of how large the others are: return booleans if it is an indicator, or look "
                    "at an observable that varies"
                )
            paths = min(4 * base.pilot.count, most)
            self._afford({base: paths}, f"a value that differs from {base.pilot.usual:g}")
            base.draw(paths)
            self._checked(base)

    def _pilots(self) -> None:
        """Extend the pilots until each is an eighth of what it asks for."""
        while True:
            self._afford(dict(zip(self.levels, self._sizes(COCHRAN, False), strict=True)))
            wanted = self._sizes(2 * COCHRAN, True)
            short = {
                level: min(-(-paths // PILOT), PILOT * level.best.count)
                for level, paths in zip(self.levels, wanted, strict=True)
                if level.fresh is None and -(-paths // PILOT) > level.best.count
            }
            if not short:
                return
            for level, paths in short.items():
                level.draw(paths)
                self._checked(level)

    def _top_up(self) -> None:
        """Bring the sampling error down where the pilots' bounds failed, and up to Cochran's rule."""
        while True:
            short, skewed = self._sampling() > 1.01 * self.tolerance**2 / 2, self._skewed(COCHRAN) > 1
            if not (short or skewed):
                return
            wanted = self._sizes(COCHRAN, False)
            self._afford(dict(zip(self.levels, wanted, strict=True)))
            lopsided = max(self.levels, key=lambda level: abs(level.best.third) / level.best.count**3)
            for level, paths in zip(self.levels, wanted, strict=True):
                more = -(-level.best.count // 4) if skewed and level is lopsided else -(-level.best.count // 50) * short
                level.draw(max(paths, level.best.count + more))
                self._checked(level)

    def _sampling(self) -> float:
        return sum(level.error**2 for level in self.levels)

    def _skewed(self, rule: float, sizes: list[int] | None = None) -> float:
        """`rule` times the squared skewness of the sum of the means: above 1 a normal interval is not to be trusted.

        An indicator needs none of it: the bound of its variance makes up for few hits.
        """
        if self.levels[0].size_known():
            return 0.0
        counts = sizes or [level.best.count for level in self.levels]
        third = sum(level.best.third / level.best.count / n**2 for level, n in zip(self.levels, counts, strict=True))
        second = sum(level.best.variance / n for level, n in zip(self.levels, counts, strict=True))
        return rule * third**2 / second**3 if second > 0 and math.isfinite(third) else 0.0

    def _sizes(self, rule: float, safe: bool) -> list[int]:
        """Paths of each level that reach a sampling variance of tolerance^2 / 2 at the least cost."""
        counts = [float(level.best.count) for level in self.levels]
        for _ in range(6):  # the bound on the variance of rare differences falls with their number
            if safe:
                variances = [level.expected(n) for level, n in zip(self.levels, counts, strict=True)]
            else:
                variances = [level.bounded(level.best) if level.best.away else 0.0 for level in self.levels]
            total = sum(math.sqrt(v * level.path_cost) for v, level in zip(variances, self.levels, strict=True))
            counts = [
                max(FEWEST, 2 / self.tolerance**2 * math.sqrt(v / level.path_cost) * total)
                for v, level in zip(variances, self.levels, strict=True)
            ]
        sizes = [math.ceil(min(n, 1e18)) for n in counts]
        factor = self._skewed(rule, sizes)
        return sizes if factor <= 1 else [math.ceil(min(n * factor, 1e18)) for n in sizes]

    def _bias(self) -> tuple[float, float]:
        means = np.array([level.best.mean for level in self.levels[1:]])
        errors = np.array([0.0 if self.exact else level.error for level in self.levels[1:]])
        return extrapolated_bias(means, errors, self.weak)

    def _deeper(self, bias: float) -> LevelSampler:
        if len(self.levels) + self.dropped >= self.most_levels:
            raise InvalidInput(
                f"after {self.most_levels} levels the bias is still about {bias:.3g}, above the tolerance "
                f"{self.tolerance:g}: raise tolerance, or lower dt"
            )
        level = self.levels[-1].finer()
        self.levels.append(level)
        return level

    def _checked(self, level: LevelSampler) -> None:
        if level.lost:
            level.refuse_lost()
            raise InvalidInput(
                f"some paths overflow at dt = {level.dt:.3g}: lower dt, or take 'tamed_euler' or "
                "'drift_implicit_euler'"
            )

    def spent_paths(self) -> int:
        return self.dropped_paths + sum(level.taken for level in self.levels)

    def spent_cost(self) -> int:
        return self.dropped_cost + round(sum(level.taken * level.path_cost for level in self.levels))

    def _afford(self, sizes: dict[LevelSampler, int], what: str = "") -> None:
        """Refuse what would take more paths or steps than allowed, with the figure that would do."""
        paths = self.dropped_paths + sum(max(n, level.taken) for level, n in sizes.items())
        cost = self.dropped_cost + sum(max(n, level.taken) * level.path_cost for level, n in sizes.items())
        if paths <= self.most_paths and cost <= self.most_cost:
            return
        dearest = max(sizes, key=lambda level: sizes[level] * level.path_cost)
        limit = f"most_paths = {self.most_paths}" if paths > self.most_paths else f"most_cost = {self.most_cost}"
        raise InvalidInput(
            f"{what or f'a root mean square error of {self.tolerance:g}'} needs about {paths:.3g} paths and {cost:.3g} "
            f"steps, more than {limit} (most of them at dt = {dearest.dt:.3g}): raise tolerance or that limit"
        )


def extrapolated_bias(means: np.ndarray, errors: np.ndarray, weak: float) -> tuple[float, float]:
    """Distance of the finest level from dt = 0, and the weak rate by which it was extrapolated.

    Parameters
    ----------
    means, errors : (L,) arrays
        Of the differences of levels 1..L, each of half the step of the one before; standard errors.
    weak : float
        Weak order that the scheme claims. A slower rate that fits the means better by more than one standard
        deviation is taken in its place.

    Returns
    -------
    bias, rate : float
        A mean of level l leaves |mean| / (2^rate - 1) at l, divided by 2^rate a level further; of the last three
        levels, weighted by their errors, the root mean square: noise can only make it larger.
    """
    number = np.arange(1, len(means) + 1)
    scale = np.abs(means).max()
    if scale == 0:
        return float(np.abs(errors).max()), weak
    shapes = SHAPE * 2.0 ** (1 - number)
    weights = 1 / (errors**2 + (shapes * means) ** 2 + (1e-13 * scale) ** 2)
    rates = np.append(np.arange(SLOWEST, weak, 0.05), weak)
    misfits = []
    for rate in rates:
        shape = 2.0 ** (-rate * number)
        factor = (weights * means * shape).sum() / (weights * shape**2).sum()
        misfits.append((weights * (means - factor * shape) ** 2).sum())
    best = int(np.argmin(misfits))
    rate = float(rates[best] if misfits[-1] - misfits[best] > 1 else weak)
    back = np.arange(len(means))[::-1][-3:]
    left = np.abs(means[-3:]) * 2.0 ** (-rate * back) / (2**rate - 1)
    noise = errors[-3:] * 2.0 ** (-rate * back) / (2**rate - 1)
    if not noise.any():
        return float(left[-1]), rate
    share = 1 / (noise**2 + (shapes[-3:] * left) ** 2 + 1e-300)
    return float(math.sqrt((share * left**2).sum() / share.sum())), rate


def _rate(values: list[float]) -> float:
    """Power of dt by which positive values fall from level to level."""
    kept = [(place, math.log2(value)) for place, value in enumerate(values) if value > 0]
    if len(kept) < 2:
        return math.nan
    places, logs = np.array(kept).T
    return -float(np.polyfit(places, logs, 1)[0])


def _complexity(variance_rate: float, mean_rate: float) -> str:
    if variance_rate > 1.25:
        return "tolerance^-2: the variance falls faster than the cost of a step rises"
    if variance_rate > 0.75:
        return "tolerance^-2 log(tolerance)^2: every level costs the same, so their number enters as a logarithm"
    weak = 0.5 if math.isnan(mean_rate) else max(mean_rate, 0.5)
    return f"tolerance^-{2 + (1 - variance_rate) / weak:.2g}: the finest level dominates"
