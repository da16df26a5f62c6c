"""Random features with power laws: the stream is the regression that it stands for, exactly."""

import numpy as np
import pytest

from sgdlimits import diffusions, discrete, problems
from sgdlimits.exact.errors import InvalidInput


def test_the_stream_is_regression_on_random_features():
    """Assert covariance, truth and noise against their formulas, from the same W."""
    alpha, beta, v, d = 0.8, 0.4, 60, 12
    problem = problems.StreamingLeastSquares.power_law(alpha, beta, d, v, seed=3, label_noise=0.1)
    w = np.random.Generator(np.random.Philox(3)).standard_normal((v, d)) / np.sqrt(d)
    j = np.arange(1, v + 1.0)
    variances, target = np.diag(j ** (-2 * alpha)), j**-beta
    k = w.T @ variances @ w
    truth = np.linalg.solve(k, w.T @ variances @ target)
    noise = 0.01 + target @ variances @ target - target @ variances @ w @ truth
    np.testing.assert_allclose(problem.covariance, k, rtol=1e-12)
    np.testing.assert_allclose(problem.truth, truth, rtol=1e-9)
    assert problem.noise**2 == pytest.approx(noise, rel=1e-10)


def test_labels_given_features_have_the_stated_mean_and_variance():
    """By sampling data; the control: the noise of the labels alone is off."""
    problem = problems.StreamingLeastSquares.power_law(0.7, 0.3, 4, 16, seed=1)
    generator = np.random.default_rng(0)
    j = np.arange(1, 17.0)
    w = np.random.Generator(np.random.Philox(1)).standard_normal((16, 4)) / 2
    data = generator.standard_normal((200_000, 16)) * j**-0.7
    residual = data @ j**-0.3 - data @ w @ problem.truth
    error = np.sqrt(2 / 200_000) * problem.noise**2
    assert abs(residual.var() - problem.noise**2) < 4 * error
    assert abs(np.corrcoef(residual, data @ w[:, 0])[0, 1]) < 4 / np.sqrt(200_000)
    assert problem.noise**2 > 0.05  # what features do not see, though no noise was added


@pytest.mark.slow
def test_continuous_time_overestimates_early_steps_by_a_known_amount():
    """The generator of SGD's own moments, in continuous time: +14 % at ten steps, nothing late."""
    problem = problems.StreamingLeastSquares.power_law(1.0, 0.5, 1000, 4000)
    eigenvalues = problem.eigenvalues
    eta = 0.5 / eigenvalues.sum()
    record = [1, 3, 10, 30, 100, 1000, 10_000]
    sgd = discrete.SGD(problem, eta)
    exact = sgd.moments(np.zeros(1000), record[-1], record=record, quantities=("risk",))["risk"].values[1:]
    matrix = np.diag((1 - eta * eigenvalues) ** 2 + (eta * eigenvalues) ** 2)
    mu, vectors = np.linalg.eigh(matrix + eta**2 * np.outer(eigenvalues, eigenvalues))
    start = vectors.T @ (problem.eigenvectors.T @ problem.truth) ** 2
    force, weights = vectors.T @ (eta**2 * problem.noise**2 * eigenvalues), vectors.T @ eigenvalues
    def risk(factor, total):
        return 0.5 * (weights @ (factor * start + total * force) + problem.noise**2)

    own = [risk(mu**k, (1 - mu**k) / (1 - mu)) for k in record]
    np.testing.assert_allclose(own, exact, rtol=1e-10)
    continuous = np.array([risk(np.exp((mu - 1) * k), np.expm1((mu - 1) * k) / (mu - 1)) for k in record])
    gap = continuous / exact - 1
    assert (gap > 0).all() and gap[2] == pytest.approx(0.14, abs=0.02) and gap[-1] < 3e-4
    homogenized = diffusions.HomogenizedSGD.of(sgd)
    limit = homogenized.moments(np.zeros(1000), record[-1], record=record, quantities=("risk",))["risk"].values[1:]
    assert (limit < exact).all()  # it leaves out the noise along the path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [((0.0, 0.5, 10), "alpha"), ((1.0, 0.5, 10, 5), "ambient"), ((1.0, 0.5, 0), "dimension")],
)
def test_bad_input_gets_one_sentence(arguments, words):
    """Assert what is said."""
    with pytest.raises(InvalidInput, match=words):
        problems.StreamingLeastSquares.power_law(*arguments)
