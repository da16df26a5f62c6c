"""What a user's drift and diffusion may do to their arguments and buffers, at any scale, in every scheme."""

from __future__ import annotations

import importlib.util

import numba
import numpy as np
import pytest

from sgdlimits.diffusions import SCHEMES, UserDiffusion, from_diffrax, from_torchsde, integrate, to_diffrax
from sgdlimits.diffusions.solvers.coefficients import Coefficients
from sgdlimits.exact.errors import InvalidInput, OverflowedPaths
from tests.parameters import slowly


def small(t, x):
    return 0.3 * x


def decay(t, x):
    return -x


@pytest.mark.parametrize("solver", SCHEMES)
def test_a_function_that_writes_into_its_argument_is_named(solver):
    """Assert the sentence in every scheme, for drift and diffusion: X(1) would be 2.70, not exp(-1)."""

    def writes(t, x):
        x *= -1.0
        return x

    noise_type = "additive" if solver.startswith("sra") else "diagonal"
    matrix = (lambda t, x: np.zeros(1)) if noise_type == "additive" else small
    made = UserDiffusion(writes, matrix, 1, noise_type=noise_type, linear=np.ones(1))
    with pytest.raises(InvalidInput, match="drift 'writes' .* wrote into its argument; return a new array"):
        integrate(made, [1.0], 1.0, 0.1, 3, solver)
    if noise_type == "diagonal":
        made = UserDiffusion(decay, writes, 1, noise_type=noise_type, linear=np.ones(1))
        with pytest.raises(InvalidInput, match="diffusion 'writes' .* wrote into its argument; return a new array"):
            integrate(made, [1.0], 1.0, 0.1, 3, solver)


@pytest.mark.parametrize("solver", ["milstein", "heun", "sri2", "sriw1", "ri6", "dri1", "ninomiya_victoir"])
def test_a_function_may_return_one_buffer_again_and_again(solver):
    """Assert the same bits as with a fresh array, for drift and diffusion: schemes keep what a function gave before."""
    buffers = np.zeros((2, 64, 1))

    def shared(which, factor):
        def function(t, x):
            out = buffers[which, : len(x)]
            out[:] = factor * np.sin(x)
            return out

        return function

    fresh = UserDiffusion(lambda t, x: 0.5 * np.sin(x), lambda t, x: 0.3 * np.sin(x), 1, noise_type="diagonal")
    again = UserDiffusion(shared(0, 0.5), shared(1, 0.3), 1, noise_type="diagonal")
    ends = [integrate(made, [1.0], 1.0, 0.1, 9, solver, threads=1).state.values for made in (fresh, again)]
    np.testing.assert_array_equal(*ends)


def test_what_a_function_raises_on_the_way_is_named():
    """Assert the sentence, with the error as its cause, where the drift fails at t = 0.5 only."""

    def fails(t, x):
        if t > 0.4:
            raise KeyError("table")
        return -x

    with pytest.raises(InvalidInput, match="drift 'fails' of .* raised KeyError: 'table'") as caught:
        integrate(UserDiffusion(fails, small, 1, noise_type="diagonal"), [1.0], 1.0, 0.25, 3)
    assert isinstance(caught.value.__cause__, KeyError)


@numba.njit
def writes_sometimes(t, x, out):
    if x[0] > 0:
        out[0] = -x[0]


@numba.njit
def adds(t, x, out):
    out[0] += 0.5


@numba.njit
def spoils(t, x, out):
    out[0] = -x[0]
    x[0] = 7.0


@pytest.mark.parametrize("solver", ["euler", "weak_euler", "milstein", "heun", "ri6"])
@pytest.mark.parametrize(
    ("function", "same"),
    slowly(
        [(writes_sometimes, lambda t, x: np.where(x > 0, -x, 0.0)), (adds, lambda t, x: 0 * x + 0.5), (spoils, decay)],
        lambda case: case[0] is not writes_sometimes,
    ),
)
def test_out_is_zero_on_entry_and_a_compiled_function_cannot_move_the_path(solver, function, same):
    """Assert the paths of the NumPy function that says the same, as drift and as diffusion, fused and looped."""
    made = UserDiffusion(function, adds, 1, noise_type="diagonal", compiled=True)
    plain = UserDiffusion(same, lambda t, x: 0 * x + 0.5, 1, noise_type="diagonal")
    ends = [integrate(d, [0.2], 1.0, 0.125, 64, solver, chunk=16).state.values for d in (made, plain)]
    np.testing.assert_allclose(*ends, rtol=1e-11, atol=1e-12)
    made = UserDiffusion(adds, function, 1, noise_type="diagonal", compiled=True)
    plain = UserDiffusion(lambda t, x: 0 * x + 0.5, same, 1, noise_type="diagonal")
    ends = [integrate(d, [0.2], 0.25, 0.125, 64, solver, chunk=16).state.values for d in (made, plain)]
    np.testing.assert_allclose(*ends, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("solver", ["milstein", "heun", "ninomiya_victoir", "sri2", "drift_implicit_euler"])
@pytest.mark.parametrize("neighbour", [None, 1e6])
def test_paths_do_not_depend_on_the_unit(solver, neighbour):
    """Assert that dX = 2 (u - X) dt + sqrt(u X) dW in units of u is the same for u = 1 and 1e-8, with or without a
    large coordinate beside it."""

    def ends(u):
        scale = np.array([u] if neighbour is None else [u, neighbour])
        made = UserDiffusion(
            lambda t, x: 2 * (scale - x), lambda t, x: np.sqrt(scale * np.maximum(x, 0.0)), scale.size,
            noise_type="diagonal",
        )  # fmt: skip
        return integrate(made, scale, 1.0, 0.05, 200, solver, seed=2).state.values[..., 0] / u

    np.testing.assert_allclose(ends(1e-8), ends(1.0), rtol=1e-6, atol=1e-7)


def test_a_square_root_diffusion_of_small_unit_keeps_its_mean():
    """Assert the mean of a square-root diffusion of size 1e-7 under Heun, within 4 standard errors."""
    u = 1e-7
    made = UserDiffusion(lambda t, x: 2 * (u - x), lambda t, x: np.sqrt(u * np.maximum(x, 0)), 1, noise_type="diagonal")
    x = integrate(made, [u], 1.0, 0.01, 20_000, "heun", record=[1.0]).state.values / u
    assert abs(x.mean() - 1) < 4 * x.std() / np.sqrt(x.size)


def vector(x):
    return x[:, 0]


SHAPES = [
    ("milstein", dict(derivative=lambda t, x, v: vector(v)), r"derivative .* shape \(16,\) .* of shape \(16, 2\)"),
    ("heun", dict(ito_correction=lambda t, x: 1.0), r"ito_correction .* shape \(\) .* of shape \(16, 2\)"),
    ("drift_implicit_euler", dict(drift_jacobian=lambda t, x: -np.eye(2)), r"drift_jacobian .* of shape \(16, 2, 2\)"),
]


@pytest.mark.parametrize(("solver", "given", "sentence"), SHAPES)
def test_optional_functions_of_the_wrong_shape_are_named(solver, given, sentence):
    """Assert the sentence where NumPy would have broadcast."""
    with pytest.raises(InvalidInput, match=sentence):
        integrate(UserDiffusion(decay, small, 2, noise_type="diagonal", **given), [1.0, 2.0], 1.0, 0.1, 16, solver)


@numba.njit
def proportional(t, x, out):
    out[0] = 0.3 * x[0]


NOISE_TYPES = [
    (dict(diffusion=lambda t, x: 0.3 * x[0], noise_type="additive"), "declared additive, but depends on x"),
    (
        dict(diffusion=lambda t, x: np.eye(2) * x.mean(), noise_type="additive"),
        "declared additive, but depends on x: declare it general",
    ),
    (dict(diffusion=lambda t, x: 0.1 * x[:, ::-1], noise_type="diagonal"), "depends on another coordinate"),
]


@pytest.mark.parametrize(("given", "sentence"), NOISE_TYPES)
def test_a_false_noise_type_is_refused(given, sentence):
    """Assert the sentence for additive noise that depends on x, and diagonal noise that mixes coordinates."""
    with pytest.raises(InvalidInput, match=sentence):
        integrate(UserDiffusion(decay, dimension=2, **given), [1.0, 2.0], 1.0, 0.1, 16)


def test_a_false_noise_type_of_a_compiled_function_is_refused():
    """Assert it for a compiled additive diffusion."""
    made = UserDiffusion(proportional, proportional, 1, noise_type="additive", compiled=True, diagonal_matrix=True)
    with pytest.raises(InvalidInput, match="declared additive, but depends on x"):
        Coefficients(made, 0.0, np.ones(1))


@numba.njit
def enormous(t, x, out):
    for i in range(x.size):
        out[i] = 1e60 * x[i]


@numba.njit
def itself(t, x, out):
    for i in range(x.size):
        out[i] = x[i]


@pytest.mark.parametrize("dimension", [1, 50])
def test_fused_and_vectorised_paths_overflow_at_the_same_step(dimension):
    """Assert the step at which the norm, not a coordinate, passes 1e150: 1e150 / sqrt(50) < 2e149 < 1e150."""
    x0, options = np.full(dimension, 2e29), dict(noise_type="diagonal")
    runs = [UserDiffusion(enormous, itself, dimension, compiled=True, **options)]
    runs.append(UserDiffusion(lambda t, x: 1e60 * x, lambda t, x: x, dimension, **options))
    with pytest.warns(OverflowedPaths):
        steps = [integrate(made, x0, 5.0, 1.0, 4, "euler").overflow_step.values for made in runs]
    np.testing.assert_array_equal(steps[0], 2 if dimension == 50 else 3)
    np.testing.assert_array_equal(*steps)


@numba.njit
def pole_at_zero(t, x, out):
    out[0] = np.inf if x[0] == 0.0 else -1.0


@numba.njit
def nothing(t, x, out):
    pass


@numba.njit
def exploding(t, x, out):
    out[0] = np.exp(100 * x[0])


@pytest.mark.parametrize("compiled", slowly([True, False], bool))
def test_an_infinite_coefficient_is_no_overflow(compiled):
    """Assert that a pole on the way is named, where exponential growth is still an overflow."""
    still = nothing if compiled else lambda t, x: 0 * x
    pole = pole_at_zero if compiled else lambda t, x: np.where(x == 0, np.inf, -1.0)
    grows = exploding if compiled else lambda t, x: np.exp(100 * x)
    falling, growing = (UserDiffusion(f, still, 1, noise_type="diagonal", compiled=compiled) for f in (pole, grows))
    with pytest.raises(InvalidInput, match="drift .* gave inf at t = 1, where x is finite"):
        integrate(falling, [1.0], 5.0, 1.0, 4)
    with pytest.warns(OverflowedPaths):
        integrate(growing, [3.0], 5.0, 1.0, 4)


@pytest.mark.parametrize("scale", [1.0, 1e-8])
def test_implicit_euler_settles_in_any_unit_and_names_a_singular_system(scale):
    """Assert y = x - 5 h y^3 to 1e-10 of the unit, and the sentence where 1 - dt J = 0."""
    made = UserDiffusion(lambda t, x: -5 * x**3 / scale**2, lambda t, x: 0 * x, 1, noise_type="diagonal")
    y = integrate(made, [scale], 0.1, 0.1, 1, "drift_implicit_euler").state.values[0, -1, 0] / scale
    assert y + 0.5 * y**3 == pytest.approx(1.0, abs=1e-10)
    with pytest.raises(InvalidInput, match="1 - dt J is singular near t = "):
        singular = UserDiffusion(
            lambda t, x: 2 * x, lambda t, x: 0 * x, 1, noise_type="diagonal",
            drift_jacobian=lambda t, x: np.full((len(x), 1, 1), 2.0),
        )  # fmt: skip
        integrate(singular, [1.0], 1.0, 0.5, 1, "drift_implicit_euler")


@pytest.mark.skipif(importlib.util.find_spec("torchsde") is None, reason="torchsde is not installed")
@pytest.mark.parametrize("solver", ["euler", "heun", "milstein"])
def test_torch_modules_that_work_in_place_do_no_harm(solver):
    """Assert the paths of a module that changes its argument against the one that does not, milstein's derivative
    included."""
    import torch

    class Pure:
        noise_type, sde_type = "diagonal", "ito"

        def f(self, t, y):
            return -y

        def g(self, t, y):
            return 0.3 * torch.sin(y)

    class InPlace(Pure):
        def f(self, t, y):
            return y.mul_(-1.0)

        def g(self, t, y):
            return y.sin_().mul_(0.3)

    ends = [
        integrate(from_torchsde(sde, np.ones(2)), np.ones(2), 1.0, 0.1, 8, solver).state.values
        for sde in (Pure(), InPlace())
    ]
    np.testing.assert_array_equal(*ends)


@pytest.mark.skipif(importlib.util.find_spec("diffrax") is None, reason="diffrax is not installed")
def test_the_brownian_path_of_diffrax_says_how_many_noises_there_are():
    """Assert one common noise for shape (), own noises for a diagonal operator, and a sentence where shapes cannot
    meet, both ways."""
    import diffrax
    import jax
    import jax.numpy as jnp
    import lineax

    def terms(shape, field):
        path = diffrax.VirtualBrownianTree(0.0, 1.0, 1e-3, shape, jax.random.PRNGKey(0))
        return diffrax.MultiTerm(
            diffrax.ODETerm(lambda t, y, args: -y), diffrax.ControlTerm(lambda t, y, args: field, path)
        )

    def correlation(made):
        return np.corrcoef(integrate(made, np.zeros(2), 1.0, 0.25, 400).state.values[:, -1].T)[0, 1]

    for noise_type in ("general", "scalar", "additive"):
        assert correlation(from_diffrax(terms((), jnp.ones(2)), np.zeros(2), noise_type=noise_type)) > 1 - 1e-9
    own = from_diffrax(terms((2,), lineax.DiagonalLinearOperator(jnp.ones(2))), np.zeros(2))
    assert abs(correlation(own)) < 0.2
    with pytest.raises(InvalidInput, match=r"shape \(2,\) and its Brownian path \(2,\)"):
        from_diffrax(terms((2,), jnp.ones(2)), np.zeros(2))
    with pytest.raises(InvalidInput, match=r"shape \(\), but the diffusion is driven by 2"):
        to_diffrax(UserDiffusion(decay, small, 2, noise_type="diagonal"), terms((), jnp.ones(2)).terms[1].control)


def test_a_user_diffusion_is_shown_by_its_functions():
    """Assert a short line without addresses."""
    made = UserDiffusion(decay, small, 2, noise_type="diagonal")
    assert repr(made) == "UserDiffusion(drift=decay, diffusion=small, d=2, m=2; diagonal noise, NumPy)"
