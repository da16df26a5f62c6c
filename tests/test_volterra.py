"""Volterra equations against closed forms, and the risk of homogenized SGD by them against the moment equations."""

import numpy as np
import pytest

from sgdlimits.diffusions import HomogenizedSGD, ModifiedEquation, volterra_risk
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.exact.volterra import _collocate, solve_discrete_volterra, solve_volterra
from sgdlimits.problems import LeastSquares, StreamingLeastSquares

START = np.array([1.0, -2.0, 0.5, 0.3])


def finite(ridge=0.0, d=4, n=9):
    generator = np.random.Generator(np.random.Philox(5))
    features = generator.standard_normal((n, d)) * np.linspace(1, 0.3, d)
    return LeastSquares.from_arrays(features, generator.standard_normal(n), ridge)


def threshold(problem, batch_size=1):
    """gamma_c = 2 B / sum(lambda^2 / (lambda + ridge))."""
    active = problem.eigenvalues > 0
    return 2 * batch_size / (problem.eigenvalues[active] ** 2 / problem.curvatures[active]).sum()


@pytest.mark.parametrize("rate", [0.4, 1.0, 1.3])
def test_exponential_kernel_gives_the_closed_form(rate):
    """Assert l = (b - a exp(-(b - a) t)) / (b - a) for F = 1, K = a exp(-b t), bounded or not, within the estimate."""
    a, b, times = rate, 1.1, np.linspace(0, 30, 61)
    solution = solve_volterra(np.ones_like, lambda t: a * np.exp(-b * t), times)
    exact = (b - a * np.exp(-(b - a) * times)) / (b - a)
    assert np.abs(solution.values - exact).max() <= 10 * solution.error + 1e-14 * exact.max()
    assert solution.error <= 1e-11 * exact.max()


def test_long_histories_by_fft_equal_the_closed_form():
    """Assert the same where the run needs several times the panels that are summed directly."""
    a, b, times = 0.7, 1.0, np.linspace(0, 2000, 11)
    solution = solve_volterra(np.ones_like, lambda t: a * np.exp(-b * t), times, panels=1024)
    np.testing.assert_allclose(solution.values, (b - a * np.exp((a - b) * times)) / (b - a), rtol=1e-12)


def test_a_polynomial_kernel_gives_the_closed_form():
    """Assert l = cosh t for F = 1, K(t) = t: the equation is l'' = l."""
    times = np.array([0.0, 0.3, 2.0, 6.0])
    solution = solve_volterra(np.ones_like, lambda t: t, times)
    np.testing.assert_allclose(solution.values, np.cosh(times), rtol=1e-12)


@pytest.mark.parametrize("nodes", [2, 3, 4])
def test_collocation_converges_with_the_order_of_its_nodes(nodes):
    """Assert the slope of the error in the panel length: `nodes`, within 0.1 and three of its standard errors."""
    a, b, times = 0.7, 1.0, np.linspace(0, 10, 21)

    def error(panels):
        values = _collocate(np.ones_like, lambda t: a * np.exp(-b * t), times, nodes, panels)
        return np.abs(values - (b - a * np.exp((a - b) * times)) / (b - a)).max()

    panels = np.array([20, 40, 80, 160])
    errors = np.log([error(count) for count in panels])
    (slope, _), covariance = np.polyfit(-np.log(panels), errors, 1, cov="unscaled")
    residual = errors - np.polyval(np.polyfit(-np.log(panels), errors, 1), -np.log(panels))
    standard_error = np.sqrt(covariance[0, 0] * (residual @ residual) / 2)
    assert abs(slope - nodes) < 0.1 + 3 * standard_error


@pytest.mark.parametrize("steps", [0, 1, 7, 1500])
def test_the_discrete_equation_holds(steps):
    """Assert l_k - sum K_{k-1-j} l_j = F_k, direct and by FFT."""
    generator = np.random.Generator(np.random.Philox(1))
    forcing, kernel = generator.random(steps + 1), 0.5 * 0.4 ** np.arange(steps)
    values = solve_discrete_volterra(forcing, kernel)
    history = np.r_[0.0, np.convolve(kernel, values)[:steps]] if steps else np.zeros(1)
    np.testing.assert_allclose(values - history, forcing, atol=1e-13)


def problems():
    streaming = StreamingLeastSquares(np.diag([1.0, 0.6, 0.2, 0.05]), 0.4, np.array([1.0, -1.0, 0.3, 0.2]), 0.2)
    return {
        "finite": finite(),
        "ridge": finite(0.3),
        "negative ridge": finite(-0.01),
        "n < d": finite(0.1, n=3),
        "n < d without ridge": finite(n=3),
        "streaming": streaming,
    }


@pytest.mark.parametrize("name", list(problems()))
@pytest.mark.parametrize("label_noise", [0.0, 0.7])
@pytest.mark.parametrize("drift_order", [1, 2])
def test_the_risk_equals_the_moment_equations(name, label_noise, drift_order):
    """Assert both routes agree to rounding, continuous and discrete, from a Gaussian start: formula hsgd-risk."""
    problem = problems()[name]
    eta = min(0.6 * threshold(problem, 2), 0.8 / problem.curvatures.max())
    process = HomogenizedSGD(problem, eta, 2, label_noise=label_noise, drift_order=drift_order)
    x0 = (START, 0.3 * np.eye(4) + 0.1)
    record = [0, 1, 5, 40, 100]
    continuous = volterra_risk(process, x0, 100, record)
    moments = process.moments(x0, 100, record)["risk"].values
    np.testing.assert_allclose(continuous.risk, moments, atol=10 * continuous.error + 1e-12 * moments.max(), rtol=0)
    assert continuous.error < 1e-10 * moments.max()
    discrete = volterra_risk(process, x0, 100, record, discrete=True)
    euler = process.moments(x0, 100, record, solver="euler")["risk"].values
    np.testing.assert_allclose(discrete.risk, euler, rtol=1e-11)


@pytest.mark.parametrize("ridge", [0.0, 0.2])
def test_the_kernel_mass_is_step_size_over_threshold(ridge):
    """Assert mass = gamma / gamma_c, and a limit L(m) / (1 - gamma / gamma_c): formula hsgd-threshold."""
    problem = finite(ridge)
    critical = threshold(problem)
    assert HomogenizedSGD(problem, 0.1).stability().mean_square_threshold == pytest.approx(critical, rel=1e-13)
    process = HomogenizedSGD(problem, 0.5 * critical)
    found = volterra_risk(process, START, 2000, [2000])
    assert found.kernel_mass == pytest.approx(0.5, rel=1e-13)
    assert found.limit == pytest.approx(problem.risk_at_minimiser / 0.5, rel=1e-13)
    assert found.risk[-1] == pytest.approx(found.limit, rel=1e-10)
    assert process.stationary().risk == pytest.approx(found.limit, rel=1e-12)


@pytest.mark.parametrize("ridge", [0.0, 0.2])
def test_the_discrete_mass_is_a_geometric_sum(ridge):
    """Assert sum over t of the kernel, summed term by term, and the limit that 4000 steps reach."""
    problem = finite(ridge)
    process = HomogenizedSGD(problem, 0.4 * threshold(problem))
    found = volterra_risk(process, START, 4000, [4000], discrete=True)
    decays = (1 - process.step_size * problem.curvatures) ** 2
    kernel = process.step_size**2 * np.square(problem.eigenvalues) * decays ** np.arange(4000)[:, None]
    assert found.kernel_mass == pytest.approx(kernel.sum(), rel=1e-10)
    assert found.risk[-1] == pytest.approx(found.limit, rel=1e-9)


def test_the_risk_grows_without_bound_from_the_threshold_on():
    """Assert linear growth at gamma_c itself, exponential growth past it, and an infinite limit."""
    problem = finite()
    at = HomogenizedSGD(problem, threshold(problem))
    risk = volterra_risk(at, START, 4000, [1000, 2000, 3000, 4000]).risk[1:]
    gains = np.diff(risk)
    assert gains.min() > 0 and gains.max() - gains.min() < 1e-6 * gains.max()
    past = HomogenizedSGD(problem, 1.2 * threshold(problem))
    found = volterra_risk(past, START, 400, [100, 200, 300, 400])
    assert found.limit == np.inf and (np.diff(np.log(found.risk[1:])) > 1).all()
    with pytest.raises(InvalidInput, match="leaves the range of numbers"):
        volterra_risk(past, START, 8000, [8000])


def test_without_noise_the_risk_is_that_of_the_flow_plus_what_it_feeds():
    """Assert that an interpolating problem tends to zero risk below its threshold."""
    generator = np.random.Generator(np.random.Philox(2))
    features, truth = generator.standard_normal((8, 4)), generator.standard_normal(4)
    problem = LeastSquares.from_arrays(features, features @ truth)
    found = volterra_risk(HomogenizedSGD(problem, 0.3 * threshold(problem)), np.zeros(4), 5000, [1, 5000])
    assert abs(found.limit) < 1e-28 and abs(found.risk[-1]) < 1e-12 * found.risk[0]


def test_wrong_input_is_refused():
    """Assert one sentence for a process without a scalar equation, and for times, kernels and forcings that fail."""
    with pytest.raises(InvalidInput, match="must be HomogenizedSGD"):
        volterra_risk(ModifiedEquation(finite(), 0.1), START, 5)
    with pytest.raises(InvalidInput, match="must increase"):
        solve_volterra(np.ones_like, np.ones_like, np.array([1.0, 0.5]))
    with pytest.raises(InvalidInput, match="kernel must be finite"), np.errstate(divide="ignore"):
        solve_volterra(np.ones_like, lambda t: 1 / np.floor(t), np.array([2.0]))
    with pytest.raises(InvalidInput, match="kernel must have at least 4"):
        solve_discrete_volterra(np.ones(5), np.ones(2))
