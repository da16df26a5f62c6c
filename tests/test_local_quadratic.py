"""Ornstein-Uhlenbeck about a minimum of a smooth loss: its law by closed formulas, and where there is no such law."""

import warnings

import numpy as np
import pytest
from scipy.linalg import solve_continuous_lyapunov
from scipy.optimize import minimize

from sgdlimits import compare
from sgdlimits.diffusions import HomogenizedSGD, OrnsteinUhlenbeck
from sgdlimits.discrete import SGD
from sgdlimits.exact.errors import InvalidInput, MismatchedProcesses
from sgdlimits.problems import LeastSquares, LocalExpansion, LocalQuadratic, Logistic, NoisyQuadratic, SampleLoss

RIDGE = 0.1


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(3)
    features = generator.standard_normal((60, 3)) * [1.0, 0.7, 2.0]
    return features, np.where(features @ [1.0, -1.0, 0.3] + generator.standard_normal(60) > 0, 1.0, -1.0)


@pytest.fixture(scope="module")
def formulas(data):
    """Minimiser, Hessian of the descended loss and covariance of a sample's gradient, from the logistic function."""
    features, labels = data

    def loss(x):
        return np.logaddexp(0, -labels * (features @ x)).mean() + RIDGE / 2 * x @ x

    x = minimize(loss, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-16, "maxiter": 9999}).x
    chance = 1 / (1 + np.exp(labels * (features @ x)))
    hessian = (features * (chance * (1 - chance))[:, None]).T @ features / 60 + RIDGE * np.eye(3)
    return x, hessian, np.cov((-(labels * chance)[:, None] * features).T, bias=True)


def double_well(slopes):
    """l_i = (x^2 - 1)^2 / 4 + slopes_i x."""
    return SampleLoss(
        lambda x, i: (x[:, 0, None] ** 2 - 1) ** 2 / 4 + slopes[i] * x[:, 0, None],
        lambda x, i: ((x[:, 0, None] ** 2 - 1) * x[:, 0, None] + slopes[i])[..., None],
        samples=len(slopes), dimension=1,
    )  # fmt: skip


def test_the_stationary_law_solves_lyapunovs_equation(data, formulas):
    """Assert mean and covariance by scipy from the logistic loss's own formulas, also without replacement."""
    problem = Logistic(*data, ridge=RIDGE)
    x, hessian, noise = formulas
    process = OrnsteinUhlenbeck.of(SGD(problem, 0.2, 4))
    law = process.stationary()
    np.testing.assert_allclose(law.mean, x, atol=1e-6)
    expected = solve_continuous_lyapunov(hessian, 0.2 / 4 * noise)
    np.testing.assert_allclose(law.covariance, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    again = OrnsteinUhlenbeck(problem, 0.2, 4, minimiser=x + 0.01)
    np.testing.assert_allclose(again.stationary().covariance, law.covariance, rtol=1e-6)


def test_sgd_at_a_small_step_settles_in_that_law(data):
    """Assert the covariance of SGD after 6 relaxation times of the slowest direction, within 10 %."""
    problem = Logistic(*data, ridge=RIDGE)
    sgd = SGD(problem, 0.05, 2)
    law = OrnsteinUhlenbeck.of(sgd).stationary()
    steps = int(6 / (0.05 * np.linalg.eigvalsh(problem.hessian(law.mean) + RIDGE * np.eye(3))[0]))
    ends = sgd.simulate(law.mean, steps, 3000, observables=("state",), record=[steps], seed=5)["state"].values[:, -1]
    ratio = np.trace(np.cov(ends.T)) / np.trace(law.covariance)
    assert 0.9 < ratio < 1.1


def test_simulated_paths_have_the_moments(data):
    """Assert mean and covariance of simulated paths from off the minimum against the exact ones."""
    process = OrnsteinUhlenbeck.of(SGD(Logistic(*data, ridge=RIDGE), 0.3, 2))
    start = np.array([1.0, 0.0, -1.0])
    exact = process.moments(start, 10, record=[10]).sel(step=10)
    run = process.simulate(start, 10, 8000, observables=("state", "risk"), record=[10], solver="exponential_euler")
    ends = run["state"].values[:, -1]
    error = np.sqrt(np.diagonal(exact["covariance"].values) / 8000)
    assert (np.abs(ends.mean(axis=0) - exact["mean"].values) < 4 * error).all()
    np.testing.assert_allclose(np.cov(ends.T), exact["covariance"].values, atol=0.1 * np.abs(exact["covariance"]).max())
    risks = run["risk"].values[:, -1]
    assert abs(risks.mean() - float(exact["risk"])) < 4 * risks.std() / np.sqrt(8000)


@pytest.mark.parametrize("ridge", [0.0, RIDGE])
def test_the_quadratic_touches_the_loss_to_third_order(data, ridge):
    """Assert the risk, without the ridge, near the minimum: halving the distance takes its error by 8."""
    problem = Logistic(*data, ridge=ridge)
    local = OrnsteinUhlenbeck(problem, 0.1).problem
    away = np.array([0.3, -0.2, 0.4])
    points = [local.minimiser + h * away for h in (0.2, 0.1)]
    gaps = [float(local.risk(point) - problem.risk(point)) for point in points]
    assert local.risk(local.minimiser) == pytest.approx(float(problem.risk(local.minimiser)), rel=1e-12)
    assert 6 < gaps[0] / gaps[1] < 10
    assert "about a minimum of" in repr(local)


def test_a_given_point_chooses_between_two_minima():
    """Assert both wells of (x^2 - 1)^2 / 4, and the curvature 2 and variance of the slopes there."""
    slopes = np.array([-0.3, 0.3, 0.1, -0.1])
    for side in (1.0, -1.0):
        law = OrnsteinUhlenbeck(double_well(slopes), 0.01, minimiser=[0.93 * side]).stationary()
        assert law.mean[0] == pytest.approx(side, abs=1e-6)
        assert law.covariance[0, 0] == pytest.approx(0.01 * slopes.var() / 4, rel=1e-5)


def test_where_there_is_no_minimum_a_sentence_says_so(data):
    """Assert it at a maximum, far from any minimum, on separable data, and on least squares, which needs no point."""
    well = double_well(np.array([-0.3, 0.3]))
    with pytest.raises(InvalidInput, match="is no minimum: its least curvature is -1.*pass a point near"):
        OrnsteinUhlenbeck(well, 0.01)
    with pytest.raises(InvalidInput, match="no minimum of this loss was found near the point"):
        OrnsteinUhlenbeck(well, 0.01, minimiser=[3.0])
    features = data[0]
    separable = Logistic(features, np.where(features @ [1.0, -1.0, 0.3] > 0, 1.0, -1.0))
    with pytest.raises(InvalidInput, match="no minimum of this loss was found by descent.*add a ridge"):
        OrnsteinUhlenbeck.of(SGD(separable, 0.1))
    with pytest.raises(InvalidInput, match="label_noise must be 0"):
        OrnsteinUhlenbeck(well, 0.1, label_noise=0.1, minimiser=[1.0])
    with pytest.raises(InvalidInput, match="minimiser is for losses that are no least squares"):
        OrnsteinUhlenbeck(LeastSquares.from_arrays(features, data[1]), 0.1, minimiser=np.zeros(3))
    with pytest.raises(InvalidInput, match="OrnsteinUhlenbeck about a minimum"):
        HomogenizedSGD.of(SGD(Logistic(*data), 0.1))


def test_a_comparison_is_about_the_loss_and_not_its_quadratic(data):
    """Assert no mismatch, the loss on both sides of a row on the risk, and an exact row on a coordinate.

    Far from the minimum the quadratic's value is another number (control).
    """
    sgd, far = SGD(Logistic(*data, ridge=RIDGE), 0.1, 2), 3 * np.ones(3)
    process = OrnsteinUhlenbeck.of(sgd)
    with warnings.catch_warnings():
        warnings.simplefilter("error", MismatchedProcesses)
        found = compare.laws(
            sgd, process, x0=far, steps=3, paths=200, record=[0, 1, 3],
            observables={"risk": "risk", "first": lambda x: x[:, 0]},
        )  # fmt: skip
    assert found.dataset["exact"].values.tolist() == [[False, False], [False, True]]
    start = found.dataset["estimate"].sel(observable="risk", step=0).values
    np.testing.assert_allclose(start, sgd.problem.risk(far[None])[0], rtol=1e-12)
    assert abs(process.problem.risk(far[None])[0] - start[0]) > 0.1 * start[0]


@pytest.mark.parametrize("make", [LocalQuadratic, LocalExpansion])
def test_what_is_no_loss_over_samples_is_refused(make):
    """Assert it of quadratics, which need no expansion, and of what is no problem."""
    with pytest.raises(InvalidInput, match="NoisyQuadratic is a quadratic already"):
        make(NoisyQuadratic([1.0], [1.0]))
    with pytest.raises(InvalidInput, match="a smooth loss over samples"):
        make("logistic")
