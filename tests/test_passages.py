"""First passages in both senses: laws known in closed form, orders in dt, beside SGD, edges, refusals."""

import warnings

import numpy as np
import pytest
from scipy import integrate as quadrature
from scipy import stats

from sgdlimits import diffusions, discrete, ensembles
from sgdlimits.ensembles import Brownian, FirstPassage, RecurrenceSimulator
from sgdlimits.ensembles.crossings import hitting_share
from sgdlimits.exact.errors import InvalidInput, OverflowedPaths
from sgdlimits.problems import LeastSquares, zero_loss
from sgdlimits.problems.noise import Langevin
from tests.test_local_noise import ASKED, STREAM, X0, axis, first

DRIFT, LEVEL, HORIZON = 0.5, 1.0, 2.0  # of a Brownian motion of variance 1, from 0
SHIFT = 1.4603545088095868 / np.sqrt(2 * np.pi)  # -zeta(1/2) / sqrt(2 pi), of Broadie, Glasserman and Kou
WALK = diffusions.UserDiffusion(
    lambda t, x: np.full_like(x, DRIFT), lambda t, x: np.ones_like(x), 1, noise_type="diagonal"
)


def both(function, **options):
    """The two senses of one passage, named for an `observables` argument."""
    return {
        "continuous": FirstPassage(function, **options, sense="continuous"), "steps": FirstPassage(function, **options)
    }  # fmt: skip


def passed(level):
    """Bachelier and Levy's probability that the walk reaches a level before the horizon."""
    root = np.sqrt(HORIZON)
    mirrored = np.exp(2 * DRIFT * level) * stats.norm.cdf((-level - DRIFT * HORIZON) / root)
    return stats.norm.cdf((DRIFT * HORIZON - level) / root) + mirrored


def walked(count, paths):
    """Passages of the walk in `count` increments; other counts have other numbers, so that errors are independent."""
    asked = both(first, above=LEVEL)
    run = diffusions.integrate(
        WALK, [0.0], HORIZON, HORIZON / count, paths, seed=count, record=[HORIZON], observables=asked, threads=2
    )
    return run.continuous.values, run.steps.values


def slope_of(sizes, values, errors):
    """Slope of log |values| in log sizes and its standard error, weighted by the values' errors."""
    weights = np.square(values / errors)
    about = np.log(sizes) - np.average(np.log(sizes), weights=weights)
    information = (weights * about**2).sum()
    return (weights * about * np.log(np.abs(values))).sum() / information, 1 / np.sqrt(information)


@pytest.mark.parametrize(("u", "w", "variance"), [(1, 0.5, 1), (0.2, 1, 1), (1, 0, 1), (1, 0.3, 0.01), (0.05, 2, 3)])
def test_time_inside_an_increment_has_the_bridges_law(u, w, variance):
    """Assert quantiles of the drawn share against the density of a bridge's first passage, by quadrature."""
    uniforms = np.random.Generator(np.random.Philox(1)).random((40000, 3))
    drawn = hitting_share(*(np.full(40000, float(number)) for number in (u, w, variance)), uniforms)

    def density(t):
        exponent = (u + w) ** 2 - u**2 / t - w**2 / (1 - t)
        return u / np.sqrt(2 * np.pi * variance * t**3 * (1 - t)) * np.exp(exponent / (2 * variance))

    for part in (0.1, 0.5, 0.9):
        found = quadrature.quad(density, 0, np.quantile(drawn, part), limit=200)[0]
        assert abs(found - part) < 4 * np.sqrt(part * (1 - part) / 40000)


@pytest.mark.parametrize("count", [2, 16])
def test_a_walk_passes_with_the_exact_probability_and_law(count):
    """Assert Bachelier and Levy's probability and the inverse Gaussian law at coarse dt; steps fail both."""
    paths = 40000
    continuous, steps = walked(count, paths)
    interval = stats.binomtest(int(np.isfinite(continuous).sum()), paths).proportion_ci(0.999, "wilson")
    assert interval.low < passed(LEVEL) < interval.high
    law = stats.invgauss(1 / (DRIFT * LEVEL), scale=LEVEL**2)
    assert abs(law.cdf(HORIZON) - passed(LEVEL)) < 1e-12

    def conditional(t):
        return law.cdf(t) / law.cdf(HORIZON)

    assert stats.kstest(continuous[np.isfinite(continuous)], conditional).pvalue > 1e-3
    assert stats.kstest(steps[np.isfinite(steps)], conditional).pvalue < 1e-12
    assert np.isfinite(continuous[np.isfinite(steps)]).all() and (continuous <= steps).all()


def missed(counts, paths):
    """Part of the paths that pass between steps alone, with its standard error, at HORIZON / counts."""
    parts = np.array([np.mean(np.isfinite(c) & np.isinf(s)) for c, s in (walked(n, paths) for n in counts)])
    return HORIZON / np.array(counts), parts, np.sqrt(parts * (1 - parts) / paths)


@pytest.mark.slow
def test_seen_at_steps_a_level_lies_farther_off():
    """Assert the shift of 0.5826 sqrt(dt) by Broadie, Glasserman and Kou, and the order 1/2 of the difference."""
    sizes, parts, errors = missed((16, 32, 64, 128), 40000)
    predicted = passed(LEVEL) - passed(LEVEL + SHIFT * np.sqrt(sizes))
    assert (np.abs(parts - predicted) < 3 * errors + 0.08 * sizes).all()
    slope, error = slope_of(sizes, parts, errors)
    assert error < 0.02 and abs(slope - 0.5) < 0.05 + 3 * error


@pytest.mark.slow
def test_the_difference_of_the_senses_goes_as_the_root_of_dt():
    """Assert the slope 1/2 within three standard errors (0.485 +- 0.013 was found), and the constant of the root."""
    sizes, parts, errors = missed((64, 128, 256, 512), 120000)
    slope, error = slope_of(sizes, parts, errors)
    print(f"slope {slope:.3f} +- {error:.3f}")
    assert error < 0.015 and abs(slope - 0.5) < 3 * error
    density = (passed(LEVEL - 1e-5) - passed(LEVEL + 1e-5)) / 2e-5
    design = np.stack([np.sqrt(sizes), sizes], axis=1) / errors[:, None]
    covariance = np.linalg.inv(design.T @ design)
    constant = (covariance @ design.T @ (parts / errors))[0]
    print(f"constant {constant:.4f} +- {np.sqrt(covariance[0, 0]):.4f}, predicted {SHIFT * density:.4f}")
    assert abs(constant - SHIFT * density) < 3 * np.sqrt(covariance[0, 0])


def risk_passages(levels, paths):
    """Means over dt = 2^-level of the passage (cut at 16 steps) of homogenized SGD's risk, and their differences."""
    process, start = diffusions.HomogenizedSGD(STREAM, 0.2), np.zeros(3)
    path = Brownian(16.0, 16 * 2 ** levels[-1], 3, seed=7)
    asked = both("risk", below=0.25 * float(STREAM.risk(start)))
    found = []
    for level in levels:
        run = diffusions.integrate(
            process, start, 16.0, 0.5**level, paths, seed=7, brownian=path, record=[16.0], observables=asked, threads=2
        )
        found.append([np.minimum(run[sense].values, 16.0) for sense in ("continuous", "steps")])
    found = np.array(found)
    change = np.diff(found, axis=0)
    return found.mean(axis=2).T, change.mean(axis=2).T, change.std(axis=2).T / np.sqrt(paths)


@pytest.mark.parametrize("paths", [8000, pytest.param(40000, marks=pytest.mark.slow)])
def test_bias_between_increments_goes_as_dt(paths):
    """Assert order 1 of the continuous sense and 1/2 of steps on homogenized SGD, with one limit of both."""
    levels = np.array([1, 2, 3, 4])
    (continuous, steps), changes, errors = risk_passages(levels, paths)
    slope, error = slope_of(0.5 ** levels[:-1], changes[0], errors[0])
    other, other_error = slope_of(0.5 ** levels[:-1], changes[1], errors[1])
    print(f"continuous {slope:.3f} +- {error:.3f}, steps {other:.3f} +- {other_error:.3f}")
    assert abs(slope - 1) < 0.1 + 3 * error and abs(other - 0.5) < 0.07 + 3 * other_error
    limits = 2 * continuous[-1] - continuous[-2], (np.sqrt(2) * steps[-1] - steps[-2]) / (np.sqrt(2) - 1)
    spread = 4 * errors[0][-1] + 4 * errors[1][-1] / (np.sqrt(2) - 1)
    assert abs(limits[0] - limits[1]) < spread + 0.02 and steps[-1] - limits[0] > 0.15


def test_a_frozen_noise_is_right_at_coarse_increments():
    """Assert the passage of an Ornstein-Uhlenbeck process one increment a step, against the backward equation."""
    problem = LeastSquares.from_arrays(np.ones((2, 1)), [1.0, -1.0])  # dX = -X dt + sqrt(0.2) dW, a step is 0.2
    process = diffusions.OrnsteinUhlenbeck(problem, 0.2)
    run = process.simulate(
        [1.0], 20, 30000, observables=both(first, below=-0.3), record=[20], seed=1, solver="exponential_euler"
    )
    exact = 0.65729  # Crank-Nicolson on 4000 intervals of [-0.3, 3]
    part = np.isfinite(run.continuous.values).mean()
    assert abs(part - exact) < 4 * np.sqrt(exact * (1 - exact) / 30000)
    assert np.isfinite(run.steps.values).mean() < 0.5
    assert run.continuous.attrs["sense"] == "continuous" and run.steps.attrs["sense"] == "seen at steps"


def test_sgd_passes_as_its_diffusion_seen_at_steps():
    """Assert that SGD of large batches has the passages of its modified equation seen at steps, not the continuous."""
    sgd = discrete.SGD(STREAM, 0.3, batch_size=16)
    level, options = 0.3 * float(STREAM.risk(np.zeros(3))), {"steps": 40, "paths": 8000, "record": [40]}
    own = sgd.simulate(np.zeros(3), observables={"t": FirstPassage("risk", below=level)}, seed=1, **options)
    process = diffusions.ModifiedEquation.of(sgd)
    run = process.simulate(np.zeros(3), observables=both("risk", below=level), seed=2, **options)
    mean, *others = (np.minimum(x.values, 40) for x in (own.t, run.steps, run.continuous))
    gaps = [(x.mean() - mean.mean()) / np.hypot(x.std(), mean.std()) * np.sqrt(8000) for x in others]
    assert abs(gaps[0]) < 4 and gaps[1] < -10


@pytest.mark.slow
def test_a_limit_on_the_set_passes_between_its_integrators_steps():
    """Assert the time when a Brownian motion on the hyperbola passes a point, by arc length, at coarse increments."""
    limit = diffusions.ManifoldLimit(zero_loss.Hyperbola(), Langevin(0.5), 0.1)
    steps, options = 4 * round(float(limit.clock)) // 10, {"paths": 3000, "seed": 3, "dt": 0.1}
    asked = both(first, above=1.4) | {"twice": FirstPassage(first, above=1.4, sense="continuous", gradient=axis)}
    run = limit.simulate([1.0, 1.0], steps, observables=asked, record=[steps], **options)
    fine = limit.simulate([1.0, 1.0], steps, observables=asked, record=[steps], **options | {"dt": 0.005})
    parts = np.array([[np.isfinite(x[name]).mean() for name in asked] for x in (run, fine)])
    assert np.abs(parts[:, 0] - parts[:, 2]).max() < 1e-3 and abs(parts[0, 0] - parts[1, 0]) < 0.03
    assert parts[1, 0] - parts[0, 1] > 0.08 and parts[1, 0] - parts[1, 1] < 0.05
    assert (run.continuous <= run.steps).all()


@pytest.mark.parametrize("count", [2, 8])
def test_a_limit_on_a_flat_set_has_bacheliers_law(count):
    """Assert the exact probability of a Brownian motion on a line, whose variance is that of the noise alone, at any
    integrator step; what is seen at these steps is rejected.
    """
    line = zero_loss.LinearRegression([[1.0, 0.0]], [1.0])
    limit = diffusions.ManifoldLimit(line, Langevin(0.5), 0.2)
    steps, paths = 400, 4000
    spread = 0.2 * 0.5 * np.sqrt(steps)  # step_size sigma a step, along the line
    asked = both(lambda w: w[:, 1], above=1.2 * spread)
    run = limit.simulate(
        [1.0, 0.0], steps, paths=paths, observables=asked, record=[steps], seed=7,
        dt=steps / float(limit.clock) / count,
    )  # fmt: skip
    exact = 2 * stats.norm.sf(1.2)
    hits = [int(np.isfinite(run[name].values).sum()) for name in ("continuous", "steps")]
    assert stats.binomtest(hits[0], paths, exact).pvalue > 1e-3 > stats.binomtest(hits[1], paths, exact).pvalue
    times = run.continuous.values[np.isfinite(run.continuous.values)]
    law = lambda t: stats.norm.sf(1.2 * np.sqrt(steps / t)) / stats.norm.sf(1.2)  # noqa: E731
    assert stats.kstest(times, law).pvalue > 1e-3


def test_levels_of_one_function_are_passed_in_order():
    """Assert that of two levels the nearer is passed in no later increment, and a start beyond passes at once."""
    process = diffusions.HomogenizedSGD(STREAM, 0.4)
    levels = {str(x): FirstPassage(first, above=x, sense="continuous") for x in (0.5, 0.6, 0.7, 0.9)}
    run = process.simulate(X0, 30, 400, observables=levels, seed=1, substeps=2, threads=1)
    increments = np.floor(2 * np.array([run[name].values for name in levels]))
    assert (increments[0] == 0).all() and (np.diff(increments, axis=0)[np.isfinite(increments[:-1])] >= 0).all()
    assert (increments[1] < increments[3]).any()
    ending = FirstPassage(first, above=0.6, sense="continuous", retire=True)
    options = {"steps": 400, "paths": 40, "seed": 1, "chunk": 16, "record": [400]}
    patient = process.simulate(X0, observables={"t": levels["0.6"]}, **options)
    np.testing.assert_array_equal(patient.t, process.simulate(X0, observables={"t": ending}, **options).t)


def test_a_schedule_moves_the_variance_with_it():
    """Assert a constant schedule's passages to the bit, with substeps; a falling one passes less."""
    constant = diffusions.HomogenizedSGD(STREAM, 0.3)
    asked = {"observables": {"t": ASKED["first"]}, "substeps": 3, "seed": 2, "threads": 1, "record": [10]}
    found = [
        diffusions.HomogenizedSGD(STREAM, size).simulate(X0, 10, 300, **asked).t.values
        for size in (constant.step_size, lambda k: 0.3, lambda k: 0.3 * 0.5**k)
    ]
    np.testing.assert_array_equal(found[0], found[1])
    assert np.isfinite(found[2]).sum() < np.isfinite(found[0]).sum()
    with pytest.raises(InvalidInput, match="substeps of this solver are taken together"):
        diffusions.HomogenizedSGD(STREAM, lambda k: 0.3).simulate(X0, 10, 4, **{**asked, "solver": "strang"})


def test_without_noise_a_passage_is_interpolated():
    """Assert the linear time of a crossing, none where it turns back, and that an explosion ends above a level."""
    still = diffusions.UserDiffusion(lambda t, x: 0 * x + 1.0, lambda t, x: 0 * x, 1, noise_type="diagonal")
    asked = {"t": FirstPassage(first, above=0.7, sense="continuous"), "far": FirstPassage(first, above=2.1)}
    run = diffusions.integrate(still, [0.0], 3.0, 0.25, 4, t0=1.0, observables=asked)
    np.testing.assert_allclose(run.t, 1.7)
    assert np.isinf(run.far).all()
    bursting = diffusions.UserDiffusion(lambda t, x: x**3, lambda t, x: 0.1 * x, 1, noise_type="diagonal")
    asked = both("norm", above=1e3, retire=True) | {"never": FirstPassage("norm", below=0.1, sense="continuous")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OverflowedPaths)
        run = diffusions.integrate(bursting, [2.0], 4.0, 0.25, 8, observables=asked, seed=1)
    assert (run.continuous <= run.steps).all() and np.isfinite(run.steps).all() and np.isinf(run.never).all()


def _refused():
    asked = {"t": FirstPassage("norm", above=9.0, sense="continuous")}
    process, start = diffusions.HomogenizedSGD(STREAM, 0.1), {"x0": X0, "steps": 2, "paths": 2, "observables": asked}
    model = zero_loss.Hyperbola()
    yield "is defined at steps only: take sense=", lambda: discrete.SGD(STREAM, 0.1).simulate(**start)
    recurrence = RecurrenceSimulator(discrete.SGD(STREAM, 0.1), 3)
    yield "defined at steps only", lambda: ensembles.run(recurrence, seed=1, **start)
    yield "two-point increments", lambda: process.simulate(solver="weak_euler", **start)
    yield "adapt to a tolerance", lambda: diffusions.integrate(
        WALK, [0.0], 1.0, 0.5, 2, "sriw1", tolerance=0.1, observables=asked
    )
    yield "several of the integrator's steps end", lambda: diffusions.ManifoldLimit(model, Langevin(1.0), 0.1).simulate(
        [1.0, 1.0], 2, 2, observables=asked, substeps=2
    )
    yield "steps.*continuous", lambda: FirstPassage("norm", above=1.0, sense="bridge")
    yield "gradient must be a function", lambda: FirstPassage("norm", above=1.0, gradient=1.0)
    wrong = FirstPassage(first, above=9.0, sense="continuous", gradient=lambda x: 2.0 + 0 * x)
    yield "gradient of observable 't' is wrong", lambda: process.simulate(**{**start, "observables": {"t": wrong}})
    narrow = FirstPassage(first, above=9.0, sense="continuous", gradient=lambda x: np.eye(3)[0])
    yield "gradient", lambda: process.simulate(**{**start, "observables": {"t": narrow}})
    state = FirstPassage("state", above=9.0, sense="continuous")
    yield r"one number a path.*\(3,\)", lambda: process.simulate(**{**start, "observables": {"t": state}})


@pytest.mark.parametrize(("sentence", "call"), list(_refused()))
def test_what_has_no_continuous_passage_is_refused(sentence, call):
    """Assert one sentence that says what to take instead."""
    with pytest.raises(InvalidInput, match=sentence):
        call()
