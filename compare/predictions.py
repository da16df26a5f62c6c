"""Leading-order theory for the weak error of a diffusion against SGD on least squares. Derived.

In gradient-flow time s = step_size * k, SGD's moment map is exp(step_size * (-K + step_size E1 + step_size^2 E2))
up to higher orders, where K moves moments by gradient flow. A diffusion whose moment generator is -K + step_size G
has the weak error step_size * D[G - E1], with D[E] the integral of exp(-(s-u)K) E exp(-uK) over u from 0 to s.
When G = E1 (the modified equation of order 2) the error is -step_size^2 D[E2].

Moments are triples: second moment (d, d) and mean (d,) of the modes, and the number 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.exact.linear_maps import exponential_action, pack_symmetric, unpack_symmetric
from sgdlimits.exact.moment_flows import length_unit
from sgdlimits.problems.quadratic import QuadraticProblem

Triple = tuple[np.ndarray, np.ndarray, float]
MomentOperator = Callable[[Triple], Triple]
NoiseMap = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class LeadingError:
    """Coefficient of step_size^order in the weak error, at several times.

    Attributes
    ----------
    order : int
    second : array (times, d, d)
        Coefficient of the error of the second moment, in modes.
    mean : array (times, d)
        Coefficient of the error of the mean, in modes.
    problem : QuadraticProblem
    """

    order: int
    second: np.ndarray
    mean: np.ndarray
    start_mean: np.ndarray
    problem: QuadraticProblem

    def risk(self) -> np.ndarray:
        """Coefficient (times,) of the error of the expected risk."""
        variances = np.diagonal(self.second, axis1=-2, axis2=-1)
        return self.mean @ self.problem.risk_slope + 0.5 * variances @ self.problem.eigenvalues

    def covariance(self, times: Sequence[float]) -> np.ndarray:
        """Coefficient (times, d, d) of the error of the covariance."""
        flow = np.exp(-np.outer(times, self.problem.curvatures)) * self.start_mean
        cross = self.mean[:, :, None] * flow[:, None, :]
        return self.second - cross - np.swapaxes(cross, 1, 2)


def leading_error(
    sgd: Any, process: Any, mean: np.ndarray, covariance: np.ndarray, times: Sequence[float]
) -> LeadingError:
    """Leading weak error of `process` against `sgd` at gradient-flow times, from moments (d,), (d, d) of the start.

    Mean and covariance of the start are those of the modes. Both sides must share problem and step size.
    """
    problem = sgd.problem
    curvatures = problem.curvatures

    def flow(moments: Triple) -> Triple:
        second, first, _ = moments
        return curvatures[:, None] * second + second * curvatures, curvatures * first, 0.0

    def sampled(moments: Triple) -> Triple:
        """Q: second moment that one step adds, per squared step size."""
        pulled = curvatures[:, None] * curvatures * moments[0]
        return pulled + homogeneous(sgd.noise_map)(moments), np.zeros_like(curvatures), 0.0

    def difference(moments: Triple) -> Triple:
        """G - E1."""
        noise = homogeneous(process.noise_map)(moments) - homogeneous(sgd.noise_map)(moments)
        if process.drift_order == 2:
            return noise, np.zeros_like(curvatures), 0.0
        half = 0.5 * curvatures**2
        return noise + half[:, None] * moments[0] + moments[0] * half, half * moments[1], 0.0

    def second_order(moments: Triple) -> Triple:
        """-E2 = K^3/3 - (K Q + Q K)/2."""
        thrice = flow(flow(flow(moments)))
        first, second = flow(sampled(moments)), sampled(flow(moments))
        return thrice[0] / 3 - (first[0] + second[0]) / 2, thrice[1] / 3 - (first[1] + second[1]) / 2, 0.0

    start = (covariance + np.outer(mean, mean), mean, 1.0)
    # Second order needs the corrected drift and SGD's own noise; a batch without replacement has less of it.
    same_noise = process.drift_order == 2 and _same_noise(sgd.noise_map, process.noise_map, curvatures.size)
    order, defect = (2, second_order) if same_noise else (1, difference)
    second, first = _accumulated(flow, defect, start, times)
    return LeadingError(order, second, first, mean, problem)


def _same_noise(own: NoiseMap, theirs: NoiseMap, d: int) -> bool:
    """Whether two noise maps, affine in (second, mean), agree: at the identity and at three random moments."""
    random = np.random.Generator(np.random.Philox(0))
    probes = [(np.eye(d), np.zeros(d))]
    for _ in range(3):
        mean, root = random.standard_normal(d), random.standard_normal((d, d))
        probes.append((np.outer(mean, mean) + root @ root.T, mean))
    pairs = [(own(*probe), theirs(*probe)) for probe in probes]
    return all(np.abs(a - b).max() <= 1e-9 * np.abs(a).max() for a, b in pairs)


def homogeneous(noise_map: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Callable[[Triple], np.ndarray]:
    """A noise map, affine in (second, mean), as a linear map of (second, mean, 1)."""

    def apply(moments: Triple) -> np.ndarray:
        second, first, one = moments
        constant = noise_map(np.zeros_like(second), np.zeros_like(first))
        return noise_map(second, first) + (one - 1.0) * constant

    return apply


def _accumulated(
    flow: MomentOperator, defect: MomentOperator, start: Triple, times: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """D[defect] applied to the start: second moments (times, d, d) and means (times, d)."""
    d = start[1].size
    size = d * (d + 1) // 2 + d + 1
    unit = length_unit(start[1], start[0], start[0])
    scales = np.concatenate([np.full(size - d - 1, unit**2), np.full(d, unit), [1.0]])  # as in the moment flows

    def unpack(vector: np.ndarray) -> Triple:
        return unpack_symmetric(vector[: -d - 1], d), vector[-d - 1 : -1], float(vector[-1])

    def pack(moments: Triple) -> np.ndarray:
        return np.concatenate([pack_symmetric(moments[0]), moments[1], [moments[2]]])

    def generator(stacked: np.ndarray) -> np.ndarray:
        error, moments = unpack(stacked[:size] * scales), unpack(stacked[size:] * scales)
        return np.concatenate([pack(defect(moments)) - pack(flow(error)), -pack(flow(moments))]) / np.tile(scales, 2)

    stacked = np.concatenate([np.zeros(size), pack(start) / scales])
    errors = exponential_action(generator, stacked, times)[:, :size] * scales
    triples = [unpack(error) for error in errors]
    return np.array([t[0] for t in triples]), np.array([t[1] for t in triples])
