"""Proofs that a stationary fourth moment is finite, from both sides, against closed forms and brute force."""

from itertools import product

import numpy as np
import pytest
from scipy.optimize import brentq

from sgdlimits.diffusions import GradientFlow, HomogenizedSGD, ModifiedEquation, OrnsteinUhlenbeck
from sgdlimits.discrete import SGD, rules
from sgdlimits.exact import fourth_moments
from sgdlimits.problems import LeastSquares, StreamingLeastSquares

DRAW = np.random.Generator(np.random.Philox(12))


def one(step_size, batch_size=1, ridge=0.0, sampling="with_replacement"):
    rows = np.array([[0.3], [1.0], [2.2], [0.7]])
    return SGD(LeastSquares.from_arrays(rows, np.array([1.0, 0, 2, -1]), ridge), step_size, batch_size, sampling)


@pytest.mark.parametrize("batch_size", [1, 2, 3])
@pytest.mark.parametrize("ridge", [0.0, 0.2])
def test_in_one_dimension_the_threshold_is_where_the_fourth_power_is_one(batch_size, ridge):
    """Assert True just below and False just above E (1 - eta (mean a^2 + ridge))^4 = 1, all batches enumerated."""
    squares = np.array([np.mean(batch) for batch in product([0.09, 1.0, 4.84, 0.49], repeat=batch_size)])

    def power(eta):
        return np.mean((1 - eta * (squares + ridge)) ** 4) - 1

    edge = brentq(power, 0.05, 3.0)
    assert one(edge * (1 - 1e-6), batch_size, ridge).fourth_moments_settle()
    assert not one(edge * (1 + 1e-6), batch_size, ridge).fourth_moments_settle()


def test_without_replacement_what_holds_with_it_holds_too():
    """Assert True where the batch drawn with replacement settles: it dominates in convex order."""
    assert one(0.3, 2, sampling="without_replacement").fourth_moments_settle()


@pytest.mark.parametrize("batch_size", [1, 2])
def test_the_radius_is_that_of_the_full_kronecker_power(batch_size):
    """Assert the spectral radius against E A (x) A (x) A (x) A over all batches, in d = 2."""
    rows = DRAW.standard_normal((4, 2))
    power = np.zeros((16, 16))
    for batch in product(range(4), repeat=batch_size):
        a = np.eye(2) * (1 - 0.4 * 0.1) - 0.4 * sum(np.outer(rows[i], rows[i]) for i in batch) / batch_size
        square = np.kron(a, a)
        power += np.kron(square, square) / 4**batch_size
    found = fourth_moments.radius(rows, np.full(4, 0.25), 0.4, 0.1, batch_size)
    assert np.isclose(found, np.abs(np.linalg.eigvals(power)).max(), rtol=1e-10)


def test_gaussian_features_in_one_dimension():
    """Assert the threshold of a stream against the eighth moment of a normal, 105."""
    edge = brentq(lambda e: -4 + 6 * 3 * e - 4 * 15 * e**2 + 105 * e**3, 1e-3, 1.0)
    for factor, expected in ((1 - 1e-6, True), (1 + 1e-6, False)):
        assert SGD(StreamingLeastSquares([1.0], 0.3, [1.0]), edge * factor).fourth_moments_settle() is expected


@pytest.mark.parametrize("make", [
    lambda a: {"rule": rules.DampedNewton(0.0)}, lambda a: {"preconditioner": 1 / a},
])  # fmt: skip
def test_newton_has_a_fourth_moment_up_to_the_tail_index_of_four(make):
    """Assert the proof on both sides of index 4, where it is that of plain descent on features that are all alike."""
    a = np.array([1.0, 0.3])
    stream = StreamingLeastSquares(a, 0.5, np.ones(2))
    for size, expected in ((1.1, True), (1.2, False)):
        sgd = SGD(stream, size, 8, **make(a))
        assert (sgd.tail_index().index > 4) is expected
        assert sgd.fourth_moments_settle() is expected
        assert SGD(StreamingLeastSquares(np.ones(2), 0.5, np.ones(2)), size, 8).fourth_moments_settle() is expected
    assert not SGD(stream, 0.1, 8, rule=rules.NaturalGradient(fisher="centred")).fourth_moments_settle()


def test_many_dimensions_fall_back_on_norms():
    """Assert True for short steps, False where nothing is proved, finite data and streams; both are true below that."""
    rows = DRAW.standard_normal((60, 12))
    finite = LeastSquares.from_arrays(rows, rows @ np.ones(12))
    assert SGD(finite, 0.02).fourth_moments_settle() and not SGD(finite, 0.5).fourth_moments_settle()
    stream = StreamingLeastSquares(np.linspace(0.2, 1, 9), 0.1, np.ones(9))
    assert SGD(stream, 0.03).fourth_moments_settle() and not SGD(stream, 0.4).fourth_moments_settle()
    assert not SGD(finite, 0.02, momentum=0.5).fourth_moments_settle()


def test_norm_bounds_never_claim_what_the_radius_denies():
    """Assert over 200 random problems that a True of the cheap bounds comes with a radius below one."""
    claimed = 0
    for _ in range(200):
        rows = DRAW.standard_normal((5, 3)) * DRAW.uniform(0.2, 1.5, 3)
        step, ridge = DRAW.uniform(0.01, 0.8), DRAW.choice([0.0, 0.1])
        weights = np.full(5, 0.2)
        if fourth_moments.norm_settles(rows, weights, step, ridge):
            claimed += 1
            assert fourth_moments.radius(rows, weights, step, ridge, 1) < 1
        values = np.array([1.0, 0.4])
        if fourth_moments.gaussian_norm_settles(values, step, ridge):
            claimed += 1
            assert fourth_moments.radius(*fourth_moments.gaussian_samples(values), step, ridge, 1) < 1
    assert claimed > 20


def index_of_homogenized(step_size, ridge=0.0):
    """1 + 2 (lambda + ridge) / (step_size lambda^2), exact in one dimension, lambda of `one`."""
    curvature = np.mean([0.09, 1.0, 4.84, 0.49])
    return 1 + 2 * (curvature + ridge) / (step_size * curvature**2)


@pytest.mark.parametrize("ridge", [0.0, 0.2])
def test_homogenized_sgd_settles_where_its_index_exceeds_four(ridge):
    """Assert both sides of index 4 in d = 1, where the bound is the index."""
    edge = brentq(lambda eta: index_of_homogenized(eta, ridge) - 4, 1e-3, 5)
    assert HomogenizedSGD.of(one(edge * 0.999, ridge=ridge)).fourth_moments_settle()
    assert not HomogenizedSGD.of(one(edge * 1.001, ridge=ridge)).fourth_moments_settle()


def test_the_modified_equation_settles_where_the_generator_of_the_fourth_power_is_negative():
    """Assert both sides of -4 k + 6 eta (E a^4 - (E a^2)^2) = 0 up to the slack of the bound, in d = 1."""
    fourth, second = np.mean([0.09**2, 1, 4.84**2, 0.49**2]), np.mean([0.09, 1, 4.84, 0.49])
    exact = 4 * second / (6 * (fourth - second**2))
    assert not ModifiedEquation.of(one(exact * 1.01), order=1).fourth_moments_settle()
    proved = 4 * second / (6 * fourth - 2 * second**2)
    assert ModifiedEquation.of(one(proved * 0.99), order=1).fourth_moments_settle()


def test_gaussian_processes_settle_where_they_are_stable():
    """Assert True for Ornstein-Uhlenbeck and gradient flow, False where a curvature is negative."""
    for kind in (OrnsteinUhlenbeck, GradientFlow):
        assert kind.of(one(5.0)).fourth_moments_settle() and not kind.of(one(0.1, ridge=-3.0)).fourth_moments_settle()


@pytest.mark.parametrize("rows", [np.zeros((3, 2)), np.array([[1.0, 1.0], [2, 2], [0, 0]])])
def test_rank_deficient_data_are_judged_on_their_range(rows):
    """Assert that directions without data neither forbid a proof nor break it."""
    sgd = SGD(LeastSquares.from_arrays(rows, np.ones(len(rows))), 0.05)
    for process in (sgd, HomogenizedSGD.of(sgd), ModifiedEquation.of(sgd, order=2), OrnsteinUhlenbeck.of(sgd)):
        assert process.fourth_moments_settle()
