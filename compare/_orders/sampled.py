"""Orders where moments do not close: both sides are simulated on every rung, and each error has a standard error.

A limit is integrated twice on one Brownian path, with s and with 2 s increments a step, and extrapolated path by path.
Its scheme of weak order 1 then leaves errors of the next order in the small parameter, over s^2. Derived.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sgdlimits.diffusions import find_scheme, integrate
from sgdlimits.diffusions.optimiser_limit import OptimiserLimit
from sgdlimits.ensembles import Brownian
from sgdlimits.ensembles.random import child_seed
from sgdlimits.ensembles.results import saved_state
from sgdlimits.exact.errors import InvalidInput, function

from .rungs import Rungs

Functions = Mapping[str, Callable[[np.ndarray], np.ndarray]]


def functions_of(problem: Any, observables: Any) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """What is averaged: by default the risk and |x|^2."""
    if observables is None:
        return {"risk": problem.risk, "squared norm": lambda x: np.square(x).sum(axis=1)}
    if not isinstance(observables, Mapping) or not observables:
        raise InvalidInput("observables must map names to functions of positions (paths, d), or be left out")
    form = "of positions (paths, d)"
    return {str(name): function(f"observable {name!r}", f, form) for name, f in observables.items()}


def sampled_errors(
    sgd: Any, others: Sequence[Any], x0: Any, rungs: Rungs, functions: Functions, paths: int, seed: int, substeps: int,
    threads: int | None, progress: Any,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Other less SGD at the last step, (processes, observables, rungs), and standard errors."""
    shape = (len(others), len(functions), rungs.sizes.size)
    errors, deviations = np.empty(shape), np.empty(shape)
    for rung, count in enumerate(rungs.counts.tolist()):
        options = {"threads": threads, "progress": progress}
        origin = _reference(
            rungs.at(sgd, rung), [rungs.at(process, rung) for process in others], x0, count, paths, functions,
            child_seed(seed, "orders", "reference", rung), options,
        )  # fmt: skip
        for place, process in enumerate(others):
            own = child_seed(seed, "orders", "limit", place, rung)
            values = _extrapolated(rungs.at(process, rung), x0, count, paths, functions, own, substeps, options)
            for index, name in enumerate(functions):
                mine, theirs = values[name], origin[name]
                errors[place, index, rung] = mine.mean() - theirs.mean()
                deviations[place, index, rung] = np.sqrt((mine.var(ddof=1) + theirs.var(ddof=1)) / paths)
    return errors, deviations


def _reference(
    sgd: Any, limits: Sequence[Any], x0: Any, count: int, paths: int, functions: Functions, seed: int,
    options: Mapping[str, Any],
) -> dict[str, np.ndarray]:  # fmt: skip
    slots = [limit.start_slots() for limit in limits if isinstance(limit, OptimiserLimit)]
    kept = next((found for found in slots if found is not None), None)
    if any(not _alike(found, kept) for found in slots):
        raise InvalidInput("these limits begin with different states of the optimiser: compare one at a time")
    if kept is not None:
        start = saved_state(sgd.simulate(x0, 0, paths, observables="norm", seed=seed, keep_state=True))
        name = next((name for name, values in start.arrays.items() if values.shape[1:] == kept.shape), None)
        if name is None:
            raise InvalidInput(f"{sgd.label} keeps no arrays of shape {kept.shape} to begin with")
        arrays = start.arrays | {name: np.broadcast_to(kept, (paths, *kept.shape)).copy()}
        x0 = replace(start, arrays=arrays)
    found = sgd.simulate(x0, count, paths, observables=dict(functions), record=[count], seed=seed, **options)
    return {name: found[name].values[:, -1] for name in functions}


def _alike(found: np.ndarray | None, kept: np.ndarray | None) -> bool:
    return found is kept or (found is not None and kept is not None and np.array_equal(found, kept))


def _extrapolated(
    limit: Any, x0: Any, count: int, paths: int, functions: Functions, seed: int, substeps: int,
    options: Mapping[str, Any],
) -> dict[str, np.ndarray]:  # fmt: skip
    """2 f(2 s increments) - f(s increments) (paths,) of each observable."""
    scheme = find_scheme(getattr(limit, "law_solver", "euler"))
    horizon = count / float(limit.clock)
    brownian = Brownian(horizon, 2 * substeps * count, limit.noise_dimension, seed, area=scheme.areas)
    coarse, fine = (
        integrate(
            limit, x0, horizon, horizon / (n * count), paths, scheme, observables=dict(functions), record=[horizon],
            brownian=brownian, **options,
        )
        for n in (substeps, 2 * substeps)
    )
    return {name: 2 * fine[name].values[:, -1] - coarse[name].values[:, -1] for name in functions}
