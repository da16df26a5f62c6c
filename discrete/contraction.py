"""How fast two paths of SGD with the same noise come together, as a bound with its constant."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from sgdlimits.exact.circle_growth import gaussian_circle
from sgdlimits.exact.contraction import ContractionBound, bound_between, bound_of_form, bound_on_the_circle
from sgdlimits.exact.errors import InvalidInput, positive
from sgdlimits.exact.moment_growth import alike, isotropic_growth
from sgdlimits.problems.even_moments import HIGHEST
from sgdlimits.problems.streaming import StreamingLeastSquares

from .even_moments import even_moments
from .tail_index import batch_factors

if TYPE_CHECKING:
    from .sgd import SGD

TERMS = 24  # cosines of an eigenfunction in the plane


def contraction_bound(sgd: SGD, order: float) -> ContractionBound:
    """W_p(nu_n, nu) <= C k(p)^(n/p) W_p(nu_0, nu) of plain SGD on least squares; k(p) < 1 below the tail index.

    Parameters
    ----------
    order : float
        p, at least 1.

    Raises
    ------
    InvalidInput
        If the rule has momentum, of which no constant is known, or the moments do not close.
    OutOfReach
        If they are too many.
    """
    order = positive("p", order)
    if not 1 <= order <= HIGHEST:
        raise InvalidInput(f"p is {order:g}, but a Wasserstein distance needs at least 1, and here at most {HIGHEST}")
    if sgd.momentum:
        raise InvalidInput(
            f"the rule is {sgd.label}, whose positions alone do not contract: leave the momentum out, or ask "
            "even_moments for its growth"
        )
    even = int(2 * math.ceil(order / 2))
    if order == even:
        return bound_of_form(even_moments(sgd, even), even)
    equations, problem = even_moments(sgd, even), sgd.problem  # the first refuses what does not close
    h = problem.eigenvalues[problem.eigenvalues > 0]
    kept, scale = 1 - sgd.step_size * problem.ridge, sgd.step_size / sgd.batch_size
    if isinstance(problem, StreamingLeastSquares):
        if alike(h):
            growth = isotropic_growth(h.size, kept, scale * float(h[0]), sgd.batch_size)
            return ContractionBound(order, math.exp(growth(order)), 1.0, "all directions are alike")
        if h.size == 2:
            return bound_on_the_circle(gaussian_circle(h, kept, scale, sgd.batch_size, TERMS, 9), order)
    elif h.size == 1:
        factors = batch_factors(sgd, problem, np.square(problem.range_modes).sum(axis=1))
        if factors is not None:
            return ContractionBound(order, math.exp(factors(order)), 1.0, "a line")
    return bound_between(equations, order)
