"""Two-layer networks whose weights a ridge keeps in a ball that is known: no tail at all. Derived.

Hidden values and the slope of the loss are bounded, so that the gradient of the second layer is; the ridge then bounds
that layer, and with it the gradient of the first. A ReLU has no bounded values, and squares no bounded slope.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from sgdlimits.exact.tail_index import BOUNDED, TailIndex
from sgdlimits.problems.prediction import PredictionProblem
from sgdlimits.problems.predictors import TwoLayer
from sgdlimits.problems.sources import Rows

if TYPE_CHECKING:
    from .sgd import SGD


def bounded_network(sgd: SGD, response: tuple[float, float]) -> TailIndex | None:
    """inf with the radii of both layers; None where the network, its loss or its inputs are not bounded.

    Parameters
    ----------
    sgd : SGD
        With a ridge that holds the weights, and a rule that is linear in the gradient.
    response : pair of float
        What the ridge keeps of the state a step, and how far from 0 gradients of norm 1 can hold a layer.
    """
    radii = layer_radii(sgd.problem, response[1])
    if radii is None:
        return None
    first, second = radii
    return TailIndex(
        math.inf, 0.0, BOUNDED,
        note=f"hidden values and the slope of the loss are bounded, and the ridge keeps {response[0]:.6g} of the state "
        f"a step: the second layer does not stay beyond {second:.4g} in norm, nor then the first beyond {first:.4g}",
    )  # fmt: skip


def layer_radii(problem: object, response: float) -> tuple[float, float] | None:
    """Norms beyond which the first and the second layer do not stay."""
    if not isinstance(problem, PredictionProblem) or not isinstance(problem.source, Rows):
        return None
    network, slope = problem.predictor, float(problem.loss.largest_slope)
    if not isinstance(network, TwoLayer) or network.largest_value is None or not math.isfinite(slope):
        return None
    assert network.largest_rise is not None  # of an activation of bounded values
    second = response * slope * math.sqrt(network.width * network.largest_value**2 + network.bias)
    inputs = float(np.sqrt(np.square(problem.source.inputs).sum(axis=1) + network.bias).max())
    return response * slope * second * network.largest_rise * inputs, second
