"""Noise that adds: to the weights, to the gradient, or inside a user's own loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sgdlimits.exact.errors import covariance_matrix, finite_array, points
from sgdlimits.exact.numerical_derivatives import NESTED, laplacian

from .. import geometry
from ..covariances import Covariance
from ..zero_loss.model import Model
from .mechanism import CARRIED, SHIFTED, Draw, Regime, SimpleMechanism, check_sigma
from .multiplied import hessian_covariance


class HessianNoise(SimpleMechanism):
    """Noise xi of the weights, whose first effect on the gradient is the Hessian times xi."""

    layer = SHIFTED
    effect = "the regulariser, half the trace of the Hessian,"

    def __post_init__(self) -> None:
        check_sigma(self)

    def misfit(self, model: Model) -> str | None:
        """It fits every model."""
        return None

    def regulariser(self, model, w):
        """Half the trace of the Hessian."""
        return geometry.trace_hessian(model, w) / 2

    def regulariser_gradient(self, model, w):
        """Half the gradient of the trace."""
        identity = np.broadcast_to(np.eye(model.dimension), (*np.shape(w), model.dimension))
        return model.third_contraction(w, identity) / 2

    def regulariser_on_set(self, model, w, frame):
        """Half the sum of the eigenvalues."""
        return frame.eigenvalues.sum(-1) / 2

    def regulariser_slope(self, model, w, frame):
        """Half the trace's gradient, from the normal directions."""
        return geometry.push(model, w, frame, np.eye(frame.rank)) / 2

    def factored_covariance(self, model, w, batch=None):
        """H squared; with a batch, its mean over batches (of z = w - xi where xi is carried)."""
        return hessian_covariance(model, w, np.ones(model.dimension), batch)

    def noise_matrix(self, model, w):
        """The Hessian."""
        return model.hessian(w)

    def fourth_gradient(self, model, w):
        """Gradient of an eighth of the Laplacian's square; one Laplacian by differences."""
        return self.averaged(lambda place: self.regulariser_gradient(model, place), w) / 2

    def averaged(self, field, w):
        """Half the Laplacian."""
        return laplacian(field, np.asarray(w, dtype=np.float64), NESTED) / 2


@dataclass(frozen=True, eq=False)
class WeightNoise(HessianNoise):
    """The gradient is taken at w + sigma * xi.

    Parameters
    ----------
    sigma : float
        Standard deviation of the noise of a weight.
    """

    sigma: float

    def own_draws(self, model: Model, entries: int) -> tuple[Draw, ...]:
        """Normals (m,)."""
        return (Draw("shift", "normal", (model.dimension,), sigma=self.sigma),)


@dataclass(frozen=True, eq=False)
class AntiCorrelated(HessianNoise):
    """w_{k+1} = w_k - step_size * grad L(w_k) + xi_{k+1} - xi_k, xi = sigma * N(0, 1) and xi_0 = 0.

    In z = w - xi this is weight noise (derived). Other mechanisms of a mixture act at w = z + xi: with DropConnect the
    gradient is that of L(F w) in w, F its multipliers.

    Parameters
    ----------
    sigma : float
        Standard deviation of xi in a weight.
    """

    sigma: float
    layer = CARRIED
    carries = True

    def own_draws(self, model: Model, entries: int) -> tuple[Draw, ...]:
        """Normals (m,), carried to the next step."""
        return (Draw("shift", "normal", (model.dimension,), sigma=self.sigma, carried=True),)


@dataclass(frozen=True, eq=False)
class Langevin(SimpleMechanism):
    """The gradient plus sigma * xi, that is the loss L(w) + <eta, w>: it diffuses along the set.

    Parameters
    ----------
    sigma : float
        Standard deviation of what is added to a gradient's entry.
    noise_covariance : (m, m) array, optional
        Covariance of eta over sigma^2; the identity without it.
    """

    sigma: float
    noise_covariance: np.ndarray | None = None
    tangential = True
    reg_is_constant = True
    decided = Regime(
        "degenerate",
        "noise added to the gradient has mean zero at every point, and diffuses along the set at rate "
        "step_size^2 sigma^2",
        "theory",
    )

    def __post_init__(self) -> None:
        check_sigma(self)
        if self.noise_covariance is not None:
            array = finite_array("noise_covariance", self.noise_covariance, ndim=2)
            array = covariance_matrix("noise_covariance", array, len(array))
            array.flags.writeable = False
            object.__setattr__(self, "noise_covariance", array)

    def misfit(self, model: Model) -> str | None:
        """Its covariance must have the model's dimension."""
        if self.noise_covariance is None or len(self.noise_covariance) == model.dimension:
            return None
        return f"noise_covariance is {self.noise_covariance.shape}, but there are {model.dimension} weights"

    def _root(self) -> np.ndarray | None:
        if self.noise_covariance is None:
            return None
        values, vectors = np.linalg.eigh(self.noise_covariance)
        return vectors * np.sqrt(np.maximum(values, 0))

    def own_draws(self, model: Model, entries: int) -> tuple[Draw, ...]:
        """Normals (m,)."""
        return (Draw("push", "normal", (model.dimension,), sigma=self.sigma, transform=self._root()),)

    def regulariser(self, model, w):
        """Zero."""
        return np.zeros(np.shape(w)[:-1])

    def regulariser_gradient(self, model, w):
        """Zero."""
        return np.zeros(np.shape(w))

    def regulariser_on_set(self, model, w, frame):
        """The same."""
        return self.regulariser(model, w)

    def regulariser_slope(self, model, w, frame):
        """Zero."""
        return np.zeros(np.shape(w))

    def factored_covariance(self, model, w, batch=None):
        """The identity, or the covariance given."""
        root = self._root()
        if root is None:
            return Covariance.multiple_of_identity(1.0, w)
        return Covariance(np.broadcast_to(root.T, (*np.shape(w), model.dimension)))

    def noise_matrix(self, model, w):
        """A root of the covariance."""
        root = np.eye(model.dimension) if self.noise_covariance is None else self._root()
        return np.broadcast_to(root, (*np.shape(w), model.dimension))

    def fourth_gradient(self, model, w):
        """Zero: the loss is linear in the noise."""
        return np.zeros(np.shape(w))


@dataclass(frozen=True, eq=False)
class LossNoise(SimpleMechanism):
    """The noise eta = sigma * N(0, 1) that a user's loss L_hat(w, eta) carries in itself.

    Parameters
    ----------
    sigma : float
        Standard deviation of each variable.
    """

    sigma: float
    tangential = True
    effect = "the regulariser, half the Laplacian of the loss in its noise,"

    def __post_init__(self) -> None:
        check_sigma(self)

    def misfit(self, model: Model) -> str | None:
        """It needs a loss of (w, eta)."""
        if model.noise_size:
            return None
        return "its loss has no noise variables; give a loss L_hat(w, eta) with noise_size above zero"

    def own_draws(self, model: Model, entries: int) -> tuple[Draw, ...]:
        """Normals (q,)."""
        return (Draw("eta", "normal", (model.noise_size,), sigma=self.sigma),)

    def regulariser(self, model, w):
        """Half the Laplacian in eta."""
        return model.own_regulariser(points("w", w, model.dimension, finite=False))

    def regulariser_gradient(self, model, w):
        """Its gradient."""
        return model.own_regulariser_gradient(points("w", w, model.dimension, finite=False))

    def regulariser_on_set(self, model, w, frame):
        """The same."""
        return self.regulariser(model, w)

    def regulariser_slope(self, model, w, frame):
        """The gradient."""
        return self.regulariser_gradient(model, w)

    def factored_covariance(self, model, w, batch=None):
        """G G'."""
        return Covariance(self.noise_matrix(model, w).swapaxes(-1, -2))

    def noise_matrix(self, model, w):
        """Derivative of the gradient in eta, (..., m, q)."""
        return model.noise_matrix(points("w", w, model.dimension, finite=False))

    def fourth_gradient(self, model, w):
        """Gradient of an eighth of the Laplacian's square in eta."""
        return model.own_fourth_gradient(points("w", w, model.dimension, finite=False))

