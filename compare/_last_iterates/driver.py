"""compare.last_iterates: runs, their ends layer by layer, and what every estimator says of them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from sgdlimits.discrete import SGD
from sgdlimits.ensembles.initial import initial_state
from sgdlimits.exact.errors import InvalidInput, flag, instance_of, one_of, whole_number

from .. import tail_estimators
from .._tails.rows import known_index
from ..capabilities import one_blas_thread
from ..estimates import confidence_level
from .result import LastIterates
from .runs import halves_and_ends
from .rows import Estimator, Row, groups_of, lognormal_verdict, row_of
from .samples import NORM, WEIGHTS, centre_and_scale, layers_of, samples_of
from .standing import transient, unsettled

ESTIMATORS = (
    "corrected_hill", "hill", "moment", "pickands", "power_law", "student", "skewed_student", "stable_quantiles",
    "stable_blocks",
)  # fmt: skip
OF_A_NORM = ("corrected_hill", "hill", "moment", "pickands", "power_law")  # the others fit a law with two tails
FEWEST_RUNS = 50
GROUPS = 20  # of runs, for the jackknife


@one_blas_thread
def last_iterates(
    sgd: SGD,
    starts: Any,
    steps: int,
    paths: int = 200,
    seed: int = 0,
    *,
    layers: Mapping[str, slice] | None = None,
    estimators: Sequence[str] = ESTIMATORS,
    values: int = 20_000,
    exact: bool = True,
    confidence: float = 0.95,
    threads: int | None = None,
    progress: Any = None,
) -> LastIterates:
    """Tails of the weights in which independent runs end: all of them and layer by layer, by every estimator.

    Two samples of each layer: its weights, each seen from its median over runs in units of its own spread, and the
    distance of the layer from that median, one number a run. Weights of one run depend on each other, so that the
    sample is as large as there are runs: intervals of weights are the hull of the estimator's own and of the jackknife
    over groups of runs, and the lognormal alternative is judged with runs as clusters.

    Parameters
    ----------
    sgd : discrete.SGD
        On any problem; a network tells its layers.
    starts : array (d,), (paths, d), or Gaussian
        One start for all runs: the law is that over batches. A start of each run: that over starts and batches.
    steps : int
        At least 2.
    paths : int
        Independent runs, at least 50.
    seed : int
    layers : mapping from names to slices of the parameters, optional
        Default: those of the predictor, weights with their biases.
    estimators : names of functions of `compare.tail_estimators`
    values : int
        Weights of all runs together that an estimator sees of a layer, at most about so many, evenly spread.
    exact : bool
        Ask the descent for its exact tail index, where it knows one, and judge whether intervals hold it.
    confidence : float
    threads, progress
        As in `simulate`.

    Returns
    -------
    LastIterates

    Raises
    ------
    InvalidInput
        If an argument cannot be used, or runs leave the range of numbers.
    """
    instance_of("sgd", sgd, SGD)
    paths, steps = whole_number("paths", paths, FEWEST_RUNS), whole_number("steps", steps, 2)
    level, values = confidence_level(confidence), whole_number("values", values, 500)
    functions = {name: estimator_of(name) for name in estimators}
    if not functions:
        raise InvalidInput(f"estimators is empty: name some of {', '.join(ESTIMATORS)}")
    places, initial = layers_of(sgd.problem, layers), initial_state(starts, sgd.problem.dimension, paths)
    half, ends = halves_and_ends(sgd, initial, steps, paths, seed, threads, progress)
    known = known_index(sgd) if flag("exact", exact) else None
    index = math.nan if known is None or known.index is None else known.index.index
    centre, scale = centre_and_scale(ends)
    groups, rows = groups_of(paths, GROUPS), list[Row]()
    lognormal, notes, still = [], [], []
    for layer, place in places.items():
        found, left_out = samples_of(ends, centre, scale, place, values)
        still.append(left_out)
        notes.append(unsettled(half[:, place], ends[:, place], steps))
        lognormal.append([lognormal_verdict(found[kind], kind) for kind in (WEIGHTS, NORM)])
        for kind, sample in found.items():
            for name, function in functions.items():
                if kind == WEIGHTS or name in OF_A_NORM:
                    rows.append(row_of(layer, kind, name, function, sample, groups, level, index))
    law = "" if known is None else known.text if known.index is not None else known.why_not
    said = transient(sgd, ends) if math.isnan(index) else ()
    return LastIterates(_dataset(
        sgd, places, rows, lognormal, notes, said, still, ends, centre, scale,
        {
            "steps": steps, "paths": paths, "seed": seed, "confidence": level, "exact": index, "exact_note": law,
            "one_start": int(isinstance(initial, np.ndarray) and initial.ndim == 1), "groups": len(groups),
            "values": values, "asked": int(known is not None),
            "proof": "" if known is None or known.index is None else known.index.note,
        },
    ))  # fmt: skip


def estimator_of(name: str) -> Estimator:
    function = getattr(tail_estimators, one_of("estimators", name, ESTIMATORS))
    further = {"resamples": 100, "goodness": False} if name == "power_law" else {}
    return partial(function, independent=True, **further)


def _dataset(
    sgd: SGD, places: Mapping[str, slice], rows: Sequence[Row], lognormal: Any, settled: Sequence[str],
    said: Sequence[str], still: Sequence[int], ends: np.ndarray, centre: np.ndarray, scale: np.ndarray,
    attributes: dict[str, Any],
) -> Any:  # fmt: skip
    import xarray as xr

    from sgdlimits import __version__

    kinds: dict[type, tuple[str, ...]] = {
        float: ("index", "lower", "upper", "alone_lower", "alone_upper"), int: ("k", "runs_above", "weights_above"),
        object: ("estimator", "method", "verdict", "beside_exact"),
    }  # fmt: skip
    by_row: dict[str, Any] = {
        name: ("row", np.array([getattr(row, name) for row in rows], dtype=kind))
        for kind, names in kinds.items()
        for name in names
    }
    by_row |= {
        "of_layer": ("row", np.array([row.layer for row in rows], dtype=object)),
        "of_sample": ("row", np.array([row.sample for row in rows], dtype=object)),
        "notes": ("row", np.array([json.dumps(row.notes) for row in rows], dtype=object)),
        "lognormal": (("layer", "sample"), np.array([[v for v, _ in each] for each in lognormal], dtype=object)),
        "lognormal_sentence": (
            ("layer", "sample"), np.array([[s for _, s in each] for each in lognormal], dtype=object)
        ),
        "unsettled": ("layer", np.array(settled, dtype=object)),
        "left_out": ("layer", np.array(still)),
        "first": ("layer", np.array([place.start for place in places.values()])),
        "last": ("layer", np.array([place.stop for place in places.values()])),
        "end": (("run", "weight"), ends), "centre": ("weight", centre), "scale": ("weight", scale),
    }  # fmt: skip
    return xr.Dataset(
        by_row, {"layer": list(places), "sample": [WEIGHTS, NORM]},
        attributes | {
            "process": sgd.label, "problem": repr(sgd.problem), "step_size": repr(sgd.step_size),
            "batch_size": sgd.batch_size, "sampling": sgd.sampling, "law": json.dumps(list(said)),
            "version": __version__,
        },
    )  # fmt: skip
