"""The integrator's part of a sampled law: measured by halving the increment on one Brownian path, and made small."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sgdlimits.diffusions import integrate
from sgdlimits.diffusions.diffusion import Diffusion
from sgdlimits.diffusions.optimiser_limit import OptimiserLimit
from sgdlimits.ensembles import Brownian
from sgdlimits.exact.errors import OverflowedPaths

PILOT_PATHS = 500
PILOT_STEPS = 3000  # integrator steps of a pilot after the first: beyond, the first one is extrapolated
RESOLVED = 0.5  # by how much of its size an observable may change when the increment is halved
MOST = 64  # increments a step
BUDGET = 4e8  # normals of a whole run: at most so many are spent on finer increments


@dataclass(frozen=True, eq=False)
class Increments:
    """How finely a process is integrated, and what that leaves.

    Attributes
    ----------
    solver : str
    substeps : int
        Increments per SGD step.
    shift : dict
        Observable -> what the integrator adds to its mean (steps,), as the pilot estimates it; it is taken off.
    part : dict
        Observable -> bound (steps,) on what remains.
    w1, ks : dict
        Observable -> what it adds to the distances (steps,).
    bound : bool
        Whether the parts are those at the largest step size of a schedule.
    resolved : bool
        Whether halving the increment left the observables alike.
    """

    solver: str
    substeps: int
    shift: dict[str, np.ndarray]
    part: dict[str, np.ndarray]
    w1: dict[str, np.ndarray]
    ks: dict[str, np.ndarray]
    bound: bool = False
    resolved: bool = True

    def as_bound(self) -> Increments:
        """The same for a process whose part is smaller than the pilot's: nothing is taken off, all of it remains."""
        shift, part = _nothing_taken_off(self.shift, self.part)
        return replace(self, shift=shift, part=part, bound=True)


def chosen_increments(
    diffusion: Any, solver: str, first: int, clock: float, run: Any, functions: Mapping[str, Any],
    measured: frozenset[str], fixed: bool,
) -> Increments:  # fmt: skip
    """The fewest increments, doubled from `first`, whose part lies below the Monte Carlo error of `run.paths`.

    At order 1 the part of s increments is twice the difference to 2 s increments, and falls like 1/s (derived); the
    two are coupled, so a few hundred paths tell it. It is taken off the mean (Richardson); what remains is bounded by
    half of it and two of its standard errors. Increments at which the pilot is not resolved, because the scheme is not
    stable there for example, are halved first; where they cannot be, nothing is taken off. `measured`: observables
    whose means are sampled. `fixed`: `first` is kept.
    """
    substeps, limit = first, _limit(diffusion, run)
    if not fixed:
        substeps = max(1, min(first, limit))
    while True:
        coarse, fine = (_pilot(diffusion, solver, substeps * n, 2 * substeps, clock, run, functions) for n in (1, 2))
        resolved = all(_resolved(coarse[name], fine[name]) for name in functions)
        lost = not all(np.isfinite(values).all() for values in fine.values())
        built_in = isinstance(diffusion, (Diffusion, OptimiserLimit))
        if not resolved and not fixed and 2 * substeps <= limit and not (lost and built_in):
            # Too long for the scheme, or nearly so: no part to extrapolate. A built-in one is lost by itself alone.
            substeps *= 2
            continue
        shift, part, needed = _parts(coarse, fine, run.paths, measured)
        if not resolved:
            (shift, part), needed = _nothing_taken_off(shift, part), 1.0
        wanted = substeps
        while 2 * wanted <= limit and wanted < substeps * needed:
            wanted *= 2
        if fixed or wanted <= 2 * substeps or 1.5 * wanted * run.steps > PILOT_STEPS:
            break
        substeps = wanted // 2  # the pilot is repeated near the increments that are needed
    used = substeps if fixed else wanted
    share = substeps / used
    w1, ks = {}, {}
    for name in functions:
        pairs = [(coarse[name][:, k], fine[name][:, k]) for k in range(len(run.record))]
        w1[name] = 2 * share * np.array([_w1(a, b) for a, b in pairs])
        ks[name] = np.minimum(2 * share * np.array([_ks(a, b) for a, b in pairs]), 1.0)
    shift, part = ({name: share * value for name, value in found.items()} for found in (shift, part))
    return Increments(solver, used, shift, part, w1, ks, resolved=resolved)


def _nothing_taken_off(
    shift: Mapping[str, np.ndarray], part: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The same integrator's part, all of it left as what remains."""
    whole = {name: np.abs(shift[name]) + value for name, value in part.items()}
    return {name: np.zeros_like(value) for name, value in shift.items()}, whole


def _resolved(coarse: np.ndarray, fine: np.ndarray) -> bool:
    """Whether values (paths, steps) at one increment and at half of it are alike: of one size, with means as near."""
    with np.errstate(over="ignore", invalid="ignore"):
        sizes = [np.sqrt(np.square(values).mean(axis=0)) for values in (coarse, fine)]
        apart = np.maximum(np.abs(sizes[0] - sizes[1]), np.abs(coarse.mean(axis=0) - fine.mean(axis=0)))
        return bool((apart <= RESOLVED * sizes[1] + np.finfo(float).tiny).all())


def _limit(diffusion: Any, run: Any) -> int:
    """Most increments a step that the whole run is allowed."""
    normals = run.paths * run.steps * diffusion.noise_dimension
    return int(min(MOST, max(BUDGET // max(normals, 1), 1)))


def _parts(
    coarse: Mapping[str, np.ndarray], fine: Mapping[str, np.ndarray], paths: int, measured: frozenset[str]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], float]:
    """The part at the coarse increments, what remains of it, and by how much the worst exceeds the sampling error."""
    shifts, parts, needed = {}, {}, 1.0
    for name, sample in fine.items():
        with np.errstate(invalid="ignore", over="ignore"):
            gap = coarse[name] - sample
            shift = 2 * gap.mean(axis=0)
            part = 0.5 * np.abs(shift) + 4 * gap.std(axis=0, ddof=1) / np.sqrt(len(gap))
            noise = sample.std(axis=0, ddof=1) / np.sqrt(paths)
        parts[name] = np.where(np.isfinite(part), part, np.inf)
        shifts[name] = np.where(np.isfinite(part), shift, 0.0)
        moving = (parts[name] > 0) & (noise > 0)
        if name in measured and moving.any():
            needed = max(needed, float(np.max(parts[name][moving] / noise[moving])))
    return shifts, parts, needed


def _pilot(
    diffusion: Any, solver: str, substeps: int, finest: int, clock: float, run: Any, functions: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    from sgdlimits.diffusions import find_scheme

    horizon, scheme = run.steps / clock, find_scheme(solver)
    brownian = Brownian(
        horizon, run.steps * finest, diffusion.noise_dimension, run.child("pilot"), "float32", area=scheme.areas
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OverflowedPaths)
        found = integrate(
            diffusion, run.first_starts(PILOT_PATHS), horizon, dt=horizon / (run.steps * substeps), solver=solver,
            paths=min(PILOT_PATHS, run.paths), seed=run.seed, observables=dict(functions),
            record=run.record / clock, brownian=brownian, threads=run.threads,
        )  # fmt: skip
    return {name: found[name].values for name in functions}


def _w1(a: np.ndarray, b: np.ndarray) -> float:
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return np.inf
    return float(np.abs(np.sort(a) - np.sort(b)).mean())


def _ks(a: np.ndarray, b: np.ndarray) -> float:
    grid = np.concatenate([a, b])
    below = [np.searchsorted(np.sort(side), grid, side="right") / side.size for side in (a, b)]
    return float(np.abs(below[0] - below[1]).max())
