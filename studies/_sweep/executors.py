"""Where cells run: this process, worker processes, or any executor of concurrent.futures, a Dask cluster's too."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, Future, wait
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any

from sgdlimits.exact.errors import InvalidInput, MissingLibrary, kind, whole_number

from .store import Cell
from .worker import Task, failed, run_task

MOST_WORKERS = 4096
ADDRESS = re.compile(r"((tcp|tls|ws|wss|ucx|ucxx)://)?[^:/\s]+:\d{1,5}")
PATIENCE = 10  # seconds in which a cluster must answer
IDLE = 300  # seconds after which a worker without work ends
LOOK = 0.2  # seconds between looks at a pending interrupt
PINNED = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "SGDLIMITS_THREADS")


_kept = ExitStack()  # what a worker keeps until it ends
_in_a_worker = False
_shared: ContextVar[tuple[Any, Executor] | None] = ContextVar("_shared", default=None)  # of `one_pool`


class Lost(Exception):
    """A worker died, or its machine went away, before its cell was done; `running`: while it was at this cell."""

    def __init__(self, why: str, running: bool = False) -> None:
        super().__init__(why)
        self.running = running


def check_executor(executor: Any, workers: Any) -> None:
    """Raise unless cells can run there.

    Raises
    ------
    InvalidInput
        If it is no executor, both are given, or workers is no number of them.
    """
    if workers is not None:
        whole_number("workers", workers, 1, MOST_WORKERS)
        if executor is not None:
            raise InvalidInput("give an executor or a number of workers, not both")
    if executor is not None and (isinstance(executor, type) or not callable(getattr(executor, "submit", None))):
        raise InvalidInput(
            f"executor must be one of concurrent.futures, or a Dask client's get_executor(), got {kind(executor)}"
        )


@contextmanager
def opened(executor: Any, workers: Any) -> Iterator[Executor | None]:
    """The executor to use, None for this process; worker processes end with it."""
    check_executor(executor, workers)
    if executor is not None or workers in (None, 1) or _in_a_worker:
        yield executor  # a sweep inside a cell of a sweep has its worker for itself
        return
    kept = _shared.get()
    if kept is not None and kept[0] == workers:
        yield kept[1]
        return
    from loky import ProcessPoolExecutor

    # loky's workers take a notebook's functions, and a script needs no `if __name__ == "__main__"`.
    pool = ProcessPoolExecutor(
        workers, timeout=IDLE, env={name: "1" for name in PINNED}, initializer=_begin, initargs=(os.getpid(),)
    )
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=True, kill_workers=True)
        raise
    pool.shutdown(wait=True)


@contextmanager
def one_pool(workers: int | None) -> Iterator[None]:
    """Within it all that asks for so many worker processes has the same ones: each start of them takes seconds."""
    with opened(None, workers) as pool:
        before = _shared.set(None if pool is None else (workers, pool))
        try:
            yield
        finally:
            _shared.reset(before)


@contextmanager
def dask_executor(address: str) -> Iterator[Executor]:
    """The executor of the Dask cluster whose scheduler answers at an address such as tcp://host:8786.

    Raises
    ------
    MissingLibrary
        If dask.distributed is not installed.
    InvalidInput
        If nobody answers.
    """
    try:
        from distributed import Client
    except ImportError:
        raise MissingLibrary(
            "--dask needs dask.distributed: install it with pip install 'sgdlimits[dask]', here and on the workers"
        ) from None
    if not ADDRESS.fullmatch(address):
        raise InvalidInput(f"a scheduler's address is like tcp://host:8786, got {address[:200]!r}")
    try:
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:  # a TimeoutError is an OSError
        reason = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        raise InvalidInput(
            f"no Dask scheduler answers at {address[:200]!r} within {PATIENCE} s ({reason}): start one with "
            "`dask scheduler`, or leave --dask out"
        ) from None
    try:
        yield client.get_executor(pure=False)
    finally:
        client.close()


def side_by_side(calls: Sequence[Callable[[], Any]], workers: int | None) -> list[Any]:
    """What each call returns, in their order; in worker processes, the first ones first, where there are several.

    A call's own error is raised.
    """
    with opened(None, workers) as pool:
        if pool is None:
            return [call() for call in calls]
        futures = [pool.submit(call) for call in calls]
        waiting = set(futures)
        while waiting:
            done, waiting = wait(waiting, timeout=LOOK, return_when="FIRST_COMPLETED")
            for future in done:
                future.result()
        return [future.result() for future in futures]


def finished(
    executor: Executor, tasks: Sequence[Any], task_of: Callable[[Any], Task]
) -> Iterator[tuple[Any, Cell | Lost]]:
    """Each task with its cell, as they are done; an interrupt cancels what has not begun."""
    pending: dict[Future[Cell], Any] = {}
    try:
        for task in tasks:
            try:
                pending[executor.submit(run_task, task_of(task))] = task
            except Exception as error:  # broken, shut down, or a client that is closed
                yield task, Lost(_said(error))
        running: set[Future[Cell]] = set()
        while pending:
            # A bounded wait: an unbounded one cannot be interrupted on every platform.
            done, waiting = wait(pending, timeout=LOOK, return_when="FIRST_COMPLETED")
            for future in done:
                task = pending.pop(future)
                try:
                    yield task, future.result()
                except (Exception, CancelledError) as error:  # a cell's own fault is in its result
                    if type(error).__name__ == "KilledWorker":  # Dask's, of a cell that it tried several times
                        yield task, failed(task_of(task).place, f"its workers died: {_said(error)}")
                    else:
                        yield task, Lost(_said(error), future in running)
            running = {future for future in waiting if future.running()}
    finally:
        if not type(executor).__module__.startswith("loky"):  # whose workers are killed, all at once
            for future in pending:
                future.cancel()


def _begin(parent: int) -> None:
    """In a worker: one BLAS thread once for all cells; and end when the process that started it is killed."""
    from sgdlimits.ensembles.blas_threads import one_blas_thread

    global _in_a_worker
    _in_a_worker = True
    _kept.enter_context(one_blas_thread())

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    if os.name == "posix":  # elsewhere an idle worker ends by itself
        threading.Thread(target=watch, daemon=True).start()


def _said(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
