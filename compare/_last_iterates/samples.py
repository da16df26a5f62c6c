"""What the estimators see of the ends of runs: standardised weights of a layer, and one distance a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, instance_of, text
from sgdlimits.problems.prediction import PredictionProblem

WHOLE = "all weights"
WEIGHTS, NORM = "weights", "norm"
NORMAL = 0.6744897501960817  # median of |N(0, 1)|
STILL = 1e-9  # of the layer's median spread, below which a weight does not move


@dataclass(frozen=True, eq=False)
class Sample:
    """One sample of a layer, with the run and the weight that each value comes from.

    Attributes
    ----------
    values, runs, weights : (n,) arrays
    """

    values: np.ndarray
    runs: np.ndarray
    weights: np.ndarray

    @property
    def options(self) -> dict[str, str]:
        """What an estimator is told: of distances, which have one tail, that it begins at their median."""
        return {"side": "right", "centre": "median"} if np.unique(self.weights).size == 1 else {}

    def without(self, dropped: np.ndarray) -> np.ndarray:
        """Values of the runs that are not among these."""
        return self.values[~np.isin(self.runs, dropped)]


def layers_of(problem: Any, layers: Any) -> dict[str, slice]:
    """Names and places: all weights, and the given layers or those that the predictor tells, if there are several.

    Raises
    ------
    InvalidInput
        If a layer does not lie within the parameters.
    """
    d = problem.dimension
    if layers is None:
        told = problem.predictor.layers if isinstance(problem, PredictionProblem) else {}
        return {WHOLE: slice(0, d)} | (told if len(told) > 1 else {})
    instance_of("layers", layers, dict, "give names and slices of the parameters")
    found = {WHOLE: slice(0, d)}
    for name, place in layers.items():
        place = instance_of(f"layer {name!r}", place, slice)
        first, last, stride = place.indices(d)
        if stride != 1 or last <= first or place.stop is None or place.stop > d:
            raise InvalidInput(f"layer {name!r} is {place}, but must be slice(first, last) within {d} parameters")
        found[text("the name of a layer", name)] = slice(first, last)
    return found


def centre_and_scale(ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median and spread (d,) of each weight over runs (runs, d): the median distance, 1 for a normal law of variance 1.

    A law with an infinite variance has both.
    """
    centre = np.median(ends, axis=0)
    return centre, np.median(np.abs(ends - centre), axis=0) / NORMAL


def samples_of(
    ends: np.ndarray, centre: np.ndarray, scale: np.ndarray, place: slice, most: int
) -> tuple[dict[str, Sample], int]:
    """Samples of one layer, and how many of its weights are left out because they do not move.

    Weights are seen from their medians over runs in units of their own spread: a mixture of laws of unlike scales would
    have a heavy tail of its own. At most about `most` values, evenly spread over the layer.
    """
    apart, spread = (ends - centre)[:, place], scale[place]
    moving = spread > STILL * np.median(spread)
    runs, chosen = len(ends), np.flatnonzero(moving)
    stride = -(-chosen.size * runs // most)
    chosen = chosen[::stride] if chosen.size else chosen
    standard = apart[:, chosen] / spread[chosen]
    found = {
        WEIGHTS: Sample(standard.ravel(), np.repeat(np.arange(runs), chosen.size), np.tile(chosen, runs)),
        NORM: Sample(np.linalg.norm(apart, axis=1), np.arange(runs), np.zeros(runs, dtype=int)),
    }
    return found, int((~moving).sum())
