"""Tail indices of random linear recurrences x' = A x + b that the user gives, and by populations those of SGD."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.ensembles import populations
from sgdlimits.ensembles.random import PACK
from sgdlimits.exact.continuous_factors import continuous_growth
from sgdlimits.exact.errors import InvalidInput, OutOfReach, axes, finite_array, kind, one_of, whole_number
from sgdlimits.exact.even_coordinates import even_coordinates
from sgdlimits.exact.tail_index import GIVEN, TailIndex, refuse_growth
from sgdlimits.problems.least_squares import LeastSquares
from sgdlimits.problems.quadratic import QuadraticProblem
from sgdlimits.problems.streaming import StreamingLeastSquares

from .even_moments import even_moments
from .factor_index import family_index, index_of_factors, index_of_values, weighted_values
from .linear_rule import linear_rule
from .tilted_steps import TiltedGaussian, TiltedMatrices, TiltedRows, TiltedSteps, grow_tilted

if TYPE_CHECKING:
    from .sgd import SGD

GrowthAt = Callable[..., populations.Growth]  # of an order, and of options of `populations.grow`
BEYOND = 64.0  # index that populations do not look for
LOWEST = 0.02  # the same, downwards
TINY = 1e-6  # order of moments whose growth is the Lyapunov exponent's
CLOSE = 0.02  # relative, to which a root is sought by halving
NEAR = 0.04  # of a root, how far to either side its slope is taken
FEW_PARENTS, GROSS = 8.0, 0.01  # that carry a population, and the bias, of the index, that then spoils an interval
PERIODS = 12  # of which 2, 3, 4 and 6 are parts
PATIENCE = 10.0  # times the generations that directions may take to settle: paths start in steep ones
FEWEST = {"paths": 2 * PACK, "generations": 20, "groups": 2}  # of which a search takes a part
PLAIN, TILTED = 2048, 256  # paths of a population by default, of a user's recurrence and where steps are tilted
UNLIKE, CHEAP = 10.0, 12  # ratio of eigenvalues past which starts differ; directions of which moments are cheap


@dataclass(frozen=True)
class Populations:
    """How many paths look for a root: sizes of the final estimate; a search takes fewer generations and groups."""

    paths: int | None = None
    generations: int = 300
    groups: int = 8
    seed: int = 0
    threads: int | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Populations:
        """From keyword arguments."""
        for name in options:
            one_of("option", name, [field.name for field in fields(cls)])
        checked = dict(options)
        for name, fewest in FEWEST.items():
            if checked.get(name) is not None:
                checked[name] = whole_number(name, checked[name], fewest)
        return cls(**checked)


def kesten_index(law: Any, x0: Any = None, **options: Any) -> TailIndex:
    """Tail index of the stationary law of x' = A x + b, from the law of A; b must have lighter tails. Kesten's theorem.

    Parameters
    ----------
    law : the law of A
        On a line: factors (n,), all equally likely; a pair (factors, probabilities); or a continuous distribution of
        scipy, whose own tail exponent bounds the index. Matrices (n, d, d), equally likely, or a pair (matrices,
        probabilities): exact where their products come down to factors. Or a linear recurrence with `initial_state`,
        `step` and `position`, without its b.
    x0 : array (d,), optional
        Any direction, for a recurrence.
    **options
        paths (at least 32), generations (20), groups (2), seed, threads of the populations, of a recurrence and of
        matrices.

    Returns
    -------
    TailIndex

    Raises
    ------
    NoStationaryLaw
        If the Lyapunov exponent is not below 0, or on a line cannot be told from it.
    OutOfReach
        If the index is larger than the method can see.
    InvalidInput
        If the law cannot be used.
    """
    sizes = Populations.of(options)
    if callable(getattr(law, "pdf", None)) and callable(getattr(law, "ppf", None)):
        fine, coarse = continuous_growth(law)
        return index_of_factors(GIVEN, fine, coarse, "quadrature of |A|")
    if all(callable(getattr(law, name, None)) for name in ("initial_state", "step", "position")):
        if x0 is None:
            raise InvalidInput("x0 is missing: any direction (d,) from which the recurrence starts")
        start: Any = finite_array("x0", x0, ndim=1)
        sizes = replace(sizes, paths=sizes.paths or PLAIN)
        return population_index(
            GIVEN, lambda order, **sized: populations.grow_norm(law, start, order, **sized), sizes, whole=PERIODS
        )
    if isinstance(law, str) or axes(law) == 0 and not isinstance(law, tuple):
        raise InvalidInput(
            "law must be factors, matrices, a pair with probabilities, a distribution of scipy or a linear recurrence, "
            f"got {kind(law)}"
        )
    values, weights = weighted_values("law", law)
    if values.ndim == 1 or values.shape[1:] == (1, 1):
        return index_of_values(GIVEN, values.ravel(), weights, "sum over the factors")
    if values.shape[1] != values.shape[2]:
        raise InvalidInput(f"matrices must be square, got shape {values.shape}")
    values, weights = values[weights > 0], weights[weights > 0]
    known = family_index(GIVEN, values, weights)
    if known is not None:
        return known
    mean = np.einsum("n,nij->ij", weights, values)
    apart = values - mean
    even = even_coordinates(
        mean, lambda second: np.einsum("n,nij,jk,nlk->il", weights, apart, second, apart, optimize=True),
        lambda form: np.einsum("n,nji,jk,nkl->il", weights, apart, form, apart, optimize=True),
    )  # fmt: skip
    values = even.root @ values @ even.back
    logs = np.log(weights)
    return population_index(
        GIVEN,
        lambda order, **sized: grow_tilted(TiltedMatrices(order, values, logs), even.spread, **sized), sizes,
        whole=PERIODS,
    )  # fmt: skip


def sampled_index(
    sgd: SGD, problem: QuadraticProblem, eigenvalues: np.ndarray, sizes: Populations,
    penalty: np.ndarray | None = None,
) -> TailIndex:  # fmt: skip
    """The index of SGD on least squares by populations, of its linear part on the range of the data.

    `penalty` (r, r) stands for the ridge where that is a matrix; `problem` is then without it.
    """
    above = sgd.stability().mean_square_stable
    slowest = float(np.abs(sgd.problem.curvatures[: eigenvalues.size]).min())
    settling = (1 - sgd.momentum) / (sgd.step_size * slowest) if slowest > 0 else math.inf
    flat = growth_of(sgd, problem, eigenvalues, True, penalty) if unlike(eigenvalues) else None
    return population_index(
        sgd.label, growth_of(sgd, problem, eigenvalues, False, penalty), sizes, above, settling, flat,
        highest_exponent(sgd),
    )  # fmt: skip


def unlike(eigenvalues: np.ndarray) -> bool:
    """Whether paths may keep where they began, steep or flat, for longer than a population lives."""
    return bool(eigenvalues.max() > UNLIKE * eigenvalues.min())


def highest_exponent(sgd: SGD) -> float:
    """A bound of the Lyapunov exponent, log k(2) / 2 by convexity; inf where it is not cheap."""
    if not isinstance(sgd.problem, StreamingLeastSquares) or sgd.problem.dimension > CHEAP:
        return math.inf
    return math.log(even_moments(sgd, 2).rates[0]) / 2


def growth_of(
    sgd: SGD, problem: QuadraticProblem, eigenvalues: np.ndarray, flat: bool = False, penalty: np.ndarray | None = None
) -> GrowthAt:
    """Growth of E |x|^order of SGD's linear part, by populations of tilted steps."""
    rule = linear_rule(sgd, problem, eigenvalues, penalty)

    def steps(order: float) -> TiltedSteps:
        if isinstance(problem, LeastSquares):
            replace = sgd.sampling == "with_replacement"
            return TiltedRows(order, rule, problem.augmented_modes[:, : eigenvalues.size], sgd.batch_size, replace)
        return TiltedGaussian(order, rule, eigenvalues, sgd.batch_size)

    # Directions start where moments grow: of flat ones a path forgets its part slowly, at their own rates.
    start = np.linalg.inv(rule.spread / np.trace(rule.spread)) if flat else rule.spread
    return lambda order, **options: grow_tilted(steps(order), start, **options)


def population_index(
    label: str, grow: GrowthAt, sizes: Populations, above_two: bool | None = None, settling: float = 0.0,
    flat: GrowthAt | None = None, highest: float = math.inf, whole: int = 1,
) -> TailIndex:  # fmt: skip
    """The root of log k(s) by cloning: a search with few paths, then an estimate with an interval.

    Parameters
    ----------
    grow : function of an order and of options of `populations.grow`
    above_two : bool, optional
        Whether the second moment is known to settle.
    settling : float
        Steps in which directions forget where they began, about.
    flat : as grow, optional
        From other directions: where the Lyapunov exponent then differs, it is not settled.
    highest : float
        A bound of the Lyapunov exponent.
    whole : int
        Growth is averaged over a multiple of so many generations: directions that take turns have periods.

    Raises
    ------
    NoStationaryLaw, OutOfReach
    """

    def rate(order: float, share: int = 4, grow: GrowthAt = grow) -> populations.Growth:
        generations = max(sizes.generations // share, 20)
        averaged = (generations - generations // 4) // whole * whole
        return grow(
            order, generations=generations, paths=sizes.paths or TILTED, groups=2 if share == 4 else sizes.groups,
            seed=sizes.seed, threads=sizes.threads, burn_in=generations - averaged,
        )  # fmt: skip

    share = 1 if above_two is None else 2
    starts = [grow] if flat is None else [grow, flat]
    found = [rate(TINY, share, start) for start in starts]
    exponent, uncertain = lyapunov_exponent(found, highest)
    if not above_two:
        refuse_growth(label, exponent)
        if highest > 0 and max(growth.upper for growth in found) > 0:  # from whichever start most grows
            raise OutOfReach(
                f"the Lyapunov exponent of {label} is {exponent:.3g} +- {uncertain:.2g} a step, so that populations "
                "cannot tell whether there is a stationary law: raise generations or paths, or move the step size"
            )
    low, high = (2.0, 4.0) if above_two else (LOWEST, 2.0)
    while rate(high).rate < 0:
        low, high = high, 2 * high
        if high > BEYOND:
            raise OutOfReach(
                f"the tail index of {label} is over {BEYOND:g}: beyond what populations can see; such a tail is light "
                "in every sample",
                above=BEYOND,
            )
    order = populations.root_by_halving(lambda s: rate(s).rate, low, high, CLOSE)
    for _ in range(3):  # Newton's method, until the curve is straight from here to the root
        wide = NEAR * order
        ends = [rate(s, 2) for s in (order - wide, order + wide)]
        slope = (ends[1].rate - ends[0].rate) / (2 * wide)
        if not slope > 0:
            raise OutOfReach(
                f"the growth of moments of {label} does not rise about order {order:.3g}, as {populations_of(sizes)} "
                "see it: give the populations more paths, as in tail_index(paths=...)",
                about=order,
            )
        centre = rate(order, 2).rate
        bend = abs(ends[0].rate + ends[1].rate - 2 * centre) / wide**2
        before, order = order, max(order - centre / slope, order / 2)
        if abs(order - before) <= wide / 4:
            break
    middle = rate(order, 1)
    index = order - middle.rate / slope
    bent = math.hypot(*(end.upper - end.lower for end in ends)) / (4 * wide * slope)  # of the slope, relative to it
    away = abs(index - order)  # the curve is not straight
    half = math.hypot((middle.upper - middle.lower) / 2 / slope, bent * middle.rate / slope)
    half += bend * (abs(order - before) + away / 2) * away / slope
    fewest = min(end.fewest_effective for end in (*ends, middle))
    if fewest < FEW_PARENTS and abs(middle.bias) > GROSS * index * slope:
        raise OutOfReach(
            f"the tail index of {label} is about {index:.3g}, but at times {fewest:.0f} paths carry the moment that "
            f"decides in {populations_of(sizes)}, whose bias is {abs(middle.bias / slope):.1g}: no interval would "
            "hold; give the populations more paths, as in tail_index(paths=...)",
            about=index,
        )
    note = f"95 % interval; the bias of finite populations, {middle.bias / slope:.1g}, is taken off"
    if fewest < FEW_PARENTS:
        note += f"; at times {fewest:.0f} paths carry a population"
    if settling > PATIENCE * sizes.generations:
        note += (
            f"; directions settle in about {settling:.0f} steps, far more than the {sizes.generations} generations: "
            "raise generations"
        )
    return TailIndex(index, half, "populations", exponent, uncertain, note)


def populations_of(sizes: Populations) -> str:
    """Their number and size in words."""
    return f"{sizes.groups} populations of {sizes.paths or TILTED} paths"


def lyapunov_exponent(found: list[populations.Growth], highest: float = math.inf) -> tuple[float, float]:
    """Mean growth of log |x| with its error: of a moment of order `TINY`, from one or several starts.

    The largest counts, as that which wins; how far others are below it, or it below a bound, is added to half its 95 %
    interval, whichever is less.
    """
    most = max(found, key=lambda growth: growth.rate)
    value, half = most.rate / TINY, (most.upper - most.lower) / 2 / TINY
    apart = value - min(growth.rate for growth in found) / TINY
    return value, half + min(apart, abs(highest - value))
