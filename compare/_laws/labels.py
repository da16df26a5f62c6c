"""The arrays of a comparison labelled: one Dataset, with the settings and what must be said as attributes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.ensembles.initial import Gaussian
from sgdlimits.exact.schedules import StepSizes

from ..capabilities import claim_notes, stated_number
from .budget import PARTS
from .gathered import Gathered
from .noise import PLACES
from .observables import Observable
from .sides import KnownSide, Side
from .between_laws import QUANTILES
from .numbers import Numbers
from .statistics import floor_of

if TYPE_CHECKING:
    import xarray


def dataset_of(found: Gathered, numbers: Numbers) -> xarray.Dataset:
    """The dataset of `Laws`."""
    import xarray as xr

    coordinates = {
        "process": found.labels,
        "observable": [observable.name for observable in found.observables],
        "step": found.run.record,
        "distance_step": found.run.record[numbers.distance_places],
        "quantile": list(QUANTILES),
        "part": list(PARTS),
        "place": list(PLACES),
    }
    first, problem = found.sides[0], found.problem
    attributes = _settings(found) | {
        "title": f"{first.label} against {', '.join(found.labels[1:])}",
        "problem": "" if problem is None else repr(problem),
        "preparation": str(getattr(problem, "preparation", "")),
        "scales": json.dumps([_scale_in_words(observable, first) for observable in found.observables]),
        "mismatches": json.dumps(found.mismatches),
        "claims": claim_notes(found.processes, found.labels),
        "stability": numbers.stability,
        "budget_absent": numbers.budget_absent,
        "tails": numbers.tails,
        "growth": numbers.growth,
        "meanless": numbers.meanless,
    }
    return xr.Dataset(numbers.variables, coords=coordinates, attrs=attributes)


def _scale_in_words(observable: Observable, reference: Side) -> str:
    if observable.name == "excess" or floor_of(observable, reference) is not None:
        held = " held-out" if observable.name == "test_risk" else ""
        return f"the excess of {reference.label} over the least{held} risk"
    return f"the value of {reference.label}"


def _settings(found: Gathered) -> dict[str, Any]:
    import sgdlimits

    sides, run = found.sides, found.run
    overflowed = {s.label: list(p.overflowed) for s, p in zip(sides, found.samples) if p is not None and p.overflowed}
    sampled = {
        side.label: [sample.increments.solver, sample.increments.substeps] + ([True] if sample.increments.bound else [])
        for side, sample in zip(sides, found.samples)
        if sample is not None and sample.increments is not None
    }
    first, (solver, substeps) = sides[0].process, found.asked
    return {
        "steps": run.steps,
        "paths": run.paths,
        "seed": run.seed,
        "solver": "" if solver is None else str(getattr(solver, "name", solver)),
        "substeps": substeps or 0,
        "sampled_by": json.dumps(sampled),
        "schemes": json.dumps([side.note for side in sides if side.note]),
        "known": json.dumps([side.label for side in sides if isinstance(side, KnownSide)]),
        "tolerance": found.tolerance,
        "confidence": found.confidence,
        "step_size": stated_number(first, "step_size"),
        "schedule": repr(first.step_size) if isinstance(getattr(first, "step_size", None), StepSizes) else "",
        "batch_size": int(stated_number(first, "batch_size", 0.0)),
        "x0": _describe_start(run.x0),
        "version": sgdlimits.__version__,
        "overflowed": json.dumps(overflowed),
    }


def _describe_start(x0: Any) -> str:
    if isinstance(x0, (tuple, Gaussian)):
        return "Gaussian"
    array = np.asarray(x0)
    if array.ndim == 2:
        return f"{array.shape[0]} given positions"
    return "the origin" if not array.any() else f"one point, norm {np.linalg.norm(array):.4g}"
