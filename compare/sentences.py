"""What a comparison found, in sentences computed from its dataset."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from sgdlimits.exact.claims import Claim, bibliography

from .grids import number

if TYPE_CHECKING:
    import xarray

ROUNDING = 1e-10  # of the largest part: smaller ones are zero but for rounding
LABELS = {
    "risk": "expected risk",
    "norm": "mean norm of x",
    "test_risk": "expected risk on the held-out samples",
}


def label(dataset: xarray.Dataset, observable: str) -> str:
    """What an observable is, in words; its own name where nothing better is known."""
    known = json.loads(dataset.attrs.get("labels", "{}"))
    return known.get(observable) or LABELS.get(observable, observable)


def title(dataset: xarray.Dataset) -> str:
    """The processes that are compared."""
    return str(dataset.attrs["title"])


def setting(dataset: xarray.Dataset) -> str:
    """Problem, step size, batch size, start and sample size in one line."""
    attrs = dataset.attrs
    parts = [str(attrs["problem"])]
    if np.isfinite(attrs["step_size"]):
        parts.append(f"step size {attrs['step_size']:.6g}")
    if attrs["batch_size"]:
        parts.append(f"batch size {attrs['batch_size']}")
    parts += [f"start: {attrs['x0']}", f"{attrs['paths']} paths of each process, seed {attrs['seed']}"]
    return "; ".join(parts)


def reading(dataset: xarray.Dataset) -> str:
    """How the verdict table is to be read."""
    attrs = dataset.attrs
    return (
        "difference = other − reference. exact: computed from moment equations, not sampled; ±: one standard "
        f"error; {100 * attrs['confidence']:g} % intervals hold one at a time. predicted: leading term of "
        "theory in the step size. agrees: the whole interval lies within "
        f"{100 * attrs['tolerance']:g} % of the reference; "
        "differs: all of it lies outside; undecided: neither."
    )


def finding(dataset: xarray.Dataset) -> str:
    """The result at the last step in one sentence, and how the other processes and steps fared."""
    observable = _main_observable(dataset)
    reference, first, *others = dataset["process"].values.tolist()
    last = int(dataset["step"].values[-1])
    end = dataset.sel(observable=observable, step=last)
    verdict = str(end["verdict"].sel(process=first).item())
    sides, name = f"{first} and {reference}", label(dataset, observable)
    judged = {
        "agrees": f"{first} agrees with {reference} in {name}",
        "differs": f"{first} differs from {reference} in {name}",
    }.get(verdict, f"it is undecided whether {sides} agree in {name}")
    tolerance = f"tolerance {100 * dataset.attrs['tolerance']:g} %"
    text = f"At step {last} {judged} ({tolerance}): the difference is {_difference(end, first, reference)}."
    text += " " + _over_steps(dataset, observable, first)
    if others:
        gaps = np.abs(end["difference"].sel(process=[first, *others]).values)
        if np.isfinite(gaps).any():
            closest = [first, *others][int(np.nanargmin(gaps))]
            said = _difference(end, closest, reference)
            text += f" At that step {closest} is the closest" + ("." if closest == first else f" ({said}).")
    return text


def _main_observable(dataset: xarray.Dataset) -> str:
    names = dataset["observable"].values.tolist()
    return "risk" if "risk" in names else names[0]


def _difference(end: xarray.Dataset, process: str, reference: str) -> str:
    """Relative and absolute difference with its uncertainty."""
    side = end.sel(process=process)
    value, scale = float(side["difference"]), abs(float(end["estimate"].sel(process=reference)))
    lower, upper = float(side["difference_lower"]), float(side["difference_upper"])
    exact = bool(side["exact"]) and bool(end["exact"].sel(process=reference))
    known = "exact" if exact else f"interval {number(lower, 3, True)} to {number(upper, 3, True)}"
    relative = f"{number(100 * value / scale, 2, True)} %, " if scale and np.isfinite(value) else ""
    return f"{relative}{number(value, 3, sign=True)}, {known}"


def _over_steps(dataset: xarray.Dataset, observable: str, process: str) -> str:
    moved = dataset.sel(observable=observable, process=process)
    moved = moved.sel(step=moved["step"] > 0)
    verdicts = moved["verdict"].values.astype(str)
    counts = {word: int((verdicts == word).sum()) for word in ("agrees", "differs", "undecided")}
    said = ", ".join(f"{word} at {count}" for word, count in counts.items() if count)
    return f"Of {verdicts.size} recorded steps it {said}."


def dominating_part(dataset: xarray.Dataset, process: str) -> str | None:
    """Name of the largest part of the error budget at the last step; None where there is no budget."""
    if "budget" not in dataset:
        return None
    values = np.abs(dataset["budget"].sel(process=process).isel(step=-1).values)
    if not np.isfinite(values).any() or not np.nanmax(values):
        return None
    return str(dataset["part"].values[int(np.nanargmax(values))])


def budget_parts(dataset: xarray.Dataset, process: str) -> list[tuple[str, float, float]]:
    """(part, value, standard error) at the last step, largest first, without those that are rounding."""
    if "budget" not in dataset:
        return []
    here = dataset.sel(process=process).isel(step=-1)
    parts = [
        (str(part), float(here["budget"].sel(part=part)), float(here["budget_error"].sel(part=part)))
        for part in dataset["part"].values
    ]
    largest = max((abs(part[1]) for part in parts if np.isfinite(part[1])), default=0.0)
    parts = [part for part in parts if abs(part[1]) > ROUNDING * largest]
    return sorted(parts, key=lambda part: -abs(part[1]))


def budget(dataset: xarray.Dataset) -> list[str]:
    """The error budget of the expected risk at the last step, a sentence a process."""
    last = int(dataset["step"].values[-1])
    found = []
    for process in dataset["process"].values.tolist()[1:]:
        parts = budget_parts(dataset, process)
        if not parts:
            continue
        listed = "; ".join(
            f"{part} {number(value, 3, sign=True)} {'±' + number(error, 1) if error else 'exact'}"
            + (" (the largest)" if place == 0 and len(parts) > 1 else "")
            for place, (part, value, error) in enumerate(parts)
        )
        found.append(f"Risk budget at step {last}, {process}: {listed}.")
    reason = str(dataset.attrs.get("budget_absent", ""))
    return found + ([f"No error budget: {reason}"] if reason and not found else [reason] if reason else [])


def stability(dataset: xarray.Dataset) -> list[str]:
    """Where the step size stands against each process's threshold."""
    return [note["sentence"] for note in json.loads(dataset.attrs.get("stability", "[]"))]


def mismatches(dataset: xarray.Dataset) -> list[str]:
    """What the sides do not share."""
    return [f"MISMATCH: {sentence}." for sentence in json.loads(dataset.attrs.get("mismatches", "[]"))]


def overflowed(dataset: xarray.Dataset) -> list[str]:
    """How many paths left the range of numbers, and when."""
    counts = json.loads(dataset.attrs.get("overflowed", "{}"))
    return [
        f"OVERFLOW: {count} of {dataset.attrs['paths']} paths of {process} left the range of floating-point "
        f"numbers, the first at step {step}; their means are infinite from there on."
        for process, (count, step) in counts.items()
        if count
    ]


def claims(dataset: xarray.Dataset) -> list[tuple[Claim, list[str]]]:
    """What theory claims, each statement once, with the processes it is claimed of."""
    found: dict[Claim, list[str]] = {}
    for note in json.loads(dataset.attrs.get("claims", "[]")):
        claim = Claim(note["statement"], tuple(note["assumptions"]), note["source"], note["order"])
        found.setdefault(claim, []).append(note["process"])
    return list(found.items())


def claims_text(dataset: xarray.Dataset) -> str:
    """Statements, hypotheses, sources and BibTeX of what a comparison rests on."""
    found = claims(dataset)
    if not found:
        return "No claim of theory is attached to these processes."
    parts = [f"{', '.join(processes)}: {claim}" for claim, processes in found]
    return "\n\n".join([*parts, bibliography([claim for claim, _ in found])]).rstrip()


def orders_title(dataset: xarray.Dataset) -> str:
    """What the ladder of step sizes measured."""
    return str(dataset.attrs.get("title", "observed weak orders"))


def orders_reading(dataset: xarray.Dataset) -> str:
    """How the table of orders is to be read."""
    ladder = dataset["step_size"].values
    return (
        f"Errors against the reference are exact (moment equations) at {ladder.size} step sizes from "
        f"{number(ladder.min(), 3)} to {number(ladder.max(), 3)}, at one fixed time. observed order: slope "
        "of log error against log step size ± its standard error. constant: limit of error/step size^order, "
        "beside the one that theory predicts. A slope alone proves little: gradient flow has order 1 too. "
        "–: the error changes sign along the ladder, or is rounding."
    )


def gelbrich(dataset: xarray.Dataset) -> str:
    """The lower bounds on the Wasserstein-2 distance of the positions at the last step; empty without any."""
    if "gelbrich" not in dataset:
        return ""
    reference, *others = dataset["process"].values.tolist()
    last = dataset["gelbrich"].isel(step=-1)
    bounds = [(name, float(last.sel(process=name))) for name in others]
    known = ", ".join(f"{name} {number(bound, 3)}" for name, bound in bounds if np.isfinite(bound))
    if not known:
        return ""
    return (
        f"The Wasserstein-2 distance of the law of x at step {int(dataset['step'].values[-1])} to that of "
        f"{reference} is at least (exact, Gelbrich's bound from means and covariances): {known}."
    )
