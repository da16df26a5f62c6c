"""Thresholds, indices and their derivatives at the edges: few rows, all alike, no noise, negative ridges, any batch."""

import itertools
import math

import numpy as np
import pytest

from sgdlimits import diffusions, discrete, studies
from sgdlimits.discrete.index_near import index_near
from sgdlimits.discrete.moment_exponents import even_exponent, moment_exponent
from sgdlimits.exact.errors import InvalidInput, NoStationaryLaw
from sgdlimits.problems import LeastSquares, StreamingLeastSquares

SGD = discrete.SGD
WIDE = LeastSquares.gaussian(6, 9, seed=4)  # more columns than rows
NOISELESS = LeastSquares.from_arrays(np.array([[1.0, 0.2], [0.3, 2.0], [1.1, -1.0]]), np.array([1.2, 2.3, 0.1]))

FEW = {"paths": 64, "generations": 60, "groups": 3}


def line(*curvatures, ridge=0.0):
    rows = np.sqrt(np.array(curvatures))[:, None]
    return LeastSquares.from_arrays(rows, np.arange(1.0, 1 + len(rows)) ** 2, ridge)


def log_growth(curvatures, size, order):
    factors = np.abs(1 - size * np.asarray(curvatures))
    return np.log(factors).mean() if order == 0 else math.log(np.mean(factors**order))


@pytest.mark.parametrize("order", [0.0, 0.02])
def test_a_short_stretch_without_a_law_is_not_stepped_over(order):
    """Assert the first crossing in closed form, the law that comes back past it, and that a step of 5 % misses it."""
    a, b = 1.0, 5.84  # log |1 - size a| + log |1 - size b| is above 0 about (a + b) / (2 a b), barely
    found = SGD(line(a, b), 0.1).moment_threshold(order)
    if not order:
        middle, top = (a + b) / (2 * a * b), (b - a) ** 2 / (4 * a * b)
        assert abs(found.value - (middle - math.sqrt((top - 1) / (a * b)))) <= found.error + 1e-15
    assert found.error < 1e-10 and abs(log_growth((a, b), found.value, order)) < 1e-12
    grid = np.linspace(SGD(line(a, b), 0.1).stability().mean_square_threshold, found.value - 1e-6, 400)
    assert max(log_growth((a, b), size, order) for size in grid) < 0
    assert log_growth((a, b), 0.7, order) < 0 < log_growth((a, b), found.value * 1.01, order)


@pytest.mark.parametrize("order", [0.0, 0.5, 1.0, 3.0, 4.0])
@pytest.mark.parametrize("batch", [(1, "with_replacement"), (2, "with_replacement"), (3, "without_replacement")])
def test_rows_that_are_alike_have_the_threshold_of_one(order, batch):
    """Assert 2 over the curvature, also of batches of them, and of all rows at once."""
    sgd = SGD(line(2.25, 2.25, 2.25, 2.25, ridge=0.3), 0.1, *batch)
    assert sgd.moment_threshold(order).value == pytest.approx(2 / 2.55, rel=1e-12)
    whole = SGD(line(1.0, 4.0), 0.1, 2, "without_replacement")
    assert whole.moment_threshold(order).value == pytest.approx(2 / 2.5, rel=1e-12)


@pytest.mark.slow
def test_one_route_leads_to_the_last_step_size_with_a_law():
    """Assert that the threshold of stability is that of order 0, to the bit, also where it is sampled."""
    sgd = SGD(LeastSquares.gaussian(5, 2, seed=2), 0.1)
    edge, found = sgd.stability(), sgd.moment_threshold(0)
    assert (edge.lyapunov_threshold, edge.lyapunov_threshold_error) == (found.value, found.error)
    assert "populations" in found.method


def test_directions_without_data_run_away_on_every_route():
    """Assert that a negative ridge is refused wherever the index of the data alone would be a number."""
    for size in (0.02, 0.1):
        sgd = SGD(WIDE.with_ridge(-0.05), size)
        for call in (sgd.tail_index, lambda sgd=sgd: index_near(sgd), lambda sgd=sgd: moment_exponent(sgd, 1.0)):
            with pytest.raises(NoStationaryLaw, match="drives coordinates without data away"):
                call()
    with pytest.raises(InvalidInput, match="data are zero"):
        moment_exponent(SGD(LeastSquares.from_arrays(np.zeros((3, 2)), np.ones(3)), 0.1), 1.0)


def test_noise_that_dies_leaves_no_index_on_either_side_of_a_map():
    """Assert that both sides say so, and that a little noise on the labels gives both a number."""
    sgd = SGD(NOISELESS, 1.1 * SGD(NOISELESS, 0.1).stability().mean_square_threshold)
    found = index_near(sgd, **FEW)
    assert math.isinf(found.index) and "paths end there" in found.note
    cells = studies.index_map(NOISELESS, [sgd.step_size], [1], **FEW).cells
    for side in ("sgd", "homogenized"):
        assert cells[f"{side}_region"].item() == "light" and "paths end there" in cells[f"{side}_notes"].item()
    noisy = LeastSquares.from_arrays(NOISELESS.features, NOISELESS.targets + np.array([0.1, -0.1, 0.1]))
    cells = studies.index_map(noisy, [sgd.step_size], [1], **FEW).cells
    assert {cells[f"{side}_region"].item() for side in ("sgd", "homogenized")} == {"heavy"}


def test_maps_take_whole_batches_and_every_size_of_them():
    """Assert refusals, batches of more than all rows, and rows that are alike."""
    for batch in (0, 1.5):
        with pytest.raises(InvalidInput, match="batch_sizes"):
            studies.index_map(line(1.0, 4.0), [0.1], [batch])
        with pytest.raises(InvalidInput, match="batch_sizes"):
            studies.published_grid([0.1], [batch], runs=0)
    cells = studies.index_map(line(1.0, 4.0, 9.0), [0.3], [8]).cells
    assert cells["sgd"].item() == SGD(line(1.0, 4.0, 9.0), 0.3, 8).tail_index().index
    cells = studies.index_map(line(1.0, 1.0), [0.5, 2.5], [1]).cells
    assert cells["sgd_region"].values.tolist() == [["light", "no law"]]


def test_a_negative_curvature_that_noise_holds_has_its_index_on_the_map():
    """Assert that of the diffusion, which has a law at large step sizes and none at small ones."""
    problem = StreamingLeastSquares([1.0, 0.3], 0.3, np.ones(2), -0.35)
    limit = diffusions.HomogenizedSGD(problem, 0.8)
    cells = studies.index_map(LeastSquares.from_arrays(  # the same Hessian, of rows that are quick on the other side
        np.diag(np.sqrt([2.0, 0.6])), np.array([1.0, 2.0]), -0.35), [0.2, 0.8], [1]).cells  # fmt: skip
    assert cells["homogenized_region"].values.tolist() == [["no law", "heavy"]]
    assert cells["homogenized"].values[0, 1] == pytest.approx(limit.tail_index().index, rel=1e-4)


def test_moments_of_batches_without_replacement_are_sampled_where_their_sets_are_too_many():
    """Assert that order 2 is no error, and near its exact growth."""
    sgd = SGD(LeastSquares.gaussian(40, 3, seed=1), 0.4, 4, "without_replacement")
    assert even_exponent(sgd, 2) is None
    found = moment_exponent(sgd, 2.0)
    edge = sgd.stability().mean_square_threshold
    assert found.sampled and (found.value < found.error) == (sgd.step_size < edge)


@pytest.mark.parametrize("near", [3e-2, 3e-4, 1e-7])
@pytest.mark.parametrize("batch_size", [1, 2])
def test_derivatives_on_a_line_hold_next_to_a_factor_of_zero(near, batch_size):
    """Assert closed forms of all three within their errors, which differences over 0.4 % would miss."""
    h, size, ridge = np.array([1.0, 4.0, 9.0]), (1 - near) / 4.1, 0.1
    found = SGD(line(*h, ridge=ridge), size, batch_size).tail_index_sensitivities(["step_size", "ridge", "eigenvalue"])
    curvatures = np.array([np.mean(each) for each in itertools.product(h, repeat=batch_size)])
    rest, order = 1 - size * (curvatures + ridge), found.index.index
    slope = np.mean(np.abs(rest) ** order * np.log(np.abs(rest)))
    base = order * np.abs(rest) ** (order - 1) * np.sign(rest)
    for move, name in ((-(curvatures + ridge), "step_size"), (-size + 0 * h[0], "ridge")):
        known, got = -np.mean(base * move) / slope, getattr(found, name)
        assert abs(known - got.value) <= got.error + 1e-9 * abs(known) and got.error < 1e-6 * abs(known)
    known = np.mean(base * size * curvatures / h.mean()) / slope
    assert found.eigenvalue[0].value == pytest.approx(known, rel=1e-9)


def test_one_sample_more_than_all_or_than_none_that_is_random():
    """Assert a ratio past the number of rows, and an infinite one where a batch is all of them."""
    h = line(1.0, 4.0, 9.0)
    found = SGD(h, 0.35, 3).tail_index_sensitivities(["batch_size"])
    assert found.larger_batch.value == pytest.approx(SGD(h, 0.35, 4).tail_index().index / found.index.index)
    found = SGD(h, 0.32, 2, "without_replacement").tail_index_sensitivities(["batch_size"])
    assert math.isinf(found.larger_batch.value) and not math.isnan(found.larger_batch.error)
    with pytest.raises(InvalidInput, match="add label noise"):
        SGD(LeastSquares.from_arrays(h.features, h.features[:, 0]), 0.3).tail_index_sensitivities(["ridge"])


@pytest.mark.slow
def test_sampled_derivatives_hold_the_exact_ones():
    """Assert it of the ridge, in which the index bends most, against a transfer operator of the listed rows."""
    generator = np.random.default_rng(5)
    rows = generator.standard_normal((6, 2)) * (1 + generator.exponential(size=(6, 1)))
    problem = LeastSquares.from_arrays(rows, generator.standard_normal(6), 0.1)
    found = SGD(problem, 0.12).tail_index_sensitivities(["step_size", "ridge"])
    order, far = found.index.index, 1e-4

    def listed(size, ridge, order):
        steps = [np.eye(2) * (1 - size * ridge) - size * np.outer(a, a) for a in problem.range_modes]
        return log_top(steps, order)

    slope = (listed(0.12, 0.1, order + far) - listed(0.12, 0.1, order - far)) / (2 * far)
    by_ridge = -(listed(0.12, 0.1 + far, order) - listed(0.12, 0.1 - far, order)) / (2 * far) / slope
    by_size = -(listed(0.12 + far, 0.1, order) - listed(0.12 - far, 0.1, order)) / (2 * far) / slope
    for known, got in ((by_ridge, found.ridge), (by_size, found.step_size)):
        assert abs(known - got.value) < 2 * got.error < abs(known)


def log_top(steps, order, nodes=2000):
    """log k(order) of equally likely matrices of the plane: cubic interpolation of functions of a direction."""
    angles = np.arange(nodes) * np.pi / nodes
    images = [step @ np.stack([np.cos(angles), np.sin(angles)]) for step in steps]
    function = np.ones(nodes)
    for _ in range(300):
        total = np.zeros(nodes)
        for image in images:
            place = np.mod(np.arctan2(image[1], image[0]), np.pi) * nodes / np.pi
            low, t = np.floor(place).astype(int), place - np.floor(place)
            weights = (
                -t * (t - 1) * (t - 2) / 6, (t + 1) * (t - 1) * (t - 2) / 2, -(t + 1) * t * (t - 2) / 2,
                (t + 1) * t * (t - 1) / 6,
            )  # fmt: skip
            seen = sum(weight * function[(low + q - 1) % nodes] for q, weight in enumerate(weights))
            total += np.hypot(*image) ** order * seen / len(steps)
        top = np.abs(total).max()
        function = total / top
    return math.log(top)
