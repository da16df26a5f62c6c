"""Every number of compare.laws, as arrays: statistics, predictions, budgets, cautions, distances."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from sgdlimits.ensembles.initial import initial_moments

from ..capabilities import has_moments, stability_notes
from ..predictions import leading_error
from . import budget as budgets
from .between_laws import distance_steps, distances_of, gelbrich_bounds, quantiles_of
from .deviations import deviations_of, short
from .gathered import Gathered
from .noise import noise_shares, off_by_more
from .sides import Side
from .statistics import ROUNDING, LawStatistics, law_statistics, worst_of
from .tails import LOST, growth_notes, meanless_notes, powers_of, tail_notes, tail_of


@dataclass(frozen=True, eq=False)
class Numbers:
    """All numbers of a comparison.

    Attributes
    ----------
    variables : dict
        Name -> (axes, array).
    distance_places : array of int
        Places of the recorded steps at which distances are measured.
    stability : str
        Thresholds of the processes, as JSON.
    budget_absent : str
        Why some sides have no error budget.
    tails, growth : str
        What is known of the tail indices, and with which powers of |x| users' functions grow, as JSON.
    meanless : str
        Which known laws have no mean, as JSON.
    """

    variables: dict[str, Any]
    distance_places: np.ndarray
    stability: str
    budget_absent: str
    tails: str
    growth: str
    meanless: str


def numbers_of(found: Gathered) -> Numbers:
    """Every number of the comparison, from what was gathered."""
    sides, observables, run = found.sides, found.observables, found.run
    powers = powers_of(found)
    tails = [tail_of(side, power) for side, power in zip(sides, powers)]
    statistics = law_statistics(found, tails, powers)
    predicted = np.full(statistics.estimate.shape, np.nan)
    # Theory follows the process; it says nothing where the rows are about a scheme.
    leading = predicted_risk([None if side.scheme else side.process for side in sides], run.x0, run.record)
    about_risk = [observable.source == "risk" for observable in observables]
    predicted[:, about_risk] = leading[:, None]
    predicted[np.abs(predicted) <= ROUNDING * statistics.scale] = 0.0  # terms that cancel
    spread = deviations_of(found)
    parts, absent = budgets.budgets_of(found, spread.exact)
    worst = worst_of(statistics, run.record, found.tolerance)
    about_scheme = [bool(side.scheme) for side in sides]
    cancelling, main = budgets.cancellations(
        parts.get("budget"), about_scheme, about_risk, run.record, worst["worst_step"]
    )
    stability = stability_of(sides)
    unstable = {note["process"] for note in stability if not note["stable"]}
    shares = noise_shares(found.processes, run.x0)
    cautions = cautions_of(
        sides, statistics, predicted, cancelling, [side.label in unstable for side in sides],
        off_by_more(shares)[:, None] & (worst["overall"] == "agrees"),
        short(spread.exact, spread.sampled, spread.error).any(axis=1)[:, None] & about_risk,
        [sample is not None and sample.overflowed is not None for sample in found.samples], run.record > 0,
    )  # fmt: skip
    places = distance_steps(run.record)
    axes = ("process", "observable", "step")
    variables = statistics.variables() | {
        "predicted": (axes, predicted),
        "caution": (axes[:2], cautions),
        "worst_part": (axes[:2], main),
        "noise_share": (("process", "place"), shares),
        "quantiles": ((*axes, "quantile"), quantiles_of(found)),
    }
    variables |= {name: (axes[:2], values) for name, values in worst.items()} | spread.variables()
    variables |= distances_of(found, places, statistics.lost == LOST[0])
    bound = gelbrich_bounds(found.moments)
    if bound is not None:
        variables["gelbrich"] = (("process", "step"), bound)
    over = {3: ("process", "part", "step"), 2: ("process", "step")}
    variables |= {name: (over[array.ndim], array) for name, array in parts.items()}
    said = tail_notes(sides, tails), growth_notes(observables, powers), meanless_notes(found, statistics.lost)
    return Numbers(variables, places, json.dumps(stability), absent, *said)


def stability_of(sides: Sequence[Side]) -> list[dict[str, Any]]:
    """Thresholds of the processes; of a scheme, whether it settles at its increments."""
    notes = []
    for side in sides:
        if not side.scheme:
            notes += stability_notes([side.process], [side.label])
        elif side.scheme_settles is not None:
            state = "stable" if side.scheme_settles else "NOT stable"
            sentence = f"{side.label}: {state} in mean square at {side.scheme['substeps']} of its increments a step."
            notes.append({"process": side.label, "stable": side.scheme_settles, "sentence": sentence})
    return notes


def predicted_risk(processes: Sequence[Any], x0: Any, record: np.ndarray) -> np.ndarray:
    """Leading-order difference of E risk (processes, steps); nan where theory gives none."""
    predicted = np.full((len(processes), len(record)), np.nan)
    reference = processes[0]
    for index, process in enumerate(processes[1:], start=1):
        if budgets.obstacle(reference, process) or not has_moments(reference):
            continue
        mean, covariance = initial_moments(x0, reference.problem.dimension)
        vectors = reference.problem.eigenvectors
        leading = leading_error(
            reference, process, reference.problem.to_modes(mean), vectors.T @ covariance @ vectors,
            record * reference.step_size,
        )  # fmt: skip
        predicted[index] = leading.risk() * reference.step_size**leading.order
    return predicted


def cautions_of(
    sides: Sequence[Side], statistics: LawStatistics, predicted: np.ndarray,
    cancelling: np.ndarray, unstable: Sequence[bool], other_noise: np.ndarray, narrow: np.ndarray,
    overflowed: Sequence[bool], moved: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Words (process, observable) on why not to trust a row, "; " between them; empty when there is nothing to say."""
    shape = statistics.exact.shape
    found = np.full(shape, "", dtype=object)
    for row in product(range(1, shape[0]), range(shape[1])):
        words, index = [], row[0]
        pair = [sides[0], sides[index]]
        if any(side.note for side in pair):
            words.append("scheme replaced")
        if any(unstable[i] for i in (0, index)):
            words.append("unstable")
        lost = {str(statistics.lost[i, row[1]]) for i in (0, index)} - {""}
        words += [word for word in LOST if word in lost]
        infinite = np.isinf(statistics.estimate[:, row[1]])[:, moved].any(axis=1)
        overflows = [bool(statistics.exact[i, row[1]] or overflowed[i]) for i in (0, index) if infinite[i]]
        words += ["overflow"] * (True in overflows) + ["infinite value"] * (False in overflows)
        if not lost and (statistics.unsure[row] & np.isfinite(statistics.difference[row])).any():
            words.append("tails")
        if any(narrow[i, row[1]] and not statistics.exact[i, row[1]] for i in (0, index)):
            words.append("rare paths")
        exact = statistics.exact[row] and statistics.exact[0, row[1]]
        error = np.hypot(statistics.standard_error[row], statistics.standard_error[0, row[1]])
        if not exact and (statistics.integrator[row] > np.maximum(error, 1e-300) * 1.5).any():
            words.append("integrator")
        expected = predicted[row]
        with np.errstate(invalid="ignore"):
            off = np.abs(statistics.difference[row] - expected) > 0.5 * np.abs(statistics.difference[row])
        if (off & np.isfinite(expected) & (expected != 0)).any():
            words.append("higher orders")
        if cancelling[row]:
            words.append("errors cancel")
        if other_noise[row]:
            words.append("other noise")
        found[row] = "; ".join(words)
    return found
