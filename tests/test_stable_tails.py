"""Tail index of the stationary law of Langevin's equation with stable noise, by the growth of the drift."""

import numpy as np
import pytest
from sgdlimits.compare.tail_estimators import hill
from sgdlimits.diffusions import StableLangevin
from sgdlimits.discrete import SGD
from sgdlimits.exact.errors import NoStationaryLaw
from sgdlimits.problems import LeastSquares, Logistic


def test_a_linear_drift_keeps_the_index():
    """Assert the index of one increment for an inward linear drift, and infinity at 2."""
    assert StableLangevin(lambda x: 0.8 * x, 1.0, 1.6, step_size=0.5).tail_index().index == 1.6
    problem = LeastSquares.from_arrays(np.eye(2), np.ones(2))
    assert StableLangevin.of(SGD(problem, 0.1, label_noise=1.0), 1.5).tail_index().index == 1.5
    assert StableLangevin(lambda x: 0.8 * x, 1.0, 2.0, step_size=0.5).tail_index().index == np.inf


@pytest.mark.parametrize(("growth", "taken"), [(0.0, 1.0), (0.5, 0.5)])
def test_a_weaker_drift_makes_heavier_tails(growth, taken):
    """Assert index + growth - 1, not proved, and a note that finitely many steps have the increment's."""
    found = StableLangevin(lambda x: np.sign(x) * np.abs(x) ** growth, 1.0, 1.8, step_size=0.1).tail_index()
    assert found.index == pytest.approx(1.8 - taken, abs=1e-6) and not found.proved and "1.8" in found.note


@pytest.mark.parametrize(
    ("gradient", "index", "says"),
    [
        (lambda x: 0.0 * x, 1.5, "point inward"),
        (lambda x: -x, 1.5, "point inward"),
        (lambda x: 2.5 * x, 1.5, "does not come back"),
        (lambda x: x**3, 1.5, "does not come back"),
        (np.tanh, 0.9, "too weak"),
    ],
)
def test_without_a_stationary_law_there_is_no_index(gradient, index, says):
    """Assert one sentence for drifts that are absent, outward, too long for a step, and too weak for the jumps."""
    with pytest.raises(NoStationaryLaw, match=says):
        StableLangevin(gradient, 1.0, index, step_size=1.0).tail_index()


@pytest.mark.slow
def test_hill_after_many_steps_tells_the_two_apart():
    """Assert Hill towards 0.5 under a bounded drift, and by 1.5 under a linear one: the control."""

    def far_out(gradient):
        process = StableLangevin(gradient, 1.0, 1.5, step_size=1.0)
        ends = process.simulate([0.0], 10_000, 4000, record=[10_000], seed=3)["state"].values[:, -1, 0]
        return hill(ends, k=200).index

    assert far_out(np.tanh) < 0.9 and far_out(lambda x: 0.5 * x) > 1.2


def test_separable_labels_are_seen_whatever_the_units():
    """Assert that a column of 1e-10 that separates the labels is not taken for none."""
    y = np.tile([1.0, -1.0], 20)
    rows = np.c_[np.r_[np.ones(20), -np.ones(20)], 1e-10 * y]
    with pytest.raises(NoStationaryLaw, match="can be separated"):
        SGD(Logistic.from_arrays(rows, y), 0.1).tail_index()
    mixed = np.c_[np.r_[np.ones(20), -np.ones(20)], 1e-10 * np.roll(y, 1) * (1 + (np.arange(40) % 3))]
    mixed[::7, 1] *= -1
    assert SGD(Logistic.from_arrays(mixed, y), 0.1).tail_index().index == np.inf
