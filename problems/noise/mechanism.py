"""What a noise mechanism says: what a step draws, and what that does to the slow motion on the set of zero loss."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from math import nan, prod
from typing import TYPE_CHECKING, ClassVar, NamedTuple, TypeGuard

import numpy as np

from sgdlimits.ensembles.random import Purpose
from sgdlimits.exact.errors import InvalidInput, non_negative, one_of, points, positive

from .. import geometry
from ..covariances import Covariance
from ..frames import Frame, length
from ..problem import ReadOnlyFields
from ..zero_loss.model import Model, Regression

if TYPE_CHECKING:
    from .sampling import Minibatch

SLOTS = ("rows", "labels", "units", "inputs", "eta", "factor", "shift", "push")
MULTIPLIED = ("units", "factor")
INSIDE, SHIFTED, FACTORED, CARRIED = range(4)  # layers of a step's noise, the innermost first
LAWS = ("gaussian", "bernoulli")
ROUNDING = 1e-7  # a tangential part this small, relative to the whole, is the error of differences and of the set
NO_NOISE = 1e-10  # gradient noise this small, relative to curvature times |w|, is the error of differences
_PURPOSES = {
    "rows": Purpose.ROWS, "labels": Purpose.LABEL_NOISE, "units": Purpose.MASK, "factor": Purpose.MASK,
    "inputs": Purpose.FEATURES, "eta": Purpose.BROWNIAN, "shift": Purpose.BROWNIAN, "push": Purpose.BROWNIAN,
}


@dataclass(frozen=True, eq=False)
class Draw:
    """Random numbers of one step, and the slot of the step that they fill.

    Attributes
    ----------
    slot : str
        "rows" (of the minibatch), "labels" (added to the labels), "units" (multipliers of hidden units), "inputs"
        (added to the inputs), "eta" (of a user's L_hat), "factor" and "shift" (multiplies and moves the weights at
        which the gradient is taken), "push" (added to the gradient).
    law : {"normal", "bernoulli", "with_replacement", "without_replacement"}
        normal: sigma * xi; bernoulli: (u < keep) / keep - 1. Slots that multiply hold 1 + value.
    shape : tuple of int
        Per path.
    sigma, keep : float
    samples : int
        Number of samples that "rows" are drawn from.
    transform : (m, m) array or None
        Turns a value v into transform @ v.
    carried : bool
        The numbers of step k act in step k + 1 and move the position until then (anti-correlated noise).
    purpose : int
        Of the random stream.
    """

    slot: str
    law: str
    shape: tuple[int, ...]
    sigma: float = nan
    keep: float = nan
    samples: int = 0
    transform: np.ndarray | None = None
    carried: bool = False
    purpose: int = -1

    @property
    def size(self) -> int:
        """Numbers drawn in a step of one path."""
        return prod(self.shape)


class Regime(NamedTuple):
    """Time scale of the slow motion: "non-degenerate", "degenerate" or "trivial", why, and how that was decided."""

    name: str
    sentence: str
    decided_by: str


class Mechanism(ReadOnlyFields):
    """A noise mechanism or a mixture of them; mechanisms add up with +."""

    @property
    @abstractmethod
    def components(self) -> tuple[SimpleMechanism, ...]:
        """The mechanisms that a mixture is made of; of a simple one, itself."""

    def __add__(self, other: Mechanism) -> Mixture:
        if not isinstance(other, Mechanism):
            return NotImplemented
        return Mixture((*self.components, *other.components))

    @property
    def batch(self) -> Minibatch | None:
        """The minibatch, where there is one."""
        return next((part for part in self.components if _is_minibatch(part)), None)

    @property
    def anti_correlated(self) -> bool:
        """Whether the position carries the perturbation of the last step."""
        return any(part.carries for part in self.components)

    def check(self, model: Model) -> None:
        """Hold that the mechanism fits the model.

        Raises
        ------
        InvalidInput
            With what does not fit.
        """
        if not isinstance(model, Model):
            raise InvalidInput(f"the model must be one of sgdlimits.problems.zero_loss, got {type(model).__name__}")
        for part in self.components:
            misfit = part.misfit(model)
            if misfit:
                raise InvalidInput(f"{type(part).__name__} does not fit the model {model.label!r}: {misfit}")
        if sum(part.batch_size is not None for part in self.components) > 1:
            raise InvalidInput("a mixture can hold one Minibatch at most; add up the other mechanisms only")

    def draws(self, model: Model) -> tuple[Draw, ...]:
        """What one step draws, rows first; no two draws share a random stream."""
        self.check(model)
        batch = self.batch
        entries = model.samples if batch is None else batch.batch_size
        found = [draw for part in self.components for draw in part.own_draws(model, entries)]
        found.sort(key=lambda draw: draw.slot != "rows")
        taken: set[int] = set()
        out = []
        for number, draw in enumerate(found):
            purpose = int(_PURPOSES[draw.slot])
            purpose = int(Purpose.USER) + number if purpose in taken else purpose
            taken.add(purpose)
            out.append(replace(draw, purpose=purpose))
        return tuple(out)


class SimpleMechanism(Mechanism):
    """One source of noise; what it does to the limit is given per unit of sigma^2.

    Attributes
    ----------
    sigma : float
        Standard deviation of a noise variable; nan for a minibatch.
    layer : int
        INSIDE the loss, or how near to it the weights are changed.
    tangential : bool
        Whether the gradient noise may have a part along the set.
    reg_is_constant : bool
        Whether the regulariser is constant near the set and the perturbed loss at most quadratic in the noise; the
        degenerate limit then needs no sigma^2 = o(step size).
    """

    sigma: float
    batch_size: int | None = None
    layer: ClassVar[int] = INSIDE
    reg_is_constant: ClassVar[bool] = False
    carries: ClassVar[bool] = False
    decided: ClassVar[Regime | None] = None
    effect: ClassVar[str] = ""

    if TYPE_CHECKING:  # read only: a leaf has a class attribute or a property

        @property
        def tangential(self) -> bool: ...

    else:
        tangential = False

    @property
    def components(self) -> tuple[SimpleMechanism, ...]:
        """Itself."""
        return (self,)

    @abstractmethod
    def misfit(self, model: Model) -> str | None:
        """Why the mechanism does not fit the model; None where it does."""

    @abstractmethod
    def own_draws(self, model: Model, entries: int) -> tuple[Draw, ...]:
        """What one step draws, for `entries` samples in it."""

    @abstractmethod
    def regulariser(self, model: Model, w: np.ndarray) -> np.ndarray:
        """Limit of (E L_hat(w) - L(w)) / sigma^2, (...), for w (..., m) on the set."""

    @abstractmethod
    def regulariser_gradient(self, model: Model, w: np.ndarray) -> np.ndarray:
        """Its gradient (..., m)."""

    @abstractmethod
    def regulariser_on_set(self, model: Model, w: np.ndarray, frame: Frame) -> np.ndarray:
        """The regulariser (...) at points of the set, of known frame."""

    @abstractmethod
    def regulariser_slope(self, model: Model, w: np.ndarray, frame: Frame) -> np.ndarray:
        """The regulariser's gradient (..., m) at points of the set, of known frame, up to a vector normal to it."""

    @abstractmethod
    def factored_covariance(self, model: Model, w: np.ndarray, batch: Minibatch | None = None) -> Covariance:
        """Limit of the covariance of the perturbed gradient over sigma^2, for w (..., m) on the set.

        Where the noise has a part along the set, its core without a batch is the identity.
        """

    def covariance(self, model: Model, w: np.ndarray, batch: Minibatch | None = None) -> np.ndarray:
        """The same as a matrix (..., m, m)."""
        return self.factored_covariance(model, w, batch).dense()

    @abstractmethod
    def noise_matrix(self, model: Model, w: np.ndarray) -> np.ndarray:
        """G (..., m, q) with G G' the covariance of the full batch, for w on the set."""

    @abstractmethod
    def fourth_gradient(self, model: Model, w: np.ndarray) -> np.ndarray:
        """Gradient (..., m) of the sigma^4 coefficient of E L_hat, anywhere."""

    def mean_gradient(self, model: Model, w: np.ndarray) -> np.ndarray:
        """Gradient (..., m) of the sigma^2 coefficient of E L_hat, anywhere; the regulariser's is one on the set."""
        return self.regulariser_gradient(model, w)

    def averaged(self, field: Callable[[np.ndarray], np.ndarray], w: np.ndarray) -> np.ndarray:
        """Gradient (..., m) of the sigma^2 coefficient of a mean over changed weights; `field`: gradient of what."""
        raise NotImplementedError(f"{type(self).__name__} changes no weights")

    def regime(self, model: Model, w: np.ndarray) -> Regime:
        """Time scale of the slow motion, at a point w (m,) of the set.

        Where theory does not decide it, the regulariser's gradient along the set does, and then the drift and
        the noise that are left (derived).
        """
        self.check(model)
        if self.decided is not None:
            return self.decided
        w = points("w", w, model.dimension, finite=False)
        frame = geometry.frame(model, w)
        slope = self.regulariser_slope(model, w, frame)
        along = np.linalg.norm(frame.tangent_part(slope))
        across = float(length(w))
        size = np.linalg.norm(slope) + abs(self.regulariser_on_set(model, w, frame)) / across
        if along > ROUNDING * size:
            sentence = f"{self.effect} changes along the set and drives it at rate step_size sigma^2"
            return Regime("non-degenerate", sentence, "numbers" if model.noise_size else "theory")
        covariance = self.factored_covariance(model, w)
        scale, moves = float(covariance.largest()), False
        if scale > (NO_NOISE * frame.eigenvalues.max() * across) ** 2:
            parts = geometry.tangent_parts(model, w, covariance, frame)
            drift = float(np.linalg.norm(parts[0] + parts[1])) * across
            moves = max(float(geometry.tangential_variance(covariance, frame)), drift) > ROUNDING * scale
        if moves:
            sentence = f"{self.effect} is constant along the set, so that only the gradient noise moves it"
            return Regime("degenerate", f"{sentence}, at rate step_size^2 sigma^2", "numbers")
        sentence = (
            f"{self.effect} is constant along the set, and the noise moves nothing at either rate that is looked at, "
            "step_size sigma^2 and step_size^2 sigma^2; a slower motion, as at step_size^2 sigma^4, is not"
        )
        return Regime("trivial", sentence, "numbers")


def _is_minibatch(part: SimpleMechanism) -> TypeGuard[Minibatch]:
    """No other mechanism has a batch size."""
    return part.batch_size is not None


@dataclass(frozen=True, eq=False)
class Mixture(Mechanism):
    """Several mechanisms at work in every step, with independent noise.

    Parameters
    ----------
    parts : tuple of Mechanism
    """

    parts: tuple[Mechanism, ...]

    def __post_init__(self) -> None:
        parts = tuple(self.parts) if isinstance(self.parts, Iterable) else ()
        if not parts or not all(isinstance(part, Mechanism) for part in parts):
            raise InvalidInput("a Mixture needs at least one noise mechanism of sgdlimits.problems.noise")
        object.__setattr__(self, "parts", tuple(simple for part in parts for simple in part.components))

    @property
    def components(self) -> tuple[SimpleMechanism, ...]:
        """Its parts."""
        return tuple(simple for part in self.parts for simple in part.components)


def steps_per_time(regime: str, step_size: float, sigma: float = 1.0) -> float:
    """Steps in a unit of the limit's time: 1/(step_size sigma^2) non-degenerate, else 1/(step_size^2 sigma^2)."""
    one_of("regime", regime, ("non-degenerate", "degenerate", "trivial"))
    step_size, sigma = positive("step_size", step_size), positive("sigma", sigma)
    return 1 / (step_size ** (1 if regime == "non-degenerate" else 2) * sigma**2)


def check_sigma(mechanism: SimpleMechanism) -> None:
    """Store sigma as a float of at least zero."""
    object.__setattr__(mechanism, "sigma", non_negative("sigma", mechanism.sigma))


def keep_probability(sigma: float) -> float:
    """Probability p with (1 - p) / p = sigma^2."""
    return 1 / (1 + sigma**2)


def batch_covariance(
    model: Regression, jacobian: np.ndarray, factors: np.ndarray, batch: Minibatch | None, own_noise: bool
) -> Covariance:
    """Covariance of weight * sum_i a_i (sum_j eta_j factors_ij) J_i over noise and batch (derived).

    Parameters
    ----------
    jacobian : (..., N, m) array, J
    factors : (..., N, q) array
        Times J_i: what noise variable j adds to the gradient of sample i.
    batch : Minibatch or None
        a_i is N / B times how often sample i was drawn; 1 without a batch.
    own_noise : bool
        Each drawn sample has noise variables of its own, rather than one set for all.
    """
    pair, extra = batch_moments(model, batch, own_noise)
    together = factors @ factors.swapaxes(-1, -2)
    each = np.einsum("...ij,...ij->...i", factors, factors)[..., None] * np.eye(model.samples)
    return Covariance(jacobian, model.weight**2 * (pair * together + extra * each))


def batch_moments(model: Regression, batch: Minibatch | None, own_noise: bool) -> tuple[float, float]:
    """What a_i a_l counts for i != l, and what a_i^2 counts beyond that; see `batch_covariance`."""
    if own_noise:
        return 0.0, 1.0 if batch is None else model.samples / batch.batch_size
    return (1.0, 0.0) if batch is None else batch.second_moments(model.samples)
