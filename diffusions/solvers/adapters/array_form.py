"""Coefficients written once against an array namespace, so that torch and JAX get functions of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

FORMS = ("diagonal", "column", "matrix")


@dataclass(frozen=True, eq=False)
class ArrayForm:
    """A diffusion's drift and diffusion for NumPy, torch and jax.numpy alike.

    Parameters
    ----------
    dimension, noise_dimension : int
        d and m.
    noise_type : str
    form : "diagonal", "column" or "matrix"
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
    form: str
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
        return self.form == "diagonal" and self.noise_type in ("additive", "diagonal")

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


def array_form(diffusion: Any) -> ArrayForm | None:
    """The form that a diffusion gives of itself by a method `array_form()`; None if it has NumPy functions only."""
    own = getattr(diffusion, "array_form", None)
    return None if own is None else own()
