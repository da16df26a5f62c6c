"""Monte Carlo means: control variates sharpen, keep the mean right, and their intervals cover."""

import numpy as np
import pytest
from sgdlimits.compare.estimates import Controls, mean_and_error, normal_quantile


def draw(generator, paths):
    x = generator.standard_normal((paths, 3))
    values = np.exp(0.3 * x)
    return values, Controls((x, x**2), (np.zeros(3), np.ones(3)))


def test_controls_cut_the_error_and_keep_the_mean():
    """Assert a tenfold smaller error and a mean within four standard errors of the truth."""
    values, controls = draw(np.random.default_rng(0), 4000)
    plain, plain_error = mean_and_error(values)
    sharp, sharp_error = mean_and_error(values, controls)
    assert (sharp_error < plain_error / 10).all()
    assert (np.abs(sharp - np.exp(0.045)) < 4 * sharp_error).all()
    assert np.allclose(plain, values.mean(axis=0)) and np.allclose(plain_error, values.std(axis=0, ddof=1) / 4000**0.5)


def test_constant_and_useless_controls_change_nothing():
    """Assert that controls of zero variance, and observables of zero variance, give the plain mean."""
    values = np.random.default_rng(1).standard_normal((100, 2))
    constant = Controls((np.full((100, 2), 3.0),), (np.full(2, 3.0),))
    assert np.allclose(mean_and_error(values, constant)[0], mean_and_error(values)[0])
    mean, error = mean_and_error(np.full((100, 1), 2.5))
    assert mean == 2.5 and error == 0


@pytest.mark.slow
def test_intervals_cover():
    """Assert 95 % coverage over 1000 repetitions, judged by the binomial error; too short a band must fail."""
    generator, hits, short = np.random.default_rng(2), 0, 0
    z = normal_quantile(0.95)
    for _ in range(1000):
        mean, error = mean_and_error(*draw(generator, 500))
        gap = np.abs(mean[0] - np.exp(0.045)) / error[0]
        hits += gap <= z
        short += gap <= 0.8 * z
    assert abs(hits / 1000 - 0.95) < 3 * np.sqrt(0.95 * 0.05 / 1000)
    assert short / 1000 < 0.95 - 3 * np.sqrt(0.95 * 0.05 / 1000)
