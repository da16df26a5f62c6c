"""Four diffusions with known answers, each in NumPy for our schemes and in array form for the other libraries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from sgdlimits import problems
from sgdlimits.diffusions import HomogenizedSGD, linear_moments
from sgdlimits.diffusions.array_form import ArrayForm


def _drift(xp: Any, c: Any, t: Any, z: Any) -> Any:
    return z @ c.pull.T


def _columns(xp: Any, c: Any, t: Any, z: Any) -> Any:
    return xp.stack([z @ c.first.T, z @ c.second.T], axis=-1)


def _elementwise(xp: Any, c: Any, t: Any, z: Any) -> Any:
    return c.volatility * z


def _constant(xp: Any, c: Any, t: Any, z: Any) -> Any:
    return c.volatility


DIFFUSIONS: dict[str, Callable[..., Any]] = {
    "general": _columns,
    "diagonal": _elementwise,
    "additive": _constant,
}


@dataclass(frozen=True, eq=False)
class Linear:
    """dX = pull X dt + noise: linear in X, or constant. What is asked is E |X|^2 at time 1."""

    label: str
    noise_type: str
    pull: np.ndarray
    start: np.ndarray
    volatility: np.ndarray | None = None
    first: np.ndarray | None = None
    second: np.ndarray | None = None

    @property
    def dimension(self) -> int:
        return self.start.size

    noise_dimension = dimension

    @property
    def linear(self) -> np.ndarray:
        return -np.diag(self.pull)

    @cached_property
    def _functions(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        return self.array_form().bound(np, np.asarray)

    def drift(self, t: Any, x: np.ndarray) -> np.ndarray:
        return self._functions[0](t, x)

    def diffusion(self, t: Any, x: np.ndarray) -> np.ndarray:
        return self._functions[1](t, x)

    def array_form(self) -> ArrayForm:
        names = ("pull", "volatility", "first", "second")
        constants = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        layout = "matrix" if self.noise_type == "general" else "diagonal"
        return ArrayForm(
            self.dimension,
            self.dimension,
            self.noise_type,
            layout,
            _drift,
            DIFFUSIONS[self.noise_type],
            constants,
        )

    @cached_property
    def exact(self) -> float:
        """E |X_1|^2 from its linear differential equation."""
        from scipy.linalg import expm

        d = self.dimension
        eye, size = np.eye(d), d * d
        generator = np.zeros((size + 1, size + 1))
        generator[:size, :size] = np.kron(self.pull, eye) + np.kron(eye, self.pull)
        if self.noise_type == "general":
            generator[:size, :size] += np.kron(self.first, self.first) + np.kron(self.second, self.second)
        elif self.noise_type == "diagonal":
            generator[:size, :size] += np.diag(np.diag(self.volatility**2).ravel())
        else:
            generator[:size, size] = np.diag(self.volatility**2).ravel()
        moments = expm(generator) @ np.append(np.outer(self.start, self.start).ravel(), 1.0)
        return float(moments[:size].reshape(d, d).trace())

    def bias(self, solver: Any, steps: int) -> float:
        """Relative error of E |X_1|^2 under a scheme, from its exact moments; no sampling."""
        moments = linear_moments(self, self.start, 1 / steps, steps, solver)
        return abs(np.trace(moments[1:, 1:]) / self.exact - 1)


def linear_problems() -> list[Linear]:
    """Geometric Brownian motion, Ornstein-Uhlenbeck, and noise that does not commute in the plane."""
    one = np.ones(1)
    return [
        Linear("geometric Brownian motion", "diagonal", np.array([[-1.0]]), one, volatility=0.8 * one),
        Linear("Ornstein-Uhlenbeck", "additive", np.array([[-2.0]]), one, volatility=one),
        Linear(
            "linear in the plane, noise does not commute", "general", np.array([[-1.0, 0.4], [-0.3, -0.8]]),
            np.array([1.0, -0.5]), first=np.array([[0.4, 0.1], [0.3, -0.2]]),
            second=np.array([[-0.2, 0.5], [0.0, 0.3]]),
        ),
    ]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Homogenized:
    """Homogenized SGD on power-law least squares: E risk after `horizon` SGD steps, from moments that close."""

    dimension: int = 100
    horizon: int = 200
    label: str = "homogenized SGD"

    @cached_property
    def process(self) -> HomogenizedSGD:
        problem = problems.LeastSquares.gaussian(
            2 * self.dimension, self.dimension, spectrum=0.5, noise=0.5, seed=1
        )
        return HomogenizedSGD(problem, 0.5 / problem.eigenvalues.sum())

    @property
    def start(self) -> np.ndarray:
        return np.zeros(self.dimension)

    @cached_property
    def exact(self) -> float:
        """E risk at the horizon."""
        return float(self.process.moments(self.start, self.horizon, record=[self.horizon]).risk[-1])

    def bias(self, solver: Any, steps: int) -> float:
        """Relative error of E risk under a scheme with `steps` steps to the horizon, from its exact moments."""
        process, problem = self.process, self.process.problem
        growth = process.step_size**2 / process.batch_size * float(np.square(problem.eigenvalues).sum())
        step = solver.modal_step(process.rates, process.step_size**2, self.horizon / steps, growth)
        start, nothing = problem.to_modes(self.start), np.zeros((self.dimension, self.dimension))
        mean, covariance = step.moment_map(process.noise_map).propagate(start, nothing, [steps])
        return abs(float(problem.expected_risk(mean, covariance)[-1]) / self.exact - 1)

    def steps_needed(self, solver: Any, tolerance: float) -> int:
        """Fewest steps from which on the bias stays below the tolerance."""
        high = 4
        while self.bias(solver, high) > tolerance:
            high *= 2
        low = high // 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.bias(solver, middle) <= tolerance else (middle, high)
        return high
