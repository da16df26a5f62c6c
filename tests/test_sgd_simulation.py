"""Simulated SGD: kernels against the array definition, bits against threads, samples against moments."""

import numpy as np
import pytest

from sgdlimits.discrete import SGD, simulate
from sgdlimits.ensembles import Gaussian, Noise
from sgdlimits.exact.errors import InvalidInput, OverflowedPaths, StabilityWarning
from sgdlimits.problems import LeastSquares, Logistic, StreamingLeastSquares

METHODS = {"plain": {}, "heavy ball": {"momentum": 0.7}, "Nesterov": {"momentum": 0.6, "nesterov": True}}
SAMPLINGS = ["with_replacement", "without_replacement", "reshuffle"]


def finite(n=12, d=5, ridge=0.1):
    return LeastSquares.gaussian(n, d, noise=0.5, seed=3, ridge=ridge)


def stream(d=5):
    root = np.random.Generator(np.random.Philox(4)).standard_normal((d, d))
    return StreamingLeastSquares(root @ root.T / d, 0.4, np.arange(1.0, d + 1), ridge=0.05)


def logistic(n=12, d=5):
    generator = np.random.Generator(np.random.Philox(5))
    return Logistic(generator.standard_normal((n, d)), generator.integers(0, 2, n), ridge=0.1)


def by_definition(sgd, x0, steps, paths, seed, quality="float32"):
    """Positions (paths, d) after `steps` steps by the NumPy definition alone."""
    noise = Noise(seed, np.arange(paths), quality)
    state = sgd.initial_state(np.tile(x0, (paths, 1)))
    for k in range(steps):
        state = sgd.step(k, state, noise)
    return sgd.position(state)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("make", [finite, logistic])
def test_kernel_equals_the_array_definition(make, method, sampling):
    """Same noise, same positions to rounding: batch of 5 from 12 rows, label noise on least squares."""
    problem = make()
    label_noise = 0.3 if make is finite else 0.0
    sgd = SGD(problem, 0.03, 5, sampling, label_noise=label_noise, **METHODS[method])
    x0 = np.linspace(-1, 1, 5)
    kernel = sgd.simulate(x0, 21, 20, "state", record=[21], seed=7)["state"][:, 0]
    np.testing.assert_allclose(kernel, by_definition(sgd, x0, 21, 20, 7), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("quality", ["float32", "float64"])
def test_streaming_kernel_equals_the_array_definition(method, quality):
    """Same noise, same positions to rounding, in both qualities of the normals."""
    sgd = SGD(stream(), 0.03, 3, label_noise=0.3, **METHODS[method])
    x0 = np.linspace(-1, 1, 5)
    kernel = sgd.simulate(x0, 15, 20, "state", record=[15], seed=2, quality=quality)["state"][:, 0]
    np.testing.assert_allclose(kernel, by_definition(sgd, x0, 15, 20, 2, quality), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    "sgd",
    [
        SGD(finite(), 0.03, 4, "without_replacement", 0.5, 0.2),
        SGD(finite(), 0.03, 5, "reshuffle"),
        SGD(stream(), 0.03, 2, momentum=0.5, nesterov=True),
        SGD(logistic(), 0.1, 3, "reshuffle", 0.5),
    ],
    ids=["finite", "reshuffle", "streaming", "logistic"],
)
def test_bits_do_not_depend_on_chunks_threads_or_recorded_steps(sgd):
    """Any chunk size, one or two threads, more records, more paths: the same bits of risk, norm and state."""
    start = Gaussian(np.zeros(5), np.eye(5))
    names = ("risk", "norm", "state")
    reference = sgd.simulate(start, 30, 50, names, record=[0, 30], seed=1, threads=1)
    for settings in (
        {"chunk": 16, "threads": 2},
        {"chunk": 32, "threads": 1},
        {"record": [0, 7, 8, 30], "threads": 2},
    ):
        settings = {"record": [0, 30]} | settings
        again = sgd.simulate(start, 30, 50, names, seed=1, **settings).sel(step=[0, 30])
        for name in names:
            np.testing.assert_array_equal(again[name], reference[name])
    more = sgd.simulate(start, 30, 70, names, record=[0, 30], seed=1)
    np.testing.assert_array_equal(more["state"][:50], reference["state"])
    assert not np.array_equal(
        sgd.simulate(start, 30, 50, names, record=[0, 30], seed=2)["risk"], reference["risk"]
    )


@pytest.mark.parametrize("make", [finite, stream])
def test_risk_and_norm_are_those_of_the_positions(make):
    """The built-in observables against the problem's risk and the Euclidean norm of the recorded state."""
    problem = make()
    run = SGD(problem, 0.02, 2).simulate(np.ones(5), 10, 33, ("risk", "norm", "state"), seed=3)
    np.testing.assert_allclose(run["risk"], problem.risk(run["state"].values), rtol=1e-12)
    np.testing.assert_allclose(run["norm"], np.linalg.norm(run["state"], axis=-1), rtol=1e-12)


def scores(sgd, truth, x0, steps, paths):
    """z-scores of the simulated mean, second moments and risk against the exact moments of `truth`."""
    run = sgd.simulate(x0, steps, paths, ("risk", "state"), record=[steps], seed=11)
    exact = truth.moments(x0, steps, record=[steps]).isel(step=-1)
    x = run["state"][:, 0].values - exact["mean"].values
    products = (x[:, :, None] * x[:, None, :])[:, *np.triu_indices(x.shape[1])]
    samples = np.column_stack([x, products, run["risk"][:, 0]])
    expected = np.concatenate(
        [
            np.zeros(x.shape[1]),
            exact["covariance"].values[np.triu_indices(x.shape[1])],
            [float(exact["risk"])],
        ]
    )
    return (samples.mean(axis=0) - expected) / (samples.std(axis=0, ddof=1) / np.sqrt(paths))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("make", [finite, stream])
def test_monte_carlo_agrees_with_the_exact_moments_and_rejects_a_wrong_law(make, method):
    """20000 paths, B = 4: all 21 |z| below 4.5; the moments of batch size 5 are rejected beyond |z| = 6."""
    problem, x0 = make(), np.zeros(5)
    sgd, wrong = (SGD(problem, 0.05, size, label_noise=0.5, **METHODS[method]) for size in (4, 5))
    assert np.abs(scores(sgd, sgd, x0, 40, 20_000)).max() < 4.5
    assert np.abs(scores(sgd, wrong, x0, 40, 20_000)).max() > 6


def test_monte_carlo_without_replacement_agrees_and_differs_from_with_replacement():
    """The finite-population factor is seen: 8 of 12 rows."""
    sgd = SGD(finite(), 0.1, 8, "without_replacement")
    assert np.abs(scores(sgd, sgd, np.zeros(5), 30, 20_000)).max() < 4.5
    assert np.abs(scores(sgd, SGD(finite(), 0.1, 8), np.zeros(5), 30, 20_000)).max() > 6


@pytest.mark.parametrize("batch_size,unused", [(4, 0), (5, 2)])
def test_reshuffle_visits_every_sample_once_an_epoch(batch_size, unused):
    """Rows of an epoch are distinct, all of them where the batch size divides n, and the order is fresh."""
    sgd = SGD(finite(), 0.01, batch_size, "reshuffle")
    noise, per_epoch = Noise(3, np.arange(6)), 12 // batch_size
    epochs = [
        np.hstack([sgd.batch(k, noise) for k in range(e * per_epoch, (e + 1) * per_epoch)]) for e in range(3)
    ]
    for rows in np.concatenate(epochs):
        assert np.unique(rows).size == rows.size == 12 - unused
    assert not np.array_equal(epochs[0], epochs[1])


def test_reshuffled_epochs_on_orthogonal_rows_end_at_one_point():
    """With orthogonal rows the order cannot matter: every path ends at the same point."""
    problem = LeastSquares.from_arrays(np.eye(6), np.arange(6.0))
    run = SGD(problem, 0.3, 2, "reshuffle").simulate(np.ones(6), 6, 32, "state", record=[6])["state"][:, 0]
    shrink = (1 - 0.15) ** 2
    np.testing.assert_allclose(run, np.tile(shrink + (1 - shrink) * np.arange(6.0), (32, 1)), rtol=1e-13)


def test_unstable_runs_warn_before_and_count_overflow_after():
    """A step size past the mean threshold: a warning before, one after, risk inf and never nan."""
    with (
        pytest.warns(StabilityWarning, match="settles only below"),
        pytest.warns(OverflowedPaths, match="of 20"),
    ):
        run = SGD(finite(), 30.0, 2).simulate(np.ones(5), 200, 20)
    assert np.isinf(run["risk"][:, -1]).all() and not np.isnan(run["norm"]).any()
    assert (run["overflow_step"] > 0).all()


class Autoregression:
    """x <- a x + normal noise: a user's own recurrence."""

    factor = 0.8

    def initial_state(self, x0):
        return x0

    def step(self, k, state, noise):
        return self.factor * state + noise.normals(64, k, state.shape[1])

    def position(self, state):
        return state


def test_a_users_recurrence_is_simulated_with_its_known_variance():
    """Stationary variance 1 / (1 - a^2), within 5 standard errors; a wrong one is rejected; risk as given."""
    run = simulate(
        Autoregression(),
        np.zeros(2),
        60,
        20_000,
        ("state", "risk"),
        record=[60],
        risk=lambda x: (x**2).sum(axis=1),
    )
    values = run["state"][:, 0, 0].values
    error = 1 / (1 - 0.64) * np.sqrt(2 / values.size)
    assert abs(values.var() - 1 / (1 - 0.64)) < 5 * error < abs(values.var() - 1 / (1 - 0.81))
    np.testing.assert_allclose(run["risk"][:, 0], (run["state"][:, 0] ** 2).sum("coordinate"))
    assert run.attrs["process"] == "Autoregression"


def test_a_recurrence_without_the_protocol_is_refused():
    """The missing method is named; so is a start that is no position."""
    with pytest.raises(InvalidInput, match="initial_state"):
        simulate(object(), np.zeros(2), 3, 4)
    with pytest.raises(InvalidInput, match="x0 has shape"):
        simulate(Autoregression(), 1.0, 3, 4)


def test_batches_far_larger_than_the_data_are_refused_before_they_are_drawn():
    """Assert a sentence with the hours and the way out, and with the memory; the same batch has exact moments."""
    sgd = SGD(finite(), 0.03, 100_000)
    with pytest.raises(InvalidInput, match="100000 rows from 12, with replacement, would take about .* hours"):
        sgd.simulate(np.ones(5), 10_000, 10_000)
    assert np.isfinite(sgd.moments(np.ones(5), 10)["risk"]).all()
    assert sgd.simulate(np.ones(5), 1, 2, record=[1])["risk"].shape == (2, 1)
    with pytest.raises(InvalidInput, match="that many samples one by one"):
        SGD(finite(), 0.03, 10**12).simulate(np.ones(5), 1, 1)
