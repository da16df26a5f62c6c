"""Moments E |x - minimiser|^p of even order of the diffusions of least squares: the equations that close."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.exact.affine_moments import radial_flow
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.exact.even_moments import EvenMoments, check_cost
from sgdlimits.exact.monomials import exponents
from sgdlimits.exact.monomials import Monomials, multinomials
from sgdlimits.exact.noise_maps import RankOneNoise
from sgdlimits.exact.polynomial_moments import PolynomialMoments
from sgdlimits.exact.quadratic_noise import QuadraticNoise
from sgdlimits.exact.schedules import StepSizes
from sgdlimits.problems.even_moments import even_moments, even_order

from .tails import linear_noise

if TYPE_CHECKING:
    import xarray

    from .diffusion import Diffusion


def even_equations(process: Diffusion, order: int) -> EvenMoments:
    """The closed equations up to an even order, per SGD step, in the modes that the data move.

    Raises
    ------
    InvalidInput
        If they do not close.
    OutOfReach
        If they are too many.
    """
    if isinstance(process.step_size, StepSizes):
        raise InvalidInput(
            f"step_size is the schedule {process.step_size!r}, and moments of even order are known for one step size: "
            "take dataclasses.replace(process, step_size=...)"
        )
    linear, noise, moving = linear_noise(process), process.noise_map, process.quadratic.eigenvalues > 0
    process.quadratic.check_centre()
    if isinstance(linear, QuadraticNoise):
        basis = Monomials(linear.dimension, 1, order, False)
        alpha = basis.exponents
        check_cost(len(alpha), order, len(alpha) * linear.dimension**2 / 8)
        norms = np.column_stack([basis.norm(each) for each in range(2, order + 1, 2)])
        return EvenMoments(linear.generator(alpha), basis.degrees, basis.values, norms, False, alpha)
    assert isinstance(noise, RankOneNoise)
    slope, offsets = noise.slope[moving], noise.offsets[moving]
    even = not slope.any() and not (offsets.any() and linear.own.any())
    if even and linear.isotropic:
        spread = float(linear.spread[0])
        return radial_flow(
            linear.dimension, float(linear.rates[0]), spread * float(linear.coupling[0]), spread * noise.floor,
            float(linear.own[0]), order,
        )  # fmt: skip
    moments = PolynomialMoments(
        linear.rates, linear.spread, slope, linear.coupling, noise.floor, order, linear.own, offsets, even
    )
    alpha = moments.exponents
    check_cost(len(alpha), order, len(alpha) / 3)
    norms = np.zeros((len(alpha), order // 2))
    places = {tuple(each): place for place, each in enumerate(alpha.tolist())}
    for column, half in enumerate(range(1, order // 2 + 1)):
        each = exponents(half, linear.dimension)
        norms[[places[tuple(powers)] for powers in (2 * each).tolist()], column] = multinomials(each)

    def values(points: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            return np.mean([np.prod(point**alpha, axis=1) for point in points], axis=0)

    return EvenMoments(moments.generator, alpha.sum(axis=1), values, norms, False, alpha)


class WithEvenMoments:
    """What a diffusion of least squares has whose moments of even order close."""

    def even_moments(
        self: Any, x0: Any, steps: int, order: int = 4, record: int | Sequence[int] | None = None
    ) -> xarray.Dataset:
        """Exact E |x - minimiser|^p for p = 2, 4, ..., `order`, below the tail index and above it; no Monte Carlo.

        Derived: the generator keeps polynomials of each degree (module `sgdlimits.exact.polynomial_moments`); k(p) is
        exp of its largest eigenvalue on those of degree p.

        Parameters
        ----------
        x0 : array (d,), or (paths, d) over which is averaged
        steps : int
        order : int
            Even.
        record : None, int or sequence of int
            As in `moments`.

        Returns
        -------
        xarray.Dataset
            `norm_moment(order, step)`; `rate(order)`: k(p), by which the moment grows per step where it is above 1;
            `bounded(order)`: whether k(p) < 1, that is p below the tail index; `stationary(order)`, inf where it is
            not. Distances are taken in the range of the data. Moments past the range of numbers are inf.

        Raises
        ------
        InvalidInput
            If the moments do not close, or an argument cannot be used.
        OutOfReach
            If there are too many of them.
        """
        return even_moments(
            self.quadratic, lambda: even_equations(self, even_order(order)), x0, steps, record,
            self._attributes(None, 1), self.clock.time,
        )  # fmt: skip
