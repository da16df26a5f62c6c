"""The relation of fluctuation and dissipation: E x . grad f = (step_size (1 + momentum) / 2) E |m|^2."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, whole_number
from sgdlimits.problems.quadratic import QuadraticProblem


if TYPE_CHECKING:
    from ..sgd import SGD

ROUNDING = 1e-9  # relative, within which exact sides agree
APART = 4  # standard errors of the difference within which the sides agree


@dataclass(frozen=True)
class Dissipation:
    """Both sides of the relation.

    Attributes
    ----------
    dissipated : float
        E (x - c) . grad f(x), f what is descended; at stationarity it does not depend on c.
    fluctuating : float
        (step_size (1 + momentum) / 2) E |m|^2, m the momentum buffer; without momentum the batch gradient.
    dissipated_error, fluctuating_error, difference_error : float
        Standard errors over paths; 0 where both are exact.
    exact : bool
    """

    dissipated: float
    fluctuating: float
    dissipated_error: float = 0.0
    fluctuating_error: float = 0.0
    difference_error: float = 0.0
    exact: bool = True

    @property
    def holds(self) -> bool:
        """Whether the sides agree: to rounding where exact, else within four standard errors of the difference."""
        gap = abs(self.dissipated - self.fluctuating)
        return gap <= ROUNDING * abs(self.fluctuating) if self.exact else gap <= APART * self.difference_error

    def __repr__(self) -> str:
        verdict = "they agree" if self.holds else "they differ: the paths are not at stationarity"
        if self.exact:
            both = f"dissipated={self.dissipated:.10g}, fluctuating={self.fluctuating:.10g}"
            return f"Dissipation({both}, exact; {verdict})"
        return (
            f"Dissipation(dissipated={self.dissipated:.5g} +- {self.dissipated_error:.2g}, "
            f"fluctuating={self.fluctuating:.5g} +- {self.fluctuating_error:.2g}; {verdict})"
        )


def dissipation(sgd: SGD, x0: Any = None, steps: int = 0, paths: int = 10_000, seed: int = 0) -> Dissipation:
    """Both sides of the relation: exactly where second moments close, else over paths after `steps` steps.

    It needs stationarity and nothing else: any loss, any noise, plain descent or heavy ball. Yaida (2019); derived.

    Parameters
    ----------
    sgd : SGD
        Plain or with heavy-ball momentum.
    x0 : array (d,), or as in `simulate`, optional
        The start of the paths; without it both sides are exact.
    steps : int
        So many that the paths are at stationarity; where they are not, the sides differ.
    paths, seed : int
        As in `simulate`.

    Raises
    ------
    InvalidInput
        If the rule is another, or x0 is left out and the moments do not close.
    NoStationaryLaw, InfiniteVariance
        Where exact sides are asked for and there is no such law.
    """
    if sgd.rule is not None or sgd.nesterov:
        raise InvalidInput(
            f"the relation is written for plain descent and heavy ball, and this is {sgd.label}: leave the rule out"
        )
    if x0 is None:
        return _exact(sgd)
    steps, size, mu = whole_number("steps", steps, 1), float(sgd.step_size), sgd.momentum
    whole_number("paths", paths, 2)
    found = sgd.simulate(x0, steps + 1, paths, ("state",), [steps, steps + 1], seed)
    before, after = found.state.sel(step=steps).values, found.state.sel(step=steps + 1).values
    lost = np.einsum("pj,pj->p", before - before.mean(axis=0), np.asarray(sgd.problem.gradient(before)))
    moved = np.square(after - before).sum(axis=1) * (1 + mu) / (2 * size)
    count = math.sqrt(len(before))
    first, second, both = (float(values.std(ddof=1)) / count for values in (lost, moved, lost - moved))
    return Dissipation(float(lost.mean()), float(moved.mean()), first, second, both, exact=False)


def _exact(sgd: SGD) -> Dissipation:
    if not isinstance(sgd.problem, QuadraticProblem):
        raise InvalidInput(
            f"the moments of {type(sgd.problem).__name__} do not close: pass x0 and steps, and both sides are sampled"
        )
    state = sgd._stationary_state()
    curvatures = sgd.problem.curvatures
    lost = float(curvatures @ np.diagonal(state.positions))
    if sgd.momentum:
        square = float(np.trace(state.covariance[1, 1]))
    else:
        square = float(curvatures**2 @ np.diagonal(state.positions) + np.trace(state.noise))
    return Dissipation(lost, float(sgd.step_size) * (1 + sgd.momentum) / 2 * square)
