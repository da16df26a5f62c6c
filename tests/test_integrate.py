"""The one door for Ito diffusions: same paths however they are run, adaptive steps, and input it refuses."""

from __future__ import annotations

import re

import numba
import numpy as np
import pytest

from sgdlimits.diffusions import GradientFlow, ModifiedEquation, OrnsteinUhlenbeck, UserDiffusion, integrate
from sgdlimits.ensembles import Brownian, FirstPassage
from sgdlimits.exact.errors import InvalidInput, OverflowedPaths
from sgdlimits.problems import LeastSquares
from tests.parameters import slowly

X0 = np.array([1.0, -0.5])


def rotating(noise_type="general", **options):
    """A non-commutative diffusion in the plane."""

    def drift(t, x):
        return np.sin(x[:, ::-1]) - 0.5 * x

    def matrix(t, x):
        return np.stack([0.4 + 0.3 * np.sin(x), 0.3 * np.cos(x[:, ::-1])], axis=-1)

    return UserDiffusion(drift, matrix, 2, 2, noise_type, **options)


@numba.njit
def drift_of_path(t, x, out):
    out[0] = np.sin(x[1]) - 0.5 * x[0]
    out[1] = np.sin(x[0]) - 0.5 * x[1]


@numba.njit
def matrix_of_path(t, x, out):
    for i in range(2):
        out[i, 0] = 0.4 + 0.3 * np.sin(x[i])
        out[i, 1] = 0.3 * np.cos(x[1 - i])


@numba.njit
def diagonal_of_path(t, x, out):
    for i in range(2):
        out[i] = 0.4 + 0.3 * np.sin(x[i])


def diagonal(t, x):
    return 0.4 + 0.3 * np.sin(x)


FUSED = {
    "general": (matrix_of_path, rotating().diffusion),
    "diagonal": (diagonal_of_path, diagonal),
    "scalar": (diagonal_of_path, diagonal),
}


# Euler's loop is compiled anew for each pair of functions; test_user_functions has diagonal ones.
CASES = [(solver, noise_type) for solver in ("euler", "weak_euler", "heun", "ri6") for noise_type in FUSED]
COMPILED_APART = {("euler", "diagonal"), ("weak_euler", "diagonal")}


@pytest.mark.parametrize(("solver", "noise_type"), slowly(CASES, lambda case: case in COMPILED_APART))
@pytest.mark.parametrize("quality", slowly(["float32", "float64"], lambda name: name == "float32"))
def test_compiled_diffusions_take_the_steps_of_numpy_ones(noise_type, solver, quality):
    """Assert equality to rounding of fused or looped numba functions and NumPy functions of the same diffusion."""
    m = 1 if noise_type == "scalar" else 2
    in_numba, in_numpy = FUSED[noise_type]
    compiled = UserDiffusion(drift_of_path, in_numba, 2, m, noise_type, compiled=True)
    vectorised = UserDiffusion(rotating().drift, in_numpy, 2, m, noise_type)
    ends = [
        integrate(made, X0, 2.0, 0.05, 37, solver, seed=3, quality=quality).state.values
        for made in (compiled, vectorised)
    ]
    np.testing.assert_allclose(*ends, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("solver", ["euler", "heun", "ri6", "ninomiya_victoir"])
def test_paths_do_not_depend_on_chunks_threads_or_company(solver):
    """Assert bitwise equality for other chunks, threads and numbers of paths, and other paths for another seed."""
    made = rotating()
    whole = integrate(made, X0, 1.0, 0.1, 200, solver, seed=5, threads=1).state.values
    cut = integrate(made, X0, 1.0, 0.1, 200, solver, seed=5, threads=2, chunk=32).state.values
    few = integrate(made, X0, 1.0, 0.1, 70, solver, seed=5, chunk=16).state.values
    other = integrate(made, X0, 1.0, 0.1, 70, solver, seed=6).state.values
    np.testing.assert_array_equal(cut, whole)
    np.testing.assert_array_equal(few, whole[:70])
    assert not (other[:, -1] == few[:, -1]).any()


def test_adaptive_paths_do_not_depend_on_chunks_or_threads():
    """Assert bitwise equality where every path has steps of its own."""
    made = UserDiffusion(lambda t, x: -(x**3), lambda t, x: 0.5 + 0.5 * np.sin(3 * x), 2, noise_type="diagonal")
    runs = [
        integrate(made, 2 * X0, 1.0, 0.25, 64, "sriw1", tolerance=1e-3, threads=threads, chunk=chunk).state.values
        for threads, chunk in ((1, 64), (2, 16))
    ]
    np.testing.assert_array_equal(*runs)


def stiff_companion(rejections):
    """Coordinate 0 is the Brownian motion itself; coordinate 1 forces steps to be rejected."""

    def drift(t, x):
        rejections.append(len(x))
        return np.stack([np.zeros(len(x)), -50 * np.sin(8 * x[:, 1])], axis=-1)

    def matrix(t, x):
        return np.stack([np.ones(len(x)), 1 + np.sin(5 * x[:, 1])], axis=-1)

    return UserDiffusion(drift, matrix, 2, noise_type="diagonal")


def test_rejected_steps_leave_the_brownian_path_unchanged():
    """Assert that a coordinate that is the Brownian motion keeps its values at any tolerance, to rounding."""
    path = Brownian(1.0, 4, 2, seed=12, area=True)
    expected = path.at(np.arange(16), np.arange(5) / 4)[:, :, 0].T
    calls = {}
    for tolerance in (1e-1, 1e-2, 1e-3):
        rejections = []
        made = stiff_companion(rejections)
        run = integrate(made, [0.0, 0.3], 1.0, 0.25, 16, "sriw1", brownian=path, tolerance=tolerance, threads=1)
        np.testing.assert_allclose(run.state.values[:, :, 0], expected, rtol=0, atol=1e-13)
        calls[tolerance] = sum(rejections)
    assert calls[1e-3] > 2 * calls[1e-1]


@pytest.mark.parametrize("solver", ["sriw1", "sriw2"])
def test_adaptive_error_follows_the_tolerance(solver):
    """Assert a root mean square error between 0.3 and 3 times the tolerance, relative to 1 + |x|, over three decades.

    The solution of dX = (X / 2 + sqrt(1 + X^2)) dt + sqrt(1 + X^2) dW is sinh(arsinh(x) + t + W).
    """
    path = Brownian(1.0, 4, 2, seed=13, area=True)
    made = UserDiffusion(
        lambda t, x: 0.5 * x + np.sqrt(1 + x * x), lambda t, x: np.sqrt(1 + x * x), 2, noise_type="diagonal"
    )
    exact = np.sinh(np.arcsinh(X0) + 1 + path.at(np.arange(1000), np.ones(1))[0])
    for tolerance in (1e-1, 1e-2, 1e-3):
        run = integrate(made, X0, 1.0, 0.25, 1000, solver, brownian=path, record=[1.0], tolerance=tolerance, threads=1)
        error = (run.state.values[:, 0] - exact) / (1 + np.abs(exact))
        assert 0.3 < np.sqrt(np.square(error).mean()) / tolerance < 3


@pytest.mark.parametrize("solver", ["sra1", "sra3"])
def test_adaptive_additive_noise_may_depend_on_time(solver):
    """Assert a mean error below a fifth of the tolerance, falling with it over three decades, by a closed form.

    The solution of dX = (f' / f) X dt + f M dW is f(t) (x / f(0) + M W).
    """
    matrix = np.array([[0.3, 0.1], [0.0, 0.4]])
    made = UserDiffusion(
        lambda t, x: 1.5 * np.cos(3 * t) / (1 + 0.5 * np.sin(3 * t)) * x,
        lambda t, x: (1 + 0.5 * np.sin(3 * t)) * matrix, 2, noise_type="additive",
    )  # fmt: skip
    path = Brownian(1.0, 4, 2, seed=13, area=True)
    exact = (1 + 0.5 * np.sin(3)) * (X0 + path.at(np.arange(500), np.ones(1))[0] @ matrix.T)
    errors = []
    for tolerance in (1e-1, 1e-2, 1e-3, 1e-4):
        run = integrate(made, X0, 1.0, 0.25, 500, solver, brownian=path, record=[1.0], tolerance=tolerance, threads=1)
        errors.append(np.abs(run.state.values[:, 0] - exact).mean())
        assert errors[-1] < tolerance / 5
    assert errors[0] > 1e-3 and errors[-1] < errors[0] / 500


def test_record_is_in_time_and_passages_are_too():
    """Assert times on the grid from t0 on, and a first passage given as a time."""
    made = UserDiffusion(lambda t, x: 0 * x + 1.0, lambda t, x: 0 * x, 1, noise_type="diagonal")
    run = integrate(
        made, [0.0], 3.0, 0.25, 4, t0=1.0, record=[1.0, 2.5, 3.0],
        observables={"x": "state", "reached": FirstPassage(lambda x: x[:, 0], above=0.7)},
    )  # fmt: skip
    np.testing.assert_allclose(run.time, [1.0, 2.5, 3.0])
    np.testing.assert_allclose(run.x.values[0, :, 0], [0.0, 1.5, 2.0])
    np.testing.assert_allclose(run.reached, 1.75)
    assert run.x.dims == ("path", "time", "coordinate")
    assert (run.solver, run.strong_order, run.weak_order) == ("euler", 0.5, 1.0)


def test_overflow_is_reported_and_a_tamed_step_prevents_it():
    """Assert the warning for a superlinear drift under Euler, and its absence for the tamed and implicit schemes."""
    made = UserDiffusion(lambda t, x: -(x**3), lambda t, x: 0 * x + 1.0, 1, noise_type="diagonal")
    with pytest.warns(OverflowedPaths, match="of 16 paths overflowed"):
        integrate(made, [30.0], 2.0, 0.1, 16)
    for solver in ("tamed_euler", "drift_implicit_euler"):
        assert np.abs(integrate(made, [30.0], 20.0, 0.1, 16, solver).state.values[:, -1]).max() < 10


@numba.njit
def nan_beyond_two(t, x, out):
    for i in range(x.size):
        out[i] = np.sqrt(2.0 - x[i]) + 3.0


@numba.njit
def wrong_index(t, x, out):
    out[0] = x


def small(t, x):
    return 0.1 * x


BAD = [
    (
        lambda: UserDiffusion(lambda t, x: x[:, 0], small, 2, noise_type="diagonal"),
        "drift .* returned shape .5,. for x of shape .5, 2.: it must return .5, 2.",
    ),
    (
        lambda: UserDiffusion(lambda t, x: x * 1j, small, 2, noise_type="diagonal"),
        "drift .* returned complex128 values",
    ),
    (
        lambda: UserDiffusion(lambda t, x: x * np.nan, small, 2, noise_type="diagonal"),
        "drift .* gives nan at t = 0 for a finite x",
    ),
    (
        lambda: UserDiffusion(small, lambda t, x: x[..., None] * np.ones(3), 2, 2, noise_type="general"),
        r"diffusion .* returned shape \(5, 2, 3\) .* it must return \(5, 2, 2\) \(general noise, 2 "
        r"Brownian motions\)",
    ),
    (
        lambda: UserDiffusion(small, lambda t, x: x[..., None], 2, noise_type="diagonal"),
        r"returned shape \(5, 2, 1\) .* it must return \(5, 2\) \(diagonal noise",
    ),
    (lambda: UserDiffusion(small, small, 2, noise_type="additive"), r"it must return \(2, 2\) \(additive noise"),
    (
        lambda: UserDiffusion(lambda t, x: np.sqrt(2.0 - x) + 3, lambda t, x: 0 * x, 2, noise_type="diagonal"),
        "drift .* gave nan at t = .*, where x is finite",
    ),
    (
        lambda: UserDiffusion(nan_beyond_two, diagonal_of_path, 2, noise_type="diagonal", compiled=True),
        "drift 'nan_beyond_two' .* gave nan at t = .*, where x is finite",
    ),
    (
        lambda: UserDiffusion(wrong_index, diagonal_of_path, 2, noise_type="diagonal", compiled=True),
        r"drift 'wrong_index' .* does not compile as drift\(t, x, out\)",
    ),
    (
        lambda: UserDiffusion(small, diagonal_of_path, 2, noise_type="diagonal", compiled=True),
        "drift 'small' is not compiled by numba, but compiled=True",
    ),
    (
        lambda: UserDiffusion(drift_of_path, small, 2, noise_type="diagonal"),
        r"drift 'drift_of_path' is compiled by numba and takes \(t, x, out\): pass compiled=True",
    ),
    (
        lambda: UserDiffusion(small, small, 2, 3, noise_type="diagonal"),
        "noise_dimension is 3, but diagonal noise in dimension 2 has 2",
    ),
    (
        lambda: UserDiffusion(small, small, 2, noise_type="diagnal"),
        "noise_type is 'diagnal', which is not known; did you mean 'diagonal'",
    ),
]


@pytest.mark.parametrize(("make", "sentence"), BAD)
def test_functions_that_cannot_be_used_are_named(make, sentence):
    """Assert one clear sentence with the function and the shapes."""
    with pytest.raises(InvalidInput, match=sentence):
        integrate(make(), X0, 1.0, 0.1, 20, threads=1)


SETTINGS = [
    (dict(dt=2.0), "dt is 2, longer than the horizon t1 - t0 = 1"),
    (dict(dt=0.3), r"dt = 0.3 does not divide the horizon t1 - t0 = 1: take 0.25, which is \(t1 - t0\) / 4"),
    (dict(dt=-0.1), "dt must be above zero"),
    (dict(solver="milstien"), "solver is 'milstien', which is not known; did you mean 'milstein'"),
    (dict(solver="milstein"), "solver 'milstein' treats .* but user diffusion has general noise .*non-commutative"),
    (dict(solver="sra1"), "solver 'sra1' treats additive noise, but user diffusion has general noise"),
    (dict(tolerance=1e-2), "solver 'euler' has no error estimate"),
    (dict(solver="ri6", brownian=Brownian(1.0, 10, 2)), "draws three-point increments, which have no Brownian path"),
    (dict(brownian=Brownian(1.0, 10, 3)), "brownian has dimension 3 on a horizon of 1, but the run needs dimension 2"),
    (dict(brownian=Brownian(1.0, 7, 2)), "the run has 10 steps, which neither halve nor join the 7 of brownian"),
    (dict(record=[0.55]), "record asks for time 0.55, which is no multiple of dt after t0: take 0.6"),
    (dict(record=[0.5, 1.2]), "record asks for time 1.2, but the run goes from 0 to 1"),
    (dict(record=[-0.1, 0.5]), "record asks for time -0.1, but the run goes from 0 to 1"),
    (dict(record=[0.5, 0.3]), "record must increase from step to step of dt, got time 0.3 after 0.5"),
    (dict(record=[]), "record is empty: name at least one time"),
    (dict(record=99), "record asks for 99 times, but dt makes 11"),
    (dict(paths=None), "paths is missing"),
    (dict(observables="risk"), "this process has no built-in 'risk'"),
    (dict(solver="exponential_euler"), "'exponential_euler' needs the linear part of the drift"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "sentence"), SETTINGS)
def test_settings_that_cannot_be_used_are_named(settings, sentence):
    """Assert one clear sentence that says what to change."""
    arguments = {"diffusion": rotating(), "x0": X0, "t1": 1.0, "dt": 0.1, "paths": 20, **settings}
    with pytest.raises(InvalidInput, match=sentence):
        integrate(**arguments)


@pytest.mark.parametrize(("horizon", "dt"), [(5.0, 0.3), (1.0, 0.07), (np.pi, 1e-3), (1e-7, 3e-8), (2.0, 3.0)])
def test_the_advised_step_is_taken(horizon, dt):
    """Assert that the dt, or the time, that an error advises is accepted as it is printed."""
    made = UserDiffusion(lambda t, x: -x, lambda t, x: x, 1, noise_type="diagonal")
    with pytest.raises(InvalidInput) as caught:
        integrate(made, [1.0], horizon, dt, 2)
    advised = float(re.search(r"take (?:dt <= )?([-+.e0-9]*[0-9])", str(caught.value))[1])
    run = integrate(made, [1.0], horizon, advised, 2)
    with pytest.raises(InvalidInput) as caught:
        integrate(made, [1.0], horizon, advised, 2, record=[0.4 * run.attrs["dt"], horizon])
    integrate(made, [1.0], horizon, advised, 2, record=[float(re.search(r"take ([-+.e0-9]+)", str(caught.value))[1])])


@pytest.mark.parametrize("solver", ["exponential_euler", "strang", "euler"])
def test_built_in_processes_state_their_linear_part(solver):
    """Assert that exponential schemes run on every built-in process, and that the Ornstein-Uhlenbeck law is exact."""
    problem = LeastSquares.gaussian(10, 3, spectrum=1.0, noise=0.3, seed=1, ridge=0.1)
    for process in (OrnsteinUhlenbeck(problem, 0.5), GradientFlow(problem, 0.5), ModifiedEquation(problem, 0.1)):
        t1 = 5 / float(process.clock)
        ends = integrate(process, np.ones(3), t1, t1 / 5, 4000, solver, record=[t1]).state.values[:, 0]
        exact = process.moments(np.ones(3), 5, record=[5])
        error = np.abs(ends.mean(axis=0) - exact["mean"].values[-1]).max()
        if solver == "exponential_euler":
            spread = np.sqrt(np.diagonal(exact["covariance"].values[-1])).max()
            assert error < 5 * spread / np.sqrt(4000) + 1e-12
        if isinstance(process, OrnsteinUhlenbeck):
            right = solver == "exponential_euler"
            off = np.abs(np.cov(ends.T) - exact["covariance"].values[-1]).max() / exact["covariance"].values[-1].max()
            assert (off < 0.1) == right or solver == "strang"
