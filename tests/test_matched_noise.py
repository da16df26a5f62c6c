"""compare.svag and compare.linear_scaling: exact where moments close, and verdicts that can be wrong."""

import numpy as np
import pytest

from sgdlimits import compare
from sgdlimits.diffusions import ModifiedEquation
from sgdlimits.discrete import SGD, rules, schedules
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import LeastSquares, SampleLoss, StreamingLeastSquares

DRAW = np.random.Generator(np.random.Philox(29))
ROWS = DRAW.standard_normal((20, 3))
LABELS = ROWS @ [1.0, -1.0, 0.5] + 0.4 * DRAW.standard_normal(20)
SQUARES = LeastSquares.from_arrays(ROWS, LABELS)
STREAM = StreamingLeastSquares(np.diag([1.0, 0.5, 0.2]), 0.4, [1.0, 0.0, -1.0])
TWIN = SampleLoss(
    lambda x, rows: 0.5 * (np.einsum("pbj,pj->pb", ROWS[rows], x) - LABELS[rows]) ** 2,
    lambda x, rows: (np.einsum("pbj,pj->pb", ROWS[rows], x) - LABELS[rows])[..., None] * ROWS[rows], 20, 3,
)  # fmt: skip
X0 = np.array([1.0, -0.5, 2.0])


@pytest.mark.parametrize("problem", [SQUARES, STREAM], ids=["rows", "stream"])
def test_svag_on_least_squares_is_exact_and_comes_to_the_diffusion_with_order_one(problem):
    """Assert risks, the limit, slope 1 where the step size is small, and the verdict on the diffusion itself."""
    verdicts = []
    for step_size, bent in ((0.01, 0.002), (0.6, 0.15)):
        sgd = SGD(problem, step_size, 4)
        result = compare.svag(sgd, X0, 12, l=(8, 16, 32, 64))
        data, limit = result.dataset, ModifiedEquation.of(sgd).moments(X0, 12)["risk"].values
        np.testing.assert_allclose(data["limit"], limit, rtol=1e-12)
        np.testing.assert_allclose(data["risk"][0], sgd.moments(X0, 12)["risk"], rtol=1e-13)
        assert abs(data.attrs["slope"] - 1) < min(bent, 8 * data.attrs["slope_error"])
        off = np.abs(limit - data["risk"].values[0]) / (data["risk"].values[0] - problem.least_risk)
        assert result.verdict == ("agrees" if off.max() <= 0.05 else "differs")
        verdicts.append(result.verdict)
    assert verdicts == ["agrees", "differs"]


def test_one_over_l_of_the_way_is_left():
    """Assert that what SVAG shows, divided by 1 - 1/l, is the diffusion's difference: to 2 % where l = 2 shows half."""
    data = compare.svag(SGD(STREAM, 0.02, 2), X0, 20, l=(2, 4)).dataset
    whole = (data["limit"] - data["risk"][0]).values[1:]
    for rung, part in ((1, 0.5), (2, 0.75)):
        np.testing.assert_allclose(data["difference"].values[rung, 1:] / part, whole, rtol=0.02)
    assert np.abs(data["difference"].values[1, 1:] / whole - 1).min() > 0.4  # control: undivided it is not


def test_simulated_risks_give_the_exact_verdicts():
    """Assert differences within their bands of the exact ones, and decisions where there is one to take."""
    for step_size, paths, expected in ((0.1, 1500, "agrees"), (0.7, 1500, "differs"), (0.3, 16, "undecided")):
        exact = compare.svag(SGD(SQUARES, step_size, 8), X0, 6, l=(2, 4), tolerance=0.1).dataset
        result = compare.svag(SGD(TWIN, step_size, 8), X0, 6, l=(2, 4), paths=paths, tolerance=0.1)
        gaps = result.dataset["difference"].values - exact["difference"].values
        assert (np.abs(gaps[1:]) <= 1.4 * result.dataset["half_width"].values[1:] + 1e-12).all()
        assert result.verdict == expected and expected in str(result)
        if expected == "undecided":
            assert result.dataset["needed"].values[-1] > 16 and "would decide" in str(result)


@pytest.mark.slow
def test_a_null_is_called_valid_and_a_false_one_is_not():
    """Assert that of 60 simulated experiments at the tolerance's edge few agree, and beyond it most differ."""
    sgd = SGD(TWIN, 0.7, 8)
    exact = compare.svag(SGD(SQUARES, 0.7, 8), X0, 3, l=(3,), record=[3]).dataset
    off = abs(float(exact["difference"][1, 0])) / (2 / 3) / float(exact["risk"][0, 0])
    calls = {share: [] for share in (1.0, 0.4)}
    for seed in range(60):
        for share, found in calls.items():
            found.append(
                compare.svag(sgd, X0, 3, l=(3,), record=[3], paths=1600, seed=seed, tolerance=share * off).verdict
            )
    assert calls[1.0].count("agrees") <= 6  # level 2.5 %: the band is two-sided
    assert calls[0.4].count("differs") >= 45


def test_linear_scaling_matches_the_sum_of_step_sizes_and_finds_where_it_breaks():
    """Assert means that would coincide for small steps, risks of each factor from its own moments, and the verdict."""
    sgd = SGD(STREAM, 0.05, 2)
    result = compare.linear_scaling(sgd, X0, 80, factors=(2, 4, 16))
    data = result.dataset
    assert data["step"].values.tolist() == [0, 16, 32, 48, 64, 80]
    twin = SGD(STREAM, 0.2, 8).moments(X0, 20, [4, 8, 12, 16, 20])["risk"].values
    np.testing.assert_allclose(data["risk"].sel(rung=4), twin, rtol=1e-13)
    assert data["verdict"].values.tolist()[:2] == ["reference", "agrees"] and data["verdict"].values[-1] == "differs"
    assert "holds up to the factor" in str(result) and result.verdict == "differs"
    gentle = compare.linear_scaling(SGD(STREAM, 0.001, 2), X0, 80, factors=(2, 4))
    assert gentle.verdict == "agrees" and abs(gentle.dataset.attrs["slope"] - 1) < 0.02


def test_another_risk_can_be_looked_at_and_everything_prints():
    """Assert a user's risk, simulated on least squares too, pictures, CSV and claims."""
    result = compare.svag(SGD(SQUARES, 0.1, 4), X0, 4, l=(2,), paths=64, risk=lambda x: (x**2).sum(axis=1))
    assert result.dataset["risk"].values[0, 0] == pytest.approx((X0**2).sum()) and not result.dataset.attrs["exact"]
    assert result.plot() and result.to_csv() and "li2021" in result.claims() and result.to_latex()
    assert compare.linear_scaling(SGD(SQUARES, 0.1, 4), X0, 8).plot()


def test_bad_input_gets_a_sentence():
    """Assert one for momentum, rules, schedules, ladders that are none, steps without a common one, few paths."""
    plain = SGD(SQUARES, 0.1, 4)
    for make, match in (
        (lambda: compare.svag(SGD(SQUARES, 0.1, momentum=0.5), X0, 4), "plain SGD"),
        (lambda: compare.svag(SGD(SQUARES, 0.1, rule=rules.Adam()), X0, 4), "plain SGD"),
        (lambda: compare.svag(SGD(SQUARES, schedules.WarmUp(0.1, 3)), X0, 4), "schedule"),
        (lambda: compare.svag(SGD(SQUARES, 0.1, 4, "reshuffle"), X0, 4), "two independent"),
        (lambda: compare.svag(plain, X0, 4, l=(4, 2)), "increasing"), (lambda: compare.svag(plain, X0, 4, l=(1,)), "1"),
        (lambda: compare.svag(plain, X0, 4, l=3), "list"), (lambda: compare.svag("sgd", X0, 4), "sgd"),
        (lambda: compare.svag(plain, X0, 4, tolerance=0), "tolerance"),
        (lambda: compare.linear_scaling(plain, X0, 3, factors=(2, 4)), "first at step 4"),
        (lambda: compare.linear_scaling(plain, X0, 8, factors=(2, 4), record=[6]), "multiples of 4"),
        (lambda: compare.svag(SGD(TWIN, 0.1), X0, 4, paths=1), "paths"),
    ):  # fmt: skip
        with pytest.raises(InvalidInput, match=match):
            make()
