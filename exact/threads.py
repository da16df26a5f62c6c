"""How many threads a run takes where nobody says, and the pool in which they run: it leaves none behind."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from .errors import whole_number

VARIABLE = "SGDLIMITS_THREADS"

_lock = threading.Lock()
_pools = itertools.count()
_held = 0  # parts of a sweep that run in this process, among others elsewhere


def threads_of(threads: Any = None) -> int:
    """The number of threads asked for; by default that of the processors, or $SGDLIMITS_THREADS.

    Never changes a number.
    """
    if threads is not None:
        return whole_number("threads", threads, 1)
    if _held:
        return 1
    given = os.environ.get(VARIABLE)
    if given:
        return whole_number(f"${VARIABLE}", int(given) if given.strip().isdecimal() else given, 1)
    return os.cpu_count() or 1


@contextmanager
def thread_pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """A pool that ends with all its threads; work that waits when it is left, by an exception say, is not begun."""
    name = f"sgdlimits-{next(_pools)}"
    pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        # An interrupt while a thread is started leaves the pool without a word of that thread.
        for thread in threading.enumerate():
            if thread.name.startswith(f"{name}_"):
                thread.join()


@contextmanager
def one_thread() -> Iterator[None]:
    """By default one thread a run in this process, while its other threads or other processes have the other cores."""
    global _held
    with _lock:
        _held += 1
    try:
        yield
    finally:
        with _lock:
            _held -= 1
