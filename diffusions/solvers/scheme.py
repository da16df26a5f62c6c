"""The interface of a scheme: what it claims, which noise it takes, and one step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sgdlimits.exact.errors import InvalidInput

from .coefficients import NOISE_TYPES, Coefficients
from ..modal import ModalStep


EULER_ORDERS = {name: (1.0 if name == "additive" else 0.5, 1.0) for name in NOISE_TYPES}  # of all Euler schemes


@dataclass(frozen=True, eq=False)
class StepNoise:
    """The random numbers of one step.

    Attributes
    ----------
    increments : (P, m) array
        Of variance dt: Gaussian, or with two or three values, as the scheme asks.
    areas : (P, m) array or None
        Space-time Levy areas, of variance dt / 12.
    signs : (P, m) array or None
        Independent fair signs.
    """

    increments: np.ndarray
    areas: np.ndarray | None = None
    signs: np.ndarray | None = None


class Scheme(ABC):
    """One step of an integrator for Ito diffusions; a new one is a leaf in a file of its own and a line in SCHEMES.

    Attributes
    ----------
    name : str
    orders : mapping from noise types to (strong, weak) orders
        The noise types that the scheme treats and the orders that it claims there; a strong order of 0 is none.
    strong_order, weak_order : float
        The least over these noise types.
    increments : "gaussian", "two_point" or "three_point"
    areas, signs : bool
        Whether a step needs space-time Levy areas, or signs.
    adaptive : bool
        Whether the scheme estimates its error: then it is an `AdaptiveScheme`.
    source : str
    """

    name: ClassVar[str]
    orders: ClassVar[Mapping[str, tuple[float, float]]]
    strong_order: ClassVar[float]
    weak_order: ClassVar[float]
    noise_types: ClassVar[tuple[str, ...]]
    increments: ClassVar[str] = "gaussian"
    areas: ClassVar[bool] = False
    signs: ClassVar[bool] = False
    adaptive: ClassVar[bool] = False
    source: ClassVar[str]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "orders" in cls.__dict__:
            cls.noise_types = tuple(cls.orders)
            cls.strong_order = min(strong for strong, _ in cls.orders.values())
            cls.weak_order = min(weak for _, weak in cls.orders.values())

    @abstractmethod
    def step(
        self, coefficients: Coefficients, t: Any, x: np.ndarray, dt: Any, noise: StepNoise
    ) -> np.ndarray:
        """Positions (P, d) after one step from x at t, in a fresh array; dt is a number or (P, 1), as t is."""

    def check(self, coefficients: Coefficients) -> None:
        """Raise InvalidInput if the scheme cannot treat this noise."""
        if coefficients.noise_type not in self.noise_types:
            label = getattr(coefficients.source, "label", type(coefficients.source).__name__)
            raise InvalidInput(
                f"solver {self.name!r} treats {', '.join(self.noise_types)} noise, but {label} has "
                f"{coefficients.noise_type} noise{self._hint(coefficients.noise_type)}"
            )

    def _hint(self, noise_type: str) -> str:
        if noise_type == "general" and self.strong_order >= 1:
            return (
                " (non-commutative, unless you declare it commutative): a strong order of 1 would need Levy areas of "
                "pairs of Brownian motions; take 'euler', 'heun' or a weak scheme such as 'ri6'"
            )
        return ": take 'euler' or another scheme that names it"


class AdaptiveScheme(Scheme):
    """A scheme with an embedded error estimate."""

    adaptive: ClassVar[bool] = True

    @abstractmethod
    def step_with_error(
        self, coefficients: Coefficients, t: Any, x: np.ndarray, dt: Any, noise: StepNoise
    ) -> tuple[np.ndarray, np.ndarray]:
        """Positions (P, d) after one step and the estimated error (P, d) of that step."""


class ModalScheme(Scheme):
    """A scheme whose step on least squares is one factor and one noise a mode: fused kernels, exact moments.

    Attributes
    ----------
    weak_order_quadratic : float
        Weak order in first and second moments.
    """

    weak_order_quadratic: ClassVar[float] = 1.0

    @abstractmethod
    def modal_step(self, rates: np.ndarray, scale: float, size: float, growth: float) -> ModalStep:
        """Factors of a step of `size` SGD steps.

        Parameters
        ----------
        rates : (d,) array
            Decay of the modes, per SGD step.
        scale : float
            Factor of the noise covariance, step_size^2.
        size : float
        growth : float
            Rate at which noise alone lets the level 2 L of homogenized SGD grow.
        """
