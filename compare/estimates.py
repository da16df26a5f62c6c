"""Monte Carlo means with standard errors and simultaneous bands; control variates whose expectation is exact."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sgdlimits.exact.errors import InvalidInput, real_number

DRAWS = 20_000  # of the Gaussian vector whose largest entry sets the width of a band
KNOWN = 10  # degrees of freedom for each step from which their correlation is taken as known


@dataclass(frozen=True, eq=False)
class Controls:
    """Samples (paths, steps) of observables of one process with their exact expectations (steps,)."""

    samples: tuple[np.ndarray, ...] = ()
    expectations: tuple[np.ndarray, ...] = ()

    def __neg__(self) -> Controls:
        return Controls(tuple(-s for s in self.samples), tuple(-e for e in self.expectations))

    def __add__(self, other: Controls) -> Controls:
        return Controls(self.samples + other.samples, self.expectations + other.expectations)

    def at(self, steps: np.ndarray) -> Controls:
        """The same at some of the steps, a mask or places."""
        return Controls(tuple(s[:, steps] for s in self.samples), tuple(e[steps] for e in self.expectations))

    def centred(self, index: int) -> np.ndarray:
        """Samples minus expectations (paths, controls) at one recorded step, those of no variance left out."""
        columns = [s[:, index] - e[index] for s, e in zip(self.samples, self.expectations)]
        return np.column_stack([c for c in columns if np.ptp(c) > 0] or [np.empty((len(columns[0]), 0))])


def mean_and_error(values: np.ndarray, controls: Controls = Controls()) -> tuple[np.ndarray, np.ndarray]:
    """Mean (steps,) and standard error (steps,) of samples (paths, steps), by regression on the controls.

    The regression leaves a bias of order 1/paths. The error is the jackknife-like HC3 one, because what the
    controls leave over spreads unevenly. Derived.
    """
    means, influence = mean_and_influence(values, controls)
    if len(values) < 2:
        return means, np.full(means.shape, np.inf)
    return means, np.sqrt(np.square(influence).sum(axis=0))


def mean_and_influence(
    values: np.ndarray, controls: Controls = Controls()
) -> tuple[np.ndarray, np.ndarray]:
    """Mean (steps,), and what each path adds to its error (paths, steps): sums of squares are squared errors."""
    paths, steps = values.shape
    means, influence = np.empty(steps), np.zeros((paths, steps))
    for index in range(steps):
        sample = values[:, index]
        columns = controls.centred(index) if controls.samples else np.empty((paths, 0))
        if not columns.shape[1] or paths <= 10 * columns.shape[1]:
            means[index] = sample.mean()
            if paths > 1:
                influence[:, index] = (sample - means[index]) / np.sqrt(paths * (paths - 1))
            continue
        columns = columns / np.abs(columns).max(axis=0)
        left, singular, right = np.linalg.svd(np.column_stack([np.ones(paths), columns]), full_matrices=False)
        keep = singular > 1e-10 * singular[0]
        left, singular, right = left[:, keep], singular[keep], right[keep]
        weights = left @ (right[:, 0] / singular)  # the intercept is weights @ sample
        residual = sample - left @ (left.T @ sample)
        leverage = np.minimum(np.square(left).sum(axis=1), 1 - 1e-12)
        means[index] = weights @ sample
        influence[:, index] = weights * residual / (1 - leverage)
    return means, influence


def confidence_level(value: float) -> float:
    """The confidence of an interval, above 0 and below 1."""
    confidence = real_number("confidence", value)
    if not 0 < confidence < 1:
        raise InvalidInput(f"confidence must be above 0 and below 1, got {confidence!r}")
    return confidence


def normal_quantile(confidence: float) -> float:
    """z with P(|N(0, 1)| <= z) = confidence."""
    from statistics import NormalDist

    return NormalDist().inv_cdf((1 + confidence) / 2)


def student_quantile(confidence: float, degrees: float) -> float:
    """t with P(|T| <= t) = confidence, T of Student's law; its normal limit for infinitely many degrees of freedom."""
    from scipy.special import stdtrit

    return normal_quantile(confidence) if np.isinf(degrees) else float(stdtrit(degrees, (1 + confidence) / 2))


def half_width(values: np.ndarray, confidence: float) -> np.ndarray:
    """Of Student's interval of the mean over the first axis; values (R, ...), R at least 2."""
    quantile = student_quantile(confidence, len(values) - 1)
    return quantile * values.std(axis=0, ddof=1) / math.sqrt(len(values))


def jackknife_error(left_out: np.ndarray) -> np.ndarray:
    """Standard error from estimates (R, ...) without one of R groups each."""
    return np.sqrt((1 - 1 / len(left_out)) * np.square(left_out - left_out.mean(axis=0)).sum(axis=0))


def fieller(above: np.ndarray, below: np.ndarray, level: float) -> tuple[float, float, float]:
    """mean(above) / mean(below) of pairs (R,), with the interval that errs with probability `level` on each side.

    nan, and an infinite interval, where the sign of the mean of `below` is not known at that level: the ratio has no
    meaning then.
    """
    n, t = len(above), student_quantile(1 - 2 * level, len(above) - 1)
    a, b = float(above.mean()), float(below.mean())
    (aa, ab), (_, bb) = np.cov(above, below) / n * t**2
    if b**2 <= bb:
        return math.nan, -math.inf, math.inf
    middle, left = a * b - ab, b**2 - bb
    root = math.sqrt(max(middle**2 - left * (a**2 - aa), 0.0))
    return a / b, (middle - root) / left, (middle + root) / left


def band_quantile(influence: np.ndarray, confidence: float, degrees: float = np.inf) -> float:
    """Width, in standard errors, of a band that holds all steps at once: the sup-t band.

    The quantile of the largest of |N(0, R)|, R the correlation of the means at the steps, from `influence`
    (paths, steps), over an independent chi of `degrees` of freedom where the errors themselves are known from few
    paths; never below one step's own quantile, never above Bonferroni's, which is taken where the paths are too few to
    know R. Derived.
    """
    sizes = np.sqrt(np.square(influence).sum(axis=0))
    moving = influence[:, (sizes > 0) & np.isfinite(sizes)] / sizes[(sizes > 0) & np.isfinite(sizes)]
    alone = student_quantile(confidence, degrees)
    if moving.shape[1] < 2:
        return alone
    bonferroni = student_quantile(1 - (1 - confidence) / moving.shape[1], degrees)
    if degrees < KNOWN * moving.shape[1]:
        return bonferroni
    values, vectors = np.linalg.eigh(moving.T @ moving)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    generator = np.random.Generator(np.random.Philox(0))
    largest = np.abs(generator.standard_normal((DRAWS, len(root))) @ root.T).max(axis=1)
    if np.isfinite(degrees):
        largest /= np.sqrt(generator.chisquare(degrees, DRAWS) / degrees)
    return float(np.clip(np.quantile(largest, confidence), alone, bonferroni))


def heaviest_share(influence: np.ndarray) -> np.ndarray:
    """Part (steps,) of the variance of a mean that a single path carries: near 1/paths times a little, or tails."""
    squares = np.square(influence)
    total = squares.sum(axis=0)
    return np.where(total > 0, squares.max(axis=0) / np.where(total > 0, total, 1.0), 0.0)
