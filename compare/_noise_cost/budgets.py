"""The best batch size and step size for a budget of samples, and for a budget of steps, from exact risks."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sgdlimits.exact.bounded_search import ladder_down, least_between

from .costs import Costs

RATIO = 4.0  # of the ladder of batch sizes
TOLERANCE = 1e-2  # of the best batch size, relative
LARGEST = 2.0**40  # batch size beyond which "enough" is not looked for


@dataclass(frozen=True)
class Best:
    """What a budget buys.

    Attributes
    ----------
    steps : int
    batch_size, step_size, excess : float
        The best, and the expected excess risk at its end.
    edge : str
        What the best one is held by, in words; empty where it lies inside.
    enough : float
        Of a budget of steps: the batch size whose best step size comes within the tolerance of that; else nan.
    """

    steps: int
    batch_size: float
    step_size: float
    excess: float
    edge: str
    enough: float


def best_of_samples(costs: Costs, samples: int) -> Best:
    """Over whole numbers K of steps of the real batch size samples / K, at least 1, and constant step sizes.

    By a ladder of batch sizes and a ladder of step sizes at each, the best rungs by sections.
    """

    def excess(batch_size: float) -> float:
        steps = max(1, min(samples, round(samples / batch_size)))
        return costs.tuned_excess(samples / steps, steps).value

    known = ladder_down(excess, float(samples), 1.0, RATIO, patience=len(bin(samples)))
    least = least_between(excess, known, TOLERANCE)
    steps = max(1, min(samples, round(samples / least.place)))
    batch_size = samples / steps
    found = costs.tuned_excess(batch_size, steps)
    held = ["batch size 1"] if steps == samples else ["one step"] if steps == 1 else []
    return Best(steps, batch_size, found.place, found.value, " and ".join(held + _held(found.edge)), math.nan)


def best_of_steps(costs: Costs, steps: int, tolerance: float) -> Best:
    """Descent without noise at its best step size: at any step size the risk falls with the batch size.

    For 1/B enters the moment equations with a sign: noise only adds. What is bought is the batch size that is enough.
    """
    from scipy.optimize import brentq

    found = costs.tuned_excess(math.inf, steps)
    level = (1 + tolerance) * found.value
    edge = ["no noise (an infinite batch size)"] + _held(found.edge)
    if not level > 0:  # without noise all is over, and no batch size comes within a part of nothing
        return Best(steps, math.inf, found.place, found.value, " and ".join(edge), math.inf)

    def apart(logarithm: float) -> float:
        return costs.tuned_excess(math.exp(logarithm), steps).value / level - 1

    high = 1.0
    while high < LARGEST and apart(math.log(high)) > 0:
        high *= RATIO
    if high >= LARGEST:
        enough = math.inf
    elif high == 1.0:
        enough = 1.0
    else:
        enough = math.exp(brentq(apart, math.log(high / RATIO), math.log(high), xtol=TOLERANCE / 10))
    return Best(steps, math.inf, found.place, found.value, " and ".join(edge), enough)


def _held(edge: str) -> list[str]:
    return ["the mean-square threshold"] if edge == "highest" else []
