"""The step behind the upper bound of the tail index, as a check: a coordinate of homogenized SGD against Pearson's.

Started alike, E phi(Y_t) <= E phi(z_t) for every convex phi: even moments, and stop-loss transforms E (z - c)_+, which
make up all the others. The first are exact on both sides, the second are sampled. Derived.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri

from sgdlimits.exact.errors import InvalidInput, finite_array, instance_of, positive, whole_number
from sgdlimits.exact.noise_maps import RankOneNoise
from sgdlimits.exact.polynomial_moments import PolynomialMoments

from .homogenized import HomogenizedSGD
from .pearson import PearsonDiffusion

ROUNDING = 1e-12  # relative, of exact moments
USUAL = (-1.0, 0.0, 1.0, 2.0, 3.0)  # thresholds, in standard deviations of the Pearson diffusion


@dataclass(frozen=True, eq=False)
class ConvexOrder:
    """Both sides after some steps.

    Attributes
    ----------
    step : int
    orders : (m,) array
        Of the even moments about the minimiser.
    moments_below, moments_above : (m,) arrays
        Exact: of the Pearson diffusion, of the coordinate.
    thresholds : (c,) array
    stop_loss_below, stop_loss_above : (c,) arrays
        Sampled means of (z - threshold)_+.
    half_widths : (c,) array
        Of the intervals of their differences, which hold together at the confidence asked for.
    """

    step: int
    orders: np.ndarray
    moments_below: np.ndarray
    moments_above: np.ndarray
    thresholds: np.ndarray
    stop_loss_below: np.ndarray
    stop_loss_above: np.ndarray
    half_widths: np.ndarray

    @property
    def moments_ordered(self) -> bool:
        """Whether no exact moment contradicts the order."""
        return bool((self.moments_below <= self.moments_above * (1 + ROUNDING)).all())

    @property
    def stop_loss_refuted(self) -> bool:
        """Whether an interval lies wholly on the wrong side."""
        return bool((self.stop_loss_above + self.half_widths < self.stop_loss_below).any())

    @property
    def holds(self) -> bool:
        """Whether nothing contradicts the order."""
        return self.moments_ordered and not self.stop_loss_refuted

    def __repr__(self) -> str:
        lines = [f"convex order after {self.step} steps: {'holds' if self.holds else 'REFUTED'}"]
        for order, low, high in zip(self.orders, self.moments_below, self.moments_above):
            lines.append(f"  moment {order}: {low:.6g} <= {high:.6g} (exact)")
        for c, low, high, half in zip(self.thresholds, self.stop_loss_below, self.stop_loss_above, self.half_widths):
            lines.append(f"  stop-loss above {c:.4g}: {low:.6g} <= {high:.6g} (difference +- {half:.2g})")
        return "\n".join(lines)


def convex_order(
    process: HomogenizedSGD,
    x0: Any,
    steps: int,
    mode: int = 0,
    *,
    below: PearsonDiffusion | None = None,
    orders: Sequence[int] = (2, 4),
    thresholds: Sequence[float] | None = None,
    paths: int = 20_000,
    substeps: int = 4,
    confidence: float = 0.99,
    seed: int = 0,
    threads: int | None = None,
) -> ConvexOrder:
    """Compare coordinate `mode` of homogenized SGD, in the eigenbasis, with the Pearson diffusion below it.

    Parameters
    ----------
    process : HomogenizedSGD
    x0 : (d,) array
        A point, in original coordinates.
    steps : int
    mode : int
        Eigenvalues descend.
    below : PearsonDiffusion, optional
        Default: `PearsonDiffusion.of(process, mode)`.
    orders : even whole numbers
    thresholds : sequence of float, optional
        Default: -1 to 3 standard deviations of the Pearson diffusion about its mean.
    paths, substeps, seed, threads
        Of the two simulations, which are independent; both split into exact flows.
    confidence : float
        Of all intervals together.

    Raises
    ------
    InvalidInput
        If an argument cannot be used, or there are too many modes for the exact moments.
    """
    instance_of("process", process, HomogenizedSGD)
    problem, noise, steps = process.quadratic, process.noise_map, whole_number("steps", steps, 1)
    below = PearsonDiffusion.of(process, mode) if below is None else instance_of("below", below, PearsonDiffusion)
    even = [whole_number("orders", order, 2) for order in orders]
    if any(order % 2 for order in even):
        raise InvalidInput(f"orders must be even, got {orders!r}: other powers are not convex")
    if not 0 < positive("confidence", confidence) < 1:
        raise InvalidInput(f"confidence must be below 1, got {confidence!r}")
    paths = whole_number("paths", paths, 2)
    position = finite_array("x0", x0, shape=(problem.dimension,))
    assert isinstance(noise, RankOneNoise)  # of every homogenized SGD
    start, moving = problem.to_modes(position), problem.eigenvalues > 0
    exact = PolynomialMoments(
        process.rates[moving], process.step_size**2 * noise.spread[moving], noise.slope[moving],
        noise.coupling[moving], noise.floor, max(even),
    )  # fmt: skip
    found, exponents = exact.at(start[moving], [float(steps)])[0], exact.exponents
    alone = exponents[:, mode] == exponents.sum(axis=1)
    above_moments = [float(found[alone & (exponents[:, mode] == order)][0]) for order in even]
    lower = below.power_moments(start[mode], [float(steps)], max(even))[0]
    spread = np.sqrt(max(lower[2] - lower[1] ** 2, 0.0))
    levels = lower[1] + spread * np.array(USUAL) if thresholds is None else finite_array(
        "thresholds", thresholds, ndim=1
    )

    def run(side: Any, at: np.ndarray, place: Any) -> tuple[np.ndarray, np.ndarray]:
        sampled = side.simulate(
            at, steps, paths, observables={"z": place}, record=[steps], seed=seed, solver="ninomiya_victoir",
            substeps=substeps, threads=threads, first_path=paths if side is below else 0,
        )["z"].values.reshape(-1, 1)  # fmt: skip
        losses = np.maximum(sampled - levels, 0.0)
        return losses.mean(axis=0), losses.var(axis=0, ddof=1) / paths

    above_loss, above_error = run(process, position, lambda x: problem.to_modes(x)[:, mode])
    below_loss, below_error = run(below, start[mode : mode + 1], lambda y: y[:, 0])
    quantile = float(ndtri(1 - (1 - confidence) / (2 * levels.size)))
    return ConvexOrder(
        steps, np.array(even), lower[even], np.array(above_moments), levels, below_loss, above_loss,
        quantile * np.sqrt(above_error + below_error),
    )  # fmt: skip
