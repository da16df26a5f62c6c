"""Integrators on the zero-loss set: orders, the constraint, laws, and what stops them."""

import itertools

import numpy as np
import pytest

from sgdlimits.diffusions.manifold.flows import ORDERS
from sgdlimits.diffusions.manifold.schemes import NOISE_SOLVERS, Stepper
from sgdlimits.diffusions.manifold_limit import ManifoldLimit
from sgdlimits.problems import noise, zero_loss
from tests.parameters import slowly

HYPERBOLA = zero_loss.Hyperbola()
W0 = np.array([2.0, 0.5])  # on the set, with x^2 - y^2 = 3.75


def conserved(w):
    return w[..., 0] ** 2 - w[..., 1] ** 2


def network():
    draw = np.random.default_rng(2)
    features = np.column_stack([draw.standard_normal((3, 2)), np.ones(3)])
    return zero_loss.ShallowNetwork(features, draw.standard_normal(3), 4), draw.standard_normal(16)


def slope(steps, errors):
    """Slope of log error against log step and its standard error."""
    x, y = np.log(steps), np.log(errors)
    x = x - x.mean()
    value = (x * y).sum() / (x * x).sum()
    rest = y - y.mean() - value * x
    return value, np.sqrt((rest**2).sum() / (len(x) - 2) / (x * x).sum())


@pytest.fixture(scope="module")
def dropout_on_a_network():
    """Limit, start, and its position at time 0.5 by the adaptive integrator."""
    model, w0 = network()
    limit = ManifoldLimit(model, noise.Dropout(0.01), 0.01)
    return limit, w0, limit.solve(w0, [0.5]).w.values[0]


@pytest.mark.parametrize("solver", slowly(ORDERS, lambda name: name != "rk4"))
def test_projected_integrators_keep_their_order_and_the_constraint(solver, dropout_on_a_network):
    """Assert orders 1, 2, 4 within 0.1 plus two standard errors, and residuals at rounding."""
    limit, w0, exact = dropout_on_a_network
    steps = 0.5 / np.array([8, 16, 32, 64])
    found = [limit.solve(w0, [0.5], solver=solver, dt=dt).w.values[0] for dt in steps]
    assert max(np.abs(limit.model.residual(w)).max() for w in found) < 1e-12
    value, error = slope(steps, [np.linalg.norm(w - exact) for w in found])
    assert abs(value - ORDERS[solver]) < 0.1 + 2 * error and error < 0.1


@pytest.mark.parametrize("solver", slowly(ORDERS, lambda name: name != "heun"))
def test_without_projection_the_constraint_is_violated_at_the_order_of_the_scheme(
    solver, dropout_on_a_network
):
    """Assert that the residual falls at the scheme's order, from far above rounding."""
    limit, w0, _ = dropout_on_a_network
    counts = {"euler": (16, 32, 64), "heun": (12, 16, 24, 32), "rk4": (3, 4, 6, 8, 12)}[solver]
    steps = 0.5 / np.array(counts)
    found = [limit.solve(w0, [0.5], solver=solver, dt=dt, project=False).w.values[0] for dt in steps]
    off = [np.linalg.norm(limit.model.residual(w)) for w in found]
    value, error = slope(steps, off)
    assert off[0] > 1e-8 and off[-1] > 1e-13 and abs(value - ORDERS[solver]) < 0.2 + 2 * error


def langevin():
    return ManifoldLimit(HYPERBOLA, noise.Langevin(0.2), 0.04, start=W0)


def one_step(solver):
    """A step (w, dt, increments, signs) of SGLD on the hyperbola."""
    step = Stepper(langevin()._fields, solver, 1).checked_step
    return lambda *arguments: step(*arguments)[0]


def second_moment(t):
    """E c^2 at time t for dc = 2 (c^2 + 4)^(1/4) dB, c_0 = 3.75, by Crank-Nicolson for the backward
    equation."""
    from scipy.sparse import diags, identity
    from scipy.sparse.linalg import splu

    values = []
    for n in (1000, 2000):
        x = 3.75 + 6 * np.sinh(np.linspace(-7, 7, n + 1) / 1.5)
        left, right = x[1:-1] - x[:-2], x[2:] - x[1:-1]
        rate = 4 * np.sqrt(x[1:-1] ** 2 + 4) / (left + right)
        below, above = rate / left, rate / right
        generator = diags(
            [np.append(below, 0), np.concatenate([[0], -below - above, [0]]), np.append(0, above)], [-1, 0, 1]
        )
        dt = t / 1000
        solve = splu((identity(n + 1) - dt / 2 * generator).tocsc()).solve
        u = x**2
        for _ in range(1000):
            u = solve(u + dt / 2 * (generator @ u))
        values.append(u[n // 2])
    return (4 * values[1] - values[0]) / 3


def weak_moments(step, solver, count, t=0.5):
    """E c and E c^2 at time t after `count` steps with three-point increments, without sampling: the step as
    an operator on functions of c, interpolated by splines."""
    from scipy.interpolate import CubicSpline

    dt = t / count
    c = 2 * np.sinh(np.linspace(-5.5, 5.5, 201))
    x = np.sqrt((c + np.sqrt(c**2 + 4)) / 2)
    points = np.stack([x, 1 / x], axis=-1)
    nodes = np.array(list(itertools.product([-1.0, 0.0, 1.0], repeat=2))) * np.sqrt(3)
    weights = np.where(nodes == 0, 2 / 3, 1 / 6).prod(axis=1)
    branches = [
        (weight / 2, node, sign)
        for weight, node in zip(weights, nodes)
        for sign in ((1.0, -1.0) if solver == "ninomiya_victoir" else (1.0,))
    ]
    total = sum(weight for weight, _, _ in branches)
    shape = (len(c), 1)
    ends = [
        conserved(step(points, dt, np.sqrt(dt) * node * np.ones(shape), sign * np.ones(len(c))))
        for _, node, sign in branches
    ]
    values = []
    for power in (1, 2):
        u = c**power
        for _ in range(count):
            spline = CubicSpline(c, u)
            u = sum(weight / total * spline(end) for (weight, _, _), end in zip(branches, ends))
        values.append(float(CubicSpline(c, u)(3.75)))
    return values


@pytest.mark.parametrize("solver", slowly(NOISE_SOLVERS, lambda name: name == "ninomiya_victoir"))
def test_schemes_have_the_claimed_weak_order(solver):
    """Assert the order of the weak error of E c^2 on the hyperbola under SGLD, computed without sampling."""
    exact = second_moment(0.5)
    assert abs(exact - 22.8496) < 1e-4
    step = one_step(solver)
    counts = np.array([4, 8, 16])
    moments = np.array([weak_moments(step, solver, count) for count in counts])
    value, error = slope(1 / counts, np.abs(moments[:, 1] - exact))
    assert abs(value - NOISE_SOLVERS[solver]) < 0.15 + 2 * error
    assert abs(moments[-1, 0] - 3.75) < 0.02


def test_dropping_the_determinant_drift_is_seen():
    """Assert that intrinsic Brownian motion, without -P grad log det / 4, does not keep E c: a wrong limit
    fails."""
    from sgdlimits.problems import geometry

    def step(w, dt, increments):
        along = np.einsum("pij,pj->pi", geometry.tangent_projector(HYPERBOLA, w), increments)
        return geometry.retract(HYPERBOLA, w + along, base=w)

    assert abs(weak_moments(one_step("normal"), "normal", 32)[0] - 3.75) < 0.01
    assert abs(weak_moments(lambda w, dt, xi, signs: step(w, dt, xi), "normal", 32)[0] - 3.75) > 0.2


@pytest.mark.parametrize(
    "solver", slowly(NOISE_SOLVERS, lambda name: name == "ninomiya_victoir")
)
def test_sampled_paths_keep_the_set_and_the_law_of_their_scheme(solver):
    """Assert E c and E c^2 within 4 standard errors under SGLD, and every path on the set to rounding."""
    limit, paths = langevin(), 500 if solver == "ninomiya_victoir" else 2000
    steps = round(0.5 * limit.clock)
    observables = {"c": conserved, "loss": "risk"}
    data = limit.simulate(
        W0, steps, paths, observables, record=[0, steps], solver=solver, dt=0.5 / 16, seed=5
    )
    c = data.c.values[:, 1]
    expected = weak_moments(one_step(solver), solver, 16)
    for values, mean in ((c, expected[0]), (c**2, expected[1])):
        assert abs(values.mean() - mean) < 4 * values.std() / np.sqrt(paths)
    assert data.loss.values.max() < 1e-20


def test_the_default_scheme_gives_the_law_of_the_limit():
    """Assert E c and E c^2 of the process itself within 4 standard errors."""
    limit = langevin()
    steps = round(0.5 * limit.clock)
    c = limit.simulate(W0, steps, 4000, {"c": conserved}, record=[steps], dt=0.025, seed=1).c.values[:, 0]
    for values, mean in ((c, 3.75), (c**2, second_moment(steps / limit.clock))):
        assert abs(values.mean() - mean) < 4 * values.std() / np.sqrt(len(c))


def test_the_same_seed_gives_the_same_paths_whatever_the_chunk():
    """Assert bitwise equality over chunks, threads and recorded steps that do not change the integrator's
    grid."""
    limit = langevin()
    options = {"steps": 60, "paths": 40, "observables": "state", "seed": 3, "substeps": 1}
    first = limit.simulate(W0, record=[60], chunk=16, threads=1, **options).state.values
    second = limit.simulate(W0, record=[10, 30, 60], chunk=48, threads=2, **options).state.values
    assert np.array_equal(first[:, -1], second[:, -1])


def test_a_deterministic_limit_simulates_as_it_solves():
    """Assert that simulate without noise gives every path of its own start what solve gives."""
    limit = ManifoldLimit(HYPERBOLA, noise.LabelNoise(0.1), 0.1)
    starts = np.array([[2.0, 0.5], [1.5, 1.0], [0.3, 1.2]])
    steps = round(float(limit.clock))
    data = limit.simulate(starts, steps, 3, "state", record=[0, steps])
    for path, start in zip(data.state.values, starts):
        solved = limit.solve(start, [0.0, 1.0]).w.values
        assert np.abs(path - solved).max() < 1e-8
    with pytest.raises(ValueError, match="solver of a deterministic limit is 'normal'"):
        limit.simulate(starts, steps, 3, solver="normal")
