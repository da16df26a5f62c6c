"""Exact moments of the diffusions against generators read off drift and diffusion, weak orders, stationary laws."""

import numpy as np
import pytest
from scipy.linalg import expm, solve_continuous_lyapunov

from sgdlimits.diffusions import GradientFlow, HomogenizedSGD, ModifiedEquation, OrnsteinUhlenbeck
from sgdlimits.discrete import SGD
from sgdlimits.ensembles import Gaussian
from sgdlimits.exact.errors import InfiniteVariance, InvalidInput, NoStationaryLaw, StabilityWarning, Unstable
from sgdlimits.problems import LeastSquares, Logistic, StreamingLeastSquares, zero_loss

PROCESSES = {
    "gradient flow": (GradientFlow, {}),
    "Ornstein-Uhlenbeck": (OrnsteinUhlenbeck, {}),
    "modified equation, order 1": (ModifiedEquation, {"order": 1}),
    "modified equation, order 2": (ModifiedEquation, {"order": 2}),
    "homogenized SGD": (HomogenizedSGD, {}),
    "homogenized SGD, drift of order 2": (HomogenizedSGD, {"drift_order": 2}),
}
NOISY = [name for name in PROCESSES if name != "gradient flow"]


def finite(n=7, d=3, ridge=0.0, seed=0):
    generator = np.random.Generator(np.random.Philox(seed))
    features = generator.standard_normal((n, d)) * np.linspace(1, 0.4, d)
    return LeastSquares.from_arrays(features, generator.standard_normal(n), ridge)


def streaming(ridge=0.0):
    covariance = np.array([[1.0, 0.3, 0.0], [0.3, 0.7, 0.1], [0.0, 0.1, 0.2]])
    return StreamingLeastSquares(covariance, 0.5, np.array([1.0, -0.5, 0.3]), ridge)


def interpolating():
    generator = np.random.Generator(np.random.Philox(4))
    features = generator.standard_normal((6, 3))
    return LeastSquares.from_arrays(features, features @ np.array([1.0, 2.0, -1.0]))


PROBLEMS = {
    "finite": finite(),
    "ridge": finite(ridge=0.3),
    "negative ridge": finite(ridge=-0.02),
    "n < d": finite(n=2),
    "n < d, ridge": finite(n=2, ridge=0.2),
    "no noise": interpolating(),
    "d = 1": finite(n=5, d=1),
    "streaming": streaming(),
    "streaming, ridge": streaming(0.2),
}


def make(name, problem, step_size=0.1, batch_size=2, label_noise=0.0):
    kind, options = PROCESSES[name]
    return kind(problem, step_size, batch_size, label_noise=label_noise, **options)


def covariance_at(process, x):
    """Diffusion times its transpose (d, d) at x (d,)."""
    root = np.asarray(process.diffusion(0.0, x[None]))
    root = root if root.ndim == 2 else root[0]
    return root @ root.T


def generator_of(process):
    """Matrix of d/dt E (1, x)(1, x)^T, read off the arrays `drift` and `diffusion` at a few points."""
    d = process.dimension
    basis = np.eye(d)
    offset = process.drift(0.0, np.zeros((1, d)))[0]
    slope = (process.drift(0.0, basis) - offset).T
    at_zero = covariance_at(process, np.zeros(d))
    quadratic = {(-1, -1): at_zero}
    for i in range(d):
        plus, minus = covariance_at(process, basis[i]), covariance_at(process, -basis[i])
        quadratic[i, -1], quadratic[i, i] = (plus - minus) / 2, (plus + minus) / 2 - at_zero
    for i in range(d):
        for j in range(i):
            both = covariance_at(process, basis[i] + basis[j])
            one, other = covariance_at(process, basis[i]), covariance_at(process, basis[j])
            quadratic[i, j] = both - one - other + at_zero
    matrix = np.zeros(((d + 1) ** 2,) * 2)
    for column in range((d + 1) ** 2):
        moments = np.zeros((d + 1) ** 2)
        moments[column] = 1
        moments = moments.reshape(d + 1, d + 1)  # index d is the number 1
        moments = (moments + moments.T) / 2
        after = np.zeros((d + 1, d + 1))
        moved = slope @ moments[:d] + np.outer(offset, moments[d])
        after[:d] += moved
        after[:, :d] += moved.T
        after[:d, :d] += sum(moments[i, j] * part for (i, j), part in quadratic.items())
        matrix[:, column] = after.ravel()
    return matrix


def start_moments(mean, covariance):
    whole = np.append(mean, 1.0)
    raw = np.outer(whole, whole)
    raw[:-1, :-1] += covariance
    return raw.ravel()


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("name", PROCESSES)
@pytest.mark.parametrize("label_noise", [0.0, 0.6])
@pytest.mark.filterwarnings("ignore::sgdlimits.exact.errors.StabilityWarning")
def test_moments_equal_the_exponential_of_the_generator(name, problem, label_noise):
    """Assert mean, covariance and risk at steps 0, 1 and 30 from a Gaussian start."""
    problem = PROBLEMS[problem]
    process = make(name, problem, label_noise=label_noise)
    d = problem.dimension
    mean, covariance = np.linspace(1, -2, d), 0.2 * np.eye(d) + 0.1
    generator = generator_of(process)
    found = process.moments(Gaussian(mean, covariance), 30, [1, 30])
    assert list(found["step"].values) == [0, 1, 30]
    np.testing.assert_allclose(found["time"].values, np.array([0, 1, 30]) / process.clock)
    for step in (0, 1, 30):
        raw = expm(generator * process.clock.time(step)) @ start_moments(mean, covariance)
        raw = raw.reshape(d + 1, d + 1)
        at, expected = found.sel(step=step), raw[:d, d]
        scale = np.abs(raw).max()
        np.testing.assert_allclose(at["mean"].values, expected, atol=1e-13 * scale)
        spread = raw[:d, :d] - np.outer(expected, expected)
        np.testing.assert_allclose(at["covariance"].values, spread, atol=1e-12 * scale)
        risk = problem.risk(expected) + 0.5 * np.trace(problem.hessian @ at["covariance"].values)
        assert float(at["risk"]) == pytest.approx(risk, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("name", NOISY)
def test_the_noise_map_is_what_the_diffusion_says(name):
    """Assert diffusion diffusion^T per step = step_size^2 noise_map at a point, in original coordinates."""
    for problem in (PROBLEMS["ridge"], PROBLEMS["streaming, ridge"]):
        process = make(name, problem, label_noise=0.4)
        x = np.array([0.3, -1.0, 2.0])
        z = problem.to_modes(x)
        inner = process.step_size**2 * process.noise_map(np.outer(z, z), z)
        rotated = problem.eigenvectors @ inner @ problem.eigenvectors.T
        np.testing.assert_allclose(covariance_at(process, x) / process.clock, rotated, rtol=1e-12, atol=1e-15)


def test_moments_equal_forty_digits():
    """Assert relative errors below 1e-13 against mpmath, for the modified equation and homogenized SGD."""
    mpmath = pytest.importorskip("mpmath")
    problem = finite(n=5, d=2)
    for name in ("modified equation, order 2", "homogenized SGD"):
        process = make(name, problem)
        start = start_moments(np.array([2.0, -1.0]), np.zeros((2, 2)))
        with mpmath.workdps(40):
            generator = mpmath.matrix(generator_of(process).tolist()) * (40 / float(process.clock))
            raw = np.array((mpmath.expm(generator) * mpmath.matrix(start.tolist())).tolist(), dtype=float).reshape(3, 3)
        found = process.moments(np.array([2.0, -1.0]), 40, [40]).sel(step=40)
        np.testing.assert_allclose(found["mean"].values, raw[:2, 2], rtol=1e-12)
        covariance = raw[:2, :2] - np.outer(raw[:2, 2], raw[:2, 2])
        np.testing.assert_allclose(found["covariance"].values, covariance, rtol=1e-11)


def test_a_point_far_away_costs_no_digits():
    """Assert that the covariance from x0 = 1e6 grows as from a point start, with a relative error near rounding.

    Without noise it stays exactly proportional to 1e12; a raw second moment would lose all digits of its difference.
    """
    problem = StreamingLeastSquares(np.array([1.0, 0.5]), 0.0, np.zeros(2))
    process = ModifiedEquation(problem, 0.1)
    near = process.moments(np.array([1.0, 1.0]), 5, [5])["covariance"].values[-1]
    far = process.moments(np.array([1e6, 1e6]), 5, [5])["covariance"].values[-1]
    np.testing.assert_allclose(far, 1e12 * near, rtol=1e-13)
    still = OrnsteinUhlenbeck(PROBLEMS["finite"], 0.1)
    far = still.moments(np.full(3, 1e8), 5, [5])["covariance"].values[-1]
    np.testing.assert_allclose(far, still.moments(np.zeros(3), 5, [5])["covariance"].values[-1], rtol=1e-12)


@pytest.mark.parametrize("kind", [GradientFlow, OrnsteinUhlenbeck, ModifiedEquation, HomogenizedSGD])
def test_the_drift_is_the_gradient_in_the_time_that_the_class_names(kind):
    """Assert -grad f in gradient-flow time, where a step is step_size, and -step_size grad f in steps."""
    problem, size = PROBLEMS["finite"], 0.1
    process, x = kind(problem, size), np.array([[1.0, -2.0, 0.5]])
    step = 1.0 if kind is HomogenizedSGD else size
    assert process.clock.unit == ("1" if step == 1 else "step_size")
    assert process.clock.time(7) == pytest.approx(7 * step)
    np.testing.assert_allclose(process.drift(0.0, x), -size / step * problem.gradient(x), rtol=1e-13)
    np.testing.assert_allclose(process.moments(x[0], 7, record=[7])["time"], [0.0, 7 * step], rtol=1e-13)


@pytest.mark.parametrize("kind", [OrnsteinUhlenbeck, ModifiedEquation, HomogenizedSGD])
def test_a_batch_has_its_share_of_the_noise(kind):
    """Assert the noise at the minimiser from sample gradients, label noise included, over B = 3, and OU's equation."""
    features = np.random.default_rng(8).standard_normal((9, 3))
    targets, size, level = np.random.default_rng(9).standard_normal(9), 0.1, 0.7
    problem = LeastSquares.from_arrays(features, targets, 0.2)
    residuals = features @ problem.minimiser - targets
    gradients = residuals[:, None] * features + 0.2 * problem.minimiser
    hessian = features.T @ features / 9
    covariance = np.square(residuals).mean() * hessian if kind is HomogenizedSGD else np.cov(gradients.T, bias=True)
    expected = (covariance + level**2 * hessian) / 3
    process, turn = kind(problem, size, 3, label_noise=level), problem.eigenvectors
    found = turn @ process.noise_map(np.zeros((3, 3)), np.zeros(3)) @ turn.T
    np.testing.assert_allclose(found, expected, atol=1e-14)
    if kind is OrnsteinUhlenbeck:
        law = solve_continuous_lyapunov(hessian + 0.2 * np.eye(3), size * expected)
        np.testing.assert_allclose(process.stationary().covariance, law, rtol=1e-10)


def superoperators(problem, batch_size, noise_map):
    """Matrices on (second moment, mean, 1) of flow, squared step of SGD, and step_size^-2 noise of a diffusion."""
    d = problem.dimension

    def matrix(function):
        columns = []
        for unit in np.eye(d * d + d + 1):
            columns.append(function(unit[: d * d].reshape(d, d), unit[d * d : -1], unit[-1]))
        return np.array(columns).T

    def step(step_size):
        def function(second, mean, one):
            symmetric = (second + second.T) / 2
            after = problem.second_moment_map(symmetric, mean, step_size, batch_size, "with_replacement")
            zero = problem.second_moment_map(0 * second, 0 * mean, step_size, batch_size, "with_replacement")
            after = after + (one - 1) * zero
            return np.concatenate([after.ravel(), (1 - step_size * problem.curvatures) * mean, [one]])

        return matrix(function)

    def noise(second, mean, one):
        constant = noise_map(0 * second, 0 * mean)
        after = noise_map((second + second.T) / 2, mean) + (one - 1) * constant
        return np.concatenate([after.ravel(), 0 * mean, [0.0]])

    plus, minus, size = step(1.0), step(-1.0), d * d + d + 1
    return (minus - plus) / 2, (plus + minus) / 2 - np.eye(size), matrix(noise)


def leading_constant(process, order, time, start):
    """Leading coefficient of the weak error against SGD, by dense exponentials; derived."""
    problem = process.problem
    flow, square, noise = superoperators(problem, process.batch_size, process.noise_map)
    d = problem.dimension
    correction = np.zeros_like(flow)
    if process.drift_order == 2:
        half = 0.5 * problem.curvatures**2
        correction = -np.diag(np.concatenate([np.add.outer(half, half).ravel(), half, [0.0]]))
    first = noise + correction - (square - flow @ flow / 2)
    second = flow @ flow @ flow / 3 - (flow @ square + square @ flow) / 2
    defect = first if order == 1 else second
    block = np.block([[-flow, defect], [np.zeros_like(flow), -flow]])
    return (expm(time * block) @ np.concatenate([np.zeros(d * d + d + 1), start]))[: d * d + d + 1]


@pytest.mark.parametrize("kind", ["finite", "streaming"])
@pytest.mark.parametrize(
    ("name", "order", "mean_order"),
    [
        ("gradient flow", 1, 1),
        ("modified equation, order 1", 1, 1),
        ("modified equation, order 2", 2, 2),
        ("homogenized SGD", 1, 1),
        ("homogenized SGD, drift of order 2", 1, 2),
    ],
)
def test_weak_orders_and_leading_constants(name, order, mean_order, kind):
    """Assert the slope of the errors of mean and second moment against SGD, and their constants within 2 %."""
    problem = finite(ridge=0.1) if kind == "finite" else streaming(0.1)
    time, d = 1.5, problem.dimension
    x0 = np.array([1.0, -1.0, 2.0])
    modes = problem.to_modes(x0)
    start = np.concatenate([np.outer(modes, modes).ravel(), modes, [1.0]])
    flow, square, _ = superoperators(problem, 2, lambda second, mean: 0 * second)
    counts = np.array([150, 300, 600, 1200])
    errors = []
    for count in counts:
        eta = time / count
        step = np.eye(len(flow)) - eta * flow + eta**2 * square
        exact = np.linalg.matrix_power(step, count) @ start
        process = make(name, problem, step_size=eta)
        assert process.weak_order == order
        found = process.moments(x0, int(count), [int(count)]).sel(step=count)
        mean = problem.to_modes(found["mean"].values)
        second = problem.eigenvectors.T @ found["covariance"].values @ problem.eigenvectors + np.outer(mean, mean)
        errors.append(np.concatenate([second.ravel(), mean]) - exact[:-1])
    errors = np.array(errors)
    etas = time / counts
    parts = {"second": (slice(0, d * d), order), "mean": (slice(d * d, None), mean_order)}
    for part, expected in parts.values():
        sizes = np.linalg.norm(errors[:, part], axis=1)
        (slope, _), residual, *_ = np.polyfit(np.log(etas), np.log(sizes), 1, full=True)
        spread = np.sum((np.log(etas) - np.log(etas).mean()) ** 2)
        standard_error = np.sqrt(residual[0] / 2 / spread)
        assert abs(slope - expected) < 0.02 + 3 * standard_error
        predicted = leading_constant(process, expected, time, start)[:-1][part]
        # Richardson: the ladder halves, so the next order cancels.
        scaled = errors[:, part] / etas[:, None] ** expected
        limit = 2 * scaled[-1] - scaled[-2]
        assert np.linalg.norm(limit - predicted) < 0.02 * np.linalg.norm(predicted)


def test_a_slope_alone_proves_nothing():
    """Assert that the constant of gradient flow is not that of the modified equation, of the same order."""
    problem, start = finite(ridge=0.1), np.concatenate([np.ones(9), np.ones(3), [1.0]])
    flow = leading_constant(make("gradient flow", problem), 1, 1.0, start)
    modified = leading_constant(make("modified equation, order 1", problem), 1, 1.0, start)
    assert np.linalg.norm(flow - modified) > 0.1 * np.linalg.norm(flow)


@pytest.mark.parametrize(
    "problem", ["finite", "ridge", "n < d", "n < d, ridge", "no noise", "d = 1", "streaming, ridge"]
)
@pytest.mark.parametrize("name", PROCESSES)
@pytest.mark.parametrize("label_noise", [0.0, 0.5])
def test_stationary_law_is_where_the_moments_stay_and_tend(name, problem, label_noise):
    """Assert that one step from it changes nothing, and that long-time moments from elsewhere reach it."""
    problem = PROBLEMS[problem]
    process = make(name, problem, 0.1, 2, label_noise)
    law = process.stationary()
    scale = max(np.trace(law.covariance), 1e-12)
    stay = process.moments(Gaussian(law.mean, law.covariance), 1, [1]).sel(step=1)
    np.testing.assert_allclose(stay["mean"].values, law.mean, atol=1e-13)
    np.testing.assert_allclose(stay["covariance"].values, law.covariance, atol=1e-13 * scale)
    assert float(stay["risk"]) == pytest.approx(law.risk, rel=1e-12, abs=1e-14)
    moved = problem.eigenvectors[:, ~problem.frozen].sum(axis=1)
    late = process.moments(law.mean + moved, 20_000, [20_000]).sel(step=20_000)
    np.testing.assert_allclose(late["covariance"].values, law.covariance, atol=1e-10 * scale + 1e-13)
    assert float(late["risk"]) == pytest.approx(law.risk, rel=1e-9, abs=1e-12)


def growth(process):
    """Largest real part among the eigenvalues of the generator on second moments, per step."""
    d = process.dimension
    whole = generator_of(process).reshape(d + 1, d + 1, d + 1, d + 1)
    rows, columns = np.triu_indices(d)
    unit = whole[rows, columns][:, rows, columns]
    matrix = np.where(rows == columns, unit, unit + whole[rows, columns][:, columns, rows])
    return np.linalg.eigvals(matrix).real.max() / float(process.clock)


@pytest.mark.parametrize("problem", ["finite", "ridge", "no noise", "streaming, ridge"])
@pytest.mark.parametrize("name", ["modified equation, order 1", "homogenized SGD", "modified equation, order 2"])
def test_the_mean_square_threshold_is_where_the_generator_grows(name, problem):
    """Assert the sign of the growth rate just below and just above, and the error that names the threshold."""
    problem = PROBLEMS[problem]
    threshold = make(name, problem).stability().mean_square_threshold
    if np.isinf(threshold):  # the drift of order 2 outgrows the noise
        assert "order 2" in name and growth(make(name, problem, 1e3)) < 0
        return
    assert growth(make(name, problem, threshold * (1 - 1e-6))) < 0 < growth(make(name, problem, threshold * (1 + 1e-6)))
    for factor in (1.0, 1.5):
        process = make(name, problem, factor * threshold)
        with pytest.raises(InfiniteVariance) as caught:
            process.stationary()
        assert caught.value.threshold == pytest.approx(threshold, rel=1e-9)
    with pytest.warns(StabilityWarning, match="settles only below"):
        past = process.moments(np.ones(3), 4)["risk"].values
    assert np.isfinite(past).all() and past[4] > past[3] > past[2]
    below = make(name, problem, 0.99 * threshold)
    assert np.isfinite(below.stationary().risk)


def test_homogenized_threshold_is_the_closed_form():
    """Assert gamma_c = 2 B / sum(lambda^2 / (lambda + ridge)), also when n < d."""
    for problem in (PROBLEMS["ridge"], PROBLEMS["n < d"], PROBLEMS["streaming, ridge"]):
        active = problem.eigenvalues > 0
        expected = 2 * 3 / (problem.eigenvalues[active] ** 2 / problem.curvatures[active]).sum()
        stability = HomogenizedSGD(problem, 0.1, 3).stability()
        assert stability.mean_square_threshold == pytest.approx(expected, rel=1e-13)
        assert stability.mean_threshold == np.inf


@pytest.mark.parametrize("name", PROCESSES)
def test_negative_curvature_has_no_stationary_law(name):
    """Assert NoStationaryLaw, a mean threshold of zero, and moments that run nevertheless with a warning."""
    process = make(name, finite(ridge=-0.5))
    with pytest.raises(NoStationaryLaw):
        process.stationary()
    assert process.stability().mean_threshold == 0
    with pytest.warns(StabilityWarning, match="negative curvature"):
        assert np.isfinite(process.moments(np.ones(3), 20)["risk"].values).all()


@pytest.mark.filterwarnings("ignore::sgdlimits.exact.errors.StabilityWarning")
@pytest.mark.parametrize("name", ["modified equation, order 1", "homogenized SGD"])
def test_moments_beyond_floating_point_are_inf(name):
    """Assert inf, never nan, where the moments leave the range of numbers."""
    problem = PROBLEMS["finite"]
    process = make(name, problem, 3 * make(name, problem).stability().mean_square_threshold, 2)
    found = process.moments(np.ones(3), 1000, [1, 1000])
    for values in found.values():
        assert not np.isnan(values).any()
    assert np.isinf(found["risk"].values[-1]) and np.isfinite(found["risk"].values[:2]).all()


@pytest.mark.slow
def test_homogenized_moments_in_dimension_1000_take_seconds():
    """Assert that 100 recorded steps at d = 1000 stay closed: variances by one eigenproblem, right risk at the end."""
    d = 1000
    problem = StreamingLeastSquares(1 / np.arange(1, d + 1), 0.3, np.ones(d) / np.sqrt(d))
    process = HomogenizedSGD(problem, 0.1)
    found = process.moments(np.zeros(d), 100_000, [10, 100_000])
    assert float(found["risk"][-1]) == pytest.approx(process.stationary().risk, rel=1e-3)


@pytest.mark.parametrize("name", PROCESSES)
def test_of_takes_the_settings_of_sgd(name):
    """Assert problem, step size, batch size and label noise; and that momentum names the effective step size."""
    problem = PROBLEMS["finite"]
    kind, options = PROCESSES[name]
    process = kind.of(SGD(problem, 0.05, 3, label_noise=0.2), **options)
    assert process.problem is problem
    assert (process.step_size, process.batch_size, process.label_noise) == (0.05, 3, 0.2)
    with pytest.raises(InvalidInput, match=r"step_size=0\.25"):
        kind.of(SGD(problem, 0.05, momentum=0.8), **options)


def test_full_batches_leave_the_noise_of_replacement():
    """Assert B = n scales the noise by 1 / n: drawing n rows with replacement is still noisy."""
    problem = PROBLEMS["finite"]
    one, full = (make("modified equation, order 1", problem, batch_size=b).stationary() for b in (1, problem.samples))
    assert 0 < np.trace(full.covariance) < np.trace(one.covariance)


def test_frozen_directions_keep_their_spread():
    """Assert that with n < d and no ridge a start's covariance stays in the null space of the data."""
    problem = PROBLEMS["n < d"]
    frozen = problem.eigenvectors[:, problem.frozen]
    for name in PROCESSES:
        process = make(name, problem)
        found = process.moments((np.ones(3), np.eye(3)), 200, [200]).sel(step=200)
        np.testing.assert_allclose(frozen.T @ found["covariance"].values @ frozen, np.eye(frozen.shape[1]), atol=1e-12)
        np.testing.assert_allclose(frozen.T @ found["mean"].values, frozen.T @ np.ones(3), atol=1e-12)
        assert process.stationary().frozen_directions.shape == (3, 1)


def test_input_is_refused_in_a_sentence():
    """Assert InvalidInput for settings, problems and solvers that cannot be used; Unstable is one base class."""
    problem = PROBLEMS["finite"]
    logistic = Logistic(problem.features, np.sign(problem.targets))
    with pytest.raises(InvalidInput, match="step_size must be above zero"):
        HomogenizedSGD(problem, 0.0)
    with pytest.raises(InvalidInput, match="batch_size must be"):
        HomogenizedSGD(problem, 0.1, 0)
    with pytest.raises(InvalidInput, match="drift_order must be"):
        HomogenizedSGD(problem, 0.1, drift_order=3)
    with pytest.raises(InvalidInput, match="order must be"):
        ModifiedEquation(problem, 0.1, order=3)
    for kind, sentence in ((HomogenizedSGD, "LeastSquares"), (OrnsteinUhlenbeck, "no minimum of this loss")):
        with pytest.raises(InvalidInput, match=sentence):
            kind(logistic, 0.1)
    with pytest.raises(InvalidInput, match="gradients of single samples"):
        ModifiedEquation(zero_loss.Hyperbola(), 0.1)
    for kind in (ModifiedEquation, GradientFlow):
        with pytest.raises(InvalidInput, match="LeastSquares"):
            kind(logistic, 0.1).moments(np.zeros(3), 5)
    with pytest.raises(InvalidInput, match="did you mean 'strang'"):
        HomogenizedSGD(problem, 0.1).moments(np.zeros(3), 5, solver="strangg")
    with pytest.raises(InvalidInput, match="substeps"):
        HomogenizedSGD(problem, 0.1).moments(np.zeros(3), 5, solver="euler", substeps=0)
    assert issubclass(InfiniteVariance, Unstable) and issubclass(NoStationaryLaw, Unstable)


def test_claims_carry_orders_and_sources():
    """Assert that each class states its theory, with a known source."""
    from sgdlimits.exact.claims import BIBTEX

    for kind in (GradientFlow, OrnsteinUhlenbeck, ModifiedEquation, HomogenizedSGD):
        assert kind.claims and all(claim.source in BIBTEX or claim.source == "derived" for claim in kind.claims)
    with pytest.raises(AttributeError):
        GradientFlow(PROBLEMS["finite"], 0.1).step_size = 0.2


def test_one_sample_makes_no_noise_and_no_threshold():
    """Assert that the batch gradient of a single row never varies, whatever rounding leaves."""
    one = LeastSquares.from_arrays([[1.0, 2.0]], [1.0])
    assert ModifiedEquation(one, 0.1, 3).stability().mean_square_threshold == np.inf
