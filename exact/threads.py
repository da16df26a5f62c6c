"""How many threads a run takes where nobody says: all processors, or one where several processes share them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .errors import whole_number

VARIABLE = "SGDLIMITS_THREADS"

_lock = threading.Lock()
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
