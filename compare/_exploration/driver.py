"""compare.exploration: paths of several processes among wells, beside what is exact."""

from __future__ import annotations

import dataclasses
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.ensembles.engine import run
from sgdlimits.ensembles.recurrences import RecurrenceSimulator
from sgdlimits.exact.errors import (
    InvalidInput,
    OverflowedPaths,
    flag,
    kind,
    real_number,
    seed_number,
    shown,
    whole_number,
)
from sgdlimits.problems.landscapes import Landscape
from sgdlimits.problems.wells import WellLandscape, wells_of

from ..capabilities import claim_notes, distinct_labels, is_recurrence, one_blas_thread
from ..estimates import confidence_level
from ..results import labelled
from .estimates import QUANTITIES, Estimate, estimates, times_of_wells
from .exact import LONG_RUN, Known, known_of
from .result import AXES, Exploration
from .visits import Seen, Visits

OF_WELLS = ("minimum", "width", "barrier", "curvature")
FEWEST_PATHS = 16
JITTER = 1e-9  # how far two statements of one minimum may lie apart


@one_blas_thread
def exploration(
    processes: Mapping[str, Any] | Sequence[Any],
    *,
    start: float | None = None,
    steps: int = 10_000,
    paths: int = 256,
    target: int | None = None,
    landscape: Any = None,
    exact: bool = True,
    seed: int = 0,
    confidence: float = 0.95,
    threads: int | None = None,
    progress: Any = None,
) -> Exploration:
    """Residence in the well of the start, first passage to the widest well, and the share of visits and time there.

    Parameters
    ----------
    processes : dict of labels and processes, or a list of processes
        On one landscape with several wells on a line: LandscapeDescent with any noise, LandscapeDiffusion,
        StableLangevin of the landscape, or a recurrence of your own.
    start : float, optional
        Default: the landscape's.
    steps, paths : int
        Of the simulation. A path that has not left by then is censored, and counts as such.
    target : int, optional
        Number of the well that is looked for, from the left; default: the widest.
    landscape : WellLandscape, optional
        Default: that of the first process which states one.
    exact : bool
        Whether exact numbers are computed where they can be.
    seed : int
    confidence : float
        Of each interval.
    threads, progress
        As in `simulate`.

    Returns
    -------
    Exploration

    Raises
    ------
    InvalidInput
        If the landscape does not state its basins, processes are on different ones, the start lies in no basin or in
        the target, or an argument cannot be used.
    """
    if not isinstance(processes, (Mapping, Sequence)):
        raise InvalidInput(f"processes must be a dict of labels and processes, or a list, got {shown(processes)}")
    named = dict(processes) if isinstance(processes, Mapping) else dict(zip(distinct_labels(processes), processes))
    if not named:
        raise InvalidInput("processes is empty: pass a dict of labels and processes, or a list of them")
    wells = _landscape(landscape, named)
    if start is not None:
        replaceable: Any = wells
        wells = dataclasses.replace(replaceable, start=real_number("start", start))
    steps, paths = whole_number("steps", steps, 1), whole_number("paths", paths, FEWEST_PATHS)
    seed, confidence, exact = seed_number(seed), confidence_level(confidence), flag("exact", exact)
    goal = wells.widest if target is None else whole_number("target", target, 0, len(wells.minima) - 1)
    if goal == wells.home:
        raise InvalidInput(
            f"the start {wells.start:.6g} lies in the {'widest well' if target is None else 'target'} itself, at "
            f"{wells.minima[goal]:.6g}: start in another, or name another target="
        )
    seen, found, known, overflowed = [], [], [], []
    next_door = wells.home in (0, len(wells.minima) - 1) and abs(goal - wells.home) == 1
    for process in named.values():
        kept, lost = _paths(process, wells, goal, steps, paths, seed, threads, progress)
        seen.append(kept)
        overflowed.append(lost)
        found.append(estimates(kept, steps, goal, confidence, next_door))
        known.append(known_of(process, wells, steps, goal) if exact else Known())
    attributes = {
        "landscape": wells.label, "start": wells.start, "home": wells.home, "target": goal, "steps": steps,
        "paths": paths, "seed": seed, "confidence": confidence,
        "claims": claim_notes(list(named.values()), list(named)),
    }  # fmt: skip
    basins = wells.basins
    coordinates = {"process": list(named), "quantity": list(QUANTITIES), "well": np.arange(len(basins))}
    record = _record(wells, seen, found, known, overflowed, steps, confidence)
    return Exploration(labelled(record, AXES, coordinates, attributes))


def _landscape(given: Any, processes: Mapping[str, Any]) -> WellLandscape:
    stated = {name: _stated(process) for name, process in processes.items()}
    if given is None:
        given = next((one for one in stated.values() if one is not None), None)
        if given is None:
            raise InvalidInput(
                "no process states a landscape: pass landscape=, with basins (Wells, CosineValley, UserWells)"
            )
    wells = wells_of(given)
    for name, other in stated.items():
        if other is None:
            continue
        own = wells_of(other).minima
        if own.shape != wells.minima.shape or np.abs(own - wells.minima).max() > JITTER:
            raise InvalidInput(
                f"process {shown(name)} is on another landscape, {other!r}, than {wells!r}: compare processes on one"
            )
    return wells


def _stated(process: Any) -> Any:
    for name in ("landscape", "problem"):
        stated = getattr(process, name, None)
        if isinstance(stated, Landscape):
            return stated
    return None


def _paths(
    process: Any, wells: WellLandscape, target: int, steps: int, paths: int, seed: int, threads: Any, progress: Any
) -> tuple[Seen, int]:
    """What the paths did, and how many overflowed: these are left out."""
    if callable(getattr(process, "simulator", None)):
        simulator = process.simulator()
    elif is_recurrence(process):
        simulator = RecurrenceSimulator(process, 1)
    else:
        raise InvalidInput(
            f"cannot follow {kind(process)} in steps: pass a LandscapeDescent, a LandscapeDiffusion, a StableLangevin "
            "of the landscape, or a recurrence with initial_state, step and position"
        )
    if simulator.dimension != 1:
        raise InvalidInput(f"wells lie on a line, but {simulator.name} has dimension {simulator.dimension}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OverflowedPaths)  # counted in the result
        ensemble = run(
            simulator, np.array([wells.start]), paths=paths, steps=steps, record=[steps], seed=seed, threads=threads,
            progress=progress, observables={"visits": Visits(wells, target)},
        )  # fmt: skip
    good = ensemble.overflow_steps < 0
    if not good.any():
        raise InvalidInput(f"every path of {simulator.name} overflowed: lower its step size or its noise")
    return Seen.of(ensemble.values["visits"][good]), int((~good).sum())


@dataclass(frozen=True, eq=False)
class Record:
    """Arrays over process, quantity and well, as in `Exploration`."""

    value: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    events: np.ndarray
    exact: np.ndarray
    exact_error: np.ndarray
    diffusion: np.ndarray
    verdict: np.ndarray
    note: np.ndarray
    long_visits: np.ndarray
    long_time: np.ndarray
    next_target: np.ndarray
    rate: np.ndarray
    interquartile_range: np.ndarray
    long_error: np.ndarray
    diffusion_visits: np.ndarray
    diffusion_time: np.ndarray
    overflowed: np.ndarray
    exact_notes: np.ndarray
    visits: np.ndarray
    time: np.ndarray
    time_lower: np.ndarray
    time_upper: np.ndarray
    time_exact: np.ndarray
    minimum: np.ndarray
    width: np.ndarray
    barrier: np.ndarray
    curvature: np.ndarray


def _record(
    wells: WellLandscape, seen: Sequence[Seen], found: Sequence[Mapping[str, Estimate]], known: Sequence[Known],
    overflowed: Sequence[int], steps: int, confidence: float,
) -> Record:  # fmt: skip
    times = [times_of_wells(each, steps, confidence) for each in seen]

    def estimated(name: str) -> np.ndarray:
        return np.array([[getattr(each[q], name) for q in QUANTITIES] for each in found])

    def stated(name: str, keys: Sequence[str] = QUANTITIES) -> np.ndarray:
        return np.array([[getattr(each, name).get(q, np.nan) for q in keys] for each in known])

    exact, error, basins = stated("values"), stated("errors"), wells.basins
    verdicts = [[_verdict(each[q], one, err) for q, one, err in zip(QUANTITIES, *pair)]
                for each, pair in zip(found, zip(exact, error))]  # fmt: skip
    notes = [[each[q].note for q in QUANTITIES] for each in found]
    long_run, in_time = stated("values", LONG_RUN), stated("diffusion", LONG_RUN)
    nothing = np.full(len(basins), np.nan)
    return Record(
        exact=exact, exact_error=error, diffusion=stated("diffusion"), verdict=np.array(verdicts, dtype=object),
        note=np.array(notes, dtype=object), long_error=stated("errors", LONG_RUN)[:, LONG_RUN.index("long_time")],
        diffusion_visits=in_time[:, LONG_RUN.index("long_visits")],
        diffusion_time=in_time[:, LONG_RUN.index("long_time")], overflowed=np.array(overflowed),
        exact_notes=np.array([json.dumps(each.notes) for each in known], dtype=object),
        visits=np.array([each.visits.mean(axis=0) for each in seen]),
        time=np.array([[well.value for well in each] for each in times]),
        time_lower=np.array([[well.lower for well in each] for each in times]),
        time_upper=np.array([[well.upper for well in each] for each in times]),
        time_exact=np.array([nothing if each.time is None else each.time for each in known]),
        **{name: estimated(name) for name in ("value", "lower", "upper", "events")},
        **dict(zip(LONG_RUN, long_run.T)),
        **{name: np.array([getattr(well, name) for well in basins]) for name in OF_WELLS},
    )  # fmt: skip


def _verdict(seen: Estimate, exact: float, error: float) -> str:
    if np.isnan(exact) or np.isinf(error):
        return ""
    return "covers" if seen.lower <= exact + error and exact - error <= seen.upper else "misses"
