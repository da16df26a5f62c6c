"""Whose line a warning is about."""

from __future__ import annotations

import sys

PACKAGE = "sgdlimits."


def callers_level() -> int:
    """The `stacklevel` with which a warning of the function that asks names the first line outside the package."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).startswith(PACKAGE):
        level, frame = level + 1, frame.f_back
    return level
