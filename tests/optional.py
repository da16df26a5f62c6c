"""Libraries that a test can do without."""

import importlib
import os

import pytest


def optional(name):
    """The library, or a skipped test; a failed one where all libraries must be there."""
    if os.environ.get("SGDLIMITS_REQUIRE_ALL") == "1":
        return importlib.import_module(name)
    return pytest.importorskip(name)
