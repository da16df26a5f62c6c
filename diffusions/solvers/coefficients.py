"""What every scheme sees of a diffusion: checked drift and diffusion of many paths, and products with the noise."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Protocol

import numba
import numpy as np

from sgdlimits.ensembles.compiling import compiled
from sgdlimits.exact.errors import InvalidInput, calling, kind, one_of

NOISE_TYPES = ("additive", "scalar", "diagonal", "commutative", "general")
NUDGE = 6e-6  # cube root of the spacing of floats: the best step of a central difference


class Diffusion(Protocol):
    """Any Ito diffusion; `UserDiffusion` says what the functions take and return.

    Optional attributes: compiled, diagonal_matrix, derivative, ito_correction, linear, drift_jacobian, label.
    """

    @property
    def dimension(self) -> int: ...

    @property
    def noise_dimension(self) -> int: ...

    @property
    def noise_type(self) -> str: ...

    def drift(self, t: Any, x: np.ndarray) -> np.ndarray: ...

    def diffusion(self, t: Any, x: np.ndarray) -> np.ndarray: ...


def is_compiled(function: Any) -> bool:
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
def _products_of_one(columns, w, out):
    out[:] = 0.0
    for p in range(w.shape[0]):
        for k in range(w.shape[1]):
            factor = w[p, k]
            for i in range(out.shape[1]):
                out[p, i] += columns[k, i] * factor


@lru_cache(maxsize=64)
def over_paths(function: Callable[..., None]) -> Callable[..., None]:
    """A compiled function of one path as a compiled loop over paths: loop(t (P,), x (P, d), out (P, ...))."""

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
    form : "diagonal", "column" or "matrix"
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
        self.form = self._declared_form()
        x = np.atleast_2d(np.asarray(x, dtype=np.float64))
        # As many rows as no other axis has, so that a transposed result is seen.
        rows = next(n for n in (5, 7, 11) if n not in (self.dimension, self.noise_dimension))
        sample = np.ascontiguousarray(x[np.arange(rows) % len(x)])
        with calling(self.named("drift")):
            drift = self._raw("drift", t, sample)
        with calling(self.named("diffusion")):
            matrix = self._raw("diffusion", t, sample)
        if not self.compiled:
            self.form = self._found_form(np.asarray(matrix), sample)
        for role, values in (("drift", drift), ("diffusion", matrix)):
            self._check(role, values, sample)
            if not np.isfinite(values).all():
                raise InvalidInput(
                    f"{self.named(role)} gives {'nan' if np.isnan(values).any() else 'inf'} at t = {t:g} for a "
                    "finite x: it must be finite at the initial positions"
                )
        self.elementwise = self.additive or self.noise_type in ("scalar", "diagonal")

    def drift(self, t: Any, x: np.ndarray) -> np.ndarray:
        """Drift (P, d)."""
        values = self._raw("drift", t, x)
        self._check("drift", values, x)
        return values

    def diffusion(self, t: Any, x: np.ndarray) -> np.ndarray:
        """Diffusion as the `form` says: (P, d) or (P, d, m); additive (d,) or (d, m) when t is one number."""
        if self.additive and np.ndim(t) > 0:
            times, place = np.unique(np.ravel(t), return_inverse=True)
            return np.stack([self.diffusion(float(time), x[:1]) for time in times])[place]
        values = self._raw("diffusion", t, x)
        self._check("diffusion", values, x)
        return values

    def apply(self, g: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Diffusion times noise (P, m), summed over the noises: (P, d)."""
        if self.form != "matrix":
            return g * w
        out = np.empty((len(w), self.dimension))
        if g.ndim == 2:
            _products_of_one(np.ascontiguousarray(g.T), w, out)
        else:
            _products(g, w, out)
        return out

    def column(self, g: np.ndarray, k: int) -> np.ndarray:
        """Column k of the diffusion, (P, d)."""
        if self.form == "matrix":
            return g[..., k]
        if self.form == "column":
            return g
        out = np.zeros_like(g)
        out[..., k] = g[..., k]
        return out

    def along(self, t: Any, x: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Derivative of the diffusion along v (P, d), shaped as the diffusion."""
        derivative = getattr(self.source, "derivative", None)
        if derivative is not None:
            return np.asarray(derivative(t, x, v), dtype=np.float64)
        size = np.abs(v).max(axis=1, keepdims=True)
        step = NUDGE * (1.0 + np.abs(x).max(axis=1, keepdims=True)) / np.where(size > 0, size, 1.0)
        shift = step * v
        difference = self.diffusion(t, x + shift) - self.diffusion(t, x - shift)
        return difference / (2 * step if difference.ndim == 2 else 2 * step[..., None])

    def self_derivative(self, t: Any, x: np.ndarray, g: np.ndarray) -> np.ndarray:
        """Sum over k of the derivative of column k along itself, (P, d): twice the Ito correction."""
        if self.additive:
            return np.zeros_like(x)
        correction = getattr(self.source, "ito_correction", None)
        if correction is not None:
            return 2.0 * np.asarray(correction(t, x), dtype=np.float64)
        if self.elementwise:
            return self.along(t, x, g)
        out = np.zeros_like(x)
        for k in range(self.noise_dimension):
            change = self.along(t, x, self.column(g, k))
            if self.form == "diagonal":
                out[:, k] += change[:, k]
            else:
                out += change[..., k]
        return out

    def _raw(self, role: str, t: Any, x: np.ndarray) -> np.ndarray:
        function = getattr(self.source, role)
        if not self.compiled:
            return np.asarray(function(t, x))
        d, m = self.dimension, self.noise_dimension
        one = role == "diffusion" and self.additive
        matrix = role == "diffusion" and self.form == "matrix"
        rows = x[:1] if one else np.ascontiguousarray(x)
        out = np.zeros((len(rows), d, m) if matrix else (len(rows), d))
        times = np.ascontiguousarray(
            np.broadcast_to(np.reshape(np.asarray(t, dtype=np.float64), -1), (len(rows),))
        )
        try:
            over_paths(function)(times, rows, out)
        except numba.core.errors.TypingError as error:
            raise InvalidInput(
                f"{self.named(role)} does not compile as {role}(t, x, out) with x ({d},) and out {out.shape[1:]} "
                f"of float64: {str(error).splitlines()[0]}"
            ) from None
        return out[0] if one else out

    def _declared_form(self) -> str:
        if self.noise_type == "scalar":
            return "column"
        if self.noise_type == "diagonal" or getattr(self.source, "diagonal_matrix", False):
            return "diagonal"
        return "matrix"

    def _found_form(self, matrix: np.ndarray, x: np.ndarray) -> str:
        if self.form == "matrix" and self.dimension == self.noise_dimension:
            if matrix.shape == ((self.dimension,) if self.additive else x.shape):
                return "diagonal"
        return self.form

    def _shape(self, role: str, paths: int) -> tuple[int, ...]:
        if role == "drift":
            return (paths, self.dimension)
        tail = (self.dimension, self.noise_dimension) if self.form == "matrix" else (self.dimension,)
        return tail if self.additive else (paths, *tail)

    def _check(self, role: str, values: np.ndarray, x: np.ndarray) -> None:
        shape = self._shape(role, len(x))
        if values.shape != shape:
            kind = (
                ""
                if role == "drift"
                else f" ({self.noise_type} noise, {self.noise_dimension} Brownian motions)"
            )
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
