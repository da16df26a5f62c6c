"""Gradient flow of any loss: against closed forms, between its looks, where it explodes, is stiff or meets kinks."""

import warnings

import numpy as np
import pytest

from sgdlimits import diffusions, discrete
from sgdlimits.diffusions import GradientFlow
from sgdlimits.discrete import schedules
from sgdlimits.ensembles import progress
from sgdlimits.exact.errors import InvalidInput, OverflowedPaths
from sgdlimits.problems import LeastSquares, SampleLoss, StreamingLeastSquares, tasks

ROWS = np.random.Generator(np.random.Philox(7)).standard_normal((12, 3))


def alone(value, slope, dimension=1):
    """A loss of one sample from functions of x (P, d)."""
    return SampleLoss(
        lambda x, rows: value(x)[:, None] + 0.0 * rows, lambda x, rows: slope(x)[:, None] + 0.0 * rows[..., None], 1,
        dimension,
    )  # fmt: skip


QUARTIC = alone(lambda x: x[:, 0] ** 4 / 4, lambda x: x**3)
HILL = alone(lambda x: -(x[:, 0] ** 4) / 4, lambda x: -(x**3))
STARTS = np.array([[1.5], [-0.3], [1.5]])


def test_the_solution_lies_within_its_stated_error():
    """Assert x / sqrt(1 + 2 x^2 t) within the error that is printed, at loose and at tight tolerances."""
    for rtol in (1e-4, 1e-7, 1e-10):
        found = GradientFlow(QUARTIC, 0.5, rtol=rtol, atol=rtol / 100).solve(STARTS, 40, [0, 1, 7, 40])
        time = found["time"].values[None, :]
        exact = STARTS / np.sqrt(1 + 2 * STARTS**2 * time)
        off = np.abs(found["state"].values[..., 0] - exact)
        assert (off <= found["state_error"].values + 1e-14).all() and off.max() < 10 * rtol
        assert (np.abs(found["risk"].values - exact**4 / 4) <= found["risk_error"].values + 1e-14).all()
        assert found["state_error"].values[:, 1:].max() < 3e4 * rtol  # and the error says something


def test_where_one_looks_changes_no_bit():
    """Assert the same bits whatever is recorded, and from a start in company or alone."""
    def slope(x):
        return np.sinh(x[:, :1] + x[:, 1:] ** 2) * np.concatenate([np.ones((len(x), 1)), 2 * x[:, 1:]], axis=1)

    valley = alone(lambda x: np.cosh(x[:, 0] + x[:, 1] ** 2), slope, 2)
    x = np.array([[0.4, 0.3], [-1.0, 2.0], [0.4, 0.3]])
    flow = GradientFlow(valley, 0.03)
    often, once = flow.solve(x, 30), flow.solve(x[1], 30, [30])
    assert (often["state"].values[1, -1] == once["state"].values[0, 0]).all()
    run = flow.simulate(x, 30, 3, "state", [11, 30])["state"].values
    assert (run[:, 1] == often["state"].values[:, -1]).all()


def test_of_all_on_least_squares_it_is_the_closed_form():
    """Assert that loss and least squares agree within the error, with both drifts; a schedule is a sum of times."""
    problem = LeastSquares.from_arrays(ROWS, ROWS @ [1.0, -2.0, 0.5] + 0.3, ridge=0.2)
    twin = SampleLoss(
        lambda x, rows: 0.5 * (np.einsum("pbj,pj->pb", ROWS[rows], x) - problem.targets[rows]) ** 2,
        lambda x, rows: (np.einsum("pbj,pj->pb", ROWS[rows], x) - problem.targets[rows])[..., None] * ROWS[rows],
        12, 3, ridge=0.2,
    )  # fmt: skip
    x0, drop = np.array([1.0, 2.0, -1.0]), schedules.Drop(0.3, 4, 1 / 3)
    for step_size, order in ((0.3, 1), (0.3, 2), (drop, 1)):
        flows = [GradientFlow(each, step_size, drift_order=order) for each in (problem, twin)]
        closed, solved = (flow.solve(x0, 9, [0, 3, 9]) for flow in flows)
        for name in ("state", "risk"):
            np.testing.assert_allclose(solved[name].values, closed[name].values, rtol=0, atol=2e-9)
        assert not closed["state_error"].values.any()
    one = GradientFlow(problem, 0.3).solve(x0, 9, [9])["state"].values
    two = GradientFlow(problem, 0.3, drift_order=2).solve(x0, 9, [9])["state"].values
    steps = discrete.SGD(problem, 0.3, 12, "without_replacement").moments(x0, 9, [9])["mean"].values[-1]
    assert np.abs(two - steps).max() < 0.3 * np.abs(one - steps).max()  # control: the drift of order 1 is farther


def test_an_explosion_is_one_sentence_with_its_time():
    """Assert the time 1 / (2 x^2) of dx = x^3 dt, inf from that step on, and that other starts go on."""
    with pytest.warns(OverflowedPaths, match="1 of 2 starts.*path 0 at flow time 0.5:"):
        found = GradientFlow(HILL, 0.1).solve([[1.0], [0.1]], 20, [4, 5, 20])
    np.testing.assert_allclose(found["explosion"].values, [0.5, np.inf], rtol=1e-9)
    np.testing.assert_allclose(found["risk"].values[0, 0], -0.25 / (1 - 0.8) ** 2, rtol=1e-7)
    assert np.isinf(found["risk"].values[0, 2]) and np.isfinite(found["risk"].values[1]).all()
    with pytest.warns(OverflowedPaths, match="1 of 2 paths"):
        run = GradientFlow(HILL, 0.1).simulate([[1.0], [0.1]], 20, 2)
    assert run["overflow_step"].values.tolist() in ([5, -1], [6, -1])


def test_a_stiff_loss_is_refused():
    """Assert one sentence where the curvature is 10^6 times what a step resolves; in short steps it is solved."""
    stiff = alone(lambda x: 0.5 * (1e7 * x[:, 0] ** 2 + x[:, 1] ** 2), lambda x: x * [1e7, 1.0], 2)
    with pytest.raises(InvalidInput, match="more than 20000 gradients within step 0.*stiff"):
        GradientFlow(stiff, 0.1).solve([1.0, 1.0], 3)
    fine = GradientFlow(stiff, 1e-7).solve([1.0, 1.0], 3, [3])["state"].values[0, 0]
    np.testing.assert_allclose(fine, np.exp([-3.0, -3e-7]), rtol=1e-9)


def test_kinks_cost_no_more_than_the_tolerance():
    """Assert the path across a kink, and along one at a loose tolerance, refused at a tight one."""
    kink = alone(lambda x: np.abs(x[:, 0]) * np.where(x[:, 0] > 0, 2.0, -1.0), lambda x: np.where(x > 0, 2.0, -1.0))
    slope = alone(lambda x: x[:, 0] * np.where(x[:, 0] > 0, 2.0, 1.0), lambda x: np.where(x > 0, 2.0, 1.0))
    for rtol in (1e-5, 1e-9):
        across = GradientFlow(slope, 0.1, rtol=rtol, atol=rtol).solve([0.77], 10, [10])
        off = abs(across["state"].values.item() + (1 - 0.385))
        assert off < 10 * rtol and off <= across["state_error"].values.item()
    along = GradientFlow(kink, 0.01, rtol=1e-5, atol=1e-5).solve([0.05], 5, [5])
    assert abs(along["state"].values.item()) < 1e-3
    with pytest.raises(InvalidInput, match="slides along a kink"):
        GradientFlow(kink, 0.1).solve([0.05], 5)


@pytest.mark.slow
def test_every_kind_of_task_has_a_flow():
    """Assert a falling risk of logistic regression, both networks, a population and a classifier."""
    small = {"dimension": 5}
    cases = [
        tasks.logistic_regression(**small).population, tasks.logistic_regression(**small, rows=30).problem,
        tasks.diagonal_network(inputs=5, ones=2).population,
        tasks.relu_regression(inputs=3, width=4).population,
        tasks.relu_classification(inputs=3, width=4, rows=20).problem,
    ]  # fmt: skip
    for problem in cases:
        x0 = 0.3 * np.random.Generator(np.random.Philox(5)).standard_normal(problem.dimension)
        found = GradientFlow(problem, 0.05, rtol=1e-6, atol=1e-7).solve(x0, 20, [0, 10, 20])
        assert (np.diff(found["risk"].values[0] + 0.0) < 0).all()
        assert (found["risk_error"].values < 1e-3 * found["risk"].values).all()


def test_settings_that_do_not_fit_get_a_sentence():
    """Assert a sentence for the drift of order 2 under a schedule, a tolerance of 0 and no starts."""
    for make, match in (
        (lambda: GradientFlow(QUARTIC, lambda k: 0.1, drift_order=2), "one step size"),
        (lambda: GradientFlow(QUARTIC, 0.1, rtol=0), "rtol"),
        (lambda: GradientFlow(QUARTIC, 0.1, drift_order=3), "drift"),
        (lambda: GradientFlow(QUARTIC, 0.1).solve(np.zeros((0, 1)), 3), "at least one start"),
    ):  # fmt: skip
        with pytest.raises(InvalidInput, match=match):
            make()


def test_with_the_drift_of_order_two_it_goes_where_other_diffusions_go():
    """Assert moments, stability and simulation of the flow with the corrected drift on a stream."""
    stream = StreamingLeastSquares([1.0, 0.25], 0.0, [1.0, 1.0])
    flow = diffusions.GradientFlow(stream, 0.4, drift_order=2)
    rates = 0.4 * np.array([1.0, 0.25])
    expected = 1 - np.exp(-5 * (rates + rates**2 / 2))
    np.testing.assert_allclose(flow.moments([0.0, 0.0], 5, [5])["mean"].values[-1], expected, rtol=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = flow.simulate(np.zeros(2), 5, 2, "state", [5])["state"].values[0, 0]
    np.testing.assert_allclose(run, expected, rtol=1e-12)


def test_a_long_solution_says_how_far_it_is(capsys, monkeypatch):
    """Assert a line with step, gradients and tolerance once patience ends, and no change of the result."""
    task = tasks.relu_classification(inputs=2, width=3, classes=2, rows=6)
    flow = GradientFlow(task.problem, 0.1, rtol=1e-6, atol=1e-6)
    start = np.full(flow.problem.dimension, 0.3)
    monkeypatch.setattr(progress, "FIRST_WORD", 1e9)
    silent = flow.solve(start, 2)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(progress, "FIRST_WORD", 0.0)
    said = flow.solve(start, 2)
    assert "gradient flow: past step 0 of 2, 1 gradients at rtol 1e-06" in capsys.readouterr().err
    assert said.identical(silent)
