"""The law of x <- (1 - step_size curvature) x - step_size xi against closed forms, enumeration and other routes."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from sgdlimits.discrete import SGD, AdditiveRecurrence
from sgdlimits.exact.additive_laws import AdditiveLaw
from sgdlimits.exact.errors import InvalidInput, NoStationaryLaw, SgdlimitsError
from sgdlimits.exact.law_recursion import step_law
from sgdlimits.exact.noise_laws import noise_law
from sgdlimits.problems import LeastSquares
from tests.parameters import slowly

SIGNS = ([-1.0, 1.0], [0.5, 0.5])
SKEWED = ([-1.0, 3.0], [0.75, 0.25])
CLOSED = {
    "norm": stats.norm(0.3, 2), "uniform": stats.uniform(-1, 3), "expon": stats.expon(0.5, 2),
    "gamma": stats.gamma(1.7), "laplace": stats.laplace(1, 0.5), "logistic": stats.logistic(0, 2),
    "t": stats.t(9.5, 1, 2), "chi2": stats.chi2(3),
}  # fmt: skip


def enumerated(step_size, curvature, atoms, steps, x0=0.0):
    """Every atom of x after some steps, and its probability, the slow way."""
    places, chances = np.array([x0]), np.ones(1)
    for _ in range(steps):
        places = ((1 - step_size * curvature) * places[:, None] - step_size * np.array(atoms[0])).ravel()
        chances = (chances[:, None] * np.array(atoms[1])).ravel()
    order = np.argsort(places)
    return places[order], chances[order]


def brute_distances(places, chances, mean, deviation):
    """KS and W1 of atoms to a Gaussian law: both sides of each jump, and a quadrature of the quantile functions."""
    below, law = np.cumsum(chances), stats.norm(mean, deviation)
    ks = max(np.abs(below - law.cdf(places)).max(), np.abs(below - chances - law.cdf(places)).max())
    edges = np.r_[0.0, below / below[-1]]
    z = stats.norm.ppf(edges)
    crossing = np.clip(places, mean + deviation * z[:-1], mean + deviation * z[1:])
    # Between two levels the integral of |place - quantile| du, by the antiderivative of the quantile function.
    primitive = lambda u: mean * u - deviation * stats.norm.pdf(stats.norm.ppf(u))  # noqa: E731
    middle = law.cdf(crossing)
    ends = primitive(edges)
    parts = places * (2 * middle - edges[:-1] - edges[1:]) - 2 * primitive(middle) + ends[:-1] + ends[1:]
    return ks, parts.sum()


def test_two_points_at_one_half_give_the_uniform_law():
    """Assert the distribution function and both distances in closed form, within the proved error, which is small."""
    found = AdditiveRecurrence(0.1, 5.0, SIGNS)
    points = np.linspace(-0.25, 0.25, 41)
    values = found.distribution(points)
    assert values.proved and values.errors.max() < 1e-5 and "recursion" in repr(values)
    assert (np.abs(values.values - stats.uniform(-0.2, 0.4).cdf(points)) <= values.errors).all()
    root = math.sqrt(3)
    where = math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) / (2 * root)))  # there both densities are equal
    ks = abs((where + root) / (2 * root) - stats.norm.cdf(where))
    integrand = lambda z: abs((z + root) / (2 * root) - stats.norm.cdf(z))  # noqa: E731
    w1 = 2 * integrate.quad(integrand, 0, root)[0] + 2 * (stats.norm.pdf(root) - root * stats.norm.sf(root))
    near = found.distance_to_gaussian()
    spread = 0.2 / root
    assert near.proved and near.ks_error < 1e-5 and near.w1_error < 1e-5
    assert abs(near.ks - ks) <= near.ks_error and abs(near.w1 - w1 * spread) <= near.w1_error
    assert near.spread == pytest.approx(spread) and near.variance == pytest.approx(spread**2)
    biased = AdditiveRecurrence(0.1, 5.0, ([-1.0, 1.0], [0.501, 0.499])).distance_to_gaussian()
    assert abs(biased.ks - ks) > 10 * near.ks_error  # a control: slightly other noise is told from it


@pytest.mark.parametrize("sign", slowly([1, -1], lambda sign: sign < 0))
def test_the_golden_ratio_against_all_atoms_of_twenty_steps(sign):
    """Assert it of the singular law for both signs of the multiplier; after 20 steps the rest is below 0.0001."""
    golden = (math.sqrt(5) - 1) / 2
    curvature = (1 - sign * golden) / 0.5
    found = AdditiveRecurrence(0.5, curvature, SIGNS)
    places, chances = enumerated(0.5, curvature, SIGNS, 20)
    rest = golden**20 * 0.5 / (1 - golden)
    points = np.linspace(-1.2, 1.2, 301)
    below = np.r_[0.0, np.cumsum(chances)]
    values = found.distribution(points)
    low = below[np.searchsorted(places, points - rest, side="right")]
    high = below[np.searchsorted(places, points + rest, side="right")]
    assert (values.values + values.errors >= low).all() and (values.values - values.errors <= high).all()
    near = found.distance_to_gaussian()
    ks, w1 = brute_distances(places, chances, 0.0, near.spread)
    assert abs(near.ks - ks) < near.ks_error + 0.4 * rest / near.spread and abs(near.w1 - w1) < near.w1_error + rest
    assert near.ks_error < 1e-4 and near.proved


def test_below_one_half_the_law_is_singular_and_still_bracketed():
    """Assert the Cantor function at multiplier 1/3: flat in the gaps, exact in the middle third."""
    found = AdditiveRecurrence(2 / 3, 1.0, ([0.0, -1.0], [0.5, 0.5]))  # x is uniform on the Cantor set of [0, 1]
    values = found.distribution([0.4, 0.5, 0.6, 0.2, 0.15, 0.8, -0.1, 1.1])
    np.testing.assert_allclose(values.values, [0.5, 0.5, 0.5, 0.25, 0.25, 0.75, 0, 1], atol=1e-12)
    assert values.errors.max() < 1e-9
    assert found.cumulants(2)[1] == pytest.approx(1 / 8)


@pytest.mark.parametrize("curvature", [0.3, 1.0, 1.7])
def test_finite_time_is_the_enumeration(curvature):
    """Assert distribution, distances, cumulants and characteristic function after 7 steps from x0 = 0.4."""
    found = AdditiveRecurrence(1.0, curvature, SKEWED)
    places, chances = enumerated(1.0, curvature, SKEWED, 7, 0.4)
    mean = chances @ places
    central = [chances @ (places - mean) ** n for n in (2, 3, 4)]
    expected = [mean, central[0], central[1], central[2] - 3 * central[0] ** 2]
    np.testing.assert_allclose(found.cumulants(4, steps=7, x0=0.4), expected, rtol=1e-10)
    t = np.array([-2.0, 0.0, 0.3, 5.0])
    np.testing.assert_allclose(
        found.characteristic_function(t, steps=7, x0=0.4), np.exp(1j * t[:, None] * places) @ chances, atol=1e-13
    )
    near = found.distance_to_gaussian(steps=7, x0=0.4)
    ks, w1 = brute_distances(places, chances, mean, math.sqrt(central[0]))
    assert near.method == "enumeration of the atoms" and near.ks_error < 1e-12
    if curvature != 1.0:  # there x is one draw, whose atoms have each come out many times above
        assert near.ks == pytest.approx(ks, abs=1e-12)
    assert near.w1 == pytest.approx(w1, abs=1e-11)
    between = places[:-1][np.diff(places) > 1e-9] + 1e-10
    values = found.distribution(between, steps=7, x0=0.4)
    np.testing.assert_allclose(values.values, np.cumsum(chances)[np.searchsorted(places, between) - 1], atol=1e-12)


@pytest.mark.parametrize("name", slowly(CLOSED, lambda name: name not in ("expon", "t")))
def test_inversion_meets_the_recursion_and_a_convolution(name):
    """Assert for known characteristic functions that two unlike routes agree within their proved errors."""
    found = AdditiveRecurrence(0.2, 2.0, CLOSED[name])
    inverted, recursed = (found.distance_to_gaussian(method=each) for each in ("inversion", "recursion"))
    assert inverted.proved and recursed.proved and inverted.ks_error < 1e-6
    assert abs(inverted.ks - recursed.ks) <= recursed.ks_error + inverted.ks_error
    assert abs(inverted.w1 - recursed.w1) <= recursed.w1_error + inverted.w1_error
    points = found.cumulants(1)[0] + inverted.spread * np.linspace(-6, 6, 49)
    exact, bracket = (found.distribution(points, method=each) for each in ("inversion", "recursion"))
    assert (np.abs(exact.values - bracket.values) <= exact.errors + bracket.errors).all()
    assert exact.errors.max() < 1e-6
    # Three steps by numerical convolution: P(-s (xi_0 + a xi_1 + a^2 xi_2) <= x) as a double integral over quantiles.
    nodes, weights = np.polynomial.legendre.leggauss(200)
    u, weights = (nodes + 1) / 2, weights / 2
    draws = CLOSED[name].ppf(u)
    inner = 0.2 * (0.6 * draws[:, None] + 0.36 * draws)
    few = found.cumulants(1, steps=3)[0] + np.array([-0.7, 0.1, 0.8]) * inverted.spread
    expected = [weights @ CLOSED[name].sf((-point - inner) / 0.2) @ weights for point in few]
    np.testing.assert_allclose(found.distribution(few, steps=3).values, expected, atol=2e-4)


def test_gaussian_noise_is_gaussian():
    """Assert distances of zero within 1e-9 to its own moments, and the closed form to the limit's variance."""
    found = AdditiveRecurrence(0.1, 2.0, stats.norm(1.0, 3.0))
    near = found.distance_to_gaussian()
    assert near.ks <= near.ks_error < 1e-9 and near.w1 <= near.w1_error < 1e-8
    limit = found.distance_to_gaussian("Ornstein-Uhlenbeck")
    deviations = [math.sqrt(0.01 * 9 / (1 - 0.64)), math.sqrt(0.1 * 9 / 4)]
    assert limit.variance == pytest.approx(deviations[1] ** 2) and limit.mean == pytest.approx(-0.5)
    w1 = math.sqrt(2 / math.pi) * abs(deviations[0] - deviations[1])
    z = np.linspace(-4, 4, 80001)
    ks = np.abs(stats.norm.cdf(z / deviations[0]) - stats.norm.cdf(z / deviations[1])).max()
    assert abs(limit.w1 - w1) <= limit.w1_error and abs(limit.ks - ks) <= limit.ks_error + 1e-8
    early = found.distance_to_gaussian("Ornstein-Uhlenbeck", steps=3, x0=2.0)
    assert early.mean == pytest.approx(-0.5 + 2.5 * math.exp(-0.6))
    assert early.variance == pytest.approx(deviations[1] ** 2 * (1 - math.exp(-1.2)))


@pytest.mark.parametrize("name", [*CLOSED, "skewnorm", "beta", "poisson", "atoms"])
def test_cumulants_are_the_moments_and_the_derivatives(name):
    """Assert (-step)^n kappa_n / (1 - a^n) from scipy's moments, and from the characteristic function near zero."""
    noise = CLOSED.get(name) or {
        "skewnorm": stats.skewnorm(4, 1, 2), "beta": stats.beta(0.5, 0.7), "poisson": stats.poisson(3), "atoms": SKEWED
    }[name]  # fmt: skip
    frozen = stats.bernoulli(0.25) if name == "atoms" else noise
    mean, variance, skewness, excess = (float(each) for each in frozen.stats("mvsk"))
    if name == "atoms":
        mean, variance = 4 * mean - 1, 16 * variance
    kappa = [mean, variance, skewness * variance**1.5, excess * variance**2]
    found = AdditiveRecurrence(0.3, 1.5, noise)
    a = 0.55
    expected = [(-0.3) ** n * each / (1 - a**n) for n, each in enumerate(kappa, start=1)]
    cumulants = found.cumulants(4)
    np.testing.assert_allclose(cumulants, expected, rtol=1e-7, atol=1e-9)
    h = 0.2 / math.sqrt(expected[1])
    t = h * np.cos(np.pi * (np.arange(16) + 0.5) / 16)
    fit = np.polynomial.chebyshev.Chebyshev.fit(t / h, np.log(found.characteristic_function(t)), 15).convert(
        kind=np.polynomial.Polynomial, domain=[-1, 1], window=[-1, 1]
    )
    derived = [(fit.coef[n] * math.factorial(n) / (1j * h) ** n).real for n in range(1, 5)]
    size = math.sqrt(expected[1]) ** np.arange(1, 5)
    np.testing.assert_allclose(np.array(derived) / size, cumulants / size, atol=2e-6)


@pytest.mark.slow
def test_small_step_sizes_follow_the_edgeworth_constant():
    """Assert KS = |skewness| / (6 sqrt(2 pi)) to leading order, slope 1/2; symmetric noise has slope 1: the control."""
    sizes = 0.02 / 4.0 ** np.arange(3)

    def slope(noise, method=None):
        near = [AdditiveRecurrence(size, 1.0, noise).distance_to_gaussian(method=method).ks for size in sizes]
        return near, np.polyfit(np.log(sizes), np.log(near), 1)[0]

    for noise, method, skewness in ((stats.expon(), None, 2.0), (SKEWED, "inversion", 2 / math.sqrt(3))):
        near, power = slope(noise, method)
        constant = skewness * 2**1.5 / 3 / (6 * math.sqrt(2 * math.pi))
        assert near[-1] / (constant * math.sqrt(sizes[-1])) == pytest.approx(1, abs=0.01)
        assert power == pytest.approx(0.5, abs=0.02)
    assert slope(stats.laplace())[1] == pytest.approx(1.0, abs=0.02)
    assert slope(SIGNS, "inversion")[1] == pytest.approx(1.0, abs=0.02)


def test_the_bracket_of_the_recursion_holds_at_small_steps_too():
    """Assert that an inversion, of atoms an estimate, lies in the proved bracket, and that a shifted law does not."""
    found = AdditiveRecurrence(0.02, 1.0, SKEWED)
    points = np.linspace(-0.4, 0.4, 81)
    bracket, near = (found.distribution(points, method=each) for each in ("recursion", "inversion"))
    assert bracket.proved and not near.proved and bracket.errors.max() < 1e-3
    assert (np.abs(bracket.values - near.values) <= bracket.errors + near.errors).all()
    moved = found.distribution(points + 0.004, method="inversion")
    assert (np.abs(bracket.values - moved.values) > bracket.errors + moved.errors).any()


def test_a_step_that_forgets_is_the_noise_itself():
    """Assert step_size * curvature = 1: the law of -step_size xi, jumps included, from any start."""
    found = AdditiveRecurrence(0.5, 2.0, SKEWED)
    values = found.distribution([-1.5, -1.5 - 1e-9, 0.0, 0.5, 0.5 - 1e-9])
    np.testing.assert_allclose(values.values, [0.25, 0.0, 0.25, 1.0, 0.25], atol=1e-15)
    assert values.errors.max() == 0
    near = found.distance_to_gaussian()
    assert near.ks == pytest.approx(max(stats.norm.cdf(1 / math.sqrt(3)) - 0.25, 0), abs=1e-12)
    lasting = AdditiveRecurrence(0.5, 2.0, stats.expon()).distribution([-1.0, -0.2, 0.1], steps=4, x0=7.0)
    np.testing.assert_allclose(lasting.values, stats.expon.sf([2.0, 0.4, 0.0]) + [0, 0, 0], atol=1e-13)


def test_heavy_tails_have_a_law_but_no_cumulants():
    """Assert the stable law of Cauchy noise to 1e-10, and that what is infinite is said."""
    found = AdditiveRecurrence(0.1, 2.0, stats.cauchy(1.0, 2.0))
    points = np.array([-30.0, -1.0, -0.5, 0.3, 4.0])
    values = found.distribution(points)
    np.testing.assert_allclose(values.values, stats.cauchy(-0.5, 1.0).cdf(points), atol=1e-10)
    assert not values.proved and values.errors.max() < 1e-9
    t = np.array([-1.0, 0.5])
    np.testing.assert_allclose(found.characteristic_function(t), np.exp(-0.5j * t - np.abs(t)), atol=1e-12)
    for noise in (stats.cauchy(), stats.t(1.5)):
        heavy = AdditiveRecurrence(0.1, 2.0, noise)
        with pytest.raises(InvalidInput, match="finite"):
            heavy.cumulants(2)
        with pytest.raises(InvalidInput, match="infinite or not known"):
            heavy.distance_to_gaussian()
        assert 0 < heavy.distribution([1.0]).values[0] < 1


def test_a_characteristic_function_of_the_users_own():
    """Assert that exponential noise given by its function is the exponential noise, and what each call needs."""
    function = lambda t: 1 / (1 - 1j * t)  # noqa: E731
    known = AdditiveRecurrence(0.2, 2.0, stats.expon())
    given = AdditiveRecurrence(0.2, 2.0, function, noise_cumulants=(1, 1, 2, 6))
    points = np.linspace(-1.5, 0.2, 18)
    np.testing.assert_allclose(given.distribution(points).values, known.distribution(points).values, atol=1e-8)
    near, exact = given.distance_to_gaussian(), known.distance_to_gaussian()
    assert near.ks == pytest.approx(exact.ks, abs=1e-7) and not near.proved and "estimated" in repr(near)
    np.testing.assert_allclose(given.cumulants(4), known.cumulants(4))
    bare = AdditiveRecurrence(0.2, 2.0, function)
    np.testing.assert_allclose(bare.distribution(points).values, known.distribution(points).values, atol=1e-7)
    for call in (bare.distance_to_gaussian, lambda: bare.cumulants(1), lambda: given.cumulants(5)):
        with pytest.raises(InvalidInput, match="noise_cumulants"):
            call()
    with pytest.raises(InvalidInput, match="characteristic function"):
        bare.simulate(0.0, 2, 2)
    with pytest.raises(InvalidInput, match="decays too slowly"):
        AdditiveRecurrence(0.5, 1.6, np.cos, noise_cumulants=(0, 1)).distance_to_gaussian()


def test_without_noise_x_is_a_point():
    """Assert the distances, and the steps of its distribution function."""
    still = AdditiveRecurrence(0.1, 1.0, ([2.0], [1.0]))
    assert (still.distance_to_gaussian().ks, still.distance_to_gaussian().w1) == (0, 0)
    assert still.distance_to_gaussian("Ornstein-Uhlenbeck", steps=3, x0=1.0).ks == 1
    np.testing.assert_array_equal(still.distribution([-2.1, -1.9]).values, [0, 1])
    started = AdditiveRecurrence(0.1, 1.0, stats.norm()).distribution([0.4, 0.5], steps=0, x0=0.5)
    np.testing.assert_array_equal(started.values, [0, 1])


def test_sgd_on_one_sample_with_label_noise_is_this_recurrence():
    """Assert the moments at each step and stationary; of two samples with labels +-1 all of it, by simulation too."""
    sgd = SGD(LeastSquares.from_arrays(np.array([[1.5]]), np.array([0.0]), ridge=0.1), 0.2, label_noise=0.7)
    found = AdditiveRecurrence(0.2, 1.5**2 + 0.1, stats.norm(0, 1.5 * 0.7))
    moments, law = sgd.moments([2.0], 5), sgd.stationary()
    for k in (0, 1, 5):
        mean, variance = found.cumulants(2, steps=k, x0=2.0)
        assert float(moments["mean"][k, 0]) == pytest.approx(mean, abs=1e-12)
        assert float(moments["covariance"][k, 0, 0]) == pytest.approx(variance, abs=1e-12)
    np.testing.assert_allclose(found.cumulants(2), [law.mean[0], law.covariance[0, 0]], atol=1e-12)
    pair = SGD(LeastSquares.from_arrays(np.array([[1.0], [1.0]]), np.array([1.0, -1.0]), ridge=0.0), 0.5)
    signs = AdditiveRecurrence(0.5, 1.0, SIGNS)
    np.testing.assert_allclose(signs.cumulants(2), [0.0, pair.stationary().covariance[0, 0]], atol=1e-12)
    for process in (pair, signs):
        run = process.simulate([0.3], 6, 4000, observables=("state",), record=[6], seed=4, threads=1)
        x = run["state"].values[:, 0, 0]
        values = signs.distribution([-0.5, 0.0, 0.21], steps=6, x0=0.3).values
        assert np.abs((x[:, None] <= [-0.5, 0.0, 0.21]).mean(0) - values).max() < 0.035


def test_the_errors_of_the_lattice_are_bounds():
    """Assert for a multiplier near 1 and many atoms that finite times, by blocks and remainders, agree with moments."""
    law = AdditiveLaw(0.05, -0.1, noise_law(SKEWED), steps=77)
    steps = step_law(law)
    chances = np.diff(np.r_[0.0, steps.below])
    mean = chances @ steps.places
    assert mean == pytest.approx(law.centre, abs=steps.apart)
    assert chances @ (steps.places - mean) ** 2 == pytest.approx(law.variance, abs=3 * steps.apart)
    assert steps.shift < 2e-3 * law.spread and steps.chance < 1e-6


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((0.1, 1.0, stats.norm), "freeze"),
        ((0.1, 1.0, stats.norm([0, 1])), "arrays"),
        ((0.1, 1.0, 3.0), "noise must be"),
        ((0.1, 1.0, ([1, 2], [0.5, 0.6])), "add up to 1"),
        ((0.1, 1.0, ([1, 2], [1.5, -0.5])), "below zero"),
        ((0.1, 1.0, ([1, 2, 3], [0.5, 0.5])), "shape"),
        ((0.1, 1.0, ([1, math.nan], [0.5, 0.5])), "finite"),
        ((0.1, 1.0, SIGNS, (0, 1)), "characteristic function"),
        ((0.1, 1.0, lambda t: np.cos(t) + 1), "unit disc"),
        ((0.1, 1.0, lambda t: 0 * t), "1 at 0"),
        ((0.1, 1.0, np.cos, (0, 2)), "contradicts"),
        ((0.1, 1.0, np.cos, (0, -1)), "below zero"),
        ((0.1, 1.0, lambda t: 1 / 0), "ZeroDivisionError"),
        ((0.0, 1.0, SIGNS), "step_size"),
        ((0.1, -1.0, SIGNS), "curvature"),
        ((1e-14, 1.0, SIGNS), "away from 0"),
    ],
)
def test_bad_input_is_one_sentence(arguments, says):
    with pytest.raises(SgdlimitsError, match=says) as caught:
        AdditiveRecurrence(*arguments)
    assert len(str(caught.value)) < 300 and "\n" not in str(caught.value)


def test_calls_refuse_what_they_cannot_use():
    """Assert a sentence from each method, and the threshold where there is no stationary law."""
    found = AdditiveRecurrence(0.1, 1.0, SIGNS)
    with pytest.raises(NoStationaryLaw, match="below 2") as caught:
        AdditiveRecurrence(0.5, 4.0, SIGNS)
    assert caught.value.threshold == 0.5
    for call, says in (
        (lambda: found.cumulants(0), "order"),
        (lambda: found.cumulants(21), "order"),
        (lambda: found.cumulants(2, x0=1.0), "steps"),
        (lambda: found.cumulants(2, steps=-1), "steps"),
        (lambda: found.distribution([np.nan]), "points"),
        (lambda: found.distribution([0.0], method="inverse"), "did you mean 'inversion'"),
        (lambda: found.distance_to_gaussian("gaussian"), "allowed"),
        (lambda: found.characteristic_function(["a"]), "numbers"),
        (lambda: AdditiveRecurrence(1e-9, 1.0, stats.expon()).distance_to_gaussian(), "too many factors"),
    ):
        with pytest.raises(InvalidInput, match=says):
            call()


def test_the_stationary_law_has_the_cumulants():
    """Assert mean, variance and risk of skewed noise, and a refusal where there is no variance."""
    skewed = AdditiveRecurrence(0.1, 2.0, stats.expon())
    law, (mean, variance) = skewed.stationary(), skewed.cumulants(2)
    assert law.mean[0] == mean == pytest.approx(-0.5) and law.covariance[0, 0] == variance
    assert variance == pytest.approx(0.01 / (1 - 0.8**2)) and law.risk == pytest.approx(variance + mean**2)
    with pytest.raises(InvalidInput, match="only 1 are known"):
        AdditiveRecurrence(0.5, 1.0, stats.t(1.5)).stationary()
