"""What tail indices take from the rows: means, variances, intervals that would mean nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sgdlimits.ensembles.observables import Reducer
from sgdlimits.problems.quadratic import QuadraticProblem

from ..known_tails import KnownTail, known_tail, lost_to_tails
from .gathered import Gathered
from .growth import growth_in_words, growth_of
from .means import Mean
from .observables import Observable, Watched, starting_points
from .sides import KnownSide, Side, risk_of

if TYPE_CHECKING:
    import xarray

LOST = ("no mean", "no variance")


def power_of(observable: Observable, side: Side, start: np.ndarray) -> float | None:
    """The power of |x| with which an observable of a side grows: known, or seen far out; None where it is neither."""
    source = observable.source.function if isinstance(observable.source, Reducer) else observable.source
    if source == "norm":
        return 1.0
    if source == "risk" or observable.name == "test_risk":
        if side.problem is None or isinstance(side.problem, QuadraticProblem) or source != "risk":
            return 2.0
        source = risk_of(side.problem)
    if isinstance(source, Watched) and source.quadratic is not None and not source.left:
        return 2.0 if np.any(source.quadratic.matrix) else 1.0 if np.any(source.quadratic.linear) else 0.0
    return growth_of(source, start) if callable(source) else None


def powers_of(found: Gathered) -> list[dict[str, float | None]]:
    """Of each side, the powers of the observables whose means are taken from its paths."""
    start = starting_points(found.run.x0, found.dimension).mean(axis=0)
    known: dict[tuple[str, int], float | None] = {}

    def power(observable: Observable, side: Side) -> float | None:
        key = observable.name, id(side.problem) if observable.source == "risk" else 0
        if key not in known:
            known[key] = power_of(observable, side, start)
        return known[key]

    return [
        {o.name: power(o, side) for o in found.observables if side.expectation(o, moments) is None}
        if sample is not None else {}
        for side, sample, moments in zip(found.sides, found.samples, found.moments)
    ]  # fmt: skip


def tail_of(side: Side, powers: Mapping[str, float | None]) -> KnownTail:
    """What is known of the tail of what the rows are about: of a process, or of a scheme whose moments close."""
    if isinstance(side, KnownSide):
        return KnownTail()
    if side.scheme:
        return {
            None: KnownTail(),
            True: KnownTail(2.0, math.inf, "the scheme's own second moment settles"),
            False: KnownTail(0.0, 2.0, "the scheme's own second moment does not settle"),
        }[side.scheme_settles]
    orders = [times * power for power in powers.values() if power is not None for times in (1, 2)]
    return known_tail(side.process, orders)


def without_meaning(mean: Mean, tail: KnownTail, power: float | None, record: np.ndarray) -> tuple[Mean, str]:
    """The mean less what its side's tail makes meaningless, and what that was, one of `LOST` or nothing.

    What is exact stays: at every finite step it is finite or known to be infinite; but for a known law without a mean.
    """
    if mean.exact:
        return mean, LOST[0] if np.isnan(mean.value).any() else ""
    lost = lost_to_tails(tail, power)
    moved = record > 0
    if not lost or not moved.any():
        return mean, ""
    value = np.where(moved, np.nan, mean.value) if lost == "no mean" else mean.value
    return replace(mean, value=value, unsure=mean.unsure | moved, errorless=moved), lost


def tail_notes(sides: list[Side], tails: list[KnownTail]) -> str:
    """JSON: what is known of each side's index, and of which sides it cannot be the reference's."""
    return json.dumps(
        [
            {
                "process": side.label, "index": str(tail), "why": tail.why,
                "other": bool(place) and tail.apart_from(tails[0]), "upper": min(tail.upper, 1e300),
            }
            for place, (side, tail) in enumerate(zip(sides, tails))
            if tail.known
        ]
    )  # fmt: skip


def growth_notes(observables: Sequence[Observable], powers: Sequence[Mapping[str, float | None]]) -> str:
    """JSON: the power of each sampled function of the user's, null where none was found."""
    functions = [observable.name for observable in observables if isinstance(observable.source, (Watched, Reducer))]
    seen = {name: side[name] for side in powers for name in functions if name in side}
    return json.dumps({name: None if power is None else min(power, 1e300) for name, power in seen.items()})


def meanless_notes(found: Gathered, lost: np.ndarray) -> str:
    """JSON: a sentence for each observable of a known law, `lost` over (process, observable), that has no mean."""
    return json.dumps(
        [
            f"the law of {observable.name} that {side.label} states has no finite mean, so that no means are compared "
            "and there is no verdict; quantiles and the Kolmogorov-Smirnov distance stand"
            for side, row in zip(found.sides, lost)
            for observable, word in zip(found.observables, row)
            if isinstance(side, KnownSide) and word == LOST[0]
        ]
    )


def meanless(dataset: xarray.Dataset) -> list[str]:
    """Which known laws have no mean."""
    return [f"LAW: {sentence}." for sentence in json.loads(dataset.attrs.get("meanless", "[]"))]


def tails(dataset: xarray.Dataset) -> list[str]:
    """What is known of the tail indices; marked where it takes a mean or an interval away, or sides are not alike."""
    known = json.loads(dataset.attrs.get("tails", "[]"))
    said = "; ".join(f"{note['process']} {note['index']} ({note['why']})" for note in known)
    if not said:
        return []
    reference = dataset["process"].values.tolist()[0]
    lost = any(word in text for text in dataset["caution"].values.ravel().tolist() for word in LOST)
    lost = lost and any(note["upper"] < 1e300 for note in known)  # else a known law lost it
    apart = [note["process"] for note in known if note["other"]]
    heavy = any(note["upper"] <= 2 for note in known)
    text = f"Tail indices of the stationary laws: {said}."
    grown = json.loads(dataset.attrs.get("growth", "{}"))
    said = "; ".join(f"{name} {growth_in_words(power)}" for name, power in grown.items())
    text += f" Far out, as seen along rays: {said}." if said and lost else ""
    if apart:
        text += f" The index of {' and of '.join(apart)} is not that of {reference}."
    return [f"TAILS: {text}" if apart or lost or heavy else text]
