"""What the study found for one setting, in the same few numbers for every setting."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.studies.summaries import TEXT, Entry, summary_dataset

from .network_tables import findings
from .tables import rows
from .tried import QUANTITIES, rejected

if TYPE_CHECKING:
    import xarray

    from .study import ZeroLossResult

VERDICTS = ("agrees", "undecided", "differs", "floor", "trivial", "moves")
TASKS = ("synthetic", "real")
ABSENT = "not predicted"  # in place of a verdict
NUMBERS = {  # columns of the study's table -> long name
    "measured": "measured",
    "measured_error": "standard error of the measured number",
    "predicted": "the same by the limit",
    "predicted_error": "standard error of the limit's (0: not sampled)",
    "gap": "measured minus predicted, as step size and noise level go to zero",
    "gap_error": "half of the interval or band of that gap",
    "margin": "tolerance of that gap",
    "paths_needed": "about how many paths would decide (0: decided or not known, inf: more paths hardly help)",
}
NOT_RESOLVED = "below the Monte Carlo resolution"
NO_EXPONENT = "no exponent is measured there"
STILL = "nothing moves: no time to fit"


def summary(result: ZeroLossResult) -> xarray.Dataset:
    """One dataset whose shape is the same for all settings, so that those of many settings stack.

    Of each prediction the measured and the predicted number, what remains of their gap, and the verdict: along the
    sets (model, mechanism), exponents of times (motion, variable), paths (path_row), the regressions (task,
    selector, start, displaced), the network from its first interpolator (selector); test errors on subsets,
    and how many predictions have each verdict (outcome).
    Where a number is missing (nan), a text `..._note` says why.
    """
    table = {(row["part"], row["process"], row["quantity"]): row for row in rows(result)}
    first, task = result.trajectories[0], result.regressions[0]
    names = [f"{each.name}: {row}" for each in result.paths for row in each.found.dataset["row"].values.tolist()]
    coordinates: dict[str, tuple[Any, str, str]] = {
        "model": ([along.scene.name for along in result.trajectories], TEXT, "model with a set of zero loss"),
        "mechanism": (list(first.comparisons), TEXT, "kind of noise"),
        "motion": (result.scales.dataset["time_scale"].values, TEXT, "motion whose time is measured"),
        "variable": (result.scales.dataset["variable"].values, TEXT, "what the time is a power of"),
        "path_row": (names, TEXT, "what is measured of paths"),
        "task": (list(TASKS), TEXT, "regression"),
        "selector": (task["mechanism"].values, TEXT, "kind of noise in the regressions"),
        "start": (task["start"].values, "1", "every u and v at the start"),
        "displaced": (list(QUANTITIES), TEXT, "what is held against the limit"),
        "interpolator": (list(result.subsets), TEXT, "interpolator that a regulariser prefers"),
        "outcome": (list(VERDICTS), TEXT, "verdict"),
    }
    variables = (
        _along(result, table) | _scales(result, table) | _paths(result, table) | _regressions(result)
        | _subsets(result) | _network(result) | _counts(table.values())
    )  # fmt: skip
    return summary_dataset(variables, coordinates)


def _numbers(found: Sequence[Any], shape: tuple[int, ...], skipped: Iterable[str] = ()) -> dict[str, np.ndarray]:
    """Columns of rows of the table (None: there is none) as arrays."""
    arrays = {}
    for name in NUMBERS:
        if name not in skipped:
            values = np.array([np.nan if row is None else float(row[name]) for row in found]).reshape(shape)
            arrays[name] = np.where(np.isnan(values), 0.0, values) if name == "paths_needed" else values
    return arrays


def _entries(prefix: str, dims: tuple[str, ...], arrays: dict[str, np.ndarray], what: str) -> dict[str, Entry]:
    units = {"paths_needed": "paths"}
    return {
        f"{prefix}_{name}": (dims, values, units.get(name, "1"), f"{what}: {NUMBERS[name]}")
        for name, values in arrays.items()
    }


def _words(found: Sequence[Any], shape: tuple[int, ...]) -> np.ndarray:
    return np.array([ABSENT if row is None else row["verdict"] for row in found], dtype=object).reshape(shape)


def _along(result: ZeroLossResult, table: dict[Any, Any]) -> dict[str, Entry]:
    """Over (model, mechanism): the displacement along the limit's way at the end of a run, and the controls."""
    dims = ("model", "mechanism")
    found, regimes = [], []
    for along in result.trajectories:
        for name, comparison in along.comparisons.items():
            quantity = str(comparison.dataset["observable"].values[0])
            found.append(table[along.scene.name, name, quantity])
            regimes.append(str(along.dataset["regime"].sel(mechanism=name).item()))
    shape = len(result.trajectories), len(result.trajectories[0].comparisons)
    controls = [[word for word in row["controls"].split("; ") if word] for row in found]
    failed = [sum(word.endswith("differs") for word in words) for words in controls]
    arrays = _numbers(found, shape)
    # Minibatch noise has no level: 0, and its regime says so.
    levels = np.array([row["noise_level"] for row in found], dtype=float).reshape(shape)
    return _entries("along", dims, arrays, "displacement of Phi(w_k) along the limit's way") | {
        "along_verdict": (dims, _words(found, shape), TEXT, "verdict on the limit at all recorded times"),
        "along_quantity": (dims, np.reshape([row["quantity"] for row in found], shape), TEXT, "what is displaced"),
        "along_regime": (dims, np.reshape(regimes, shape), TEXT, "regime of the limit"),
        "along_step_size": (dims, np.reshape([row["step_size"] for row in found], shape), "1", "largest step size"),
        "along_noise_level": (
            dims, np.where(np.isnan(levels), 0.0, levels), "1", "largest noise level (0: the mechanism has none)"
        ),
        "along_steps": (dims, np.reshape([row["steps"] for row in found], shape), "steps", "length of the run"),
        "along_controls": (dims, np.reshape([len(words) for words in controls], shape), "1", "wrong limits tried"),
        "along_refuted": (dims, np.reshape(failed, shape), "1", "wrong limits that are rejected, as they must be"),
    }  # fmt: skip


def _scales(result: ZeroLossResult, table: dict[Any, Any]) -> dict[str, Entry]:
    """Over (motion, variable): the exponent of the time in step size and noise level."""
    dims = ("motion", "variable")
    data = result.scales.dataset
    motions, variables = data["time_scale"].values.tolist(), data["variable"].values.tolist()
    found = [table.get(("time scales", name, f"exponent in {key}")) for name in motions for key in variables]
    still = [table.get(("time scales", name, "standstill")) for name in motions]
    shape = len(motions), len(variables)
    skipped = ("predicted_error", "paths_needed")
    arrays, verdicts = _numbers(found, shape, skipped), _words(found, shape)
    note = np.where(np.isnan(arrays["measured"]), NO_EXPONENT, "").astype(object)
    for place, row in enumerate(still):
        if row is not None:
            verdicts[place], note[place] = row["verdict"], STILL
    return _entries("exponent", dims, arrays, "exponent of the time of a motion") | {
        "exponent_verdict": (dims, verdicts, TEXT, "verdict on the exponent"),
        "exponent_note": (dims, note, TEXT, "why an exponent is missing"),
    }


def _paths(result: ZeroLossResult, table: dict[Any, Any]) -> dict[str, Entry]:
    """Over path_row: orders of paths in the step size, distances of laws."""
    dims = ("path_row",)
    found = []
    for each in result.paths:
        for name in each.found.dataset["row"].values.tolist():
            here = each.found.dataset.sel(row=name)
            quantity = f"{'order of ' if here['kind'].item() == 'order' else ''}{name}"
            found.append(table[f"paths: {each.name}", str(here["phase"].item()), quantity])
    shape = (len(found),)
    arrays = _numbers(found, shape, ("predicted_error",))
    note = np.where(np.isnan(arrays["measured"]), NOT_RESOLVED, "").astype(object)
    return _entries("path", dims, arrays, "order in the step size, or distance of laws at the smallest one") | {
        "path_verdict": (dims, _words(found, shape), TEXT, "verdict on that"),
        "path_control": (dims, [row["controls"] for row in found], TEXT, "the same against a wrong limit"),
        "path_note": (dims, note, TEXT, "why an order is missing"),
    }


def _regressions(result: ZeroLossResult) -> dict[str, Entry]:
    """Over (task, selector, start): test errors, and each mechanism's own limit tried; over task: the others."""
    dims = ("task", "selector", "start")
    each: dict[str, list[np.ndarray]] = {}
    for data in result.regressions:
        own = np.arange(data.sizes["mechanism"])
        for key in ("trial_verdict", "trial_gap", "trial_band", "trial_change"):
            # (start, quantity, mechanism, tried) -> (mechanism, start, quantity)
            each.setdefault(key, []).append(np.moveaxis(data[key].values[:, :, own, own], -1, 0))
        for key in ("test_error", "test_error_error", "test_error_limit"):
            each.setdefault(key, []).append(data[key].values[..., -1])
        each.setdefault("floor", []).append(data["floor"].values)
        each.setdefault("zero", []).append(data["zero_test_error"].values)
        counts = rejected(data)
        each.setdefault("rejected", []).append(np.array(counts))
    found = {key: np.stack(arrays) for key, arrays in each.items()}
    tried = (*dims, "displaced")
    change = found["trial_change"].astype(float)
    return {
        "test_error": (dims, found["test_error"], "1", "test error at the last step"),
        "test_error_error": (dims, found["test_error_error"], "1", "standard error of the test error"),
        "test_error_limit": (dims, found["test_error_limit"], "1", "test error of the limit"),
        "zero_test_error": (("task",), found["zero"], "1", "test error of predicting 0"),
        "selected_verdict": (tried, found["trial_verdict"], TEXT, "verdict on the mechanism's own limit"),
        "selected_gap": (tried, found["trial_gap"] / change, "1", "measured minus limit, over the limit's change"),
        "selected_gap_error": (tried, found["trial_band"] / change, "1", "half of the band of that gap"),
        "floor": (dims, found["floor"], TEXT, "verdict on the ratio of the test error to a limit that vanishes"),
        "limits_refuted": (("task",), found["rejected"][:, 0], "1", "limits of other mechanisms that are rejected"),
        "limits_tried": (("task",), found["rejected"][:, 1], "1", "limits of other mechanisms that were tried"),
    }


def _subsets(result: ZeroLossResult) -> dict[str, Entry]:
    """Over interpolator: the mean test error on random subsets of the real rows."""
    values = list(result.subsets.values())
    means = [each.mean() for each in values]
    errors = [each.std(ddof=1) / np.sqrt(each.size) for each in values]
    return {
        "subset_error": (("interpolator",), means, "1", "mean test error over random subsets of the real rows"),
        "subset_error_error": (("interpolator",), errors, "1", "standard error of the mean test error"),
    }


def _network(result: ZeroLossResult) -> dict[str, Entry]:
    """Over selector: what each mechanism does to the test error of the two-layer network."""
    data, dims = result.network, ("selector",)
    told = {found.name: found for found in findings(data, result.study.confidence, result.study.tolerance, 1)}
    here = [told[name] for name in result.regressions[0]["mechanism"].values.tolist()]
    origin = float(here[0].cell["test_error_limit"][0])
    what = "change of the network's test error by the end of the run"
    return {
        "network_test_error": ((), origin, "1", "test error of the network's first interpolator"),
        "network_change": (dims, [found.change for found in here], "1", what),
        "network_change_error": (dims, [found.half for found in here], "1", f"half of the interval of the {what}"),
        "network_limit": (dims, [found.limit for found in here], "1", f"{what}: by the limit"),
        "network_finite_step": (dims, [found.finite_step for found in here], "1", f"{what}: by it at this step size"),
        "network_steps": (dims, [int(found.cell["steps"]) for found in here], "steps", "length of the network's run"),
        "network_verdict": (dims, [found.verdict for found in here], TEXT, "what noise does to the network"),
        "network_agreement": (dims, [found.agreement for found in here], TEXT, "verdict on the network's limit"),
    }


def _counts(table: Iterable[Any]) -> dict[str, Entry]:
    """Over outcome: how many predictions of all have it."""
    said = [row["verdict"] for row in table]
    counts = [said.count(verdict) for verdict in VERDICTS]
    return {
        "predictions": (("outcome",), counts, "1", "predictions with that verdict"),
        "agreeing_share": ((), said.count("agrees") / max(len(said), 1), "1", "part of all predictions that agree"),
    }
