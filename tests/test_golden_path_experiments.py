"""Verdicts of compare.golden_path on simulated runs: 200 experiments a case, cut out of one crowd of paths."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sgdlimits import compare
from sgdlimits.compare._golden_path.driver import judge, runs
from sgdlimits.compare._golden_path.plan import plan
from sgdlimits.compare.drops import SAME
from sgdlimits.discrete import SGD
from sgdlimits.problems import tasks

TRIALS, LEVEL, MARGIN, LAST = 200, 0.05, 0.05, 0.25
ALLOWED = stats.binom(TRIALS, LEVEL).ppf(0.999)  # wrong verdicts that the level explains

pytestmark = pytest.mark.slow


def verdicts(task, sgd, drop_at, record, seeds, batch_size, margin=MARGIN, functions=True):
    """How often each verdict was reached, by criterion and baseline."""
    asked = plan(
        task, sgd, drop_at, batch_size, SAME, SAME, record[-1], record, TRIALS * seeds, 1, margin, LEVEL, LAST
    )
    arms, found = runs(asked, None, functions), Counter()
    for first in range(0, TRIALS * seeds, seeds):
        mine = slice(first, first + seeds)
        cut = {
            name: replace(arm, losses=arm.losses[mine], positions=arm.positions[mine]) for name, arm in arms.items()
        }
        for one in judge(replace(asked, seeds=seeds), cut, "" if functions else "not asked for")[2]:
            found[one.name, one.against, one.verdict] += 1
    return found


def test_a_fork_offline_violates_three_criteria():
    """Assert F1, F2 and F4 where rows are few: noise has chosen another function, which is better."""
    task = tasks.diagonal_network(inputs=12, ones=1, rows=6, test_rows=100)
    found = verdicts(task, SGD(task.problem, 0.08), 150, [250, 325, 375, 400], 8, None, functions=False)
    for key in (("F1", "low"), ("F2", "low"), ("F4", "noiseless")):
        assert found[*key, "fails"] >= 180


def test_runs_too_soon_after_the_drop_are_other_functions():
    """Assert F3 four steps after the drop, at losses that label noise makes equal."""
    task = tasks.linear_regression(dimension=2, seed=1, test_rows=50)
    found = verdicts(task, SGD(task.problem, 0.1, batch_size=4), 20, [22, 24], 16, 64)
    assert found["F3", "same start, new data", "fails"] >= 180


def test_runs_of_one_law_do_not_differ():
    """Assert F2, F3 and F4 at their level where nothing drops: all arms are of one law."""
    task = replace(tasks.linear_regression(dimension=2, seed=1, test_rows=50), population=None)
    found = verdicts(task, SGD(task.problem, 0.3, batch_size=1024), 3, [4, 5, 6, 7, 8, 9], 12, 1024)
    for key in (("F2", "low"), ("F4", "noiseless"), ("F3", "same start, new data"), ("F3", "snapped, snapped")):
        assert found[*key, "fails"] <= ALLOWED
    assert found["F1", "", "void"] >= TRIALS - 2 * ALLOWED  # a drop that is none


def test_a_gap_at_the_margin_is_called_neither():
    """Assert F1 at its level, on both sides, where the exact gap that is left is the margin itself."""
    task = tasks.linear_regression(dimension=2, decay=0.5, seed=1)
    sgd = SGD(task.problem, 0.1, batch_size=1)
    record = [26, 27, 28]
    exact = compare.snapping(sgd, np.zeros((1, 2)), 20, batch_size=32, steps=28, record=record).dataset["gap"]
    margin = float(exact.sel(after=[6, 7, 8]).mean() / exact.sel(after=0))
    found = verdicts(task, sgd, 20, record, 32, 32, margin=margin, functions=False)
    assert found["F1", "low", "holds"] <= ALLOWED and found["F1", "low", "fails"] <= ALLOWED
    assert found["F1", "low", "marginal"] > 0.8 * TRIALS
    assert found["F2", "low", "fails"] + found["F4", "noiseless", "fails"] <= ALLOWED  # theory: noise never helps
