"""A diffusion of the user's own: two functions and what kind of noise they make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sgdlimits.exact.errors import InvalidInput, axes, finite_array, flag, function, one_of, text, whole_number

from .open_law import OpenLaw
from .solvers.coefficients import NOISE_TYPES, is_compiled


@dataclass(frozen=True, eq=False, repr=False)
class UserDiffusion(OpenLaw):
    """dX = drift(t, X) dt + diffusion(t, X) dW in the sense of Ito.

    The functions must not write into x: NumPy functions get a read-only copy, and what they return is copied, so that
    one buffer may be returned again and again.

    Parameters
    ----------
    drift : function (t, x) -> (P, d), or compiled (t, x, out)
        x is (P, d). t is a number; under adaptive steps it is a (P, 1) array, which broadcasts against x.
    diffusion : function (t, x) -> array, or compiled (t, x, out)
        "additive": (d, m), or (d,) for a diagonal matrix, whatever x is;
        "scalar": (P, d), one Brownian motion for all coordinates;
        "diagonal": (P, d), entry i depends on coordinate i alone;
        "commutative", "general": (P, d, m), or (P, d) for a diagonal matrix that depends on all of x.
    dimension : int
        d.
    noise_dimension : int, optional
        m. Default: 1 for scalar noise, d otherwise.
    noise_type : str
        One of the five above. "commutative" is the user's word that the columns' derivatives along each other agree.
    compiled : bool
        Both functions are numba functions of one path: x (d,), out (d,), and for the diffusion out (d, m) or, with
        `diagonal_matrix`, (d,). `out` is zero on entry: what a function does not write is zero. They run fused with the
        noise.
    diagonal_matrix : bool, optional
        Only for a compiled additive, commutative or general diffusion, whose `out` cannot tell. Default: False.
    derivative : function (t, x, v) -> array shaped as diffusion(t, x), optional
        Derivative of the diffusion along v (P, d). Default: central differences, each coordinate on its own scale.
    ito_correction : function (t, x) -> (P, d), optional
        Half the sum of the columns' derivatives along themselves. Default: from `derivative`.
    linear : (d,) or (d, d) array, optional
        K, where the drift is -K x plus a milder rest: what exponential Euler solves exactly.
    drift_jacobian : function (t, x) -> (P, d, d), optional
        For drift-implicit Euler. Default: differences.
    label : str

    Raises
    ------
    InvalidInput
        If the noise type is unknown, m does not fit it, a function is none, or `compiled` is asked of functions that
        numba has not compiled (or the reverse). When it is run: if a function writes into its argument or returns
        another shape, additive noise depends on x, or a diagonal entry on another coordinate.
    """

    drift: Callable[..., Any]
    diffusion: Callable[..., Any]
    dimension: int
    noise_dimension: int | None = None
    noise_type: str = "general"
    compiled: bool = False
    diagonal_matrix: bool = False
    derivative: Callable[..., Any] | None = None
    ito_correction: Callable[..., Any] | None = None
    linear: np.ndarray | None = None
    drift_jacobian: Callable[..., Any] | None = None
    label: str = "user diffusion"

    instead: ClassVar[str] = "integrate() it, and take times late enough to have forgotten the start"

    def __post_init__(self) -> None:
        d = whole_number("dimension", self.dimension, 1)
        one_of("noise_type", self.noise_type, NOISE_TYPES)
        for name in ("compiled", "diagonal_matrix"):
            object.__setattr__(self, name, flag(name, getattr(self, name)))
        for name in ("derivative", "ito_correction", "drift_jacobian"):
            if getattr(self, name) is not None:
                function(name, getattr(self, name), "or None")
        text("label", self.label)
        m = 1 if self.noise_type == "scalar" else d
        if self.noise_dimension is not None:
            m = whole_number("noise_dimension", self.noise_dimension, 1)
        if (self.noise_type == "scalar" and m != 1) or (
            (self.noise_type == "diagonal" or self.diagonal_matrix) and m != d
        ):
            expected = 1 if self.noise_type == "scalar" else d
            raise InvalidInput(
                f"noise_dimension is {m}, but {self.noise_type} noise in dimension {d} has {expected}: "
                'leave it out, or declare noise_type="general"'
            )
        object.__setattr__(self, "dimension", d)
        object.__setattr__(self, "noise_dimension", m)
        if self.linear is not None:
            shape = (d, d) if axes(self.linear) == 2 else (d,)
            object.__setattr__(self, "linear", finite_array("linear", self.linear, shape=shape))
        for role in ("drift", "diffusion"):
            given = function(role, getattr(self, role), "of (t, x)")
            if self.compiled and not is_compiled(given):
                raise InvalidInput(
                    f"{role} {function_name(given)!r} is not compiled by numba, but compiled=True: decorate it with "
                    f"numba.njit and let it write into out ({role}(t, x, out)), or pass compiled=False"
                )
            if not self.compiled and is_compiled(given) and given.py_func.__code__.co_argcount == 3:
                raise InvalidInput(
                    f"{role} {function_name(given)!r} is compiled by numba and takes (t, x, out): pass compiled=True"
                )

    def __repr__(self) -> str:
        names = ", ".join(f"{role}={function_name(getattr(self, role))}" for role in ("drift", "diffusion"))
        form = "compiled" if self.compiled else "NumPy"
        return f"UserDiffusion({names}, d={self.dimension}, m={self.noise_dimension}; {self.noise_type} noise, {form})"


def function_name(function: Callable[..., Any]) -> str:
    """Name of a function for a sentence."""
    return getattr(function, "__name__", type(function).__name__)
