"""Processes driven by stable noise: increments, exact laws, and their place in a comparison."""

import numpy as np
import pytest
from scipy import stats

from sgdlimits import compare, diffusions, discrete, problems
from sgdlimits.compare.known_tails import known_tail
from sgdlimits.diffusions import StableLangevin, StableOrnsteinUhlenbeck
from sgdlimits.ensembles import Noise
from sgdlimits.ensembles.random import Purpose
from sgdlimits.exact.errors import InvalidInput, PositiveLyapunovExponent
from sgdlimits.exact.stable_law import StableLaw

PATHS = 4000


def fits(sample, law):
    return stats.kstest(sample, law.cdf).pvalue


@pytest.mark.parametrize("index", [0.6, 1.0, 1.0004, 1.5, 1.9, 2.0])
def test_numbers_have_the_stable_law(index):
    """Assert that law by its distribution function and by scipy's, and that a wrong scale or index is seen."""
    found = Noise(3, np.arange(PATHS)).stable(0, 1, index)[:, 0]
    law = StableLaw(index)
    assert fits(found, law) > 1e-3
    assert fits(found, StableLaw(index, 2.0)) < 1e-6
    places = np.array([-4.0, -0.3, 0.8, 6.0])
    if index != 1.0004:
        assert law.cdf(places) == pytest.approx(stats.levy_stable.cdf(places, index, 0.0), abs=1e-6)
    t = np.array([0.3, 1.0, 2.0])
    seen = np.cos(found[:, None] * t)
    assert np.abs(seen.mean(axis=0) - np.exp(-(t**index))).max() < 5 / np.sqrt(PATHS)


def test_isotropic_numbers_have_one_law_in_every_direction_and_independent_ones_do_not():
    together = Noise(4, np.arange(PATHS)).stable(0, 2, 1.2, isotropic=True)
    apart = Noise(4, np.arange(PATHS)).stable(0, 2, 1.2)
    diagonal = np.array([1.0, 1.0]) / np.sqrt(2)
    assert fits(together @ diagonal, StableLaw(1.2)) > 1e-3
    assert fits(apart @ diagonal, StableLaw(1.2)) < 1e-6
    assert fits(apart @ diagonal, StableLaw(1.2, (2 * 0.5**0.6) ** (1 / 1.2))) > 1e-3


def test_streams_of_different_purposes_are_different_numbers():
    """Assert it of all purposes under one seed: features and label noise drawn from one key would be the same."""
    noise = Noise(0, np.arange(50))
    drawn = {purpose: noise.normals(purpose, 3, 40).ravel() for purpose in Purpose}
    names = list(drawn)
    for place, first in enumerate(names):
        for second in names[place + 1 :]:
            assert np.mean(drawn[first] == drawn[second]) < 1e-2
            assert abs(np.corrcoef(drawn[first], drawn[second])[0, 1]) < 5 / np.sqrt(2000)
    again = noise.normals(Purpose.FEATURES if hasattr(Purpose, "FEATURES") else names[0], 3, 40).ravel()
    assert np.mean(again == drawn[Purpose.FEATURES if hasattr(Purpose, "FEATURES") else names[0]]) == 1  # the control


def test_the_label_noise_of_a_stream_is_not_its_features():
    problem = problems.StreamingLeastSquares([[1.0]], 1.0, [0.0])
    steps = discrete.SGD(problem, 0.5).simulate(np.zeros(1), 1, PATHS, observables=("state",))["state"].values[:, -1, 0]
    # x = a * label with label = noise: were they the same numbers, x = a^2 would never be negative.
    assert 0.45 < np.mean(steps < 0) < 0.55


@pytest.mark.parametrize("index", [0.8, 1.5, 2.0])
@pytest.mark.parametrize("isotropic", [False, True])
def test_a_step_is_exact_whatever_its_length(index, isotropic):
    """Assert the law at one time after one step and after ten, against the exact law; half the scale is seen."""
    rates = 0.7 if isotropic else np.array([0.7, 0.2])
    make = StableOrnsteinUhlenbeck
    for steps in (1, 10):
        process = make(rates, np.array([1.0, 0.5]), index, [1.0, 0.0], isotropic, step_size=2.0 / steps)
        ends = process.simulate([3.0, -1.0], steps, PATHS, seed=steps)["state"].values[:, -1]
        for direction in ([1.0, 0.0], [0.6, -0.8]):
            law = process.law(2.0, [3.0, -1.0], direction)
            assert fits(ends @ np.array(direction), law) > 1e-3
            assert fits(ends @ np.array(direction), StableLaw(index, 0.5 * law.scale, law.centre)) < 1e-6


def test_stationary_scales_by_the_formula_and_by_quadrature():
    process = StableOrnsteinUhlenbeck(2.0, 3.0, 1.5)
    assert process.stationary().scale == pytest.approx(3.0 / (1.5 * 2.0) ** (1 / 1.5), rel=1e-12)
    general = StableOrnsteinUhlenbeck([[1.0, 0.4], [0.0, 0.5]], np.eye(2), 1.3)
    with pytest.raises(InvalidInput, match="StableLangevin"):
        general.simulate([0.0, 0.0], 1, 2)
    fine = np.linspace(0, 60, 200_001)
    u = np.array([1.0, 2.0])
    # exp(-K' s) u of this triangular K in closed form.
    first = np.exp(-fine) * u[0]
    second = np.exp(-0.5 * fine) * u[1] + 0.4 * u[0] * (np.exp(-fine) - np.exp(-0.5 * fine)) / 0.5
    power = np.abs(first) ** 1.3 + np.abs(second) ** 1.3
    assert general.stationary(u).scale == pytest.approx(np.trapezoid(power, fine) ** (1 / 1.3), rel=1e-5)


def test_at_index_two_it_is_ornstein_uhlenbeck():
    """Assert mean and covariance at all steps, with S dL = sqrt(2) S dW."""
    problem = problems.LeastSquares.from_arrays(np.eye(2) * [1.0, 2.0], [1.0, 1.0])
    sgd = discrete.SGD(problem, 0.1, label_noise=1.0)
    gaussian, stable = diffusions.OrnsteinUhlenbeck.of(sgd), StableOrnsteinUhlenbeck.of(sgd, 2.0)
    first, second = (process.moments([1.0, 1.0], 20) for process in (gaussian, stable))
    assert second["mean"].values == pytest.approx(first["mean"].values, rel=1e-10)
    wanted = np.diagonal(first["covariance"].values, axis1=1, axis2=2)
    assert np.diagonal(second["covariance"].values, axis1=1, axis2=2) == pytest.approx(wanted, rel=1e-9)
    assert np.isinf(stable.tail_index().index)


def test_langevin_tends_to_the_exact_law_and_is_the_same_bits_in_chunks():
    process = StableLangevin(lambda x: 0.8 * x, 1.0, 1.6, step_size=0.5, substeps=16)
    run = process.simulate([2.0], 6, PATHS, seed=1)["state"].values[:, -1, 0]
    assert fits(run, StableOrnsteinUhlenbeck(0.8, 1.0, 1.6).law(3.0, [2.0])) > 1e-4
    coarse = StableLangevin(lambda x: 0.8 * x, 1.0, 1.6, step_size=1.5, substeps=1).simulate([2.0], 2, PATHS, seed=1)
    assert fits(coarse["state"].values[:, -1, 0], StableOrnsteinUhlenbeck(0.8, 1.0, 1.6).law(3.0, [2.0])) < 1e-6
    again = process.simulate([2.0], 6, 100, seed=1, chunk=7, threads=2)["state"].values[:, -1, 0]
    assert (again == run[:100]).all()


def test_a_comparison_prints_no_mean_that_does_not_exist():
    problem = problems.StreamingLeastSquares([[1.0]], 1.0, [0.0])
    sgd = discrete.SGD(problem, 0.3)
    rival = StableOrnsteinUhlenbeck.of(sgd, 1.7)
    assert known_tail(rival).upper == 1.7 and known_tail(StableLangevin.of(sgd, 1.7)).upper == 1.7
    found = compare.laws(sgd, rival, x0=[2.0], steps=30, paths=2000, observables=("risk", "norm"))
    risk, norm = (found.dataset.sel(observable=name, process=rival.label) for name in ("risk", "norm"))
    assert np.isnan(risk["worst_difference"]) and "no mean" in str(risk["caution"].item())
    assert np.isfinite(norm["worst_difference"]) and "no variance" in str(norm["caution"].item())
    assert np.isfinite(risk["ks"]).all()
    tails = compare.tails(sgd, rival, paths=PATHS, estimators=("stable_quantiles", "student"))
    stable, student = [row for row in tails.table() if row["process"] == rival.label and row["kind"] == "estimate"]
    assert tails.index(rival.label) == 1.7 and stable["verdict"] == "covers" and student["verdict"] == "misses"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((1.0, 1.0, 0.0), "index"),
        ((1.0, 1.0, 2.1), "index"),
        ((1.0, -1.0, 1.5), "scale"),
        ((1.0, 0.0, 1.5), "scale"),
        ((np.eye(3), np.ones(2), 1.5), "scale"),
        ((np.nan, 1.0, 1.5), "rates"),
    ],
)
def test_bad_input(arguments, word):
    with pytest.raises(InvalidInput, match=word):
        StableOrnsteinUhlenbeck(*arguments)


def test_refusals():
    with pytest.raises(PositiveLyapunovExponent):
        StableOrnsteinUhlenbeck(-0.1, 1.0, 1.5).stationary()
    with pytest.raises(InvalidInput, match="no mean"):
        StableOrnsteinUhlenbeck(1.0, 1.0, 0.9).moments([0.0], 3)
