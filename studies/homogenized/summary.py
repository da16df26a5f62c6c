"""What the study found for one setting, in the same few numbers for every setting: a cell of an error map."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.compare._orders.result import QUANTITIES
from sgdlimits.compare.estimates import normal_quantile
from sgdlimits.studies.summaries import TEXT, Entry, joined, summary_dataset

if TYPE_CHECKING:
    import xarray

    from .study import StudyResult

SGD, SECOND = "SGD", "modified, order 2"  # beside the names of settings: the reference, and what orders alone have
OBSERVABLES = ("risk", "excess", "norm", "test_risk")
NO_TEST = "no rows are held out (test_fraction)"
LEFT_OUT = "left out: it takes longer than minutes allows"
NOT_FINITE = "paths or moments leave the range of numbers"
NO_FIT = "the error changes sign along the ladder, or is rounding, or fewer than three of its step sizes are stable"
ABSENT = "not computed"  # in place of a verdict
EACH = ("process", "observable")
ORDERS = ("approximation", "quantity")
LAWS: dict[str, tuple[str, str]] = {  # numbers over (process, observable): units and long name
    "estimate": ("1", "expected value at the last step"),
    "standard_error": ("1", "standard error of it (0: exact)"),
    "difference": ("1", "its difference from SGD at the last step"),
    "difference_error": ("1", "standard error of that difference (0: exact, inf: tails allow none)"),
    "scale": ("1", "what the tolerance is a part of, at the last step"),
    "worst": ("1", "worst difference from SGD over all recorded steps, over the scale of the verdicts at that step"),
    "worst_error": ("1", "standard error of the worst difference over that scale (0: exact, inf: tails allow none)"),
    "worst_step": ("steps", "step of the worst difference"),
    "w1": ("1", "Wasserstein-1 distance to the law of SGD at the last step"),
    "ks": ("1", "Kolmogorov-Smirnov distance to the law of SGD at the last step"),
}
FITS = {  # numbers over (approximation, quantity): the name in the orders' dataset and the long name
    "order": ("slope", "observed weak order in the step size"),
    "order_error": ("slope_error", "standard error of the observed order"),
    "order_predicted": ("claimed", "weak order by theory"),
    "constant": ("constant", "limit of error / step size^order"),
    "constant_predicted": ("constant_predicted", "the same by theory"),
}


def summary(result: StudyResult) -> xarray.Dataset:
    """One dataset whose shape depends on the names of processes alone, so that those of many settings stack.

    Over (process, observable) the expected value at the last step, its difference from SGD, the worst difference of
    all steps over the scale of the verdicts, each with its standard error (0 where exact), the verdict and what
    stands against it; over (approximation, quantity) observed order and leading constant; step size, steps and
    thresholds. Where a number is missing (nan), `note`, `order_note` or `threshold_note` says why.
    """
    asked = result.asked or result.study.others
    names, approximations = [SGD, *asked], [*asked, SECOND]
    coordinates: dict[str, tuple[Any, str, str]] = {
        "process": (names, TEXT, "process, by the names of the setting processes"),
        "observable": (list(OBSERVABLES), TEXT, "what is looked at"),
        "approximation": (approximations, TEXT, "process whose weak order is measured"),
        "quantity": (list(QUANTITIES), TEXT, "error whose order is measured"),
    }
    found = _laws(result, names) | _orders(result, approximations) | _scalars(result)
    return summary_dataset(found, coordinates, picture="worst observable=risk")


def _laws(result: StudyResult, names: list[str]) -> dict[str, Entry]:
    """Numbers and words over (process, observable)."""
    data = result.laws.dataset
    z = normal_quantile(data.attrs["confidence"])
    rows = [names.index(name) for name in (SGD, *result.study.others)]
    columns = [OBSERVABLES.index(name) for name in data["observable"].values.tolist()]
    here = np.ix_(rows, columns)
    worst = np.searchsorted(data["step"].values, data["worst_step"].values)
    exact = data["exact"].values & data["exact"].values[:1]

    def at(name: str, step: np.ndarray | int) -> np.ndarray:
        values = data[name].values
        return np.take_along_axis(values, np.broadcast_to(step, exact.shape)[..., None] % values.shape[2], 2)[..., 0]

    def error(step: np.ndarray | int) -> np.ndarray:
        half = (at("difference_upper", step) - at("difference_lower", step)) / 2
        return np.where(exact, 0.0, np.maximum(half - at("integrator", step), 0.0) / z)

    scale, gap = data["worst_scale"].values, data["worst_difference"].values
    first = np.arange(len(rows))[:, None] == 0
    with np.errstate(invalid="ignore", divide="ignore"):
        found = {
            "estimate": at("estimate", -1),
            "standard_error": np.where(data["exact"].values, 0.0, at("standard_error", -1)),
            "difference": at("difference", -1),
            "difference_error": error(-1),
            "scale": at("scale", -1),
            "worst": np.where(first | (gap == 0), 0.0, gap / scale),
            "worst_error": np.where(first | (error(worst) == 0), 0.0, error(worst) / scale),
            "worst_step": data["worst_step"].values.astype(float),
            "w1": at("w1", -1),
            "ks": at("ks", -1),
        }
    shape = len(names), len(OBSERVABLES)
    filled = {name: np.full(shape, np.nan) for name in LAWS}
    for name, values in found.items():
        filled[name][here] = values
    words = {name: np.full(shape, "", dtype=object) for name in ("caution", "mostly", "note")}
    words["verdict"] = np.full(shape, ABSENT, dtype=object)
    for name, source in (("verdict", "overall"), ("caution", "caution"), ("mostly", "worst_part")):
        words[name][here] = data[source].values
    labels = np.array(names, dtype=object)
    labels[rows] = data["process"].values
    known, sampled = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    known[here] = data["exact"].values
    sampled[here] = True
    missing = np.any([np.isnan(values) for values in filled.values()], axis=0)
    for place in zip(*np.nonzero(missing)):
        absent = (LEFT_OUT if place[0] not in rows else "", NO_TEST if place[1] not in columns else "")
        words["note"][place] = joined(absent if not sampled[place] else NOT_FINITE)
    return {name: (EACH, filled[name], units, said) for name, (units, said) in LAWS.items()} | {
        "exact": (EACH, known, "1", "whether the expected value is exact rather than sampled"),
        "verdict": (EACH, words["verdict"], TEXT, "verdict over all recorded steps at once"),
        "mostly": (EACH, words["mostly"], TEXT, "part of the error budget that is largest at the worst step"),
        "caution": (EACH, words["caution"], TEXT, "why not to trust the row"),
        "note": (EACH, words["note"], TEXT, "why numbers are missing"),
        "label": (("process",), labels, TEXT, "what the process is called in tables"),
    }


def _orders(result: StudyResult, approximations: list[str]) -> dict[str, Entry]:
    """Numbers over (approximation, quantity), and why some are missing."""
    shape = len(approximations), len(QUANTITIES)
    filled = {name: np.full(shape, np.nan) for name in FITS}
    note = np.full(shape, "", dtype=object)
    if result.orders is None:
        note[:] = next(text for text in result.notes if text.startswith("No orders")).rstrip(".")
    else:
        rows = [approximations.index(name) for name in (*result.study.others, SECOND)]
        note[:] = LEFT_OUT
        for name, (source, _) in FITS.items():
            filled[name][rows] = result.orders.dataset[source].values
        unfitted = np.any([np.isnan(filled[name][rows]) for name in FITS], axis=0)
        note[rows] = np.where(unfitted, NO_FIT, "")
    found: dict[str, Entry] = {name: (ORDERS, filled[name], "1", said) for name, (_, said) in FITS.items()}
    return found | {"order_note": (ORDERS, note, TEXT, "why orders are missing")}


def _scalars(result: StudyResult) -> dict[str, Entry]:
    """What was run, beside the thresholds of SGD; no name of a setting, which is an axis of a grid."""
    study = result.study
    assert study.step_size is not None and study.steps is not None  # a run has resolved them
    limits = {note["process"]: note for note in json.loads(result.laws.dataset.attrs["stability"])}
    known = limits.get(result.laws.dataset["process"].values[0], {})
    mean, square = (known.get(f"{name}_threshold", np.nan) for name in ("mean", "mean_square"))
    note = "" if known else "no threshold is known for SGD with these settings"
    return {
        "used_step_size": ((), study.step_size, "1", "step size"),
        "used_steps": ((), study.steps, "steps", "steps of SGD"),
        "mean_threshold": ((), float(mean), "1", "step size at which the mean of SGD ceases to be stable"),
        "mean_square_threshold": ((), float(square), "1", "step size at which second moments cease to be stable"),
        "threshold_share": ((), study.step_size / float(square), "1", "step size over the mean-square threshold"),
        "threshold_note": ((), note, TEXT, "why thresholds are missing"),
    }
