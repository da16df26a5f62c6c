"""sdeint: our diffusions as its pairs of functions, its pairs as our diffusions, its solvers as schemes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from sgdlimits.exact.errors import InvalidInput, calling, finite_array, function, kind

from ..coefficients import Coefficients
from ..scheme import EULER_ORDERS
from .libraries import LibraryScheme, claim, library, probe


class SdeintPair(NamedTuple):
    """What `sdeint.itoint(*pair, y0, tspan)` takes: f(y, t) -> (d,) and G(y, t) -> (d, m)."""

    f: Callable[[np.ndarray, float], np.ndarray]
    G: Callable[[np.ndarray, float], np.ndarray]


@dataclass(frozen=True)
class Sdeint(LibraryScheme):
    """One of sdeint's Ito methods, path by path.

    Parameters
    ----------
    method : "itoEuler" or "itoSRI2"
        The second draws its double integrals from sdeint's own approximation, given our increments: where the noise
        does not commute they are not those of our Brownian path, and against that its strong order is a half.
    noise : "counter" or "library"
        Whose increments: this package's Brownian path, or NumPy's generator as sdeint uses it.
    """

    method: str = "itoEuler"
    noise: str = "counter"
    name: ClassVar[str] = "sdeint"
    methods: ClassVar[dict[str, dict[str, tuple[float, float]]]] = {
        "itoEuler": EULER_ORDERS,
        "itoSRI2": claim(1.0, 1.0, "additive", "scalar", "diagonal", "commutative") | claim(0.5, 1.0, "general"),
    }

    def __post_init__(self) -> None:
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
        return self._solve(coefficients, t, x, dt, len(w), lambda p: {"dW": np.ascontiguousarray(w[:, p]),
                           "generator": _generator(w[0, p])})  # fmt: skip

    def run_alone(
        self, coefficients: Coefficients, t: float, x: np.ndarray, dt: float, steps: int, seed: int
    ) -> np.ndarray:
        generator = np.random.default_rng(seed)
        return self._solve(coefficients, t, x, dt, steps, lambda p: {"generator": generator})

    def _solve(
        self,
        coefficients: Coefficients,
        t: float,
        x: np.ndarray,
        dt: float,
        steps: int,
        noise: Callable[[int], Any],
    ) -> np.ndarray:
        solve = getattr(library("sdeint"), self.method)
        pair, times = _pair(coefficients), t + dt * np.arange(steps + 1)
        return np.stack([solve(*pair, row, times, **noise(p))[-1] for p, row in enumerate(x)])


def to_sdeint(diffusion: Any, x0: Any = None) -> SdeintPair:
    """A diffusion as the functions f(y, t) and G(y, t) of one path that sdeint takes, in original coordinates.

    Parameters
    ----------
    diffusion : UserDiffusion, built-in diffusion or any object of that form
    x0 : (d,) array, optional
        Where shapes are read. Default: 0.5 in every coordinate.

    Raises
    ------
    InvalidInput
        If the functions do not fit their declaration.
    """
    origin = getattr(getattr(diffusion, "drift", None), "sdeint_pair", None)
    return origin or _pair(Coefficients(diffusion, 0.0, probe(diffusion, x0)))


def from_sdeint(
    f: Callable[..., Any], G: Any, x0: Any, noise_type: str = "general", label: str = "sdeint functions"
) -> Any:
    """sdeint's functions as a `UserDiffusion`; one call a path, as they are written for one.

    Parameters
    ----------
    f : function (y, t) -> (d,)
    G : function (y, t) -> (d, m), or a list of m functions (y, t) -> (d,)
    x0 : (d,) array
        Where shapes are read.
    noise_type : "general" or "commutative"
        What the caller knows of G.

    Raises
    ------
    InvalidInput
        If a function returns the wrong shape.
    """
    from sgdlimits.diffusions.user import UserDiffusion

    start = finite_array("x0", x0, ndim=1)
    function("f", f, "of (y, t)")
    if not callable(G) and not (isinstance(G, (list, tuple)) and G and all(callable(column) for column in G)):
        raise InvalidInput(f"G must be a function of (y, t), or a list of such, got {kind(G)}")
    matrix = G if callable(G) else _columns(G)
    with calling("G"):
        shape = np.shape(matrix(start, 0.0))
    with calling("f"):
        slope = np.shape(f(start, 0.0))
    if slope != start.shape or len(shape) != 2 or shape[0] != start.size:
        raise InvalidInput(
            f"f and G return the shapes {slope} and {shape} for y of shape {start.shape}: they must "
            f"return {start.shape} and ({start.size}, m)"
        )

    def drift(t: Any, x: np.ndarray) -> np.ndarray:
        return _rows(f, t, x)

    drift.sdeint_pair = SdeintPair(f, matrix)  # type: ignore[attr-defined]  # the way back gives the functions themselves
    return UserDiffusion(
        drift, lambda t, x: _rows(matrix, t, x), start.size, shape[1], noise_type, label=label
    )


def _rows(function: Callable[..., Any], t: Any, x: np.ndarray) -> np.ndarray:
    times = np.broadcast_to(np.reshape(np.asarray(t, dtype=np.float64), -1), (len(x),))
    return np.stack([function(row, float(time)) for row, time in zip(x, times, strict=True)])


def _columns(functions: Sequence[Callable[..., Any]]) -> Callable[..., Any]:
    return lambda y, t: np.stack([function(y, t) for function in functions], axis=-1)


def _pair(coefficients: Coefficients) -> SdeintPair:
    def f(y: np.ndarray, t: float) -> np.ndarray:
        return coefficients.drift(t, y[None])[0]

    def G(y: np.ndarray, t: float) -> np.ndarray:
        g = coefficients.diffusion(t, y[None])
        g = g if coefficients.additive else g[0]
        return (
            np.diag(g)
            if coefficients.layout == "diagonal"
            else g[:, None]
            if coefficients.layout == "column"
            else g
        )

    return SdeintPair(f, G)


def _generator(row: np.ndarray) -> np.random.Generator:
    # What sdeint draws beyond the increments is fixed by the path's first increment: chunks and threads change nothing.
    return np.random.default_rng(np.ascontiguousarray(row).view(np.uint32))
