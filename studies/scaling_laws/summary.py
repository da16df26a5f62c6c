"""What the study found as one dataset, of one shape for one number of models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.compare._scaling.fits import FRONTIER, LOSS, MEMORY, NOISELESS, NOT_REACHED, OVER_DIMENSION
from sgdlimits.compare._scaling.theory import DISTORTION, FLOOR, KERNEL, SPECTRUM
from sgdlimits.studies.summaries import TEXT, Entry, summary_dataset

from . import tables

if TYPE_CHECKING:
    import xarray

    from .study import ScalingLawsResult

EXPONENTS = (
    f"{SPECTRUM} in {NOISELESS}", f"{DISTORTION} in {NOISELESS}", f"{KERNEL} in {MEMORY}", f"{SPECTRUM} in {LOSS}",
    f"{DISTORTION} in {LOSS}", f"{KERNEL} in {LOSS}", f"{FLOOR} in {OVER_DIMENSION}", *FRONTIER,
)  # fmt: skip
ABSENT = "no such term"
NUMBERS = {
    "measured": "measured exponent, mean over draws", "low": "lower end of its 95 % interval",
    "high": "upper end of its 95 % interval", "derived": "derived exponent", "here": "from the derived terms here",
}  # fmt: skip


def summary(result: ScalingLawsResult) -> xarray.Dataset:
    """Over (model, exponent): measured with its interval, derived, and a verdict."""
    known: dict[tuple[str, str], dict[str, Any]] = {}
    for row in tables.rows(result):
        name = row["curve"] if row["curve"] in FRONTIER else f"{row['term']} in {row['curve']}"
        known[row["model"], name] = row
    models, axes = list(result.models), ("model", "exponent")

    def gathered(name: str, missing: Any) -> np.ndarray:
        return np.array([[known.get((model, each), {}).get(name, missing) for each in EXPONENTS] for model in models])

    found: dict[str, Entry] = {
        name: (axes, gathered(name, np.nan), "1", words) for name, words in NUMBERS.items()
    }
    verdicts = gathered("verdict", ABSENT)
    found["verdict"] = (axes, verdicts.astype(object), TEXT, "what the numbers say")
    missing = np.where(np.isin(verdicts, [ABSENT, NOT_REACHED]), verdicts, "")
    found["missing"] = (axes, missing.astype(object), TEXT, "why there is no number")
    gaps = [max(each.gaps(), key=lambda gap: abs(gap.continuous)) for each in result.models.values()]
    found["continuous_time"] = (
        ("model",), np.array([gap.continuous for gap in gaps]), "1", "largest relative gap of continuous time"
    )  # fmt: skip
    found["continuous_time_step"] = (("model",), np.array([gap.step for gap in gaps]), "steps", "where it is reached")
    places = [f"model {place + 1}" for place in range(len(models))]
    coordinates = {"model": (places, TEXT, "model"), "exponent": (list(EXPONENTS), TEXT, "term and curve")}
    found["model_name"] = (("model",), np.array(models, dtype=object), TEXT, "alpha and beta")
    return summary_dataset(found, coordinates, f"measured exponent={FRONTIER[0]}")
