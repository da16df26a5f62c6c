"""Rates of escape from paths: intervals that cover, the same bits on any number of threads, and any recurrence."""

import math

import numpy as np
import pytest
from scipy import stats

from sgdlimits.discrete import SGD, escape
from sgdlimits.discrete.escape import Basin, DoubleWell, HarmonicWell, LandscapeDescent, PlanarDoubleWell
from sgdlimits.discrete.escape.models import model_of
from sgdlimits.discrete.escape.partial_steps import PartialSteps
from sgdlimits.ensembles import splitting
from sgdlimits.ensembles.random import Noise
from sgdlimits.exact.errors import InvalidInput, OutOfReach
from sgdlimits.problems import LeastSquares, SampleLoss, StreamingLeastSquares
from tests.test_coverage import accepted

OFTEN = LandscapeDescent(HarmonicWell(1.0, 2.6 * math.sqrt(0.5 / 1.5)), 0.5, 1.0)  # about 1e-2 a step
RARE = LandscapeDescent(DoubleWell(1.0), 0.1, 0.5 / (0.1 * 14.65))  # about 1e-8 a step


WALLS = [0.05, 0.2]  # step size times curvature


def wall(product, z, momentum=0.0, nesterov=False):
    """A harmonic well of curvature 1 whose walls lie z stationary deviations away."""
    far = LandscapeDescent(HarmonicWell(1.0, 1e3), product, 1.0, momentum, nesterov)
    deviation = math.sqrt(model_of(far).covariance()[0, 0])
    return LandscapeDescent(HarmonicWell(1.0, z * deviation), product, 1.0, momentum, nesterov)


def covers(found, truth):
    return found.lower <= truth <= found.upper


def test_frequent_escapes_are_counted():
    """Assert the exact rate within twice the interval, and that threads change no bit."""
    exact = escape.rate(OFTEN).rate
    found = [escape.rate(OFTEN, method="splitting", tolerance=0.2, seed=4, threads=n) for n in (1, 2)]
    assert 0.005 < exact < 0.02 and abs(found[0].rate - exact) < 2 * found[0].error <= 0.4 * exact
    assert found[0].rate == found[1].rate and found[0].sampled and "counted" in found[0].note


def test_levels_see_what_paths_do_not(monkeypatch):
    """Assert 1e-8 within twice the interval; with rougher effort than by default."""
    monkeypatch.setattr(splitting, "RUNS", 1)
    exact = escape.rate(RARE).rate
    found = escape.rate(RARE, method="splitting", tolerance=0.4, seed=1)
    assert 0.5e-8 < exact < 2e-8 and abs(found.rate - exact) < 2 * found.error < 1.6 * exact
    assert found.exits.points.min() >= 1.0 and found.quasi_stationary.mean[0] == pytest.approx(-1, abs=0.1)


def test_a_recurrence_of_the_users_own_and_what_cannot_escape():
    """Assert a walk with a pull inward against the exact rate, and a sentence where noise is bounded."""

    class Walk:
        def initial_state(self, x0):
            return np.array(x0)

        def step(self, k, x, noise):
            return 0.5 * x - 0.5 * self.draw(noise, k)

        def position(self, x):
            return x

        def draw(self, noise, k):
            return noise.normals(64, k, 1)

    exact = escape.rate(OFTEN)
    wall = float(OFTEN.landscape.wall[0])
    found = escape.rate(Walk(), (-wall, wall), tolerance=0.2)
    assert abs(found.rate - exact.rate) < 2 * found.error

    class Bounded(Walk):
        def draw(self, noise, k):
            return 2 * noise.uniforms(64, k, 1) - 1

    with pytest.raises(OutOfReach, match="no path got past"):
        escape.rate(Bounded(), (-1.5, 1.5))
    with pytest.raises(InvalidInput, match="depend on their number"):
        rows = LeastSquares.from_arrays([[1.0], [2.0]], [0.0, 1.0])
        escape.rate(SGD(rows, 0.1, sampling="reshuffle"), (-2.0, 2.0))
    with pytest.raises(InvalidInput, match="lies outside"):
        escape.rate(OFTEN, (1.0, 2.0))


@pytest.mark.slow
def test_the_interval_covers_at_1e_8():
    """Assert at least 16 of 20 seeds, that half of the width does not always do, and half widths of at most a tenth."""
    exact = escape.rate(RARE).rate
    found = [escape.rate(RARE, method="splitting", seed=seed) for seed in range(20)]
    assert sum(covers(one, exact) for one in found) >= 16
    assert sum(abs(one.rate - exact) <= one.error / 2 for one in found) < 20
    assert np.median([one.error / one.rate for one in found]) <= 0.1


@pytest.mark.slow
@pytest.mark.parametrize("product", WALLS)
def test_the_interval_covers_at_a_wall(product):
    """Assert at least 16 of 20 seeds at 1e-8, and no bias: the mean of the rates within 3 standard errors."""
    descent = wall(product, 5.73)
    exact = escape.rate(descent).rate
    found = [escape.rate(descent, method="splitting", seed=seed, tolerance=0.35) for seed in range(20)]
    rates = np.array([one.rate for one in found])
    assert 5e-9 < exact < 1e-8 and sum(covers(one, exact) for one in found) >= 16
    assert abs(rates.mean() - exact) < 3 * rates.std(ddof=1) / math.sqrt(20)


@pytest.mark.slow
def test_a_wall_takes_few_steps():
    """Assert 1e-8 to a tenth where a step is as large as a third of the stationary variance, in 6e7 steps of paths."""
    descent = wall(0.2, 5.73)
    found = escape.rate(descent, method="splitting")
    assert found.error < 0.1 * found.rate and float(found.note.split()[-2]) < 6e7
    assert abs(found.rate / escape.rate(descent).rate - 1) < 0.2


@pytest.mark.parametrize("nesterov", [False, True])
def test_parts_of_a_step_make_the_step(nesterov):
    """Assert the stationary covariance of position and what is kept of before, after whole steps made of parts."""
    descent = wall(0.5, 6.0, 0.5, nesterov)
    model, steps = model_of(descent), PartialSteps(descent, 3)
    state = steps.initial_state(np.tile(steps.start(descent.landscape.minimum), (16384, 1)))
    noise = Noise(1, np.arange(16384))
    for k in range(90):
        state = steps.step(k, state, noise)
    x = steps.position(state)
    assert (x[:, -1] == 0).all()
    assert np.cov(x[:, :2].T) == pytest.approx(model.whole_covariance(), rel=0.05)


@pytest.mark.slow
def test_the_interval_covers_at_1e_2():
    """Assert 95 % by the package's binomial rule, and that half of the width is rejected."""
    exact = escape.rate(OFTEN).rate
    found = [escape.rate(OFTEN, method="splitting", tolerance=0.3, seed=seed) for seed in range(100)]
    assert accepted(sum(covers(one, exact) for one in found), 0.95, repetitions=100)
    half = sum(abs(one.rate - exact) <= one.error / 2 for one in found)
    assert not accepted(half, 0.95, over=True, repetitions=100)


@pytest.mark.slow
def test_momentum_streams_and_overshoot():
    """Assert paths against the transfer operator: heavy ball, a streaming batch, and steps past curvature 1."""
    heavy = LandscapeDescent(DoubleWell(1.0), 0.05, 0.25 / (0.05 * 9), 0.5)
    stream = SGD(StreamingLeastSquares([1.0], 1.0, [0.0]), 0.1, 4)
    beyond = LandscapeDescent(HarmonicWell(1.0, 5 / math.sqrt(1.2 * 0.8) * 1.2), 1.2, 1.0)
    for process, basin in ((heavy, None), (stream, (-0.6, 0.6)), (beyond, None)):
        exact = escape.rate(process, basin, method="transfer")
        found = escape.rate(process, basin, method="splitting", tolerance=0.2, seed=2)
        assert abs(found.rate - exact.rate) < 2.2 * found.error, (process, exact, found)
        assert found.error < 0.4 * found.rate and exact.rate < 1e-4


def planar_samples(rows, seed=3):
    """A double well in the plane; a sample tilts it by u (3 x / 2 + x^2 / 4) and 2 v y: its noise grows with x."""
    u, v = np.random.Generator(np.random.Philox(seed)).standard_normal((2, rows))
    u, v = 1.64 * (u - u.mean()) / u.std(), 0.8 * (v - v.mean()) / v.std()

    def value(x, i):
        a, b = x[:, None, 0], x[:, None, 1]
        return (a**2 - 1) ** 2 / 4 - u[i] * (1.5 * a + a**2 / 4) + b**2 - 2 * v[i] * b

    def gradient(x, i):
        a, b = x[:, None, 0], x[:, None, 1]
        return np.stack([a**3 - a - u[i] * (1.5 + a / 2), 2 * (b - v[i])], axis=-1)

    return SampleLoss(value, gradient, rows, 2), u, v


@pytest.mark.slow
def test_minibatch_noise_in_the_plane_with_a_smooth_saddle():
    """Assert the descent with the batches' covariance by paths against the transfer operator, at a rare rate; and that
    SGD on the batches themselves lies nearer to it than to Kramers' formula with the noise at the minimum."""
    problem, u, v = planar_samples(64)
    batch, size = 16, 0.12

    def covariance(x):
        g = np.stack([(1.5 + x[:, :1] / 2) * u, 2 * v + 0 * x[:, :1]], axis=-1)
        return np.einsum("pni,pnj->pij", g, g) / (u.size * batch)

    descent = LandscapeDescent(PlanarDoubleWell(1.0, 2.0), size, covariance)
    exact = escape.rate(descent, method="transfer")
    found = escape.rate(descent, method="splitting", tolerance=0.15)
    assert exact.rate < 1e-5 and abs(found.rate - exact.rate) < 2 * found.error
    sgd = SGD(problem, size, batch)
    measured = escape.rate(sgd, Basin(lambda x: (x[:, 0] + 1) / 2, 1.0, [-1.0, 0.0]), tolerance=0.2)
    noise = covariance(np.array([[-1.0, 0.0]]))[0, 0, 0]
    plain = escape.kramers(LandscapeDescent(DoubleWell(1.0), size, noise)).rate
    assert abs(math.log(measured.rate / exact.rate)) < abs(math.log(measured.rate / plain))


def test_student():
    """Assert half the width of the logarithm's interval of 16 groups."""
    rates = np.arange(16.0)
    wide = stats.t.ppf(0.975, 15) * rates.std(ddof=1) / 4 / rates.mean()
    assert splitting._interval(rates, 0.95) == pytest.approx((rates.mean(), wide))
