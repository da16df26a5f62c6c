"""The one door to numba: every kernel of the package is compiled through `compiled`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Compile with numba: releases the GIL, follows IEEE division, keeps the machine code on disk.

    Where no folder for the cache is writable (a read-only install without a home), the kernel is compiled
    in memory instead; nothing else changes.
    """
    if function is None:
        return lambda chosen: compiled(chosen, **options)
    settings = {"nogil": True, "error_model": "numpy", **options}
    try:
        return numba.njit(cache=True, **settings)(function)
    except RuntimeError:  # numba: "cannot cache function: no locator available"
        return numba.njit(**settings)(function)


def in_memory(function: Callable[..., Any]) -> Any:
    """Compile in memory only: on disk, a kernel that takes a compiled function would gain a copy in every process."""
    return numba.njit(nogil=True, error_model="numpy")(function)
