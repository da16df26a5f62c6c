"""Monte Carlo to a tolerance and multilevel Monte Carlo: accuracy, coverage and cost."""

from __future__ import annotations

import numpy as np
import pytest

from sgdlimits.diffusions import UserDiffusion, monte_carlo, multilevel
from sgdlimits.exact.errors import InvalidInput

GROWTH = UserDiffusion(lambda t, x: x, lambda t, x: 0.5 * x, 1, noise_type="scalar", derivative=lambda t, x, v: 0.5 * v)
START = {"x0": [1.0], "t1": 1.0}


def first(x):
    return x[:, 0]


def test_monte_carlo_reaches_its_standard_error_and_covers_the_schemes_own_mean():
    """Assert standard errors below the tolerance and about 95 % coverage of (1 + dt)^10 in 200 runs."""
    covered = 0
    for seed in range(200):
        found = monte_carlo(GROWTH, first, 0.05, dt=0.1, seed=seed, threads=1, first_paths=512, **START)
        assert found.standard_error <= 0.05
        covered += found.interval[0] <= 1.1**10 <= found.interval[1]
    assert 180 <= covered <= 198  # within three standard deviations of 190


def test_monte_carlo_does_not_depend_on_threads():
    """Assert the same number, bit for bit, and a cost of paths times steps."""
    one, two = (monte_carlo(GROWTH, first, 0.02, dt=0.1, seed=1, threads=threads, **START) for threads in (1, 2))
    assert one == two
    assert one.cost == 10 * one.paths


@pytest.mark.parametrize("solver", ["milstein", "sriw1", "euler"])
def test_multilevel_covers_the_true_mean(solver):
    """Assert that at least 34 of 40 intervals at 95 % hold e; the bias estimate inside them makes them wider."""
    covered = sum(
        found.interval[0] <= np.e <= found.interval[1]
        for found in (
            multilevel(GROWTH, first, 0.05, solver=solver, seed=seed, threads=1, **START) for seed in range(40)
        )
    )
    assert covered >= 34


def costs(solver, seeds=(0, 1, 2)):
    """Exponent of the cost in the tolerance, and the reports of the last tolerance."""
    tolerances = np.array([0.04, 0.02, 0.01, 0.005, 0.0025])
    runs = [
        [multilevel(GROWTH, first, tolerance, solver=solver, dt=0.5, seed=seed, threads=1, **START) for seed in seeds]
        for tolerance in tolerances
    ]
    mean = [np.mean([run.cost for run in row]) for row in runs]
    return np.polyfit(np.log(tolerances), np.log(mean), 1)[0], runs[-1][0]


def test_milstein_costs_the_square_of_the_inverse_tolerance():
    """Assert the exponent -2.0 +- 0.15 of Giles' theorem for a variance that falls faster than dt."""
    exponent, report = costs("milstein")
    assert abs(exponent + 2.0) < 0.15
    assert abs(report.variance_rate - 2.0) < 0.4
    assert "tolerance^-2:" in report.complexity


def test_euler_pays_a_logarithm_more():
    """Assert a steeper exponent than Milstein's on the same ladder, a variance rate of one, and that it is said."""
    exponent, report = costs("euler")
    assert exponent < -2.2
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
