"""Bounds of the tail index from Lipschitz factors: against exact indices, where they bite and where they are void."""

import math

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from sgdlimits.discrete import SGD, kesten_index, lipschitz_factors, simulate, tail_exponent_bounds
from sgdlimits.exact.errors import InvalidInput, NoStationaryLaw, OutOfReach
from sgdlimits.problems import Logistic, SampleLoss, StreamingLeastSquares, Supervised, predictors, sources

DRAW = np.random.Generator(np.random.Philox(11))
ROWS, TARGETS = DRAW.standard_normal((30, 2)), DRAW.standard_normal(30)
DRAWS = DRAW.uniform(0, 1.2, 400)
NORMALS = 200  # a purpose of this file


def stream(d, ridge=0.0):
    return StreamingLeastSquares(np.eye(d), 0.3, np.ones(d), ridge)


class Waves:
    """w <- A w + 3 sin(w) + N(0, 1) on a line, A = scale exp(0.5 N(0, 1)); from the left side with another factor."""

    def __init__(self, scale=0.8, left=1.0):
        self.scale, self.left = scale, left

    def initial_state(self, x0):
        return x0.copy()

    def step(self, k, state, noise):
        draws = noise.normals(NORMALS, k, 2)
        factor = self.scale * np.exp(0.5 * draws[:, :1]) * np.where(state < 0, self.left, 1.0)
        return factor * state + 3 * np.sin(state) + draws[:, 1:]

    def position(self, state):
        return state


class Kept(Waves):
    """The same with something beside the position."""

    def initial_state(self, x0):
        return x0.copy(), x0.copy()

    def step(self, k, state, noise):
        return super().step(k, state[0], noise), state[1]

    def position(self, state):
        return state[0]


def wishart_root(step_size, batch_size, extreme):
    """Root of E sigma^s = 1 for I - step_size / B sum a a^T in the plane, from the joint law of two eigenvalues."""
    c = step_size / batch_size
    power = (batch_size - 3) / 2

    def moment(order):
        def inner(y, x):  # eigenvalues x > y
            factor = extreme(abs(1 - c * x), abs(1 - c * y)) ** order
            return factor * (x * y) ** power * (x - y) * math.exp(-(x + y) / 2)

        return sum(
            integrate.dblquad(inner, a, b, 0, lambda x: x, epsabs=1e-7, epsrel=1e-7)[0]
            for a, b in ((0, 1 / c), (1 / c, 2 / c), (2 / c, 160))
        )

    whole = moment(0.0)
    ends = (1, 60) if extreme is min else (0.05, 12)
    return optimize.brentq(lambda s: math.log(moment(s) / whole), *ends, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("step_size", "low", "high"), [(0.6, 7.295, 23.18), (1.3, 0.1325, 8.387)])
def test_the_linear_case_in_the_plane(step_size, low, high):
    """Assert the bounds by the joint law of the eigenvalues, and that estimates and the exact index agree with them."""
    lower, upper = (wishart_root(step_size, 5, extreme) for extreme in (max, min))
    assert lower == pytest.approx(low, rel=2e-3) and upper == pytest.approx(high, rel=5e-4)
    sgd = SGD(stream(2), step_size, 5)
    assert lower < sgd.tail_index().index < upper
    found = tail_exponent_bounds(lipschitz_factors(sgd, draws=40_000, states=1))
    assert found.lower.interval[0] <= lower <= found.lower.interval[1]
    seen = found.upper  # too rare to be seen at the smaller step size
    assert seen.void if step_size == 0.6 else seen.interval[0] <= upper <= seen.interval[1]


def test_closed_forms():
    """Assert roots of lognormal factors, -2 m / v, of two factors, and of a factor that no draw sees above 1."""
    found = tail_exponent_bounds(stats.lognorm(0.5, scale=np.exp(-0.2)), stats.lognorm(0.5, scale=np.exp(-0.3)))
    np.testing.assert_allclose(list(found), [1.6, 2.4], rtol=1e-9)
    assert found.lower.error < 1e-8 and not found.void and "at least: 1.6 " in repr(found)
    pair = ([2.0, 0.3], [0.5, 0.5])
    both = tail_exponent_bounds(pair, pair)
    assert both.lower.value == both.upper.value == pytest.approx(kesten_index(pair).index, rel=1e-12)
    light = tail_exponent_bounds(0.9, 0.5)
    assert math.isinf(light.lower.value) and not light.lower.void and "never exceeds 1" in light.lower.reason
    assert light.upper.void and math.isinf(light.upper.value)
    assert tail_exponent_bounds(pair).upper.reason == "k_Psi is not given"


@pytest.mark.parametrize("draws", [500, pytest.param(2000, marks=pytest.mark.slow)])
def test_sampled_roots_cover(draws):
    """Assert that 95 % intervals of the root hold the true one in 90 % of samples, and hold another in few."""
    law = stats.lognorm(0.5, scale=np.exp(-0.2))
    covered = missed = 0
    repeats = 100 if draws == 500 else 300
    for seed in range(repeats):
        sample = law.rvs(draws, random_state=np.random.Generator(np.random.Philox(seed)))
        low, high = tail_exponent_bounds(sample).lower.interval
        covered += low <= 1.6 <= high
        missed += low <= 3.2 <= high
    assert 0.90 <= covered / repeats <= 0.99
    assert missed / repeats < (0.2 if draws == 500 else 0.02)


def test_draws_below_one_do_not_bound():
    """Assert that no root is claimed where none of the draws, or only their like, exceeds 1."""
    far = np.random.default_rng(0).lognormal(-1, 0.2, 1000)
    for sample in (far, np.array([0.5, 0.6]), np.full(200, 0.5)):
        found = tail_exponent_bounds(sample).lower
        assert found.void and found.value == 0 and f"none of {sample.size} draws of K_Psi exceeds 1" in found.reason
    rare = [np.random.default_rng(seed).choice([3.0, 0.5], 200, p=[0.005, 0.995]) for seed in range(20)]
    assert {tail_exponent_bounds(sample).lower.interval for sample in rare} == {(0.0, 0.0), (0.0, math.inf)}


def test_rare_draws_that_decide_leave_no_interval():
    """Assert it where the variance is infinite, or a few of the draws decide, and that both are named."""
    few = tail_exponent_bounds(np.random.default_rng(0).lognormal(-0.4, 0.5, 200)).lower
    assert few.interval == (0, math.inf) and "of 200 draws decide, too few" in few.reason
    assert str(few).startswith("about 4.32, without an interval (about 38 of")
    law, shown = stats.t(3, scale=0.5), 0
    for seed in range(20):
        found = tail_exponent_bounds(0.5 * np.random.default_rng(seed).standard_t(3, 20_000)).lower
        shown += found.interval != (0, math.inf)
    assert shown <= 2 and kesten_index(law).index == pytest.approx(2.266, abs=1e-3)


@pytest.mark.slow
def test_an_upper_bound_of_rare_steps_has_no_wrong_interval():
    """Assert that none of ten estimates in the plane, whose root is about 8, misses it by an interval."""
    for seed in range(10):
        low, high = tail_exponent_bounds(lipschitz_factors(SGD(stream(2), 1.3, 5), seed=seed)).upper.interval
        assert low <= 8.387 <= high


def test_draws_of_the_two_factors_need_not_belong_together():
    """Assert that samples of two laws are taken as such, in any order, of any number."""
    draw = np.random.default_rng(2)
    largest, smallest = draw.lognormal(-0.2, 0.5, 4000), draw.lognormal(-0.3, 0.5, 4000)
    found = tail_exponent_bounds(largest, smallest)
    turned = tail_exponent_bounds(np.sort(largest), smallest[::-1])
    assert list(found) == pytest.approx(list(turned), rel=1e-9)
    assert found.lower.interval[0] <= 1.6 <= found.lower.interval[1]
    mixed = tail_exponent_bounds(stats.lognorm(0.5, scale=np.exp(-0.2)), smallest[:500])
    assert mixed.lower.value == pytest.approx(1.6) and mixed.upper.sampled


def test_a_recurrence_with_waves():
    """Assert K = k = |A| of a map on a line that is linear far out, and both sides of one that is not."""
    factors = lipschitz_factors(Waves(), 1, draws=4096)
    exact = np.exp(0.5 * normals(4096)) * 0.8
    np.testing.assert_allclose(factors.largest, exact, rtol=1e-4)
    np.testing.assert_allclose(factors.smallest, exact, rtol=1e-4)
    found = tail_exponent_bounds(factors)
    index = -2 * math.log(0.8) / 0.25
    for bound in (found.lower, found.upper):
        assert bound.interval[0] <= index <= bound.interval[1] and bound.sampled
    bent = tail_exponent_bounds(lipschitz_factors(Waves(0.8, 0.7), 1, draws=4096, states=16))
    assert bent.lower.value == pytest.approx(found.lower.value)
    assert bent.upper.interval[0] <= -2 * math.log(0.56) / 0.25 <= bent.upper.interval[1]
    near = lipschitz_factors(Waves(), 1, draws=64, states=[[0.0]], apart=0.01)  # the waves themselves
    assert (near.largest > exact[:64] + 2.9).all()


def normals(n):
    from sgdlimits.ensembles import Noise

    return Noise(0, np.arange(n)).normals(NORMALS, 0, 2)[:, 0]


@pytest.mark.slow
def test_samples_of_the_recurrence_with_waves():
    """Assert that an estimate from its paths agrees with the bounds, which coincide, and not with half of them."""
    from sgdlimits.compare.tail_estimators import corrected_hill

    run = simulate(Waves(), [1.0], 400, 40_000, observables={"x": lambda x: x[:, 0]}, record=[400])
    estimate = corrected_hill(run["x"].values.ravel())
    index = -2 * math.log(0.8) / 0.25
    assert index in estimate and index / 2 not in estimate


def test_where_linear_bounds_are_void():
    """Assert the reasons with an eigenvalue 1 and with heavy ball, and that blocks of steps save its lower bound."""
    whole = tail_exponent_bounds(lipschitz_factors(SGD(stream(2), 0.5), draws=500))
    assert whole.void and "eigenvalue 1 of every batch" not in whole.note and "eigenvalue 1" in whole.note
    assert "never below 1" in whole.lower.reason and "none of 500 draws" in whole.upper.reason
    heavy = SGD(stream(1), 0.1, momentum=0.9)
    assert tail_exponent_bounds(lipschitz_factors(heavy, draws=200)).void
    factors = lipschitz_factors(heavy, draws=1000, steps=100)
    found, index = tail_exponent_bounds(factors), heavy.tail_index().index
    assert 0.5 < found.lower.value < index and found.upper.void and factors.dimension == 2
    np.testing.assert_allclose(
        lipschitz_factors(heavy, draws=50).largest * lipschitz_factors(heavy, draws=50).smallest, 0.9, rtol=1e-6
    )  # |det A| = momentum


def test_logistic_regression():
    """Assert the contraction 1 - step_size ridge, all moments once that is given, and nothing without a ridge."""
    labels = np.sign(TARGETS)
    found = lipschitz_factors(SGD(Logistic.from_arrays(ROWS, labels, ridge=0.1), 0.5), draws=200)
    np.testing.assert_allclose([found.largest, found.smallest], 0.95, atol=1e-3)
    bounds = tail_exponent_bounds(found)
    assert bounds.lower.void and "if it is always 0.95" in bounds.lower.reason and bounds.upper.void
    assert math.isinf(tail_exponent_bounds(0.95).lower.value)
    flat = tail_exponent_bounds(lipschitz_factors(SGD(Logistic.from_arrays(ROWS, labels), 0.5), draws=200))
    assert flat.lower.void


def network(activation, ridge=0.0):
    return Supervised(predictors.TwoLayer(2, 3, 1, activation), "squares", sources.Rows(ROWS, TARGETS), ridge)


@pytest.mark.slow
def test_a_network_is_void():
    """Assert that no factor holds far out, by the radius or by the place, and that about paths K does not contract."""
    sgd = SGD(network("softplus", 0.01), 0.1)
    far = lipschitz_factors(sgd, draws=16, states=2)
    bounds = tail_exponent_bounds(far)
    assert not far.settled and bounds.void and "ten times as far out" in bounds.lower.reason
    tanh = SGD(network("tanh", 0.01), 0.1)
    steep = lipschitz_factors(tanh, draws=16, states=32)  # a hidden unit that turns round: rare, and steeper far out
    assert steep.spread > 10 and tail_exponent_bounds(steep).lower.void
    ends = tanh.simulate(network("tanh").predictor.start(8), 300, 8, observables=("state",), record=[300], threads=1)
    near = tail_exponent_bounds(lipschitz_factors(tanh, draws=16, states=ends["state"].values[:, -1]))
    assert near.lower.void and near.upper.void


def test_a_bounded_slope_of_ones_own():
    """Assert a contraction for the Huber loss with a ridge, given sample by sample."""

    def miss(x, i):
        return (ROWS[i] * x[:, None]).sum(-1) - TARGETS[i]

    def value(x, i):
        r = np.abs(miss(x, i))
        return np.where(r < 1, r * r / 2, r - 0.5)

    def gradient(x, i):
        return np.clip(miss(x, i), -1, 1)[..., None] * ROWS[i]

    found = lipschitz_factors(SGD(SampleLoss(value, gradient, 30, 2, ridge=0.2), 0.5), draws=50)
    np.testing.assert_allclose(found.largest, 0.9, atol=1e-3)


def test_what_is_refused():
    """Assert a sentence for each misuse."""
    sgd = SGD(stream(2), 0.5)
    for call, said in (
        (lambda: tail_exponent_bounds("wide"), "largest must be a number, samples"),
        (lambda: tail_exponent_bounds([0.5]), "at least 2 samples"),
        (lambda: tail_exponent_bounds(0.5, 0.9), "smallest is larger than largest"),
        (lambda: tail_exponent_bounds(DRAWS / 2, DRAWS), "smallest is larger than largest, by mean logarithms"),
        (lambda: tail_exponent_bounds(stats.uniform(0, 0.5), DRAWS), "smallest is larger than largest"),
        (lambda: tail_exponent_bounds(([0.5, 2.0], [0.5, 0.6])), "of largest must add up to 1, got 1.1"),
        (lambda: tail_exponent_bounds(0.5, ([0.5, 2.0], [-0.5, 1.5])), "of smallest must not be below 0, got -0.5"),
        (lambda: tail_exponent_bounds(0.5, confidence=95), "between 0 and 1"),
        (lambda: tail_exponent_bounds(([0.5, 2.0], [1.0])), "2,"),
        (lambda: tail_exponent_bounds(lipschitz_factors(sgd, draws=2), 0.5), "hold both"),
        (lambda: lipschitz_factors(Waves()), "dimension is missing"),
        (lambda: lipschitz_factors(Kept(), 1), "holds 2 numbers and its position 1"),
        (lambda: lipschitz_factors(SGD(stream(2), 0.5, rule="adam")), "ask tail_index"),
        (lambda: lipschitz_factors(SGD(stream(2), lambda k: 0.5)), "schedule"),
        (lambda: lipschitz_factors(object(), 1), "initial_state"),
        (lambda: lipschitz_factors(sgd, states=np.zeros((3, 3))), "shape"),
        (lambda: lipschitz_factors(sgd, 5), "the problem has 2"),
    ):
        with pytest.raises(InvalidInput, match=said):
            call()
    with pytest.raises(NoStationaryLaw, match="no stationary law"):
        tail_exponent_bounds(1.3, 1.1)
    with pytest.raises(OutOfReach, match="hours"):
        lipschitz_factors(SGD(stream(200), 0.01), draws=10**6)
