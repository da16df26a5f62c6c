"""Units and nearly cancelled curvatures: what must not change with them, and what is refused."""

import numpy as np
import pytest

from sgdlimits.compare.predictions import leading_error
from sgdlimits.diffusions import GradientFlow, HomogenizedSGD, ModifiedEquation, OrnsteinUhlenbeck
from sgdlimits.discrete import SGD
from sgdlimits.exact.errors import InvalidInput, NoStationaryLaw, Unstable
from sgdlimits.problems import LeastSquares, StreamingLeastSquares

DRAW = np.random.default_rng(0)
A, B, X = DRAW.standard_normal((12, 4)), DRAW.standard_normal(12), np.ones(4)
KINDS = {
    "SGD": lambda sgd: sgd,
    "momentum": lambda sgd: SGD(sgd.problem, sgd.step_size, momentum=0.5),
    "homogenized": HomogenizedSGD.of,
    "order 1": lambda sgd: ModifiedEquation.of(sgd, order=1),
    "order 2": lambda sgd: ModifiedEquation.of(sgd, order=2),
    "Ornstein-Uhlenbeck": OrnsteinUhlenbeck.of,
    "flow": GradientFlow.of,
}


def problem(kind, unit):
    if kind == "finite":
        return LeastSquares.from_arrays(A, unit * B, 0.1)
    return StreamingLeastSquares(np.diag([1.0, 0.5, 0.2, 0.1]), 0.4 * unit, unit * np.ones(4), 0.05)


def in_unit(name, kind, unit):
    process = KINDS[name](SGD(problem(kind, unit), 0.05))
    moments, law = process.moments(unit * X, 40, record=[7, 40]), process.stationary()
    return (
        moments["mean"].values / unit, moments["covariance"].values / unit**2, moments["risk"].values / unit**2,
        law.covariance / unit**2, law.risk / unit**2,
    )  # fmt: skip


@pytest.mark.parametrize("unit", [1e-8, 1e-4, 3.3, 1e2, 1e4, 1e6, 1e8])
@pytest.mark.parametrize("kind", ["finite", "stream"])
@pytest.mark.parametrize("name", KINDS)
def test_moments_do_not_depend_on_the_unit_of_the_targets(name, kind, unit):
    """Assert that targets and start scaled by c scale means by c and squares by c^2, to 1e-12."""
    for here, there in zip(in_unit(name, kind, unit), in_unit(name, kind, 1.0)):
        assert np.abs(here - there).max() <= 1e-12 * np.abs(there).max()


@pytest.mark.parametrize("unit", [1e-8, 1e8])
def test_leading_errors_do_not_depend_on_the_unit(unit):
    """Assert the same of the predicted constants."""
    found = []
    for c in (unit, 1.0):
        sgd = SGD(problem("finite", c), 0.05)
        start = sgd.problem.to_modes(c * X), np.zeros((4, 4))
        both = [leading_error(sgd, p, *start, [1.0]).risk()[0] for p in (KINDS["order 1"](sgd), KINDS["order 2"](sgd))]
        found.append(np.array(both) / c**2)
    assert np.allclose(*found, rtol=1e-11)


SMALLEST = np.linalg.eigvalsh(A.T @ A / 12)[0]


@pytest.mark.parametrize("gap", [1e-3, 1e-5, 1e-8, 1e-10])
def test_risk_keeps_its_digits_where_the_ridge_nearly_cancels_a_curvature(gap):
    """Assert |Ax - b|^2 / 2n to 1e-13, in the problem and along simulated paths, however far the minimiser lies."""
    near = LeastSquares.from_arrays(A, B, -SMALLEST * (1 - gap))
    assert np.isclose(near.risk(X), np.square(A @ X - B).mean() / 2, rtol=1e-13)
    with pytest.warns(UserWarning, match="settles only below"):
        run = SGD(near, 0.01).simulate(X, 5, 8, observables=("risk", "state"))
    residuals = run["state"].values @ A.T - B
    assert np.allclose(run["risk"].values, np.square(residuals).mean(-1) / 2, rtol=1e-12)


def test_moments_about_a_minimiser_far_away_are_right_or_refused():
    """Assert agreement with brute force to 1e-6 at a gap of 1e-5, and one sentence at 1e-8, from every side."""
    rows = [np.eye(4) - 0.01 * (np.outer(a, a) - SMALLEST * (1 - 1e-5) * np.eye(4)) for a in A]
    mean, second = X.copy(), np.outer(X, X)
    for _ in range(3):
        pairs = [(m @ mean + 0.01 * a * b, m, 0.01 * a * b) for m, a, b in zip(rows, A, B)]
        second = np.mean([m @ second @ m.T + np.outer(m @ mean, e) + np.outer(e, m @ mean) + np.outer(e, e)
                          for _, m, e in pairs], axis=0)  # fmt: skip
        mean = np.mean([moved for moved, _, _ in pairs], axis=0)
    exact = np.mean([a @ second @ a - 2 * b * a @ mean + b * b for a, b in zip(A, B)]) / 2
    near = LeastSquares.from_arrays(A, B, -SMALLEST * (1 - 1e-5))
    with pytest.warns(UserWarning, match="settles only below"):
        assert np.isclose(float(SGD(near, 0.01).moments(X, 3)["risk"][-1]), exact, rtol=1e-6)
    nearer = SGD(LeastSquares.from_arrays(A, B, -SMALLEST * (1 - 1e-8)), 1e-9)
    for call in (
        lambda: nearer.moments(X, 3), nearer.stationary, lambda: HomogenizedSGD.of(nearer).moments(X, 3),
        lambda: HomogenizedSGD.of(nearer).simulate(X, 3, 8),
    ):  # fmt: skip
        with pytest.raises(InvalidInput, match="minus an eigenvalue"):
            call()


def test_a_stream_without_noise_has_no_negative_risk_and_a_finite_diffusion():
    """Assert risk 0 at the truth under a ridge, and no nan in the modified equation there."""
    stream = StreamingLeastSquares(np.diag([1, 0.3]), noise=0, ridge=0.9, minimiser=np.ones(2))
    assert stream.risk(np.ones(2)) == 0
    for order in (1, 2):
        columns = ModifiedEquation(stream, 0.1, order=order).diffusion(0.0, np.ones((1, 2)))
        assert np.isfinite(columns).all() and np.abs(columns).max() < 1e-7


@pytest.mark.parametrize("name", ["SGD", "momentum", "homogenized", "order 1", "order 2"])
def test_stability_and_stationary_law_agree_next_to_the_threshold(name):
    """Assert that within a few ulp of the threshold, "stable" and the existence of a law are the same."""
    threshold = KINDS[name](SGD(problem("finite", 1.0), 0.05)).stability().mean_square_threshold
    seen = set()
    for ulp in (-40000, -9000, -2, -1, 0, 1, 2):
        at = threshold * (1 + ulp * 2.0**-52)
        process = KINDS[name](SGD(problem("finite", 1.0), at))
        stable = process.stability().mean_square_stable
        seen.add(stable)
        if stable:
            assert np.isfinite(process.stationary().risk)
        else:
            with pytest.raises(Unstable) as error:
                process.stationary()
            assert not isinstance(error.value, NoStationaryLaw)
    assert seen == {True, False}
