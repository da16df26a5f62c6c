"""What theory says of the gap in short: quasi-static noise, two powers of the steps, a residual floor. Derived."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sgdlimits.discrete import SGD
from sgdlimits.exact.moment_states import Curve
from sgdlimits.exact.residual_gap import residual_gap
from sgdlimits.problems.quadratic import NO_NOISE
from sgdlimits.problems.streaming import StreamingLeastSquares

FEWEST = 8  # eigenvalues of which a power law is told
LIKE = 0.05  # of an eigenvalue, by which it may differ from a power law
WIDE = 100.0  # ratio of the ends of a window in whose middle an exponent is read off
APART = 2.0**0.5  # a slope is that between the step times and over this


def effective(sgd: SGD, time: float) -> float:
    """Gradient-flow time of a sum of step sizes: momentum lengthens each step."""
    return time / (1 - sgd.momentum)


@dataclass(frozen=True, eq=False)
class QuasiStatic:
    """Variances of modes as if the risk had long been what it is at the drop.

    A run whose noise has covariance level * H a step, of effective size eta, for the flow time t has about

        C_i = eta level lambda_i (1 - exp(-2 c_i t)) / (2 c_i),     level = 2 E L * (covariance factor of a batch),

    c_i the curvatures: the difference of two runs then fades as exp(-2 c_i t). Derived; its error is measured, not
    bounded.

    Attributes
    ----------
    weights : (d,) array
        Gap at the drop of each mode.
    rates : (d,) array
        2 c_i.
    """

    weights: np.ndarray
    rates: np.ndarray

    @classmethod
    def of(cls, sgd: SGD, levels: tuple[float, float], time: float) -> QuasiStatic:
        """From (effective step size times level) of both runs, after this effective time."""
        problem = sgd.problem
        moving = problem.curvatures > 0
        rates = 2 * problem.curvatures[moving]
        eigenvalues = problem.eigenvalues[moving]
        spread = (levels[0] - levels[1]) * eigenvalues * -np.expm1(-rates * time) / rates
        return cls(0.5 * eigenvalues * spread, rates)

    def gap(self, times: np.ndarray) -> np.ndarray:
        """At effective times after the drop (k,)."""
        return np.array([self.weights @ np.exp(-self.rates * time) for time in times])


def level(sgd: SGD, risk: float) -> float:
    """2 E L times the factor of a batch, and the labels' fresh noise."""
    factor = sgd.problem.sampling_factor(sgd.batch_size, sgd.sampling)
    return float(factor * 2 * risk + sgd.label_noise**2 / sgd.batch_size)


@dataclass(frozen=True)
class PowerLaw:
    """Eigenvalues c i^-exponent.

    Attributes
    ----------
    exponent : float
    deviation : float
        Largest relative difference of an eigenvalue from the law.
    """

    exponent: float
    deviation: float


def power_law(eigenvalues: np.ndarray) -> PowerLaw | None:
    """The power law of eigenvalues (falling), where they follow one with an exponent above 1."""
    values = eigenvalues[eigenvalues > 0]
    if values.size < FEWEST:
        return None
    x, y = np.log(np.arange(1, values.size + 1)), np.log(values)
    slope, offset = np.polyfit(x, y, 1)
    deviation = float(np.expm1(np.abs(y - slope * x - offset).max()))
    return PowerLaw(-float(slope), deviation) if deviation <= LIKE and slope < -1 - LIKE else None


@dataclass(frozen=True)
class Window:
    """Where the gap falls like a power of the steps.

    Attributes
    ----------
    first, last : float
        Steps after the drop far inside of which the power is predicted.
    predicted : float
        Exponent.
    step : int
        In the middle; -1 where the window is too narrow.
    measured, between : float
        Local exponents there, seen and predicted; nan where the window is too narrow.
    """

    first: float
    last: float
    predicted: float
    step: int
    measured: float
    between: float


def windows(
    curve: Curve, eigenvalues: np.ndarray, law: PowerLaw, size: float, time: float, memory: float
) -> list[Window]:
    """The two windows: while the drop is recent beside the run before it, and after that.

    With D_i nearly alike over the modes that have settled, the gap is a sum of lambda_i exp(-2 lambda_i t): it falls as
    t^-(1 - 1/exponent); after longer than the time before the drop slower modes carry it, whose D_i grew in proportion
    to lambda_i: t^-(2 - 1/exponent). Between, with a = 1 - 1/exponent and the time T before the drop, as
    t^-a - (t + T)^-a, to which both are limits that are come to slowly. Derived.

    Parameters
    ----------
    size : float
        Effective step size after the drop.
    time : float
        Effective time before it.
    memory : float
        Steps over which momentum averages.
    """
    fastest, slowest = (1 / (2 * size * value) for value in (eigenvalues.max(), eigenvalues[eigenvalues > 0].min()))
    fastest = max(fastest, memory)
    before = time / size
    found = []
    for first, last, whole in ((fastest, min(before, slowest), 1), (max(before, fastest), slowest, 2)):
        exponent = 1 / law.exponent - whole
        if last < WIDE * first:
            found.append(Window(first, last, exponent, -1, float("nan"), float("nan")))
            continue
        middle = int(round((first * last) ** 0.5))
        seen, power = float(slopes(curve, np.array([middle]))[0]), 1 - 1 / law.exponent

        def crossing(steps: np.ndarray) -> np.ndarray:
            return np.power(steps, -power) - np.power(steps + before, -power)

        between = float(slopes(crossing, np.array([middle]))[0])
        found.append(Window(first, last, exponent, middle, seen, between))
    return found


def slopes(curve: Curve, steps: np.ndarray) -> np.ndarray:
    """d log gap / d log step over a factor of two about each step; nan before step 2 and where the gap changes sign."""
    known = steps >= 2
    found = np.full(len(steps), np.nan)
    if known.any():
        left = np.rint(steps[known] / APART).astype(np.int64)
        right = np.rint(steps[known] * APART).astype(np.int64)
        values = curve(np.concatenate([left, right]))
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = values[len(left) :] / values[: len(left)]
            found[known] = np.where(ratio > 0, np.log(np.where(ratio > 0, ratio, 1.0)) / np.log(right / left), np.nan)
    return found


def floor_of(sgd: SGD) -> float:
    """What the noise leaves for ever: stationary excess risk above that of gradient descent."""
    problem = sgd.problem
    plain = not sgd.momentum and not problem.ridge
    if isinstance(problem, StreamingLeastSquares) and plain:
        variance = problem.noise**2 + sgd.label_noise**2
        return residual_gap(problem.eigenvalues, float(sgd.step_size), sgd.batch_size, variance)
    covariance = sgd.second_moments.equations.feedback.stationary_covariance()
    floor = float(0.5 * problem.eigenvalues @ np.diagonal(covariance))
    return 0.0 if floor <= NO_NOISE * float(problem.risk(np.zeros(problem.dimension))) else floor
