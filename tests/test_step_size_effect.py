"""compare.step_size_effect: descent less flow by its own laws, its leading order, the edge of stability, the noise."""

import numpy as np
import pytest

from sgdlimits import compare
from sgdlimits.discrete import SGD, rules
from sgdlimits.exact.errors import InvalidInput, OverflowedPaths
from sgdlimits.problems import LeastSquares, SampleLoss, StreamingLeastSquares

DRAW = np.random.Generator(np.random.Philox(17))
ROWS = DRAW.standard_normal((12, 3))
LABELS = ROWS @ [1.0, -1.0, 0.5] + 0.4 * DRAW.standard_normal(12)
SQUARES = LeastSquares.from_arrays(ROWS, LABELS)
TWIN = SampleLoss(
    lambda x, rows: 0.5 * (np.einsum("pbj,pj->pb", ROWS[rows], x) - LABELS[rows]) ** 2,
    lambda x, rows: (np.einsum("pbj,pj->pb", ROWS[rows], x) - LABELS[rows])[..., None] * ROWS[rows], 12, 3,
)  # fmt: skip
SIGNED = np.sign(LABELS)[:, None] * ROWS
LOGISTIC = SampleLoss(
    lambda x, rows: np.logaddexp(0, -np.einsum("pbj,pj->pb", SIGNED[rows], x)),
    lambda x, rows: -SIGNED[rows] / (1 + np.exp(np.einsum("pbj,pj->pb", SIGNED[rows], x)))[..., None], 12, 3, ridge=0.1,
)  # fmt: skip
X0 = np.array([2.0, 1.0, -1.5])


def slope(sizes, values):
    return np.polyfit(np.log(sizes), np.log(np.abs(values)), 1)[0]


def test_least_squares_gives_the_closed_form_and_flow_lies_above_descent():
    """Assert risks from modes, that no mode of descent is behind the flow, and (step_size / 4e) sum l^2 e^2."""
    h, e = SQUARES.eigenvalues, SQUARES.to_modes(X0)
    step_size = 0.9 / h.max()
    data = compare.step_size_effect(SQUARES, X0, step_size, 30, record=range(31)).dataset
    k = np.arange(31)[:, None]
    floor = SQUARES.least_risk
    np.testing.assert_allclose(data["descent"], floor + 0.5 * (h * e**2 * (1 - step_size * h) ** (2 * k)).sum(1))
    np.testing.assert_allclose(data["flow"], floor + 0.5 * (h * e**2 * np.exp(-2 * step_size * h * k)).sum(1))
    assert (data["difference"].values <= 1e-15).all()
    bound = step_size / (4 * np.e) * (h**2 * e**2).sum()
    assert 0.3 * bound < np.abs(data["leading"]).max() and 0 < np.abs(data["leading"]).max() < 1.0001 * bound
    assert np.allclose(data["edge"].values[np.isfinite(data["edge"].values)], 0.9)


@pytest.mark.parametrize("problem", [SQUARES, LOGISTIC], ids=["least squares", "logistic"])
def test_the_leading_order_leaves_a_remainder_of_the_next(problem):
    """Assert slopes 1 of the difference (the control) and 2 of what the leading order leaves, at fixed flow time."""
    sizes, found = np.array([0.08, 0.04, 0.02]) * (1 if problem is SQUARES else 4), []
    for size in sizes:
        steps = round(1.6 / size)
        data = compare.step_size_effect(problem, X0, size, steps, record=[steps], sharpness_looks=0).dataset
        assert data["difference_error"] + data["leading_error"] < 1e-3 * np.abs(data["difference"] - data["leading"])
        found.append((data["difference"].item(), (data["difference"] - data["leading"]).item()))
    first, second = np.array(found).T
    assert abs(slope(sizes, first) - 1) < 0.15 and abs(slope(sizes, second) - 2) < 0.3
    assert np.abs(second[-1]) < 0.1 * np.abs(first[-1])


def test_the_edge_of_stability_is_marked_where_it_is_passed():
    """Assert the first step past it, where the curvature rises along the path, and none at a smaller step size."""
    hollow = SampleLoss(  # a slide along x towards a rising curvature 1 + x in y
        lambda x, rows: (-0.5 * x[:, 0] + 0.5 * (1 + x[:, 0]) * x[:, 1] ** 2)[:, None] + 0.0 * rows,
        lambda x, rows: np.stack([-0.5 + 0.5 * x[:, 1] ** 2, (1 + x[:, 0]) * x[:, 1]], axis=1)[:, None]
        + 0.0 * rows[..., None], 1, 2,
    )  # fmt: skip
    result = compare.step_size_effect(hollow, [0.0, 0.0], 0.4, 25, record=range(26), sharpness_looks=26)
    expected = 0.4 * (1 + 0.2 * np.arange(26))
    np.testing.assert_allclose(result.dataset["edge"], expected, rtol=1e-6)
    assert result.first_past == 21 and "Past the edge of stability, 2, at step 21" in str(result)
    calm = compare.step_size_effect(hollow, [0.0, 0.0], 0.1, 25, record=range(26))
    assert calm.first_past is None and "No step that was looked at" in str(calm)
    with pytest.warns(OverflowedPaths, match="gradient descent overflowed"):
        lost = compare.step_size_effect(SQUARES, X0, 1e4, 60, record=[0, 60], sharpness_looks=1).dataset
    assert np.isinf(lost["descent"][1])


def test_the_noise_is_told_apart_from_the_step_size():
    """Assert the exact trace term on least squares, its simulation, and that it falls as 1 / batch size."""
    found = {}
    for batch in (4, 8):
        sgd = SGD(SQUARES, 0.1, batch)
        data = compare.step_size_effect(SQUARES, X0, 0.1, 20, record=[5, 20], sgd=sgd).dataset
        covariance = sgd.moments(X0, 20, [5, 20])["covariance"].values[1:]
        np.testing.assert_allclose(data["noise"], 0.5 * np.einsum("sij,ji->s", covariance, SQUARES.hessian), rtol=1e-9)
        assert not data["noise_error"].any() and (data["difference"] < 0).all()
        found[batch] = data["noise"].values
    np.testing.assert_allclose(found[4] / found[8], 2.0, atol=0.35)
    run = compare.step_size_effect(
        TWIN, X0, 0.1, 20, record=[5, 20], sgd=SGD(TWIN, 0.1, 4), paths=2000, sharpness_looks=1
    )
    z = (run.dataset["noise"].values - found[4]) / run.dataset["noise_error"].values
    assert np.abs(z).max() < 4 and np.abs((run.dataset["noise"].values - found[8])).min() > 4 * (
        run.dataset["noise_error"].values.max()
    )
    assert "over 2000 paths" in str(run) and run.plot() and run.to_csv()


def test_bad_input_gets_a_sentence():
    """Assert one for another step size, rule, dimension, and for a start of another length."""
    stream = StreamingLeastSquares(np.eye(2), 0.1, np.ones(2))
    for options, match in (
        ({"sgd": SGD(SQUARES, 0.2)}, "has step_size 0.2"), ({"sgd": SGD(stream, 0.1)}, "2 parameters"),
        ({"sgd": SGD(SQUARES, 0.1, rule=rules.Adam())}, "plain"), ({"sgd": "adam"}, "sgd"), ({"paths": 0, "sgd":
        SGD(TWIN, 0.1)}, "paths"),
    ):  # fmt: skip
        with pytest.raises(InvalidInput, match=match):
            compare.step_size_effect(SQUARES, X0, 0.1, 5, **options)
    with pytest.raises(InvalidInput, match="x0"):
        compare.step_size_effect(SQUARES, np.ones(2), 0.1, 5)
