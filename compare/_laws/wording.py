"""What a comparison found, in sentences computed from its dataset."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from ..text_table import number
from .deviations import spread
from .noise import FACTOR, off_by_more
from .tails import meanless, tails

if TYPE_CHECKING:
    import xarray

ROUNDING = 1e-10  # of the largest part: smaller ones are zero but for rounding
SHOWN = 1e-3  # of a part: the rounding that its printed digits would show
LABELS = {
    "risk": "expected risk",
    "excess": "expected risk above the least",
    "norm": "mean norm of x",
    "test_risk": "expected risk on the held-out samples",
}


def label(dataset: xarray.Dataset, observable: str) -> str:
    """What an observable is, in words; its own name where nothing better is known."""
    return LABELS.get(observable, observable)


def title(dataset: xarray.Dataset) -> str:
    """The processes that are compared."""
    return str(dataset.attrs["title"])


def setting(dataset: xarray.Dataset) -> str:
    """Problem, step size, batch size, start and sample size in one line."""
    attrs = dataset.attrs
    parts = [str(attrs["problem"])] if attrs["problem"] else []
    if np.isfinite(attrs["step_size"]):
        parts.append(f"step size {attrs['step_size']:.6g}")
    elif attrs.get("schedule"):
        parts.append(f"step size {attrs['schedule']}")
    if attrs["batch_size"]:
        parts.append(f"batch size {attrs['batch_size']}")
    parts += [f"start: {attrs['x0']}", f"{attrs['paths']} paths of each process, seed {attrs['seed']}"]
    return "; ".join(parts)


def reading(dataset: xarray.Dataset) -> str:
    """How the tables are to be read."""
    attrs = dataset.attrs
    level, tolerance = f"{100 * attrs['confidence']:g} %", f"{100 * attrs['tolerance']:g} %"
    return (
        "difference = other − reference. exact: computed from moment equations or a closed form, not sampled; ±: one "
        f"standard error. A {level} band holds at all recorded steps at once, a {level} interval at one; both contain "
        "the integrator's part. worst difference: at the step where it is the largest part of its scale. predicted: "
        "leading term of theory in the step size. agrees: the whole interval lies "
        f"within {tolerance} of the scale; differs: all of it lies outside (for a band: at some step); undecided: "
        "neither; none: a side has no mean. mostly: the largest part of the budget there."
    )


CAUTIONS = {
    "scheme replaced": "another scheme than the one that was asked for was run, see below",
    "unstable": "the second moment of a side grows without bound: what it shows is growth, not a law that settles",
    "overflow": "a mean is infinite, by its moment equations or because a path left the range of numbers",
    "infinite value": "the observable is infinite on some path, and with it its mean",
    "no mean": "the tail index of a side is at most the power of |x| with which the observable grows, see TAILS, so "
    "that a mean over paths estimates nothing that settles, or a known law has none, see LAW: none is printed",
    "no variance": "the tail index of a side is at most twice the power of |x| with which the observable grows, see "
    "TAILS: the stationary variance is infinite, so the paths give no interval",
    "tails": "at some step one path carries more than a quarter of a mean's variance, or none differs from the others: "
    "no interval can be given there, more paths or a bounded observable are needed",
    "rare paths": "the paths show less of the risk's standard deviation than there is, see SPREAD: its intervals are "
    "too narrow",
    "integrator": "the integrator's part is larger than the Monte Carlo error; give substeps, or more paths",
    "higher orders": "the predicted leading term is off by more than half: higher orders in the step size dominate",
    "other noise": "the row agrees although the noise covariances differ by more than a factor of two, see NOISE: up "
    "to this horizon and on this scale that hardly shows; a longer run, the norm or the laws of x may show it",
    "errors cancel": "the difference is less than half of its largest part: two errors cancel, see the budget",
}


def caution_numbers(dataset: xarray.Dataset) -> dict[str, int]:
    """The reasons not to trust some row, numbered."""
    said = "; ".join(str(text) for text in dataset["caution"].values.ravel()).split("; ")
    return {word: number for number, word in enumerate((word for word in CAUTIONS if word in said), start=1)}


def cautions(dataset: xarray.Dataset) -> list[str]:
    """What the numbers in the column "beware" mean, a sentence each."""
    return [f"({place}) {word}: {CAUTIONS[word]}." for word, place in caution_numbers(dataset).items()]


def scales(dataset: xarray.Dataset) -> str:
    """What the tolerance is a part of, for each observable."""
    words: dict[str, list[str]] = {}
    for name, scale in zip(dataset["observable"].values.tolist(), json.loads(dataset.attrs["scales"])):
        words.setdefault(scale, []).append(name)
    return "Scale of a verdict: " + "; ".join(f"of {', '.join(names)}: {scale}" for scale, names in words.items()) + "."


def notes(dataset: xarray.Dataset) -> list[str]:
    """All that must be known to read the tables."""
    return [
        *noise(dataset), *thresholds(dataset), scales(dataset), *cautions(dataset), reading(dataset),
        *sampling(dataset), *spread(dataset), *tails(dataset), *meanless(dataset), *schemes(dataset), *budget(dataset),
        *stability(dataset), *mismatches(dataset), *overflowed(dataset),
    ]  # fmt: skip


def sampling(dataset: xarray.Dataset) -> list[str]:
    """How the diffusions were sampled."""
    sampled = json.loads(dataset.attrs.get("sampled_by", "{}"))
    if not sampled:
        return []
    listed = "; ".join(
        f"{label}: {solver}" + (f", {substeps} increments a step" if substeps > 1 else "")
        + (" (its part is that at the schedule's largest step size)" if bound else "")
        for label, (solver, substeps, *bound) in sampled.items()
    )
    return [f"Sampled by: {listed}."]


def schemes(dataset: xarray.Dataset) -> list[str]:
    """Which processes were not run by the scheme that was asked for."""
    return [f"SCHEME: {sentence}." for sentence in json.loads(dataset.attrs.get("schemes", "[]"))]


def noise_of(dataset: xarray.Dataset, process: str) -> str:
    """How much of the reference's gradient noise a process has; empty where that is unknown, all or none of it."""
    if "noise_share" not in dataset:
        return ""
    shares = dataset["noise_share"].sel(process=process)
    known = [(str(place), float(shares.sel(place=place))) for place in dataset["place"].values]
    known = [(place, share) for place, share in known if share > 0]  # neither nan nor none at all
    if all(abs(share - 1) < ROUNDING for _, share in known):
        return ""
    return " and ".join(f"{_share(share)} at the {place}" for place, share in known)


def _share(share: float) -> str:
    return f"{number(100 * share, 3)} %" if share < 10 else f"{number(share, 3)} times as much"


def noise(dataset: xarray.Dataset) -> list[str]:
    """The shares of noise in words; marked where one is off by more than a factor of two."""
    reference, *others = dataset["process"].values.tolist()
    said = {process: noise_of(dataset, process) for process in others}
    far = [process for process in others if said[process] and _other_noise(dataset, process)]
    near = "; ".join(f"{process} {said[process]}" for process in others if said[process] and process not in far)
    return [
        f"NOISE: {process} has, of {reference}'s noise covariance (traces), {said[process]}." for process in far
    ] + ([f"Noise covariances as parts of {reference}'s (traces): {near}."] if near else [])


def _other_noise(dataset: xarray.Dataset, process: str) -> bool:
    return "noise_share" in dataset and bool(off_by_more(dataset["noise_share"].sel(process=process).values))


def threshold_of(dataset: xarray.Dataset, process: str) -> str:
    """The mean-square threshold, where it is more than twice the reference's, or less than half of it; else empty."""
    stated = {note["process"]: note for note in json.loads(dataset.attrs.get("stability", "[]"))}
    reference = dataset["process"].values.tolist()[0]
    own, its = (stated.get(name, {}).get("mean_square_threshold", 0.0) for name in (process, reference))
    if not (0 < own < np.inf and 0 < its < np.inf) or 1 / FACTOR <= own / its <= FACTOR:
        return ""
    return f"{number(own / its, 3)} times that of {reference} ({number(own)} against {number(its)})"


def thresholds(dataset: xarray.Dataset) -> list[str]:
    """Thresholds that are far apart; marked."""
    said = {process: threshold_of(dataset, process) for process in dataset["process"].values.tolist()[1:]}
    return [f"THRESHOLD: the mean-square threshold of {process} is {text}." for process, text in said.items() if text]


def marked(dataset: xarray.Dataset) -> list[str]:
    """What a reader must see before any table."""
    loud = [text for text in noise(dataset) if text.startswith("NOISE")] + thresholds(dataset)
    loud += [text for text in spread(dataset) if text.startswith("SPREAD")]
    loud += [text for text in tails(dataset) if text.startswith("TAILS")]
    return loud + meanless(dataset) + schemes(dataset) + mismatches(dataset) + overflowed(dataset)


def finding(dataset: xarray.Dataset) -> str:
    """The result in one sentence, and how the other processes and steps fared."""
    observable = main_observable(dataset)
    reference, first, *others = dataset["process"].values.tolist()
    end = dataset.sel(observable=observable)
    verdict = str(end["overall"].sel(process=first).item())
    sides, name = f"{first} and {reference}", label(dataset, observable)
    judged = {
        "agrees": f"{first} agrees with {reference} in {name}",
        "differs": f"{first} differs from {reference} in {name}",
        "none": f"There is no verdict on {sides} in {name}",
    }.get(verdict, f"It is undecided whether {sides} agree in {name}")
    scale = dict(zip(dataset["observable"].values.tolist(), json.loads(dataset.attrs["scales"])))[observable]
    text = (
        f"{judged}, over all recorded steps (tolerance {100 * dataset.attrs['tolerance']:g} % of {scale}): the worst "
        f"difference is {_worst(end, first)}."
    )
    unstable = unstable_processes(dataset)
    if unstable:
        verb = "is" if len(unstable) == 1 else "are"
        grown = f"{' and '.join(unstable)} {verb} unstable at this step size: second moments grow without bound."
        return f"{grown} {text}"
    text += " " + _over_steps(dataset, observable, first)
    cautioned = str(end["caution"].sel(process=first).item())
    if "errors cancel" in cautioned:
        text += f" There two errors of {first} cancel; at another step size they need not."
    if _other_noise(dataset, first):
        text += " But of" if verdict == "agrees" else " Of"
        text += f" {reference}'s noise covariance (traces) {first} has {noise_of(dataset, first)}."
    if threshold_of(dataset, first):
        text += f" The mean-square threshold of {first} is {threshold_of(dataset, first)}."
    if others:
        gaps = np.abs(end["worst_difference"].sel(process=[first, *others]).values)
        scales = end["worst_scale"].sel(process=[first, *others]).values
        with np.errstate(invalid="ignore", divide="ignore"):
            relative = np.where(scales > 0, gaps / scales, gaps)
        if np.isfinite(relative).all():
            closest = [first, *others][int(np.argmin(relative))]
            said = f" ({_worst(end, closest)})" if closest != first else ""
            cancel = "errors cancel" in str(end["caution"].sel(process=closest).item())
            text += f" By its worst step {closest} is the closest{said}"
            text += ", but because two errors cancel." if cancel else "."
    return text


def unstable_processes(dataset: xarray.Dataset) -> list[str]:
    """Processes past their mean-square threshold, and schemes whose second moments grow."""
    notes = json.loads(dataset.attrs.get("stability", "[]"))
    return [note["process"] for note in notes if not note["stable"]]


def main_observable(dataset: xarray.Dataset) -> str:
    """What the finding speaks of: the excess, else the risk, else the first."""
    names = dataset["observable"].values.tolist()
    return next((name for name in ("excess", "risk") if name in names), names[0])


def _worst(end: xarray.Dataset, process: str) -> str:
    """Relative and absolute worst difference with its uncertainty."""
    side = end.sel(process=process)
    value, scale = float(side["worst_difference"]), float(side["worst_scale"])
    lower, upper = float(side["worst_lower"]), float(side["worst_upper"])
    exact = bool(side["exact"]) and bool(end["exact"][0])
    known = "exact" if exact else f"band {number(lower, 3, True)} to {number(upper, 3, True)}"
    if not np.isfinite(lower + upper):
        known = "exact" if exact else "no interval can be given"
    relative = f"{number(100 * value / scale, 2, True)} % of it, " if scale > 0 and np.isfinite(value) else ""
    return f"{relative}{number(value, 3, sign=True)} at step {int(side['worst_step'])}, {known}"


def _over_steps(dataset: xarray.Dataset, observable: str, process: str) -> str:
    moved = dataset.sel(observable=observable, process=process)
    moved = moved.sel(step=moved["step"] > 0)
    verdicts = moved["verdict"].values.astype(str)
    counts = {word: int((verdicts == word).sum()) for word in ("agrees", "differs", "undecided", "none")}
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


SUM = "sum of the parts that make the difference above"


def error_of_part(error: float, rounding: float = 0.0, value: float = 1.0) -> str:
    """The standard error of a part, or what rounding may make of it; where tails may be heavy none is known."""
    if np.isnan(error):
        return "±?"
    if error:
        return "±" + number(error, 1)
    return f"±{number(rounding, 1)} (rounding)" if rounding > SHOWN * abs(value) else "exact"


def budget_parts(dataset: xarray.Dataset, process: str) -> list[tuple[str, float, str]]:
    """(part, value, its error in words) at the last step, largest first, without those that are rounding."""
    if "budget" not in dataset:
        return []
    here = dataset.sel(process=process).isel(step=-1)
    values, errors, rounding = (here[name].values for name in ("budget", "budget_error", "budget_rounding"))
    sizes = np.abs(values)
    least = np.maximum(ROUNDING * sizes.max(initial=0.0, where=np.isfinite(sizes)), rounding)
    kept = sorted(np.flatnonzero(sizes > least), key=lambda place: -sizes[place])
    return [
        (str(here["part"].values[i]), float(values[i]), error_of_part(errors[i], rounding[i], values[i])) for i in kept
    ]


def budget(dataset: xarray.Dataset) -> list[str]:
    """The error budget of the expected risk at the last step, a sentence a process."""
    last = int(dataset["step"].values[-1])
    found = []
    for process in dataset["process"].values.tolist()[1:]:
        parts = budget_parts(dataset, process)
        if not parts:
            continue
        listed = "; ".join(
            f"{part} {number(value, 3, sign=True)} {error}"
            + (" (the largest)" if place == 0 and len(parts) > 1 else "")
            for place, (part, value, error) in enumerate(parts)
        )
        total = number(float(dataset["budget_sum"].sel(process=process).isel(step=-1)), 4, sign=True)
        found.append(
            f"Risk budget at step {last}, {process}: {listed}. Without what simulation adds they sum to the "
            f"difference in the table, {total}."
        )
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
        f"numbers, the first at step {step}; sampled means are infinite from there on."
        for process, (count, step) in counts.items()
        if count
    ]


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
