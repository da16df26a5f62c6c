"""What averaging over several mechanisms does to the loss to second order in their variances (derived).

E L_hat = L + sum_a s_a R_a + sum_a s_a^2 R_aa + sum_(a<b) s_a s_b R_ab + ..., s_a the variance of mechanism a. Noise of
units, inputs and a user's own loss acts inside the loss; around it weights are shifted, then multiplied, then shifted
by what is carried. R_ab is what the outer mechanism makes of R_a, a function of the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from ..zero_loss.model import Model
from .masks import Dropout
from .mechanism import INSIDE, SimpleMechanism
from .sampling import InputNoise


def mean_gradient(model: Model, parts: Sequence[SimpleMechanism], w: np.ndarray) -> np.ndarray:
    """sum_a s_a grad R_a at w (..., m), which need not be on the set."""
    return sum((part.sigma**2 * part.mean_gradient(model, w) for part in parts), start=np.zeros(np.shape(w)))


def second_mean_gradient(model: Model, parts: Sequence[SimpleMechanism], w: np.ndarray) -> np.ndarray:
    """sum_a s_a^2 grad R_aa + sum_(a<b) s_a s_b grad R_ab at w (..., m)."""
    total = sum((part.sigma**4 * part.fourth_gradient(model, w) for part in parts), start=np.zeros(np.shape(w)))
    for inner, outer in combinations(sorted(parts, key=lambda part: part.layer), 2):
        total = total + inner.sigma**2 * outer.sigma**2 * _cross(model, inner, outer, w)
    return total


def _cross(model: Model, inner: SimpleMechanism, outer: SimpleMechanism, w: np.ndarray) -> np.ndarray:
    if outer.layer != INSIDE:
        return outer.averaged(lambda place: inner.mean_gradient(model, place), w)
    pair = [part for part in (inner, outer) if isinstance(part, InputNoise)]
    if len(pair) == 1:
        return pair[0].averaged_samples(model, w, lambda inputs: _dropout_gradients(model, w, inputs))
    if isinstance(inner, Dropout):  # two masks: the variance of a product of multipliers is s_1 + s_2 + s_1 s_2
        return inner.mean_gradient(model, w)
    return 2 * inner.fourth_gradient(model, w)  # noise of one kind adds up: (s_1 + s_2)^2


def _dropout_gradients(model, w: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """grad of sum_j h_ij^2 / 2 of each sample (..., N, m), at inputs (..., N, p)."""
    units = np.eye(model.units)[:, None, :]
    outputs = model.predict_with_jacobian(w[..., None, :], inputs[..., None, :, :], units)[0]
    return model.predict_with_jacobian(w, inputs, outputs.swapaxes(-1, -2))[1]
