"""diffrax: our diffusions as its terms, its terms as our diffusions, its solvers as schemes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, TypeAlias

import numpy as np

from sgdlimits.exact.errors import InvalidInput, finite_array, one_of

from ..coefficients import NOISE_TYPES, Coefficients
from ...array_form import ArrayForm, array_form
from ..scheme import EULER_ORDERS
from .libraries import LibraryScheme, claim, form_of_numpy, library, no_derivatives, probe

DTYPES = ("float32", "float64")
# What a compilation is for: an ArrayForm's fields up to its constants.
Facts: TypeAlias = tuple[int, int, str, str, Callable[..., Any], Callable[..., Any]]


@dataclass(frozen=True)
class Diffrax(LibraryScheme):
    """`diffrax.diffeqsolve` under vmap and jit, with one of its solvers of Ito equations.

    Solvers in the sense of Stratonovich are for additive noise, where both senses agree.

    Parameters
    ----------
    method : "Euler", "ItoMilstein", "SEA", "SRA1" or "ShARK"
    noise : "counter" or "library"
        Whose random numbers: this package's Brownian path, or diffrax's UnsafeBrownianPath, its fastest.
    precision : "float64" or "float32"
    """

    method: str = "Euler"
    noise: str = "counter"
    precision: str = "float64"
    name: ClassVar[str] = "diffrax"
    methods: ClassVar[dict[str, dict[str, tuple[float, float]]]] = {
        "Euler": EULER_ORDERS,
        "ItoMilstein": claim(1.0, 1.0, "additive", "scalar", "diagonal", "commutative"),
        "SEA": claim(1.0, 1.0, "additive"),
        "SRA1": claim(1.5, 2.0, "additive"),
        "ShARK": claim(1.5, 2.0, "additive"),
    }
    with_areas: ClassVar[tuple[str, ...]] = ("SEA", "SRA1", "ShARK")

    def __post_init__(self) -> None:
        one_of("precision", self.precision, DTYPES)
        self._settle()

    def run(
        self,
        coefficients: Coefficients,
        t: float,
        x: np.ndarray,
        dt: float,
        w: np.ndarray,
        h: np.ndarray | None,
    ) -> np.ndarray:
        w = np.swapaxes(w, 0, 1)
        areas = w[:, :0] if h is None else np.swapaxes(h, 0, 1)
        return self._solve(coefficients, t, x, dt, w.shape[1], (w, areas), None)

    def run_alone(
        self, coefficients: Coefficients, t: float, x: np.ndarray, dt: float, steps: int, seed: int
    ) -> np.ndarray:
        return self._solve(coefficients, t, x, dt, steps, None, seed)

    def _solve(
        self,
        coefficients: Coefficients,
        t: float,
        x: np.ndarray,
        dt: float,
        steps: int,
        noise: Any,
        seed: int | None,
    ) -> np.ndarray:
        jax = library("jax")
        library("diffrax")
        form = self.array_form(coefficients)
        if form is None:
            if "called back" not in coefficients.cache:
                coefficients.cache["called back"] = form_of_numpy(coefficients.source, x[:1])
            form = coefficients.cache["called back"]
        with jax.enable_x64(self.precision == "float64"):
            # Constants are arguments, so that one compilation serves every process of a kind.
            facts = (
                form.dimension,
                form.noise_dimension,
                form.noise_type,
                form.layout,
                form.drift,
                form.diffusion,
            )
            solve = _compiled(facts, form.native, self, noise is None)
            if noise is None:
                noise = jax.random.split(jax.random.PRNGKey(seed), len(x))
            else:
                noise = tuple(part.astype(self.precision) for part in noise)
            constants = {
                name: np.asarray(value, dtype=self.precision) for name, value in form.constants.items()
            }
            start = np.asarray(form.to_modes(x), dtype=self.precision)
            times = np.asarray([t, t + steps * dt, dt], dtype=self.precision)
            return form.from_modes(np.asarray(solve(constants, times, start, noise), dtype=np.float64))


@lru_cache(maxsize=32)
def _compiled(facts: Facts, native: bool, scheme: Diffrax, alone: bool) -> Any:
    """A jitted function (constants, (t0, t1, dt), starts (P, d), noise) -> ends (P, d)."""
    import diffrax
    import jax

    solver = getattr(diffrax, scheme.method)()
    area = diffrax.SpaceTimeLevyArea if scheme.areas else diffrax.BrownianIncrement
    shape = jax.ShapeDtypeStruct((facts[1],), scheme.precision)

    def one(constants: Any, times: Any, start: Any, noise: Any) -> Any:
        t0, t1, dt = times
        if alone:
            path = diffrax.UnsafeBrownianPath(shape, noise, area)
        else:
            path = _classes()["path"](*noise, t0, dt, area)
        bound = ArrayForm(*facts, constants, native=native)
        return diffrax.diffeqsolve(
            _terms(bound, path, scheme.precision), solver, t0, t1, dt, start, saveat=diffrax.SaveAt(t1=True),
            max_steps=None, adjoint=diffrax.DirectAdjoint(),
        ).ys[-1]  # fmt: skip

    return jax.jit(jax.vmap(one, in_axes=(None, None, 0, 0)))


def _terms(form: ArrayForm, path: Any, precision: str) -> Any:
    import diffrax
    import jax.numpy as jnp
    import lineax

    if form.native:
        drift, diffusion = form.bound(jnp, lambda value: jnp.asarray(value, dtype=precision))
    else:
        drift, diffusion = _called_back(form, precision)

    def matrix(t: Any, z: Any, args: Any) -> Any:
        g = diffusion(t, z)
        if form.layout == "diagonal":
            return lineax.DiagonalLinearOperator(g)
        return g[:, None] if form.layout == "column" else g

    field = diffrax.ODETerm(lambda t, z, args: drift(t, z))
    return diffrax.MultiTerm(field, diffrax.ControlTerm(matrix, path))


def _called_back(form: ArrayForm, precision: str) -> tuple[Any, Any]:
    """NumPy functions of many paths as JAX functions of one; vmap calls them once for all."""
    import jax

    d, m = form.dimension, form.noise_dimension
    # Numbers cross as words of 32 bits: JAX runs callbacks on a thread where its x64 mode may be off.
    words = np.dtype(precision).itemsize // 4

    def back(function: Any, shape: tuple[int, ...]) -> Any:
        def on_host(t: Any, z: Any) -> np.ndarray:
            t, z = (np.ascontiguousarray(bits).view(precision) for bits in (t, z))
            lead = np.broadcast_shapes(t.shape[:-1], z.shape[:-2])
            times = np.broadcast_to(t[..., 0], lead).ravel()
            rows = np.broadcast_to(z[..., 0], (*lead, d)).reshape(-1, d).astype(np.float64)
            values = np.empty((len(rows), *shape, 1), dtype=precision)
            for time in np.unique(times):  # of a scheme's stages
                values[times == time, ..., 0] = function(np, None, float(time), rows[times == time])
            return values.view(np.uint32).reshape(*lead, *shape, words)

        kind = jax.ShapeDtypeStruct((*shape, words), np.uint32)

        @jax.custom_jvp
        def on_device(t: Any, z: Any) -> Any:
            values = jax.pure_callback(
                on_host, kind, _bits(t, precision), _bits(z, precision), vmap_method="expand_dims"
            )
            return jax.lax.bitcast_convert_type(values if words == 2 else values[..., 0], precision)

        @on_device.defjvp
        def refuse(primals: Any, tangents: Any) -> Any:
            raise no_derivatives()

        if function is form.diffusion and form.additive:  # whose derivative by z is zero
            return lambda t, z: on_device(t, jax.lax.stop_gradient(z))
        return on_device

    return back(form.drift, (d,)), back(form.diffusion, (d, m) if form.layout == "matrix" else (d,))


def _bits(x: Any, precision: str) -> Any:
    import jax
    import jax.numpy as jnp

    words = jax.lax.bitcast_convert_type(jnp.asarray(x, dtype=precision), np.uint32)
    return words if words.ndim > jnp.ndim(x) else words[..., None]


def to_diffrax(diffusion: Any, brownian: Any, x0: Any = None, precision: str = "float32") -> Any:
    """A diffusion as the terms that `diffrax.diffeqsolve` takes, for one path.

    A built-in diffusion becomes JAX functions of its modes: pass `process.problem.to_modes(x0)` as y0, and the
    solution to `process.problem.from_modes`. So does any diffusion with a method `array_form()`. The NumPy or numba
    functions of a `UserDiffusion` are called back on the host, without gradients.

    Parameters
    ----------
    diffusion : UserDiffusion, built-in diffusion or any object of that form
    brownian : diffrax Brownian path of shape (noise_dimension,)
        Such as `diffrax.VirtualBrownianTree(t0, t1, tol, shape=(process.noise_dimension,), key=key)`.
    x0 : (d,) array, optional
        Where shapes of NumPy functions are read. Default: 0.5 in every coordinate.
    precision : "float32" or "float64"
        Of the constants; the second needs JAX's x64 mode.

    Returns
    -------
    diffrax.MultiTerm
        Drift and noise. A diagonal matrix is a lineax operator, O(d) a step. Noise whose entries depend on all
        coordinates (homogenized SGD) does not commute: of the Ito solvers take diffrax.Euler.

    Raises
    ------
    MissingLibrary
        If jax or diffrax is not installed.
    InvalidInput
        If the functions do not fit their declaration.
    """
    library("jax")
    library("diffrax")
    one_of("precision", precision, DTYPES)
    form = array_form(diffusion) or form_of_numpy(diffusion, probe(diffusion, x0))
    if _noises(brownian) != (form.noise_dimension,):
        raise InvalidInput(
            f"the Brownian path has shape {_noises(brownian)}, but the diffusion is driven by {form.noise_dimension} "
            f"Brownian motions: make it with shape=({form.noise_dimension},)"
        )
    return _terms(form, brownian, precision)


def from_diffrax(
    terms: Any, x0: Any, args: Any = None, noise_type: str = "general", label: str = "diffrax terms"
) -> Any:
    """The terms of an Ito equation as a `UserDiffusion`, jitted and vectorised over paths.

    Parameters
    ----------
    terms : diffrax.MultiTerm(ODETerm, ControlTerm)
    x0 : (d,) array
        Where shapes are read.
    args
        Passed to the vector fields.
    noise_type : str
        What the caller knows of the noise, which terms do not say.

    Raises
    ------
    MissingLibrary
        If jax or diffrax is not installed.
    InvalidInput
        If the terms are not a drift and one noise, or return another shape.
    """
    from sgdlimits.diffusions.user import UserDiffusion

    one_of("noise_type", noise_type, NOISE_TYPES)
    jax, diffrax, lineax = library("jax"), library("diffrax"), library("lineax")
    parts: Any = getattr(terms, "terms", ())
    if (
        len(parts) != 2
        or not isinstance(parts[0], diffrax.ODETerm)
        or not isinstance(parts[1], diffrax.ControlTerm)
    ):
        raise InvalidInput(
            f"terms is {type(terms).__name__}: pass diffrax.MultiTerm(ODETerm(drift), ControlTerm(diffusion, path))"
        )
    start = finite_array("x0", x0, ndim=1)
    alone = _noises(parts[1].control) == ()  # one Brownian motion, and the field is its column

    def matrix(t: Any, y: Any) -> Any:
        g = parts[1].vf(t, y, args)
        if isinstance(g, lineax.DiagonalLinearOperator):
            return g.diagonal
        g = g.as_matrix() if isinstance(g, lineax.AbstractLinearOperator) else g
        return g[..., None] if alone else g

    def vectorised(function: Any) -> Any:
        many = {ndim: jax.jit(jax.vmap(function, in_axes=(0 if ndim else None, 0))) for ndim in (0, 1)}

        def ours(t: Any, x: np.ndarray) -> np.ndarray:
            with jax.enable_x64(True):
                return np.asarray(many[min(np.ndim(t), 1)](np.ravel(t) if np.ndim(t) else t, x))

        return ours

    drift, diffusion = vectorised(lambda t, y: parts[0].vf(t, y, args)), vectorised(matrix)
    g = diffusion(0.0, start[None])[0]
    operator = isinstance(parts[1].vf(0.0, start, args), lineax.DiagonalLinearOperator)
    _check_control(parts[1].control, g.shape, start.size, operator)
    if noise_type == "additive":
        return UserDiffusion(
            drift, lambda t, x: diffusion(t, x[:1])[0], start.size, g.shape[-1], noise_type, label=label
        )
    if noise_type == "scalar" and g.shape[1:] == (1,):
        return UserDiffusion(
            drift, lambda t, x: diffusion(t, x)[..., 0], start.size, 1, noise_type, label=label
        )
    return UserDiffusion(drift, diffusion, start.size, g.shape[-1], noise_type, label=label)


def _noises(control: Any) -> tuple[int, ...]:
    """Shape of a diffrax Brownian path, as it says itself."""
    shape = getattr(getattr(control, "shape", None), "shape", None)
    if not isinstance(shape, tuple):
        raise InvalidInput(
            f"the control is {type(control).__name__}, whose shape is none of one array: pass a diffrax Brownian path "
            "with shape=(m,), or () for one Brownian motion"
        )
    return shape


def _check_control(control: Any, g: tuple[int, ...], d: int, diagonal: bool) -> None:
    """Raise InvalidInput unless a diffusion of shape `g` and the Brownian path's shape make (d,)."""
    noises = _noises(control)
    if (diagonal and g == noises == (d,)) or g == (d, *(noises or (1,))):
        return
    raise InvalidInput(
        f"the diffusion has shape {g} and its Brownian path {noises}: for y of shape ({d},) they must be ({d}, m) and "
        f"(m,), ({d},) and (), or a lineax diagonal operator and ({d},)"
    )


@lru_cache(maxsize=1)
def _classes() -> dict[str, Any]:
    """Classes that inherit from diffrax's, made when it is there."""
    import equinox
    import jax.numpy as jnp

    diffrax: Any = library("diffrax")

    class FedPath(diffrax.AbstractBrownianPath):
        """Given increments (K, m) and areas of equal steps from `begin` on."""

        w: Any
        h: Any
        begin: Any
        dt: Any
        levy_area: Any = equinox.field(static=True)

        @property
        def t0(self) -> Any:
            return self.begin

        @property
        def t1(self) -> Any:
            return self.begin + len(self.w) * self.dt

        def evaluate(self, t0: Any, t1: Any = None, left: bool = True, use_levy: bool = False) -> Any:
            k = jnp.round((t0 - self.begin) / self.dt).astype(int)
            if not use_levy:
                return self.w[k]
            if self.levy_area is diffrax.BrownianIncrement:
                return diffrax.BrownianIncrement(dt=t1 - t0, W=self.w[k])
            return diffrax.SpaceTimeLevyArea(dt=t1 - t0, W=self.w[k], H=self.h[k])

    return {"path": FedPath}
