"""Logistic regression and a user's loss: derivatives, minimiser, refusals, and their simulation by SGD."""

import numba
import numpy as np
import pytest

from sgdlimits.discrete import SGD
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import LeastSquares, Logistic, SampleLoss

GENERATOR = np.random.Generator(np.random.Philox(1))
FEATURES, TARGETS = GENERATOR.standard_normal((9, 3)), GENERATOR.standard_normal(9)
LABELS = (TARGETS > 0).astype(float)


def cosine_value(x, rows):
    """A smooth loss that is not quadratic: 1 - cos(a.x - b)."""
    return 1 - np.cos(np.einsum("pbj,pj->pb", FEATURES[rows], x) - TARGETS[rows])


def cosine_gradient(x, rows):
    angle = np.einsum("pbj,pj->pb", FEATURES[rows], x) - TARGETS[rows]
    return np.sin(angle)[:, :, None] * FEATURES[rows]


@numba.njit
def compiled_cosine_value(x, i):
    return 1 - np.cos((FEATURES[i] * x).sum() - TARGETS[i])


@numba.njit
def compiled_cosine_gradient(x, i, out):
    slope = np.sin((FEATURES[i] * x).sum() - TARGETS[i])
    for j in range(out.size):
        out[j] = slope * FEATURES[i, j]


PROBLEMS = {
    "logistic": Logistic(FEATURES, LABELS, ridge=0.2),
    "NumPy": SampleLoss(cosine_value, cosine_gradient, 9, 3, ridge=0.2),
    "compiled": SampleLoss(compiled_cosine_value, compiled_cosine_gradient, 9, 3, ridge=0.2, compiled=True),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_derivatives_agree_with_finite_differences(name):
    """Gradient (with ridge) and Hessian (without) against central differences."""
    problem, x, h = PROBLEMS[name], np.array([0.3, -0.7, 1.1]), 1e-5
    objective = lambda y: problem.risk(y) + 0.1 * (y**2).sum(axis=-1)  # noqa: E731
    moves = h * np.eye(3)
    np.testing.assert_allclose(
        (objective(x + moves) - objective(x - moves)) / (2 * h), problem.gradient(x), atol=1e-9
    )
    slopes = (problem.gradient(x + moves) - problem.gradient(x - moves)) / (2 * h)
    np.testing.assert_allclose(slopes - 0.2 * np.eye(3), problem.hessian(x), atol=1e-8)


@pytest.mark.parametrize("name", PROBLEMS)
def test_sample_gradients_average_to_the_gradient_and_scatter_by_the_noise_covariance(name):
    """Mean and covariance over all samples; any leading shape of positions."""
    problem = PROBLEMS[name]
    x = np.random.Generator(np.random.Philox(2)).standard_normal((2, 4, 3))
    each = problem.sample_gradients(x.reshape(8, 3), np.tile(np.arange(9), (8, 1)))
    np.testing.assert_allclose(each.mean(axis=1).reshape(2, 4, 3), problem.gradient(x), atol=1e-14)
    values = problem.sample_values(x.reshape(8, 3), np.tile(np.arange(9), (8, 1)))
    np.testing.assert_allclose(values.mean(axis=1).reshape(2, 4), problem.risk(x), rtol=1e-13)
    np.testing.assert_allclose(
        np.cov(each[5].T, bias=True), problem.gradient_noise_covariance(x.reshape(8, 3)[5]), atol=1e-14
    )


def test_noise_covariance_agrees_with_least_squares():
    """Squared residuals given as a user's loss have the noise covariance of LeastSquares."""
    squares = LeastSquares.from_arrays(FEATURES, TARGETS, 0.1)
    residual = lambda x, rows: np.einsum("pbj,pj->pb", FEATURES[rows], x) - TARGETS[rows]  # noqa: E731
    users = SampleLoss(
        lambda x, rows: residual(x, rows) ** 2 / 2,
        lambda x, rows: residual(x, rows)[:, :, None] * FEATURES[rows], 9, 3, 0.1,
    )  # fmt: skip
    x = np.array([1.0, 2.0, -1.0])
    np.testing.assert_allclose(
        users.gradient_noise_covariance(x), squares.gradient_noise_covariance(x), atol=1e-12
    )
    np.testing.assert_allclose(users.gradient(x), squares.gradient(x), atol=1e-13)
    kernel = SGD(squares, 0.1, 2).simulate(x, 12, 16, "state", record=[12], seed=5)["state"]
    array = SGD(users, 0.1, 2).simulate(x, 12, 16, "state", record=[12], seed=5)["state"]
    np.testing.assert_allclose(array, kernel, atol=1e-13)


def test_logistic_minimiser_is_stationary_and_labels_have_two_forms():
    """Newton ends where the gradient vanishes; 0/1 and -1/+1 labels agree; large margins are finite."""
    problem = PROBLEMS["logistic"]
    assert np.abs(problem.gradient(problem.minimiser)).max() < 1e-13
    signed = Logistic.from_arrays(FEATURES, 2 * LABELS - 1, 0.2)
    np.testing.assert_array_equal(signed.minimiser, problem.minimiser)
    far = np.full(3, 1e4)
    assert np.isfinite(problem.risk(far)) and np.isfinite(problem.gradient(far)).all()
    flipped = LABELS.copy()
    flipped[:4] = 1 - flipped[:4]
    doubled = np.hstack([FEATURES, FEATURES])
    unridged = Logistic(doubled, flipped)  # rank deficient, not separable
    assert np.abs(unridged.gradient(unridged.minimiser)).max() < 1e-12
    np.testing.assert_allclose(unridged.minimiser[:3], unridged.minimiser[3:], atol=1e-9)


def test_logistic_without_a_minimiser_is_refused():
    """Separable labels and no ridge, or a negative ridge: a sentence, not a large number."""
    separable = (FEATURES @ [1.0, 2.0, 3.0] > 0).astype(float)
    with pytest.raises(InvalidInput, match="separated"):
        Logistic(FEATURES, separable).minimiser  # noqa: B018
    with pytest.raises(InvalidInput, match="ridge"):
        Logistic(FEATURES, separable, -1.0).minimiser  # noqa: B018


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("sampling,momentum,nesterov", [
    ("with_replacement", 0.0, False), ("without_replacement", 0.8, False), ("reshuffle", 0.8, True),
])  # fmt: skip
def test_simulation_equals_a_plain_loop_over_paths(name, sampling, momentum, nesterov):
    """One path at a time, one sample at a time, with the rows that the noise hands out."""
    from sgdlimits.ensembles import Noise

    problem, eta, x0 = PROBLEMS[name], 0.2, np.array([1.0, 0.0, -1.0])
    sgd = SGD(problem, eta, 4, sampling, momentum, nesterov=nesterov)
    run = sgd.simulate(x0, 10, 5, ("state", "risk"), record=[10], seed=9)
    for path in range(5):
        noise = Noise(9, np.array([path]))
        x, buffer = x0.copy(), np.zeros(3)
        for k in range(10):
            if sampling == "reshuffle":
                rows = noise.permutation(k // 2, 9)[0, 4 * (k % 2) : 4 * (k % 2) + 4]
            else:
                rows = noise.rows(k, 4, 9, sampling)[0]
            g = sum(problem.sample_loss_gradients(x[None], np.array([[i]]))[0, 0] for i in rows) / 4 + 0.2 * x
            buffer = momentum * buffer + g
            x = x - eta * (g + momentum * buffer if nesterov else buffer)
        np.testing.assert_allclose(run["state"][path, 0], x, atol=1e-13)
        assert float(run["risk"][path, 0]) == pytest.approx(float(problem.risk(x)), rel=1e-12)


def test_numpy_and_compiled_forms_are_the_same_process():
    """Same seed, same paths to rounding; the NumPy form gives the same bits on one thread and two."""
    x0 = np.ones(3)
    runs = [
        SGD(PROBLEMS[name], 0.3, 2).simulate(x0, 20, 300, seed=4, threads=threads)
        for name, threads in (("NumPy", 1), ("NumPy", 2), ("compiled", 2))
    ]
    np.testing.assert_array_equal(runs[0]["norm"], runs[1]["norm"])
    np.testing.assert_allclose(runs[0]["norm"], runs[2]["norm"], rtol=1e-11)


def test_losses_without_closed_moments_say_so():
    """moments, stationary and stability name the problems that have them; label noise is refused."""
    sgd = SGD(PROBLEMS["logistic"], 0.1)
    for ask in (lambda: sgd.moments(np.zeros(3), 2), sgd.stationary, sgd.stability):
        with pytest.raises(InvalidInput, match="StreamingLeastSquares and NoisyQuadratic have them"):
            ask()
    with pytest.raises(InvalidInput, match="only least squares has labels"):
        SGD(PROBLEMS["NumPy"], 0.1, label_noise=0.5)


def test_bad_functions_and_data_are_refused_by_name_and_shape():
    """The function, the shape it gave and the shape it must give."""
    with pytest.raises(InvalidInput, match=r"value returned shape \(2,\).*must return \(2, 3\)"):
        SampleLoss(lambda x, rows: x.sum(axis=1), cosine_gradient, 9, 3)
    with pytest.raises(InvalidInput, match=r"gradient returned shape \(2, 3\).*must return \(2, 3, 3\)"):
        SampleLoss(cosine_value, lambda x, rows: cosine_value(x, rows), 9, 3)
    with pytest.raises(InvalidInput, match="gradient is not compiled"):
        SampleLoss(compiled_cosine_value, cosine_gradient, 9, 3, compiled=True)
    with pytest.raises(InvalidInput, match="cannot be compiled"):
        SampleLoss(compiled_cosine_gradient, compiled_cosine_gradient, 9, 3, compiled=True)
    with pytest.raises(InvalidInput, match="value must be a function"):
        SampleLoss(3.0, cosine_gradient, 9, 3)
    with pytest.raises(InvalidInput, match="labels must be 0 and 1"):
        Logistic(FEATURES, TARGETS)
    with pytest.raises(InvalidInput, match="over the 9 samples"):
        SGD(PROBLEMS["NumPy"], 0.1, 10, "reshuffle")


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize(
    ("x", "sentence"),
    [("abc", "got texts"), ([1, 2j, 0], "got complex"), ([1, 2], "3 numbers in its last"), ([[1, 2], [3]], "rows")],
)
def test_positions_that_are_none_get_the_sentence_of_least_squares(name, x, sentence):
    """Assert InvalidInput from risk and gradient of every sampled problem."""
    for method in (PROBLEMS[name].risk, PROBLEMS[name].gradient):
        with pytest.raises(InvalidInput, match=sentence):
            method(x)
