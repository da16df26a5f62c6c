"""Gradient descent with noise injected at every step, near a set of zero loss: the exact recurrence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from sgdlimits.ensembles.engine import Simulator, run
from sgdlimits.ensembles.normals import scratch
from sgdlimits.ensembles.observables import BUILT_IN
from sgdlimits.ensembles.progress import Progress
from sgdlimits.ensembles.random import Noise
from sgdlimits.ensembles.recurrences import RecurrenceSimulator
from sgdlimits.ensembles.results import ensemble_dataset
from sgdlimits.ensembles.simulators import ArraySimulator, PathArrays
from sgdlimits.ensembles.until import Until
from sgdlimits.exact.claims import Claim
from sgdlimits.exact.clock import Clock
from sgdlimits.exact.errors import InvalidInput, one_of, points
from sgdlimits.exact.schedules import StepSizes, sizes_between, step_size_or_schedule
from sgdlimits.problems import geometry
from sgdlimits.problems.noise import Mechanism, noisy_gradient, perturbation
from sgdlimits.problems.zero_loss import Model, QuadraticDifference

from . import network_kernels, pair_kernels
from .noisy_kernels import KERNEL_SLOTS, OWN_SLOTS, Plan, noisy_descent
from .rules.curved import CurvedRule
from .rules.momentum import HeavyBall, Nesterov, Plain
from .rules.registry import compiled_rule, find_rule
from .rules.rule import Rule

if TYPE_CHECKING:
    import xarray


class State(NamedTuple):
    """Points (P, m) that the rule moves, and what goes from one step to the next.

    `carried` is the perturbation (P, m) of the position, or None: only an anti-correlated one is carried. The
    position, at which the gradient is taken, is the sum of both. `slots` (P, slots, m) are what the rule keeps.
    """

    point: np.ndarray
    carried: np.ndarray | None
    slots: np.ndarray


@dataclass(frozen=True, eq=False)
class NoisyGradientDescent:
    """w_{k+1} = w_k - step_size * (gradient of L_hat at w_k with the noise of step k), or another rule's step.

    Parameters
    ----------
    model : zero_loss.Model
    noise : noise.Mechanism
        One mechanism, or several added up.
    step_size : float, or function of the step
    rule : str or object of `discrete.rules`, optional
        What is done with the gradient; default: plain descent, the one whose limits are known.

    Raises
    ------
    InvalidInput
        If an argument cannot be used, or the noise does not fit the model.
    """

    model: Model
    noise: Mechanism
    step_size: Any
    rule: Any = None

    claims: ClassVar[tuple[Claim, ...]] = (
        Claim(
            "the position's limit under the gradient flow moves slowly along the set of zero loss: in 1/(step_size "
            "sigma^2) steps where the noise's regulariser changes along the set, else in 1/(step_size^2 sigma^2)",
            ("Hessian of constant rank on the set", "step size and noise small"),
            "derived",
        ),
    )

    def __post_init__(self) -> None:
        if not isinstance(self.model, Model):
            raise InvalidInput(
                f"model must be one of sgdlimits.problems.zero_loss, got {type(self.model).__name__}; wrap a loss of "
                "your own in UserLoss, predictions in PredictorRegression"
            )
        if not isinstance(self.noise, Mechanism):
            raise InvalidInput(
                f"noise must be one of sgdlimits.problems.noise, got {type(self.noise).__name__}; LabelNoise(0.1) for "
                "example"
            )
        self.noise.check(self.model)
        object.__setattr__(self, "step_size", step_size_or_schedule(self.step_size))
        if self.rule is not None:
            rule = find_rule(self.rule)
            if isinstance(rule, CurvedRule):
                raise InvalidInput(
                    f"{rule.label} asks for {rule.asks}, which no model with a noise mechanism gives: take another "
                    "rule, or SGD on a problem"
                )
            plain = isinstance(rule, Plain) or (isinstance(rule, HeavyBall | Nesterov) and rule.momentum == 0)
            object.__setattr__(self, "rule", None if plain else rule)

    @property
    def update_rule(self) -> Rule:
        """The rule in use."""
        return Plain() if self.rule is None else self.rule

    def step_sizes(self, first: int, last: int) -> np.ndarray:
        """The one step size, (1,), or those of steps first..last-1."""
        return sizes_between(self.step_size, first, last)

    @property
    def clock(self) -> Clock:
        """One step is one unit of time."""
        return Clock(1.0, "1")

    @property
    def label(self) -> str:
        """Short name."""
        rule = "" if isinstance(self.update_rule, Plain) else f", {self.update_rule.label}"
        return f"noisy gradient descent, {mechanism_name(self.noise)}{rule}"

    def initial_state(self, w0: np.ndarray) -> State:
        """State of P paths at w0 (P, m)."""
        carried = np.zeros(np.shape(w0)) if self.noise.anti_correlated else None
        paths, m = np.shape(w0)
        return State(np.array(w0, dtype=np.float64), carried, np.zeros((paths, self.update_rule.slots, m)))

    def step(self, k: int, state: State, noise: Noise) -> State:
        """State after step k, in NumPy: the definition that the compiled loops must reproduce."""
        draws = self.noise.draws(self.model)
        drawn = perturbation([draw for draw in draws if not draw.carried], noise, k)
        carried = state.carried
        if carried is not None:
            carried = perturbation([draw for draw in draws if draw.carried], noise, k).shift
        step_size = float(self.step_sizes(k, k + 1)[0])
        gradient = noisy_gradient(self.model, self.position(state), drawn)
        point, slots = self.update_rule.move(state.point, state.slots, gradient, step_size, k)
        return State(point, carried, slots)

    def position(self, state: State) -> np.ndarray:
        """Positions (P, m) of a state."""
        return state.point if state.carried is None else state.point + state.carried

    def simulate(
        self,
        w0: Any,
        steps: int,
        paths: int,
        observables: Any = ("loss", "norm"),
        record: int | Sequence[int] | np.ndarray | None = None,
        seed: int = 0,
        quality: str = "float32",
        threads: int | None = None,
        chunk: int | None = None,
        progress: bool | Progress | None = None,
        first_path: int = 0,
        keep_state: bool = False,
        until: Until | Mapping[str, Any] | None = None,
    ) -> xarray.Dataset:
        """Simulate independent paths.

        Parameters
        ----------
        w0 : array (m,) or (paths, m), Gaussian, or tuple (mean, covariance)
        observables : names, or a mapping from names to names, functions of a (paths, m) array or reducers
            Beside "norm", "state" and "risk" (the same as "loss"): "limit_map" (Phi(w), the limit of the gradient flow
            from w), "distance" (|w - Phi(w)|), "regulariser" (of the noise at w, divided by sigma^2; a mixture's parts
            are weighed by their sigma^2), "loss". These are evaluated at the recorded steps only.
        steps, paths, record, seed, quality, threads, chunk, progress, first_path, keep_state, until
            As in `sgdlimits.ensembles.run`.

        Returns
        -------
        xarray.Dataset
            One variable an observable, with dims (path, step[, coordinate]); the same bits for the same seed, whatever
            the threads and (for compiled models) the chunk size.

        Raises
        ------
        InvalidInput
            If an argument cannot be used, or an observable needs Phi where the gradient flow does not reach zero loss.

        Warns
        -----
        OverflowedPaths
            If a path overflowed.
        """
        asked, points = self._observables(observables)
        ensemble = run(
            self.simulator(), w0, paths=paths, steps=steps, record=record, observables=asked, seed=seed,
            quality=quality, threads=threads, chunk=chunk, progress=progress, first_path=first_path,
            keep_state=keep_state, until=until,
        )  # fmt: skip
        scheduled = isinstance(self.step_size, StepSizes)
        time = self.step_size.elapsed(ensemble.record) if scheduled else None
        dataset = ensemble_dataset(ensemble, self._attributes(), time, self)
        for name in points:
            dataset[name] = ("path", "step", "coordinate"), dataset[name].values
        return dataset

    def simulator(self) -> Simulator:
        """What the engine advances: a compiled loop where the model and the rule have one."""
        if self.model.kernel is None or self.update_rule.kernel is None:
            return RecurrenceSimulator(self, self.model.dimension, self.model.loss)
        return _compiled_simulator(self)

    def regulariser(self, w: np.ndarray) -> np.ndarray:
        """Regulariser (...) of the noise at w (..., m), divided by sigma^2; a mixture's parts weighed by sigma^2."""
        w = points("w", w, self.model.dimension, finite=False)
        parts = [part for part in self.noise.components if np.isfinite(part.sigma)]
        weights = np.array([part.sigma**2 for part in parts])
        weights = weights / weights.sum() if weights.sum() else np.ones(len(parts))
        total = np.zeros(w.shape[:-1])
        for weight, part in zip(weights, parts):
            total = total + weight * part.regulariser(self.model, w)
        return total

    def _observables(self, observables: Any) -> tuple[Any, list[str]]:
        """The engine's observables, and the names of those that are points."""
        own: dict[str, Callable[[np.ndarray], np.ndarray]] = {
            "limit_map": lambda w: _where_finite(w, lambda x: geometry.limit_map(self.model, x)),
            "distance": lambda w: _where_finite(w, lambda x: geometry.distance(self.model, x)),
            "regulariser": self.regulariser,
            "loss": self.model.loss,
        }
        if isinstance(observables, str):
            observables = (observables,)
        if isinstance(observables, Sequence) and not isinstance(observables, bytes):
            names = tuple(dict.fromkeys((*own, *BUILT_IN)))
            observables = {one_of("observable", name, names): name for name in observables}
        if not isinstance(observables, Mapping):
            return observables, []  # the engine says what is wrong
        for value in observables.values():
            if isinstance(value, str):
                one_of("observable", value, tuple(dict.fromkeys((*own, *BUILT_IN))))
        asked_points = [name for name, value in observables.items() if isinstance(value, str) and value == "limit_map"]
        chosen = {
            name: own[value] if isinstance(value, str) and value in own else value
            for name, value in observables.items()
        }
        return chosen, asked_points

    def _attributes(self) -> dict[str, Any]:
        return {
            "process": self.label, "model": self.model.label, "noise": repr(self.noise),
            "rule": None if self.rule is None else repr(self.rule),
            "step_size": repr(self.step_size) if isinstance(self.step_size, StepSizes) else self.step_size,
        }  # fmt: skip


def mechanism_name(noise: Mechanism) -> str:
    """A mechanism in words, "label noise + Dropout" for a mixture."""
    return " + ".join(_NAMES.get(type(part).__name__, type(part).__name__) for part in noise.components)


_NAMES = {
    "Minibatch": "minibatch", "LabelNoise": "label noise", "DropConnect": "DropConnect", "Dropout": "Dropout",
    "WeightNoise": "weight noise", "AntiCorrelated": "anti-correlated noise", "InputNoise": "input noise",
    "Langevin": "Langevin noise", "LossNoise": "the loss's own noise",
}  # fmt: skip


def _where_finite(w: np.ndarray, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Values of a function at the rows of w (P, m) that it takes; inf where a path has overflowed, or is about to."""
    finite = (np.abs(w) <= geometry.LARGEST_WEIGHT).all(axis=1)
    if finite.all():
        return function(w)
    if not finite.any():
        return np.full(len(w), np.inf) if function(np.zeros((0, w.shape[1]))).ndim == 1 else np.full(w.shape, np.inf)
    values = function(w[finite])
    out = np.full((len(w), *values.shape[1:]), np.inf)
    out[finite] = values
    return out


def _compiled_simulator(process: NoisyGradientDescent) -> Simulator:
    """Noisy gradient descent on a compiled model."""
    model = process.model
    plan = Plan.of(process.noise.draws(model), model.dimension)

    def kept(x: np.ndarray) -> dict[str, np.ndarray]:
        return {
            "carried": np.zeros(x.shape if plan.carrying else (0, x.shape[1])),
            "slots": np.zeros((len(x), process.update_rule.slots, x.shape[1])),
        }

    def leave(state: PathArrays) -> np.ndarray:
        return state.x + state.kept["carried"] if plan.carrying else state.x.copy()

    def advance(state: PathArrays, first: int, last: int, noise: Noise) -> None:
        paths = state.x, state.kept["carried"], state.overflow
        draws, sizes = (plan.draws, plan.scales, plan.transforms), process.step_sizes(first, last)
        run = np.uint64(noise.seed), state.path, first, last, *scratch(noise.quality)
        if pair_kernels.fits(model, plan) and isinstance(process.update_rule, Plain):
            difference, slots = isinstance(model, QuadraticDifference), pair_kernels.pair_slots(plan, model)
            pair_kernels.pair_descent(difference, *paths, *slots, *draws, sizes, *run)
            return
        if network_kernels.fits(model, plan) and isinstance(process.update_rule, Plain):
            kind, *rest = network_kernels.network_arguments(plan, model)
            network_kernels.network_descent(kind, state.x, state.overflow, *rest, *draws, sizes, *run)
            return
        flat, views = plan.buffers()
        noisy_descent(model.kernel)(
            *paths, state.kept["slots"], *compiled_rule(process.update_rule), model.kernel_data,
            *(views[slot] for slot in ("rows", *KERNEL_SLOTS, *OWN_SLOTS)), flat, *draws,
            np.arange(max(1, model.samples)), plan.replace, sizes, *run,
        )  # fmt: skip

    return ArraySimulator(
        "noisy gradient descent", model.dimension, advance, leave=leave,
        measures={"risk": lambda state: model.loss(leave(state))}, kept=kept,
    )  # fmt: skip
