"""The second moment and the standard deviation of the risk in time, exactly, where products of modes close."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.ensembles.initial import Gaussian, initial_state
from sgdlimits.ensembles.progress import Progress, open_progress
from sgdlimits.exact.cost import HOURS, SPEED, check_memory, check_time
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.exact.linear_maps import DENSE_SIZE, STRETCH
from sgdlimits.exact.product_moments import ProductMoments
from sgdlimits.exact.schedules import StepSizes

if TYPE_CHECKING:
    from .quadratic import QuadraticProblem
    from .second_moments import SecondMoments

FURTHER = ("risk_second_moment", "risk_standard_deviation")
NUMBER = 8.0  # bytes
ADVICE = "ask for fewer steps, or simulate"
TERMS = 20.0  # of a Taylor series over a stretch, about
EXPONENTIAL = 20.0  # products that an exponential takes


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
    last = int(kept[-1])
    runs = sum(1 for _ in second.step_size.runs(0, max(last, 1))) if isinstance(second.step_size, StepSizes) else 1
    products_at = lru_cache(maxsize=1)(lambda size: second.products_at(size, hours / runs))
    began = time.perf_counter()
    risk = products_at(second.first_size)
    if runs > 1:  # each step size has its own
        taken = runs * (time.perf_counter() - began) / 3600 * SPEED
        check_time(f"the standard deviation of the risk at {runs} step sizes", taken, ADVICE, hours, True)
    if not risk.offsets.size:  # the risk is the same everywhere
        return {name: np.full(len(kept), risk.constant**2 if name == FURTHER[0] else 0.0) for name in names}
    _check_cost(risk.products, second, kept, hours, runs)
    means, variances = np.empty(len(kept)), np.empty(len(kept))
    with closing(open_progress(progress, last, "steps")) as bar, np.errstate(over="ignore", invalid="ignore"):
        now = 0
        for index, (mean, spread) in enumerate(_states(second, products_at, x0, kept)):
            means[index] = risk.constant + risk.functional @ mean
            variances[index] = risk.functional @ spread @ risk.functional
            bar.update(int(kept[index]) - now)
            now = int(kept[index])
        found = np.stack([variances + means**2, np.sqrt(np.maximum(variances, 0.0))])
    found[np.isnan(found) | np.isnan(variances)] = np.inf
    return {name: found[FURTHER.index(name)] for name in names}


def _states(
    second: SecondMoments, products_at: Callable[[float], RiskProducts], x0: Any, kept: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    risk, sizes = products_at(second.first_size), second.step_size
    state, products = risk.start(second.problem, x0), risk.products
    if not isinstance(sizes, StepSizes):
        yield from products.walk(*state, kept) if products.discrete else products.flow(*state, kept)
        return
    if products.discrete:
        yield from products.walk(*state, kept, lambda k: products_at(sizes(k)).products)
        return
    for size, first, last in sizes.runs(0, max(int(kept[-1]), 1)):
        here = kept[(kept > first) & (kept <= last) if first else kept <= last]
        found = list(products_at(size).products.flow(*state, np.append(here, last) - first))
        yield from found[:-1]
        state = found[-1]


def _on_squares(products: ProductMoments, eigenvalues: np.ndarray) -> np.ndarray:
    return np.where(products.left == products.right, 0.5 * eigenvalues[products.left], 0.0)


def _check_cost(
    products: ProductMoments, second: SecondMoments, kept: np.ndarray, hours: float, runs: int
) -> None:
    size, last = products.size, int(kept[-1])
    what = f"the standard deviation of the risk up to step {last:.3g} in {second.problem.dimension} modes"
    numbers, moves, squares = size * (size + 1), float(last), 0.0
    if not products.discrete and numbers <= DENSE_SIZE:
        moves, squares = float(numbers * runs), EXPONENTIAL * runs * float(numbers) ** 3
    elif not products.discrete:
        moves = TERMS * (len(kept) + moves * products.rate / STRETCH)
    check_memory(what, NUMBER * 20.0 * size**2, "take fewer modes, or ask for the risk alone")
    if runs > 1 or not (products.discrete and products.by_powers(last)):
        check_time(what, moves * products.cost + squares, ADVICE, hours, True)
