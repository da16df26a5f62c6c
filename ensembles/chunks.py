"""The chunks of a run: paths advanced together on a pool of threads, looked at on the way, put away at the end."""

from __future__ import annotations

import threading
import time
import warnings
from concurrent.futures import FIRST_EXCEPTION, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from sgdlimits.exact.errors import InvalidInput, OverflowedPaths
from sgdlimits.exact.threads import thread_pool

from .blas_threads import one_blas_thread
from .crossings import Crossings
from .crowd import Arrays, Crowd, SavedState
from .initial import Gaussian, draw_initial
from .observables import Reducer
from .observation import Observation
from .passages import FirstPassage, LocalNoise, passages_end
from .progress import Progress
from .random import PACK, Noise

if TYPE_CHECKING:
    from .engine import Simulator

POSITIONS = "positions"  # name of the positions among the arrays of a state that is put away
LONGEST_CALL = 0.2  # seconds: a pending interrupt waits no longer for a compiled loop


@dataclass(frozen=True, eq=False)
class Job:
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


def run_chunks(job: Job, threads: int) -> None:
    """Run all chunks; on any exception, Ctrl-C included, stop the others and leave no thread behind."""
    # Whole packs, though the first and the last may hold paths that nobody asked for.
    starts = range(job.first_path // PACK * PACK, job.first_path + job.paths, job.chunk)
    with one_blas_thread(), thread_pool(min(threads, len(starts))) as pool:  # the pool has the cores
        try:
            pending = {pool.submit(_run_chunk, job, first) for first in starts}
            while pending:
                # A bounded wait: an unbounded one cannot be interrupted on every platform.
                done, pending = wait(pending, timeout=LONGEST_CALL, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
        finally:
            job.stop.set()


def _run_chunk(job: Job, first: int) -> None:
    end = min(first + job.chunk, job.first_path + job.paths)
    lanes = -(-(end - first) // PACK) * PACK
    skipped = max(0, job.first_path - first)
    mine = slice(skipped, end - first)  # of the lanes
    kept = slice(first + skipped - job.first_path, end - job.first_path)  # of the result
    count = end - first - skipped
    noise = Noise(job.seed, np.arange(first, first + lanes, dtype=np.int64), job.quality)
    if job.simulator.alone:
        lanes, crowd = count, _crowd(job, noise, mine)
        mine = slice(0, count)
    else:
        crowd = _crowd(job, noise, slice(0, lanes))
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


def _crowd(job: Job, noise: Noise, lanes: slice) -> Crowd:
    """These lanes of whole packs, at the start."""
    positions = draw_initial(job.initial, noise, job.first_path)
    return Crowd(job.simulator, positions[lanes], Noise(job.seed, noise.paths[lanes], job.quality), job.saved)


def _observe(
    job: Job,
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


def report_overflow(overflow_steps: np.ndarray) -> None:
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
