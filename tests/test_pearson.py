"""Pearson diffusions and their laws, Student's t in d dimensions, and the convex order below homogenized SGD."""

import dataclasses

import numpy as np
import pytest
from scipy import integrate, stats

from sgdlimits import diffusions
from sgdlimits.diffusions import HomogenizedSGD, PearsonDiffusion, convex_order, isotropic_law
from sgdlimits.exact.errors import InvalidInput, NoStationaryLaw, PositiveLyapunovExponent
from sgdlimits.exact.multivariate_t import MultivariateT
from sgdlimits.exact.pearson_law import PearsonLaw
from sgdlimits.exact.polynomial_moments import PolynomialMoments
from sgdlimits.problems import StreamingLeastSquares
from tests.parameters import slowly

# rate, quadratic, slope, floor: skewed, symmetric, narrow, heavy without a mean, nearly touching 0, touching, normal.
LAWS = {
    "skewed": (1.0, 0.5, 0.3, 0.4),
    "symmetric": (1.0, 0.5, 0.0, 0.4),
    "narrow": (1.0, 0.01, 0.05, 0.1),
    "no mean": (-0.2, 0.5, 0.3, 0.4),
    "left": (1.0, 3.0, -2.0, 0.6),
    "nearly touching": (1.0, 0.5, 0.99 * np.sqrt(0.8), 0.4),
    "touching": (1.0, 0.5, np.sqrt(0.8), 0.4),
    "touching from the right": (1.0, 0.5, -np.sqrt(0.8), 0.4),
    "normal": (1.0, 0.0, 0.0, 0.4),
}


def stream(variances, ridge=0.0, noise=1.0):
    variances = np.asarray(variances, dtype=float)
    return StreamingLeastSquares(variances, noise, np.ones(variances.size), ridge)


def mass(law, low, high):
    """Integral of the density in y = sinh(v), where a power is an exponential."""
    ends = np.arcsinh([max(low, -1e200), min(high, 1e200)])
    cuts = np.unique(np.clip(np.r_[ends, np.arcsinh(np.linspace(-3, 3, 25)), -20, -8, 8, 20], *ends))

    def density(v):
        return float(law.pdf(np.sinh(v))) * np.cosh(v)

    return sum(integrate.quad(density, a, b, epsabs=1e-14, epsrel=1e-11)[0] for a, b in zip(cuts[:-1], cuts[1:]))


@pytest.mark.parametrize("name", LAWS)
def test_density_distribution_and_quantiles_agree(name):
    """Assert mass one, both tails against quadrature of the density, and that quantiles invert both."""
    law = PearsonLaw(*LAWS[name])
    low, high = law.support
    assert mass(law, low, high) == pytest.approx(1, abs=1e-9)
    for y in np.array([-4, -1, -0.3, 0.1, 0.4, 2, 5.0]):
        below = mass(law, low, min(y, high)) if y > low else 0.0
        assert float(law.cdf(y)) == pytest.approx(below, abs=1e-9)
        assert float(law.cdf(y) + law.sf(y)) == pytest.approx(1, abs=1e-12)
    share = np.array([1e-9, 0.01, 0.5, 0.99])
    np.testing.assert_allclose(law.cdf(law.quantile(share)), share, rtol=1e-9)
    np.testing.assert_allclose(law.sf(law.quantile(1 - 1e-6)), 1e-6, rtol=1e-6)


def test_limits_of_the_law():
    """Assert Student's t, the normal, and that a small slope or a small gap at the root changes little."""
    y = np.linspace(-2, 3, 11)
    law = PearsonLaw(1.0, 0.5, 0.0, 0.4)
    scale = np.sqrt(0.4 / (0.5 * law.index))
    np.testing.assert_allclose(law.pdf(y), stats.t.pdf(y / scale, 5) / scale, rtol=1e-12)
    np.testing.assert_allclose(PearsonLaw(1.0, 0.5, 1e-12, 0.4).cdf(y), law.cdf(y), rtol=1e-9)
    np.testing.assert_allclose(PearsonLaw(1.0, 0.0, 0.0, 0.4).cdf(y), stats.norm.cdf(y, scale=np.sqrt(0.2)), rtol=1e-12)
    np.testing.assert_allclose(PearsonLaw(1.0, 1e-7, 0.0, 0.4).cdf(y), stats.norm.cdf(y, scale=np.sqrt(0.2)), atol=1e-6)
    touching, near = PearsonLaw(*LAWS["touching"]), PearsonLaw(1.0, 0.5, (1 - 1e-9) * np.sqrt(0.8), 0.4)
    np.testing.assert_allclose(near.cdf(y), touching.cdf(y), atol=1e-8)
    assert touching.support[0] == pytest.approx(-np.sqrt(0.8))


@pytest.mark.parametrize("name", LAWS)
def test_moments_of_the_law(name):
    """Assert them against quadrature below the index, inf from it on, and the tail's power between far quantiles."""
    law = PearsonLaw(*LAWS[name])
    low, high = law.support
    ends = np.clip(law.quantile(np.array([1e-12, 0.01, 0.3, 0.7, 0.99])), low, high)
    ends = np.append(ends, np.clip(20 * ends[-1] + 100, None, high))
    for order in range(5):
        if order >= law.index:
            assert law.moment(order) == np.inf
        elif order < law.index - 2.9:
            parts = [
                integrate.quad(lambda y: y**order * float(law.pdf(y)), a, b, limit=400)[0]
                for a, b in zip(ends[:-1], ends[1:])
            ]
            assert law.moment(order) == pytest.approx(sum(parts), rel=1e-4, abs=1e-6)
    if law.index < 6 and high == np.inf:
        tail = np.log(law.sf(1e8) / law.sf(1e7)) / np.log(10)
        assert -tail == pytest.approx(law.index, rel=1e-5)


def test_in_one_dimension_it_is_homogenized_sgd():
    """Assert moments in time, of order 4 through the risk, the stationary law and the index, with ridge, B and label
    noise.
    """
    process = HomogenizedSGD(stream([0.8], 0.3), 0.4, 2, label_noise=0.2)
    below, z0 = PearsonDiffusion.of(process), 1.5
    x0 = process.problem.from_modes(np.array([z0]))
    exact = process.moments(x0, 20, quantities=("mean", "covariance", "risk_second_moment"))
    found = below.moments(z0, 20)
    np.testing.assert_allclose(found["covariance"][:, 0, 0], exact["covariance"][:, 0, 0], atol=1e-14)
    np.testing.assert_allclose(found["mean"], exact["mean"] - process.problem.minimiser, atol=1e-14)
    values = [float(process.problem.risk_of_modes(np.array([y]))) for y in (0.0, 1.0, -1.0)]
    polynomial = np.array([values[0], (values[1] - values[2]) / 2, (values[1] + values[2]) / 2 - values[0]])
    squared = below.power_moments(z0, np.arange(21), 4) @ np.convolve(polynomial, polynomial)
    np.testing.assert_allclose(exact["risk_second_moment"], squared, rtol=1e-12)
    law = below.stationary()
    assert law.variance == pytest.approx(float(process.stationary().covariance[0, 0]), rel=1e-12)
    assert below.tail_index().index == pytest.approx(process.tail_index().index, rel=1e-12)
    late = below.power_moments(z0, [400.0], 6)[0]
    np.testing.assert_allclose(late, [law.moment(j) for j in range(7)], rtol=1e-9, atol=1e-12)


def test_moments_settle_below_the_index_and_grow_above():
    """Assert the growth rate of the moments of order 2, 4, 6 of an index of 5: -rate p + quadratic p (p - 1) / 2."""
    process = PearsonDiffusion(1.0, 0.5, 0.3, 0.4)
    found = process.power_moments(1.0, [40.0, 41.0], 6)
    assert found[0, 4] == pytest.approx(process.stationary().moment(4), rel=1e-9)
    assert np.log(found[1, 6] / found[0, 6]) == pytest.approx(-6 + 0.25 * 30, rel=1e-4)


@pytest.mark.parametrize("solver", ("ninomiya_victoir", "euler", "milstein"))
def test_simulated_paths_have_the_law(solver):
    """Assert by Kolmogorov and Smirnov that paths are of the stationary law, and that another law is rejected."""
    process = PearsonDiffusion(0.3, 0.15, 0.1, 0.1)
    substeps = 2 if solver == "ninomiya_victoir" else 32
    run = process.simulate(0.0, 30, 4000, record=[30], seed=1, solver=solver, substeps=substeps)
    sample = run["state"].values.ravel()
    assert run["state"].dims == ("path", "step", "coordinate") and run["step"].values.tolist() == [30]
    assert stats.kstest(sample, process.stationary().cdf).pvalue > 1e-3
    assert stats.kstest(sample, PearsonLaw(0.3, 0.15, -0.1, 0.1).cdf).pvalue < 1e-3


def test_students_law_in_all_dimensions():
    """Assert density, norm and coordinate laws against each other, the covariance of homogenized SGD, and its paths."""
    process = HomogenizedSGD(stream(np.full(3, 0.8)), 0.4, 2, label_noise=0.2)
    law = isotropic_law(process)
    np.testing.assert_allclose(law.covariance, process.stationary().covariance, rtol=1e-12)
    assert law.index == process.tail_index().index
    radius = np.linspace(0, 2, 9)
    along = law.centre + radius[:, None] * np.array([0.6, 0.0, 0.8])
    shells = np.array([
        integrate.quad(lambda r: 4 * np.pi * r**2 * float(law.pdf(law.centre + [0, r, 0])), 0, top)[0] for top in radius
    ])  # fmt: skip
    np.testing.assert_allclose(law.norm_cdf(radius), shells, atol=1e-9)
    assert law.pdf(along).shape == (9,)
    assert law.norm_moment(2) == pytest.approx(np.trace(law.covariance)) and law.norm_moment(law.index) == np.inf
    one = MultivariateT(np.zeros(1), 0.7, 2.5)
    np.testing.assert_allclose(one.pdf(radius[:, None]), stats.t.pdf(radius / 0.7, 2.5) / 0.7, rtol=1e-12)
    np.testing.assert_allclose(one.coordinate_cdf(radius), stats.t.cdf(radius / 0.7, 2.5), rtol=1e-12)
    assert np.isinf(np.diag(MultivariateT(np.zeros(2), 1.0, 1.5).covariance)).all()
    run = process.simulate(
        np.zeros(3), 60, 4000, observables={"r": lambda x: np.linalg.norm(x - law.centre, axis=1)}, record=[60],
        seed=1, solver="ninomiya_victoir", substeps=4,
    )  # fmt: skip
    sample = run["r"].values.ravel()
    assert stats.kstest(sample, law.norm_cdf).pvalue > 1e-3
    assert stats.kstest(sample, MultivariateT(law.centre, law.scale, 3.0).norm_cdf).pvalue < 1e-3


def test_polynomial_moments_against_the_moment_equations():
    """Assert mean, variances and E L^2 of homogenized SGD with a ridge in three modes."""
    process = HomogenizedSGD(stream([1, 0.6, 0.2], 0.1), 0.5, 2)
    problem, noise, x0 = process.problem, process.noise_map, np.array([1.5, 0.0, 1.0])
    moments = PolynomialMoments(process.rates, 0.25 * noise.spread, noise.slope, noise.coupling, noise.floor, 4)
    found, alpha = moments.at(problem.to_modes(x0), [0.0, 7.0])[1], moments.exponents
    exact = process.moments(x0, 7, quantities=("mean", "covariance", "risk_second_moment"))

    def of(*powers):
        return found[(alpha == powers).all(axis=1)][0]

    mean = np.array([of(1, 0, 0), of(0, 1, 0), of(0, 0, 1)])
    np.testing.assert_allclose(problem.from_modes(mean), exact["mean"][7], rtol=1e-12)
    assert of(0, 2, 0) - mean[1] ** 2 == pytest.approx(
        float(problem.eigenvectors[:, 1] @ exact["covariance"][7].values @ problem.eigenvectors[:, 1]), rel=1e-11
    )
    # E L^2 with L = c + g.z + h.z^2, by the products of its terms.
    g, h = problem.risk_slope, problem.eigenvalues / 2
    terms = [((0, 0, 0), problem.risk_at_minimiser)]
    for i, one in enumerate(np.eye(3, dtype=int)):
        terms += [(tuple(one), g[i]), (tuple(2 * one), h[i])]
    square = sum(a * b * of(*(np.add(p, q))) for p, a in terms for q, b in terms)
    assert square == pytest.approx(float(exact["risk_second_moment"][7]), rel=1e-11)


@pytest.mark.parametrize("mode", (0, 2))
@pytest.mark.parametrize("steps", slowly((4, 25), lambda steps: steps == 25))
def test_a_coordinate_lies_above_its_pearson_diffusion_in_convex_order(mode, steps):
    """Assert exact even moments and sampled stop-loss transforms, and that a wider diffusion is refuted by both."""
    process, x0 = HomogenizedSGD(stream([1, 0.6, 0.2], 0.1, 0.5), 0.6), np.array([1.5, 0.0, 1.0])
    found = convex_order(process, x0, steps, mode, orders=(2, 4, 6), seed=2)
    assert found.holds and found.moments_below.shape == (3,) and (found.half_widths > 0).all()
    assert (found.moments_below < 0.95 * found.moments_above).all()
    own = PearsonDiffusion.of(process, mode)
    scale = 3.0
    wide = dataclasses.replace(own, **{name: scale * getattr(own, name) for name in ("quadratic", "slope", "floor")})
    control = convex_order(process, x0, steps, mode, below=wide, seed=2)
    assert not control.moments_ordered and control.stop_loss_refuted and "REFUTED" in repr(control)


def test_in_one_dimension_both_sides_of_the_order_are_equal():
    """Assert equal even moments to rounding."""
    process = HomogenizedSGD(stream([0.9], 0.2), 0.5)
    found = convex_order(process, np.array([2.0]), 5, paths=64)
    np.testing.assert_allclose(found.moments_below, found.moments_above, rtol=1e-12)


def test_what_cannot_be_used_is_refused():
    """Assert one sentence for every kind."""
    process = HomogenizedSGD(stream([1, 0.6]), 0.4)
    for make, says in (
        (lambda: PearsonDiffusion(1.0, 0.5, 2.0, 0.4), "negative for some y"),
        (lambda: PearsonDiffusion(1.0, -0.5), "quadratic"),
        (lambda: PearsonDiffusion(1.0, 0.0, 0.0, 0.0), "no noise"),
        (lambda: PearsonDiffusion(1.0, 0.5, 0.0, 0.0).stationary(), "vanishes at 0"),
        (lambda: PearsonDiffusion.of(diffusions.GradientFlow(process.problem, 0.1)), "HomogenizedSGD"),
        (lambda: PearsonDiffusion.of(process, 2), "mode"),
        (lambda: isotropic_law(process), "equal"),
        (lambda: isotropic_law(HomogenizedSGD(stream([1, 1], 0.2), 0.4)), "skewed"),
        (lambda: isotropic_law(HomogenizedSGD(stream([1, 1], 0, 0), 0.4)), "no law"),
        (lambda: convex_order(process, np.zeros(2), 5, orders=(3,)), "even"),
        (lambda: convex_order(process, np.zeros(2), 5, below=process), "PearsonDiffusion"),
        (lambda: PearsonDiffusion(1.0, 0.5).stationary().quantile(1.0), "probability"),
        (lambda: PearsonDiffusion(1.0, 0.5).power_moments([1.0, 2.0], [1.0]), "x0"),
    ):
        with pytest.raises(InvalidInput, match=says):
            make()
    with pytest.raises(PositiveLyapunovExponent) as caught:
        PearsonDiffusion(-1.0, 0.5).tail_index()
    assert caught.value.lyapunov_exponent == 0.75
    with pytest.raises(NoStationaryLaw, match="for ever"):
        PearsonDiffusion(-0.1, 0.5, np.sqrt(0.8), 0.4).stationary()
    assert PearsonDiffusion(1.0, 0.0).tail_index().index == np.inf
