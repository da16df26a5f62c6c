"""Noise that multiplies: weights (DropConnect) or hidden units (Dropout), Gaussian or Bernoulli.

With keep probability p the Bernoulli multiplier is b / p, and sigma^2 = (1 - p) / p is its variance. As sigma
goes to 0 its jumps become rare, not small: what it does on the set comes from single zeroed weights or units, and
is not local (derived).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.exact.errors import one_of, points
from sgdlimits.exact.numerical_derivatives import NESTED, along_coordinates, slope_along

from ..zero_loss.model import Model, Regression
from .mechanism import FACTORED, LAWS, Draw, SimpleMechanism, batch_covariance, check_sigma, keep_probability

SHARINGS = ("shared", "per_sample")


def _mask(mechanism: Any, slot: str, shape: tuple[int, ...]) -> Draw:
    if mechanism.law == "gaussian":
        return Draw(slot, "normal", shape, sigma=mechanism.sigma)
    return Draw(slot, "bernoulli", shape, sigma=mechanism.sigma, keep=keep_probability(mechanism.sigma))


def _zeroed(w: np.ndarray) -> np.ndarray:
    """Copies of w with one weight set to zero, (..., m, m)."""
    return w[..., None, :] * (1 - np.eye(w.shape[-1]))


@dataclass(frozen=True, eq=False)
class DropConnect(SimpleMechanism):
    """L(w * (1 + eta)): every weight has a random multiplier.

    Parameters
    ----------
    sigma : float
        Standard deviation of a multiplier; a Bernoulli one is kept with probability 1 / (1 + sigma^2).
    law : {"gaussian", "bernoulli"}
    """

    sigma: float
    law: str = "gaussian"
    layer = FACTORED
    effect = "the regulariser of DropConnect"

    def __post_init__(self) -> None:
        check_sigma(self)
        one_of("law", self.law, LAWS)

    @property
    def tangential(self) -> bool:
        """A zeroed weight pulls in directions along the set."""
        return self.law == "bernoulli"

    def misfit(self, model: Model) -> str | None:
        """It fits every model."""
        return None

    def own_draws(self, model: Model, entries: int) -> tuple[Draw, ...]:
        """Multipliers (m,)."""
        return (_mask(self, "factor", (model.dimension,)),)

    def regulariser(self, model, w):
        """Gaussian: sum_j w_j^2 H_jj / 2; Bernoulli: sum_j [L(w, w_j = 0) - L(w)] + w . grad L."""
        w = points("w", w, model.dimension, finite=False)
        if self.law == "gaussian":
            return 0.5 * (w**2 * np.diagonal(model.hessian(w), axis1=-2, axis2=-1)).sum(-1)
        lost = model.loss(_zeroed(w)).sum(-1) - model.dimension * model.loss(w)
        return lost + (w * model.gradient(w)).sum(-1)

    def regulariser_gradient(self, model, w):
        """Gradient of the regulariser."""
        w = points("w", w, model.dimension, finite=False)
        hessian = model.hessian(w)
        if self.law == "gaussian":
            squares = w[..., None] ** 2 * np.eye(model.dimension)
            return w * np.diagonal(hessian, axis1=-2, axis2=-1) + 0.5 * model.third_contraction(w, squares)
        zeroed = (model.gradient(_zeroed(w)) * (1 - np.eye(model.dimension))).sum(-2)
        return zeroed + (1 - model.dimension) * model.gradient(w) + (hessian @ w[..., None])[..., 0]

    def covariance(self, model, w, batch=None):
        """Gaussian: H w w' H entry by entry; Bernoulli: sum of g_j g_j', g_j the gradient with weight j zeroed."""
        w = points("w", w, model.dimension, finite=False)
        if batch is None:
            columns = self.noise_matrix(model, w)
            return columns @ columns.swapaxes(-1, -2)
        if self.law == "gaussian":
            jacobian = model.predict_with_jacobian(w)[1]
            factors = (jacobian * w[..., None, :])[..., None] * jacobian[..., None, :]
        else:
            predictions, jacobian = model.predict_with_jacobian(_zeroed(w))  # (..., m, N) and (..., m, N, m)
            pulls = (predictions - model.labels)[..., None] * jacobian * (1 - np.eye(model.dimension))[:, None, :]
            factors = pulls.swapaxes(-2, -3)
        return batch_covariance(model, factors, batch, own_noise=False)

    def noise_matrix(self, model, w):
        """Gaussian: H diag(w) (..., m, m); Bernoulli: columns g_j."""
        w = points("w", w, model.dimension, finite=False)
        if self.law == "gaussian":
            return model.hessian(w) * w[..., None, :]
        return (model.gradient(_zeroed(w)) * (1 - np.eye(model.dimension))).swapaxes(-1, -2)

    def fourth_gradient(self, model, w):
        """Gaussian: gradient of sum_ij w_i^2 w_j^2 d_iijj L / 8; Bernoulli: of what single and double zeros leave."""
        w = points("w", w, model.dimension, finite=False)
        if self.law == "gaussian":
            squares = w[..., None] ** 2 * np.eye(model.dimension)
            bent = along_coordinates(lambda place: model.third_contraction(place, squares[..., None, :, :]), w, w)
            diagonal = along_coordinates(lambda place: np.diagonal(model.hessian(place), axis1=-2, axis2=-1), w, w)
            return bent / 8 + w * diagonal / 2
        m, keep, zeroed = model.dimension, 1 - np.eye(model.dimension), _zeroed(w)
        pull = (model.hessian(w) @ w[..., None])[..., 0]
        outer = w[..., :, None] * w[..., None, :]
        whole = m * (m - 1) / 2 * model.gradient(w) + (1 - m) * pull + model.third_contraction(w, outer) / 2
        single = (1 - m) * model.gradient(zeroed) + slope_along(model.gradient, zeroed, zeroed)
        first, second = np.triu_indices(m, 1)
        pairs = keep[first] * keep[second]
        double = (pairs * model.gradient(w[..., None, :] * pairs)).sum(-2)
        return whole + (keep * single).sum(-2) + double

    def averaged(self, field, w):
        """Gaussian: sum_j w_j^2 d_jj / 2; Bernoulli: what single zeros leave."""
        w = np.asarray(w, dtype=np.float64)
        if self.law == "gaussian":
            slopes = slope_along(field, w[..., None, :], w[..., None] * np.eye(w.shape[-1]), NESTED)
            return along_coordinates(field, w, w) / 2 + np.diagonal(slopes, axis1=-2, axis2=-1)
        keep, m = 1 - np.eye(w.shape[-1]), w.shape[-1]
        return (keep * field(_zeroed(w))).sum(-2) + (1 - m) * field(w) + slope_along(field, w, w, NESTED)


@dataclass(frozen=True, eq=False)
class Dropout(SimpleMechanism):
    """f_i = sum_j (1 + eta_j) h_ij: every hidden unit has a random multiplier.

    Parameters
    ----------
    sigma : float
        Standard deviation of a multiplier; a Bernoulli one is kept with probability 1 / (1 + sigma^2).
    law : {"gaussian", "bernoulli"}
    sharing : {"shared", "per_sample"}
        One mask a step, or one for each sample in it.
    """

    sigma: float
    law: str = "gaussian"
    sharing: str = "shared"
    effect = "the regulariser (weight/2) sum_ij h_ij^2 of Dropout"

    def __post_init__(self) -> None:
        check_sigma(self)
        one_of("law", self.law, LAWS)
        one_of("sharing", self.sharing, SHARINGS)

    @property
    def tangential(self) -> bool:
        """A dropped unit pulls in directions along the set."""
        return self.law == "bernoulli"

    def misfit(self, model: Model) -> str | None:
        """It needs hidden units."""
        if isinstance(model, Regression) and model.units:
            return None
        return "it has no hidden units to drop; DropConnect acts on the weights of any model"

    def own_draws(self, model: Model, entries: int) -> tuple[Draw, ...]:
        """Multipliers (1 or S, h)."""
        return (_mask(self, "units", (1 if self.sharing == "shared" else entries, model.units)),)

    def regulariser(self, model, w):
        """(weight/2) sum_ij h_ij^2, exact for any law and anywhere."""
        return model.weight / 2 * (model.unit_outputs(points("w", w, model.dimension, finite=False)) ** 2).sum((-1, -2))

    def regulariser_gradient(self, model, w):
        """weight sum_ij h_ij grad h_ij: the Jacobian with multipliers h_ij."""
        w = points("w", w, model.dimension, finite=False)
        return model.weight * model.predict_with_jacobian(w, units=model.unit_outputs(w))[1].sum(-2)

    def _factors(self, model, w):
        """What the noise of unit j adds to the gradient of sample i, (..., N, h, m)."""
        w = points("w", w, model.dimension, finite=False)
        if self.law == "gaussian":
            return model.unit_outputs(w)[..., None] * model.predict_with_jacobian(w)[1][..., None, :]
        dropped = (1 - np.eye(model.units))[:, None, :]
        predictions, jacobian = model.predict_with_jacobian(w[..., None, :], units=dropped)
        return ((predictions - model.labels)[..., None] * jacobian).swapaxes(-2, -3)

    def covariance(self, model, w, batch=None):
        """Gaussian: noise in h_ij grad f_i; Bernoulli: sum of the squares of gradients with one unit dropped."""
        return batch_covariance(model, self._factors(model, w), batch, own_noise=self.sharing == "per_sample")

    def noise_matrix(self, model, w):
        """A column for each mask entry, (..., m, h) or (..., m, N h)."""
        factors = model.weight * self._factors(model, w)
        if self.sharing == "shared":
            return factors.sum(-3).swapaxes(-1, -2)
        return factors.reshape(*factors.shape[:-3], -1, model.dimension).swapaxes(-1, -2)

    def fourth_gradient(self, model, w):
        """Zero: the loss is quadratic in the multipliers."""
        return np.zeros(np.shape(w))
