"""The table of optimisers: powers where theory has them, lighter tails elsewhere, and a verdict that can fail."""

import math
from dataclasses import replace

import pytest

from sgdlimits.exact.tail_index import TailIndex
from sgdlimits.studies.heavy_tails import optimiser_tails


@pytest.mark.slow
def test_theory_and_paths_agree_for_every_optimiser():
    """Assert each row, that a wrong theory is told from the right one, and what is said of the claim."""
    rows = optimiser_tails(paths=20_000, seed=3, threads=1)
    assert [row.heavy for row in rows] == [True] * 4 + [False] * 8
    for row in rows:
        assert row.agrees, row.verdict
        assert row.rises != row.heavy, row.verdict
        assert row.derivation and row.setting and row.outcome == "agrees"
    plain, adam = rows[0], next(row for row in rows if row.claim)
    wrong = replace(plain, theory=TailIndex(1.5, 0.0, "wrong"))
    assert not wrong.agrees and wrong.outcome == "differs"
    assert replace(plain, theory=TailIndex(math.inf, 0.0, "wrong")).agrees is None
    assert adam.optimiser == "Adam" and not adam.theory.proved
    assert adam.verdict.endswith("heavy-tailed cases: not seen at this setting")
