"""Finite-time Lyapunov exponents: identities of products of steps, the exact exponent, and neighbouring paths."""

import numpy as np
import pytest

from sgdlimits import compare, discrete
from sgdlimits.discrete.tangents import Tangents, positions_along
from sgdlimits.ensembles.random import Noise
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import LeastSquares, StreamingLeastSquares, Supervised, predictors, sources

DRAW = np.random.Generator(np.random.Philox(8))
LINE = StreamingLeastSquares([1.0], 0.3, [1.0])
ROWS = sources.Rows(DRAW.standard_normal((60, 6)), DRAW.integers(0, 3, 60))
NETWORK = Supervised(predictors.TwoLayer(6, 8, 3), "cross_entropy", ROWS, ridge=0.02)


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
