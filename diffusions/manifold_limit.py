"""The limit of noisy gradient descent on the set of zero loss, as step size and noise go to zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from sgdlimits.ensembles.engine import run
from sgdlimits.ensembles.initial import Gaussian, initial_of_paths, recorded_steps
from sgdlimits.ensembles.progress import Progress
from sgdlimits.ensembles.results import ensemble_dataset, path_dataset
from sgdlimits.ensembles.until import Until
from sgdlimits.exact.claims import Claim
from sgdlimits.exact.clock import Clock
from sgdlimits.exact.errors import InvalidInput, finite_array, flag, one_of, points, positive, whole_number
from sgdlimits.exact.stationary_law import Stability
from sgdlimits.problems import geometry
from sgdlimits.problems.noise import Mechanism
from sgdlimits.problems.zero_loss.model import Model

from .manifold.claims import CLAIMS
from .manifold.checks import check_finite_step, warn_of_large_noise, warn_of_neglected_drift
from .manifold.fields import Fields, tangential_matrix
from .manifold.flows import TABLEAUS
from .manifold.schemes import NOISE_SOLVERS, Stepper
from .manifold.simulator import LimitSteps, integrator_grid, largest_step
from .manifold.solving import checked_times, fixed_step, solved
from .manifold.stability import hold_stable, stability_at
from .manifold.terms import Term, decide_terms, explain, leading_term, probe_points, remembered
from .open_law import OpenLaw

if TYPE_CHECKING:
    import xarray



@dataclass(frozen=True, eq=False)
class ManifoldLimit(OpenLaw):
    """What w <- w - step_size * noisy gradient becomes on {L = 0} when step size and noise level go to zero.

    Every mechanism adds a term. Non-degenerate, in time k * step_size * sigma^2: dW = -P grad Reg dt,
    formula manifold-regulariser. Degenerate, where Reg is constant on the set, in time k * step_size^2 * sigma^2:
    dW = P G dB + (1/2) d^2 Phi[G G'] dt (Ito), formula manifold-degenerate. Trivial: nothing moves on either scale.
    The process's clock is that of the term that moves most a step. P is the tangent projector, Phi the limit of the
    gradient flow and G the derivative of the gradient in the noise, sigma taken out.

    Parameters
    ----------
    model : zero-loss model
        See `sgdlimits.problems.zero_loss`.
    noise : noise mechanism or mixture
        See `sgdlimits.problems.noise`. The non-degenerate limit is the leading order in sigma^2.
    step_size : float
        Past the stability limit of the set, 2 over the largest eigenvalue of H, the recurrence is thrown off
        the set and has no limit.
    start : (m,) array, optional
        A point from which the gradient flow reaches the zero-loss set; the step size is held against the
        stability limit at its end, and regimes that only numbers decide are decided near it. Default: a few
        random starts.
    correction : bool
        Add the next order in sigma^2 of mechanisms whose regulariser is constant on the set, all of them together: a
        drift of step_size sigma^4 a step, a term with its own clock, which leads where sigma^2 is larger than
        step_size or nothing else moves. Differences in every weight (derived).
    finite_step : bool
        Take the second-order part at this step size instead of its limit, by the discrete Lyapunov equation
        (derived).
        Non-degenerate mechanisms then have one too. Only for noise without a part along the set.

    Raises
    ------
    InvalidInput
        If the mechanism does not fit the model, or an argument cannot be used.
    Unstable
        If `start` is given and the step size is past the stability limit at its end; `.threshold` is that limit.

    Warns
    -----
    StabilityWarning
        If a minibatch makes the second moment grow there although the mean settles.
    """

    model: Any
    noise: Any
    step_size: float
    start: np.ndarray | None = None
    correction: bool = False
    finite_step: bool = False

    noise_type: ClassVar[str] = "general"
    weak_order: ClassVar[float] = 1.0
    claims: ClassVar[tuple[Claim, ...]] = CLAIMS
    instead: ClassVar[str] = "solve() where it is not random, else simulate()"

    def __post_init__(self) -> None:
        if not isinstance(self.noise, Mechanism):
            found = type(self.noise).__name__
            raise InvalidInput(f"noise must be a mechanism of sgdlimits.problems.noise, got {found}")
        if not isinstance(self.model, Model):
            raise InvalidInput(
                f"model must be one of sgdlimits.problems.zero_loss, got {type(self.model).__name__}"
            )
        self.noise.check(self.model)
        for name in ("correction", "finite_step"):
            object.__setattr__(self, name, flag(name, getattr(self, name)))
        object.__setattr__(self, "step_size", positive("step_size", self.step_size))
        if self.start is not None:
            start = finite_array("start", self.start, shape=(self.model.dimension,))
            object.__setattr__(self, "start", start)
        if self._origin is not None:
            hold_stable(self.model, self.noise, self._origin, self.step_size)

    @classmethod
    def of(cls, recurrence: Any, **options: Any) -> ManifoldLimit:
        """The limit of a recurrence: of its `model`, `noise` and `step_size`."""
        missing = [name for name in ("model", "noise", "step_size") if not hasattr(recurrence, name)]
        if missing:
            raise InvalidInput(
                f"{type(recurrence).__name__} has no {' nor '.join(missing)}: the limit of a recurrence is "
                "made from its model, noise and step_size"
            )
        if getattr(recurrence, "rule", None) is not None:
            raise InvalidInput(
                f"the rule is {recurrence.rule.label}, and the limits are those of plain descent: leave the rule out"
            )
        return cls(recurrence.model, recurrence.noise, recurrence.step_size, **options)

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        """One term a mechanism, in the order of the mixture; with `correction`, then that of the next order."""
        terms = decide_terms(self.model, self.noise, self.step_size, self._probes, self.correction)
        if self.finite_step:
            check_finite_step(terms)
        return terms

    @property
    def leading(self) -> Term:
        """The term that moves most a step."""
        return leading_term(self.terms)

    @property
    def regime(self) -> str:
        """ "non-degenerate", "degenerate", "trivial" or "next-order": that of the leading term."""
        return self.leading.regime

    @property
    def clock(self) -> Clock:
        """Steps per unit of the leading term's time."""
        return self.leading.clock

    @property
    def explanation(self) -> str:
        """Why the regime is this one, and what the other mechanisms do."""
        return explain(self.terms)

    @property
    def label(self) -> str:
        """Short name."""
        return f"limit on the zero-loss set, {self.regime}"

    @property
    def dimension(self) -> int:
        """m."""
        return self.model.dimension

    @cached_property
    def noise_dimension(self) -> int:
        """Brownian motions that drive the limit; 0 if it is deterministic."""
        return sum(root.root_size for root in self._fields.noise_roots(self._probes[0]))

    @cached_property
    def _origin(self) -> np.ndarray | None:
        """Phi(start)."""
        if self.start is None:
            return None
        start = self.start
        return remembered(self.model, start.tobytes(), lambda: geometry.limit_map(self.model, start))

    @cached_property
    def _probes(self) -> np.ndarray:
        origin = self._origin
        key = "probes", None if origin is None else origin.tobytes()
        return remembered(self.model, key, lambda: probe_points(self.model, origin))

    @cached_property
    def _fields(self) -> Fields:
        # In a trivial limit any clock will do: nothing moves.
        rate = self.leading.rate or 1.0 / float(self.clock)
        return Fields(self.model, self.noise.batch, self.step_size, self.terms, rate, self.finite_step)

    def stability(self, w0: np.ndarray) -> Stability:
        """Step sizes below which the recurrence, linearised about the set at Phi(w0), settles on it (derived).

        The mean settles below 2 over the largest eigenvalue of H. Minibatches act on the distance from the set
        itself and lower the threshold of the second moment, which is exact here. Of every other noise the part
        that multiplies the distance is of order sigma^2 and left out, as it is in the limit: masks and noise on
        weights, inputs or labels change the thresholds by a part of that order, for which no formula is given.

        Parameters
        ----------
        w0 : (m,) array
            Where the recurrence starts.

        Raises
        ------
        InvalidInput
            If the gradient flow from w0 does not reach the set.
        """
        point = geometry.limit_map(self.model, finite_array("w0", w0, shape=(self.dimension,)))
        return stability_at(self.model, self.noise, point, self.step_size)

    def regulariser(self, w: np.ndarray) -> np.ndarray:
        """R (...) whose gradient along the set is minus the tangential drift, at w (..., m) on the set.

        Raises
        ------
        InvalidInput
            If the drift is not known to be a gradient.
        """
        return self._fields.potential(self._points(w))

    def drift(self, t: Any, w: np.ndarray) -> np.ndarray:
        """Ito drift (..., m) in the process's time at w (..., m) on the set, normal part included."""
        w = self._points(w)
        return self._fields.drift(w, geometry.frame(self.model, w))

    def diffusion(self, t: Any, w: np.ndarray) -> np.ndarray:
        """P G (..., m, q) in the process's time at w (..., m) on the set; q is 0 without noise."""
        w = self._points(w)
        return tangential_matrix(geometry.frame(self.model, w), self._fields.noise_matrix(w))

    def solve(
        self,
        w0: np.ndarray,
        times: Sequence[float] | np.ndarray,
        solver: str = "adaptive",
        dt: float | None = None,
        project: bool = True,
    ) -> xarray.Dataset:
        """Solve a deterministic limit from Phi(w0).

        Parameters
        ----------
        w0 : (m,) array
            Where the recurrence starts; the limit starts at Phi(w0) at time 0.
        times : (T,) array
            Increasing, from 0 on, in the process's time (steps / clock).
        solver : {"adaptive", "euler", "heun", "rk4"}
            Dormand-Prince of order 8 with error control, or a fixed-step method of order 1, 2, 4.
        dt : float, optional
            Largest step of a fixed-step method, in the process's time; default 0.01.
        project : bool
            Bring every step back to the set; without it the loss leaves zero at the order of the method.

        Returns
        -------
        xarray.Dataset
            `w(time, coordinate)`, with the SGD step of each time.

        Raises
        ------
        InvalidInput
            If the limit is stochastic, an argument cannot be used, or the path leaves the set, explodes,
            meets a change of rank of the Hessian, or a regime that numbers decided turns out wrong: with time
            and place.
        Unstable
            If the step size is past the stability limit at Phi(w0), or the path of `finite_step` comes to where it is;
            `.threshold` is that limit.

        Warns
        -----
        StabilityWarning
            If the path passes the stability limit later, where the recurrence cannot follow: with time and
            place; or if, at Phi(w0), a minibatch makes the second moment grow although the mean settles.
        LargeNoise
            If non-degenerate masks have a sigma^2 that is not small, of which the limit is the leading order.
        NeglectedDrift
            If the limit needs sigma^2 = o(step_size) and sigma^2 is not that small.
        """
        step, times = fixed_step(solver, dt), checked_times(times, float(self.clock))
        if self.noise_dimension:
            raise InvalidInput(
                f"the limit is stochastic ({self.explanation.rstrip('.')}): use simulate(w0, steps, paths)"
            )
        start = self._start(finite_array("w0", w0, shape=(self.dimension,)))
        path = solved(self._fields, start, times, solver, step, project)
        return path_dataset(times, self.clock.step(times), path, self._attributes() | {"solver": solver, "dt": step})

    def simulate(
        self,
        w0: Any,
        steps: int,
        paths: int,
        observables: Any = ("norm",),
        record: int | Sequence[int] | np.ndarray | None = None,
        seed: int = 0,
        solver: str | None = None,
        substeps: int | None = None,
        dt: float | None = None,
        quality: str = "float32",
        threads: int | None = None,
        chunk: int | None = None,
        progress: bool | Progress | None = None,
        first_path: int = 0,
        until: Until | Mapping[str, Any] | None = None,
    ) -> xarray.Dataset:
        """Simulate the limit over `steps` steps of the recurrence it stands for.

        Parameters
        ----------
        w0 : (m,) or (paths, m) array, Gaussian or (mean, covariance)
            Where the recurrence starts; every path starts at its Phi(w0).
        steps, paths, observables, record, seed, quality, threads, chunk, progress, first_path, until
            As in `sgdlimits.ensembles.run`; "risk" is the loss. Between the ends of integrator steps a path
            rests; a first passage in the continuous sense is drawn inside them.
        solver : str, optional
            If the limit is stochastic: "normal" (default), "limit_map", "newton" or "ito", all of weak order
            1, or "ninomiya_victoir", of weak order 2; see `Stepper`. If it is not: "euler", "heun" or "rk4"
            (default).
        substeps : int, optional
            Integrator steps per SGD step. Default: as `dt` says, which is usually far fewer than one.
        dt : float, optional
            Largest integrator step in the process's time; default 0.01. Recorded steps are always met
            exactly.

        Returns
        -------
        xarray.Dataset
            One variable an observable, with dims (path, step[, coordinate]).

        Raises
        ------
        InvalidInput
            If an argument cannot be used.
        Unstable
            If the step size is past the stability limit at Phi of a start that is given, or of a Gaussian's
            mean; `.threshold` is that limit.

        Warns
        -----
        StabilityWarning
            If paths pass the stability limit later, where the recurrence cannot follow, or start past it by a
            Gaussian's draw: with path, time and place; or, as in `solve`, of a minibatch.
        LeftTheSet, OverflowedPaths
            If a path leaves the set, explodes or meets a change of rank: with path, time and place. Its
            coordinates are inf from there on.
        LargeNoise, NeglectedDrift
            As in `solve`.
        """
        steps, paths = whole_number("steps", steps, 0), whole_number("paths", paths, 1)
        step = largest_step(float(self.clock), dt, substeps)
        allowed = NOISE_SOLVERS if self.noise_dimension else TABLEAUS
        solver = ("normal" if self.noise_dimension else "rk4") if solver is None else solver
        one_of(
            f"solver of a {'stochastic' if self.noise_dimension else 'deterministic'} limit", solver, allowed
        )
        record = recorded_steps(record, steps)
        first_path = whole_number("first_path", first_path, 0)
        initial = initial_of_paths(w0, self.dimension, paths, first_path)
        typical = initial.mean if isinstance(initial, Gaussian) else initial.reshape(-1, self.dimension)[0]
        rank = geometry.frame(self.model, self._start(typical)).rank
        grid = integrator_grid(record, steps, float(self.clock), step)
        given = not isinstance(initial, Gaussian) and np.ndim(initial) == 2
        stepper = Stepper(self._fields, solver, rank)
        limit = LimitSteps(stepper, grid, float(self.clock), self.noise_dimension, given)
        simulator = limit.simulator()
        ensemble = run(
            simulator, initial, paths=paths, steps=steps, record=record, observables=observables, seed=seed,
            quality=quality, threads=threads, chunk=chunk, progress=progress, first_path=first_path,
            until=until, local_noise=limit.local_noise(simulator),
        )  # fmt: skip
        limit.warn_of_paths(range(ensemble.first_path, ensemble.first_path + ensemble.paths), stacklevel=2)
        attributes = self._attributes() | {"solver": solver, "dt": step}
        return ensemble_dataset(ensemble, attributes, self.clock.time(record), self)

    def _points(self, w: Any) -> np.ndarray:
        return points("w", w, self.dimension)

    def _start(self, w0: np.ndarray) -> np.ndarray:
        """Phi(w0) (m,), where the recurrence must be stable; warns if what the limit neglects there is not small."""
        start = geometry.limit_map(self.model, w0)
        hold_stable(self.model, self.noise, start, self.step_size)
        warn_of_large_noise(self._fields, stacklevel=3)
        if not self.correction:
            warn_of_neglected_drift(self._fields, start, stacklevel=3)
        return start

    def _attributes(self) -> dict[str, Any]:
        return {
            "process": self.label, "regime": self.regime, "explanation": self.explanation,
            "model": self.model.label, "noise": repr(self.noise), "step_size": self.step_size,
            "clock": float(self.clock), "correction": int(self.correction), "finite_step": int(self.finite_step),
        }  # fmt: skip
