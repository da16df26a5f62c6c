"""Noise that multiplies: weights (DropConnect) or hidden units (Dropout), Gaussian or Bernoulli.

With keep probability p the Bernoulli multiplier is b / p, and sigma^2 = (1 - p) / p is its variance. As sigma
goes to 0 its jumps become rare, not small: what it does on the set comes from single zeroed weights or units, and
is not local (derived).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.exact.errors import one_of, points
from sgdlimits.exact.numerical_derivatives import NESTED, laplacian, slope_along

from .. import geometry
from ..covariances import Covariance
from ..zero_loss.model import Model, Regression
from ..zero_loss.products import hessian_products
from .mechanism import (
    FACTORED,
    LAWS,
    Draw,
    SimpleMechanism,
    batch_covariance,
    batch_moments,
    check_sigma,
    keep_probability,
)
from .multiplied import hessian_covariance

SHARINGS = ("shared", "per_sample")
BLOCK = 64  # weights or units that are zeroed at once


def _mask(mechanism: Any, slot: str, shape: tuple[int, ...]) -> Draw:
    if mechanism.law == "gaussian":
        return Draw(slot, "normal", shape, sigma=mechanism.sigma)
    return Draw(slot, "bernoulli", shape, sigma=mechanism.sigma, keep=keep_probability(mechanism.sigma))


def _blocks(count: int) -> Iterator[np.ndarray]:
    """Numbers of the weights or units, BLOCK at a time."""
    return (np.arange(start, min(start + BLOCK, count)) for start in range(0, count, BLOCK))


def _keeping(numbers: np.ndarray, count: int) -> np.ndarray:
    """Rows (len(numbers), count) of ones, zero at one number each."""
    found = np.ones((len(numbers), count))
    found[np.arange(len(numbers)), numbers] = 0.0
    return found


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
            return 0.5 * (w**2 * geometry.hessian_diagonal(model, w)).sum(-1)
        kept = (_keeping(numbers, model.dimension) for numbers in _blocks(model.dimension))
        lost = sum(model.loss(w[..., None, :] * keep).sum(-1) for keep in kept) - model.dimension * model.loss(w)
        return lost + (w * model.gradient(w)).sum(-1)

    def regulariser_gradient(self, model, w):
        """Gradient of the regulariser."""
        w = points("w", w, model.dimension, finite=False)
        if self.law == "gaussian":
            squares = w[..., None] ** 2 * np.eye(model.dimension)
            return w * geometry.hessian_diagonal(model, w) + 0.5 * model.third_contraction(w, squares)
        zeroed = sum(rows.sum(-2) for rows in self.noise_blocks(model, w))
        along = hessian_products(model, w, w[..., None, :])[..., 0, :]
        return zeroed + (1 - model.dimension) * model.gradient(w) + along

    def regulariser_on_set(self, model, w, frame):
        """The same, with the Hessian's diagonal from its normal directions."""
        w = points("w", w, model.dimension, finite=False)
        if self.law == "bernoulli":
            return self.regulariser(model, w)
        return 0.5 * (w**2 * frame.hessian_diagonal).sum(-1)

    def regulariser_slope(self, model, w, frame):
        """Gaussian: w diag H + D[w^2 on the diagonal] / 2."""
        w = points("w", w, model.dimension, finite=False)
        if self.law == "bernoulli":
            return self.regulariser_gradient(model, w)
        return w * frame.hessian_diagonal + 0.5 * geometry.diagonal_push(model, w, frame, w**2)

    def noise_blocks(self, model, w):
        """Gradients with one weight zeroed, in blocks (..., k, m)."""
        for numbers in _blocks(model.dimension):
            keep = _keeping(numbers, model.dimension)
            yield model.gradient(w[..., None, :] * keep) * keep

    def factored_covariance(self, model, w, batch=None):
        """Gaussian: H w w' H entry by entry; Bernoulli: sum of g_j g_j', g_j the gradient with weight j zeroed."""
        w = points("w", w, model.dimension, finite=False)
        if self.law == "gaussian":
            return hessian_covariance(model, w, w, batch)
        if batch is None:
            return Covariance(np.concatenate(list(self.noise_blocks(model, w)), axis=-2))
        keep = _keeping(np.arange(model.dimension), model.dimension)
        predictions, jacobian = model.predict_with_jacobian(w[..., None, :] * keep)  # (..., m, N) and (..., m, N, m)
        pulls = (predictions - model.labels)[..., None] * jacobian * keep[:, None, :]
        return _batch_rows(model, pulls.swapaxes(-2, -3), batch, own_noise=False)

    def noise_matrix(self, model, w):
        """Gaussian: H diag(w) (..., m, m); Bernoulli: columns g_j."""
        w = points("w", w, model.dimension, finite=False)
        if self.law == "gaussian":
            return model.hessian(w) * w[..., None, :]
        return np.concatenate(list(self.noise_blocks(model, w)), axis=-2).swapaxes(-1, -2)

    def fourth_gradient(self, model, w):
        """Gaussian: gradient of sum_ij w_i^2 w_j^2 d_iijj L / 8; Bernoulli: of what single and double zeros leave."""
        w = points("w", w, model.dimension, finite=False)
        if self.law == "gaussian":
            squares = w[..., None] ** 2 * np.eye(model.dimension)
            bent = laplacian(lambda place: model.third_contraction(place, squares), w, NESTED, w)
            diagonal = laplacian(lambda place: geometry.hessian_diagonal(model, place), w, NESTED, w)
            return bent / 8 + w * diagonal / 2
        m, keep = model.dimension, _keeping(np.arange(model.dimension), model.dimension)
        own, zeroed = w[..., None, :], w[..., None, :] * keep
        whole = m * (m - 1) / 2 * model.gradient(w) + (1 - m) * hessian_products(model, w, own)[..., 0, :]
        whole = whole + model.third_contraction(w, w[..., :, None] * own) / 2
        along = hessian_products(model, zeroed, zeroed[..., None, :])[..., 0, :]
        single = (1 - m) * model.gradient(zeroed) + along
        first, second = np.triu_indices(m, 1)
        pairs = keep[first] * keep[second]
        double = (pairs * model.gradient(own * pairs)).sum(-2)
        return whole + (keep * single).sum(-2) + double

    def averaged(self, field, w):
        """Gaussian: sum_j w_j^2 d_jj / 2; Bernoulli: what single zeros leave."""
        w = np.asarray(w, dtype=np.float64)
        if self.law == "gaussian":
            slopes = slope_along(field, w[..., None, :], w[..., None] * np.eye(w.shape[-1]), NESTED)
            return laplacian(field, w, NESTED, w) / 2 + np.diagonal(slopes, axis1=-2, axis2=-1)
        m = w.shape[-1]
        keep = _keeping(np.arange(m), m)
        return (keep * field(w[..., None, :] * keep)).sum(-2) + (1 - m) * field(w) + slope_along(field, w, w, NESTED)


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

    def regulariser_on_set(self, model, w, frame):
        """The same."""
        return self.regulariser(model, w)

    def regulariser_slope(self, model, w, frame):
        """The gradient."""
        return self.regulariser_gradient(model, w)

    def _dropped(self, model, w, numbers):
        """Gradients of the samples with one of some units dropped, over the weight: (..., N, k, m)."""
        predictions, jacobian = model.predict_with_jacobian(
            w[..., None, :], units=_keeping(numbers, model.units)[:, None, :]
        )
        return ((predictions - model.labels)[..., None] * jacobian).swapaxes(-2, -3)

    def noise_blocks(self, model, w):
        """Columns of the noise matrix as rows, (..., k, m)."""
        w = points("w", w, model.dimension, finite=False)
        if self.law == "gaussian":
            yield self.noise_matrix(model, w).swapaxes(-1, -2)
            return
        for numbers in np.array_split(np.arange(model.units), -(-model.units * model.samples // BLOCK)):
            if numbers.size:
                factors = model.weight * self._dropped(model, w, numbers)
                yield factors.sum(-3) if self.sharing == "shared" else factors.reshape(
                    *factors.shape[:-3], -1, model.dimension
                )

    def factored_covariance(self, model, w, batch=None):
        """Gaussian: noise in h_ij grad f_i; Bernoulli: sum of the squares of gradients with one unit dropped."""
        w, own = points("w", w, model.dimension, finite=False), self.sharing == "per_sample"
        if self.law == "gaussian":
            jacobian = model.predict_with_jacobian(w)[1]
            return batch_covariance(model, jacobian, model.unit_outputs(w), batch, own_noise=own)
        if batch is None:
            return Covariance(np.concatenate(list(self.noise_blocks(model, w)), axis=-2))
        return _batch_rows(model, self._dropped(model, w, np.arange(model.units)), batch, own_noise=own)

    def noise_matrix(self, model, w):
        """A column for each mask entry, (..., m, h) or (..., m, N h)."""
        w = points("w", w, model.dimension, finite=False)
        if self.law == "gaussian":
            factors = model.unit_outputs(w)[..., None] * model.predict_with_jacobian(w)[1][..., None, :]
        else:
            factors = self._dropped(model, w, np.arange(model.units))
        factors = model.weight * factors
        if self.sharing == "shared":
            return factors.sum(-3).swapaxes(-1, -2)
        return factors.reshape(*factors.shape[:-3], -1, model.dimension).swapaxes(-1, -2)

    def fourth_gradient(self, model, w):
        """Zero: the loss is quadratic in the multipliers."""
        return np.zeros(np.shape(w))


def _batch_rows(model: Regression, factors: np.ndarray, batch: Any, own_noise: bool) -> Covariance:
    """`batch_covariance` of factors (..., N, q, m) that are no multiples of the samples' gradients."""
    pair, extra = batch_moments(model, batch, own_noise)
    each = np.sqrt(max(extra, 0.0)) * model.weight * factors.reshape(*factors.shape[:-3], -1, model.dimension)
    together = np.sqrt(max(pair, 0.0)) * model.weight * factors.sum(-3)
    return Covariance(np.concatenate([together, each], axis=-2))
