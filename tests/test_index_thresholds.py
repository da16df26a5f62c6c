"""Step sizes at which the tail index is a given number, and derivatives of the index: identities and exact cases."""

from dataclasses import replace

import numpy as np
import pytest
from tests.parameters import slowly

from sgdlimits import diffusions, discrete
from sgdlimits.discrete.even_moments import even_moments
from sgdlimits.discrete.index_near import index_near
from sgdlimits.discrete.moment_exponents import moment_exponent
from sgdlimits.exact.errors import InvalidInput, OutOfReach
from sgdlimits.exact.quartic_growth import QuarticGrowth
from sgdlimits.exact.secants import secant_root
from sgdlimits.problems import LeastSquares, Logistic, StreamingLeastSquares

ISOTROPIC = StreamingLeastSquares(np.full(5, 1.2), 0.3, np.ones(5), 0.5)
PLANE = StreamingLeastSquares([1.0, 0.36], 0.3, np.ones(2), 0.1)
ROWS = LeastSquares.gaussian(30, 3, seed=1, ridge=0.2)


def index(problem, step_size, batch_size=1):
    return discrete.SGD(problem, step_size, batch_size).tail_index().index


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_fourth_moments_without_their_matrix_grow_as_with_it(batch_size):
    """Assert both to rounding, and that another batch size does not fit."""
    sgd = discrete.SGD(ROWS, 0.3, batch_size)
    growth, known = QuarticGrowth(ROWS.range_modes), even_moments(sgd, 4).rates[1]
    assert abs(growth.rate(1 - 0.3 * 0.2, 0.3 / batch_size, batch_size) - known) < 1e-12
    assert abs(growth.rate(1 - 0.3 * 0.2, 0.3 / batch_size, batch_size + 1) - known) > 1e-3


@pytest.mark.parametrize("order", [0.5, 3, 6])
def test_the_index_at_a_threshold_is_its_order(order):
    """Assert it of quadrature, and that 1 % off it is not."""
    found = discrete.SGD(ISOTROPIC, 0.1, 2).moment_threshold(order)
    slope = discrete.SGD(ISOTROPIC, found.value, 2).tail_index_sensitivities(["step_size"]).step_size.value
    assert abs(index(ISOTROPIC, found.value, 2) - order) < 1e-9 + 3 * abs(slope) * found.error
    assert abs(index(ISOTROPIC, 1.01 * found.value, 2) - order) > 1e-3


def test_the_threshold_of_order_two_of_isotropic_features_is_known():
    """Assert 2 b / (d + b + 1) without a ridge, and that order 0 is the Lyapunov threshold."""
    stream = StreamingLeastSquares(np.ones(5), 0.3, np.ones(5))
    sgd = discrete.SGD(stream, 0.1, 3)
    assert abs(sgd.moment_threshold(2).value - 6 / 9) < 1e-11
    assert sgd.moment_threshold(0).value == sgd.stability().lyapunov_threshold
    values = [sgd.moment_threshold(order).value for order in (0, 2, 4)]
    assert (np.diff(values) < 0).all()


def test_thresholds_of_data_are_exact_where_moments_close():
    """Assert that log k(4) is 0 at the threshold of order 4, by the other equations."""
    found = discrete.SGD(ROWS, 0.1, 2).moment_threshold(4)
    assert abs(even_moments(discrete.SGD(ROWS, found.value, 2), 4).rates[1] - 1) < 1e-10
    assert found.error < 1e-10 and "spectral radius" in found.method


@pytest.mark.parametrize("order", [1, 3, 4])
def test_the_index_of_homogenized_sgd_at_a_threshold_is_its_order(order):
    """Assert it in the plane and in closed form, and that thresholds go with the batch size."""
    limit = diffusions.HomogenizedSGD(PLANE, 0.1, 2)
    found = limit.moment_threshold(order)
    assert abs(replace(limit, step_size=found.value).tail_index().index - order) < 1e-7
    assert abs(replace(limit, batch_size=6).moment_threshold(order).value / found.value - 3) < 1e-8
    alike = diffusions.HomogenizedSGD(ISOTROPIC, 0.1)
    assert alike.moment_threshold(order).value == pytest.approx(2 * 1.7 / (1.44 * (order + 3)), rel=1e-12)


def test_the_ridge_moves_the_index_up_and_down():
    """Assert the fact sheet's numbers, and that the derivative changes its sign with them."""
    known = (1.515, 3.514, 3.432, 3.067, 2.519, 1.444)
    stream = StreamingLeastSquares(np.ones(5), 0.3, np.ones(5))
    for ridge, value in enumerate(known):
        assert abs(index(stream.with_ridge(float(ridge)), 0.3) - value) < 6e-4
    signs = [
        discrete.SGD(stream.with_ridge(ridge), 0.3).tail_index_sensitivities(["ridge"]).ridge.value
        for ridge in (0.0, 0.5, 2.0, 4.0)
    ]
    assert (np.sign(signs) == [1, 1, -1, -1]).all()


@pytest.mark.parametrize(("problem", "step_size", "batch_size"), [(ISOTROPIC, 0.3, 3), (ISOTROPIC, 0.2, 1)])
def test_derivatives_are_those_of_the_index(problem, step_size, batch_size):
    """Assert differences of roots, and that the index knows step size times curvature alone."""
    sgd = discrete.SGD(problem, step_size, batch_size)
    found = sgd.tail_index_sensitivities()
    far = 1e-4
    by_step = index(problem, step_size + far, batch_size) - index(problem, step_size - far, batch_size)
    by_ridge = (
        index(problem.with_ridge(0.5 + far), step_size, batch_size)
        - index(problem.with_ridge(0.5 - far), step_size, batch_size)
    )  # fmt: skip
    assert found.step_size.value == pytest.approx(by_step / (2 * far), rel=1e-5)
    assert found.ridge.value == pytest.approx(by_ridge / (2 * far), rel=1e-4)
    scaled = sum(each.value for each in found.eigenvalue) * 1.2 + 0.5 * found.ridge.value
    error = sum(each.error for each in found.eigenvalue) * 1.2 + step_size * found.step_size.error
    assert abs(scaled - step_size * found.step_size.value) < 3 * error + 1e-9
    beside = index(problem, step_size, batch_size + 1) - found.index.index
    assert 0.5 * beside < found.batch_size.value < 2 * beside


@pytest.mark.slow
def test_batch_sizes_that_are_no_real_numbers_give_ratios():
    """Assert them of a stream in the plane."""
    found = discrete.SGD(PLANE, 0.5, 2).tail_index_sensitivities(["batch_size"])
    assert found.batch_size is None
    assert found.smaller_batch.value == pytest.approx(index(PLANE, 0.5, 1) / index(PLANE, 0.5, 2))
    assert found.larger_batch.value > 1 > found.smaller_batch.value


def test_a_sampled_exponent_covers_the_exact_one():
    """Assert it of order 3 between two orders that are exact, by convexity, and of an index near 4."""
    diabetes = LeastSquares.from_dataset("diabetes", ridge=0.1)
    sgd = discrete.SGD(diabetes, 0.12)
    two, three, four = (moment_exponent(sgd, order) for order in (2, 3, 4))
    assert three.sampled and not (two.sampled or four.sampled)
    assert three.value < (two.value + four.value) / 2
    edge = discrete.SGD(diabetes, 0.1, 4).moment_threshold(4)
    near = index_near(discrete.SGD(diabetes, edge.value, 4))
    assert abs(near.index - 4) < 3 * near.error + 0.02


def test_what_has_no_thresholds_is_refused():
    """Assert sentences."""
    sgd = discrete.SGD(ISOTROPIC, 0.1)
    with pytest.raises(InvalidInput, match="order"):
        sgd.moment_threshold(-1)
    with pytest.raises(InvalidInput, match="beyond 64"):
        sgd.moment_threshold(65)
    with pytest.raises(InvalidInput, match="schedule"):
        discrete.SGD(ISOTROPIC, lambda k: 0.1).moment_threshold(2)
    with pytest.raises(InvalidInput, match="no closed moments"):
        discrete.SGD(Logistic.from_arrays(np.eye(2), np.array([1.0, -1.0])), 0.1).moment_threshold(2)
    with pytest.raises(InvalidInput, match="infinite"):
        discrete.SGD(LeastSquares.from_arrays(np.eye(3), np.ones(3)), 0.1).tail_index_sensitivities()
    with pytest.raises(OutOfReach, match="above 3"):
        index_near(discrete.SGD(LeastSquares.from_dataset("diabetes", ridge=0.1), 0.06), 3.0)


def test_a_secant_stays_between_the_signs():
    """Assert a root of a curve that is flat before it, and none of one without."""
    flat = secant_root(lambda x: (-0.01 if x < 5 else (x - 5) ** 2 - 0.01, 0.0), 2.0, 9.0, 1e-4)
    assert flat is not None and abs(flat.value - 5.1) < 1e-3
    assert secant_root(lambda x: (1 + x**2, 0.0), 1.0, 2.0, 1e-8) is None


# Columns and momentum for which a stream has a transfer operator.
FEW_COLUMNS = slowly([(2, 0.0), (3, 0.0), (1, 0.5)], lambda case: case[0] == 3)


def rows_of_signs(columns, mu=0.0):
    """Rows that no Gaussian law describes, at 0.9 of the mean-square threshold."""
    generator = np.random.default_rng(columns)
    rows = np.sign(generator.standard_normal((40, columns))) * (1 + generator.exponential(size=(40, 1)))
    problem = LeastSquares.from_arrays(rows, rows.sum(axis=1) + generator.standard_normal(40))
    sgd = discrete.SGD(problem, 1e-3, 1, momentum=mu)
    return replace(sgd, step_size=0.9 * sgd.stability().mean_square_threshold)


def grown(sgd, order, paths=20_000, steps=60):
    """log k(order) by a population of matrix products, written out."""
    rows, d, mu = sgd.problem.range_modes, sgd.problem.rank, sgd.momentum
    generator = np.random.default_rng(0)
    x, before, logs = generator.standard_normal((paths, d)), np.zeros((paths, d)), []
    for _ in range(steps):
        a = rows[generator.integers(0, len(rows), paths)]
        moved = x - sgd.step_size * a * (a * x).sum(axis=1, keepdims=True) + mu * (x - before)
        size = np.sqrt(np.square(x).sum(axis=1) + np.square(before).sum(axis=1))
        weight = (np.sqrt(np.square(moved).sum(axis=1) + np.square(x).sum(axis=1)) / size) ** order
        logs.append(np.log(weight.mean()))
        chosen = generator.choice(paths, paths, p=weight / weight.sum())
        x, before = (array[chosen] / size[chosen, None] for array in (moved, x))
    return np.mean(logs[steps // 3 :])


@pytest.mark.parametrize(("columns", "mu"), FEW_COLUMNS)
def test_rows_of_data_are_not_taken_for_gaussian_features(columns, mu):
    """Assert log k(3) against products written out; that of features of the same covariance is far off."""
    sgd = rows_of_signs(columns, mu)
    found = moment_exponent(sgd, 3.0)
    assert found.sampled
    assert abs(found.value - grown(sgd, 3.0)) < 3 * found.error + 0.01
    stream = StreamingLeastSquares(sgd.problem.eigenvalues, 0.0, np.ones(columns))
    assert abs(moment_exponent(replace(sgd, problem=stream), 3.0).value - found.value) > 0.05
