"""compare.singular_values: checks, runs, and the spectra of batch Hessians at recorded steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sgdlimits.discrete import SGD
from sgdlimits.discrete.rules import Plain
from sgdlimits.discrete.tangents import (
    batch_hessian_products,
    batch_starts,
    check_differentiable,
    draws_of,
    positions_along,
)
from sgdlimits.ensembles.initial import initial_state, recorded_steps
from sgdlimits.ensembles.progress import Progress, open_progress
from sgdlimits.ensembles.random import Noise
from sgdlimits.exact.errors import InvalidInput, instance_of, positive, seed_number, whole_number
from sgdlimits.exact.lanczos import spectral_ends

from ..capabilities import one_blas_thread
from ..estimates import confidence_level
from ..results import labelled
from .result import AXES, SingularValues
from .statistics import statistics

NUMBERS = 2**23  # of bases that are held at once
PRODUCTS = 600  # with a batch Hessian, at most
LOOKS = 6  # recorded steps, unless said otherwise
LEVELS = (0.05, 0.5, 0.95)


@one_blas_thread
def singular_values(
    sgd: SGD,
    x0: Any,
    steps: int,
    *,
    record: int | Sequence[int] | None = None,
    runs: int = 8,
    batches: int = 16,
    levels: Sequence[float] = LEVELS,
    tolerance: float = 1e-9,
    seed: int = 0,
    confidence: float = 0.95,
    progress: bool | Progress | None = None,
) -> SingularValues:
    """The law of the largest and of the smallest singular value of I - step_size (batch Hessian) along training.

    A batch Hessian is symmetric, so that these are extremes of |1 - step_size h| over its eigenvalues h: the largest
    is attained at an end of the spectrum, the smallest at the eigenvalue nearest to 1 / step_size, inside the spectrum
    where that straddles it. All three are found by the Lanczos method from products alone, each with its residual.

    Parameters
    ----------
    sgd : discrete.SGD
        Plain: with momentum a step is another matrix, see `finite_time_exponents`. The ridge is in the Hessian.
    x0 : array (d,) or (runs, d)
        One start for all runs, or one each.
    steps : int
    record : None, int or steps
        Where spectra are taken; default about 6, evenly spaced, the first and the last among them.
    runs : int
        Independent runs; at least 2, since means over batches at one place are no independent values.
    batches : int
        Drawn afresh at each recorded place of each run.
    levels : probabilities
        Of the quantiles.
    tolerance : float
        Absolute, of singular values. What at most 600 products with a batch Hessian leave stands in the errors.
    seed : int
    confidence : float
        Of intervals over runs: of the mean logarithm by Student's law, of quantiles by that of the share below them.
    progress : bool or object with update(n) and close(), optional
        In draws.

    Returns
    -------
    SingularValues

    Raises
    ------
    InvalidInput
        If an argument cannot be used, or runs leave the range of numbers.
    """
    instance_of("sgd", sgd, SGD)
    check_differentiable(sgd)
    if not isinstance(sgd.update_rule, Plain):
        raise InvalidInput(
            f"a step of {sgd.label} is not I - step_size (batch Hessian): take plain SGD, or finite_time_exponents, "
            "which carries vectors through any linear rule"
        )
    runs, batches = whole_number("runs", runs, 2), whole_number("batches", batches, 1)
    d = sgd.problem.dimension
    starts = _starts(x0, d, runs)
    steps = whole_number("steps", steps)
    at = recorded_steps(min(LOOKS, steps + 1) if record is None else record, steps)
    level, seed = confidence_level(confidence), seed_number(seed)
    shares = np.array([positive("a level", each) for each in levels])
    if not shares.size or shares.max() >= 1 or (np.diff(shares) <= 0).any():
        raise InvalidInput(f"levels must rise between 0 and 1, got {shares.tolist()}")
    tolerance = positive("tolerance", tolerance)
    place_at = positions_along(sgd, starts, runs, seed, at)
    bar = open_progress(progress, float(at.size * runs * batches), patient="spectra of batch Hessians")
    looked = []
    try:
        for step in at.tolist():
            places, noise = draws_of(sgd, place_at(step), batches, seed)
            looked.append(_at_step(sgd, step, places, noise, tolerance, bar))
    finally:
        bar.close()
    sizes = np.array([float(sgd.step_sizes(step, step + 1)[0]) for step in at.tolist()])
    values = np.array(looked).reshape(at.size, 6, runs, batches)
    record_of = statistics(np.moveaxis(values, 0, -1), sizes, shares, level)
    attributes = {
        "process": sgd.label, "problem": repr(sgd.problem), "batch_size": sgd.batch_size, "sampling": sgd.sampling,
        "step_size": repr(sgd.step_size), "dimension": d, "runs": runs, "batches": batches, "steps": int(at[-1]),
        "seed": seed, "confidence": level, "tolerance": tolerance, "one_start": int(starts.ndim == 1),
    }  # fmt: skip
    coordinates = {
        "run": np.arange(runs), "batch": np.arange(batches), "step": at, "end": ["largest", "smallest"],
        "level": shares,
    }  # fmt: skip
    return SingularValues(labelled(record_of, AXES, coordinates, attributes))


def _starts(x0: Any, d: int, runs: int) -> np.ndarray:
    starts = initial_state(x0, d, runs)
    if not isinstance(starts, np.ndarray):
        raise InvalidInput(f"x0 must be an array ({d},) or ({runs}, {d}); draw the starts of a Gaussian first")
    return starts


def _at_step(
    sgd: SGD, step: int, places: np.ndarray, noise: Noise, tolerance: float, bar: Progress
) -> np.ndarray:
    """Lowest, highest and nearest eigenvalue, their errors, and products, of each draw: (6, P)."""
    size = float(sgd.step_sizes(step, step + 1)[0])
    block = max(1, NUMBERS // (64 * places.shape[1]))
    parts = []
    for first in range(0, len(places), block):
        x = places[first : first + block]
        own = Noise(noise.seed, noise.paths[first : first + block], noise.quality)

        def product(chosen: np.ndarray, vectors: np.ndarray, x: np.ndarray = x, own: Noise = own) -> np.ndarray:
            drawn = Noise(own.seed, own.paths[chosen], own.quality)
            return batch_hessian_products(sgd, step, x[chosen], vectors[:, None], drawn)[:, 0]

        found = spectral_ends(
            product, batch_starts(own, x.shape[1]), 1 / size, tolerance / size, min(PRODUCTS, x.shape[1])
        )
        each = np.full(len(x), found.products / len(x))
        parts.append(
            np.array([found.lowest, found.highest, found.nearest, found.end_error, found.nearest_error, each])
        )
        bar.update(len(x))
    return np.concatenate(parts, axis=1)
