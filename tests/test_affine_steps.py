"""Rules whose step is affine: their fluctuations, what says that moments close, and tails with a matrix and a ridge."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq

from sgdlimits import compare
from sgdlimits.compare.capabilities import has_moments
from sgdlimits.diffusions import (
    AdamSDE, GradientFlow, HomogenizedSGD, ManifoldLimit, RMSPropSDE, SignSDE, StableLangevin, UnderdampedLangevin,
    UserDiffusion,
)
from sgdlimits.discrete import SGD, SVAG, fluctuation, rules
from sgdlimits.exact.errors import InvalidInput, MismatchedProcesses, NoStationaryLaw, OutOfReach, SgdlimitsError
from sgdlimits.problems import LeastSquares, LocalExpansion, Logistic, NoisyQuadratic, StreamingLeastSquares
from sgdlimits.problems import noise as noises
from sgdlimits.problems import zero_loss

ETA, DAMPING = 0.3, 0.4
GENERATOR = np.random.Generator(np.random.Philox(11))
FEATURES, TARGETS = GENERATOR.standard_normal((5, 2)) * [1.0, 0.5], GENERATOR.standard_normal(5)
QUICK = {"paths": 64, "generations": 60, "groups": 4}
MATRIX = np.array([[1.0, 0.4], [0.4, 0.6]])


def rows(ridge=0.2):
    return LeastSquares.from_arrays(FEATURES, TARGETS, ridge=ridge)


def batches(size):
    """Hessians and slopes at 0 of every batch with replacement, equally likely, with the ridge of `rows`."""
    for chosen in itertools.product(range(5), repeat=size):
        a, y = FEATURES[list(chosen)], TARGETS[list(chosen)]
        yield a.T @ a / size + 0.2 * np.eye(2), -a.T @ y / size


def whole(steps):
    """Affine maps (x, 1) -> (x', 1) from x' = x - move (hessian x + slope)."""
    return [
        np.block([[np.eye(2) - move @ hessian, -(move @ slope)[:, None]], [np.zeros((1, 2)), np.ones((1, 1))]])
        for move, hessian, slope in steps
    ]


def newton(size, other=None):
    same = other is None
    return whole([
        (ETA * np.linalg.inv((hessian if same else apart) + DAMPING * np.eye(2)), hessian, slope)
        for hessian, slope in batches(size) for apart, _ in ([(None, None)] if same else batches(other))
    ])  # fmt: skip


def constant(matrix):
    return whole([(matrix, hessian, slope) for hessian, slope in batches(2)])


def proximal(size):
    return whole([(np.linalg.inv(hessian + np.eye(2) / ETA), hessian, slope) for hessian, slope in batches(size)])


HESSIAN = FEATURES.T @ FEATURES / 5 + 0.2 * np.eye(2)
CASES = {
    "single rows": (SGD(rows(), ETA, rule=rules.StochasticNewton(DAMPING)), lambda: newton(1)),
    "batches": (SGD(rows(), ETA, 2, rule=rules.StochasticNewton(DAMPING)), lambda: newton(2)),
    "another batch": (
        SGD(rows(), ETA, rule=rules.StochasticNewton(DAMPING, "independent", 2)), lambda: newton(1, 2),
    ),
    "proximal, single": (SGD(rows(), ETA, rule=rules.Proximal()), lambda: proximal(1)),
    "proximal": (SGD(rows(), ETA, 2, rule=rules.Proximal()), lambda: proximal(2)),
    "damped Newton": (
        SGD(rows(), ETA, 2, rule=rules.DampedNewton(DAMPING)),
        lambda: constant(ETA * np.linalg.inv(HESSIAN + DAMPING * np.eye(2))),
    ),
    "expected Fisher": (
        SGD(rows(), ETA, 2, rule=rules.NaturalGradient(DAMPING)),
        lambda: constant(ETA * np.linalg.inv(HESSIAN + DAMPING * np.eye(2))),
    ),
    "preconditioned": (SGD(rows(), ETA, 2, preconditioner=MATRIX), lambda: constant(ETA * MATRIX)),
}  # fmt: skip


def settled(maps):
    """E v v^T of v = (x, 1) at stationarity, from the recurrence of second moments as one matrix."""
    mean = np.mean(maps, axis=0)
    pairs = np.mean([np.kron(one, one) for one in maps], axis=0)
    values, vectors = np.linalg.eig(pairs)
    second = vectors[:, np.argmin(np.abs(values - 1))].real.reshape(3, 3)
    return second / second[2, 2], mean


@pytest.mark.parametrize("name", CASES)
def test_correlations_windows_and_ellipses_are_those_of_all_batches(name):
    """Assert them against the second-moment recurrence of (x, 1), enumerated, from stationarity and from a start."""
    sgd, steps = CASES[name]
    maps = steps()
    second, mean = settled(maps)
    centre = second[:2, 2]
    covariance = second[:2, :2] - np.outer(centre, centre)
    scale = np.abs(covariance).max()
    lagged = [(np.linalg.matrix_power(mean, n) @ second)[:2, :2] - np.outer(centre, centre) for n in range(6)]
    found = fluctuation.autocovariance(sgd, 6)
    np.testing.assert_allclose(found.autocovariance, lagged, rtol=0, atol=1e-10 * scale)
    ellipse = fluctuation.ellipse(sgd)
    np.testing.assert_allclose(ellipse.covariance, covariance, rtol=0, atol=1e-10 * scale)
    np.testing.assert_allclose(ellipse.centre, centre, rtol=0, atol=1e-10)
    window = 5
    total = window * lagged[0] + sum((window - n) * (lagged[n] + lagged[n].T) for n in range(1, window))
    average = fluctuation.average(sgd, window)
    np.testing.assert_allclose(average["mean"], centre, rtol=0, atol=1e-10)
    np.testing.assert_allclose(average.covariance, total / window**2, rtol=0, atol=1e-10 * scale)
    # (x, sum, 1): the sum of x_3, x_4, x_5 from a point
    start = np.array([0.7, -0.4])
    state = np.outer([*start, 0, 0, 1], [*start, 0, 0, 1])
    for step in range(5):
        grown = []
        for one in maps:
            wide = np.zeros((5, 5))
            wide[:2, :2], wide[:2, 4], wide[4, 4] = one[:2, :2], one[:2, 2], 1
            if step >= 2:
                wide[2:4], wide[2:4, 2:4] = wide[:2] + wide[2:4], np.eye(2)
            grown.append(wide @ state @ wide.T)
        state = np.mean(grown, axis=0)
    average = fluctuation.average(sgd, 3, start, burn_in=2)
    np.testing.assert_allclose(average["mean"], state[2:4, 4] / 3, rtol=0, atol=1e-10)
    spread = (state[2:4, 2:4] - np.outer(state[2:4, 4], state[2:4, 4])) / 9
    np.testing.assert_allclose(average.covariance, spread, rtol=0, atol=1e-10 * scale)


@pytest.mark.parametrize("name", ["another batch", "preconditioned"])
def test_the_overdamped_limit_is_the_first_order_in_the_step(name):
    """Assert the limit of an affine step: the mean pull of a step and the noise at the mean position."""
    sgd, steps = CASES[name]
    maps = steps()
    centre = settled(maps)[0][:2, 2]
    pull = np.eye(2) - np.mean(maps, axis=0)[:2, :2]
    pushes = np.array([one[:2, :2] @ centre + one[:2, 2] - centre for one in maps])
    noise = pushes.T @ pushes / len(pushes)
    expected = np.linalg.solve(np.kron(pull, np.eye(2)) + np.kron(np.eye(2), pull), noise.ravel()).reshape(2, 2)
    limit = fluctuation.ellipse(sgd, law="Ornstein-Uhlenbeck").covariance
    np.testing.assert_allclose(limit, expected, rtol=1e-10)
    values, vectors = np.linalg.eig(pull)
    decayed = [np.trace(vectors * np.exp(-values * n) @ np.linalg.inv(vectors) @ expected) for n in range(3)]
    found = fluctuation.autocovariance(sgd, 3).ornstein_uhlenbeck
    np.testing.assert_allclose(found, np.array(decayed) / decayed[0], rtol=1e-9)


def test_stochastic_newton_on_a_stream_fluctuates_as_its_paths():
    """Assert correlations of an exponential, F = 1 - step size, and a simulation within four standard errors."""
    stream = StreamingLeastSquares([1.0, 0.5], 0.5, [1.0, -1.0])
    sgd = SGD(stream, 0.4, batch_size=8, rule=rules.StochasticNewton())
    found = fluctuation.autocovariance(sgd, 4)
    np.testing.assert_allclose(found.correlation, 0.6 ** np.arange(4), rtol=1e-12)
    run = sgd.simulate(stream.truth, 42, 4000, ("state",), [40, 42], 3).state.values
    apart = run - stream.truth
    products = apart[:, 1] * apart[:, 0]
    error = products.std(axis=0, ddof=1) / np.sqrt(len(products))
    expected = np.diagonal(found.autocovariance.values[2])
    assert (np.abs(products.mean(axis=0) - expected) < 4 * error).all()
    assert (error < 0.1 * expected).all()


@pytest.mark.parametrize("rule", [None, rules.DampedNewton(0.1)])
def test_a_local_expansion_fluctuates_as_its_samples(rule):
    """Assert the law about a minimum of logistic regression against polynomials of the samples, written out."""
    signs, ridge, eta = np.array([1.0, -1.0, 1.0, 1.0, -1.0]), 0.1, 0.5
    problem = LocalExpansion(Logistic(FEATURES, signs, ridge=ridge))
    sgd = SGD(problem, eta, rule=rule)
    at = problem.minimiser
    odds = 1 / (1 + np.exp(signs * (FEATURES @ at)))
    slopes = -(signs * odds)[:, None] * FEATURES + ridge * at
    bends = np.einsum("n,ni,nj->nij", odds * (1 - odds), FEATURES, FEATURES) + ridge * np.eye(2)
    move = eta * (np.eye(2) if rule is None else np.linalg.inv(bends.mean(axis=0) + 0.1 * np.eye(2)))
    second, mean = settled(whole([(move, bend, slope) for bend, slope in zip(bends, slopes)]))
    np.testing.assert_allclose(fluctuation.ellipse(sgd).covariance, second[:2, :2], rtol=1e-6)
    lagged = [(np.linalg.matrix_power(mean, n) @ second)[:2, :2] for n in range(4)]
    np.testing.assert_allclose(fluctuation.autocovariance(sgd, 4).autocovariance, lagged, rtol=1e-5, atol=1e-7)
    with pytest.raises(InvalidInput, match="nothing is drawn: simulate SGD on the loss"):
        sgd.simulate(at, 3, 4)


def test_rules_that_need_batches_are_refused_on_a_local_expansion():
    """Assert the sentence, and that a Hessian which may be singular is refused there too."""
    problem = LocalExpansion(Logistic(FEATURES, np.array([1.0, -1.0, 1.0, 1.0, -1.0]), ridge=0.1))
    with pytest.raises(InvalidInput, match="no batch is drawn: take DampedNewton"):
        SGD(problem, 0.1, rule=rules.Proximal())


def test_a_process_says_whether_its_moments_close():
    """Assert it of every kind, and that `moments` then works, or else does not."""
    data, stream = rows(), StreamingLeastSquares([1.0, 0.5], 0.5, [1.0, -1.0])
    many = LeastSquares.gaussian(200, 2, noise=0.4, seed=1, ridge=0.1)
    plain = SGD(data, 0.1)
    adam = SGD(data, 0.01, 4, rule="adam")
    closed = [
        plain, *(sgd for sgd, _ in CASES.values()), SVAG(plain, 2), HomogenizedSGD.of(plain), GradientFlow.of(plain),
        SGD(stream, 0.2, 8, rule=rules.StochasticNewton()),
        UnderdampedLangevin.of(SGD(data, 0.1, momentum=0.5)),
    ]  # fmt: skip
    open_ = [
        adam, AdamSDE.of(adam), SGD(data, 0.1, sampling="reshuffle"),
        SGD(data, 0.1, sampling="reshuffle", rule=rules.StochasticNewton(DAMPING)),
        SGD(many, 0.1, 3, rule=rules.StochasticNewton(DAMPING)),
        SGD(stream, 0.1, 8, rule=rules.StochasticNewton(DAMPING)),
        SGD(stream, 0.1, 3, rule=rules.StochasticNewton()),
        SGD(data, 0.1, 4, rule=rules.NaturalGradient(0.1, "centred")),
        SGD(Logistic(FEATURES, np.sign(TARGETS)), 0.1, rule=rules.DampedNewton(0.1)),
    ]  # fmt: skip
    for process in closed:
        assert has_moments(process), process
        assert np.isfinite(process.moments(np.zeros(2), 3).risk).all()
    for process in open_:
        assert not has_moments(process), process
        with pytest.raises(SgdlimitsError):
            process.moments(np.zeros(2), 3)


@pytest.mark.parametrize("name", ["batches", "proximal, single", "damped Newton", "preconditioned"])
def test_a_comparison_uses_exact_moments_of_every_rule_that_has_them(name):
    """Assert that its rows of the risk are exact, and those of a rule whose law does not close are not."""
    sgd = CASES[name][0]
    others = SGD(sgd.problem, ETA, sgd.batch_size), SGD(sgd.problem, ETA, sgd.batch_size, rule="adam")
    with pytest.warns(MismatchedProcesses):
        found = compare.laws(sgd, *others, x0=np.zeros(2), steps=8, paths=64).dataset
    assert found["exact"].sel(observable="risk").values.tolist() == [True, True, False]
    expected = sgd.moments(np.zeros(2), 8).risk.sel(step=found.step)
    np.testing.assert_array_equal(found["estimate"].sel(observable="risk")[0], expected)


@pytest.mark.parametrize("order", [2, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_the_tail_index_with_a_matrix_and_a_ridge_is_where_that_moment_stands_still(order, momentum):
    """Assert the index at the step size at which E A^(x)order has spectral radius 1, enumerated; and a control."""
    ridge = 0.3

    def maps(eta, pull=ridge):
        found = []
        for a in FEATURES:
            step = eta * MATRIX @ (np.outer(a, a) + pull * np.eye(2))
            kept = np.block([[(1 + momentum) * np.eye(2) - step, -momentum * np.eye(2)], [np.eye(2), np.zeros((2, 2))]])
            found.append(kept if momentum else np.eye(2) - step)
        return found

    def radius(eta):
        total = 0
        for one in maps(eta):
            power = one
            for _ in range(order - 1):
                power = np.kron(power, one)
            total = total + power / len(FEATURES)
        return np.abs(np.linalg.eigvals(total)).max() - 1

    eta = brentq(radius, 0.2, 4)
    rule = rules.Preconditioned(MATRIX, rules.HeavyBall(momentum) if momentum else rules.Plain())
    found = SGD(rows(ridge), eta, rule=rule).tail_index(**QUICK)
    assert found.lower <= order <= found.upper and found.error < 0.05 * order
    control = SGD(rows(ridge), 0.97 * eta, rule=rule).tail_index(**QUICK)
    assert control.lower > order


def test_tails_with_a_matrix_and_a_ridge_in_the_cases_that_are_exact():
    """Assert a multiple of the identity, all samples at once, steps that expand nothing, and where nothing settles."""
    data = LeastSquares.from_arrays(FEATURES[:, :1], TARGETS, ridge=0.3)
    one = SGD(data, 0.5, preconditioner=[3.0]).tail_index()
    other = SGD(data, 1.5).tail_index()
    assert one.index == pytest.approx(other.index, rel=1e-12) and one.method == other.method == "sum over all batches"
    full = SGD(rows(), 0.5, 5, "without_replacement", preconditioner=MATRIX).tail_index()
    slowest = np.abs(np.linalg.eigvals(np.eye(2) - 0.5 * MATRIX @ HESSIAN)).max()
    assert np.isinf(full.index) and full.lyapunov_exponent == pytest.approx(np.log(slowest), rel=1e-10)
    root = np.linalg.cholesky(MATRIX)
    steepest = max(np.linalg.norm(np.outer(a, a) @ root, 2) for a in FEATURES)
    light = SGD(rows(), 0.5 / steepest, preconditioner=MATRIX).tail_index()
    assert np.isinf(light.index) and light.method == "no sample's step expands"
    with pytest.raises(NoStationaryLaw):
        SGD(rows(), 50.0, preconditioner=MATRIX).tail_index(**QUICK)


def test_steps_that_expand_nothing_are_told_from_those_that_do():
    """Assert the bound of the lowest eigenvalue against eigenvalues, on both sides of the step size where one leaves.
    """
    root = np.linalg.cholesky(MATRIX)

    def least(eta):
        return min(np.linalg.eigvalsh(np.eye(2) - eta * root.T @ (np.outer(a, a) + 0.2 * np.eye(2)) @ root)[0]
                   for a in FEATURES)  # fmt: skip

    edge = brentq(lambda eta: least(eta) + 1, 0.01, 10)
    inside = SGD(rows(), 0.999 * edge, preconditioner=MATRIX).tail_index()
    assert inside.method == "no sample's step expands"
    try:
        outside = SGD(rows(), 1.05 * edge, preconditioner=MATRIX).tail_index(**QUICK)
        assert outside.method == "populations"
    except OutOfReach as error:
        assert "is over 64" in str(error)


def test_a_stream_and_rank_deficient_rows_with_a_matrix_and_a_ridge():
    """Assert index 2 at the threshold of the second moment."""
    stream = StreamingLeastSquares([[1.0, 0.2], [0.2, 0.5]], 0.5, [1.0, 1.0], ridge=0.3)
    flat = LeastSquares.from_arrays(np.outer([1.0, 2.0, -0.5], [1.0, 0.5]), [1.0, -1.0, 0.5], ridge=0.3)
    for problem in (stream, flat):
        sgd = SGD(problem, 0.1, preconditioner=MATRIX)
        there = replace(sgd, step_size=sgd.stability().mean_square_threshold)
        found = there.tail_index(**QUICK)
        assert found.lower <= 2 <= found.upper and found.error < 0.1


def test_diffusions_without_a_closed_law_say_what_to_take():
    """Assert one sentence of every such class, a ValueError; and that no order 2 of Adam and RMSProp is stated absent.
    """
    data = rows()
    langevin = StableLangevin(data, 0.1, 1.5, dimension=2)
    mine = UserDiffusion(lambda t, x: -x, lambda t, x: np.ones((2, 2)), 2, noise_type="additive")
    limit = ManifoldLimit(zero_loss.Hyperbola(), noises.LabelNoise(0.5), 0.025)
    several = [
        (AdamSDE(data, 0.01), r"compare\.closure"), (RMSPropSDE(data, 0.01), r"closure\(\)"),
        (SignSDE(data, 0.01), "simulate"), (langevin, "tail_index"), (mine, "integrate"), (limit, r"solve\(\)"),
    ]  # fmt: skip
    for process, instead in several:
        with pytest.raises(ValueError, match=f"no closed form of the stationary law of .*{instead}"):
            process.stationary()
        with pytest.raises(InvalidInput, match=f"no closed form of the moments of .*{instead}"):
            process.moments(np.zeros(2), 3)
        assert not has_moments(process)
    for limit in (AdamSDE, RMSPropSDE):
        assert "limit of order 2 is absent" in " ".join(limit.__doc__.split())


def test_a_copy_with_another_rule_says_what_to_name():
    """Assert the sentence, and that what it says works."""
    sgd = SGD(rows(), 0.1, preconditioner=MATRIX)
    with pytest.raises(InvalidInput, match="preconditioner=None with another rule"):
        replace(sgd, rule=rules.Adam())
    with pytest.raises(InvalidInput, match="rule=None with another preconditioner"):
        replace(sgd, preconditioner=np.ones(2))
    assert replace(sgd, rule=rules.Adam(), preconditioner=None).label == "Adam"
    assert replace(sgd, preconditioner=np.ones(2), rule=None).preconditioner.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("process", [
    SGD(rows(), 0.1), SGD(rows(), 0.1, preconditioner=MATRIX), *(sgd for sgd, _ in CASES.values()),
    SGD(NoisyQuadratic([1.0, 2.0], [1.0, 1.0]), 0.1), HomogenizedSGD.of(SGD(rows(), 0.1)),
    UnderdampedLangevin.of(SGD(rows(), 0.1, momentum=0.5)),
], ids=lambda process: process.label)  # fmt: skip
def test_settled_only_is_a_flag_everywhere(process):
    """Assert that texts and numbers are refused where nothing is unsettled too."""
    for wrong in ("yes", 1.5, None):
        with pytest.raises(InvalidInput, match="settled_only must be True or False"):
            process.stationary(settled_only=wrong)
    assert process.stationary(settled_only=True).risk == process.stationary().risk
