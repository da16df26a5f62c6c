"""Monte Carlo means: control variates sharpen, keep the mean right, and their intervals cover."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sgdlimits.compare.estimates import (
    Controls,
    band_quantile,
    heaviest_share,
    mean_and_error,
    mean_and_influence,
    normal_quantile,
)


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


def test_intervals_cover():
    """Assert 95 % coverage over 1000 repetitions, two-sided at 1 %; too short a band must fail."""
    generator, hits, short = np.random.default_rng(2), 0, 0
    z = normal_quantile(0.95)
    for _ in range(1000):
        mean, error = mean_and_error(*draw(generator, 500))
        gap = np.abs(mean[0] - np.exp(0.045)) / error[0]
        hits += gap <= z
        short += gap <= 0.8 * z
    assert binomtest(int(hits), 1000, 0.95).pvalue > 0.01 > binomtest(int(short), 1000, 0.95).pvalue


def test_the_error_of_a_controlled_mean_is_hc3():
    """Assert the error from residuals of regressions that leave each path out, refitted one by one."""
    generator = np.random.default_rng(3)
    x = generator.exponential(size=15) ** 2
    values = 2 * x + generator.standard_normal(15) * x
    _, error = mean_and_error(values[:, None], Controls((x[:, None],), (np.array([2.0]),)))
    design = np.column_stack([np.ones(15), x - 2.0])
    weights = np.linalg.pinv(design)[0]
    left_out = np.empty(15)
    for i in range(15):
        kept = np.arange(15) != i
        fit = np.linalg.lstsq(design[kept], values[kept], rcond=None)[0]
        left_out[i] = values[i] - design[i] @ fit
    assert error[0] == pytest.approx(np.sqrt(np.square(weights * left_out).sum()), rel=1e-9)


def test_a_band_lies_between_a_point_and_bonferroni():
    """Assert the widths of independent steps (Sidak), of equal steps (one step's), and of a single one."""
    generator = np.random.default_rng(4)
    independent = mean_and_influence(generator.standard_normal((4000, 10)))[1]
    assert band_quantile(independent, 0.95) == pytest.approx(normal_quantile(0.95**0.1), abs=0.05)
    same = np.repeat(independent[:, :1], 10, axis=1)
    assert band_quantile(same, 0.95) == pytest.approx(normal_quantile(0.95), abs=0.04)
    assert band_quantile(independent[:, :1], 0.9) == normal_quantile(0.9)


def test_one_path_that_carries_a_mean_is_seen():
    normal = mean_and_influence(np.random.default_rng(5).standard_normal((1000, 1)))[1]
    heavy = mean_and_influence(np.random.default_rng(5).standard_cauchy((1000, 1)))[1]
    assert heaviest_share(normal)[0] < 0.05 < 0.25 < heaviest_share(heavy)[0]


@pytest.mark.slow
def test_bands_cover_all_steps_at_once():
    """Assert 95 % over 1000 repetitions of random walks, two-sided at 1 %; pointwise intervals must fail."""
    generator, all_in, pointwise = np.random.default_rng(6), 0, 0
    for _ in range(1000):
        values = np.cumsum(generator.standard_normal((400, 20)), axis=1)
        mean, influence = mean_and_influence(values)
        scaled = np.abs(mean) / np.sqrt(np.square(influence).sum(axis=0))
        all_in += scaled.max() <= band_quantile(influence, 0.95)
        pointwise += scaled.max() <= normal_quantile(0.95)
    assert binomtest(all_in, 1000, 0.95).pvalue > 0.01
    assert pointwise < 900


@pytest.mark.slow
def test_controls_are_left_out_where_fourth_moments_are_infinite():
    """Assert E3 at d = 1, 0.9 of the threshold: the plain mean of |x| covers, squares as controls do not."""
    from sgdlimits.discrete import SGD
    from sgdlimits.problems import StreamingLeastSquares

    problem = StreamingLeastSquares(np.eye(1), 0.5, np.ones(1))
    threshold = SGD(problem, 0.1).stability().mean_square_threshold
    sgd = SGD(problem, 0.9 * threshold)
    repeats, paths, steps = 1000, 2000, 60
    options = {"steps": steps, "record": [steps], "threads": 2}
    far = sgd.simulate(np.zeros(1), paths=4 * repeats * paths, seed=1, observables=("norm",), **options)
    truth = far["norm"].values.mean()
    run = sgd.simulate(np.zeros(1), paths=repeats * paths, seed=2, observables=("risk", "norm"), **options)
    moments = sgd.moments(np.zeros(1), steps, record=[steps]).isel(step=-1)
    square = float(np.square(moments["mean"]).sum() + moments["covariance"].sum())
    norm, risk = (run[name].values.reshape(repeats, paths) for name in ("norm", "risk"))
    plain = controlled = 0
    for values, risks in zip(norm, risk):
        controls = Controls(
            (risks[:, None], np.square(values)[:, None]), (np.array([float(moments["risk"])]), np.array([square]))
        )
        for kind, chosen in (("plain", Controls()), ("controlled", controls)):
            mean, error = mean_and_error(values[:, None], chosen)
            inside = abs(mean[0] - truth) <= normal_quantile(0.95) * error[0]
            plain, controlled = plain + inside * (kind == "plain"), controlled + inside * (kind == "controlled")
    assert controlled < 900 and plain > 900, (plain, controlled)
