"""The exact standard deviation of the risk in time: against enumeration, a second derivation, and simulation."""

import itertools

import numpy as np
import pytest


from sgdlimits.compare import laws
from sgdlimits.diffusions import GradientFlow, HomogenizedSGD, ModifiedEquation, OrnsteinUhlenbeck
from sgdlimits.discrete import SGD
from sgdlimits.exact import products_of_pairs
from sgdlimits.exact.errors import InvalidInput, OutOfReach
from sgdlimits.exact.fourth_moments import gaussian_samples
from sgdlimits.exact.moment_flows import MomentFlow
from sgdlimits.exact.noise_maps import NoiseMap, Structure
from sgdlimits.problems import LeastSquares, StreamingLeastSquares
from sgdlimits.problems.samplings import batch_moments
from tests.parameters import slowly

BOTH = ("risk", "risk_second_moment", "risk_standard_deviation")
rng = np.random.default_rng(7)
ROWS, LABELS = rng.standard_normal((5, 2)), rng.standard_normal(5)
STREAM = StreamingLeastSquares([1.3, 0.4], 0.6, [0.7, -1.1], ridge=0.2)
START = np.array([1.0, 2.0])


def enumerated(rows, labels, size, batch_size, sampling, ridge, start, steps):
    """Risks (all paths,) of SGD: every batch at every step."""
    numbers = range(len(rows))
    batches = itertools.product(numbers, repeat=batch_size)
    if sampling == "without_replacement":
        batches = itertools.combinations(numbers, batch_size)
    chosen = np.array(list(batches))
    a, b, points = rows[chosen], labels[chosen], np.atleast_2d(start)
    for _ in range(steps):
        errors = np.einsum("bij,pj->pbi", a, points) - b
        gradients = np.einsum("pbi,bij->pbj", errors, a) / batch_size + ridge * points[:, None]
        points = (points[:, None] - size * gradients).reshape(-1, rows.shape[1])
    return LeastSquares.from_arrays(rows, labels).risk(points)


@pytest.mark.filterwarnings("ignore:.*negative curvature")
@pytest.mark.parametrize("ridge", [0.0, 0.1, -0.8])
@pytest.mark.parametrize(
    ("batch_size", "sampling"),
    [(1, "with_replacement"), (2, "with_replacement"), (3, "with_replacement")]
    + [(size, "without_replacement") for size in (1, 2, 3, 4, 5)],
)
def test_finite_data_against_every_batch(batch_size, sampling, ridge):
    """Assert two steps of SGD to rounding, from a point and from several."""
    sgd = SGD(LeastSquares.from_arrays(ROWS, LABELS, ridge), 0.3, batch_size, sampling=sampling)
    for start in (START, np.array([START, [0.0, 1.0], [-1.0, 0.5]])):
        found = sgd.moments(start, 2, quantities=BOTH).isel(step=-1)
        risks = enumerated(ROWS, LABELS, 0.3, batch_size, sampling, ridge, start, 2)
        np.testing.assert_allclose(found.risk, risks.mean(), rtol=1e-13)
        np.testing.assert_allclose(found.risk_second_moment, np.square(risks).mean(), rtol=1e-13)
        np.testing.assert_allclose(found.risk_standard_deviation, risks.std(), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("rows", [ROWS[:2], ROWS[:, :1], np.column_stack([ROWS, ROWS[:, 0]]), np.eye(3)[:2]])
def test_few_rows_and_low_rank(rows):
    """Assert the same with n = d, d = 1, a repeated column and n < d."""
    labels, start = LABELS[: len(rows)], np.arange(1.0, 1 + rows.shape[1])
    sgd = SGD(LeastSquares.from_arrays(rows, labels), 0.2, 2)
    found = sgd.moments(start, 2, quantities=BOTH).isel(step=-1)
    risks = enumerated(rows, labels, 0.2, 2, "with_replacement", 0.0, start, 2)
    np.testing.assert_allclose(found.risk_standard_deviation, risks.std(), rtol=1e-11)


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("covariance", [None, np.array([[0.3, 0.1], [0.1, 0.2]])])
def test_isserlis_against_the_map_of_samples(batch_size, covariance):
    """Assert the closed formulas of a stream against samples that have the normal's moments up to the ninth."""
    sgd = SGD(STREAM, 0.23, batch_size)
    risk = sgd.second_moments.products_at(0.23, 1.0)
    features, weights = gaussian_samples(np.append(STREAM.eigenvalues, STREAM.noise**2))
    offset = STREAM.offset_modes
    batch = batch_moments(batch_size, "with_replacement", len(features))
    pairs = products_of_pairs.pairs_of_batches(
        features[:, :2], features[:, :2] @ offset - features[:, 2], weights, 1 - 0.23 * STREAM.curvatures, 0.23, batch
    )
    other = type(risk).about_minimiser(STREAM, pairs)
    modes, record = STREAM.to_modes(START), [0, 1, 2, 10, 300]
    ways = [
        way.products.walk(*way.products.start(modes + way.offsets, covariance), record) for way in (risk, other)
    ]
    for (mean, spread), (mean_2, spread_2) in zip(*ways):
        np.testing.assert_allclose(
            risk.constant + risk.functional @ mean, other.constant + other.functional @ mean_2, rtol=1e-13
        )
        np.testing.assert_allclose(
            risk.functional @ spread @ risk.functional, other.functional @ spread_2 @ other.functional, rtol=1e-12
        )


class Homogenized(NoiseMap):
    """The noise of homogenized SGD, as if every entry depended on every entry."""

    structure, factor, eigenvalues = Structure.GENERAL, 1.0, STREAM.eigenvalues

    def __init__(self, noise):
        self.noise = noise

    def __call__(self, second, mean):
        """Its covariance."""
        return self.noise(second, mean)


@pytest.mark.parametrize("kind", [HomogenizedSGD, OrnsteinUhlenbeck, ModifiedEquation])
def test_squares_against_all_pairs(kind):
    """Assert that modes with their squares, and with all products, say the same of a diffusion."""
    process = kind(STREAM, 0.2, 2, label_noise=0.3)
    risk = process.second_moments.products_at(0.2, 1.0)
    pairs = products_of_pairs.pairs_of_a_flow(MomentFlow(process.rates, 0.04, Homogenized(process.noise_map)), 2)
    other = type(risk).about_minimiser(STREAM, pairs)
    times = [0.0, 0.5, 3.0, 40.0, 1000.0]
    ways = [way.products.flow(*way.start(STREAM, START), times) for way in (risk, other)]
    for (_, spread), (_, spread_2) in zip(*ways):
        found, expected = (
            way.functional @ each @ way.functional for way, each in ((risk, spread), (other, spread_2))
        )
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-18)


@pytest.mark.parametrize("problem", [STREAM, LeastSquares.from_arrays(ROWS, LABELS, 0.1)])
def test_the_mean_risk_is_the_one_of_the_moments(problem):
    """Assert that the second moment less the variance is the square of the mean, for every process."""
    for process in (
        SGD(problem, 0.1, 2, label_noise=0.2), HomogenizedSGD(problem, 0.1, 2, 2), OrnsteinUhlenbeck(problem, 0.1),
        ModifiedEquation(problem, 0.1, 1, 2), GradientFlow(problem, 0.1),
    ):  # fmt: skip
        found = process.moments((START, np.diag([0.2, 0.1])), 30, quantities=BOTH)
        square = found.risk_second_moment - found.risk_standard_deviation**2
        np.testing.assert_allclose(square, found.risk**2, rtol=1e-10)


def test_small_steps_keep_their_digits():
    """Assert that the variance of one small step from a point has all digits: it is that of a linear function."""
    problem = LeastSquares.from_arrays(ROWS, LABELS)
    size = 1e-7
    point, gradients = START, (ROWS @ START - LABELS)[:, None] * ROWS
    expected = size * (gradients @ problem.gradient(point)).std()
    found = SGD(problem, size).moments(point, 1, quantities=BOTH).risk_standard_deviation[-1]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    later = HomogenizedSGD(problem, size).moments(point, 1, quantities=BOTH).risk_standard_deviation[-1]
    g = problem.into_basis(problem.gradient(point))
    expected = size * np.sqrt(2 * problem.risk(point) * g**2 @ problem.eigenvalues)
    np.testing.assert_allclose(later, expected, rtol=1e-6)


def test_schedules():
    """Assert that a schedule of equal steps is one step size, that two pieces are each their own, and every batch."""
    points, finite = START, LeastSquares.from_arrays(ROWS, LABELS)
    for size in (0.3, 0.1):
        points = np.concatenate([
            x - size * (a * (a @ x - b)) for x in np.atleast_2d(points) for a, b in zip(ROWS, LABELS)
        ]).reshape(-1, 2)  # fmt: skip
    sgd = SGD(finite, lambda k: 0.3 if k == 0 else 0.1)
    found = sgd.moments(START, 2, quantities=BOTH).risk_standard_deviation[-1]
    np.testing.assert_allclose(found, finite.risk(points).std(), rtol=1e-13)
    for problem in (STREAM, LeastSquares.from_arrays(ROWS, LABELS)):
        for kind in (SGD, HomogenizedSGD):
            one, same = kind(problem, 0.1), kind(problem, lambda k: 0.1)
            ends = [each.moments(START, 20, quantities=BOTH).risk_standard_deviation for each in (one, same)]
            np.testing.assert_allclose(*ends, rtol=1e-9)
            fall = kind(problem, lambda k: 0.1 if k < 10 else 0.02)
            found = fall.moments(START, 20, quantities=BOTH).risk_standard_deviation
            np.testing.assert_allclose(found[:11], ends[0][:11], rtol=1e-9)
            assert (np.abs(found[12:] / ends[0][12:] - 1) > 0.02).all()


@pytest.mark.filterwarnings("ignore:step_size is 1.5")
def test_past_the_index_it_grows():
    """Assert that the standard deviation grows without end where the variance of the risk has none, and is inf last."""
    problem = StreamingLeastSquares([1.0], 0.3, [1.0])
    mild, wild = SGD(problem, 0.2), SGD(problem, 0.4)
    assert mild.fourth_moments_settle() and wild.stability().mean_square_stable
    settled = mild.moments([2.0], 2000, quantities=BOTH).risk_standard_deviation.values
    growing = wild.moments([2.0], 2000, quantities=BOTH).risk_standard_deviation.values
    assert settled[-1] == pytest.approx(settled[-50], rel=1e-9)
    assert growing[200] > 1e3 * growing[100] > 1e6 * growing[1]
    assert np.isfinite(wild.moments([2.0], 2000).risk).all()
    last = SGD(problem, 1.5).moments([2.0], 3000, record=[3000], quantities=BOTH[1:])
    assert np.isposinf(last.risk_standard_deviation[-1]) and np.isposinf(last.risk_second_moment[-1])


@pytest.mark.parametrize("kind", [SGD, HomogenizedSGD])
@pytest.mark.parametrize("problem", slowly([STREAM, LeastSquares.from_dataset("diabetes")], lambda p: p.dimension > 2))
def test_against_paths(kind, problem):
    """Assert that the standard deviation over many paths is the exact one, and another step size's is not."""
    d = problem.dimension
    start, paths, record = np.linspace(0, 1, d), 20000, [1, 5, 30]
    process = kind(problem, 0.1, 2)
    options = {} if kind is SGD else {"solver": "strang", "substeps": 8}
    risks = process.simulate(start, 30, paths, "risk", record, seed=3, **options).risk.values
    centred = risks - risks.mean(axis=0)
    variance = np.square(centred).mean(axis=0)
    error = np.sqrt(np.square(np.square(centred) - variance).mean(axis=0) / paths)
    exact = process.moments(start, 30, record, BOTH).risk_standard_deviation.values[1:] ** 2
    other = kind(problem, 0.12, 2).moments(start, 30, record, BOTH).risk_standard_deviation.values[1:] ** 2
    assert (np.abs(variance - exact) < 5 * error + 2e-3 * exact).all()
    assert (np.abs(variance - other) > 5 * error).any()


def test_bad_input():
    """Assert one sentence for what does not close and for what costs too much."""
    finite = LeastSquares.from_arrays(ROWS, LABELS)
    with pytest.raises(InvalidInput, match="leave the momentum out"):
        SGD(finite, 0.1, momentum=0.5).moments(START, 3, quantities=BOTH)
    with pytest.raises(InvalidInput, match="take sampling='with_replacement'"):
        SGD(finite, 0.1, 2, "without_replacement", label_noise=0.1).moments(START, 3, quantities=BOTH)
    with pytest.raises(InvalidInput, match="not of a scheme"):
        HomogenizedSGD(finite, 0.1).moments(START, 3, quantities=BOTH, solver="euler")
    with pytest.raises(InvalidInput, match="risk_standard_deviation"):
        SGD(finite, 0.1).moments(START, 3, quantities=("deviation",))
    large = LeastSquares.gaussian(200, 40)
    with pytest.raises((OutOfReach, InvalidInput), match="table of fourth moments"):
        SGD(large, 0.01).moments(np.zeros(40), 3, quantities=BOTH)
    stream = StreamingLeastSquares(np.ones(100), 0.1, np.ones(100))
    with pytest.raises(OutOfReach, match="hours"):
        SGD(stream, 0.001).moments(np.zeros(100), 10**11, record=[10**11], quantities=BOTH)


@pytest.mark.parametrize("kind", [SGD, HomogenizedSGD])
def test_leaps_by_powers_are_the_steps(kind):
    """Assert that far steps, by powers of one matrix, are those that are walked or taken one after the other."""
    process = kind(STREAM, 0.02)
    record = np.unique(np.geomspace(1, 20000, 40).astype(int))
    found = process.moments(START, 20000, record, BOTH).risk_standard_deviation.values[1:]
    risk = process.second_moments.products_at(0.02, 1.0)
    state = risk.start(STREAM, START)
    if kind is SGD:
        states = risk.products.walk(*state, record, lambda k: risk.products)
    else:
        states = (list(risk.products.flow(*state, [float(step)]))[0] for step in record)
    walked = [np.sqrt(risk.functional @ spread @ risk.functional) for _, spread in states]
    np.testing.assert_allclose(found, walked, rtol=1e-10)


def test_a_comparison_checks_its_monte_carlo_errors():
    """Assert that paths which show too little are named, and others, at a smaller step, are not; budgets are exact."""
    calm, wild = (
        laws(SGD(STREAM, size), HomogenizedSGD(STREAM, size), x0=np.zeros(2), steps=60, paths=1000, record=[5, 20, 60])
        for size in (0.05, 0.3)
    )
    assert not any(text.startswith("SPREAD") for text in calm.notes())
    assert any("as parts of the exact ones" in text for text in calm.notes())
    assert any(text.startswith("SPREAD") and "paths of SGD" in text for text in wild.notes())
    data, name = calm.dataset, "homogenized SGD"
    exact = SGD(STREAM, 0.05).moments(np.zeros(2), 60, [5, 20, 60], BOTH).risk_standard_deviation.values[1:]
    np.testing.assert_allclose(data["deviation"].sel(process="SGD"), exact, rtol=1e-12)
    error = data["budget_error"].sel(process=name, part="Monte Carlo, reference")
    np.testing.assert_allclose(error, exact / np.sqrt(1000), rtol=1e-12)
    assert calm.plot_deviations().axes[0].get_lines()


@pytest.mark.filterwarnings("ignore:step_size is")
def test_far_below_where_they_began_and_far_beyond_the_range_of_numbers():
    """Assert relative digits of variances that fall by a hundred orders, and inf where they overflow, at sizes at which
    no matrix is formed."""
    isotropic = StreamingLeastSquares(np.ones(12), 0.1, np.zeros(12))
    found = HomogenizedSGD(isotropic, 0.01).moments(np.full(12, 100.0), 5000, [1000, 5000], BOTH)
    np.testing.assert_allclose(found.risk_standard_deviation[1:], [3.8923e-4, 1.35107e-4], rtol=2e-5)
    decaying = StreamingLeastSquares(np.arange(1, 13.0) ** -0.3, 0.0, np.zeros(12))
    found = HomogenizedSGD(decaying, 0.05).moments(np.ones(12), 4000, [1000, 4000], BOTH)
    np.testing.assert_allclose(found.risk_standard_deviation[1:], [4.82e-19, 5.466e-75], rtol=1e-3)
    grown = ModifiedEquation(LeastSquares.gaussian(20, 7), 1.0).moments(np.ones(7), 50, [50], BOTH)
    assert np.isposinf(grown.risk_standard_deviation[-1])


def test_nothing_to_learn_and_badly_conditioned_data():
    """Assert 0 where the features are, and that the mean risk is the one of the moments on nearly repeated columns."""
    nothing = LeastSquares.from_arrays(np.zeros((3, 2)), np.ones(3))
    found = SGD(nothing, 0.1).moments(np.ones(2), 3, quantities=BOTH)
    assert (found.risk_standard_deviation == 0).all() and (found.risk_second_moment == 0.25).all()
    draws = np.random.default_rng(2)
    celsius = 15 + 8 * draws.standard_normal(200)
    labels = 0.3 * celsius + draws.standard_normal(200)
    both = np.column_stack([np.round(celsius, 6), np.round(1.8 * celsius + 32, 6)])
    problem = LeastSquares.from_arrays((both - both.mean(0)) / both.std(0), (labels - labels.mean()) / labels.std())
    found = SGD(problem, 0.1).moments(np.zeros(2), 200, quantities=("covariance", *BOTH)).isel(step=-1)
    assert float(found.risk) == pytest.approx(0.0957385774, rel=1e-9)
    assert float(found.covariance.max()) == pytest.approx(5.526168e-3, rel=1e-6)


def test_tiny_step_sizes_of_a_schedule_stand_still():
    """Assert that step sizes which fall by halves leave the risk where it is."""
    problem = LeastSquares.from_dataset("diabetes", ridge=0.1)
    risk = HomogenizedSGD(problem, lambda k: 0.05 * 0.5**k).moments(np.zeros(10), 100, record=[60, 100]).risk
    np.testing.assert_allclose(risk[1:], 0.41864045, rtol=1e-7)
    still = HomogenizedSGD(problem, 1e-18).moments(np.zeros(10), 3).risk
    np.testing.assert_allclose(still, problem.risk(np.zeros(10)), rtol=1e-14)
