"""Monte Carlo to a tolerance and multilevel Monte Carlo: accuracy, coverage and cost."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from sgdlimits.diffusions import ExpectationEstimate, UserDiffusion, integrate, monte_carlo, multilevel
from sgdlimits.diffusions._multilevel import extrapolated_bias
from sgdlimits.exact.errors import InvalidInput
from tests.parameters import slowly

GROWTH = UserDiffusion(lambda t, x: x, lambda t, x: 0.5 * x, 1, noise_type="scalar", derivative=lambda t, x, v: 0.5 * v)
START = {"x0": [1.0], "t1": 1.0}


def first(x):
    return x[:, 0]


def covered(run, truth, seeds):
    """How many of the intervals hold the truth, and the root mean square error of the values."""
    runs = [run(seed) for seed in range(seeds)]
    held = sum(found.interval[0] <= truth <= found.interval[1] for found in runs)
    return held, np.sqrt(np.mean([(found.value - truth) ** 2 for found in runs]))


def enough(held, seeds, level=0.95):
    """Whether a binomial test at 0.5 % does not reject a coverage of at least `level`."""
    return stats.binom.cdf(held, seeds, level) > 0.005


def tail(strike):
    return lambda x: (x[:, 0] > strike).astype(float)


def strike(p):
    """K with P(GBM(1) > K) = p, for drift 0.1 and volatility 0.4."""
    return math.exp(0.1 - 0.08 + 0.4 * stats.norm.isf(p))


GBM = UserDiffusion(
    lambda t, x: 0.1 * x, lambda t, x: 0.4 * x, 1, noise_type="diagonal", derivative=lambda t, x, v: 0.4 * v
)
BROWNIAN = UserDiffusion(lambda t, x: 0 * x, lambda t, x: np.ones(1), 1, noise_type="additive")


def test_monte_carlo_reaches_its_standard_error_and_covers_the_schemes_own_mean():
    """Assert standard errors below the tolerance, coverage of (1 + dt)^10 from both sides, and a fitting error."""
    errors, held = [], 0
    for seed in range(200):
        found = monte_carlo(GROWTH, first, 0.05, dt=0.1, seed=seed, threads=1, first_paths=512, **START)
        assert found.standard_error <= 0.05
        held += found.interval[0] <= 1.1**10 <= found.interval[1]
        errors.append(found.value - 1.1**10)
    assert enough(held, 200) and held <= 198  # 198: two-sided, at 1 %
    assert 0.8 * 0.05 < np.sqrt(np.mean(np.square(errors))) < 1.1 * 0.05


def test_monte_carlo_of_a_rare_event_covers():
    """Assert the interval of P(N > 3) at tolerance p / 3 over 60 seeds, exact and never of no width."""
    p = stats.norm.sf(3)

    def run(seed):
        found = monte_carlo(BROWNIAN, tail(3), p / 3, x0=[0.0], t1=1.0, dt=1.0, seed=seed, threads=1)
        assert found.interval[1] > found.interval[0] and 0 < found.standard_error <= p / 3
        return found

    held, rms = covered(run, p, 60)
    assert enough(held, 60) and 0.4 * p / 3 < rms < p / 3


@pytest.mark.slow
@pytest.mark.parametrize(("p", "share"), [(1.35e-3, 0.1), (2.3e-4, 0.3), (3.2e-4, 0.3), (5.9e-4, 0.3), (3e-5, 1.0)])
def test_monte_carlo_of_rarer_events_covers(p, share):
    """Assert coverage over 100 seeds."""
    level = stats.norm.isf(p)
    event = lambda x: x[:, 0] > level  # noqa: E731  booleans: a pilot may see none
    held, rms = covered(
        lambda seed: monte_carlo(BROWNIAN, event, share * p, x0=[0.0], t1=1.0, dt=1.0, seed=seed), p, 100
    )
    assert enough(held, 100) and rms < share * p


def test_booleans_say_that_it_is_an_indicator():
    """Assert an upper bound from the first look where no path has hit; of numbers nothing is vouched for."""
    arguments = {"x0": [0.0], "t1": 1.0, "dt": 1.0}
    found = monte_carlo(BROWNIAN, lambda x: x[:, 0] > 9, 0.01, **arguments)
    assert found.paths == 1024 and found.value == 0 and 0 < found.interval[1] < 0.01 and not found.notes
    for observable, value in ((tail(9), 0), (lambda x: 0 * x[:, 0] + 7, 7)):
        with pytest.raises(InvalidInput, match=f"cannot be vouched for: all 16384 values are {value}.* booleans"):
            monte_carlo(BROWNIAN, observable, 0.01, **arguments)


def test_monte_carlo_does_not_depend_on_threads():
    """Assert the same number, bit for bit, and a cost of paths times steps."""
    one, two = (monte_carlo(GROWTH, first, 0.02, dt=0.1, seed=1, threads=threads, **START) for threads in (1, 2))
    assert one == two
    assert one.cost == 10 * one.paths and one.pilot_paths < one.paths


@pytest.mark.parametrize("solver", ["milstein", "sriw1", "euler"])
def test_multilevel_covers_the_true_mean_with_the_error_that_was_asked(solver):
    """Assert coverage of e by 95 % intervals over 40 seeds, and the root mean square error from both sides."""

    def run(seed):
        found = multilevel(GROWTH, first, 0.05, solver=solver, seed=seed, threads=1, **START)
        assert found.bias**2 + found.standard_error**2 <= 0.05**2
        return found

    held, rms = covered(run, np.e, 40)
    assert enough(held, 40)
    assert 0.4 * 0.05 < rms < 1.25 * 0.05  # 1.25: one in a hundred for 40 normal errors of that size


@pytest.mark.parametrize("kind", slowly([float, bool], lambda kind: kind is bool))
def test_multilevel_of_a_digital_covers(kind):
    """Assert coverage of P = 0.0125 over 40 seeds at tolerance P / 10, where most corrections are zero."""
    level = strike(0.0125)
    held, rms = covered(
        lambda seed: multilevel(GBM, lambda x: (x[:, 0] > level).astype(kind), 1.25e-3, seed=seed, threads=1, **START),
        0.0125, 40,
    )  # fmt: skip
    assert enough(held, 40) and 0.2 * 1.25e-3 < rms < 1.25e-3


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.1, 0.3])
@pytest.mark.parametrize("p", [0.0125, 0.0035, 0.001])
def test_multilevel_of_rarer_digitals_covers(p, share):
    """Assert coverage over 100 seeds, from above by design; over 30 where a seed costs six times the next."""
    seeds = 30 if share * p < 2e-4 else 100
    held, rms = covered(lambda seed: multilevel(GBM, tail(strike(p)), share * p, seed=seed, **START), p, seeds)
    assert enough(held, seeds) and rms < 1.2 * share * p


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_multilevel_of_an_option_out_of_the_money_covers(share):
    """Assert Black and Scholes' value over 40 seeds."""
    k, d = 2.5, (0.1 + 0.08 - math.log(2.5)) / 0.4
    value = math.exp(0.1) * stats.norm.cdf(d) - k * stats.norm.cdf(d - 0.4)
    held, rms = covered(
        lambda seed: multilevel(
            GBM, lambda x: np.maximum(x[:, 0] - k, 0), share * value, seed=seed, threads=1, **START
        ), value, 40,
    )  # fmt: skip
    assert enough(held, 40) and rms < share * value


def cir(rate, level, volatility):
    return UserDiffusion(
        lambda t, x: rate * (level - np.maximum(x, 0)), lambda t, x: volatility * np.sqrt(np.maximum(x, 0)), 1,
        noise_type="diagonal",
    )  # fmt: skip


@pytest.mark.slow
def test_a_bias_that_falls_slowly_is_extrapolated_slowly():
    """Assert coverage of E max(X, 0) of a CIR process that hits zero, where Euler's bias falls slower than claimed."""
    rate, level, start = 1.0, 0.04, 0.04
    held, rms = covered(
        lambda seed: multilevel(
            cir(rate, level, 1.0), lambda x: np.maximum(x[:, 0], 0), 0.004, x0=[start], t1=1.0, solver="euler",
            seed=seed, threads=1,
        ), level + (start - level) * math.exp(-rate), 40,
    )  # fmt: skip
    assert enough(held, 40) and rms < 1.2 * 0.004


@pytest.mark.parametrize("rate", [0.5, 0.75, 1.0])
def test_extrapolation_takes_the_smaller_of_claimed_and_fitted_rate(rate):
    """Assert the exact remainder of means that fall by 2^rate, and never a faster rate than the claimed one."""
    means = 0.3 * 2.0 ** (-rate * np.arange(1, 8))
    bias, found = extrapolated_bias(means, 1e-4 * means, 1.0)
    assert found == pytest.approx(rate) and bias == pytest.approx(means[-1] / (2**rate - 1))
    fast = extrapolated_bias(4.0 ** -np.arange(1.0, 8), np.zeros(7), 1.0)
    assert fast == (4.0**-7, 1.0)


def test_no_noise_is_exact_and_its_bias_is_finite():
    """Assert the scheme's own value without an interval, and a bias of the right size."""
    still = UserDiffusion(lambda t, x: -x, lambda t, x: 0 * x, 1, noise_type="diagonal")
    plain = monte_carlo(still, first, 0.01, dt=0.1, **START)
    assert plain.interval == (plain.value, plain.value) and plain.value == pytest.approx(0.9**10) and plain.paths == 16
    assert "all paths are one path" in str(plain)
    found = multilevel(still, first, 0.001, solver="euler", **START)
    assert found.standard_error == 0 and found.bias <= 0.001
    assert 0.3 < found.bias / abs(found.value - math.exp(-1)) < 3
    assert found.interval[0] <= math.exp(-1) <= found.interval[1] and "one path" in str(found)


def test_unstable_coarse_levels_are_left_out_with_a_word():
    """Assert the mean of a stiff linear equation, a modest cost, and the note; a flat refusal where none is stable."""
    stiff = UserDiffusion(lambda t, x: -100 * (x - 1), lambda t, x: 0 * x + 1.0, 1, noise_type="diagonal")
    found = multilevel(stiff, first, 0.01, solver="euler", threads=1, **START)
    assert abs(found.value - 1) < 0.04 and found.cost < 10**6
    assert "levels with dt from 0.25 to" in found.notes[0] and "unstable" in found.notes[0]
    stiffer = UserDiffusion(lambda t, x: -1e5 * (x - 1), lambda t, x: 0 * x + 1.0, 1, noise_type="diagonal")
    with pytest.raises(InvalidInput, match="lower dt"):
        multilevel(stiffer, first, 0.01, solver="euler", threads=1, most_levels=8, x0=[2.0], t1=1.0)


def test_levels_show_their_correlation():
    """Assert correlations that rise towards 1, and one form of result for both functions."""
    found = multilevel(GROWTH, first, 0.02, threads=1, **START)
    correlations = [level.correlation for level in found.levels]
    assert math.isnan(correlations[0]) and 0.8 < correlations[1] < correlations[2] < 1
    assert type(found) is type(monte_carlo(GROWTH, first, 0.1, dt=0.1, **START)) is ExpectationEstimate
    assert repr(found) == str(found) and "correlation" in str(found) and max(map(len, str(found).splitlines())) < 150


def costs(solver, seeds=(0, 1, 2)):
    """Exponent of the cost in the tolerance, and the reports of the last tolerance."""
    tolerances = np.array([0.02, 0.01, 0.005, 0.0025])
    runs = [
        [
            multilevel(GROWTH, first, tolerance, solver=solver, dt=0.5, seed=seed, threads=1, first_paths=32, **START)
            for seed in seeds
        ]
        for tolerance in tolerances
    ]
    mean = [np.mean([run.cost for run in row]) for row in runs]
    return np.polyfit(np.log(tolerances), np.log(mean), 1)[0], runs[-1][0]


@pytest.mark.slow
def test_milstein_costs_the_square_of_the_inverse_tolerance():
    """Assert the exponent -2.0 +- 0.15 of Giles' theorem for a variance that falls faster than dt."""
    exponent, report = costs("milstein")
    assert abs(exponent + 2.0) < 0.15
    assert abs(report.variance_rate - 2.0) < 0.4
    assert "tolerance^-2:" in report.complexity


@pytest.mark.slow
def test_euler_pays_a_logarithm_more():
    """Assert a steeper exponent than Milstein's on the same ladder, a variance rate of one, and that it is said."""
    exponent, report = costs("euler")
    assert exponent < costs("milstein", (0,))[0] - 0.05
    assert abs(report.variance_rate - 1.0) < 0.15
    assert "log(tolerance)^2" in report.complexity and "log(tolerance)^2" in str(report)


def test_levels_do_not_depend_on_threads():
    """Assert the same levels, bit for bit."""
    one, two = (multilevel(GROWTH, first, 0.05, seed=2, threads=threads, **START) for threads in (1, 2))
    assert one == two


def test_input_that_cannot_be_used_is_named():
    """Assert one clear sentence for each."""
    with pytest.raises(InvalidInput, match="solver 'ri6' claims no strong order, so its levels are not coupled"):
        multilevel(GROWTH, first, 0.1, solver="ri6", **START)
    with pytest.raises(InvalidInput, match=r"the observable returned shape \(.*, 1\) for x of shape"):
        monte_carlo(GROWTH, lambda x: x, 0.1, dt=0.1, **START)
    with pytest.raises(InvalidInput, match="needs about .* paths, more than most_paths = 5000"):
        monte_carlo(GROWTH, first, 1e-4, dt=0.1, most_paths=5000, **START)
    with pytest.raises(InvalidInput, match="the observable is not finite on .* paths"):
        monte_carlo(GROWTH, lambda x: 0 * x[:, 0] + np.inf, 0.1, dt=0.1, **START)
    with pytest.raises(InvalidInput, match="confidence must lie between 0 and 1, got 95"):
        monte_carlo(GROWTH, first, 0.1, dt=0.1, confidence=95, **START)
    with pytest.raises(InvalidInput, match="observable must be a function .*, got NoneType"):
        monte_carlo(GROWTH, None, 0.1, dt=0.1, **START)
    with pytest.raises(InvalidInput, match="the observable '<lambda>' raised IndexError"):
        multilevel(GROWTH, lambda x: x[:, 3], 0.1, **START)
    with pytest.raises(InvalidInput, match="raised ValueError: .* read-only"):
        monte_carlo(GROWTH, lambda x: np.multiply(x, 2, out=x)[:, 0], 0.1, dt=0.1, **START)
    with pytest.raises(InvalidInput, match="returned complex128 values"):
        multilevel(GROWTH, lambda x: 1j * x[:, 0], 0.1, **START)
    with pytest.raises(InvalidInput, match="None has no 'dimension'"):
        multilevel(None, first, 0.1, **START)
    with pytest.raises(InvalidInput, match=r"needs about .* paths and .* steps, more than most_paths = 10000 \(most"):
        multilevel(GROWTH, first, 1e-4, most_paths=10_000, **START)
    with pytest.raises(InvalidInput, match="more than most_cost = 100000"):
        multilevel(GROWTH, first, 1e-3, most_cost=100_000, **START)


def test_an_infinite_coefficient_is_said_to_be_one():
    """Assert that it is named with its time, by integrate, monte_carlo and multilevel, and not called an overflow."""
    made = UserDiffusion(
        lambda t, x: np.where(t < 0.5, 1.0, np.inf) + 0 * x, lambda t, x: x, 1, noise_type="diagonal"
    )
    for call in (
        lambda: integrate(made, [1.0], 1.0, 0.25, 16),
        lambda: monte_carlo(made, first, 0.1, dt=0.25, **START),
        lambda: multilevel(made, first, 0.1, solver="euler", **START),
    ):
        with pytest.raises(InvalidInput, match="drift '<lambda>' of user diffusion gave inf at t = 0.5, where x is"):
            call()


def test_a_singular_implicit_step_is_a_sentence():
    """Assert that 1 - dt J = 0 is named with dt."""
    made = UserDiffusion(
        lambda t, x: 4 * x, lambda t, x: x, 1, noise_type="diagonal",
        drift_jacobian=lambda t, x: np.full((len(x), 1, 1), 4.0),
    )  # fmt: skip
    with pytest.raises(InvalidInput, match=r"1 - dt J is singular near t = 0.25, .* take another dt"):
        integrate(made, [1.0], 1.0, 0.25, 16, "drift_implicit_euler")
