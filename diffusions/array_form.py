"""Coefficients written once against an array namespace, so that torch and JAX get functions of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import SimpleNamespace
from typing import Any, Self

import numpy as np


@dataclass(frozen=True, eq=False)
class ArrayForm:
    """A diffusion's drift and diffusion for NumPy, torch and jax.numpy alike.

    Parameters
    ----------
    dimension, noise_dimension : int
        d and m.
    noise_type : str
    layout : "diagonal", "column" or "matrix"
        Whether `diffusion` gives the diagonal of a d x d matrix or one column, (..., d), or a matrix (..., d, m). For
        additive noise it gives one array for all paths, (d,) or (d, m).
    drift, diffusion : function (xp, c, t, z) -> array
        xp is the array namespace, c holds the constants as its arrays, z is (..., d).
    constants : mapping of names to NumPy arrays or numbers
    centre, basis : (d,) and (d, d) arrays, optional
        z = (x - centre) @ basis, where the state z is not the position x itself; basis is orthogonal.
    native : bool
        False for NumPy functions that ignore the namespace: the other libraries call them back, without derivatives.
    """

    dimension: int
    noise_dimension: int
    noise_type: str
    layout: str
    drift: Callable[..., Any]
    diffusion: Callable[..., Any]
    constants: Mapping[str, Any] = field(default_factory=dict)
    centre: np.ndarray | None = None
    basis: np.ndarray | None = None
    native: bool = True

    @property
    def additive(self) -> bool:
        """Whether the diffusion does not depend on the state."""
        return self.noise_type == "additive"

    @property
    def own_noise(self) -> bool:
        """Whether noise k moves coordinate k alone and by itself, so that elementwise schemes are right."""
        return self.layout == "diagonal" and self.noise_type in ("additive", "diagonal")

    def to_modes(self, x: np.ndarray) -> np.ndarray:
        """States (..., d) of positions (..., d)."""
        return x if self.basis is None else (x - self.centre) @ self.basis

    def from_modes(self, z: np.ndarray) -> np.ndarray:
        """Positions (..., d) of states (..., d)."""
        return z if self.basis is None else z @ self.basis.T + self.centre

    def bound(
        self, xp: Any, convert: Callable[[np.ndarray], Any]
    ) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """Drift and diffusion as functions (t, z) in a namespace; `convert` makes its arrays of the constants."""
        c = SimpleNamespace(**{name: convert(value) for name, value in self.constants.items()})
        return (lambda t, z: self.drift(xp, c, t, z)), (lambda t, z: self.diffusion(xp, c, t, z))


@dataclass(frozen=True, eq=False)
class FormDiffusion:
    """The diffusion of an array form's own state z, in NumPy: what schemes run in modes.

    Attributes
    ----------
    form : ArrayForm
        Without centre and basis.
    linear : (d,) array
        K, where the drift is -K z plus a milder rest.
    label : str
    """

    form: ArrayForm
    linear: np.ndarray
    label: str

    @classmethod
    def of(cls, form: ArrayForm, linear: np.ndarray, label: str) -> Self:
        """The diffusion of the form's state."""
        return cls(replace(form, centre=None, basis=None), linear, label)

    @property
    def dimension(self) -> int:
        """d."""
        return self.form.dimension

    @property
    def noise_dimension(self) -> int:
        """m."""
        return self.form.noise_dimension

    @property
    def noise_type(self) -> str:
        """As the form says."""
        return self.form.noise_type

    def array_form(self) -> ArrayForm:
        """Its functions for torch and JAX."""
        return self.form

    @cached_property
    def _functions(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        return self.form.bound(np, np.asarray)

    def drift(self, t: Any, z: np.ndarray) -> np.ndarray:
        """Drift (P, d)."""
        return self._functions[0](t, z)

    def diffusion(self, t: Any, z: np.ndarray) -> np.ndarray:
        """Diffusion as the form's layout says."""
        return self._functions[1](t, z)


def array_form(diffusion: Any) -> ArrayForm | None:
    """The form that a diffusion gives of itself by a method `array_form()`; None if it has NumPy functions only."""
    own = getattr(diffusion, "array_form", None)
    return None if own is None else own()
