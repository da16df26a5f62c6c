"""Parameters of tests, of which some are left to the slow checks."""

import pytest


def slowly(cases, is_slow):
    """The cases for parametrize, a value or a tuple each; those that `is_slow` picks are marked slow."""
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow) if is_slow(case) else case
        for case in cases
    ]
