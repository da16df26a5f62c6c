"""What steps do to small differences along training: extreme singular values, and finite-time Lyapunov exponents."""

import numpy as np
import pytest

from sgdlimits import compare, discrete
from sgdlimits.compare._singular_values.statistics import quantile_over_runs, statistics
from sgdlimits.discrete.tangents import Tangents, draws_of, positions_along
from sgdlimits.ensembles.random import Noise
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import LeastSquares, StreamingLeastSquares, Supervised, predictors, sources

DRAW = np.random.Generator(np.random.Philox(7))
LINE = StreamingLeastSquares([1.0], 0.3, [1.0])
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
    """Assert E log sigma over rows drawn one at a time, a sum over rows; the control is another step size."""
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
    """Assert that intervals of a median cover over runs of common level; the same values as if independent do not."""
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
    with pytest.raises(InvalidInput, match="left the range"):
        compare.singular_values(discrete.SGD(LINE, 90.0), [1.0], 400, record=[400], runs=2)


@pytest.mark.parametrize("momentum", (0.0, 0.5), ids=("plain", "momentum"))
def test_the_exact_exponent_is_covered(momentum):
    """Assert that the interval holds it on a stream, and not that of a step size 10 % longer."""
    sgd = discrete.SGD(LINE, 0.5, momentum=momentum)
    found = compare.finite_time_exponents(sgd, [0.0], 1000, exponents=1, runs=64, burn_in=50, seed=2)
    last = found.table()[-1]
    assert last["beside_exact"] == "covers" and found.verdict == "together"
    longer = discrete.SGD(LINE, 0.55, momentum=momentum).tail_index().lyapunov_exponent
    assert not last["lower"] <= longer <= last["upper"]


def test_intervals_over_runs_cover_as_often_as_they_claim():
    """Assert it of 100 seeds; halved intervals, the control, do not."""
    sgd, hits = discrete.SGD(LINE, 0.5), np.zeros(2)
    exact = sgd.tail_index().lyapunov_exponent
    for seed in range(100):
        row = compare.finite_time_exponents(sgd, [0.0], 60, exponents=1, runs=16, exact=False, seed=seed).table()[-1]
        half = (row["upper"] - row["lower"]) / 2
        hits += np.abs(row["mean"] - exact) <= half * np.array([1.0, 0.4])
    assert hits[0] >= 88 and hits[1] < 80


def test_exponents_of_momentum_add_up_to_its_logarithm():
    """Assert log |det| of heavy ball, d log momentum a step, in every run at every time, to rounding."""
    stream = StreamingLeastSquares([1.0, 0.4], 0.3, [1.0, 1.0])
    found = compare.finite_time_exponents(
        discrete.SGD(stream, 0.3, momentum=0.6), [0.0, 0.0], 64, exponents=4, runs=4, exact=False, every=2
    )
    np.testing.assert_allclose(found.dataset["exponent"].sum("place"), 2 * np.log(0.6), rtol=1e-10)
    assert "states (position and what the rule keeps)" in str(found)


def test_without_noise_exponents_are_those_of_the_eigenvalues():
    """Assert log |1 - step_size h| in falling order, after a burn-in, on the whole batch."""
    problem = LeastSquares.from_arrays(DRAW.standard_normal((8, 3)), DRAW.standard_normal(8), ridge=0.05)
    sgd = discrete.SGD(problem, 0.2, batch_size=8, sampling="without_replacement")
    found = compare.finite_time_exponents(sgd, np.zeros(3), 420, exponents=3, runs=2, burn_in=400, exact=False)
    right = np.sort(np.log(np.abs(1 - 0.2 * (problem.eigenvalues + 0.05))))[::-1]
    np.testing.assert_allclose(found.dataset["exponent"][0, :, -1], right, atol=1e-7)


@pytest.mark.parametrize("options", ({}, {"momentum": 0.7}, {"momentum": 0.5, "nesterov": True}), ids=str)
def test_a_vector_is_carried_as_two_neighbouring_paths_are(options):
    """Assert the growth of a short distance between paths of a network under one noise; of other noise, the control."""
    sgd, steps, short = discrete.SGD(NETWORK, 0.4, batch_size=3, **options), 30, 1e-7
    starts = NETWORK.predictor.start(16, seed=2)
    tangents, noise = Tangents(sgd, 16, 1, 9), Noise(9, np.arange(16))
    tangents.vectors[..., NETWORK.dimension :] = 0.0  # paths start with an empty buffer
    tangents.orthonormalise()
    tangents.logs[:] = 0.0
    first = tangents.vectors[:, 0, : NETWORK.dimension].copy()
    place_at = positions_along(sgd, starts, 16, 9, np.arange(steps))
    for k in range(steps):
        tangents.step(k, place_at(k), noise)
    moved = tangents.vectors[:, 0, : NETWORK.dimension]
    ends = [positions_along(sgd, start, 16, seed, None)(steps) for start, seed in (
        (starts, 9), (starts + short * first, 9), (starts + short * first, 10)
    )]  # fmt: skip
    np.testing.assert_allclose((ends[1] - ends[0]) / short, moved, atol=2e-5 * np.abs(moved).max())
    assert np.abs((ends[2] - ends[0]) / short - moved).max() > np.abs(moved).max()


def test_how_often_vectors_are_made_orthonormal_does_not_matter():
    """Assert the same exponents to rounding, the same bits under one seed, and a picture."""
    sgd, start = discrete.SGD(NETWORK, 0.4, batch_size=3), NETWORK.predictor.start(1)[0]
    often, rarely, again = (
        compare.finite_time_exponents(sgd, start, 40, runs=3, every=every, record=[20, 40], seed=4)
        for every in (1, 5, 1)
    )
    np.testing.assert_allclose(often.dataset["exponent"], rarely.dataset["exponent"], atol=1e-9)
    assert often.dataset.equals(again.dataset) and often.plot()
    assert often.table()[0]["exact"] != often.table()[0]["exact"]  # not known of a network


def test_what_cannot_be_carried_is_refused():
    """Assert one sentence each."""
    start = NETWORK.predictor.start(1)[0]
    with pytest.raises(InvalidInput, match="not linear"):
        compare.finite_time_exponents(discrete.SGD(NETWORK, 0.1, rule="adam"), start, 10)
    for options, words in (
        ({"steps": 10, "burn_in": 10}, "steps"), ({"steps": 10, "runs": 1}, "runs"),
        ({"steps": 10, "exponents": 10**6}, "exponents"),
    ):
        with pytest.raises(InvalidInput, match=words):
            compare.finite_time_exponents(discrete.SGD(NETWORK, 0.1), start, **options)


def test_a_unit_singular_value_has_no_sign_of_rounding():
    """Assert that the largest, 1 less rounding in every draw, is told neither above nor below it; the smallest is."""
    lowest = 1e-15 * (1 + np.random.default_rng(0).random((8, 6, 1)))
    none = np.zeros_like(lowest)
    found = statistics(np.array([lowest, none + 0.5, none + 0.5, none, none, none]), np.ones(1), np.array([0.5]), 0.95)
    assert (found.sigma_max < 1).all() and found.mean_log[0] < 0 < found.mean_log_upper[0]
    assert found.mean_log_upper[1] < 0
