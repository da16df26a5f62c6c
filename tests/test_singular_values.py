"""Extreme singular values of steps along training: against dense spectra, and a law that is exact."""

import numpy as np
import pytest

from sgdlimits import compare, discrete
from sgdlimits.compare._singular_values.statistics import quantile_over_runs
from sgdlimits.discrete.tangents import draws_of, positions_along
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import LeastSquares, Supervised, predictors, sources

DRAW = np.random.Generator(np.random.Philox(7))
ROWS = sources.Rows(DRAW.standard_normal((60, 6)), DRAW.integers(0, 3, 60))
NETWORK = Supervised(predictors.TwoLayer(6, 8, 3), "cross_entropy", ROWS, ridge=0.02)


def test_both_ends_are_those_of_dense_matrices():
    """Assert every draw to 1e-8, where spectra go past 1 / step_size; the nearer end of the spectrum is not enough."""
    sgd = discrete.SGD(NETWORK, 1.5, batch_size=2)
    starts = NETWORK.predictor.start(4, seed=1)
    found = compare.singular_values(sgd, starts, 40, record=[0, 40], runs=4, batches=8, seed=3)
    d, ends = NETWORK.dimension, []
    place_at = positions_along(sgd, starts, 4, 3, np.array([0, 40]))
    for place, step in enumerate((0, 40)):
        x, noise = draws_of(sgd, place_at(step), 8, 3)
        hessians = NETWORK.batch_hessians(x, sgd.batch(step, noise)) + 0.02 * np.eye(d)
        exact = np.linalg.svd(np.eye(d) - 1.5 * hessians, compute_uv=False).reshape(4, 8, d)
        np.testing.assert_allclose(found.dataset["sigma_max"][..., place], exact[..., 0], atol=1e-8)
        np.testing.assert_allclose(found.dataset["sigma_min"][..., place], exact[..., -1], atol=1e-8)
        spectrum = np.linalg.eigvalsh(hessians).reshape(4, 8, d)[..., [0, -1]]
        ends.append(np.abs(1 - 1.5 * spectrum).min(axis=-1) - exact[..., -1])
    assert np.max(ends) > 0.1 and float(found.dataset["straddling"].max()) > 0.3
    assert found.dataset["sigma_max_error"].max() < 1e-8 and "spectrum goes past" in str(found)


def test_the_mean_logarithm_of_least_squares_is_the_exact_one():
    """Assert E log sigma over rows drawn one at a time: rank one, so a sum over rows; the control is another step size."""
    features = DRAW.standard_normal((40, 3))
    problem = LeastSquares.from_arrays(features, DRAW.standard_normal(40), ridge=0.1)
    found = compare.singular_values(
        discrete.SGD(problem, 0.2), np.zeros(3), 20, record=[20], runs=32, batches=32, seed=1
    )

    def exact(size):
        factors = np.abs(1 - size * (np.square(features).sum(axis=1) + 0.1)), np.full(40, abs(1 - size * 0.1))
        return [float(np.log(end(*factors)).mean()) for end in (np.maximum, np.minimum)]

    for row, right, wrong in zip(found.table(), exact(0.2), exact(0.25)):
        assert row["lower"] <= right <= row["upper"] and not row["lower"] <= wrong <= row["upper"]
    assert [row["verdict"] for row in found.table()] == ["below 0", "below 0"]


def test_quantile_intervals_know_that_batches_of_a_run_are_alike():
    """Assert that 95 % intervals of a median cover over runs of common level; the same values as if independent do not."""
    hits = np.zeros(2)
    for _ in range(200):
        values = DRAW.standard_normal((12, 1)) + 0.1 * DRAW.standard_normal((12, 20))
        for place, shape in enumerate(((12, 20), (240, 1))):
            _, low, high = quantile_over_runs(values.reshape(shape), 0.5, 0.95)
            hits[place] += low <= 0 <= high
    assert hits[0] >= 180 and hits[1] < 130


def test_same_seed_same_bits_and_void_bounds_are_said():
    """Assert the bits, that one sample a step leaves both sides of 1, and saving."""
    sgd = discrete.SGD(Supervised(predictors.TwoLayer(6, 8, 3), "cross_entropy", ROWS), 0.3)
    start = NETWORK.predictor.start(1)[0]
    first, again = (compare.singular_values(sgd, start, 6, record=[6], runs=2, batches=3) for _ in range(2))
    assert first.dataset.equals(again.dataset) and "neither bounds a tail index" in str(first)
    assert first.plot() and first.to_latex() and "one start" in first.heading()[0]


def test_what_is_no_such_step_is_refused():
    """Assert one sentence each."""
    start = NETWORK.predictor.start(1)[0]
    for options, words in (
        ({"momentum": 0.5}, "finite_time_exponents"), ({"rule": "adam"}, "not linear"),
    ):
        with pytest.raises(InvalidInput, match=words):
            compare.singular_values(discrete.SGD(NETWORK, 0.1, **options), start, 4)
    sgd = discrete.SGD(NETWORK, 0.1)
    for options, words in (
        ({"runs": 1}, "runs"), ({"levels": (0.5, 0.2)}, "rise"), ({"tolerance": 0}, "tolerance"),
    ):
        with pytest.raises(InvalidInput, match=words):
            compare.singular_values(sgd, start, 4, **options)
    squares = Supervised(predictors.TwoLayer(6, 8), "squares", sources.Rows(ROWS.inputs, DRAW.standard_normal(60)))
    with pytest.raises(InvalidInput, match="left the range"):
        compare.singular_values(discrete.SGD(squares, 50.0), 5 * np.ones(squares.dimension), 400, record=[400], runs=2)
