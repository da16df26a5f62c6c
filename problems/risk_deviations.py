"""The second moment and the standard deviation of the risk in time, exactly, where products of modes close."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.ensembles.initial import Gaussian, initial_state
from sgdlimits.ensembles.progress import Progress, open_progress
from sgdlimits.exact.cost import HOURS, check_memory, check_time
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.exact.linear_maps import DENSE_SIZE, KrylovSpace
from sgdlimits.exact.product_moments import ProductMoments
from sgdlimits.exact.schedules import StepSizes

if TYPE_CHECKING:
    from .quadratic import QuadraticProblem
    from .second_moments import SecondMoments

FURTHER = ("risk_second_moment", "risk_standard_deviation")
NUMBER = 8.0  # bytes


@dataclass(frozen=True, eq=False)
class RiskProducts:
    """Products of modes, and the risk as a sum of them: constant + functional . phi.

    Attributes
    ----------
    products : ProductMoments
    offsets : (r,) array
        Added to the modes about the minimiser, the first ones: on the others the risk does not depend.
    constant : float
    functional : (D,) array
    """

    products: ProductMoments
    offsets: np.ndarray
    constant: float
    functional: np.ndarray

    @classmethod
    def about_least_risk(cls, problem: QuadraticProblem, products: ProductMoments) -> RiskProducts:
        """For modes that are counted from the least point of the risk."""
        h = problem.eigenvalues[problem.eigenvalues > 0]
        functional = np.concatenate([[0.0], np.zeros(h.size), _on_squares(products, h)])
        return cls(products, problem.offset_modes[: h.size], problem.least_risk, functional)

    @classmethod
    def about_minimiser(cls, problem: QuadraticProblem, products: ProductMoments) -> RiskProducts:
        """For modes that are counted from the minimiser of what is descended."""
        h = problem.eigenvalues[problem.eigenvalues > 0]
        functional = np.concatenate([[0.0], problem.risk_slope[: h.size], _on_squares(products, h)])
        return cls(products, np.zeros(h.size), problem.risk_at_minimiser, functional)

    def start(self, problem: QuadraticProblem, x0: Any) -> tuple[np.ndarray, np.ndarray]:
        """Mean (D,) and covariance (D, D) of phi."""
        initial, r = initial_state(x0, problem.dimension), self.offsets.size
        if isinstance(initial, Gaussian):
            vectors = problem.eigenvectors[:, :r]
            mean = problem.to_modes(initial.mean)[:r] + self.offsets
            return self.products.start(mean, vectors.T @ initial.covariance @ vectors)
        modes = problem.to_modes(initial)[..., :r] + self.offsets
        return self.products.start(modes, None) if modes.ndim == 1 else self.products.start_of_points(modes)


def unknown_products(step_size: float, hours: float) -> RiskProducts:
    """For processes whose products of modes nobody has worked out."""
    raise InvalidInput("the standard deviation of the risk of this process is not known: simulate")


def deviations(
    second: SecondMoments, x0: Any, kept: np.ndarray, names: Sequence[str], progress: bool | Progress | None,
    hours: float = HOURS,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Second moment and standard deviation (steps,) of the risk, as asked for by `names`.

    Raises
    ------
    InvalidInput
        If products of the process's modes do not close.
    OutOfReach
        If they do, and take longer than so many hours.
    """
    last, first = int(kept[-1]), second.step_size(0) if isinstance(second.step_size, StepSizes) else second.step_size
    risk = second.products_at(first, hours)
    _check_cost(risk.products, second, last, hours)
    means, variances = np.empty(len(kept)), np.empty(len(kept))
    with closing(open_progress(progress, last, "steps")) as bar, np.errstate(over="ignore", invalid="ignore"):
        now = 0
        for index, (mean, spread) in enumerate(_states(second, risk, x0, kept)):
            means[index] = risk.constant + risk.functional @ mean
            variances[index] = risk.functional @ spread @ risk.functional
            bar.update(int(kept[index]) - now)
            now = int(kept[index])
        found = np.stack([variances + means**2, np.sqrt(np.maximum(variances, 0.0))])
    found[np.isnan(found) | np.isnan(variances)] = np.inf
    return {name: found[FURTHER.index(name)] for name in names}


def _states(
    second: SecondMoments, risk: RiskProducts, x0: Any, kept: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    state, sizes = risk.start(second.problem, x0), second.step_size
    if not isinstance(sizes, StepSizes):
        products = risk.products
        yield from products.walk(*state, kept) if products.discrete else products.flow(*state, kept)
        return
    if risk.products.discrete:
        yield from risk.products.walk(*state, kept, _of_step(second))
        return
    for size, first, last in sizes.runs(0, max(int(kept[-1]), 1)):
        here = kept[(kept > first) & (kept <= last) if first else kept <= last]
        found = list(second.products_at(size, HOURS).products.flow(*state, np.append(here, last) - first))
        yield from found[:-1]
        state = found[-1]


def _of_step(second: SecondMoments) -> Callable[[int], ProductMoments]:
    """The equations of each step of a schedule; equal step sizes in a row share them."""
    latest: list[tuple[float, ProductMoments]] = []

    def at(k: int) -> ProductMoments:
        size = second.step_size(k)
        if not latest or latest[0][0] != size:
            latest[:] = [(size, second.products_at(size, HOURS).products)]
        return latest[0][1]

    return at


def _on_squares(products: ProductMoments, eigenvalues: np.ndarray) -> np.ndarray:
    return np.where(products.left == products.right, 0.5 * eigenvalues[products.left], 0.0)


def _check_cost(products: ProductMoments, second: SecondMoments, last: int, hours: float) -> None:
    size = products.size
    what = f"the standard deviation of the risk up to step {last:.3g} in {second.problem.dimension} modes"
    moves, numbers, cost = float(last), 20.0 * size**2, products.cost
    if not products.discrete and size * (size + 1) > DENSE_SIZE:
        moves = max(KrylovSpace.SIZE, moves * float(np.abs(second.equations.mean_decays).max()))
        numbers += (KrylovSpace.SIZE + 2) * size * (size + 1)
        cost += 2 * KrylovSpace.SIZE * size * (size + 1)
    check_memory(what, NUMBER * numbers, "take fewer modes, or ask for the risk alone")
    if size * (size + 1) > DENSE_SIZE or (products.discrete and not products.by_powers(last)):
        check_time(what, moves * cost, "ask for fewer steps, or simulate", hours)
