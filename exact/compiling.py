"""The one door to numba: every kernel of the package is compiled through `compiled`."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any, Protocol

import numba

from .errors import InvalidInput

# The door sets it aside where numba is not loaded yet.
if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]  # numba makes its options while it loads
    raise InvalidInput(
        "NUMBA_DISABLE_JIT is set and numba was loaded before sgdlimits: the kernels need it compiled; unset it, or "
        "import sgdlimits first"
    )


class CompiledFunction(Protocol):
    """What numba.njit makes of a function: it is called like that one, and keeps it."""

    py_func: Callable[..., Any]

    def __call__(self, *arguments: Any) -> Any: ...


PATIENCE = 2.0  # seconds of compiling after which it is announced, where announcements are on


def compiled(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Compile with numba: releases the GIL, follows IEEE division, keeps the machine code on disk.

    Where no folder for the cache is writable, or its files are damaged, the kernel is compiled in memory instead;
    nothing else changes.
    """
    if function is None:
        return lambda chosen: compiled(chosen, **options)
    settings = {"nogil": True, "error_model": "numpy", **options}
    try:
        dispatcher = numba.njit(cache=True, **settings)(function)
    except RuntimeError:  # numba: "cannot cache function: no locator available"
        return numba.njit(**settings)(function)
    guard = _Guard(dispatcher._cache)
    dispatcher._cache.load_overload = guard.load
    dispatcher._cache.save_overload = guard.save
    return dispatcher


def on_disk(kernel: Any) -> bool:
    """Whether the cache has machine code of a kernel as it is written now; true where it keeps none at all."""
    file = getattr(kernel._cache, "_cache_file", None)
    try:
        return file is None or bool(file._load_index())
    except Exception:  # a damaged pickle can raise anything
        return True


def in_memory(function: Callable[..., Any]) -> Any:
    """Compile in memory only: on disk, a kernel that takes a compiled function would gain a copy in every process."""
    return numba.njit(nogil=True, error_model="numpy")(function)


class _Guard:
    """Stands between a kernel and its cache: what cannot be read or written is left out, with one warning a run."""

    warned = False

    def __init__(self, cache: Any) -> None:
        self._cache = cache
        self._load, self._save = cache.load_overload, cache.save_overload

    def load(self, signature: Any, context: Any) -> Any:
        try:
            found = self._load(signature, context)
        except Exception as error:  # a damaged pickle can raise anything
            self._leave(error)
            found = None
        if found is None:
            _announcement.begin()
        return found

    def save(self, signature: Any, result: Any) -> None:
        _announcement.end()
        try:
            self._save(signature, result)
        except Exception as error:
            self._leave(error)

    def _leave(self, error: Exception) -> None:
        """Empty the index, so that the next save starts anew; say so once."""
        said = "are made anew"
        try:
            self._cache.flush()
        except Exception:
            self._cache.disable()
            said = "are compiled in memory"
        if not _Guard.warned:
            _Guard.warned = True
            warnings.warn(
                f"files of numba's cache in {self._cache.cache_path} cannot be used "
                f"({type(error).__name__}); the kernels {said}",
                stacklevel=2,
            )


class _Announcement:
    """Says once that kernels are being compiled, if that lasts."""

    def __init__(self) -> None:
        self.wanted = False
        self._running: list[threading.Timer] = []

    def begin(self) -> None:
        if not self.wanted:
            return
        timer = threading.Timer(PATIENCE, self._say)
        timer.daemon = True
        timer.start()
        self._running.append(timer)

    def end(self) -> None:
        if self._running:
            self._running.pop().cancel()

    def _say(self) -> None:
        if self.wanted:
            self.wanted = False
            print(
                "compiling kernels for this machine: once after each installation, about a minute", file=sys.stderr
            )


_announcement = _Announcement()


def announce_compiling() -> None:
    """From now on say, once, on standard error that kernels are being compiled, if that lasts."""
    _announcement.wanted = True
