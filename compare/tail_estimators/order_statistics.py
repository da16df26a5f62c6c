"""Estimators that stand on the k largest values: Hill, its corrected form, moment, Pickands."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sgdlimits.compare.estimates import confidence_level, normal_quantile
from sgdlimits.exact.errors import InvalidInput, real_number, seed_number

from .choices_of_k import RULES
from .doubts import clusters_of, judged, moment_shape, no_pure_power
from .result import TailEstimate, reciprocal
from .samples import Tail, count_of, rule_or_count, tail_of
from .second_order import SETTLES, SHRINK, fewest_for, line, line_of_range, spacings, usual_count

FEWEST_ON_A_LINE = 20
NO_BEND = 1.96  # standard errors that the spacings may bend before k is lowered
SETTLED = 0.99  # confidence with which a tail that bends is said not to have settled
MOMENT_SHARE, PICKANDS_SHARE = 0.02, 0.01
LEAST_K = 50  # that moment and Pickands take by default
MOMENT_MOST, PICKANDS_MOST = 0.1, 0.2  # share of a sample that this k may use: of more, t with 3 degrees is "light"


def hill(
    sample: Any, k: str | int | float = "second_order", *, side: str = "both", centre: str = "none",
    confidence: float = 0.95, seed: int = 0, independent: bool = False,
) -> TailEstimate:
    """Hill's estimate of the index of the survival function, P(|X| > t) ~ t^-index.

    1 / index is the mean of log(x_(i) / x_(k+1)) over the k largest. The interval is exact for Pareto tails and
    given k; it knows nothing of the bias of a k chosen too large (see docs/tail_estimators.md, and `corrected_hill`).

    Of a recurrence whose large factors are rare the tail falls in stairs, and a smaller k is no cure. SGD on the data
    set diabetes, one sample a step of which one in 442 multiplies by 3.8 and index 4, has 3.6, 4.4, 3.9 and 4.2 at
    the 2e-3, 5e-4, 2e-5 and 2e-6 largest; batches of 4 have 4.0 to 4.1 at all of them (weighted ensembles, to 0.03).

    Parameters
    ----------
    sample : (n,) array
        Independent values, in the order in which they came.
    k : str, int or float
        "second_order", "double_bootstrap", "smooth" or "kolmogorov_smirnov"; a count; a fraction of n below one.
    side : {"both", "right", "left"}
        |x|, x or -x.
    centre : {"none", "median", "auto"}
        The origin of x: zero, the median, or the median of a sample with two tails and zero for one tail. The index of
        the law does not depend on it, this estimate does: it is warned of.
    confidence : float
    seed : int
        Of the double bootstrap.
    independent : bool
        Whether the values are known to be independent: clusters are then chance, and not looked for.

    Returns
    -------
    TailEstimate
        `details`: the threshold x_(k+1), and the origin from which it is measured.

    Raises
    ------
    InvalidInput
        If the sample shows nothing (too short, not finite, zeros, ties), or an argument cannot be used.
    """
    confidence, seed = confidence_level(confidence), seed_number(seed)
    tail = tail_of(sample, side, centre, independent)
    rule, count = rule_or_count(k, tail, tuple(RULES))
    if rule is not None:
        count = RULES[rule](tail, np.random.Generator(np.random.Philox(seed)))
    above = tail.above(count)
    gamma = float(above.mean())
    lower, upper = gamma_interval(count, confidence)
    method = "Hill" if rule is None else f"Hill, k by {rule}"
    return judged(tail, 1 / gamma, lower / gamma, upper / gamma, confidence, count, method, no_pure_power(above))


def gamma_interval(k: int, confidence: float) -> tuple[float, float]:
    """Quantiles of the mean of k standard exponentials: an interval of the index is these over Hill's gamma."""
    from scipy.special import gammaincinv

    ends = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    lower, upper = gammaincinv(k, ends) / k
    return float(lower), float(upper)


def corrected_hill(
    sample: Any, k: int | float | None = None, *, rho: float | None = None, side: str = "both", centre: str = "auto",
    confidence: float = 0.95, independent: bool = False,
) -> TailEstimate:  # fmt: skip
    """Hill's estimate freed of its leading bias: the index of the survival function, P(|X| > t) ~ t^-index.

    Scaled log-spacings j log(x_(j) / x_(j+1)) are nearly exponential with mean gamma + b (j / (k+1))^-rho, where
    gamma = 1 / index; the line is fitted by least squares and read at j = 0 (Feuerverger and Hall 1999, Beirlant et
    al. 1999). No sample of this size says what rho is: the index is that of rho = -1/2, and the interval holds those of
    all rho from -1 to -2/5, Student's t with 2 and with 5 degrees of freedom. It is over four times as wide as Hill's
    at the same k, and covers unless the tail begins beyond what the sample holds (stable laws of index near 2, a
    heavy part among many normal values).

    Parameters
    ----------
    k : int, float or None
        A count or a fraction of n below one; by default 400 (n / 10^4)^(2/3), taken a third smaller as long as the
        spacings still bend away from the line.
    rho : float or None
        Second-order parameter, from -4 to -0.2, where it is known: the interval then trusts it.
    centre : {"auto", "median", "none"}
        As in `hill`; by default shifts of a sample with two tails change nothing.
    sample, side, confidence, independent
        As in `hill`, with its errors.

    Returns
    -------
    TailEstimate
        `details`: the threshold and the origin, `hill` (Hill's estimate at this k), `rho`, `bend` (in standard errors).
    """
    confidence = confidence_level(confidence)
    if rho is not None and not -4 <= (rho := real_number("rho", rho)) <= -0.2:
        raise InvalidInput(f"rho must be from -4 to -0.2, got {rho:g}")
    tail = tail_of(sample, side, centre, independent)
    count = _unbent(tail, SETTLES if rho is None else rho) if k is None else count_of(k, tail, FEWEST_ON_A_LINE)
    found, low, high = line_of_range(spacings(tail.above(count)), normal_quantile(confidence), rho)
    warnings: tuple[str, ...] = ()
    if abs(found.bend) > normal_quantile(SETTLED):
        warnings = (
            f"the tail has not settled at k = {count}: its spacings bend by {abs(found.bend):.1f} standard errors: "
            "take a smaller k, or more samples",
        )
    details = {
        "hill": reciprocal(float(tail.above(count).mean())), "rho": SETTLES if rho is None else rho, "bend": found.bend
    }  # fmt: skip
    return judged(
        tail, reciprocal(found.gamma), reciprocal(high), reciprocal(low), confidence, count, "corrected Hill",
        warnings, details,
    )  # fmt: skip


def _unbent(tail: Tail, rho: float) -> int:
    count = usual_count(tail.n, tail.most)
    if count < FEWEST_ON_A_LINE:
        raise InvalidInput(
            f"sample has {tail.n} values, {fewest_for(FEWEST_ON_A_LINE)} are needed to correct Hill's estimate: "
            "pass more, or use hill"
        )
    while abs(line(spacings(tail.above(count)), rho).bend) > NO_BEND and count / SHRINK >= FEWEST_ON_A_LINE:
        count = int(count / SHRINK)
    return count


def moment(
    sample: Any, k: int | float | None = None, *, side: str = "both", centre: str = "none", confidence: float = 0.95,
    independent: bool = False,
) -> TailEstimate:
    """The moment estimate of Dekkers, Einmahl and de Haan (1989) of the index, P(|X| > t) ~ t^-index.

    Its shape xi may be zero or negative, which are light tails: then the index is infinite. The only one here that
    says "light" of its own accord.

    Parameters
    ----------
    k : int, float or None
        A count or a fraction of n below one; by default a fiftieth, at least 50, for which 500 values are needed.
    sample, side, centre, confidence, independent
        As in `hill`, with its errors.

    Returns
    -------
    TailEstimate
        `details`: the threshold and the origin, `shape` (xi) and its `shape_error`, and `scale` of the generalised
        Pareto law beyond the threshold.
    """
    confidence = confidence_level(confidence)
    tail = tail_of(sample, side, centre, independent)
    count = _share(k, tail, MOMENT_SHARE, MOMENT_MOST)
    above = tail.above(count)
    shape, error = moment_shape(above)
    scale = tail.threshold(count) * float(above.mean()) * (1 + max(0.0, float(above.mean()) - shape))
    return _from_shape(tail, shape, error, confidence, count, "moment", count, scale)


def pickands(
    sample: Any, k: int | float | None = None, *, side: str = "both", centre: str = "none", confidence: float = 0.95,
    independent: bool = False,
) -> TailEstimate:
    """Pickands' estimate (1975) of the index of the survival function, P(|X| > t) ~ t^-index.

    log2 of (x_(k) - x_(2k)) / (x_(2k) - x_(4k)); needs no shift and knows no bias of location, but is the noisiest.

    Parameters
    ----------
    k : int, float or None
        A count or a fraction of n below one; 4 k order statistics are used. By default a hundredth, at least 50, for
        which 1000 values are needed.
    sample, side, centre, confidence, independent
        As in `hill`, with its errors.

    Returns
    -------
    TailEstimate
        `details`: the threshold x_(4k) and the origin, `shape` (xi) and its `shape_error`, and `scale` of the
        generalised Pareto law beyond the threshold.
    """
    confidence = confidence_level(confidence)
    tail = tail_of(sample, side, centre, independent)
    count = _share(k, tail, PICKANDS_SHARE, PICKANDS_MOST, spare=4)
    tail.above(4 * count - 1)  # refuses ties
    one, two, four = np.exp(tail.logs[[count - 1, 2 * count - 1, 4 * count - 1]] - tail.logs[count - 1])
    if not (one > two > four):
        raise InvalidInput(
            f"the largest values at places {count}, {2 * count} and {4 * count} are not all different: "
            "pass samples that are not rounded, or another k"
        )
    shape = math.log2((one - two) / (two - four))
    factor = shape / (2 * (2**shape - 1) * math.log(2)) if abs(shape) > 1e-8 else 1 / (2 * math.log(2) ** 2)
    error = abs(factor) * math.sqrt((2 ** (2 * shape + 1) + 1) / count)
    bent = math.expm1(shape * math.log(2)) / shape if abs(shape) > 1e-8 else math.log(2)
    scale = float(two - four) / bent * tail.threshold(count - 1)
    return _from_shape(tail, shape, error, confidence, count, "Pickands", 4 * count - 1, scale)


def _share(k: int | float | None, tail: Tail, share: float, most: float, spare: int = 1) -> int:
    if k is None:
        count = max(LEAST_K, int(share * tail.n))
        needed = math.ceil(spare * count / most)
        if len(tail.logs) < needed:
            raise InvalidInput(
                f"the tail has {len(tail.logs)} values, {needed} are needed for the usual k of {count}, which else "
                "reaches into the middle of the law: pass more samples, give k, or use hill"
            )
        return count_of(count, tail, spare=spare)
    return count_of(k, tail, spare=spare)


def _from_shape(
    tail: Tail, shape: float, error: float, confidence: float, k: int, method: str, reach: int, scale: float
) -> TailEstimate:
    # Ends of an interval of the shape, turned into those of the index.
    half = normal_quantile(confidence) * error
    warnings = tail.tied(reach) + clusters_of(tail, reach)
    index, upper = reciprocal(shape), reciprocal(shape - half)
    if shape + half < 0:
        warnings += (f"no power law is seen: the shape {shape:.3g} +- {half:.2g} is that of a lighter tail",)
    elif shape - half <= 0:
        index = math.inf
        warnings += (
            f"the index is beyond what this sample shows, {1 / half:.3g} at most: the shape {shape:.3g} +- {half:.2g} "
            "does not exclude zero, a tail lighter than every power",
        )
    warnings += tail.located
    details = {
        "threshold": tail.threshold(reach), "origin": tail.origin, "shape": shape, "shape_error": error, "scale": scale
    }  # fmt: skip
    return TailEstimate(index, reciprocal(shape + half), upper, confidence, k, method, tail.n, warnings, details)
