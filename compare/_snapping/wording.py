"""Sentences about a drop of the noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..drops import BATCH
from ..text_table import number

if TYPE_CHECKING:
    import xarray

SEEN = {
    "early": "the drop is recent beside the run before it",
    "late": "long after the drop",
}
RUNNING = 0.01  # phi down to which the quasi-static prediction is judged


def settings_of(told: Mapping[str, Any]) -> str:
    """Problem, settings before and after."""
    given = told["step_size"], told["step_size_after"]
    sizes = [size if isinstance(size, str) else f"{size:g}" for size in given]
    batch = f"{told['batch_size']}"
    if told["drop"] == BATCH:
        batch += f", then {told['batch_size_after']}" if told["batch_size_after"] else ", then gradient descent"
    size = sizes[0] if told["drop"] == BATCH else f"{sizes[0]}, then {sizes[1]}"
    momentum = f", momentum {told['momentum']:g}" if told["momentum"] else ""
    return f"{told['problem']}; step size {size}; batch size {batch}{momentum}; {told['sampling'].replace('_', ' ')}"


def notes_of(dataset: xarray.Dataset) -> list[str]:
    """What is needed to read the tables."""
    told = dataset.attrs
    reading = (
        "Exact: nothing is sampled. gap: expected risk of snapped less that of low, less the same of gradient descent "
        "with their step sizes. phi: over the gap at the drop. psi: over the risk of low. over excess: over its risk "
        "above the least. slope: d log gap / d log steps, over a factor of two. left for ever: stationary excess risk "
        "above that of gradient descent."
    )
    about = [*_sign(dataset), *_how_it_falls(dataset), *_quasi_static(dataset), *_power(told)]
    return [reading, _matched(dataset), *about]


def _matched(dataset: xarray.Dataset) -> str:
    told = dataset.attrs
    if told["drop"] == BATCH:
        return (
            "Matched at equal steps: the runs have one mean path, that of gradient descent, and the gap is a linear "
            "recurrence of its own, known to rounding of itself."
        )
    largest = float(np.abs(dataset["noiseless_gap"]).max())
    cut = f", a shorter one of {told['cut']:.6g} just before," if told["cut"] else ""
    return (
        f"Matched at equal sums of step sizes: the low run has made {told['met_at']} steps{cut} when the noise drops, "
        "and from there both take the same. The two runs of gradient descent differ there too, by at most "
        f"{number(largest)}, which is not counted as noise."
    )


def _sign(dataset: xarray.Dataset) -> list[str]:
    first = float(dataset["gap"][0])
    if dataset.attrs["void"]:
        return [
            "There is no gap at the drop, to rounding: phi is void and the times to fractions too; psi and the gap "
            "itself stand."
        ]
    if first < 0:
        return ["The gap is negative: what drops raises the noise, and the snapped run comes from the better side."]
    return []


def _how_it_falls(dataset: xarray.Dataset) -> list[str]:
    told = dataset.attrs
    if told["void"]:
        return []
    if told["falls_from"] >= 0:
        return [
            f"From step {told['falls_from']} after the drop on the gap is proved to fall: D - A D is positive "
            "semidefinite there, and A keeps it so."
        ]
    return [
        "No proof was found that the gap falls at every step: a time is that of the first fall so far, and it may rise "
        "again."
    ]


def _quasi_static(dataset: xarray.Dataset) -> list[str]:
    told, gap, said = dataset.attrs, dataset["gap"].values, dataset["quasi_static"].values
    if told["void"]:
        return []
    at_drop = said[0] / gap[0] - 1
    running = (np.abs(dataset["phi"].values) >= RUNNING) & (gap * gap[0] > 0)
    worst = np.abs(said[running] / gap[running] - 1).max()
    return [
        "quasi-static: variances as if the risk had long been what it is at the drop, fading in flow time; its error "
        f"here is {at_drop:+.1%} of the gap at the drop, at most {worst:.0%} while phi is at least {RUNNING:g} among "
        "the recorded steps."
    ]


def _power(told: Mapping[str, Any]) -> list[str]:
    power = told["power"]
    if np.isnan(power):
        return [
            "No exponent is predicted: the eigenvalues are not c i^-a with a above 1 to 5 %, or fewer than 8."
        ]
    return [
        f"Eigenvalues are c i^-{power:.4g}, to {told['deviation']:.1g} of themselves: the gap should fall as "
        f"steps^-{1 - 1 / power:.4g} far below, and steps^-{2 - 1 / power:.4g} far above, the steps before the drop, "
        f"and between as j^-a - (j + k)^-a, a = {1 - 1 / power:.4g}, k steps before it, which comes to these slowly "
        "(derived, for quasi-static noise and many modes; without a ridge and with one step size after the drop)."
    ]
