"""What diffusions say of their noise inside an increment; the same bits of continuous passages in any cut."""

import numpy as np
import pytest

from sgdlimits import diffusions, ensembles
from sgdlimits.diffusions.local_noise import process_noise
from sgdlimits.ensembles import FirstPassage, saved_state
from sgdlimits.problems import LeastSquares, Logistic, StreamingLeastSquares

STREAM = StreamingLeastSquares(np.diag([1.0, 0.6, 0.3]), 0.3, np.ones(3), ridge=0.05)
X0 = np.array([0.5, -0.3, 0.2])


def first(x):
    return x[:, 0]


def axis(x):
    return np.eye(x.shape[1])[:1].repeat(len(x), axis=0)


def _layouts():
    root = np.array([[0.3, 0.1, 0.0], [0.0, 0.4, 0.2], [0.1, 0.0, 0.3]])
    yield "additive", "additive", lambda t, x: (1 + t) * root
    yield "additive, diagonal", "additive", lambda t, x: np.array([0.3, 0.5, 0.7])
    yield "scalar", "scalar", lambda t, x: 0.3 + 0.2 * x
    yield "diagonal", "diagonal", lambda t, x: 0.3 + 0.2 * np.sin(x)
    yield "general, diagonal matrix", "general", lambda t, x: 0.4 * np.sqrt(1 + x[:, ::-1] ** 2)
    yield "general", "general", lambda t, x: root * np.sqrt(1 + np.square(x).sum(axis=1))[:, None, None]


@pytest.mark.parametrize(("noise_type", "function"), [pytest.param(*x[1:], id=x[0]) for x in _layouts()])
def test_gradients_that_are_left_out_change_nothing(noise_type, function):
    """Assert the same passages of the norm by its own gradient, one that is given, and differences."""
    made = diffusions.UserDiffusion(lambda t, x: -0.2 * x, function, 3, noise_type=noise_type)

    def norm(x):
        return np.sqrt(np.square(x).sum(axis=1))

    ways = (("norm", None), (norm, lambda x: x / norm(x)[:, None]), (norm, None))
    found = []
    for value, gradient in ways:
        asked = {"t": FirstPassage(value, above=1.0, sense="continuous", gradient=gradient)}
        run = diffusions.integrate(made, X0, 3.0, 0.25, 300, seed=2, t0=1.0, observables=asked, threads=1)
        found.append(run.t.values)
    assert np.isfinite(found[0]).any() and (found[0][np.isfinite(found[0])] > 1.0).all()
    np.testing.assert_allclose(found[1:], [found[0]] * 2, rtol=1e-7)


def _processes():
    draw = np.random.Generator(np.random.Philox(5))
    rows, targets = draw.standard_normal((12, 3)), draw.standard_normal(12)
    finite, many = LeastSquares.from_arrays(rows, targets, ridge=0.1), draw.standard_normal((600, 3))
    for problem in (finite, STREAM):
        yield diffusions.HomogenizedSGD(problem, 0.1, label_noise=0.2), "strang"
        yield diffusions.OrnsteinUhlenbeck(problem, 0.1), "euler"
        yield diffusions.ModifiedEquation(problem, 0.1, label_noise=0.2), "heun"
        yield diffusions.ModifiedEquation(problem, 0.1), "euler"
        yield diffusions.GradientFlow(problem, 0.1), "euler"
    yield diffusions.ModifiedEquation(LeastSquares.from_arrays(many, many[:, 0]), 0.1), "euler"
    logistic = Logistic.from_arrays(rows, np.sign(targets), ridge=0.1)
    yield diffusions.ModifiedEquation(logistic, 0.1), "euler"
    yield diffusions.OrnsteinUhlenbeck(logistic, 0.1), "exponential_euler"
    yield diffusions.GradientFlow(logistic, 0.1), "euler"


@pytest.mark.parametrize(("process", "solver"), list(_processes()))
def test_local_variance_is_that_of_the_diffusion_matrix(process, solver):
    """Assert |sigma^T gradient|^2 dt in the process's coordinates against matrices and differences in positions."""
    x = X0 + 0.3 * np.random.Generator(np.random.Philox(6)).standard_normal((16, 3))
    fused = solver in process.solvers
    simulator = process.simulator(solver, 1 if process.always_exact else 2) if fused else process.simulator()
    state = simulator.start(x, ensembles.Noise(0, np.arange(16)))
    local, dt = process_noise(process, simulator), 1 / (float(process.clock) * simulator.substeps)
    z, matrices = local.coordinates(state)[:5], process.diffusion(0.0, x[:5])
    for name, value in (("risk", process.problem.risk), ("norm", lambda x: np.sqrt(np.square(x).sum(axis=1)))):
        slope = np.stack([(value(x[:5] + h) - value(x[:5] - h)) / 2e-6 for h in 1e-6 * np.eye(3)], axis=1)
        gradient = local.gradients[name](z)
        np.testing.assert_allclose(gradient, local.turn(slope), rtol=1e-6, atol=1e-8)
        along = (np.broadcast_to(matrices, (5, *matrices.shape[-2:])) * slope[:, :, None]).sum(axis=1)
        exact = dt * np.square(along).sum(axis=1)
        np.testing.assert_allclose(local.variance(0, z, gradient), exact, rtol=1e-5, atol=1e-14)


ASKED = {
    "risk": FirstPassage("risk", below=0.4, sense="continuous"),
    "first": FirstPassage(first, above=0.7, sense="continuous"),
    "nearer": FirstPassage(first, above=0.6, sense="continuous", gradient=axis),
    "m": ensembles.Maximum("norm"),
}


@pytest.mark.parametrize("place", [3, 4, 5, 6, 8, 10, 11])
def test_bits_do_not_depend_on_chunks_threads_or_first_path(place):
    """Assert the same bits in any cut, of the paths themselves too; a saved state goes on to the same passages."""
    process, solver = list(_processes())[place] if place != 4 else (diffusions.HomogenizedSGD(STREAM, 0.3), "euler")
    options = {"x0": X0, "steps": 12, "seed": 4, "solver": solver, "observables": ASKED, "record": [12]}
    whole = process.simulate(paths=60, threads=1, **options)
    cut = process.simulate(paths=41, first_path=7, threads=2, chunk=16, **options)
    for name in ASKED:
        np.testing.assert_array_equal(whole[name].values[7:48], cut[name].values)
    plain = process.simulate(paths=60, threads=1, **{**options, "observables": {"m": ASKED["m"]}})
    np.testing.assert_array_equal(plain.m.values, whole.m.values)
    if solver == "heun":
        return  # its Brownian path belongs to the whole run
    begun = process.simulate(paths=60, keep_state=True, **{**options, "steps": 5, "record": [5]})
    later = process.simulate(paths=60, **{**options, "x0": saved_state(begun)})
    for name in ("risk", "first"):
        np.testing.assert_array_equal(np.fmin(begun[name], later[name]).values, whole[name].values)
