"""What the adapters of other libraries share: late import, the scheme interface, and runs of many steps at once."""

from __future__ import annotations

import importlib
from abc import abstractmethod
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from sgdlimits.ensembles import Brownian, Noise, coarsen, limits
from sgdlimits.ensembles.simulators import PathArrays
from sgdlimits.exact.errors import InvalidInput, MissingLibrary, finite_array, one_of

from ..coefficients import Coefficients, check_diffusion
from ..scheme import Scheme, StepNoise
from ...array_form import ArrayForm, array_form

INSTALL = {
    "torch": "pip install torch torchsde",
    "torchsde": "pip install torch torchsde",
    "sdeint": "pip install sdeint",
    "jax": "pip install diffrax",
    "diffrax": "pip install diffrax",
}
NOISES = ("counter", "library")
NUMBERS_AHEAD = 2**22  # increments handed over at once


def library(name: str) -> ModuleType:
    """An optional library, imported now.

    Raises
    ------
    MissingLibrary
        If it is not installed; the message carries the install line.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in INSTALL:
            raise
        raise MissingLibrary(f"{error.name} is not installed: {INSTALL[error.name]}") from None


def form_of_numpy(diffusion: Any, position: np.ndarray) -> ArrayForm:
    """The array form of NumPy or numba functions, which ignores the namespace: for NumPy arrays (P, d) only.

    Shapes are read at `position` (d,).
    """
    coefficients = Coefficients(diffusion, 0.0, position)
    return ArrayForm(
        coefficients.dimension, coefficients.noise_dimension, coefficients.noise_type, coefficients.layout,
        lambda xp, c, t, z: coefficients.drift(t, z), lambda xp, c, t, z: coefficients.diffusion(t, z), native=False,
    )  # fmt: skip


def probe(diffusion: Any, x0: Any) -> np.ndarray:
    """Where shapes are read: `x0`, or a half in every coordinate."""
    check_diffusion(diffusion)
    d = int(diffusion.dimension)
    return np.full(d, 0.5) if x0 is None else finite_array("x0", x0, shape=(d,))


class LibraryScheme(Scheme):
    """A scheme of another library. Leaves are frozen dataclasses with `method`, `noise` and `precision`.

    Attributes
    ----------
    methods : mapping of the library's method names to (strong, weak) orders by noise type
        Those that solve Ito equations.
    with_areas : names of the methods that need space-time Levy areas
    """

    methods: ClassVar[dict[str, dict[str, tuple[float, float]]]]
    with_areas: ClassVar[tuple[str, ...]] = ()
    source: ClassVar[str] = "the library's own documentation"

    method: str
    noise: str

    def _settle(self) -> None:
        """Check the settings and read the claims of the method."""
        one_of("method", self.method, self.methods)
        one_of("noise", self.noise, NOISES)
        orders = self.methods[self.method]
        facts = {
            "orders": orders,
            "noise_types": tuple(orders),
            "strong_order": min(strong for strong, _ in orders.values()),
            "weak_order": min(weak for _, weak in orders.values()),
            "areas": self.method in self.with_areas,
        }
        for name, value in facts.items():
            object.__setattr__(self, name, value)

    def array_form(self, coefficients: Coefficients) -> ArrayForm | None:
        """The diffusion's own array form; None where it has NumPy functions only. Kept with the coefficients."""
        if "array form" not in coefficients.cache:
            coefficients.cache["array form"] = array_form(coefficients.source)
        return coefficients.cache["array form"]

    def step(
        self, coefficients: Coefficients, t: Any, x: np.ndarray, dt: Any, noise: StepNoise
    ) -> np.ndarray:
        """Positions (P, d) after one step of the library, driven by this noise."""
        areas = None if noise.areas is None else noise.areas[None]
        return self.run(coefficients, float(t), x, float(dt), noise.increments[None], areas)

    @abstractmethod
    def run(
        self,
        coefficients: Coefficients,
        t: float,
        x: np.ndarray,
        dt: float,
        w: np.ndarray,
        h: np.ndarray | None,
    ) -> np.ndarray:
        """Positions (P, d) after K steps from x (P, d) at t, driven by increments (K, P, m) and areas."""

    @abstractmethod
    def run_alone(
        self, coefficients: Coefficients, t: float, x: np.ndarray, dt: float, steps: int, seed: int
    ) -> np.ndarray:
        """The same with the library's own random numbers."""


@dataclass(frozen=True, eq=False)
class LibrarySteps:
    """Many steps at once, handed to another library; parameters are those of `SchemeSteps`.

    Overflow is seen at the end of a run of steps.
    """

    coefficients: Coefficients
    scheme: LibraryScheme
    brownian: Brownian
    t0: float
    level: int = 0
    joined: int = 1

    @property
    def dt(self) -> float:
        """Length of a step."""
        return self.brownian.interval(self.level) * self.joined

    def kept(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Nothing beside the positions."""
        return {}

    def advance(self, state: PathArrays, first: int, last: int, noise: Noise) -> None:
        numbers = noise.paths.size * self.coefficients.noise_dimension * self.joined
        ahead = max(1, NUMBERS_AHEAD // numbers) if self.scheme.noise == "counter" else last - first
        with np.errstate(all="ignore"):  # what overflows is reported by the engine, once
            for begin in range(first, last, ahead):
                end = min(begin + ahead, last)
                state.x = self._after(state.x, begin, end, noise)
                limits.mark(state.overflow, state.x, end)

    def _after(self, x: np.ndarray, begin: int, end: int, noise: Noise) -> np.ndarray:
        t = self.t0 + begin * self.dt
        if self.scheme.noise == "library":
            words = np.random.SeedSequence([self.brownian.seed, int(noise.paths[0]), begin]).generate_state(1)
            return self.scheme.run_alone(self.coefficients, t, x, self.dt, end - begin, int(words[0]))
        j = self.joined
        w, h = self.brownian.increments(noise.paths, begin * j, end * j, self.level)
        w, h = coarsen(w, h if self.scheme.areas else None, j)
        return self.scheme.run(self.coefficients, t, x, self.dt, w, h)


def claim(strong: float, weak: float, *noise_types: str) -> dict[str, tuple[float, float]]:
    """The same orders for several noise types."""
    return {name: (strong, weak) for name in noise_types}


def no_derivatives() -> InvalidInput:
    """The error where a library asks NumPy functions for derivatives."""
    return InvalidInput(
        "NumPy functions have no derivatives in another library: take its Euler method, or give the diffusion a method "
        "array_form() that writes its functions for any array namespace"
    )


def ito_only(kind: str, where: str) -> InvalidInput:
    """The error for an equation in the sense of Stratonovich."""
    return InvalidInput(
        f"{where} is in the sense of {kind}: pass an Ito equation (add half the diffusion's derivative along itself to "
        "the drift)"
    )
