"""Simulated diffusions against their array definitions, their exact scheme moments, and themselves."""

import warnings

import numpy as np
import pytest

from sgdlimits.diffusions import GradientFlow, HomogenizedSGD, ModifiedEquation, OrnsteinUhlenbeck
from sgdlimits.ensembles import Gaussian, Noise, Purpose
from sgdlimits.exact.errors import InvalidInput, OverflowedPaths, StabilityWarning
from sgdlimits.problems import LeastSquares, Logistic, SampleLoss, StreamingLeastSquares

X0 = np.array([1.0, -2.0, 0.5])


def finite(n=7, ridge=0.1, d=3):
    generator = np.random.Generator(np.random.Philox(3))
    return LeastSquares.from_arrays(generator.standard_normal((n, d)), generator.standard_normal(n), ridge)


def streaming():
    covariance = np.array([[1.0, 0.2, 0], [0.2, 0.6, 0], [0, 0, 0.3]])
    return StreamingLeastSquares(covariance, 0.4, np.array([1.0, 0, -1]), 0.1)


def interpolating(n):
    generator = np.random.Generator(np.random.Philox(3))
    features = generator.standard_normal((n, 3))
    return LeastSquares.from_arrays(features, features @ np.ones(3))


PROBLEMS = {
    "finite": finite(),
    "n < d": finite(2),
    "many samples": finite(90),
    "streaming": streaming(),
    "no noise": interpolating(6),
    "no noise, many samples": interpolating(90),
}


def states(process, steps, paths=32, **options):
    """Positions (paths, steps + 1, d) of a run."""
    run = process.simulate(X0, steps, paths, observables="state", record=np.arange(steps + 1), seed=5, **options)
    return run["state"].values


def columns(process, x):
    """Diffusion matrices (P, d, m) at x."""
    root = np.asarray(process.diffusion(0.0, x))
    return np.broadcast_to(root, (len(x), *root.shape)) if root.ndim == 2 else root


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("kind", [HomogenizedSGD, ModifiedEquation, OrnsteinUhlenbeck])
@pytest.mark.parametrize(("label_noise", "quality"), [(0.0, "float32"), (0.5, "float64")])
@pytest.mark.parametrize("substeps", [1, 3])
def test_the_euler_kernel_is_the_array_definition(problem, kind, label_noise, quality, substeps):
    """Assert x + drift dt + diffusion dW along whole paths, with the noise that the kernel draws, to rounding."""
    problem = PROBLEMS[problem]
    process = kind(problem, 0.05, 2, label_noise=label_noise)
    found = states(process, 4, quality=quality, substeps=substeps)
    dt = 1 / (float(process.clock) * substeps)
    noise = Noise(5, np.arange(32), quality)
    x = np.tile(X0, (32, 1))
    for k in range(4 * substeps):
        root = columns(process, x)
        xi = noise.normals(Purpose.BROWNIAN, k, root.shape[2])
        noisy = np.einsum("pij,pj->pi", root, xi)
        x = x + process.drift(0.0, x) * dt + noisy * np.sqrt(dt)
        if (k + 1) % substeps == 0:
            np.testing.assert_allclose(found[:, (k + 1) // substeps], x, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("solver", ["exponential_euler", "strang"])
@pytest.mark.parametrize("drift_order", [1, 2])
def test_other_kernels_of_homogenized_sgd_are_their_formulas(solver, drift_order):
    """Assert both steps, written in modes from their definitions, with the same noise.

    They are formula step-exponential-euler and formula step-strang.
    """
    problem = PROBLEMS["finite"]
    process = HomogenizedSGD(problem, 0.2, 2, label_noise=0.3, drift_order=drift_order)
    found = states(process, 4, solver=solver, substeps=2)
    h, eta, B = 0.5, 0.2, 2
    lam, k = problem.eigenvalues, problem.curvatures
    rates = eta * k + (eta**2 * k**2 / 2 if drift_order == 2 else 0)
    z, noise = problem.to_modes(np.tile(X0, (32, 1))), Noise(5, np.arange(32))
    for step in range(8):
        xi = noise.normals(Purpose.BROWNIAN, step, 3)
        if solver == "strang":
            z = z * np.exp(-rates * h / 2)
        level = 2 * problem.risk_of_modes(z)[:, None] + 0.09
        if solver == "strang":
            trace = (lam**2).sum()
            z = z + np.sqrt(lam * level / trace * np.expm1(eta**2 * trace * h / B)) * xi
            z = z * np.exp(-rates * h / 2)
        else:
            variance = eta**2 / B * lam * level * -np.expm1(-2 * rates * h) / (2 * rates)
            z = z * np.exp(-rates * h) + np.sqrt(variance) * xi
    np.testing.assert_allclose(found[:, 4], problem.from_modes(z), rtol=1e-11)


PROCESSES = [
    (HomogenizedSGD, "finite", "euler"),
    (HomogenizedSGD, "streaming", "strang"),
    (ModifiedEquation, "finite", "euler"),
    (ModifiedEquation, "many samples", "euler"),
    (ModifiedEquation, "streaming", "euler"),
    (OrnsteinUhlenbeck, "finite", "exponential_euler"),
    (GradientFlow, "finite", "euler"),
]


@pytest.mark.parametrize(("kind", "problem", "solver"), PROCESSES)
def test_bits_depend_on_neither_chunks_nor_threads(kind, problem, solver):
    """Assert equal bits for chunks of 16, 48 and all paths on one and two threads, observables included."""
    process = kind(PROBLEMS[problem], 0.05, 2)
    x0 = Gaussian(X0, 0.1 * np.eye(3))
    runs = [
        process.simulate(x0, 20, 70, ("risk", "norm", "state"), [3, 20], 7, chunk=chunk, threads=threads, solver=solver)
        for chunk, threads in ((16, 1), (48, 2), (None, 1))
    ]
    for run in runs[1:]:
        for name in ("risk", "norm", "state"):
            assert np.array_equal(run[name].values, runs[0][name].values)
    state = runs[0]["state"].values
    np.testing.assert_allclose(runs[0]["risk"].values, PROBLEMS[problem].risk(state), rtol=1e-11)
    np.testing.assert_allclose(runs[0]["norm"].values, np.linalg.norm(state, axis=2), rtol=1e-12)


def deviations(run, moments):
    """Standardised deviations of the sample's risk and mean from exact moments."""
    risk, state = run["risk"].values[:, -1], run["state"].values[:, -1]
    root = np.sqrt(len(risk))
    own = [(risk.mean() - float(moments["risk"][-1])) * root / risk.std()]
    mean = (state.mean(axis=0) - moments["mean"].values[-1]) * root / state.std(axis=0)
    centred = state - moments["mean"].values[-1]
    products = centred[:, :, None] * centred[:, None, :]
    spread = (products.mean(axis=0) - moments["covariance"].values[-1]) * root / products.std(axis=0)
    return np.abs(np.concatenate([own, mean, spread.ravel()]))


CASES = [
    (HomogenizedSGD, "finite", {"solver": "euler"}),
    (HomogenizedSGD, "finite", {"solver": "exponential_euler", "substeps": 2}),
    (HomogenizedSGD, "streaming", {"solver": "strang"}),
    (ModifiedEquation, "finite", {"solver": "euler", "substeps": 2}),
    (ModifiedEquation, "many samples", {"solver": "euler"}),
    (ModifiedEquation, "streaming", {"solver": "euler"}),
    (OrnsteinUhlenbeck, "finite", {"solver": "euler"}),
    (OrnsteinUhlenbeck, "n < d", {"solver": "exponential_euler"}),
]


@pytest.mark.parametrize(("kind", "problem", "scheme"), CASES)
def test_samples_have_the_exact_moments_of_their_scheme(kind, problem, scheme):
    """Assert risk, mean and covariance within 4 standard errors, far below thresholds (fourth moments are finite)."""
    process = kind(PROBLEMS[problem], 0.08, 2, label_noise=0.3)
    x0 = Gaussian(X0, 0.2 * np.eye(3))
    run = process.simulate(x0, 25, 40_000, ("risk", "state"), [25], 11, **scheme)
    assert deviations(run, process.moments(x0, 25, [25], **scheme)).max() < 4


def test_a_wrong_law_is_rejected():
    """Assert that the moments of another batch size, process or scheme are more than 4 standard errors away."""
    process = HomogenizedSGD(PROBLEMS["finite"], 0.25, 2)
    run = process.simulate(X0, 25, 40_000, ("risk", "state"), [25], 11, solver="euler")
    right = process.moments(X0, 25, [25], solver="euler")
    assert deviations(run, right).max() < 4
    others = [
        HomogenizedSGD(PROBLEMS["finite"], 0.25, 3).moments(X0, 25, [25], solver="euler"),
        ModifiedEquation(PROBLEMS["finite"], 0.25, 2).moments(X0, 25, [25], solver="euler"),
        process.moments(X0, 25, [25]),
    ]
    assert all(deviations(run, wrong).max() > 4 for wrong in others)


def test_exponential_euler_samples_the_exact_ornstein_uhlenbeck_law():
    """Assert that its scheme moments are those of the process, whatever the substeps."""
    process = OrnsteinUhlenbeck(PROBLEMS["finite"], 0.3, 2)
    exact = process.moments(X0, 40, [3, 40])
    for substeps in (1, 4):
        scheme = process.moments(X0, 40, [3, 40], solver="exponential_euler", substeps=substeps)
        np.testing.assert_allclose(scheme["covariance"].values, exact["covariance"].values, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(scheme["mean"].values, exact["mean"].values, rtol=1e-12)


def test_gradient_flow_is_exact_on_least_squares_and_solved_elsewhere():
    """Assert exp(-K t) in closed form, and on logistic regression a much finer Runge-Kutta solution."""
    problem = PROBLEMS["finite"]
    flow = GradientFlow(problem, 0.1)
    found = flow.simulate(X0, 30, 3, "state", [30])["state"].values[:, -1]
    expected = problem.from_modes(problem.to_modes(X0) * np.exp(-3.0 * problem.curvatures))
    np.testing.assert_allclose(found, np.tile(expected, (3, 1)), rtol=1e-13)
    np.testing.assert_allclose(flow.moments(X0, 30, [30])["mean"].values[-1], expected, rtol=1e-13)

    logistic = Logistic(problem.features, np.sign(problem.targets), ridge=0.1)
    x, dt = X0.copy(), 1e-3
    for _ in range(1000):
        a = logistic.gradient(x)
        b = logistic.gradient(x - dt / 2 * a)
        c = logistic.gradient(x - dt / 2 * b)
        x = x - dt / 6 * (a + 2 * b + 2 * c + logistic.gradient(x - dt * c))
    flow = GradientFlow(logistic, 0.1)
    run = flow.simulate(X0, 10, 20, ("risk", "state"), [0, 4, 10])
    np.testing.assert_allclose(run["state"].values[:, -1], np.tile(x, (20, 1)), rtol=1e-8)
    np.testing.assert_allclose(run["risk"].values[:, -1], logistic.risk(x), rtol=1e-8)
    again = flow.simulate(X0, 10, 20, "state", [10])
    assert np.array_equal(again["state"].values[:, -1], run["state"].values[:, -1])


def test_gradient_flow_is_solved_to_the_tolerance_that_it_states():
    """Assert x / sqrt(1 + 2 x^2 t) for the loss x^4 / 4 to 1e-9, over steps so long that the solver takes many."""
    slopes = [lambda x, rows: x**4 / 4 + 0 * rows, lambda x, rows: x[:, None, :] ** 3 + 0 * rows[..., None]]
    quartic = SampleLoss(*slopes, samples=1, dimension=1)
    x0 = np.array([[3.0], [-0.5], [20.0]])
    found = GradientFlow(quartic, 7.0).simulate(x0, 3, 3, "state", [1, 3])["state"].values
    times = np.array([7.0, 21.0])[None, :, None]
    np.testing.assert_allclose(found, x0[:, None] / np.sqrt(1 + 2 * x0[:, None] ** 2 * times), rtol=1e-9)


def test_simulating_past_a_threshold_warns_and_overflow_is_counted():
    """Assert both warnings, infinite risk after the overflow step, and finite risk before it."""
    process = HomogenizedSGD(PROBLEMS["finite"], 500.0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = process.simulate(X0, 400, 20, record=[0, 1, 400])
    assert {StabilityWarning, OverflowedPaths} <= {warning.category for warning in caught}
    assert (run["overflow_step"].values > 1).all()
    assert np.isinf(run["risk"].values[:, 2]).all() and np.isfinite(run["risk"].values[:, :2]).all()
    flow = GradientFlow(finite(ridge=-20.0), 1.0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = flow.simulate(X0, 100, 4, record=[1, 100])
    assert OverflowedPaths in {warning.category for warning in caught}
    assert np.isinf(run["risk"].values[:, 1]).all()


def test_schemes_that_do_not_fit_are_refused_by_name():
    """Assert that the modified equation has closed moments under Euler only, that SRA1 cannot treat its noise, and that
    a misspelt name is answered with the nearest."""
    process = ModifiedEquation(PROBLEMS["finite"], 0.1)
    with pytest.raises(InvalidInput, match="'strang' has no closed moments for modified equation"):
        process.moments(X0, 5, solver="strang")
    with pytest.raises(InvalidInput, match="'sra1' treats additive noise"):
        process.simulate(X0, 5, 16, solver="sra1")
    with pytest.raises(InvalidInput, match="did you mean 'euler'"):
        HomogenizedSGD(PROBLEMS["finite"], 0.1).simulate(X0, 5, 16, solver="eulr")
