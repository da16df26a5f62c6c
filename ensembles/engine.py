"""Runs an ensemble: chunks of paths on a pool of threads, observables on the way, one report of overflow."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from sgdlimits.exact.cost import check_memory
from sgdlimits.exact.errors import (
    InvalidInput,
    OverflowedPaths,
    flag,
    has_methods,
    one_of,
    seed_number,
    whole_number,
)

from .blas_threads import one_blas_thread
from .crossings import Crossings
from .crowd import Arrays, Crowd, PathState, SavedState
from .initial import Gaussian, draw_initial, initial_of_paths, recorded_steps
from .observables import Function, Recorded, Reducer, parse_observables
from .observation import Observation
from .passages import FirstPassage, LocalNoise, continuous_passages, passages_end
from .progress import Progress, open_progress
from .random import LAST_PATH, PACK, QUALITIES, Noise

CACHE_BYTES = 512 * 1024  # a common size of a core's own second-level cache
NUMPY_ARRAYS = 4  # state, gradient, noise and a temporary: what a vectorised step keeps in cache
NUMPY_CHUNK = 4096  # enough paths to hide Python's overhead, few enough for several threads
SMALLEST_CHUNK = 64  # where NumPy is called seldom: enough chunks for every core
SIMULATOR = ("start", "advance", "positions", "measure")  # methods of the protocol
POSITIONS = "positions"  # name of the positions among the arrays of a state that is put away
LONGEST_CALL = 0.2  # seconds: a pending interrupt waits no longer for a compiled loop


class Simulator(Protocol):
    """One process, made ready to be advanced many paths at a time.

    Attributes
    ----------
    name : str
        A saved state goes on under the same name only.
    dimension : int
    substeps : int
        Its own steps per step of the run.
    compiled : bool
        False where NumPy functions of a user run inside; chunks then depend on the dimension alone.
    whole : str
        Why a run of it can only be made in one piece; empty where a state can be saved, and copied path by path.
    """

    @property
    def name(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    @property
    def substeps(self) -> int: ...

    @property
    def compiled(self) -> bool: ...

    @property
    def whole(self) -> str: ...

    def start(self, positions: np.ndarray, noise: Noise) -> PathState:
        """State of P paths at `positions` (P, d); P is a multiple of PACK."""

    def advance(self, state: Any, first: int, last: int, noise: Noise) -> None:
        """Take own steps first..last-1 in place; how a run is cut into calls must not change any bit."""

    def positions(self, state: Any) -> np.ndarray:
        """Positions (P, d) in original coordinates, in a fresh array."""

    def measure(self, name: str, state: Any) -> np.ndarray | None:
        """Fast route to "risk" or "norm" (P,); None: take it from the positions."""


@dataclass(frozen=True, eq=False)
class Ensemble:
    """What a run kept.

    Attributes
    ----------
    values : dict of arrays
        name -> (paths, recorded) or (paths, recorded, m); a first passage (paths,).
    record : (recorded,) int64 array of steps
    overflow_steps : (paths,) int64 array
        Step at which the path overflowed, -1 if it did not.
    observables : dict of reducers by name
    seed, paths, steps, first_path : int
        Row i of a result is path first_path + i of the ensemble that the seed stands for.
    quality : str
    state : SavedState or None
        Where the paths stand at the last step, if that was asked for.
    """

    values: dict[str, np.ndarray]
    record: np.ndarray
    overflow_steps: np.ndarray
    observables: dict[str, Reducer]
    seed: int
    paths: int
    steps: int
    quality: str
    first_path: int = 0
    state: SavedState | None = None


def run(
    simulator: Simulator,
    x0: Any,
    *,
    paths: int,
    steps: int,
    observables: str | Sequence[str] | Mapping[str, Function | Reducer],
    record: int | Sequence[int] | np.ndarray | None = None,
    seed: int,
    quality: str = "float32",
    threads: int | None = None,
    chunk: int | None = None,
    progress: bool | Progress | None = None,
    first_path: int = 0,
    keep_state: bool = False,
    local_noise: LocalNoise | str | None = None,
) -> Ensemble:
    """Run many independent paths of one process and keep observables at chosen steps.

    The same seed gives the same bits whatever `threads` and `chunk`, as long as no user's NumPy function
    depends on how many rows it is given (a matrix product may). Memory is
    paths x recorded steps x observables, whatever `steps`.

    Parameters
    ----------
    simulator : Simulator
    x0 : (d,) array, (paths, d) array, Gaussian, tuple (mean, covariance), or SavedState
        From a saved state a run goes on, to the same bits as one that was never interrupted.
    paths : int
    steps : int
        Step at which the run ends, counted from 0 also where it goes on from a saved state.
    observables : names, or a mapping from names to names, functions of a (paths, d) array or reducers
        See `Recorded`, `Mean`, `WindowMean`, `Maximum`, `FirstPassage`. Functions are called from several
        threads at once; pass `threads=1` for one that cannot bear it.
    record : None, int or sequence of int
        Steps to keep: None for about 50 of them, an int for that many, or the steps themselves.
    seed : int
        From 0 to 2^64 - 1.
    quality : "float32" or "float64"
        Resolution of the normals.
    threads : int, optional
        Default: the number of processors.
    chunk : int, optional
        Paths advanced together, rounded up to a multiple of PACK. Default: what a core's cache holds.
    progress : bool or object with update(n) and close(), optional
        True: a bar on standard error. Counted in path-steps.
    first_path : int
        Run paths first_path..first_path + paths - 1 of the seed's ensemble, to the bit. A two-dimensional `x0`
        holds a row for each of them, or for each path of the ensemble from 0 on.
    keep_state : bool
        Keep where the paths stand at the end, momentum, permutation and all, to go on from there later.
    local_noise : LocalNoise, or a text, optional
        What first passages between steps need to know of a diffusion, or why it cannot be told.

    Returns
    -------
    Ensemble

    Raises
    ------
    InvalidInput
        If an argument cannot be used, or a function's values cannot.

    Warns
    -----
    OverflowedPaths
        If a path overflowed. Its risk and norm are inf from that step on, and so is any other value that
        is not finite.
    """
    has_methods("simulator", simulator, SIMULATOR, "a process's simulator() makes one")
    paths = whole_number("paths", paths, 1)
    if paths > LAST_PATH:
        raise InvalidInput(f"paths must be at most 2^56 - 1, got {paths}")
    steps = whole_number("steps", steps, 0)
    first_path = whole_number("first_path", first_path, 0, LAST_PATH - paths)
    seed, quality = seed_number(seed), one_of("quality", quality, QUALITIES)
    saved = x0 if isinstance(x0, SavedState) else None
    if saved is not None:
        saved.check(simulator, steps, seed, quality, first_path, paths)
        # Only the shape counts: all that a path holds comes from the state, and it may have overflowed.
        x0 = np.zeros((paths, saved.positions.shape[1]))
    begin = 0 if saved is None else saved.step
    record = recorded_steps(record, steps, begin)
    reducers = parse_observables(observables, record, begin)
    keep_state = flag("keep_state", keep_state)
    if keep_state and passages_end(reducers):
        raise InvalidInput("keep_state needs paths that run to the end: a first passage alone retires them")
    continuous = continuous_passages(reducers, local_noise, simulator)
    watching = [reducer for reducer in reducers.values() if callable(reducer.function)]
    if not simulator.compiled or continuous or any(not isinstance(reducer, Recorded) for reducer in watching):
        in_numpy = 1.0
    else:
        in_numpy = len(record) / max(1, steps - begin) if watching else 0.0
    threads = (os.cpu_count() or 1) if threads is None else whole_number("threads", threads, 1)
    if chunk is None:
        chunk = default_chunk(simulator.dimension, paths, threads, in_numpy)
    kept_bytes = 8.0 * paths * (1 + len(record) * len(reducers))
    check_memory(f"keeping {paths} paths", kept_bytes, "take fewer paths, or record fewer steps")
    job = _Job(
        simulator=simulator,
        initial=initial_of_paths(x0, simulator.dimension, paths, first_path),
        reducers=reducers,
        record=record,
        paths=paths,
        first_path=first_path,
        steps=steps,
        chunk=-(-whole_number("chunk", chunk, 1) // PACK) * PACK,
        seed=seed,
        quality=quality,
        progress=open_progress(progress, paths * (steps - begin)),
        saved=saved,
        keep_state=keep_state,
        continuous=continuous,
        local_noise=local_noise,
        overflow_steps=np.full(paths, -1, dtype=np.int64),
    )
    try:
        _run_chunks(job, threads)
    finally:
        job.progress.close()
    _report_overflow(job.overflow_steps)
    kept = dict(job.kept_state)
    state = SavedState(
        steps, seed, first_path, quality, simulator.name, kept.pop(POSITIONS), kept
    ) if keep_state else None  # fmt: skip
    return Ensemble(job.values, record, job.overflow_steps, reducers, seed, paths, steps, quality, first_path, state)


def default_chunk(dimension: int, paths: int, threads: int, in_numpy: float) -> int:
    """Paths to advance together: their state fits in a core's cache, and threads get equal shares.

    `in_numpy` is the share of the steps at which NumPy functions are called: chunks are as large as hides what a call
    costs. They then depend on that and on the dimension alone, because the bits of a NumPy function may depend on how
    many rows it is given.
    """
    if in_numpy:
        fitting = CACHE_BYTES // (8 * dimension * NUMPY_ARRAYS)
        hiding = max(SMALLEST_CHUNK, int(NUMPY_CHUNK * min(in_numpy, 1.0)))
        return max(1, min(fitting, hiding) // PACK) * PACK
    packs = -(-paths // PACK)
    fitting = max(1, CACHE_BYTES // (8 * dimension * PACK))
    chunks = -(-packs // fitting)
    chunks = -(-chunks // threads) * threads
    return -(-packs // chunks) * PACK


@dataclass(frozen=True, eq=False)
class _Job:
    """One run: its settings, and the arrays that the chunks fill."""

    simulator: Simulator
    initial: Gaussian | np.ndarray
    reducers: dict[str, Reducer]
    record: np.ndarray
    paths: int
    first_path: int
    steps: int
    chunk: int
    seed: int
    quality: str
    progress: Progress
    overflow_steps: np.ndarray
    saved: SavedState | None = None
    keep_state: bool = False
    continuous: dict[str, FirstPassage] = field(default_factory=dict)
    local_noise: LocalNoise | str | None = None
    values: dict[str, np.ndarray] = field(default_factory=dict)
    kept_state: Arrays = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def rows(self, name: str, tail: tuple[int, ...], kept: slice) -> np.ndarray:
        """Rows `kept` of a result, which is made when a function's width is first known."""
        shape = (self.paths, *self.reducers[name].shape(len(self.record), tail))
        with self.lock:
            if name not in self.values:
                self.values[name] = np.empty(shape)
            result = self.values[name]
        if result.shape != shape:
            raise InvalidInput(
                f"observable {name!r} changes its shape: {result.shape[1:]} for some paths, "
                f"{shape[1:]} for others"
            )
        return result[kept]

    def keep(self, crowd: Crowd, mine: slice, kept: slice) -> None:
        """Put away the chunk's state."""
        for name, values in (crowd.dump() | {POSITIONS: crowd.positions()}).items():
            with self.lock:
                if name not in self.kept_state:
                    self.kept_state[name] = np.empty((self.paths, *values.shape[1:]), values.dtype)
            self.kept_state[name][kept] = values[mine]


def _run_chunks(job: _Job, threads: int) -> None:
    """Run all chunks; on any exception, Ctrl-C included, stop the others and leave no thread behind."""
    # Whole packs, though the first and the last may hold paths that nobody asked for.
    starts = range(job.first_path // PACK * PACK, job.first_path + job.paths, job.chunk)
    with one_blas_thread():  # the pool has the cores
        pool = ThreadPoolExecutor(min(threads, len(starts)), thread_name_prefix="sgdlimits")
        try:
            pending = {pool.submit(_run_chunk, job, first) for first in starts}
            while pending:
                # A bounded wait: an unbounded one cannot be interrupted on every platform.
                done, pending = wait(pending, timeout=LONGEST_CALL, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
        finally:
            job.stop.set()
            pool.shutdown(wait=True, cancel_futures=True)


def _run_chunk(job: _Job, first: int) -> None:
    end = min(first + job.chunk, job.first_path + job.paths)
    lanes = -(-(end - first) // PACK) * PACK
    skipped = max(0, job.first_path - first)
    mine = slice(skipped, end - first)  # of the lanes
    kept = slice(first + skipped - job.first_path, end - job.first_path)  # of the result
    count = end - first - skipped
    noise = Noise(job.seed, np.arange(first, first + lanes, dtype=np.int64), job.quality)
    crowd = Crowd(job.simulator, draw_initial(job.initial, noise, job.first_path), noise, job.saved)
    if job.keep_state:
        crowd.dump()  # says at once, not after the run, that it cannot be done
    crossings = None
    if job.continuous and isinstance(job.local_noise, LocalNoise):
        crossings = Crossings(job.continuous, job.local_noise, crowd, mine, first + skipped)
    results: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    step = crowd.step
    upcoming = {name: reducer.next_step(step - 1, job.record) for name, reducer in job.reducers.items()}
    retiring = passages_end(job.reducers)
    pace = max(1, 2**18 // (lanes * job.simulator.dimension))
    while True:
        target = min(job.steps, *upcoming.values())
        while step < target:
            if job.stop.is_set():
                return
            last = min(target, step + pace)
            began = time.perf_counter()
            crowd.advance_to(last, None if crossings is None else crossings.see)
            took = time.perf_counter() - began
            job.progress.update(count * (last - step))
            if last - step == pace and took < LONGEST_CALL / 4:
                pace *= 2
            elif took > LONGEST_CALL:
                pace = max(1, pace // 2)
            step = last
        overflow = _observe(job, crowd, mine, kept, upcoming, results, crossings)
        if retiring:
            ends = np.max([out for out, _ in results.values()], axis=0)
            overflow[overflow > ends] = -1
            if (np.isfinite(ends) | (overflow >= 0)).all():
                job.progress.update(count * (job.steps - step))
                break
        if step == job.steps:
            break
    if job.keep_state:
        job.keep(crowd, mine, kept)
    job.overflow_steps[kept] = overflow
    for out, _ in results.values():
        lost = out[overflow >= 0]
        lost[np.isnan(lost)] = np.inf  # a mean over infinities of both signs
        if retiring:
            lost[lost > overflow[overflow >= 0]] = np.inf  # past the path's end
        out[overflow >= 0] = lost


def _observe(
    job: _Job,
    crowd: Crowd,
    mine: slice,
    kept: slice,
    upcoming: dict[str, int],
    results: dict[str, tuple[np.ndarray, np.ndarray]],
    crossings: Crossings | None,
) -> np.ndarray:
    """Show the crowd's step to the reducers that wait for it; return the overflow steps so far (count,)."""
    step = crowd.step
    overflow = np.array(crowd.overflow_steps()[mine], dtype=np.int64)
    observation = Observation(crowd.simulator, crowd.state, step, mine, job.first_path + kept.start, overflow >= 0)
    times = {} if crossings is None else crossings.times
    for name, reducer in job.reducers.items():
        if upcoming[name] != step:
            continue
        values = times[name] if name in times else observation.values(name, reducer.function)
        out = job.rows(name, values.shape[1:], kept)
        if name not in results:
            results[name] = out, reducer.begin(out, values.shape[1:])
        running = results[name][1]
        with np.errstate(invalid="ignore"):
            reducer.see(step, values, job.record, out, running)
        upcoming[name] = reducer.next_step(step, job.record)
    return overflow


def _report_overflow(overflow_steps: np.ndarray) -> None:
    overflowed = overflow_steps[overflow_steps >= 0]
    if overflowed.size:
        warnings.warn(
            f"{overflowed.size} of {overflow_steps.size} paths overflowed, "
            f"the first at step {overflowed.min()}: their risk and norm are inf "
            "from there on, and so is every mean over them. Lower the step size, or "
            "drop these paths by their overflow_step.",
            OverflowedPaths,
            stacklevel=3,
        )
