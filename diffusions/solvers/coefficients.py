"""What every scheme sees of a diffusion: checked drift and diffusion of many paths, and products with the noise."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Protocol, TypeGuard

import numba
import numpy as np

from sgdlimits.exact.compiling import CompiledFunction, compiled
from sgdlimits.exact.errors import InvalidInput, calling, kind, one_of
from sgdlimits.exact.numerical_derivatives import derivative_along, derivative_by_entry, jacobian
from sgdlimits.exact.user_functions import call, own_array

NOISE_TYPES = ("additive", "scalar", "diagonal", "commutative", "general")
ELSEWHERE = 1e-2  # relative move of a coordinate by which a declared noise type is tried out
TRIED_OUT = 64  # coordinates at most
SURELY_GONE = 1e100  # a squared norm: what is undefined there is so because the path explodes
ORDINARY = 100.0  # |x| up to which an infinite coefficient is its own doing, not that of a path that ran away
POLE = 1e100  # a coefficient below it beside a point where it is infinite has a pole there


class Diffusion(Protocol):
    """Any Ito diffusion; `UserDiffusion` says what the functions take and return.

    Optional attributes: compiled, diagonal_matrix, derivative, ito_correction, linear, drift_jacobian, label, and
    diffusion_product(t, x, w), which is diffusion(t, x) times w (P, m) without the matrices.
    """

    @property
    def dimension(self) -> int: ...

    @property
    def noise_dimension(self) -> int: ...

    @property
    def noise_type(self) -> str: ...

    def drift(self, t: Any, x: np.ndarray) -> np.ndarray: ...

    def diffusion(self, t: Any, x: np.ndarray) -> np.ndarray: ...


def is_compiled(function: Any) -> TypeGuard[CompiledFunction]:
    """Whether numba compiled the function."""
    return isinstance(function, numba.core.registry.CPUDispatcher)


@compiled
def _products(matrices, w, out):
    # Row by row and in order: a library's matrix product may round by the number of paths.
    for p in range(w.shape[0]):
        for i in range(out.shape[1]):
            total = 0.0
            for k in range(w.shape[1]):
                total += matrices[p, i, k] * w[p, k]
            out[p, i] = total


@compiled
def products_of_one(columns, w, out):
    out[:] = 0.0
    for p in range(w.shape[0]):
        for k in range(w.shape[1]):
            factor = w[p, k]
            for i in range(out.shape[1]):
                out[p, i] += columns[k, i] * factor


@lru_cache(maxsize=64)
def over_paths(function: Callable[..., None]) -> Callable[..., None]:
    """A compiled function of one path as a compiled loop over paths: loop(t (P,), x (P, d), out (P, ...)).

    `out` is zero on entry.
    """

    @numba.njit(nogil=True, error_model="numpy")
    def loop(t, x, out):
        for p in range(x.shape[0]):
            function(t[p], x[p], out[p])

    return loop


def check_diffusion(diffusion: Any) -> None:
    """Raise unless this is an object with what every scheme asks for."""
    for name in ("dimension", "noise_dimension", "noise_type", "drift", "diffusion"):
        if isinstance(diffusion, type) or not hasattr(diffusion, name):
            raise InvalidInput(
                f"{kind(diffusion)} has no {name!r}: a diffusion needs dimension, noise_dimension, noise_type, "
                "drift(t, x) and diffusion(t, x); diffusions.UserDiffusion makes one of two functions"
            )


class Coefficients:
    """Drift and diffusion of P paths, with the products that schemes form.

    Parameters
    ----------
    diffusion : Diffusion
    t, x : float and (d,) or (P, d) array
        Where the functions are tried out once.

    Attributes
    ----------
    layout : "diagonal", "column" or "matrix"
        Whether diffusion(t, x) holds the diagonal of a d x d matrix, one column, or a d x m matrix a path.
    elementwise : bool
        Noise k moves coordinate k alone and by itself, or there is only one noise, or no dependence on x:
        a scheme then needs no loop over the noises.

    Raises
    ------
    InvalidInput
        If an attribute is missing, or a function returns the wrong shape, complex or nan values.
    """

    def __init__(self, diffusion: Diffusion, t: float, x: np.ndarray) -> None:
        check_diffusion(diffusion)
        self.source = diffusion
        self.dimension, self.noise_dimension = int(diffusion.dimension), int(diffusion.noise_dimension)
        self.noise_type = one_of("noise_type", diffusion.noise_type, NOISE_TYPES)
        self.additive = self.noise_type == "additive"
        self.compiled = bool(getattr(diffusion, "compiled", False))
        self.cache: dict[Any, Any] = {}
        self.layout = self._declared_layout()
        x = np.atleast_2d(np.asarray(x, dtype=np.float64))
        # As many rows as no other axis has, so that a transposed result is seen.
        rows = next(n for n in (5, 7, 11) if n not in (self.dimension, self.noise_dimension))
        sample = np.ascontiguousarray(x[np.arange(rows) % len(x)])
        with calling(self.named("drift")):
            drift = self._raw("drift", t, sample)
        # Where products are given, matrices may be too large to make for nothing; then the layout is the declared one.
        product = self._given("diffusion_product", sample.shape, t, sample, np.ones((rows, self.noise_dimension)))
        with calling(self.named("diffusion")):
            matrix = self._raw("diffusion", t, sample) if product is None else product
        if not self.compiled and product is None:
            self.layout = self._found_layout(np.asarray(matrix), sample)
        for role, values in (("drift", drift), ("diffusion", matrix)):
            if values is not product:
                self._check(role, values, sample)
            if not np.isfinite(values).all():
                raise InvalidInput(
                    f"{self.named(role)} gives {'nan' if np.isnan(values).any() else 'inf'} at t = {t:g} for a "
                    "finite x: it must be finite at the initial positions"
                )
        if product is None:
            self._check_noise_type(t, sample, np.array(matrix))
        self.elementwise = self.additive or self.noise_type in ("scalar", "diagonal")

    def drift(self, t: Any, x: np.ndarray) -> np.ndarray:
        """Drift (P, d)."""
        values = self._raw("drift", t, x)
        self._check("drift", values, x)
        return values

    def diffusion(self, t: Any, x: np.ndarray) -> np.ndarray:
        """Diffusion as the `layout` says: (P, d) or (P, d, m); additive (d,) or (d, m) when t is one number."""
        if self.additive and np.ndim(t) > 0:
            times, place = np.unique(np.ravel(t), return_inverse=True)
            return np.stack([self.diffusion(float(time), x[:1]) for time in times])[place]
        values = self._raw("diffusion", t, x)
        self._check("diffusion", values, x)
        return values

    def apply(self, g: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Diffusion times noise (P, m), summed over the noises: (P, d)."""
        if self.layout != "matrix":
            return g * w
        out = np.empty((len(w), self.dimension))
        if g.ndim == 2:
            products_of_one(np.ascontiguousarray(g.T), w, out)
        else:
            _products(g, w, out)
        return out

    def moved(self, t: Any, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
        """Diffusion, and diffusion times noise (P, m), (P, d); without the first where the diffusion gives the second.
        """
        product = self._given("diffusion_product", x.shape, t, x, w)
        if product is not None:
            return None, product
        g = self.diffusion(t, x)
        return g, self.apply(g, w)

    def column(self, g: np.ndarray, k: int) -> np.ndarray:
        """Column k of the diffusion, (P, d)."""
        if self.layout == "matrix":
            return g[..., k]
        if self.layout == "column":
            return g
        out = np.zeros_like(g)
        out[..., k] = g[..., k]
        return out

    def along(self, t: Any, x: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Derivative of the diffusion along v (P, d), shaped as the diffusion."""
        given = self._given("derivative", self._shape("diffusion", len(x)), t, x, v)
        if given is not None:
            return given
        if self.noise_type == "diagonal":
            return derivative_by_entry(lambda y: self.diffusion(t, y), x, v)
        return derivative_along(lambda y: self.diffusion(t, y), x, v)

    def self_derivative(self, t: Any, x: np.ndarray, g: np.ndarray | None) -> np.ndarray:
        """Sum over k of the derivative of column k along itself, (P, d): twice the Ito correction.

        `g` is diffusion(t, x), or None where it was not needed.
        """
        if self.additive:
            return np.zeros_like(x)
        given = self._given("ito_correction", x.shape, t, x)
        if given is not None:
            return 2.0 * given
        if g is None:
            g = self.diffusion(t, x)
        if self.elementwise:
            return self.along(t, x, g)
        out = np.zeros_like(x)
        for k in range(self.noise_dimension):
            change = self.along(t, x, self.column(g, k))
            if self.layout == "diagonal":
                out[:, k] += change[:, k]
            else:
                out += change[..., k]
        return out

    def drift_jacobian(self, t: Any, x: np.ndarray) -> np.ndarray:
        """Derivatives (P, d, d) of the drift."""
        given = self._given("drift_jacobian", (*x.shape, self.dimension), t, x)
        return jacobian(lambda y: self.drift(t, y), x) if given is None else given

    def refuse_undefined(self, t: float, x: np.ndarray) -> None:
        """Raise InvalidInput where a coefficient has no number at the last positions x (P, d) of paths that overflowed.

        An infinite one counts if it is of ordinary size beside x: else the path has exploded, as it has where x is
        large.
        """
        x = x[np.einsum("pi,pi->p", x, x) <= SURELY_GONE]
        if not len(x):
            return
        for role in ("drift", "diffusion"):
            function = getattr(self, role)
            values = function(t, x)
            word = "nan" if np.isnan(values).any() else "inf"
            if np.isfinite(values).all():
                continue
            common = role == "diffusion" and self.additive  # one value for all paths
            ordinary = np.isinf(values if common else values[np.abs(x).max(axis=1) <= ORDINARY]).any()
            if word == "nan" or ordinary or self._has_pole(function, t, x, values):
                raise InvalidInput(
                    f"{self.named(role)} gave {word} at t = {t:g}, where x is finite: let it be defined wherever paths "
                    "can go"
                )

    def _has_pole(self, function: Callable[..., np.ndarray], t: float, x: np.ndarray, values: np.ndarray) -> bool:
        infinite = ~np.isfinite(values)
        for sign in (1.0, -1.0):
            beside = function(t, x + sign * 1e-3 * (1.0 + np.abs(x)))
            if (np.abs(beside[infinite]) < POLE).any():
                return True
        return False

    def _given(self, role: str, shape: tuple[int, ...], *arguments: Any) -> np.ndarray | None:
        """What an optional function of the diffusion returns, checked; None where it has none."""
        function = getattr(self.source, role, None)
        if function is None:
            return None
        values = self._called(role, function, *arguments)
        if values.shape != shape or values.dtype.kind not in "fiu":
            raise InvalidInput(
                f"{self.named(role)} returned {values.dtype} of shape {values.shape} for x of shape "
                f"{arguments[1].shape}: it must return real numbers of shape {shape}"
            )
        return values.astype(np.float64, copy=False)

    def _called(self, role: str, function: Callable[..., Any], *arguments: Any) -> np.ndarray:
        return own_array(lambda: self.named(role), call(lambda: self.named(role), function, *arguments))

    def _raw(self, role: str, t: Any, x: np.ndarray) -> np.ndarray:
        function = getattr(self.source, role)
        if not self.compiled:
            return self._called(role, function, t, x)
        d, m = self.dimension, self.noise_dimension
        one = role == "diffusion" and self.additive
        matrix = role == "diffusion" and self.layout == "matrix"
        rows = np.array(x[:1] if one else x, order="C")  # a copy: what the function writes into it is lost
        out = np.zeros((len(rows), d, m) if matrix else (len(rows), d))
        times = np.ascontiguousarray(np.broadcast_to(np.reshape(np.asarray(t, dtype=np.float64), -1), (len(rows),)))
        try:
            over_paths(function)(times, rows, out)
        except numba.core.errors.TypingError as error:
            raise InvalidInput(
                f"{self.named(role)} does not compile as {role}(t, x, out) with x ({d},) and out {out.shape[1:]} "
                f"of float64: {str(error).splitlines()[0]}"
            ) from None
        return out[0] if one else out

    def _check_noise_type(self, t: float, x: np.ndarray, found: np.ndarray) -> None:
        """Raise InvalidInput where additive noise depends on x, or a diagonal entry on another coordinate."""
        if self.noise_type not in ("additive", "diagonal"):
            return
        places = np.unique(np.linspace(0, self.dimension - 1, min(self.dimension, TRIED_OUT)).astype(int))
        moved, rows = x[:1].repeat(places.size, axis=0), np.arange(places.size)
        steps = ELSEWHERE * np.where(x[0] == 0, 1.0, x[0])
        moved[rows, places] += steps[places]
        if self.additive:
            moved[0] = x[0] + steps
            values, expected = self._raw("diffusion", t, moved), found
        else:
            values, expected = self._raw("diffusion", t, moved), found[:1].repeat(places.size, axis=0)
        if values.shape != expected.shape:
            return  # said where shapes are checked
        off = np.isfinite(values) & ~(np.abs(values - expected) <= 1e-9 * np.abs(expected))
        if self.noise_type == "diagonal":
            off[rows, places] = False
        if off.any():
            what = "depends on x" if self.additive else "has an entry that depends on another coordinate than its own"
            raise InvalidInput(
                f"{self.named('diffusion')} is declared {self.noise_type}, but {what}: declare it general"
            )

    def _declared_layout(self) -> str:
        if self.noise_type == "scalar":
            return "column"
        if self.noise_type == "diagonal" or getattr(self.source, "diagonal_matrix", False):
            return "diagonal"
        return "matrix"

    def _found_layout(self, matrix: np.ndarray, x: np.ndarray) -> str:
        if self.layout == "matrix" and self.dimension == self.noise_dimension:
            if matrix.shape == ((self.dimension,) if self.additive else x.shape):
                return "diagonal"
        return self.layout

    def _shape(self, role: str, paths: int) -> tuple[int, ...]:
        if role == "drift":
            return (paths, self.dimension)
        tail = (self.dimension, self.noise_dimension) if self.layout == "matrix" else (self.dimension,)
        return tail if self.additive else (paths, *tail)

    def _check(self, role: str, values: np.ndarray, x: np.ndarray) -> None:
        shape = self._shape(role, len(x))
        if values.shape != shape:
            kind = "" if role == "drift" else f" ({self.noise_type} noise, {self.noise_dimension} Brownian motions)"
            raise InvalidInput(
                f"{self.named(role)} returned shape {values.shape} for x of shape {x.shape}: it must return {shape}"
                f"{kind}"
            )
        if values.dtype.kind not in "fiu":
            raise InvalidInput(
                f"{self.named(role)} returned {values.dtype} values for x of shape {x.shape}: they must be real numbers"
            )

    def named(self, role: str) -> str:
        function = getattr(self.source, role)
        name = getattr(function, "__name__", type(function).__name__)
        owner = getattr(self.source, "label", type(self.source).__name__)
        return f"{role} {name!r} of {owner}" if name != role else f"{role} of {owner}"
