"""Exact moments of the schemes for linear drift: one-step formulas, orders, stationary laws, stability."""

import numpy as np
import pytest
from scipy.linalg import expm

from sgdlimits.diffusions import SCHEMES, GradientFlow, HomogenizedSGD, ModifiedEquation, OrnsteinUhlenbeck
from sgdlimits.ensembles import Gaussian
from sgdlimits.exact.errors import StabilityWarning
from sgdlimits.problems import LeastSquares, StreamingLeastSquares

MEAN = np.array([1.0, -2.0, 0.5])
COVARIANCE = np.diag([0.3, 0.1, 0.2]) + 0.05


def finite(ridge=0.1, n=8):
    generator = np.random.Generator(np.random.Philox(6))
    return LeastSquares.from_arrays(generator.standard_normal((n, 3)), generator.standard_normal(n), ridge)


def streaming():
    covariance = np.array([[1.0, 0.2, 0], [0.2, 0.6, 0], [0, 0, 0.3]])
    return StreamingLeastSquares(covariance, 0.4, np.array([1.0, 0, -1]), 0.1)


def critical(problem, batch_size):
    """gamma_c = 2 B / sum(lambda^2 / (lambda + ridge))."""
    return 2 * batch_size / (problem.eigenvalues**2 / problem.curvatures).sum()


def expected_noise(process, mean, covariance):
    """E diffusion diffusion^T (d, d), exact on 2 d points because it is quadratic in x."""
    d = mean.size
    values, vectors = np.linalg.eigh(covariance)
    spread = (vectors * np.sqrt(np.maximum(values, 0) * d)).T
    roots = np.asarray(process.diffusion(0.0, np.concatenate([mean + spread, mean - spread])))
    roots = roots[None] if roots.ndim == 2 else roots
    return np.einsum("pij,pkj->ik", roots, roots) / len(roots)


def damped_integral(drift, noise, dt):
    """Integral of exp(-K s) noise exp(-K s) over s from 0 to dt, by Van Loan's block exponential."""
    d = len(drift)
    block = np.block([[-drift, noise], [np.zeros((d, d)), drift]])
    whole = expm(block * dt)
    return whole[:d, d:] @ expm(-drift * dt)


def brute_step(process, solver, mean, covariance, dt):
    """Mean and covariance after one increment, in original coordinates, from the definition of the scheme."""
    centre = process.problem.minimiser
    drift = -(process.drift(0.0, centre + np.eye(3)) - process.drift(0.0, centre)).T
    solver = solver.removeprefix("weak_")  # two-point noise has the same first and second moments
    if solver == "euler":
        move = np.eye(3) - drift * dt
        noise = expected_noise(process, mean, covariance) * dt
    elif solver == "exponential_euler":
        move = expm(-drift * dt)
        noise = damped_integral(drift, expected_noise(process, mean, covariance), dt)
    else:
        half = expm(-drift * dt / 2)
        inner = expected_noise(process, centre + half @ (mean - centre), half @ covariance @ half)
        growth = process.step_size**2 / process.batch_size * np.trace(process.problem.hessian @ process.problem.hessian)
        move, noise = half @ half, half @ inner @ half * np.expm1(growth * dt) / growth
    return centre + move @ (mean - centre), move @ covariance @ move.T + noise


TREATED = [
    (kind, solver)
    for kind in (HomogenizedSGD, ModifiedEquation, OrnsteinUhlenbeck)
    for solver in kind.solvers
]


@pytest.mark.parametrize(("kind", "solver"), TREATED)
@pytest.mark.parametrize("problem", [finite(), streaming()], ids=["finite", "streaming"])
@pytest.mark.parametrize("label_noise", [0.0, 0.5])
def test_scheme_moments_are_the_one_step_formulas_repeated(kind, solver, problem, label_noise):
    """Assert mean and covariance after 3 SGD steps of 2 increments each, from a Gaussian start, to rounding."""
    process = kind(problem, 0.2, 2, label_noise=label_noise)
    found = process.moments(Gaussian(MEAN, COVARIANCE), 3, solver=solver, substeps=2)
    mean, covariance = MEAN, COVARIANCE
    for step in range(1, 4):
        for _ in range(2):
            mean, covariance = brute_step(process, solver, mean, covariance, 0.5 / float(process.clock))
        at = found.sel(step=step)
        np.testing.assert_allclose(at["mean"].values, mean, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(at["covariance"].values, covariance, rtol=1e-11, atol=1e-13)
    risk = problem.risk(mean) + 0.5 * np.trace(problem.hessian @ covariance)
    assert float(found["risk"][-1]) == pytest.approx(risk, rel=1e-12)


def fitted_slope(dts, errors):
    """Slope of log error in log dt, and its standard error."""
    x, y = np.log(dts), np.log(errors)
    coefficients, residual, *_ = np.polyfit(x, y, 1, full=True)
    return coefficients[0], np.sqrt(residual[0] / (len(x) - 2) / np.square(x - x.mean()).sum())


@pytest.mark.parametrize("solver", HomogenizedSGD.solvers)
@pytest.mark.parametrize("quantity", ["risk", "covariance"])
def test_schemes_converge_with_the_claimed_order_on_quadratics(solver, quantity):
    """Assert the slope of the error of exact scheme moments: `weak_order_quadratic`, within 0.03 and 3 errors of it."""
    process = HomogenizedSGD(finite(), 0.3, 2, label_noise=0.2)
    exact = process.moments(MEAN, 4, [4])[quantity].values[-1]
    substeps = np.array([16, 32, 64, 128, 256])
    errors = [
        np.linalg.norm(process.moments(MEAN, 4, [4], solver=solver, substeps=int(count))[quantity].values[-1] - exact)
        for count in substeps
    ]
    slope, error = fitted_slope(1 / substeps, errors)
    assert abs(slope - SCHEMES[solver].weak_order_quadratic) < 0.03 + 3 * error


def test_strang_is_of_order_one_in_third_moments():
    """Assert, on one mode, that Gaussian noise misses the third cumulant of the noise flow by order dt^2 a step.

    That is why its claimed weak order is 1 though first and second moments have order 2.
    """
    scheme = SCHEMES["strang"]
    assert (scheme.weak_order, scheme.weak_order_quadratic) == (1.0, 2.0)
    # dz = sqrt(z^2 + c) dW from z: E (z_h - z)^3 = 3 z (z^2 + c) h^2 + O(h^3), zero for Gaussian noise.
    z, c = 1.5, 0.4
    generator = np.zeros((4, 4))  # of the moments 1, z, z^2, z^3: d/dt E z^k = k (k - 1) / 2 E z^(k-2) (z^2 + c)
    for k in (2, 3):
        generator[k, k] += k * (k - 1) / 2
        generator[k, k - 2] += k * (k - 1) / 2 * c
    steps = np.array([0.04, 0.02, 0.01])
    missed = []
    for h in steps:
        raw = expm(generator * h) @ z ** np.arange(4)
        missed.append(raw[3] - 3 * z * raw[2] + 3 * z**2 * raw[1] - z**3)
    slope, error = fitted_slope(steps, missed)
    assert abs(slope - 2) < 0.05 + 3 * error
    assert missed[-1] / steps[-1] ** 2 == pytest.approx(3 * z * (z**2 + c), rel=0.05)


@pytest.mark.parametrize("size", [0.25, 1.0, 7.0])
@pytest.mark.parametrize("label_noise", [0.0, 0.4])
@pytest.mark.parametrize("drift_order", [1, 2])
def test_exponential_euler_has_the_stationary_moments_of_homogenized_sgd_at_every_increment(
    size, label_noise, drift_order
):
    """Assert equal stationary covariance and mean-square threshold, for increments below, at and above one step."""
    problem = finite()

    def moment_map(process):
        step = SCHEMES["exponential_euler"]().modal_step(process.rates, process.step_size**2, size, 0.0)
        return step.moment_map(process.noise_map)

    def process(step_size):
        return HomogenizedSGD(problem, step_size, 2, label_noise=label_noise, drift_order=drift_order)

    inner = moment_map(process(0.4)).feedback.stationary_covariance()
    covariance = problem.eigenvectors @ inner @ problem.eigenvectors.T
    np.testing.assert_allclose(covariance, process(0.4).stationary().covariance, rtol=1e-12, atol=1e-15)
    threshold = process(0.4).stability().mean_square_threshold
    if np.isfinite(threshold):
        assert moment_map(process(threshold)).feedback.spectral_radius() == pytest.approx(1, abs=1e-10)


@pytest.mark.parametrize("substeps", [1, 2, 4])
def test_euler_is_biased_in_the_stationary_risk(substeps):
    """Assert the limit L(m) / (1 - (eta / B) sum lambda^2 / (k (2 - h eta k))), above that of homogenized SGD."""
    problem, B = finite(), 2
    eta = 0.3 * critical(problem, B)
    process = HomogenizedSGD(problem, eta, B)
    lam, k, h = problem.eigenvalues, problem.curvatures, 1 / substeps
    gain = eta / B * (lam**2 / (k * (2 - h * eta * k))).sum()
    assert 0 < gain < 1
    late = float(process.moments(MEAN, 3000, [3000], solver="euler", substeps=substeps)["risk"][-1])
    assert late == pytest.approx(problem.risk_at_minimiser / (1 - gain), rel=1e-11)
    assert late > 1.001 * process.stationary().risk


def test_exponential_euler_has_the_exact_mean():
    """Assert the mean of the process after any number of increments, for both orders of the drift."""
    for drift_order in (1, 2):
        process = HomogenizedSGD(finite(), 0.3, drift_order=drift_order)
        exact = process.moments(MEAN, 10, [10])["mean"].values
        for solver in ("exponential_euler", "strang"):
            found = process.moments(MEAN, 10, [10], solver=solver)["mean"].values
            np.testing.assert_allclose(found, exact, rtol=1e-12)


def test_gradient_flow_is_exact_under_every_name():
    """Assert that moments and paths by any scheme of the package are those of the flow, because its simulation is
    exact."""
    flow = GradientFlow(finite(), 0.3)
    exact = flow.moments((MEAN, COVARIANCE), 9, [9])
    for solver in SCHEMES:
        path = flow.simulate(MEAN, 9, 1, "state", [9], solver=solver, substeps=3)
        np.testing.assert_allclose(path["state"].values[0, 0], exact["mean"].values[-1], rtol=1e-12)
        scheme = flow.moments((MEAN, COVARIANCE), 9, [9], solver=solver, substeps=3)
        np.testing.assert_allclose(scheme["covariance"].values, exact["covariance"].values, rtol=1e-12)
        np.testing.assert_allclose(scheme["mean"].values, exact["mean"].values, rtol=1e-12)


def test_increments_too_long_for_euler_are_reported():
    """Assert the warning where h eta k > 2, and none for schemes that solve the drift exactly."""
    problem = finite()
    process = OrnsteinUhlenbeck(problem, 2.5 / problem.curvatures.max())
    with pytest.warns(StabilityWarning, match="raise substeps"):
        process.moments(MEAN, 5, solver="euler")
    process.moments(MEAN, 5, solver="euler", substeps=2)
    process.moments(MEAN, 5, solver="exponential_euler")
    inside = HomogenizedSGD(problem, 0.85 * critical(problem, 1))  # stable itself, and Euler's mean too
    assert inside.step_size * problem.curvatures.max() < 2
    with pytest.warns(StabilityWarning, match="its variance grows; raise substeps"):
        inside.moments(MEAN, 5, solver="euler")
    inside.moments(MEAN, 5, solver="exponential_euler")
