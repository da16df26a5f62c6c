"""Runs an ensemble: chunks of paths on a pool of threads, observables on the way, one report of overflow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from sgdlimits.exact.cost import check_memory
from sgdlimits.exact.errors import InvalidInput, flag, has_methods, one_of, seed_number, whole_number
from sgdlimits.exact.fingerprints import fingerprint

from .chunks import POSITIONS, Job, report_overflow, run_chunks
from .crowd import PathState, SavedState
from .ensemble import Ensemble
from .initial import Gaussian, initial_of_paths, initial_state, recorded_steps
from .observables import Function, Recorded, Reducer, parse_observables
from .passages import LocalNoise, continuous_passages, passages_end
from .progress import KeptOpen, Progress, open_progress
from .random import LAST_PATH, PACK, QUALITIES, Noise
from sgdlimits.exact.threads import threads_of
from .until import Until, sampled_until, until_of

CACHE_BYTES = 512 * 1024  # a common size of a core's own second-level cache
NUMPY_ARRAYS = 4  # state, gradient, noise and a temporary: what a vectorised step keeps in cache
NUMPY_CHUNK = 4096  # enough paths to hide Python's overhead, few enough for several threads
SMALLEST_CHUNK = 64  # where NumPy is called seldom: enough chunks for every core
SIMULATOR = ("start", "advance", "positions", "measure")  # methods of the protocol


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
    alone : bool
        A path's bits do not depend on how many are advanced with it, down to one: no lanes are added to fill a pack.
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

    @property
    def alone(self) -> bool: ...

    def start(self, positions: np.ndarray, noise: Noise) -> PathState:
        """State of P paths at `positions` (P, d); P is a multiple of PACK, or any number for those that stand alone."""

    def advance(self, state: Any, first: int, last: int, noise: Noise) -> None:
        """Take own steps first..last-1 in place; how a run is cut into calls must not change any bit."""

    def positions(self, state: Any) -> np.ndarray:
        """Positions (P, d) in original coordinates, in a fresh array."""

    def measure(self, name: str, state: Any) -> np.ndarray | None:
        """Fast route to "risk" or "norm" (P,); None: take it from the positions."""


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
    until: Until | Mapping[str, Any] | None = None,
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
    until : Until, or a mapping of its settings, optional
        Add paths only until an interval is narrow enough; `paths` is then the most that may be spent, and the result
        holds those that the interval is of. Every path then starts from one law: an `x0` with rows is refused.
    local_noise : LocalNoise, or a text, optional
        What first passages between steps need to know of a diffusion, or why it cannot be told.

    Returns
    -------
    Ensemble

    Raises
    ------
    InvalidInput
        If an argument cannot be used, or a function's values cannot.
    OutOfReach
        If `until` needs more than `paths` paths, or the values have no interval: said after a first look.

    Warns
    -----
    IntervalNotReached
        If that shows only at the end.
    OverflowedPaths
        If a path overflowed. Its risk and norm are inf from that step on, and so is any other value that
        is not finite.
    """
    if until is not None:
        settings = {
            "observables": observables, "seed": seed, "quality": quality, "threads": threads, "chunk": chunk,
            "keep_state": keep_state, "local_noise": local_noise,
        }  # fmt: skip
        return _run_until(simulator, x0, until_of(until), paths, steps, record, progress, first_path, settings)
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
    threads = threads_of(threads)
    if chunk is None:
        chunk = default_chunk(simulator.dimension, paths, threads, in_numpy)
    kept_bytes = 8.0 * paths * (1 + len(record) * len(reducers))
    check_memory(f"keeping {paths} paths", kept_bytes, "take fewer paths, or record fewer steps")
    job = Job(
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
        run_chunks(job, threads)
    finally:
        job.progress.close()
    report_overflow(job.overflow_steps)
    kept = dict(job.kept_state)
    state = SavedState(
        steps, seed, first_path, quality, simulator.name, kept.pop(POSITIONS), kept
    ) if keep_state else None  # fmt: skip
    start = f"state at step {begin} of {saved.past}" if saved is not None else _named_start(job.initial)
    return Ensemble(
        job.values, record, job.overflow_steps, reducers, seed, paths, steps, quality, first_path, state, start
    )


def _named_start(initial: Gaussian | np.ndarray) -> str:
    """What tells a start from others; rows of many paths are a matter of each piece."""
    return "rows" if isinstance(initial, np.ndarray) and initial.ndim == 2 else fingerprint(initial)


def _run_until(
    simulator: Simulator,
    x0: Any,
    until: Until,
    paths: int,
    steps: int,
    record: Any,
    progress: bool | Progress | None,
    first_path: int,
    settings: dict[str, Any],
) -> Ensemble:
    """Pieces of one ensemble, from `first_path` on, until an interval is narrow."""
    paths, steps = whole_number("paths", paths, 1), whole_number("steps", steps, 0)
    first_path = whole_number("first_path", first_path, 0, LAST_PATH - paths)
    begin = x0.step if isinstance(x0, SavedState) else 0
    kept = recorded_steps(record, steps, begin)
    reducers = parse_observables(settings["observables"], kept, begin)
    if not isinstance(x0, SavedState):
        x0 = initial_state(x0, simulator.dimension)
        if isinstance(x0, np.ndarray) and x0.ndim == 2:
            raise InvalidInput(
                f"until takes paths in their order, but x0 has a row for each of {len(x0)} paths, and the first rows "
                "need not be like the others: pass one x0 for all, a Gaussian (mean, covariance), or leave until out"
            )
    bar = open_progress(progress, math.inf)

    def piece(taken: int, count: int) -> Ensemble:
        return run(
            simulator, x0, paths=count, steps=steps, record=kept, progress=KeptOpen(bar), first_path=first_path + taken,
            **settings,
        )  # fmt: skip

    try:
        return sampled_until(piece, until, reducers, kept, paths)
    finally:
        bar.close()


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
