"""Landscapes with several wells, multiplicative gradient noise, and the exact chain on wells."""

import math

import numpy as np
import pytest
from scipy.integrate import quad

from sgdlimits import diffusions
from sgdlimits.discrete import escape
from sgdlimits.discrete.escape import (
    CosineValley, DoubleWell, LandscapeDescent, LossNoise, MultiplicativeNoise, UserLandscape, UserWells, Wells,
)  # fmt: skip
from sgdlimits.discrete.escape.steps import GaussianSteps
from sgdlimits.discrete.escape.well_chain import WellChain, chain_of
from sgdlimits.ensembles import Noise
from sgdlimits.exact.errors import InvalidInput, OutOfReach
from sgdlimits.exact.line_diffusions import WellDiffusion
from sgdlimits.exact.slow_chains import without_subtraction
from sgdlimits.problems.wells import wells_of

LANDSCAPES = {
    "cosine": CosineValley(), "wells": Wells([1, 3, 0.7], [1, 1, 2], start=0.2),
    "positions": Wells([1, 2], positions=[-1.0, 3.0]), "user": UserWells.of(DoubleWell(2.0), [-1, 1]),
}  # fmt: skip


@pytest.mark.parametrize("name", LANDSCAPES)
def test_a_landscape_with_wells_is_what_it_says(name):
    """Assert slopes and curvatures against differences, stationary points, barriers, and one top between minima."""
    wells = LANDSCAPES[name]
    x = np.linspace(wells.minima[0] - 1, wells.minima[-1] + 1, 801)[:, None]
    slope = (wells.potential(x + 1e-6) - wells.potential(x - 1e-6)) / 2e-6
    np.testing.assert_allclose(wells.gradient(x)[:, 0], slope, atol=1e-6)
    stationary = np.sort(np.r_[wells.minima, wells.tops])
    assert np.abs(wells.gradient(stationary[:, None])).max() < 1e-9
    inner = np.linspace(wells.minima[0], wells.minima[-1], 20001)[1:-1]
    signs = np.sign(wells.gradient(inner[:, None])[:, 0])
    assert np.count_nonzero(np.diff(signs[signs != 0])) == 2 * len(wells.minima) - 3
    for k, well in enumerate(wells.basins):
        bend = (wells.gradient(np.array([[well.minimum + 1e-6]])) - wells.gradient(np.array([[well.minimum - 1e-6]])))
        assert well.curvature == pytest.approx(float(bend[0, 0]) / 2e-6, rel=1e-4)
        assert wells.well_of(np.array([well.minimum]))[0] == k and well.width > 0
        if math.isfinite(well.upper):
            top = float(wells.potential(np.array([[well.upper]]))[0])
            assert well.upper_barrier == pytest.approx(top - well.value)


def test_widths_and_depths_are_those_asked_for():
    """Assert widths, equal barriers and the lowest value 0; a fourth of the curvature where the width is twice."""
    wells = Wells([1, 2, 4], 1.5)
    assert [w.width for w in wells.basins] == pytest.approx([1, 2, 4])
    assert [w.barrier for w in wells.basins] == pytest.approx([1.5] * 3) and wells.basins[0].value == 0
    sharp, wide = wells.basins[0].curvature, wells.basins[1].curvature
    assert sharp == pytest.approx(4 * wide) and wells.widest == 2 and wells.home == 0
    assert Wells([1, 2], [1, 3]).basins[1].barrier == pytest.approx(3)
    valley = CosineValley()
    assert valley.minima[valley.home] == pytest.approx(-math.sqrt(8 * math.pi - math.asin(0.1)))
    assert valley.minima[valley.widest] == 0


@pytest.mark.parametrize(("make", "match"), [
    (lambda: CosineValley(9.0), "start 9 lies in none of the stated basins"),
    (lambda: Wells([1, 2], start=0.5), "lies in none of the stated basins"),
    (lambda: Wells([1]), "two or more"),
    (lambda: Wells([1, 2], [0, 1]), "depths must be above zero"),
    (lambda: Wells([1, 2], positions=[1, 0]), "positions must rise"),
    (lambda: UserWells.of(DoubleWell(), [-1, 0.5]), "does not have the stated well: at 0.5"),
    (lambda: UserWells.of(CosineValley(), [0.0, CosineValley().minima[8]]), "one near 2.48.*state all minima"),
    (lambda: UserWells(lambda x: np.full(len(x), np.nan), DoubleWell().gradient, [-1, 1]), "value is nan at -1"),
    (lambda: wells_of(DoubleWell()), "does not state its basins.*UserWells.of"),
    (lambda: Wells([1, 1]).widest, "equally wide.*target="),
    (lambda: MultiplicativeNoise(0.0), "both 0"),
    (lambda: LandscapeDescent(Wells([1, 2]), 0.05, LossNoise(1, -1)), "floor"),
    (lambda: escape.basin_law(LandscapeDescent(Wells([1, 2]), 0.05, MultiplicativeNoise(1.0))), "dies out at the min"),
])  # fmt: skip
def test_wrong_wells_are_refused(make, match):
    """Assert one sentence with what was got and what to do."""
    with pytest.raises(InvalidInput, match=match):
        make()


def test_a_users_landscape_states_its_wells():
    """Assert the double well given by functions, and the same through UserLandscape."""
    made = UserLandscape(lambda x: (x[:, 0] ** 2 - 1) ** 2 / 4, lambda x: x * (x**2 - 1), [-1.0], (-np.inf, 1.0), [0.0])
    for wells in (UserWells.of(made, [-1, 1]), UserWells(made.value, made.slope, [-1, 1])):
        assert wells.tops == pytest.approx([0], abs=1e-12) and wells.barrier == pytest.approx(0.25)


def test_multiplicative_noise_is_a_random_factor_on_the_gradient():
    """Assert the covariance of (1 + s2 Z2) grad U + s1 Z1 in the plane, of the draws too; at the minimum s1^2 I."""
    landscape = escape.PlanarDoubleWell(1.0, 2.0, 0.3)
    descent = LandscapeDescent(landscape, 0.1, MultiplicativeNoise(0.8, additive=0.3))
    x = np.array([[0.4, 0.7]])
    slope = landscape.gradient(x)[0]
    wanted = 0.09 * np.eye(2) + 0.64 * np.outer(slope, slope)
    np.testing.assert_allclose(descent.covariance(x)[0], wanted, rtol=1e-12)
    np.testing.assert_allclose(descent.covariance(landscape.minimum[None])[0], 0.09 * np.eye(2), atol=1e-12)
    drawn = descent.drawn(0, np.repeat(x, 40_000, axis=0), Noise(3, np.arange(40_000)))
    assert np.abs(np.cov(drawn.T) - wanted).max() < 0.03 * wanted.max()
    assert not descent.additive


@pytest.mark.parametrize("noise", [3.0, MultiplicativeNoise(0.2, 1.6), LossNoise(2, 0.4)])
def test_the_chain_on_wells_leaves_at_the_exact_rate(noise):
    """Assert the rate of the transfer operator that knows one basin alone; half the noise has another."""
    wells = UserWells.of(DoubleWell(1.0), [-1, 1])
    found = chain_of(LandscapeDescent(wells, 0.1, noise)).rate
    assert found == pytest.approx(escape.rate(LandscapeDescent(DoubleWell(1.0), 0.1, noise)).rate, rel=1e-8)
    assert found != pytest.approx(escape.rate(LandscapeDescent(DoubleWell(1.0), 0.1, 1.5)).rate, rel=0.5)


@pytest.mark.parametrize("steps", [1, 2, 37, 400])
def test_expected_visits_and_times_are_sums_over_steps(steps):
    """Assert them against the definition, step by step; and that all steps are spent somewhere."""
    chain = chain_of(LandscapeDescent(Wells([1, 2, 1.5], start=0.1), 0.05, 12.0))
    found = chain.expected(0.1, steps, 2)
    law, visits = chain.first_step(0.1)
    time, free = law.copy(), law * (chain.pairs[0] != 2)
    for _ in range(steps - 1):
        visits = visits + law @ chain.entries
        law, free = law @ chain.matrix, free @ chain.matrix
        free[chain.pairs[0] == 2] = 0
        time += law
    np.testing.assert_allclose(found.visits, visits, atol=1e-11)
    np.testing.assert_allclose(found.time, np.bincount(chain.pairs[0], time), atol=1e-9)
    assert found.reached == pytest.approx(1 - free.sum(), abs=1e-12) and found.time.sum() == pytest.approx(steps)


def test_the_long_run_is_the_stationary_law():
    """Assert the left null vector found directly, and that mean times and rates of the long run belong together."""
    chain = chain_of(LandscapeDescent(Wells([1, 2, 1.5]), 0.05, 12.0))
    matrix = np.asarray(chain.matrix)
    values, vectors = np.linalg.eig(matrix.T)
    law = np.real(vectors[:, np.argmax(np.real(values))])
    law = law / law.sum()
    found = chain.long_run
    np.testing.assert_allclose(found.time, np.bincount(chain.pairs[0], law), rtol=1e-6)
    np.testing.assert_allclose(found.visits, law @ chain.entries / (law @ chain.entries).sum(), rtol=1e-6)
    twins = chain_of(LandscapeDescent(Wells([1, 2, 1]), 0.05, 12.0)).long_run
    assert twins.time[0] == pytest.approx(twins.time[2], rel=1e-9) and twins.visits.sum() == pytest.approx(1)


def test_weights_of_rare_changes_are_found_without_subtraction():
    """Assert detailed balance to 12 digits at rates of 1e-200."""
    rates = np.array([[0, 2e-200, 0], [1e-200, 0, 3e-3], [0, 1e-3, 0]])
    assert without_subtraction(rates) == pytest.approx(np.array([1, 2, 6]) / 9, rel=1e-12)


def test_a_diffusion_among_wells_by_quadrature():
    """Assert the mean residence against nested quadrature, and a symmetric landscape's equal shares."""
    well = DoubleWell(1.0)
    found = WellDiffusion(
        lambda x: -well.gradient(x[:, None])[:, 0], lambda x: 0.4 + 0 * x, np.array([-1.0, 1.0]), np.array([0.0]), -0.9
    )

    def density(x):
        return math.exp(-5 * (x * x - 1) ** 2 / 4)

    def below(y):
        return sum(quad(lambda z: 5 * density(z), a, b, epsabs=1e-12)[0] for a, b in ((-4, -1), (-1, y)))

    assert found.mean_residence == pytest.approx(quad(lambda y: below(y) / density(y), -0.9, 1)[0], rel=1e-8)
    assert found.long_run.time == pytest.approx([0.5, 0.5]) and found.mean_passage(1) == found.mean_residence


def test_the_chain_of_small_increments_comes_to_the_diffusion():
    """Assert that residence and shares of Euler's chain tend to those of the quadrature as the increment shrinks."""
    wells, size = Wells([1, 2, 1.5], start=0.1), 0.05

    def drift(x):
        return -wells.gradient(x[:, None])[:, 0]

    def variance(x):
        return size * (6.0 + 4.0 * np.sin(x) ** 2)

    exact, gaps = WellDiffusion(drift, variance, wells.minima, wells.tops, wells.start), []
    for h in (0.0125, 0.003125):
        steps = GaussianSteps(
            lambda x: ((x + h * drift(x))[:, None], np.sqrt(h * variance(x))[:, None]), np.ones(1)  # noqa: B023
        )
        chain = WellChain(steps, wells)
        ratio = chain.mean_residence(wells.start)[0] * h / exact.mean_residence
        gaps.append((abs(ratio - 1), np.abs(chain.long_run.time - exact.long_run.time).max()))
    assert gaps[0][0] < 0.1 and gaps[1][0] < 0.5 * gaps[0][0] and gaps[1][1] < 0.5 * gaps[0][1] < 0.02


def test_euler_with_one_increment_is_the_descent():
    """Assert drift, covariance and means of LandscapeDiffusion.of; more increments change the law, and momentum is
    refused."""
    wells = Wells([1, 3])
    descent = LandscapeDescent(wells, 0.05, LossNoise(2, 0.3))
    limit = diffusions.LandscapeDiffusion.of(descent, substeps=1)
    homogenized = diffusions.LandscapeDiffusion.homogenized(wells, 0.05, 2, 0.3, substeps=1)
    x = np.array([[0.3], [1.0]])
    np.testing.assert_allclose(limit.covariance(x), descent.covariance(x))
    np.testing.assert_allclose(homogenized.covariance(x), descent.covariance(x))
    options = {"steps": 5, "paths": 4000, "observables": ("state",), "record": [5], "seed": 1, "threads": 1}
    one, other = (p.simulate([0.2], **options)["state"].values.ravel() for p in (limit, descent))
    assert abs(one.mean() - other.mean()) < 5 * one.std() / math.sqrt(2000)
    assert one.std() == pytest.approx(other.std(), rel=0.06)
    fine = diffusions.LandscapeDiffusion.of(descent).simulate([0.2], **options)["state"].values
    assert fine.std() != pytest.approx(one.std(), rel=0.04)
    with pytest.raises(InvalidInput, match="momentum"):
        diffusions.LandscapeDiffusion.of(LandscapeDescent(wells, 0.05, 1.0, 0.5))


@pytest.mark.parametrize("by", ["interquartile_range", "rate"])
def test_noises_are_matched_and_matched_back(by):
    """Assert that the match is met, differs in the other respect, and comes back to the level it began at."""
    wells = Wells([1, 3])
    reference = LandscapeDescent(wells, 0.05, 3.0**2)

    def make(level):
        return LandscapeDescent(wells, 0.05, MultiplicativeNoise(level, additive=1.0))

    found = escape.matched(reference, make, by)
    assert getattr(found.law, by) == pytest.approx(getattr(found.reference, by), rel=1e-6)
    other = "rate" if by == "interquartile_range" else "interquartile_range"
    assert getattr(found.law, other) != pytest.approx(getattr(found.reference, other), rel=0.1)
    back = escape.matched(found.descent, lambda level: LandscapeDescent(wells, 0.05, level**2), by, near=2.0)
    assert back.level == pytest.approx(3.0, rel=1e-6)


def test_the_spread_of_a_harmonic_well_is_that_of_its_normal_law():
    """Assert 2 Phi^-1(3/4) standard deviations where walls are far; with momentum too."""
    for momentum in (0.0, 0.5):
        law = escape.basin_law(LandscapeDescent(escape.HarmonicWell(1.0, 3.0), 0.4, 0.5, momentum))
        variance = 0.4 * 0.5 / ((1 - momentum) * (2 - 0.4 / (1 + momentum)))
        assert law.interquartile_range == pytest.approx(2 * 0.67448975 * math.sqrt(variance), rel=1e-6)


def test_what_cannot_be_matched_is_refused_with_what_is_reached():
    """Assert the range, and that purely multiplicative noise is said to need an additive part."""
    wells = Wells([1, 3])
    with pytest.raises(InvalidInput, match=r"no noise level gives the interquartile range 1e-05: levels .* reach 0\.0"):
        escape.matched(1e-5, lambda level: LandscapeDescent(wells, 0.05, MultiplicativeNoise(level, 0.6)))
    with pytest.raises(InvalidInput, match="additive=0.1"):
        escape.matched(0.1, lambda level: LandscapeDescent(wells, 0.05, MultiplicativeNoise(level)))


def test_a_chain_out_of_reach_says_so():
    """Assert that too many nodes, and a mean time without digits, are one sentence each."""
    with pytest.raises(OutOfReach, match="raise step_size or the noise"):
        chain_of(LandscapeDescent(CosineValley(), 0.002, 1e-4))
    rare = chain_of(LandscapeDescent(Wells([1, 2]), 0.05, 1.0))
    assert rare.rate < 1e-13
    with pytest.raises(OutOfReach, match="too rare"):
        rare.mean_residence(0.0)


def left_and_spread(descent, low, high, paths=20_000, steps=240):
    """Rate of leaving and interquartile range by paths that are put back where others are, written out."""
    generator, noise = np.random.default_rng(0), descent.noise
    x, left, seen, spreads = np.full(paths, float(descent.landscape.minimum[0])), 0, 0, []
    for k in range(steps):
        slope = descent.landscape.gradient(x[:, None])[:, 0]
        kicks = noise.multiplicative * slope * generator.standard_normal(paths)
        x = x - descent.step_size * (slope + kicks + noise.additive * generator.standard_normal(paths))
        out = (x <= low) | (x >= high)
        x[out] = x[~out][generator.integers(0, paths - out.sum(), out.sum())]
        if k >= steps // 3:
            left, seen = left + out.sum(), seen + paths
            spreads.append(np.subtract(*np.quantile(x, [0.75, 0.25])))
    return left / seen, np.mean(spreads)


@pytest.mark.parametrize(("step_size", "multiplicative", "wall"), [(0.6, 2.5, 8.0), (0.3, 4.0, 8.0), (0.6, 4.0, 128.0)])
def test_noise_that_is_wide_where_it_is_far_is_resolved_where_it_is_narrow(step_size, multiplicative, wall):
    """Assert the rate by paths to a percent; panels of so many widths of a step were off by ten to a hundred."""
    additive = 1.0 if multiplicative < 3 else 0.3
    descent = LandscapeDescent(
        escape.HarmonicWell(1.0, wall), step_size, MultiplicativeNoise(multiplicative, additive)
    )  # fmt: skip
    found = escape.rate(descent, method="transfer")
    assert found.error < 1e-10 * found.rate
    assert found.rate == pytest.approx(left_and_spread(descent, -wall, wall)[0], rel=0.015)


def test_a_side_without_an_end_does_not_wipe_out_the_middle():
    """Assert the law of a well on whose open side paths go far: the chain's rate, and that of paths."""
    wells = Wells([1, 3])
    descent = LandscapeDescent(wells, 0.05, MultiplicativeNoise(4.0, 2.0))
    law = escape.basin_law(descent)
    assert law.rate == pytest.approx(chain_of(descent).rate, rel=1e-9)
    rate, spread = left_and_spread(descent, -np.inf, float(wells.bounds[1][wells.home]))
    assert law.rate == pytest.approx(rate, rel=0.015) and law.interquartile_range == pytest.approx(spread, rel=0.01)
    with pytest.raises(OutOfReach):  # it was a law without the middle, to 1e-12
        escape.basin_law(LandscapeDescent(wells, 0.05, MultiplicativeNoise(8.0, 2.0)))
