"""torchsde: our diffusions as its modules, its modules as our diffusions, its solvers as schemes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from sgdlimits.exact.errors import InvalidInput, finite_array, one_of, shown

from ..coefficients import Coefficients
from ...array_form import ArrayForm, array_form
from ..scheme import EULER_ORDERS
from .libraries import LibraryScheme, claim, form_of_numpy, ito_only, library, no_derivatives, probe

DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class TorchSDE(LibraryScheme):
    """`torchsde.sdeint` with one of its Ito methods.

    Parameters
    ----------
    method : "euler", "milstein" or "srk"
    noise : "counter" or "library"
        Whose random numbers: this package's Brownian path (default: the same path as our schemes take), or
        torchsde's BrownianInterval, whose paths depend on how many run together.
    precision : "float64" or "float32"
    """

    method: str = "euler"
    noise: str = "counter"
    precision: str = "float64"
    name: ClassVar[str] = "torchsde"
    methods: ClassVar[dict[str, dict[str, tuple[float, float]]]] = {
        "euler": EULER_ORDERS,
        "milstein": claim(1.0, 1.0, "additive", "scalar", "diagonal"),
        "srk": {**claim(1.5, 2.0, "additive"), **claim(1.5, 1.5, "scalar", "diagonal")},
    }
    with_areas: ClassVar[tuple[str, ...]] = ("srk",)

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
        tensor = self._tensor
        path = _classes()["path"](tensor(w), None if h is None else tensor(h), t, dt)
        return self._solve(coefficients, t, x, dt, len(w), path)

    def run_alone(
        self, coefficients: Coefficients, t: float, x: np.ndarray, dt: float, steps: int, seed: int
    ) -> np.ndarray:
        torchsde, torch = library("torchsde"), library("torch")
        path = torchsde.BrownianInterval(
            t, t + steps * dt, (len(x), coefficients.noise_dimension), entropy=seed,
            dtype=getattr(torch, self.precision), levy_area_approximation="space-time" if self.areas else "none",
        )  # fmt: skip
        return self._solve(coefficients, t, x, dt, steps, path)

    def _tensor(self, array: np.ndarray) -> Any:
        torch = library("torch")
        return torch.as_tensor(array, dtype=getattr(torch, self.precision))

    def _solve(
        self, coefficients: Coefficients, t: float, x: np.ndarray, dt: float, steps: int, path: Any
    ) -> np.ndarray:
        torchsde, torch = library("torchsde"), library("torch")
        key = ("torchsde", self.precision)
        if key not in coefficients.cache:
            form = self.array_form(coefficients) or form_of_numpy(coefficients.source, x[:1])
            coefficients.cache[key] = _classes()["equation"](form, getattr(torch, self.precision))
        equation = coefficients.cache[key]
        start = self._tensor(equation.array_form.to_modes(x))
        times = torch.tensor([t, t + steps * dt], dtype=torch.float64)
        with torch.no_grad():
            end = torchsde.sdeint(equation, start, times, bm=path, method=self.method, dt=dt)[-1]
        return equation.array_form.from_modes(end.numpy().astype(np.float64))


def to_torchsde(diffusion: Any, x0: Any = None, dtype: Any = None) -> Any:
    """A diffusion as a module that `torchsde.sdeint` takes.

    A built-in diffusion becomes torch functions of its modes, differentiable and movable by `.to(device)`: pass
    `sde.to_modes(x0)` as the initial state, and the solution to `sde.from_modes`. So does any diffusion with a
    method `array_form()`. The NumPy or numba functions of a `UserDiffusion` are called back on the CPU, without
    gradients.

    Parameters
    ----------
    diffusion : UserDiffusion, built-in diffusion or any object of that form
    x0 : (d,) array, optional
        Where shapes of NumPy functions are read. Default: 0.5 in every coordinate.
    dtype : torch.dtype, optional
        Of the constants. Default: torch's default.

    Returns
    -------
    torch.nn.Module
        With `noise_type`, `sde_type` = "ito", `f` and `g`; `array_form`, the ArrayForm behind it. Noise whose matrix is
        diagonal but depends on all coordinates (homogenized SGD) comes as "diagonal" with `f_and_g` alone, O(d) a
        step: method="euler" runs it, and the others, which would be wrong, miss `g`.

    Raises
    ------
    MissingLibrary
        If torch or torchsde is not installed.
    InvalidInput
        If the functions do not fit their declaration.
    """
    torch = library("torch")
    library("torchsde")
    origin = getattr(getattr(diffusion, "drift", None), "torchsde_module", None)
    if origin is not None:
        return origin
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise InvalidInput(f"dtype must be a floating torch.dtype, got {shown(dtype)}")
    form = array_form(diffusion) or form_of_numpy(diffusion, probe(diffusion, x0))
    return _classes()["equation"](form, dtype or torch.get_default_dtype())


def from_torchsde(sde: Any, x0: Any, label: str = "torchsde module") -> Any:
    """A torchsde module as a `UserDiffusion`, with derivatives of the diffusion by torch.

    Parameters
    ----------
    sde : object with `noise_type`, `sde_type` and `f` and `g`, or `f_and_g`
    x0 : (d,) array
        Where shapes are read.

    Raises
    ------
    MissingLibrary
        If torch is not installed.
    InvalidInput
        If the module is in the sense of Stratonovich or lacks a function.
    """
    from sgdlimits.diffusions.user import UserDiffusion

    torch = library("torch")
    if getattr(sde, "sde_type", None) != "ito":
        raise ito_only("Stratonovich" if hasattr(sde, "sde_type") else "no sde_type", type(sde).__name__)
    if not (hasattr(sde, "f_and_g") or (hasattr(sde, "f") and hasattr(sde, "g"))):
        raise InvalidInput(
            f"{type(sde).__name__} has neither f and g nor f_and_g: a torchsde module needs them"
        )
    noise_type = one_of("noise_type", sde.noise_type, ("additive", "scalar", "diagonal", "general"))
    start = finite_array("x0", x0, ndim=1)
    held = [*sde.parameters(), *sde.buffers()] if isinstance(sde, torch.nn.Module) else []
    dtype = next((value.dtype for value in held if value.is_floating_point()), torch.float64)
    functions = _TorchFunctions(sde, noise_type, dtype)
    with torch.no_grad():
        shape = functions.both(0.0, torch.as_tensor(start, dtype=dtype)[None])[1].shape
    if noise_type == "diagonal" and not hasattr(sde, "g"):
        noise_type = "general"  # the module keeps elementwise methods away
    elementwise = noise_type in ("diagonal", "scalar")
    return UserDiffusion(
        functions.drift(), functions.diffusion, start.size, None if len(shape) == 2 else shape[-1], noise_type,
        derivative=functions.derivative if elementwise else None, label=label,
    )  # fmt: skip


@dataclass(frozen=True)
class _TorchFunctions:
    """The functions of a torchsde module on NumPy arrays; a module that works in place gets tensors of its own."""

    sde: Any
    noise_type: str
    dtype: Any

    def both(self, t: Any, y: Any) -> tuple[Any, Any]:
        torch, sde = library("torch"), self.sde
        t = torch.tensor(t, dtype=y.dtype)
        if not hasattr(sde, "f"):
            return sde.f_and_g(t, y.clone())
        return sde.f(t.clone(), y.clone()), sde.g(t, y.clone())

    def drift(self) -> Any:
        def f(t: Any, x: np.ndarray) -> np.ndarray:
            torch = library("torch")
            with torch.no_grad():
                return self.both(t, torch.tensor(x, dtype=self.dtype))[0].numpy()

        f.torchsde_module = self.sde  # type: ignore[attr-defined]  # so that the way back gives the module itself
        return f

    def diffusion(self, t: Any, x: np.ndarray) -> np.ndarray:
        torch = library("torch")
        with torch.no_grad():
            return self._ours(self.both(t, torch.tensor(x, dtype=self.dtype))[1]).numpy()

    def derivative(self, t: Any, x: np.ndarray, v: np.ndarray) -> np.ndarray:
        torch = library("torch")
        y, along = (torch.tensor(a, dtype=self.dtype) for a in (x, v))
        return torch.autograd.functional.jvp(lambda y: self._ours(self.both(t, y)[1]), y, along)[1].numpy()

    def _ours(self, g: Any) -> Any:
        return g[..., 0] if self.noise_type == "scalar" else g[0] if self.noise_type == "additive" else g


@lru_cache(maxsize=1)
def _classes() -> dict[str, Any]:
    """Classes that inherit from torch's and torchsde's, made when these are there."""
    torch: Any = library("torch")
    torchsde: Any = library("torchsde")

    class Equation(torch.nn.Module):
        """A diffusion's array form as an Ito equation of torchsde."""

        sde_type = "ito"

        def __init__(self, form: ArrayForm, dtype: Any) -> None:
            super().__init__()
            self.array_form = form
            self.noise_type = _their_noise_type(form)
            for name, value in form.constants.items():
                self.register_buffer(name, torch.as_tensor(np.array(value), dtype=dtype))
            for name in ("centre", "basis"):
                value = getattr(form, name)
                self.register_buffer(
                    f"_{name}", None if value is None else torch.as_tensor(value.copy(), dtype=dtype)
                )
            if form.layout != "diagonal" or form.own_noise:
                self.f, self.g = self._drift, self._diffusion

        def f_and_g(self, t: Any, y: Any) -> tuple[Any, Any]:
            """Drift (P, d) and diffusion, (P, d) or (P, d, m)."""
            return self._drift(t, y), self._diffusion(t, y)

        def to_modes(self, x: Any) -> Any:
            """States (P, d) of positions (P, d)."""
            return x if self._basis is None else (x - self._centre) @ self._basis

        def from_modes(self, z: Any) -> Any:
            """Positions (..., P, d) of states (..., P, d)."""
            return z if self._basis is None else z @ self._basis.T + self._centre

        def _drift(self, t: Any, y: Any) -> Any:
            return self._call(self.array_form.drift, t, y)

        def _diffusion(self, t: Any, y: Any) -> Any:
            g = self._call(self.array_form.diffusion, t, y)
            if self.array_form.additive:
                return g.expand(len(y), *g.shape)
            return g[..., None] if self.array_form.layout == "column" else g

        def _call(self, function: Any, t: Any, y: Any) -> Any:
            if self.array_form.native:
                return function(torch, self, t, y)
            if torch.is_grad_enabled() and y.requires_grad:
                raise no_derivatives()
            values = function(np, None, float(t), y.detach().cpu().numpy().astype(np.float64))
            return torch.as_tensor(values, dtype=y.dtype, device=y.device)

    class FedPath(torchsde.BaseBrownian):
        """Given increments and areas of equal steps from t on."""

        def __init__(self, w: Any, h: Any, t: float, dt: float) -> None:
            self.w, self.h, self.t, self.dt = w, h, t, dt

        def __call__(self, ta: Any, tb: Any = None, return_U: bool = False, return_A: bool = False) -> Any:
            k, length = round((float(ta) - self.t) / self.dt), float(tb) - float(ta)
            if length < 0.5 * self.dt:  # rounding of the time may leave a step of no length at the end
                w, h = torch.zeros_like(self.w[0]), torch.zeros_like(self.w[0])
            else:
                w, h = self.w[k], None if self.h is None else self.h[k]
            return (w, length * (0.5 * w + h)) if return_U else w

        def __repr__(self) -> str:
            return f"FedPath(steps={len(self.w)}, dt={self.dt:g})"

        dtype = property(lambda self: self.w.dtype)
        device = property(lambda self: self.w.device)
        shape = property(lambda self: self.w.shape[1:])
        levy_area_approximation = property(lambda self: "none" if self.h is None else "space-time")

    return {"equation": Equation, "path": FedPath}


def _their_noise_type(form: ArrayForm) -> str:
    if form.layout == "diagonal":
        return "diagonal"
    return form.noise_type if form.noise_type in ("additive", "scalar") else "general"
