"""Closures: stationary covariances of rules whose law does not close, with their matrix frozen at its mean.

A frozen matrix Lambda makes a descent linear: with the noise C of a batch's gradient and M = Lambda H its covariance S
solves

    (1 - mu) (M S + S M^T) - (1 + mu^2) / (1 - mu^2) M S M^T + mu / (1 - mu^2) (M M S + S M^T M^T) = Lambda C Lambda^T,

and Lambda and C are those of S again. How far that is from the rule itself only a simulation can say.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.exact import claims_of_closures as theory
from sgdlimits.exact.claims import Claim
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.exact.schedules import StepSizes
from sgdlimits.problems.quadratic import QuadraticProblem
from sgdlimits.problems.streaming import StreamingLeastSquares

from .frozen_squares import fixed_squares
from .rules import Adam, NaturalGradient, Preconditioned, RMSProp
from .rules.momentum import momentum_rule

if TYPE_CHECKING:
    from .sgd import SGD
TINY = 1e-6  # step size times curvature, at which what has a law at all has one


@dataclass(frozen=True, eq=False)
class Closure:
    """A stationary covariance under a frozen matrix.

    Attributes
    ----------
    label : str
    covariance : (d, d) array
    step_matrix : (d, d) array
        Lambda: the step size times the frozen matrix.
    noise : (d, d) array
        Covariance C of a batch's gradient that goes with it.
    residual : float
        Of the equation for the covariance, relative: 0 up to rounding.
    radius : float
        By which a step multiplies second moments under the frozen matrix; exactly 1 where only the equation fixes the
        scale. Of Adam and RMSProp with noise at the minimiser a lower bound, from the mean.
    claims : tuple of Claim
    """

    label: str
    covariance: np.ndarray
    step_matrix: np.ndarray
    noise: np.ndarray
    residual: float
    radius: float
    claims: tuple[Claim, ...]

    def __repr__(self) -> str:
        marginal = theory.MARGINAL in self.claims
        radius = "exactly 1: an iteration would never arrive" if marginal else f"{self.radius:.9g}"
        return (
            f"Closure({self.label}: trace of covariance={np.trace(self.covariance):.6g}; residual "
            f"{self.residual:.1e}; second moments under the frozen matrix are multiplied by {radius})"
        )


def closure(sgd: SGD, form: str | None = None) -> Closure:
    """As `SGD.closure`."""
    rule, problem = sgd.update_rule, sgd.problem
    if isinstance(sgd.step_size, StepSizes):
        raise InvalidInput(f"step_size is the schedule {sgd.step_size!r}, and a closure is of one step size")
    if form is not None and (form != "2021" or not isinstance(rule, NaturalGradient)):
        raise InvalidInput(
            f"form is {form!r}; allowed: None, or '2021' of natural gradient, the closure of the first paper without "
            "the trace term"
        )
    if isinstance(problem, QuadraticProblem):
        quiet = isinstance(problem, StreamingLeastSquares) and problem.noise_dies(sgd.label_noise) and not problem.ridge
        if isinstance(rule, NaturalGradient) and isinstance(problem, StreamingLeastSquares) and rule.samples == "all":
            return _natural(sgd, problem, rule, form)
        if isinstance(rule, (Adam, RMSProp)):
            return _adam_type(sgd, *_adaptive(rule)[:2]) if quiet else _preconditioned(sgd, *_adaptive(rule))
    raise InvalidInput(
        f"no closure is known for {sgd.label} on {type(problem).__name__}: it is for NaturalGradient with the centred "
        "or empirical Fisher matrix of all samples on a stream without ridge, and for Adam and RMSProp without weight "
        "decay on quadratic problems"
    )


def _natural(sgd: SGD, problem: StreamingLeastSquares, rule: NaturalGradient, form: str | None) -> Closure:
    """S = s H^-1, J = j H: a quadratic for s. Without noise on labels it is that of the papers.

    With k the trace's weight (d, or 0 in the form of 2021) and e = 1 for an uncentred matrix: gradients have covariance
    (s (1 + k) + v) H a sample, and j = s (1 + k + e) + v, v the variance of labels.
    """
    h, mu, d = problem.eigenvalues, rule.momentum, problem.dimension
    if problem.ridge or rule.damping or rule.fisher == "expected" or h.min() <= 0:
        raise InvalidInput(
            f"the closure of {sgd.label} is known without ridge and damping, for fisher='centred' or 'empirical', with "
            "features in every direction; with fisher='expected' the law itself is known, stationary()"
        )
    trace, extra = (d if form is None else 0), float(rule.fisher == "empirical")
    variance, size, batch = problem.noise**2 + sgd.label_noise**2, float(sgd.step_size), sgd.batch_size
    one, both, pull = 1.0 + trace, 1.0 + trace + extra, (1 - mu) / (1 + mu)
    # 2 (1 - mu) j s - pull size s = size (s one + v) / batch, j = s both + v
    a = 2 * (1 - mu) * both
    b = 2 * (1 - mu) * variance - pull * size - size * one / batch
    c = -size * variance / batch
    s = (-b + math.sqrt(b * b - 4 * a * c)) / (2 * a)
    vectors = problem.eigenvectors
    inverse = vectors / h @ vectors.T
    step, gain = size / (s * both + variance), one / batch
    found = Closure(
        f"closure of {sgd.label}" + (", form of 2021" if form else ""), s * inverse, step * inverse,
        (s * one + variance) / batch * problem.hessian, 0.0, _radius(step, mu, gain), (),
    )  # fmt: skip
    claims: tuple[Claim, ...] = ()
    if not variance and not extra:
        claims = (theory.NATURAL_2021 if form else theory.NATURAL_2022, theory.MARGINAL)
        claims += (theory.RECOMPUTED, theory.HEAVY) if not mu else ()
    return replace(found, residual=residual(found, problem.hessian, mu), claims=claims)


def _adam_type(sgd: SGD, momentum: float, gain: float) -> Closure:
    """Without noise on labels: the matrix J^-1/2 of J = H S H, which leaves S = c I."""
    problem, size = sgd.problem, float(sgd.step_size) * gain
    root = size / 2 * (1 / (1 + momentum) + 1 / ((1 - momentum) * sgd.batch_size))
    h, vectors = problem.eigenvalues, problem.eigenvectors
    if h.min() <= 0:
        raise InvalidInput("the closure is known with features in every direction: leave the others out")
    noise = root**2 / sgd.batch_size * problem.hessian @ problem.hessian
    step = size / root
    found = Closure(
        f"Adam-type closure of {sgd.label}", root**2 * np.eye(h.size), step * (vectors / h @ vectors.T), noise, 0.0,
        _radius(step, momentum, 1 / sgd.batch_size), (theory.ADAM_TYPE, theory.MARGINAL),
    )  # fmt: skip
    return replace(found, residual=residual(found, problem.hessian, momentum))


def _adaptive(rule: Adam | RMSProp) -> tuple[float, float, float]:
    """Momentum, what is in front of the gradient in it, and eps."""
    if rule.weight_decay or (isinstance(rule, Adam) and rule.amsgrad):
        raise InvalidInput(f"the closure of {rule.label} is known without weight decay and amsgrad")
    if isinstance(rule, Adam):
        return rule.betas[0], 1 - rule.betas[0], rule.eps
    if rule.momentum or rule.centered:
        raise InvalidInput("the closure of RMSProp is known without momentum and centring")
    return 0.0, 1.0, rule.eps


def _preconditioned(sgd: SGD, momentum: float, gain: float, eps: float) -> Closure:
    """The exact law under diag(1 / (sqrt(v) + eps)), v the second moments of gradients under it, by iteration.

    Raises
    ------
    Unstable
        If a curvature is negative, or zero where there is noise.
    OutOfReach
        If it is not found.
    """
    problem, label, size = sgd.problem, sgd.label, float(sgd.step_size)
    inner = momentum_rule(momentum)
    hessian = problem.hessian + problem.ridge * np.eye(problem.dimension)
    factor = problem.sampling_factor(sgd.batch_size, sgd.sampling)
    noise_map = problem.gradient_noise_map(factor, sgd.label_noise**2 / sgd.batch_size)
    vectors, zero = problem.eigenvectors, np.zeros(problem.dimension)

    def noise(covariance: np.ndarray) -> np.ndarray:
        found = vectors @ noise_map(vectors.T @ covariance @ vectors, zero) @ vectors.T
        return np.asarray(found)

    def frozen(squares: np.ndarray, step_size: float) -> Any:
        return replace(sgd, step_size=step_size, rule=Preconditioned(gain / (np.sqrt(squares) + eps), inner))

    def law(squares: np.ndarray, step_size: float) -> np.ndarray | None:
        """Covariance (d, d) under them; None where there is none."""
        held = frozen(squares, step_size)
        second = held.in_plain_coordinates().second_moments
        feedback = second.equations.feedback
        if step_size >= second.mean_threshold or not feedback.is_stable():
            return None
        out = held.rule.root @ second.problem.eigenvectors
        return np.asarray(out @ feedback.stationary_covariance() @ out.T)

    def squares_under(squares: np.ndarray, step_size: float) -> np.ndarray | None:
        covariance = law(squares, step_size)
        return None if covariance is None else np.diagonal(hessian @ covariance @ hessian + noise(covariance)).copy()

    squares = np.diagonal(noise(np.zeros((zero.size,) * 2))).copy()
    if squares.min() <= 0:
        raise InvalidInput(f"the closure of {label} needs noise on every coordinate of the gradient at the minimiser")
    if problem.curvatures.min() <= 0:
        replace(sgd, rule=inner, step_size=TINY / max(problem.curvatures.max(), TINY)).stationary()  # says so
    now, squares = fixed_squares(squares_under, squares, size, label)
    covariance, last = law(squares, size), frozen(now, size)
    assert covariance is not None  # squares_under had one
    found = Closure(
        f"closure of {label}", covariance, np.diag(size * last.rule.matrix), noise(covariance), 0.0, math.nan,
        (theory.ADAPTIVE,),
    )  # fmt: skip
    return replace(found, residual=residual(found, hessian, momentum), radius=_frozen_radius(last, momentum))


def _frozen_radius(sgd: SGD, momentum: float) -> float:
    """By which a step multiplies second moments, at least: of the mean's slowest direction, squared."""
    problem, one = sgd.problem, np.eye(len(sgd.rule.matrix))
    step = float(sgd.step_size) * sgd.rule.matrix[:, None] * (problem.hessian + problem.ridge * one)
    kept = np.block([[(1 + momentum) * one - step, -momentum * one], [one, 0 * one]])  # of x and the one before
    return float(np.abs(np.linalg.eigvals(kept)).max() ** 2)


def residual(found: Closure, hessian: np.ndarray, momentum: float) -> float:
    """Of the equation in this module's heading, relative to its right side."""
    m, s, mu = found.step_matrix @ hessian, found.covariance, momentum
    left = (1 - mu) * (m @ s + s @ m.T) - (1 + mu**2) / (1 - mu**2) * m @ s @ m.T
    left += mu / (1 - mu**2) * (m @ m @ s + s @ m.T @ m.T)
    right = found.step_matrix @ found.noise @ found.step_matrix.T
    return float(np.abs(left - right).max() / np.abs(right).max())


def _radius(step: float, momentum: float, gain: float) -> float:
    """Spectral radius of (E w^2, E w m, E m^2) over a step m' = mu m + w + noise, w' = w - step m', noise gain E w^2.

    Of a mode in coordinates in which the Hessian is the identity.
    """
    moved = np.array([[1 - step, -step * momentum], [1.0, momentum]])
    entry = np.array([-step, 1.0])
    pairs = ((0, 0), (0, 1), (1, 1))
    matrix = np.zeros((3, 3))
    for row, (i, j) in enumerate(pairs):
        for column, (k, m) in enumerate(pairs):
            both = moved[i, k] * moved[j, m] + (moved[i, m] * moved[j, k] if k != m else 0.0)
            matrix[row, column] = both + (gain * entry[i] * entry[j] if (k, m) == (0, 0) else 0.0)
    return float(np.abs(np.linalg.eigvals(matrix)).max())
