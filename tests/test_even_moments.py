"""Moments of even order at finite steps: against enumeration, quadrature, other equations, and the tail index."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from sgdlimits import diffusions, discrete, ensembles
from sgdlimits.discrete.even_moments import even_moments
from sgdlimits.diffusions.even_moments import even_equations as of_diffusion
from sgdlimits.exact.affine_moments import affine_moments
from sgdlimits.exact.batch_polynomials import GaussianBatch
from sgdlimits.exact.circle_growth import gaussian_circle
from sgdlimits.exact.errors import InvalidInput, OutOfReach
from sgdlimits.exact.fourth_moments import gaussian_samples
from sgdlimits.exact.monomials import Monomials
from sgdlimits.problems import LeastSquares, StreamingLeastSquares

ROWS = np.array([[1.0, 0.5], [-0.25, 1.0], [0.5, -1.5]])
LABELS = np.array([1.0, -0.5, 0.25])
X0 = np.array([1.5, -0.75])


def fractions(array):
    return [fractions(each) for each in array] if np.ndim(array) else Fraction(float(array))


def minimiser(rows, labels, ridge):
    """Of the mean square with a ridge in two dimensions, by Cramer's rule in fractions."""
    n = len(rows)
    a = sum(r[0] * r[0] for r in rows) / n + ridge
    b = sum(r[0] * r[1] for r in rows) / n
    c = sum(r[1] * r[1] for r in rows) / n + ridge
    u, v = (sum(r[i] * y for r, y in zip(rows, labels)) / n for i in range(2))
    return [(c * u - b * v) / (a * c - b * b), (a * v - b * u) / (a * c - b * b)]


def enumerated(batches, steps, momentum=0.0, nesterov=False, ridge=0.25, step_size=0.5, orders=(2, 4, 6)):
    """E |x - minimiser|^p over all sequences of batches, in fractions."""
    rows, labels, step, mu = fractions(ROWS), fractions(LABELS), Fraction(step_size), Fraction(momentum)
    ridge, centre = Fraction(ridge), minimiser(rows, labels, Fraction(ridge))
    totals = [Fraction(0)] * len(orders)
    for path in itertools.product(batches, repeat=steps):
        x, m = fractions(X0), [Fraction(0)] * 2
        for batch in path:
            errors = [rows[i][0] * x[0] + rows[i][1] * x[1] - labels[i] for i in batch]
            g = [sum(rows[i][k] * e for i, e in zip(batch, errors)) / len(batch) + ridge * x[k] for k in range(2)]
            m = [mu * m[k] + g[k] for k in range(2)]
            x = [x[k] - step * (g[k] + mu * m[k] if nesterov else m[k]) for k in range(2)]
        square = (x[0] - centre[0]) ** 2 + (x[1] - centre[1]) ** 2
        totals = [total + square ** (order // 2) for total, order in zip(totals, orders)]
    return [float(total / len(batches) ** steps) for total in totals]


@pytest.mark.parametrize(
    ("options", "batches", "steps"),
    (
        ({}, [(i,) for i in range(3)], 4),
        ({"batch_size": 2}, list(itertools.product(range(3), repeat=2)), 2),
        ({"batch_size": 3}, list(itertools.product(range(3), repeat=3)), 2),
        ({"batch_size": 2, "sampling": "without_replacement"}, [(0, 1), (0, 2), (1, 2)], 4),
        ({"batch_size": 3, "sampling": "without_replacement"}, [(0, 1, 2)], 3),
        ({"momentum": 0.5}, [(i,) for i in range(3)], 4),
        ({"momentum": 0.5, "nesterov": True}, [(i,) for i in range(3)], 4),
    ),
)
def test_against_all_batches(options, batches, steps):
    """Assert moments 2, 4, 6 on three samples against every sequence of batches, in fractions."""
    sgd = discrete.SGD(LeastSquares.from_arrays(ROWS, LABELS, ridge=0.25), 0.5, **options)
    rule = {name: options[name] for name in ("momentum", "nesterov") if name in options}
    exact = sgd.even_moments(X0, steps, 6)["norm_moment"].values
    np.testing.assert_allclose(exact[:, -1], enumerated(batches, steps, **rule), rtol=1e-12)


def test_label_noise_against_three_labels():
    """Assert order 4 with Gaussian label noise against labels -sqrt 3 s, 0, sqrt 3 s, which share five moments."""
    sgd = discrete.SGD(LeastSquares.from_arrays(ROWS, LABELS, ridge=0.25), 0.5, label_noise=0.4)
    paths = [(X0, 1.0)]
    for _ in range(3):
        paths = [
            (x - 0.5 * (row * (row @ x - label - shift) + 0.25 * x), weight * share / 3)
            for x, weight in paths for row, label in zip(ROWS, LABELS)
            for shift, share in ((-0.4 * np.sqrt(3), 1 / 6), (0.0, 2 / 3), (0.4 * np.sqrt(3), 1 / 6))
        ]
    gaps = [((x - sgd.problem.minimiser) @ (x - sgd.problem.minimiser), weight) for x, weight in paths]
    expected = [sum(weight * gap**half for gap, weight in gaps) for half in (1, 2)]
    np.testing.assert_allclose(sgd.even_moments(X0, 3, 4)["norm_moment"].values[:, -1], expected, rtol=1e-12)


@pytest.mark.parametrize("variances", ([1.0, 0.36], [0.8, 0.8]))
@pytest.mark.parametrize(("ridge", "truth"), ((0.0, 1.0), (0.3, 1.0), (0.3, 0.0)))
def test_a_step_on_a_stream_against_quadrature(variances, ridge, truth):
    """Assert E |x_1 - minimiser|^p to order 8 and batch 2 by Gauss and Hermite's rule, exact for these polynomials."""
    problem = StreamingLeastSquares(variances, 0.5, [truth, -truth], ridge)
    sgd = discrete.SGD(problem, 0.4, 2, label_noise=0.3)
    (features, mass), (errors, share) = gaussian_samples(np.array(variances), 9), gaussian_samples(np.array([0.34]), 5)
    gradient = features[:, None] * (features @ (X0 - problem.truth))[:, None, None] - features[:, None] * errors
    gradient, weight = gradient.reshape(-1, 2), np.outer(mass, share).ravel()
    expected = np.zeros(4)
    still = X0 - problem.minimiser - 0.4 * ridge * X0
    for one, its in zip(gradient, weight):
        squares = np.square(still - 0.2 * (one + gradient)).sum(axis=1)
        expected += [its * (weight @ squares**half) for half in (1, 2, 3, 4)]
    np.testing.assert_allclose(sgd.even_moments(X0, 1, 8)["norm_moment"].values[:, 1], expected, rtol=1e-11)


def test_like_directions_against_unlike_ones():
    """Assert the scalar recursion of E |z|^2m against all monomials, moments, rates and stationary values."""
    sgd = discrete.SGD(StreamingLeastSquares(np.full(3, 0.8), 0.3, np.zeros(3), 0.2), 0.3, 2)
    basis = Monomials(3, 1, 8, True)
    batch = GaussianBatch(basis, np.full(3, 0.8), 0.09, 2)
    whole = affine_moments(basis, np.full((3, 1, 1), 1 - 0.3 * 0.2), np.array([-0.3]), batch)
    radial, start = even_moments(sgd, 8), np.array([[1.0, -0.5, 2.0]])
    np.testing.assert_allclose(radial.at(start, [0, 1, 7]), whole.at(start, [0, 1, 7]), rtol=1e-12)
    np.testing.assert_allclose(radial.rates, whole.rates, rtol=1e-12)
    np.testing.assert_allclose(radial.stationary, whole.stationary, rtol=1e-11)


def squares(process, x0, steps):
    """E |x - minimiser|^2 from the moment equations."""
    moments, centre = process.moments(x0, steps), process.problem.minimiser
    return np.trace(moments["covariance"].values, axis1=1, axis2=2) + np.square(moments["mean"].values - centre).sum(1)


def test_second_and_fourth_against_other_equations():
    """Assert order 2 against the covariances, and order 4 where the risk is |z|^2 / 2 against its second moment."""
    stream = StreamingLeastSquares([1.0, 0.36, 0.2], 0.3, [1.0, -1.0, 0.5], 0.2)
    rows = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]])
    white = LeastSquares.from_arrays(rows @ np.linalg.inv(np.linalg.cholesky(rows.T @ rows / 6)).T, np.arange(6.0))
    cases = [discrete.SGD(stream, 0.2, 2), discrete.SGD(stream, 0.2, 2, momentum=0.4)]
    cases += [kind.of(cases[0]) for kind in (diffusions.HomogenizedSGD, diffusions.ModifiedEquation)]
    for process in cases:
        found = process.even_moments([1.0, 2.0, -1.0], 12, 2)["norm_moment"].values[0]
        np.testing.assert_allclose(found, squares(process, [1.0, 2.0, -1.0], 12), rtol=1e-12)
    alike = discrete.SGD(StreamingLeastSquares(np.ones(3), 0.3, np.ones(3)), 0.2, 2)
    cases = [alike, discrete.SGD(white, 0.2, 2)]
    cases += [kind.of(alike) for kind in (diffusions.HomogenizedSGD, diffusions.ModifiedEquation)]
    for process in cases:
        x0, floor = np.arange(1.0, process.problem.dimension + 1), process.problem.risk_at_minimiser
        two, four = process.even_moments(x0, 12, 4)["norm_moment"].values
        risk = process.moments(x0, 12, quantities=("risk_second_moment",))["risk_second_moment"].values
        np.testing.assert_allclose(four / 4 + floor * two + floor**2, risk, rtol=1e-11)


@pytest.mark.parametrize("kind", (diffusions.HomogenizedSGD, diffusions.ModifiedEquation))
@pytest.mark.parametrize("ridge", (0.0, 0.3))
@pytest.mark.parametrize("variances", ([1.0, 0.36], [0.8, 0.8]))
def test_the_generator_against_its_definition(kind, ridge, variances):
    """Assert d E |z|^p / dt at a point: p |z|^(p-2) z.drift + (p |z|^(p-2) tr N + p (p-2) |z|^(p-4) z.N z) / 2."""
    process = kind(StreamingLeastSquares(variances, 0.5, [1.0, -1.0], ridge), 0.3, 2)
    equations, z = of_diffusion(process, 8), np.array([0.7, -1.2])
    noise, square = 0.09 * process.noise_map(np.outer(z, z), z), z @ z
    found = np.asarray(equations.matrix @ equations.values(z[None])) @ equations.norms
    for p, value in zip((2, 4, 6, 8), found):
        slope, bend = p * square ** (p / 2 - 1), p * (p - 2) * square ** (p / 2 - 2)
        expected = -slope * (z @ (process.rates * z)) + 0.5 * (slope * np.trace(noise) + bend * z @ noise @ z)
        assert value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "step_size", (pytest.param(0.3, marks=pytest.mark.slow), 0.6, pytest.param(0.9, marks=pytest.mark.slow))
)
@pytest.mark.parametrize("variances", ([1.0], [1.0, 0.36], [0.8, 0.8, 0.8]))
def test_bounded_below_the_tail_index_alone(step_size, variances):
    """Assert k(p) < 1 just where p is below the index, for SGD and both diffusions, by methods that share nothing."""
    sgd = discrete.SGD(StreamingLeastSquares(variances, 0.3, np.ones(len(variances))), step_size, 2)
    both = [kind.of(sgd) for kind in (diffusions.HomogenizedSGD, diffusions.ModifiedEquation)]
    for process in (sgd, *both):
        found, index = process.even_moments(np.zeros(len(variances)), 1, 8), process.tail_index().index
        assert found["bounded"].values.tolist() == [order < index for order in (2, 4, 6, 8)]
        assert np.isfinite(found["stationary"].values).tolist() == found["bounded"].values.tolist()


def test_rates_in_the_plane_and_on_a_line():
    """Assert k(p) against the transfer operator in the plane, and against the factors on a line."""
    sgd = discrete.SGD(StreamingLeastSquares([1.0, 0.36], 0.3, np.ones(2), 0.1), 0.5, 2)
    circle = gaussian_circle(np.array([1.0, 0.36]), 1 - 0.05, 0.25, 2, 12)
    rates = sgd.even_moments(np.zeros(2), 1, 6)["rate"].values
    np.testing.assert_allclose(np.log(rates), [circle(order) for order in (2, 4, 6)], rtol=1e-7)
    line = discrete.SGD(LeastSquares.from_arrays(ROWS[:, :1], LABELS), 0.7, 2)
    factors = [1 - 0.35 * (a**2 + b**2) for a in ROWS[:, 0] for b in ROWS[:, 0]]
    expected = [np.mean(np.power(factors, order)) for order in (2, 4, 6)]
    np.testing.assert_allclose(line.even_moments([0.0], 1, 6)["rate"].values, expected, rtol=1e-12)


def test_below_it_settles_and_above_it_grows_at_its_rate():
    """Assert the stationary value below the index, growth by k(p) above, and a leap of 10^6 steps."""
    sgd = discrete.SGD(StreamingLeastSquares([1.0, 0.36], 0.3, np.ones(2)), 0.6, 2)
    found = sgd.even_moments([3.0, 1.0], 10**6, 6, record=[100, 101, 10**6])
    below, above = found["norm_moment"].values[:2, -1], found["norm_moment"].values[2]
    assert not found["bounded"][2] and found["bounded"][1]
    np.testing.assert_allclose(below, found["stationary"].values[:2], rtol=1e-10)
    assert above[2] / above[1] == pytest.approx(float(found["rate"][2]), rel=1e-8) and above[3] == np.inf
    hsgd = diffusions.HomogenizedSGD.of(discrete.SGD(StreamingLeastSquares(np.ones(3), 0.3, np.ones(3)), 0.7, 2))
    found = hsgd.even_moments([3.0, 1.0, 1.0], 60, 6)
    grown = found["norm_moment"].values[:, -1] / found["norm_moment"].values[:, -2]
    assert found["bounded"].values.tolist() == [True, True, False]
    np.testing.assert_allclose(grown, [1.0, 1.0, float(found["rate"][2])], rtol=1e-3)


def test_an_order_past_the_range_of_numbers_leaves_the_lower_ones():
    """Assert infinite order 6 and finite order 2 alike from a walk of thousands of steps and from a leap."""
    sgd = discrete.SGD(StreamingLeastSquares([1.0, 0.36], 0.3, np.ones(2)), 0.6, 2)
    equations, start = even_moments(sgd, 6), np.array([[2.0, 0.0]])
    walked, leapt = equations.at(start, [500]), equations.at(start, [500, 10**7])[:1]
    np.testing.assert_allclose(walked, leapt, rtol=1e-10)
    assert np.isinf(walked[0, 2]) and np.isfinite(walked[0, :2]).all()


def test_against_simulation():
    """Assert order 2 and 4 after 30 steps with momentum on a stream, far below the index, within five errors."""
    sgd = discrete.SGD(StreamingLeastSquares([1.0, 0.36], 0.3, np.ones(2), 0.1), 0.1, 4, momentum=0.5, label_noise=0.2)
    run = sgd.simulate([2.0, -1.0], 30, 20_000, {"square": lambda x: np.square(x - sgd.problem.minimiser).sum(1)},
                       record=[30], seed=3, threads=1)["square"].values[:, 0]  # fmt: skip
    exact = sgd.even_moments([2.0, -1.0], 30, 4)["norm_moment"].values[:, -1]
    for half, value in zip((1, 2), exact):
        assert abs((run**half).mean() - value) < 5 * (run**half).std() / np.sqrt(20_000)


def test_large_sizes_and_saving(tmp_path):
    """Assert thousands of like directions, directions without data, rows of starts, and a file."""
    many = discrete.SGD(StreamingLeastSquares(np.ones(2000), 0.3, np.ones(2000)), 2e-4)
    found = many.even_moments(np.zeros(2000), 5, 8)
    assert found["norm_moment"].shape == (4, 6) and found["bounded"].all()
    flat = discrete.SGD(LeastSquares.from_arrays(np.column_stack([ROWS, np.zeros(3)]), LABELS), 0.3)
    plane = discrete.SGD(LeastSquares.from_arrays(ROWS, LABELS), 0.3)
    starts = np.array([[1.0, 2.0, 5.0], [0.5, -1.0, 0.0]])
    lower = np.mean([plane.even_moments(x[:2], 3, 4)["norm_moment"].values for x in starts], axis=0)
    np.testing.assert_allclose(flat.even_moments(starts, 3, 4)["norm_moment"].values, lower, rtol=1e-12)
    ensembles.save(found, tmp_path / "moments.nc")
    assert ensembles.load(tmp_path / "moments.nc").equals(found)


def test_what_is_refused():
    """Assert sentences for odd orders, laws, schedules, other rules, reshuffled epochs and too many moments."""
    stream, data = StreamingLeastSquares([1.0, 0.36], 0.3, np.ones(2)), LeastSquares.gaussian(40, 2)
    sgd = discrete.SGD(stream, 0.1)
    for call, sentence in (
        (lambda: sgd.even_moments(X0, 3, 3), "take 2 or 4"),
        (lambda: sgd.even_moments((X0, np.eye(2)), 3), "Gaussian law"),
        (lambda: discrete.SGD(stream, lambda k: 0.1).even_moments(X0, 3), "schedule"),
        (lambda: diffusions.HomogenizedSGD(stream, lambda k: 0.1).even_moments(X0, 3), "schedule"),
        (lambda: discrete.SGD(stream, 0.1, rule="adam").even_moments(X0, 3), "not linear"),
        (lambda: discrete.SGD(data, 0.1, 4, "reshuffle").even_moments(X0, 3), "reshuffled"),
        (lambda: discrete.SGD(data, 0.1, 20, "without_replacement").even_moments(X0, 3), "with_replacement"),
    ):
        with pytest.raises(InvalidInput, match=sentence):
            call()
    wide = discrete.SGD(StreamingLeastSquares(np.linspace(1, 2, 300), 0.3, np.ones(300)), 1e-3)
    with pytest.raises(OutOfReach, match="300 variables are 45451 numbers"):
        wide.even_moments(np.zeros(300), 3, 4)
