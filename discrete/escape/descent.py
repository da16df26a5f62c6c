"""Noisy descent of a landscape: the recurrence whose escape is asked for, and the forms of its noise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.ensembles.random import Noise, Purpose
from sgdlimits.ensembles.recurrences import RecurrenceSimulator
from sgdlimits.exact.clock import Clock
from sgdlimits.exact.errors import (
    InvalidInput,
    NoStationaryLaw,
    axes,
    calling,
    covariance_matrix,
    flag,
    instance_of,
    kind,
    non_negative,
    positive,
    real_array,
    whole_number,
)
from sgdlimits.exact.noise_laws import NoiseLaw, noise_law
from sgdlimits.problems.landscapes import Landscape

from ..recurrence import simulate
from ..rules.momentum import check_momentum

if TYPE_CHECKING:
    import xarray

NOISES = (
    "a variance, a covariance matrix, a function of positions with such values, LossNoise(batch_size), "
    "MultiplicativeNoise(multiplicative, additive), or on a line a distribution"
)
CENTRED = 1e-9  # mean of a noise law, over its standard deviation, that is rounding


@dataclass(frozen=True)
class LossNoise:
    """Gradient noise of covariance 2 (U + floor) H / batch_size, H the Hessian at the minimum.

    Parameters
    ----------
    batch_size : int
    floor : float
        Loss at a point where U is 0; above zero, or the noise dies out at a minimum of U = 0.
    """

    batch_size: int
    floor: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "batch_size", whole_number("batch_size", self.batch_size, 1))
        object.__setattr__(self, "floor", non_negative("floor", self.floor))

    def covariance(self, descent: LandscapeDescent, x: np.ndarray) -> np.ndarray:
        """(P, d, d) at positions (P, d)."""
        loss = descent.landscape.potential(x) + self.floor
        if (loss < 0).any():
            raise InvalidInput(
                f"LossNoise takes U + floor for a loss, but it is {loss.min():.4g} somewhere: raise floor above "
                f"{self.floor - loss.min():.4g}"
            )
        return 2 * loss[:, None, None] / self.batch_size * descent.hessian


@dataclass(frozen=True)
class MultiplicativeNoise:
    """Gaussian gradient noise (multiplicative Z2) grad U + additive Z1: covariance additive^2 I + multiplicative^2
    grad U grad U^T.

    Parameters
    ----------
    multiplicative : float
        Z2 is one number for all coordinates.
    additive : float
        Above zero, or nothing moves at a minimum.
    """

    multiplicative: float
    additive: float = 0.0

    def __post_init__(self) -> None:
        for name in ("multiplicative", "additive"):
            object.__setattr__(self, name, non_negative(name, getattr(self, name)))
        if not self.multiplicative + self.additive:
            raise InvalidInput("multiplicative and additive are both 0, so that there is no noise: raise one of them")

    def covariance(self, descent: LandscapeDescent, x: np.ndarray) -> np.ndarray:
        """(P, d, d) at positions (P, d)."""
        slope = self.multiplicative * descent.landscape.gradient(x)
        return self.additive**2 * np.eye(x.shape[-1]) + slope[:, :, None] * slope[:, None, :]


FORMS = (LossNoise, MultiplicativeNoise)


@dataclass(frozen=True, eq=False)
class LandscapeDescent:
    """Descent of a landscape with noisy gradients, as SGD: m <- momentum m + grad U(w) + xi, w <- w - step_size m.

    With `nesterov` w <- w - step_size (grad U(w) + xi + momentum m), with the new m: what torch.optim.SGD holds.

    Parameters
    ----------
    landscape : Landscape
    step_size : float
    noise : float, array (d, d), function, LossNoise, MultiplicativeNoise, or a law on a line
        Of the gradient. A number is the variance in each coordinate, of Gaussian noise; a function of positions (P, d)
        gives variances (P,) or covariances (P, d, d); a law (frozen distribution of scipy.stats, or tuple of values and
        probabilities) has mean zero and is drawn anew at each step.
    momentum : float
    nesterov : bool

    Raises
    ------
    InvalidInput
        If an argument cannot be used.
    NoStationaryLaw
        If the step size is past what the minimum bears; `.threshold` is 2 (1 + momentum) over the largest curvature,
        with Nesterov's momentum over 1 + 2 momentum too.
    """

    landscape: Any
    step_size: float
    noise: Any
    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        instance_of("landscape", self.landscape, Landscape, "one of your own is a UserLandscape")
        object.__setattr__(self, "step_size", positive("step_size", self.step_size))
        object.__setattr__(self, "momentum", check_momentum(self.momentum))
        object.__setattr__(self, "nesterov", flag("nesterov", self.nesterov))
        if self.nesterov and not self.momentum:
            raise InvalidInput("nesterov needs a momentum above zero, got momentum=0")
        self._settle_noise()
        threshold = 2 * (1 + self.momentum) / float(np.linalg.eigvalsh(self.hessian)[-1])
        threshold /= 1 + 2 * self.momentum if self.nesterov else 1
        if self.step_size >= threshold:
            raise NoStationaryLaw(
                f"step_size is {self.step_size:.6g}, past the threshold {threshold:.6g} of the minimum by a factor "
                f"{self.step_size / threshold:.4g}: paths leave without noise, and there is no rate of escape; lower "
                "step_size", threshold,
            )  # fmt: skip

    def _settle_noise(self) -> None:
        noise, d = self.noise, self.dimension
        if isinstance(noise, MultiplicativeNoise) and not noise.multiplicative:
            noise = noise.additive**2
            object.__setattr__(self, "noise", noise)
        if isinstance(noise, FORMS) or d == 1 and self.law is not None:
            return
        if callable(noise):
            self._checked_covariance(self.landscape.minimum[None])
        elif axes(noise) == 0:
            object.__setattr__(self, "noise", positive("noise", noise))
        elif axes(noise) == 2:
            matrix = covariance_matrix("noise", noise, d)
            if np.linalg.eigvalsh(matrix)[0] <= 0:
                raise InvalidInput("noise is a covariance with an eigenvalue of zero: every direction needs some noise")
            object.__setattr__(self, "noise", matrix)
        else:
            raise InvalidInput(f"noise must be {NOISES}, got {kind(noise)}")

    @cached_property
    def law(self) -> NoiseLaw | None:
        """The noise, where it is a law of its own."""
        if not (hasattr(self.noise, "ppf") or isinstance(self.noise, tuple)):
            return None
        law = noise_law(self.noise)
        if law.cumulants.size < 2 or law.quantile is None:
            raise InvalidInput(f"noise must have a finite variance, got {law.label}")
        if abs(law.cumulants[0]) > CENTRED * np.sqrt(law.cumulants[1]):
            raise InvalidInput(f"noise has the mean {law.cumulants[0]:.4g}: put it into the potential, so that it is 0")
        return law

    @property
    def dimension(self) -> int:
        """d."""
        return self.landscape.dimension

    @cached_property
    def hessian(self) -> np.ndarray:
        """Second derivatives (d, d) at the minimum."""
        return self.landscape.hessian(self.landscape.minimum)

    @property
    def additive(self) -> bool:
        """Whether the noise is the same everywhere."""
        return not (callable(self.noise) or isinstance(self.noise, FORMS))

    @property
    def label(self) -> str:
        """Short name."""
        kept = f", {'Nesterov ' if self.nesterov else ''}momentum {self.momentum:g}" if self.momentum else ""
        return f"descent of {self.landscape.label}{kept}"

    @property
    def clock(self) -> Clock:
        """One step is one unit of time."""
        return Clock(1.0, "1")

    def covariance(self, x: np.ndarray) -> np.ndarray:
        """Of the gradient noise at positions (P, d): (P, d, d)."""
        d = self.dimension
        if isinstance(self.noise, FORMS):
            return self.noise.covariance(self, x)
        if self.law is not None:
            return np.full((len(x), 1, 1), self.law.cumulants[1])
        if callable(self.noise):
            return self._checked_covariance(x)
        matrix = self.noise * np.eye(d) if np.ndim(self.noise) == 0 else self.noise
        return np.broadcast_to(matrix, (len(x), d, d))

    def _checked_covariance(self, x: np.ndarray) -> np.ndarray:
        with calling("noise"):
            given = self.noise(x)
        found = real_array("what noise returns", given)
        if found.shape == x.shape[:1]:
            found = found[:, None, None] * np.eye(self.dimension)
        if found.shape != (*x.shape, self.dimension) or not (np.einsum("pii->pi", found) >= 0).all():
            raise InvalidInput(
                f"noise must give variances (P,) or covariances (P, d, d), none below zero, for positions {x.shape}, "
                f"got shape {np.shape(given)}"
            )
        return found

    def initial_state(self, x0: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions (P, d) and momentum, zero."""
        return np.array(x0), np.zeros_like(x0)

    def step(self, k: int, state: tuple[np.ndarray, np.ndarray], noise: Noise) -> tuple[np.ndarray, np.ndarray]:
        """State after step k."""
        x, m = state
        gradient = self.landscape.gradient(x) + self.drawn(k, x, noise)
        m = gradient + (self.momentum * m if self.momentum else 0.0)
        return x - self.step_size * (gradient + self.momentum * m if self.nesterov else m), m

    def drawn(self, k: int, x: np.ndarray, noise: Noise) -> np.ndarray:
        """Gradient noise (P, d) of step k at x (P, d)."""
        if self.law is not None and self.law.quantile is not None:
            return self.law.quantile(noise.uniforms(Purpose.LABEL_NOISE, k, 1))
        normals = noise.normals(Purpose.LABEL_NOISE, k, self.dimension)
        if self.additive and np.ndim(self.noise) == 0:
            return np.sqrt(self.noise) * normals
        if self.additive:
            return normals @ self._root.T
        covariance = self.covariance(x)
        if self.dimension == 1:
            return np.sqrt(covariance[:, 0]) * normals
        values, vectors = np.linalg.eigh(covariance)
        return np.einsum("pij,pj->pi", vectors * np.sqrt(np.maximum(values, 0))[:, None], normals)

    @cached_property
    def _root(self) -> np.ndarray:
        return np.linalg.cholesky(self.noise)

    def position(self, state: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """Positions (P, d)."""
        return state[0]

    def simulator(self) -> RecurrenceSimulator:
        """What the engine advances; the observable "risk" is the potential."""
        return RecurrenceSimulator(self, self.dimension, self.landscape.potential)

    def simulate(self, x0: Any, steps: int, paths: int, **options: Any) -> xarray.Dataset:
        """Simulate independent paths; arguments and errors as in `discrete.simulate`."""
        return simulate(self, x0, steps, paths, risk=self.landscape.potential, **options)
