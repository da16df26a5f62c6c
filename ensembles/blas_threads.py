"""One thread for BLAS and torch while anything of the package runs; what was before comes back after the last."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_lock = threading.Lock()
_inside = 0  # runs that are under way, in any thread
_limits: Any = None
_torch_threads: int | None = None


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep BLAS, and torch where it is in use, to one thread: the same bits on any number of cores.

    The limits hold for the whole process, so overlapping runs share them: the first one in sets them, the last one
    out restores what it found.
    """
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    import scipy.linalg  # noqa: F401  brings its own BLAS, which must be loaded before it can be limited
    from threadpoolctl import threadpool_limits

    global _inside, _limits, _torch_threads
    with _lock:
        if _inside == 0:
            _take_control()
            _limits = threadpool_limits(1, user_api="blas")
        torch = sys.modules.get("torch")
        if torch is not None and _torch_threads is None and hasattr(torch, "get_num_threads"):
            _torch_threads = torch.get_num_threads()
            torch.set_num_threads(1)
        _inside += 1


def _leave() -> None:
    global _inside, _torch_threads
    with _lock:
        _inside -= 1
        if _inside or sys.is_finalizing():  # the limits end with the process
            return
        _take_control()
        _limits.restore_original_limits()
        _take_control()
        if _torch_threads is not None:
            sys.modules["torch"].set_num_threads(_torch_threads)
            _torch_threads = None


def _take_control() -> None:
    """Newer threadpoolctl lets one thread alone set OpenBLAS's limits, and ignores the others in silence."""
    import threadpoolctl

    clear = getattr(getattr(threadpoolctl, "OpenBLASController", None), "clear_controlling_thread", None)
    if clear is not None:
        clear(force=True)
