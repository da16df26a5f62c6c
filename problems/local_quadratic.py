"""A smooth loss about one of its minima: second order in the distance, with the gradient noise of that point."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from sgdlimits.exact.errors import InvalidInput, finite_array, kind
from sgdlimits.exact.noise_maps import ConstantNoise

from .quadratic import QuadraticProblem
from .sampled import SampledProblem
from .samplings import sampling_factor

ARRIVED = 1e-7  # last Newton step, relative to 1 + |x|; and gradient, as a part of a sample's at the start
NEAR = 0.1  # distance, relative to 1 + |x|, within which a given point must have a minimum
FLAT = 1e-8  # curvature, as a part of the largest: Hessians may come from differences
POLISHING = 30  # Newton steps


@dataclass(frozen=True, eq=False, repr=False)
class LocalQuadratic(QuadraticProblem):
    """L(m) + <g, x - m> + (x - m)^T H (x - m) / 2 about a minimum m of the descended L + (ridge / 2) |x|^2.

    `risk` is this quadratic, not the loss itself. The covariance of a sample's gradient is that at m, everywhere;
    its law is Gaussian.

    Parameters
    ----------
    problem : SampledProblem
    point : (d,) array, optional
        A point near a minimum; default: a minimum is looked for by descent from the origin.

    Raises
    ------
    InvalidInput
        If no minimum is found (near the point), or noise acts along directions in which the minimum is flat.
    """

    problem: SampledProblem
    ridge: float
    point: np.ndarray
    modes: tuple[np.ndarray, np.ndarray]
    noise: np.ndarray

    additive: ClassVar[bool] = True

    def __init__(self, problem: SampledProblem, point: Any = None) -> None:
        _check_sampled(problem)
        d = problem.dimension
        start = np.zeros(d) if point is None else finite_array("point", point, shape=(d,))
        found = _minimum(problem, start, point is not None)
        values, vectors = np.linalg.eigh(problem.hessian(found))
        values, vectors = values[::-1].copy(), np.ascontiguousarray(vectors[:, ::-1])
        curvatures = values + problem.ridge
        if not np.abs(curvatures).max() > 0:
            raise InvalidInput("the loss has no curvature where descent ends: add a ridge, or pass another point")
        flat = np.abs(curvatures) <= FLAT * np.abs(curvatures).max()
        values[flat] = -problem.ridge
        noise = vectors.T @ problem.gradient_noise_covariance(found) @ vectors
        if (curvatures[~flat] < 0).any():
            raise InvalidInput(
                f"the stationary point that was found is no minimum: its least curvature is {curvatures.min():.3g}; "
                "pass a point near a minimum"
            )
        if (np.diagonal(noise)[flat] > FLAT * np.trace(noise)).any():
            raise InvalidInput(
                f"the minimum is not isolated: along {flat.sum()} of {d} directions it is flat but noisy, and nothing "
                "settles there; add a ridge, or take a model of problems.zero_loss with diffusions.ManifoldLimit"
            )
        noise[flat], noise[:, flat] = 0.0, 0.0
        for name, value in (
            ("problem", problem), ("ridge", problem.ridge), ("point", found), ("modes", (values, vectors)),
            ("noise", noise),
        ):  # fmt: skip
            object.__setattr__(self, name, value)
        for array in (found, values, vectors, noise):
            array.flags.writeable = False

    @property
    def spectrum(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues (d,) of the Hessian of L at the minimum, descending, and eigenvectors (d, d)."""
        return self.modes

    @property
    def minimiser(self) -> np.ndarray:
        """The minimum (d,)."""
        return self.point

    @cached_property
    def risk_at_minimiser(self) -> float:
        """L there."""
        return float(self.problem.risk(self.point))

    @cached_property
    def least_risk_point(self) -> np.ndarray:
        """Least point (d,) of the quadratic, without the ridge; the minimiser in directions that curve downwards."""
        curved = self.eigenvalues > FLAT * np.abs(self.eigenvalues).max()
        shift = np.where(curved, self._slope / np.where(curved, self.eigenvalues, 1.0), 0.0)
        return self.minimiser - self.eigenvectors @ shift

    @property
    def least_risk(self) -> float:
        """Value of the quadratic there."""
        modes = self.eigenvectors.T @ (self.minimiser - self.least_risk_point)
        return float(self.risk_at_minimiser - 0.5 * np.square(modes) @ self.eigenvalues)

    @property
    def _slope(self) -> np.ndarray:
        """Gradient (d,) of L at the minimiser, in modes."""
        return -self.ridge * (self.eigenvectors.T @ self.minimiser)

    @property
    def coordinates(self) -> tuple[str, ...]:
        """Names of the d parameters."""
        return tuple(f"x{i}" for i in range(self.minimiser.size))

    def with_ridge(self, ridge: float) -> LocalQuadratic:
        """Refused: with another ridge the minimum, its Hessian and its noise are others."""
        raise InvalidInput("a ridge moves the minimum: take LocalQuadratic of the problem with that ridge")

    def sampling_factor(self, batch_size: int, sampling: str) -> float:
        """1/B; for batches without replacement (n - B) / (B (n - 1))."""
        batch = self.check_batch_size(batch_size, sampling)
        if sampling == "reshuffle":
            raise InvalidInput(
                "reshuffled epochs are not independent steps, so their noise has no single covariance: take "
                "'without_replacement' or 'with_replacement'"
            )
        return sampling_factor(batch, sampling, self.problem.samples)

    def check_batch_size(self, batch_size: int, sampling: str) -> int:
        """As the loss."""
        return self.problem.check_batch_size(batch_size, sampling)

    def noise_covariance_map(self, second: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """Covariance (d, d) of one sample's gradient at the minimiser, in modes."""
        return self.noise.copy()

    def gradient_noise_map(self, factor: float, label_variance: float) -> ConstantNoise:
        """That covariance times a factor; there are no labels to add noise to."""
        if label_variance:
            raise InvalidInput(
                "label_noise is not 0, but only least squares has labels to add it to; pass label_noise=0"
            )
        return ConstantNoise(factor * self.noise)

    def __repr__(self) -> str:
        return f"LocalQuadratic(about a minimum of {self.problem!r}; largest eigenvalue {self.eigenvalues[0]:.4g})"


def _check_sampled(problem: Any) -> None:
    if getattr(problem, "quadratic", False):
        raise InvalidInput(
            f"{type(problem).__name__} is a quadratic already, with moments of its own: take it itself; this is for "
            "Logistic, SampleLoss and Supervised"
        )
    if not getattr(problem, "sampled", False):
        raise InvalidInput(
            f"problem must be a smooth loss over samples, Logistic, SampleLoss or Supervised, got {kind(problem)}"
        )


def _minimum(problem: SampledProblem, start: np.ndarray, near: bool) -> np.ndarray:
    """A stationary point (d,) of the descended objective, by descent and Newton's method; `near`: close to `start`."""
    from scipy.optimize import minimize

    def value(x: np.ndarray) -> float:
        return float(problem.risk(x) + 0.5 * problem.ridge * (x @ x))

    x = start
    if not near:
        with np.errstate(over="ignore", invalid="ignore"):
            x = minimize(value, start, jac=problem.gradient, method="L-BFGS-B", options={"maxiter": 5000}).x
    ridge = problem.ridge * np.eye(x.size)
    size = 1e-300 + np.sqrt(np.trace(problem.gradient_noise_covariance(start)))
    step = np.inf
    with np.errstate(over="ignore", invalid="ignore"):  # where there is no minimum
        for _ in range(POLISHING):
            move = np.linalg.pinv(problem.hessian(x) + ridge, rcond=FLAT, hermitian=True) @ problem.gradient(x)
            step = float(np.linalg.norm(move) / (1 + np.linalg.norm(x)))
            if not step < 1e6 or step <= 1e-3 * ARRIVED:
                break
            x = x - move
        left, moved = float(np.linalg.norm(problem.gradient(x))), float(np.linalg.norm(x - start))
    arrived = step <= ARRIVED and left <= ARRIVED * size
    if not arrived or (near and moved > NEAR * (1 + np.linalg.norm(start))):
        where = "near the point" if near else "by descent from the origin"
        why = f"the gradient has norm {left:.3g} where it ends"
        if arrived:
            why = f"the nearest stationary point is {moved:.3g} away, more than {NEAR:g} (1 + |point|)"
        cure = "pass a nearer one, or none" if near else "pass a point near one"
        raise InvalidInput(
            f"no minimum of this loss was found {where}: {why}; {cure}, or add a ridge where the loss has no minimum"
        )
    return x
