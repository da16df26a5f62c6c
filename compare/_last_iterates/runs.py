"""Independent runs and where they end."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from sgdlimits.discrete import SGD
from sgdlimits.ensembles.initial import Gaussian
from sgdlimits.exact.errors import InvalidInput, OverflowedPaths, StabilityWarning


def halves_and_ends(
    sgd: SGD, initial: Gaussian | np.ndarray, steps: int, paths: int, seed: int, threads: Any = None,
    progress: Any = None,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Positions (paths, d) after half the steps and after all of them.

    Raises
    ------
    InvalidInput
        If a run left the range of numbers.
    """
    start = (initial.mean, initial.covariance) if isinstance(initial, Gaussian) else initial
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StabilityWarning)  # an index of at most 2 is the finding, not a fault
        warnings.simplefilter("ignore", OverflowedPaths)  # refused below
        run = sgd.simulate(
            start, steps, paths, {"x": "state"}, [steps // 2, steps], seed, threads=threads, progress=progress
        )
    half, last = np.moveaxis(run["x"].values, 1, 0)
    gone = int((~np.isfinite(last).all(axis=1)).sum())
    if gone:
        raise InvalidInput(
            f"{gone} of {paths} runs of {sgd.label} left the range of floating-point numbers in {steps} steps: lower "
            "the step size, or steps"
        )
    return half, last
