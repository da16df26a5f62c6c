"""Moments, stationary law, stability and its warning of anything whose second moments close on a quadratic problem.

A process gives its moment equations at a step size; everything that a user sees of them is written here, once.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from sgdlimits.ensembles.blas_threads import one_blas_thread
from sgdlimits.ensembles.crowd import SavedState
from sgdlimits.ensembles.initial import initial_moments, initial_state, moment_steps
from sgdlimits.ensembles.progress import Progress, open_progress
from sgdlimits.ensembles.results import moments_dataset
from sgdlimits.exact import mean_square
from sgdlimits.exact.callers import callers_level
from sgdlimits.exact.errors import (
    InfiniteVariance,
    InvalidInput,
    NoStationaryLaw,
    StabilityWarning,
    flag,
    some_of,
)
from sgdlimits.exact.moment_flows import MomentFlow
from sgdlimits.exact.moment_maps import MomentMap
from sgdlimits.exact.moment_spectra import Functional, MomentSpectra
from sgdlimits.exact.noise_feedback import GeneralFeedback, NoiseFeedback, threshold_below, threshold_from
from sgdlimits.exact.noise_maps import RankOneNoise, SampledNoise
from sgdlimits.exact.routes import LARGEST_PACKED, Method, Moments, Route, choose_route
from sgdlimits.exact.schedules import StepSizes
from sgdlimits.exact.stationary_law import Stability, StationaryLaw, past

from .pace import Pace
from .quadratic import QuadraticProblem
from .risk_deviations import FURTHER, RiskProducts, deviations, unknown_products

if TYPE_CHECKING:
    import xarray

SchemeAt = Callable[[float], MomentMap]  # one increment of a scheme at a step size
QUANTITIES = ("mean", "covariance", "risk")
LOOKS = 10  # how often a curve is looked at in as many places as it is made for
SMALL_LOOP = 150  # numbers of a noise that feeds itself, up to which all eigenvalues are as cheap


@dataclass(frozen=True, eq=False)
class SecondMoments:
    """What the first two moments of a process obey, in modes and in SGD steps.

    Attributes
    ----------
    problem : QuadraticProblem
    label : str
    step_size : float or StepSizes
    equations_at : callable
        The moment equations at a step size; at a value of the schedule where `step_size` is one.
    mean_threshold : float
        Step size below which the mean settles: inf if it always does, 0 with a negative curvature.
    proportional : bool
        Whether the noise feeds itself in proportion to the step size.
    products_at : callable, optional
        Products of modes at a step size, for the variance of the risk; raises where they do not close, or take more
        than so many hours.
    increments : int
        How often the equations are taken for a step.
    settled_threshold : float
        As `mean_threshold`, of the directions of positive curvature alone.
    """

    problem: QuadraticProblem
    label: str
    step_size: Any
    equations_at: Callable[[float], MomentMap | MomentFlow]
    mean_threshold: float
    proportional: bool = False
    products_at: Callable[[float, float], RiskProducts] = unknown_products
    increments: int = 1
    settled_threshold: float = np.inf

    @property
    def equations(self) -> MomentMap | MomentFlow:
        """At the step size, the first one of a schedule."""
        return self.equations_at(self.first_size)

    @property
    def first_size(self) -> float:
        """The step size, the first one of a schedule."""
        return self.step_size(0) if isinstance(self.step_size, StepSizes) else self.step_size

    def moments(
        self, x0: Any, steps: int, record: int | Sequence[int] | np.ndarray | None, quantities: Sequence[str] | None,
        attributes: Mapping[str, Any], clock: Callable[[np.ndarray], np.ndarray | None],
        progress: bool | Progress | None = None, scheme_at: SchemeAt | None = None, substeps: int = 1,
    ) -> xarray.Dataset:  # fmt: skip
        """Exact moments from the start `x0` on, labelled.

        Parameters
        ----------
        quantities : names among QUANTITIES and FURTHER, optional
            What the result holds; QUANTITIES by default.
        clock : function of the recorded steps
            Their times on the process's clock, or None.
        scheme_at : callable, optional
            The map of one increment of a scheme at a step size, `substeps` of them a step, instead of the process.
        """
        chosen = some_of("quantities", quantities, QUANTITIES, FURTHER)
        self.problem.check_centre()
        mean, covariance = start_moments(x0, self.problem.dimension)
        kept = moment_steps(record, steps)
        further = [name for name in chosen if name in FURTHER]
        if further:
            if scheme_at is not None:
                raise InvalidInput(
                    f"quantities names {further[0]!r}, which is known of {self.label} itself, not of a scheme for it: "
                    "leave solver out, or simulate"
                )
            chosen = tuple(name for name in chosen if name in QUANTITIES)
            given = deviations(self, x0, kept, further, None if chosen else progress)
            rest = moments_dataset(kept, None, None, None, self.problem.coordinates, attributes, clock(kept))
            if chosen:
                rest = self.moments(x0, steps, record, chosen, attributes, clock, progress)
            return rest.assign({name: ("step", values) for name, values in given.items()})
        equations: MomentMap | MomentFlow = self.equations if scheme_at is None else scheme_at(self.first_size)
        each = self.increments if scheme_at is None else substeps
        grid = kept * each
        route = choose_route(equations, chosen, len(kept), self._last_without_schedule(grid))
        leaps = route.method in (Method.EIGENPROBLEM, Method.KRYLOV) and not isinstance(self.step_size, StepSizes)
        if leaps and "covariance" not in chosen:
            with closing(open_progress(progress, int(grid[-1]), "steps")) as reported:
                found = self._by_spectrum(equations, self.problem.to_modes(mean), covariance, grid, route, chosen)
                reported.update(int(grid[-1]))
            return moments_dataset(
                kept, found.get("mean"), None, found.get("risk"), self.problem.coordinates, attributes, clock(kept)
            )
        reported = open_progress(progress, int(grid[-1]), "steps")
        walks = route.method in (Method.STEPS, Method.EXPONENTIAL)  # at a pace; others leap
        pace = Pace(int(grid[-1]), steps, chosen) if walks and not progress else None
        try:
            means, spread = self._propagate(
                equations, self.problem.to_modes(mean), self._in_modes(covariance, route), grid, route,
                reported.update if pace is None else pace.update, scheme_at or self.equations_at,
                each,
            )  # fmt: skip
        finally:
            reported.close()
        with one_blas_thread():  # small products, one a step
            found = self._of_positions(means, spread, chosen)
        return moments_dataset(
            kept, found.get("mean"), found.get("covariance"), found.get("risk"), self.problem.coordinates, attributes,
            clock(kept),
        )  # fmt: skip

    def stationary(self, settled_only: bool = False) -> StationaryLaw:
        """The stationary law; with `settled_only`, of the directions in which there is one, if the noise is additive.

        Raises
        ------
        NoStationaryLaw
            If the mean does not settle.
        InfiniteVariance
            If the mean settles but the second moment does not.
        """
        problem, label, settled_only = self.problem, self.label, flag("settled_only", settled_only)
        free = self._unsettled()
        if free.any() and not (settled_only and problem.additive):
            self._refuse(free)
        mean_threshold = self.settled_threshold if free.any() else self.mean_threshold
        if not Stability(mean_threshold, mean_threshold, float(self.step_size)).mean_stable:
            cure = "lower the step size"
            if not problem.additive:
                cure += ", for a finite variance below stability().mean_square_threshold"
            raise NoStationaryLaw(
                f"{past(self.step_size, mean_threshold, f'the mean of {label} settles')}; {cure}",
                mean_threshold,
            )
        feedback = self.equations.feedback
        if not self._finite_variance(feedback):
            threshold = self.mean_square_threshold()
            raise InfiniteVariance(
                f"{past(self.step_size, threshold, f'the variance of {label} is finite')}; lower the step size or "
                "raise the batch size",
                threshold,
            )
        problem.check_centre()
        vectors = problem.eigenvectors
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            spread = feedback.stationary_covariance()
        spread[free], spread[:, free] = 0.0, 0.0
        if not np.isfinite(spread).all():
            raise InvalidInput(
                f"the stationary covariance of {label} leaves the range of numbers, since curvatures go down to "
                f"{problem.curvatures[~free & ~problem.frozen].min():.3g}: change the units"
            )
        risk = float(problem.expected_risk(np.zeros(problem.dimension), spread))
        return StationaryLaw(
            problem.minimiser.copy(), vectors @ spread @ vectors.T, risk, vectors[:, problem.frozen & ~free],
            vectors[:, free],
        )  # fmt: skip

    def _finite_variance(self, feedback: NoiseFeedback) -> bool:
        """Whether the second moment settles; without the threshold, where that takes a search, away from it."""
        if self.problem.additive:
            return True
        if not isinstance(feedback, GeneralFeedback):
            return self.stability().mean_square_stable
        certain = feedback.decided()
        return self.stability().mean_square_stable if certain is None else certain

    def _unsettled(self) -> np.ndarray:
        """Mask (d,) of modes in which nothing settles at any step size."""
        problem = self.problem
        noisy = np.zeros(problem.dimension, dtype=bool)
        if problem.additive:
            noise = np.diagonal(problem.noise_covariance_map(np.zeros((0, 0)), np.zeros(0)))
            noisy = noise > 1e-14 * noise.sum()
        return (problem.curvatures < 0) | (problem.frozen & noisy)

    def _refuse(self, free: np.ndarray) -> NoReturn:
        problem, curvatures = self.problem, self.problem.curvatures
        least, cure = float(curvatures.min()), "raise the ridge"
        if problem.additive and not free.all():
            cure += ", or take stationary(settled_only=True) for the law of the other directions"
        what = f"the negative curvature {least:.6g}, so {self.label} runs away at every step size"
        if least == 0:
            what = f"no curvature along {free.sum()} direction(s) in which there is noise, so {self.label} wanders off"
        elif free.sum() > 1:
            what += f", and along {free.sum()} of {free.size} directions nothing settles (error.directions)"
        raise NoStationaryLaw(
            f"the descended objective has {what}; {cure}", self.mean_threshold, problem.eigenvectors[:, free]
        )

    def stability(self) -> Stability:
        """Step sizes below which mean and second moment settle, on the range of the data."""
        return Stability(self.mean_threshold, self.mean_square_threshold(), float(self.step_size))

    def mean_square_threshold(self) -> float:
        """Step size at which the noise feeds itself by the whole, to about 1e-12."""

        def radius_at(step_size: float) -> float:
            return self.equations_at(step_size).feedback.spectral_radius()

        if not np.isinf(self.mean_threshold):
            found = self._threshold_of_samples()
            return found if found is not None else threshold_below(radius_at, self.mean_threshold)
        largest = float(self.problem.curvatures.max())
        return threshold_from(radius_at, 1 / largest, self.proportional) if largest > 0 else np.inf

    def _threshold_of_samples(self) -> float | None:
        """In one go, of plain SGD on many modes of finite data; None of anything else."""
        equations, h = self.equations_at(1.0), self.problem.eigenvalues
        noise, k = equations.noise, self.problem.curvatures
        if not isinstance(noise, SampledNoise) or not (equations.discrete and equations.spectral):
            return None
        if self.increments != 1 or k.min() < 0 or (equations.mean_decays != k).any():
            return None
        r = noise.eigenvalues.size
        if equations.noise_scale != 1.0 or r * (r + 1) // 2 <= SMALL_LOOP or k[:r].min() <= 0 or not h.any():
            return None
        return min(mean_square.threshold(noise.features(), k[:r], noise.factor), self.mean_threshold)

    def scheme_settles(self, scheme_at: SchemeAt) -> bool | None:
        """Whether mean and second moment of a scheme settle at the step size; None where that takes long to decide."""
        scheme = scheme_at(self.first_size)
        if not scheme.mean_stable:
            return False
        settled = _settles(scheme)
        return None if settled and not scheme.proved_stable() and _too_dear(scheme) else settled

    def warn_if_unstable(self, scheme_at: SchemeAt | None = None) -> None:
        """Warn past a known threshold, in the name of the user's line; nothing dear runs below one."""
        if isinstance(self.step_size, StepSizes):
            return
        sentence = self._instability(None if scheme_at is None else scheme_at(self.step_size))
        if sentence is not None:
            warnings.warn(sentence, StabilityWarning, stacklevel=callers_level())

    def _instability(self, scheme: MomentMap | None) -> str | None:
        too_long = f"the scheme's increments are too long for {self.label}"
        threshold, what, why = self.mean_threshold, "mean", ""
        if self.problem.curvatures.min() < 0:
            why = ", because the descended objective has a negative curvature"
        elif self.step_size < threshold:
            if _settles(self.equations):
                if scheme is None or not scheme.mean_stable:
                    return None if scheme is None else f"{too_long}: its mean grows; raise substeps"
                return None if _settles(scheme) else f"{too_long}: its variance grows; raise substeps"
            threshold, what = self.mean_square_threshold(), "second moment"
        size = f"step_size is {self.step_size:g}"
        return f"{size}, but the {what} of {self.label} settles only below {threshold:.6g}{why}"

    def _propagate(
        self, equations: MomentMap | MomentFlow, mean: np.ndarray, spread: np.ndarray | None, grid: np.ndarray,
        route: Route, report: Callable[[int], None], at: Callable[[float], Any], substeps: int,
    ) -> tuple[np.ndarray, np.ndarray | None]:  # fmt: skip
        scheduled = isinstance(self.step_size, StepSizes)
        # Thousands of small products: on a busy machine threads of BLAS wait for each other at every one.
        threads = one_blas_thread() if route.method is Method.CHEBYSHEV else nullcontext()
        with np.errstate(over="ignore", invalid="ignore"), threads:
            if isinstance(equations, MomentMap):
                map_of = self._of_step(at, substeps) if scheduled else None
                return equations.propagate(mean, spread, grid, route, map_of, report)
            if scheduled:
                return self._piecewise(mean, spread, grid, route, report, at)
            return equations.propagate(mean, spread, grid, route, report)

    def _last_without_schedule(self, grid: np.ndarray) -> int:
        """The last step, of which a route may make a leap; 0 under a schedule, whose steps are walked."""
        return 0 if isinstance(self.step_size, StepSizes) else int(grid[-1])

    def risk_curve(
        self, x0: Any, times: np.ndarray, above: float = 0.0, poisson: bool = False
    ) -> Callable[[np.ndarray], np.ndarray]:
        """The exact expected risk from `x0` on, less `above`, as a function of steps, none beyond the last of `times`.

        What is needed for them all is made once. Above the least risk a small excess keeps its digits. With `poisson`
        the steps of a recurrence fall at the times of a Poisson process of rate 1, and the curve is one of times.

        Raises
        ------
        InvalidInput
            If `poisson` is asked of what is no recurrence of one number a mode at one step size.
        """
        mean, covariance = start_moments(x0, self.problem.dimension)
        self.problem.check_centre()
        equations = self.equations
        last = self.increments * self._last_without_schedule(times)
        route = choose_route(equations, ("risk",), len(times), last, LOOKS)
        if poisson:
            taken = isinstance(equations.noise, (RankOneNoise, SampledNoise)) and equations.spectral
            if not (equations.discrete and taken) or isinstance(self.step_size, StepSizes):
                raise InvalidInput(
                    "steps at the times of a Poisson process are known of plain SGD on least squares at one step size, "
                    f"not of {self.label} on {type(self.problem).__name__}: leave momentum and schedule out"
                )
            d, variances = self.problem.dimension, isinstance(equations.noise, RankOneNoise)
            whole = variances or d * (d + 1) // 2 <= LARGEST_PACKED
            route = replace(route, method=Method.EIGENPROBLEM if whole else Method.KRYLOV)
        leaps = route.method in (Method.EIGENPROBLEM, Method.KRYLOV)
        if leaps or (route.method is Method.ENTRIES and not equations.discrete):
            modes, each = self.problem.to_modes(mean), self.increments
            curve = self._curve(MomentSpectra(equations), modes, covariance, each * times, route, above, poisson)
            return lambda steps: curve(each * steps)
        return lambda steps: self.moments(
            x0, int(np.max(steps)), np.unique(steps), ("risk",), {}, lambda steps: None
        ).risk.sel(step=steps).values - above  # fmt: skip

    def _curve(
        self, spectra: MomentSpectra, mean: np.ndarray, covariance: np.ndarray | None, times: np.ndarray, route: Route,
        above: float = 0.0, poisson: bool = False,
    ) -> Callable[[np.ndarray], np.ndarray]:  # fmt: skip
        problem, start = self.problem, self._in_modes(covariance, route)
        functional = Functional(problem.risk_at_minimiser - above, problem.risk_slope, problem.eigenvalues)
        assert start is not None  # the mean alone is another route
        # Products with a vector or two: threads of BLAS would only wait for each other.
        with np.errstate(over="ignore", invalid="ignore"), one_blas_thread():
            risk = spectra.risk(mean, start, times, functional, route.method is Method.KRYLOV, poisson)

        def curve(steps: np.ndarray) -> np.ndarray:
            with np.errstate(over="ignore", invalid="ignore"):
                values = risk(steps)
            return np.where(np.isnan(values), np.inf, values)

        return curve

    def _by_spectrum(
        self, equations: MomentMap | MomentFlow, mean: np.ndarray, covariance: np.ndarray | None, times: np.ndarray,
        route: Route, chosen: Sequence[str],
    ) -> dict[str, np.ndarray]:  # fmt: skip
        """Means and risks at any steps, without those between."""
        spectra, found = MomentSpectra(equations), {}
        if "mean" in chosen:
            found["mean"] = self._of_positions(spectra.means(mean, times), None, ("mean",))["mean"]
        found["risk"] = self._curve(spectra, mean, covariance, times, route)(times)
        return found

    def _of_step(self, at: Callable[[float], Any], substeps: int) -> Callable[[int], Any]:
        """What `at` makes of the step size of each step of a schedule, or increment; equal ones in a row share it."""
        made = lru_cache(maxsize=1)(at)
        return lambda k: made(self.step_size(k // substeps))

    def _piecewise(
        self, mean: np.ndarray, spread: np.ndarray | None, grid: np.ndarray, route: Route,
        report: Callable[[int], None], at: Callable[[float], Any],
    ) -> tuple[np.ndarray, np.ndarray | None]:  # fmt: skip
        """In continuous time under a schedule: one flow after the other, each while the step size stays."""
        whole = replace(route, kept=route.carried)  # the next flow starts from all that is carried
        means = np.empty((len(grid), mean.size))
        kept = None if spread is None else np.empty((len(grid),) + (mean.size,) * route.kept)
        for size, first, last in self.step_size.runs(0, max(int(grid[-1]), 1)):
            here = np.flatnonzero((grid > first) & (grid <= last) if first else grid <= last)
            times = np.append(grid[here], last) - first
            found, spreads = at(size).propagate(mean, spread, times, whole, report)
            means[here], mean = found[:-1], found[-1]
            if kept is not None and spreads is not None:
                part, spread = spreads[:-1], spreads[-1]
                narrower = part.ndim == 3 and kept.ndim == 2
                kept[here] = np.diagonal(part, axis1=1, axis2=2) if narrower else part
        return means, kept

    def _in_modes(self, covariance: np.ndarray | None, route: Route) -> np.ndarray | None:
        """What the route carries of the start's covariance."""
        if route.carried is Moments.MEAN:
            return None
        if covariance is None or not covariance.any():
            return np.zeros((self.problem.dimension,) * route.carried)
        vectors = self.problem.eigenvectors
        if route.carried is Moments.VARIANCES:
            return (vectors * (covariance @ vectors)).sum(axis=0)
        return vectors.T @ covariance @ vectors

    def _of_positions(
        self, means: np.ndarray, spread: np.ndarray | None, chosen: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """What was asked of the positions, from the modes; inf past the range of floating-point numbers."""
        problem, found = self.problem, {}
        settled = np.isfinite(means).all(axis=-1)
        if "mean" in chosen:
            found["mean"] = np.full(means.shape, np.inf)
            found["mean"][settled] = problem.from_modes(means[settled])
        if spread is None:
            return found
        finite = settled & np.isfinite(spread).all(axis=tuple(range(1, spread.ndim)))
        with np.errstate(over="ignore", invalid="ignore"):
            if "covariance" in chosen:
                rotated = np.full(spread.shape, np.inf)
                rotated[finite] = problem.eigenvectors @ spread[finite] @ problem.eigenvectors.T
                rotated[np.isnan(rotated)] = np.inf
                found["covariance"] = rotated
            if "risk" in chosen:
                variances = spread if spread.ndim == 2 else np.diagonal(spread, axis1=1, axis2=2)
                risk = np.full(finite.shape, np.inf)
                risk[finite] = problem.risk_of_variances(means[finite], variances[finite])
                found["risk"] = np.where(np.isnan(risk), np.inf, risk)
        return found


def start_moments(x0: Any, dimension: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Mean (d,) and covariance (d, d) of the start; None at a point, where d may be large."""
    if not isinstance(x0, SavedState):
        initial = initial_state(x0, dimension)
        if isinstance(initial, np.ndarray) and initial.ndim == 1:
            return initial.copy(), None
    return initial_moments(x0, dimension)


def _settles(equations: MomentMap | MomentFlow) -> bool:
    """Whether second moments settle, for a warning: what a bounded cost cannot decide counts as settled."""
    if equations.proved_stable():
        return True
    return _too_dear(equations) or equations.feedback.is_stable()


def _too_dear(equations: MomentMap | MomentFlow) -> bool:
    noise = equations.noise
    return isinstance(noise, SampledNoise) and noise.cost > mean_square.TOO_DEAR
