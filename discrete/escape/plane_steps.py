"""Law of one step in the plane: density, and what is needed to integrate its tails line by line."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from .steps import chi_mixture, chi_nodes

Array = np.ndarray
Part = tuple[float, Array, Array]  # weight, means (P, 2), covariances (P, 2, 2)


class PlaneSteps(ABC):
    """Where a step from w (P, 2) leads: a mixture of Gaussian laws.

    Attributes
    ----------
    singular : bool
        Whether the density has a singular point, at w less the ridge's pull.
    """

    singular = False

    @abstractmethod
    def parts(self, w: Array) -> Iterator[Part]:
        """The mixture."""

    @abstractmethod
    def density(self, w: Array, z: Array) -> Array:
        """Density at z (Z, 2) from w (P, 2): (P, Z)."""

    @abstractmethod
    def moments(self, w: Array) -> tuple[Array, Array]:
        """Mean (P, 2) and covariance (P, 2, 2) of z."""


def _squares(inverse: Array, x: Array) -> Array:
    """x' inverse x, (P, Z), of x (P, Z, 2)."""
    a, b, c = (inverse[:, i, j, None] for i, j in ((0, 0), (0, 1), (1, 1)))
    return (a * x[..., 0] + 2 * b * x[..., 1]) * x[..., 0] + c * np.square(x[..., 1])


@dataclass(frozen=True, eq=False)
class GaussianPlane(PlaneSteps):
    """One Gaussian law, of mean drift(w) and covariance spread(w)."""

    drift: Callable[[Array], Array]
    spread: Callable[[Array], Array]

    def moments(self, w: Array) -> tuple[Array, Array]:
        return self.drift(w), self.spread(w)

    def parts(self, w: Array) -> Iterator[Part]:
        yield (1.0, *self.moments(w))

    def density(self, w: Array, z: Array) -> Array:
        means, covariances = self.moments(w)
        size = _squares(np.linalg.inv(covariances), z[None] - means[:, None])
        return np.exp(-size / 2) / (2 * np.pi * np.sqrt(np.linalg.det(covariances)))[:, None]


@dataclass(frozen=True, eq=False)
class StreamPlane(PlaneSteps):
    """SGD on Gaussian features of covariance `h` (2, 2) with label noise.

    Given the residuals of the batch the gradient is Gaussian: with q chi-squared of batch_size degrees of freedom and
    s^2 = e' h e + label variance, mean h e q / B and covariance q (s^2 h - h e e' h) / B^2.
    """

    step_size: float
    batch_size: int
    h: Array
    truth: Array
    deviation: float
    ridge: float
    singular = True

    def _terms(self, w: Array) -> tuple[Array, Array, Array]:
        """Where z is without a move, what is multiplied by q, and the covariance at q = 1."""
        pull = (w - self.truth) @ self.h
        square = np.einsum("pi,pi->p", w - self.truth, pull) + self.deviation**2
        shape = square[:, None, None] * self.h - pull[:, :, None] * pull[:, None, :]
        scale = self.step_size / self.batch_size
        return w * (1 - self.step_size * self.ridge), -scale * pull, scale**2 * shape

    def moments(self, w: Array) -> tuple[Array, Array]:
        carried, tilt, shape = self._terms(w)
        size = self.batch_size
        return carried + size * tilt, size * shape + 2 * size * tilt[:, :, None] * tilt[:, None, :]

    def parts(self, w: Array) -> Iterator[Part]:
        carried, tilt, shape = self._terms(w)
        for q, weight in zip(*chi_nodes(self.batch_size), strict=True):
            yield weight, carried + q * tilt, q * shape

    def density(self, w: Array, z: Array) -> Array:
        carried, tilt, shape = self._terms(w)
        inverse = np.linalg.inv(shape)
        x = z[None] - carried[:, None]
        turned = np.einsum("pij,pj->pi", inverse, tilt)
        inner = np.maximum(_squares(inverse, x), 1e-300)
        root = 1 + np.einsum("pi,pi->p", turned, tilt)
        return chi_mixture(
            (self.batch_size - 2) / 2, self.batch_size, 2, x[..., 0] * turned[:, :1] + x[..., 1] * turned[:, 1:], inner,
            root[:, None],
            0.5 * np.log(np.linalg.det(shape))[:, None],
        )  # fmt: skip
