"""What a run will take, estimated from a few steps of each process before the long work begins."""

from __future__ import annotations

import sys
import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.exact.threads import threads_of
from sgdlimits.exact.errors import InvalidInput

if TYPE_CHECKING:
    from sgdlimits.ensembles import Simulator

    from .study import HomogenizedStudy

SMALL = 1e8  # path-steps times numbers read at each: below it nothing need be estimated
ENOUGH, LONG = 0.05, 1.0  # seconds of a measured piece
PILOT_PATHS = 16  # one pack
LADDER = 15  # steps of all rungs of a ladder of orders, in steps of the largest step size


def affordable(
    study: HomogenizedStudy, sgd: Any, others: dict[str, Any], start: np.ndarray, threads: int | None, aloud: bool
) -> tuple[list[str], str]:
    """Names of the processes that fit into the study's minutes, and a sentence if some had to be left out.

    Raises
    ------
    InvalidInput
        If not even SGD and homogenized SGD (or the one process asked for) fit.
    """
    assert study.steps is not None
    names = list(others)
    work = study.paths * study.steps * max(sgd.problem.samples, study.batch_size) * sgd.problem.dimension
    if work < SMALL:
        return names, ""
    cores = min(threads_of(threads), max(1, study.paths // PILOT_PATHS))
    moments = _moment_seconds(sgd, start) * study.steps
    seconds = {"SGD": _seconds(study, sgd.simulator(), start) / cores + 2 * moments}
    for name, process in others.items():
        seconds[name] = _process_seconds(study, process, start, cores)
    if "modified" in others:  # with it come the ladders of orders
        seconds["modified"] += moments * LADDER * min(1.0, 200 / study.steps)
    limit, left_out = 60 * study.minutes, []
    while sum(seconds.values()) > limit:
        names = [name for name in seconds if name not in ("SGD", "homogenized")]
        costly = max(names, key=seconds.__getitem__, default=None)
        if costly is None or seconds[costly] < 0.05 * sum(seconds.values()):
            raise InvalidInput(_refusal(study, seconds))
        left_out.append(costly)
        del seconds[costly]
    if aloud:
        print(f"estimated: {_duration(sum(seconds.values()))} on {cores} core(s)", file=sys.stderr)
    note = ""
    if left_out:
        note = (
            f"Left out, because the whole run would have taken longer than --minutes {study.minutes:g}: "
            f"{', '.join(left_out)}. Ask for fewer --paths or --steps, or allow more --minutes, to have "
            f"{'it' if len(left_out) == 1 else 'them'}."
        )
        if aloud:
            print(f"warning: {note}", file=sys.stderr)
    return [name for name in others if name in seconds], note


def _refusal(study: HomogenizedStudy, seconds: dict[str, float]) -> str:
    total = sum(seconds.values())
    costly = max(seconds, key=seconds.__getitem__)
    paths = int(study.paths * 60 * study.minutes / total)
    cure = f"--paths {paths}" if paths >= 100 else f"a smaller --batch-size (now {study.batch_size}), fewer --steps"
    return (
        f"this run is estimated to take {_duration(total)}, over the --minutes {study.minutes:g}; {costly} alone takes "
        f"{_duration(seconds[costly])}: give {cure} (or --minutes {np.ceil(total / 60):.0f})"
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1.0, seconds):.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.3g} hours"


def _process_seconds(study: HomogenizedStudy, process: Any, start: np.ndarray, cores: int) -> float:
    """Seconds of a diffusion: of the scheme that is asked for, or of the pilot and the first increments of its law."""
    from sgdlimits.compare._laws.integrator import PILOT_PATHS as PILOT
    from sgdlimits.compare._laws.sides import FIRST, law_scheme

    solver, first = study.solver, study.substeps or 1
    if solver not in process.solvers:
        solver, exact = law_scheme(process)
        first = 1 if exact else study.substeps or FIRST.get(solver, 2)
        if not exact:  # the pilot: at these increments and at half of them, in NumPy and on one core
            assert study.steps is not None
            pilot = _integration_seconds(process, solver, first, start, min(PILOT, study.paths))
            return pilot * 3 * first * study.steps + _seconds(study, process.simulator(solver, first), start) / cores
    return _seconds(study, process.simulator(solver, first), start) / cores


def _integration_seconds(process: Any, solver: str, substeps: int, start: np.ndarray, paths: int) -> float:
    """Seconds of one integrator step of so many paths on a given Brownian path, where every scheme steps in NumPy."""
    from sgdlimits.diffusions import find_scheme, integrate
    from sgdlimits.ensembles import Brownian

    dt = 1 / (float(process.clock) * substeps)

    def piece(steps: int) -> float:
        areas = find_scheme(solver).areas
        brownian = Brownian(steps * dt, steps, process.noise_dimension, 0, "float32", area=areas)
        began = time.perf_counter()
        integrate(
            process, start, steps * dt, dt=dt, paths=paths, solver=solver, seed=0, record=[steps * dt], threads=1,
            observables=("norm",), brownian=brownian,
        )  # fmt: skip
        return time.perf_counter() - began

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        piece(1)
        base, steps = piece(1), 3
        while True:
            took = piece(steps) - base
            if took > ENOUGH or steps > 200:
                return max(took, 0.0) / (steps - 1)
            steps *= 4


def _seconds(study: HomogenizedStudy, simulator: Simulator, start: np.ndarray) -> float:
    """One core's seconds for all paths and steps of a process, from a piece that is long enough to be measured."""
    from sgdlimits.ensembles import run

    assert study.steps is not None
    paths, every = min(PILOT_PATHS, study.paths), study.steps

    def piece(steps: int) -> float:
        began = time.perf_counter()
        run(
            simulator, start, steps=steps, paths=paths, observables=("norm",), record=[steps], seed=0, threads=1
        )
        return time.perf_counter() - began

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the run itself will say it
        piece(1)  # compiles
        base, steps = piece(1), 2
        if base > LONG:
            return base * every * study.paths / paths
        while True:
            took = piece(steps) - base
            if took > ENOUGH or steps >= every:
                return max(took, 0.0) / (steps - 1) * every * study.paths / paths
            steps = min(8 * steps, max(2, every))


def _moment_seconds(sgd: Any, start: np.ndarray) -> float:
    """Seconds of one step of SGD's exact moments; 0 where they do not close."""
    if getattr(sgd, "sampling", None) == "reshuffle":
        return 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        times = []
        for steps in (1, 1, 9):  # the first one prepares
            began = time.perf_counter()
            sgd.moments(start, steps, record=[steps])
            times.append(time.perf_counter() - began)
    return max(0.0, times[2] - times[1]) / 8
