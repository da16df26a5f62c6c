"""Digits of the stable law and of the scales that linear drift makes, and what processes with stable noise refuse."""

import dataclasses

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.linalg import expm

from sgdlimits.diffusions import OrnsteinUhlenbeck, StableLangevin, StableOrnsteinUhlenbeck
from sgdlimits.discrete import SGD
from sgdlimits.ensembles import Noise, Purpose
from sgdlimits.exact.errors import InvalidInput, OverflowedPaths, PositiveLyapunovExponent
from sgdlimits.exact.stable_convolution import StableConvolution
from sgdlimits.exact.stable_law import StableLaw
from sgdlimits.problems import LeastSquares, Logistic, StreamingLeastSquares
from tests.hostile_cases import ROWS, TARGETS

INDICES = (0.6, 1.0, 1.0003, 1.5, 1.97, 2.0)
SKEW = np.array([[1.0, 0.4], [-0.2, 0.5]])  # its eigenvectors are no coordinates


def characteristic_gap(x, t, index, scale=1.0):
    """Mean of cos(t x) less exp(-|scale t|^index), in standard errors."""
    values = np.cos(t * x)
    return (values.mean() - np.exp(-np.abs(scale * t) ** index)) / (values.std() / np.sqrt(x.size))


def final(process, x0, steps=1, paths=4000, **options):
    found = process.simulate(x0, steps, paths, record=[steps], **options)
    return found["state"].values[:, 0]


@pytest.mark.parametrize("index", INDICES)
def test_stable_numbers_have_their_characteristic_function(index):
    """Assert it at three places, of independent numbers and of isotropic vectors, and that five per cent are seen."""
    noise = Noise(5, np.arange(4000))
    alone, vectors = noise.stable(2, 50, index).ravel(), noise.stable(2, 3, index, isotropic=True)
    for t in (0.4, 1.0, 2.5):
        assert abs(characteristic_gap(alone, t, index)) < 4
        for u in (np.array([1.0, 0, 0]), np.array([0.6, 0, -0.8]), np.full(3, 3**-0.5)):
            assert abs(characteristic_gap(vectors @ u, t, index)) < 4
    assert max(abs(characteristic_gap(alone, t, index, scale=1.05)) for t in (0.4, 1.0, 2.5)) > 4



def test_stable_numbers_are_continuous_in_the_index():
    """Assert that the same block gives nearly the same number on both sides of index 1 and below index 2."""
    noise = Noise(1, np.arange(2000))
    for isotropic in (False, True):
        for at, near in ((1.0, 1 - 1e-9), (1.0, 1 + 1e-9), (2.0, 2 - 1e-9)):
            x, y = (noise.stable(0, 8, index, isotropic) for index in (at, near))
            np.testing.assert_allclose(x, y, rtol=1e-6)
    assert stats.kstest(noise.stable(0, 8, 2.0).ravel() / np.sqrt(2), "norm").pvalue > 1e-3



@pytest.mark.parametrize("index", (0.5, 0.95, 1.0, 1.0005, 1.3, 1.999, 2.0))
def test_the_stable_law_is_the_inverse_of_its_characteristic_function(index):
    """Assert tail and density against Fourier integrals, quantiles against the tail, the power law far out."""
    law, x = StableLaw(index), np.array([0.05, 0.7, 2.0, 6.0])
    last = 40 ** (1 / index)

    def inverted(function):
        return np.array([integrate.quad(function, 0, last, args=(z,), limit=4000, epsabs=1e-11)[0] for z in x]) / np.pi

    tail = 0.5 - inverted(lambda t, z: z * np.sinc(t * z / np.pi) * np.exp(-(t**index)))
    density = inverted(lambda t, z: np.cos(t * z) * np.exp(-(t**index)))
    np.testing.assert_allclose(law.sf(x), tail, atol=1e-8)
    np.testing.assert_allclose(law.pdf(x), density, atol=1e-6)
    np.testing.assert_allclose(law.cdf(-x), law.sf(x), rtol=1e-12)
    p = np.array([1e-9, 0.003, 0.25, 0.5, 0.8, 0.9999])
    np.testing.assert_allclose(law.cdf(law.ppf(p)), p, rtol=1e-4)
    if index < 2:
        np.testing.assert_allclose(law.sf(1e12) * 1e12**index, law.tail_constant, rtol=1e-4)


def test_moments_of_the_stable_law():
    """Assert E |X|^p against the density, infinity from the index on, and the normal and Cauchy cases."""
    law = StableLaw(1.5, 0.7, 2.0)
    half, _ = integrate.quad(lambda x: x**0.5 * float(law.pdf(2 + x)), 0, np.inf, limit=400)
    assert abs(2 * half / law.absolute_moment(0.5) - 1) < 1e-5
    assert np.isinf(law.absolute_moment(1.5)) and np.isfinite(law.absolute_moment(1.49))
    assert law.mean() == 2 and np.isinf(law.var()) and np.isnan(StableLaw(1.0).mean())
    assert StableLaw(2.0, 0.5).var() == 0.5 and abs(StableLaw(2.0, 0.5).absolute_moment(2) - 0.5) < 1e-12
    point = StableLaw(1.5, 0.0, 1.0)
    assert list(point.cdf([0.9, 1.0])) == [0, 1] and list(point.ppf([0.1, 0.9])) == [1, 1]


@pytest.mark.parametrize("isotropic", (False, True))
def test_one_long_step_and_many_short_ones_have_one_law(isotropic):
    """Assert exactness at any step: one step of 1 and 50 of 1/50 against the law, along an oblique direction."""
    rates = 0.8 if isotropic else (0.8, 2.0)
    whole = StableOrnsteinUhlenbeck(rates, [0.5, 0.3], 1.4, [1.0, -1.0], isotropic)
    short, u = dataclasses.replace(whole, step_size=1 / 50), np.array([0.6, 0.8])
    law = whole.law(1.0, [3.0, 0.0], u)
    for process, steps in ((whole, 1), (short, 50)):
        along = final(process, [3.0, 0.0], steps, seed=steps) @ u
        assert stats.kstest(along, law.cdf).pvalue > 1e-3
        assert stats.kstest(along, StableLaw(1.4, 1.3 * law.scale, law.centre).cdf).pvalue < 1e-4
        assert stats.kstest(along, StableLaw(1.4, law.scale, law.centre + 0.2).cdf).pvalue < 1e-4


def test_laws_obey_the_semigroup():
    """Assert scale(s + t)^a = scale(t)^a + (scale along exp(-K' t) u over s)^a, closed or by quadrature."""
    u, rotation = np.array([0.3, -1.1]), np.array([[0.0, 1.0], [-1.0, 0.0]])
    for index in (0.8, 1.5, 2.0):
        for drift, columns, isotropic in (
            (np.diag([0.5, 2.0]), np.eye(2), False),
            (SKEW, np.eye(2), False),
            (SKEW, np.array([[1.0], [0.5]]), True),
            (0.7 * np.eye(2) + rotation, np.eye(2), True),
        ):
            law = StableConvolution(drift, columns, index, isotropic)
            parts = law.scale(0.7, u) ** index + law.scale(0.4, expm(-0.7 * drift).T @ u) ** index
            np.testing.assert_allclose(law.scale(1.1, u) ** index, parts, rtol=1e-8)
            assert law.scale(0.0, u) == 0
            far = 60 / law.slowest
            np.testing.assert_allclose(law.scale(np.inf, u), law.scale(far, u), rtol=1e-8)
    assert StableConvolution(0.7 * np.eye(2) + rotation, np.eye(2), 1.5, True).closed
    assert not StableConvolution(0.7 * np.eye(2) + rotation, np.eye(2), 1.5, False).closed


def test_the_closed_scale_is_the_quadrature():
    """Assert the formula of columns along eigenvectors against the integral in the exponent."""
    values, vectors = np.array([0.4, 1.7]), np.array([[1.0, 0.5], [0.3, 1.0]])
    drift, u = vectors @ np.diag(values) @ np.linalg.inv(vectors), np.array([1.0, -0.4])
    law = StableConvolution(drift, vectors * [0.5, 2.0], 1.3, False)

    def power(s):
        return (np.abs((vectors * [0.5, 2.0]).T @ expm(-drift * s).T @ u) ** 1.3).sum()

    whole, _ = integrate.quad(power, 0, 1.5, epsrel=1e-11)
    assert law.closed
    np.testing.assert_allclose(law.scale(1.5, u), whole ** (1 / 1.3), rtol=1e-10)



def test_index_two_is_the_gaussian_process():
    """Assert that sigma dW is scale sigma / sqrt(2): moments and `of` equal those of OrnsteinUhlenbeck."""
    sigma, k = 0.8, 1.3
    stationary = StableOrnsteinUhlenbeck(k, sigma / np.sqrt(2), 2.0).stationary()
    np.testing.assert_allclose(stationary.var(), sigma**2 / (2 * k), rtol=1e-14)
    sgd = SGD(StreamingLeastSquares(np.array([[1.0, 0.3], [0.3, 0.5]]), 0.3, np.ones(2)), 0.1, batch_size=2)
    mine, theirs = StableOrnsteinUhlenbeck.of(sgd, 2.0), OrnsteinUhlenbeck.of(sgd)
    one, other = (process.moments([2.0, 0.0], 30) for process in (mine, theirs))
    np.testing.assert_allclose(one["mean"], other["mean"], atol=1e-13)
    np.testing.assert_allclose(one["covariance"], other["covariance"], atol=1e-14)
    general = StableOrnsteinUhlenbeck(SKEW, np.eye(2), 2.0)  # no closed rates, and sampled all the same
    law = general.law(1.0, [1.0, 1.0], [0.6, 0.8])
    assert stats.kstest(final(general, [1.0, 1.0]) @ [0.6, 0.8], law.cdf).pvalue > 1e-3
    covariance = general.moments([1.0, 1.0], 1)["covariance"][1].values
    np.testing.assert_allclose(law.var(), [0.6, 0.8] @ covariance @ [0.6, 0.8], rtol=1e-10)


def test_what_of_matches_is_the_interquartile_range_of_one_step():
    """Assert it in an eigendirection, against SGD's variance there, for two indices."""
    problem = StreamingLeastSquares(np.diag([1.0, 0.5]), 0.3, np.ones(2))
    sgd = SGD(problem, 0.1, batch_size=4, label_noise=0.2)
    variance = OrnsteinUhlenbeck.of(sgd).noise_map.covariance
    for index in (1.3, 1.8):
        process = StableOrnsteinUhlenbeck.of(sgd, index)
        for vector, part in zip(problem.eigenvectors.T, np.diag(variance)):
            scale = (0.1 * (np.abs(process.scale.T @ vector) ** index).sum()) ** (1 / index)
            increment = StableLaw(index, scale)
            np.testing.assert_allclose(increment.ppf(0.75), stats.norm.ppf(0.75) * 0.1 * np.sqrt(part), rtol=1e-4)


def test_means_exist_above_index_one_and_covariances_at_two():
    """Assert the mean against the flow, that no covariance is given below 2, and the refusal at 1."""
    process = StableOrnsteinUhlenbeck(0.5, 1.0, 1.5, [1.0])
    found = process.moments([3.0], 4)
    np.testing.assert_allclose(found["mean"].values[:, 0], 1 + 2 * np.exp(-0.5 * np.arange(5)))
    assert "covariance" not in found
    with pytest.raises(InvalidInput, match="no mean"):
        dataclasses.replace(process, index=1.0).moments([3.0], 4)


@pytest.mark.parametrize("isotropic", (False, True))
def test_the_same_seed_gives_the_same_bits(isotropic):
    """Assert it whatever the chunks and threads, from a path in the middle, and after an interruption."""
    linear = StableOrnsteinUhlenbeck(0.5, [1.0, 0.2], 1.5, isotropic=isotropic, step_size=0.3)
    langevin = StableLangevin(lambda x: 0.5 * x, [1.0, 0.2], 1.5, isotropic, 0.3, substeps=2)
    for process in (linear, langevin):
        whole = process.simulate([1.0, 1.0], 6, 300, record=[3, 6], seed=7, threads=1, chunk=64)["state"].values
        other = process.simulate([1.0, 1.0], 6, 300, record=[3, 6], seed=7, threads=2, chunk=16)["state"].values
        np.testing.assert_array_equal(whole, other)
        part = process.simulate([1.0, 1.0], 6, 10, record=[3, 6], seed=7, first_path=200)["state"].values
        np.testing.assert_array_equal(whole[200:210], part)
        assert (final(process, [1.0, 1.0], 6, 300, seed=8) != whole[:, 1]).all()


def test_langevin_under_linear_drift_tends_to_the_exact_law():
    """Assert one Euler step as its formula, and many against the law of a process that is not sampled exactly."""
    one = StableLangevin(lambda x: x, 2.0, 1.5, step_size=0.25)
    law = StableLaw(1.5, 2.0 * 0.25 ** (1 / 1.5), 0.75)
    assert stats.kstest(final(one, [1.0])[:, 0], law.cdf).pvalue > 1e-3
    exact = StableOrnsteinUhlenbeck(SKEW, np.eye(2), 1.5)
    with pytest.raises(InvalidInput, match="StableLangevin"):
        exact.simulate([1.0, 1.0], 1, 10)
    fine = StableLangevin(lambda x: x @ SKEW.T, np.eye(2), 1.5, substeps=100)
    for u in (np.array([1.0, 0.0]), np.array([-0.6, 0.8])):
        along, law = final(fine, [1.0, 1.0]) @ u, exact.law(1.0, [1.0, 1.0], u)
        assert stats.kstest(along, law.cdf).pvalue > 1e-3
        assert stats.kstest(along, StableLaw(1.5, 1.3 * law.scale, law.centre).cdf).pvalue < 1e-4


@pytest.mark.parametrize(
    "make", [LeastSquares, pytest.param(Logistic, marks=pytest.mark.slow)]  # the second compiles a search for a minimum
)
def test_langevin_of_a_problem(make):
    """Assert that it takes any problem's gradient and risk, with the clock and the noise of the linear one."""
    problem = make.from_arrays(ROWS, np.sign(TARGETS), ridge=0.1)
    sgd = SGD(problem, 0.05, batch_size=2)
    process = StableLangevin.of(sgd, 1.6)
    np.testing.assert_array_equal(process.scale, StableOrnsteinUhlenbeck.of(sgd, 1.6).scale)
    assert float(process.clock) == 20 and process.problem is problem and process.tail_index().index == 1.6
    run = process.simulate([1.0, -0.5], 3, 8, observables=("state", "risk"))
    np.testing.assert_allclose(run["risk"], problem.risk(run["state"].values), rtol=1e-12)


def test_paths_that_run_away_are_reported():
    """Assert the package's warning, infinite risk and norm, and that the other paths go on."""
    cubic = StableLangevin(lambda x: x**3, 1.0, 1.2, step_size=0.2)
    with pytest.warns(OverflowedPaths):
        run = cubic.simulate([0.0], 60, 400, observables=("norm",))
    lost = run["overflow_step"].values >= 0
    assert 0 < lost.mean() < 1
    assert np.isinf(run["norm"].values[lost, -1]).all() and np.isfinite(run["norm"].values[~lost]).all()


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (lambda: StableOrnsteinUhlenbeck(1.0, 1.0, 0.0), "above zero"),
        (lambda: StableOrnsteinUhlenbeck(1.0, 1.0, 2.1), "at most 2"),
        (lambda: StableOrnsteinUhlenbeck(1.0, -1.0, 1.5), "at least zero"),
        (lambda: StableOrnsteinUhlenbeck(1.0, 0.0, 1.5), "no noise"),
        (lambda: StableOrnsteinUhlenbeck([1.0, 2.0], [1.0, 2.0, 3.0], 1.5), "scale"),
        (lambda: StableOrnsteinUhlenbeck(1.0, 1.0, 1.5, step_size=0), "step_size"),
        (lambda: StableOrnsteinUhlenbeck(1.0, 1.0, 1.5, isotropic="no"), "isotropic"),
        (lambda: StableOrnsteinUhlenbeck([1.0, 2.0], 1.0, 1.5).law(1.0, [0.0, 0.0]), "direction"),
        (lambda: StableOrnsteinUhlenbeck(1.0, 1.0, 1.5).law(-1.0, 0.0), "time"),
        (lambda: StableOrnsteinUhlenbeck([1.0, 2.0], 1.0, 1.5, isotropic=True).simulate([0, 0], 1, 1), "identity"),
        (lambda: StableLangevin(3.0, 1.0, 1.5), "gradient"),
        (lambda: StableLangevin(lambda x: x, 1.0, 1.5, substeps=0), "substeps"),
        (lambda: StableLangevin(lambda x: x[:, 0], 1.0, 1.5).simulate([0.0], 1, 1), "shape"),
        (lambda: StableLaw(1.5, -1.0), "scale"),
        (lambda: StableLaw(1.5).ppf(1.5), "probability"),
        (lambda: Noise(0, np.arange(3)).stable(0, 2, 2.5), "at most 2"),
        (lambda: Noise(0, np.arange(3)).stable(0, 2, 0.0), "above zero"),
    ],
)
def test_bad_input_is_one_sentence(bad, said):
    with pytest.raises(InvalidInput, match=said):
        bad()


def test_a_drift_that_does_not_pull_back_has_no_stationary_law():
    """Assert the refusal by class, with the exponent, and that the law at a time exists all the same."""
    process = StableOrnsteinUhlenbeck([1.0, -0.5], 1.0, 1.5, step_size=0.1)
    for ask in (process.tail_index, lambda: process.stationary([1.0, 0.0])):
        with pytest.raises(PositiveLyapunovExponent, match="-0.5") as refusal:
            ask()
        np.testing.assert_allclose(refusal.value.lyapunov_exponent, 0.05)
    assert np.isfinite(process.law(3.0, [0.0, 0.0], [1.0, 1.0]).scale)




def test_streams_of_different_purposes_share_no_number():
    """Assert that one seed gives every purpose its own words, uncorrelated, and that one purpose twice is seen."""
    noise, paths = Noise(11, np.arange(64)), 64
    drawn = {purpose.name: noise.uniforms(purpose, 3, 500) for purpose in Purpose}
    assert {"FEATURES", "LABEL_NOISE", "STABLE", "ROWS", "BROWNIAN"} <= set(drawn)

    def apart(one, other):
        shared = np.intersect1d(one, other).size
        return shared == 0 and abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 5 / np.sqrt(paths * 500)

    names = list(drawn)
    assert all(apart(drawn[a], drawn[b]) for place, a in enumerate(names) for b in names[:place])
    assert len({int(purpose) for purpose in Purpose}) == len(Purpose.__members__)  # an alias would be one stream
    assert not apart(drawn["FEATURES"], noise.uniforms(Purpose.FEATURES, 3, 500))  # the trap: one key for both
