"""The drift of the next order in the noise, of mechanisms whose regulariser is constant on the set (derived).

Averaged over the noise the loss is L + R + R_4 + ..., R of order sigma^2 and R_4 of sigma^4. Where R is constant on the
set, its minimiser beside a point of the set lies H+ grad R away, and what is left of it there, R_4 less half of
grad R . H+ grad R, falls by step_size sigma^4 a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sgdlimits.exact.numerical_derivatives import NESTED, slope_along
from sgdlimits.problems.frames import Frame
from sgdlimits.problems.noise.averages import mean_gradient, second_mean_gradient
from sgdlimits.problems.zero_loss.products import third_products


def next_order_drift(model: Any, mechanisms: Sequence[Any], w: np.ndarray, frame: Frame) -> np.ndarray:
    """P grad (grad R . H+ grad R) / 2 - P grad R_4, (..., m), per step and step size, at w (..., m) on the set.

    With q = H+ grad R the first part is P [Hessian(R) q] - P grad <q q', Hessian(L)> / 2.
    """
    pull = frame.relaxed(mean_gradient(model, mechanisms, w))
    bend = slope_along(lambda place: mean_gradient(model, mechanisms, place), w, pull, NESTED)
    squared = third_products(model, w, pull[..., None, :], np.ones((*np.shape(w)[:-1], 1)))
    return frame.tangent_part(bend - squared / 2 - second_mean_gradient(model, mechanisms, w))
