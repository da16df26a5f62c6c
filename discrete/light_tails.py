"""Tail indices of descents that are not linear recurrences: light where steps or gradients are bounded, and why.

Bounded steps alone decide nothing: with a drift inward that fades like 1 / |x| a power remains. Bounded steps and a
drift inward, bounded away from zero far out, give exponential moments (Hajek 1982). Where the drift is proved, which
needs the state to be the position up to a bounded shift, and where it is only seen in a simulation, is said.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from sgdlimits.ensembles.crowd import Crowd
from sgdlimits.ensembles.random import Noise
from sgdlimits.exact.errors import InvalidInput, NoStationaryLaw, OutOfReach
from sgdlimits.exact.tail_index import BOUNDED, TailIndex, refuse_growth
from sgdlimits.problems.prediction import PredictionProblem
from sgdlimits.problems.quadratic import QuadraticProblem
from sgdlimits.problems.sources import Rows
from sgdlimits.problems.streaming import StreamingLeastSquares

from .bounded_networks import bounded_network
from .rules import Clipped, Proximal, SignSGD
from .rules.rule import Linear, MoveBound

if TYPE_CHECKING:
    from .sgd import SGD

PROVED = "bounded steps and a drift inward, proved"
SEEN = "bounded steps, proved, and a drift inward, seen"
FAR_STEPS = 3000  # steps at full speed to zero, from where the drift is looked at
PATHS = 64  # directions that are looked at
PATIENCE = 100  # times the time at full speed that a path has to halve its distance
NEAR = 10  # how many times farther than paths from zero get
DIRECTIONS = 97  # purpose of the random numbers of directions
ZERO = 1e-9  # slack of a linear programme


def light_tail_index(sgd: SGD, seed: int) -> TailIndex:
    """inf with its reason, for a rule or a loss that is not linear.

    Raises
    ------
    NoStationaryLaw
        If paths are proved to run away.
    OutOfReach
        If the steps are bounded, but no drift inward is proved or seen.
    InvalidInput
        If neither steps nor gradients are known to be bounded.
    """
    bound, slope = sgd.update_rule.move_bound(), gradient_bound(sgd)
    found = _bounded_support(sgd, bound, slope)
    if found is not None:
        return found
    if sgd.sampling == "reshuffle":
        raise InvalidInput(
            f"the batches of an epoch depend on each other, and the tail of {sgd.label} is known for independent ones: "
            "take sampling='with_replacement'"
        )
    why = _inward(sgd, bound, slope)
    if why:
        steps = bound.derivation if bound is not None else f"a gradient has norm at most {slope:.4g}"
        return TailIndex(
            math.inf, 0.0, PROVED, note=f"{steps}; {why}; so exponential moments are finite (Hajek 1982)"
        )
    if bound is None:
        raise InvalidInput(
            f"the tail index of {sgd.label} on {type(sgd.problem).__name__} is not known: it is for least squares "
            "under a linear rule, for bounded steps (sign, clipped, Adam with b1^2 < b2, RMSProp that is not centred) "
            "and for bounded gradients; bounds may come from tail_exponent_bounds(lipschitz_factors(sgd))"
        )
    beside = "the rule keeps more than the position" if sgd.update_rule.slots else "its mean step has no known sign"
    return TailIndex(
        math.inf, 0.0, SEEN, proved=False,
        note=f"{bound.derivation}; {_seen_inward(sgd, bound, seed)}; {beside}, so no proof is claimed",
    )  # fmt: skip


def gradient_bound(sgd: SGD) -> float | None:
    """Largest norm of one sample's gradient, ridge left out: a bounded slope of the loss, an affine predictor, rows."""
    problem = sgd.problem
    if not isinstance(problem, PredictionProblem) or not math.isfinite(problem.loss.largest_slope):
        return None
    if not problem.predictor.affine or not isinstance(problem.source, Rows):
        return None
    inputs, outputs = problem.source.inputs, problem.predictor.outputs
    constant = problem.dimension > outputs * problem.predictor.inputs
    return float(problem.loss.largest_slope * np.sqrt(np.square(inputs).sum(axis=1) + constant).max())


def _bounded_support(sgd: SGD, bound: MoveBound | None, slope: float | None) -> TailIndex | None:
    """Where every path ends up in a ball that is known, whatever the noise."""
    size, ridge = float(sgd.step_size), float(sgd.problem.ridge)
    if bound is not None and bound.decay > 0:
        kept = abs(1 - size * bound.decay)
        refuse_growth(sgd.label, math.log(kept) if kept else -math.inf)
        limit = size * bound.size / (1 - kept)
        return TailIndex(
            math.inf, 0.0, BOUNDED,
            note=f"the decay keeps {kept:.6g} of each coordinate, and {bound.derivation}: no coordinate stays beyond "
            f"{limit:.4g}",
        )  # fmt: skip
    if ridge == 0:
        return None
    linear = sgd.update_rule.linear(size)
    if slope is None:
        return None if linear is None else bounded_network(sgd, _response(sgd, linear, ridge))
    if isinstance(sgd.update_rule, Proximal) and ridge > 0:
        return TailIndex(
            math.inf, 0.0, BOUNDED,
            note=f"(1 + step_size ridge) x' = x - step_size g(x'), and g, the gradient there without its ridge, has "
            f"norm at most {slope:.4g}: |x| does not stay beyond {slope / ridge:.4g}",
        )  # fmt: skip
    if linear is not None:
        radius, response = _response(sgd, linear, ridge)
        return TailIndex(
            math.inf, 0.0, BOUNDED,
            note=f"a gradient without its ridge has norm at most {slope:.4g}, and the ridge keeps {radius:.6g} of the "
            f"state a step: |x| does not stay beyond {response * slope:.4g}",
        )  # fmt: skip
    if isinstance(sgd.update_rule, SignSGD) and ridge > 0:
        return TailIndex(
            math.inf, 0.0, BOUNDED,
            note=f"a coordinate beyond {slope / ridge:.4g} has a gradient of its own sign: none stays beyond "
            f"{slope / ridge + size:.4g}",
        )  # fmt: skip
    return None


def _response(sgd: SGD, linear: Linear, ridge: float) -> tuple[float, float]:
    """What the ridge keeps of the state a step, and how far from 0 gradients of norm 1 besides can hold x."""
    kept_state, entry = linear
    loop = kept_state.copy()
    loop[:, 0] += ridge * entry  # what the ridge's part of the gradient does
    radius = float(np.abs(np.linalg.eigvals(loop)).max())
    refuse_growth(sgd.label, math.log(radius) if radius else -math.inf)
    response, move = 0.0, entry
    while abs(move).max() > 1e-12 * max(response, 1e-300):
        response, move = response + abs(float(move[0])), loop @ move
    return radius, response


def _inward(sgd: SGD, bound: MoveBound | None, slope: float | None) -> str:
    """Why the mean step leads inward far out; empty where no proof is known. Derived."""
    problem, rule = sgd.problem, sgd.update_rule
    inner = rule.rule if isinstance(rule, Clipped) else rule
    if isinstance(rule, Proximal) and slope is not None and problem.ridge == 0 and problem.predictor.outputs == 1:
        return f"x' = x - step_size g(x'), the gradient taken a bounded step ahead; {_not_separable(sgd)}"
    if inner.linear(1.0) is not None and (bound is not None or slope is not None):
        # x less a multiple of the buffer moves by the response times the gradient: momentum is a bounded shift
        if isinstance(problem, QuadraticProblem):
            if problem.ridge >= 0 and problem.curvatures.max() > 0:
                return (
                    "far out the clipped gradient c H u / |H u| of a batch has u . H u / |H u| >= 0 along u, in the "
                    "mean at least the least eigenvalue of E H / |H| on the range of the data"
                )
        elif slope is not None and problem.ridge > 0:
            return "far out the gradient is that of the ridge, ridge * x, but for a bounded part"
        elif slope is not None and problem.ridge == 0 and problem.predictor.outputs == 1:
            return _not_separable(sgd)
    if not isinstance(rule, SignSGD) or not isinstance(problem, QuadraticProblem) or problem.ridge < 0:
        return ""
    if problem.dimension == 1 and problem.curvatures.max() > 0:
        return "far out a gradient has the sign of x - minimiser, but for noise that becomes rare"
    if isinstance(problem, StreamingLeastSquares) and problem.eigenvalues.min() > 0:
        diagonal = np.allclose(problem.covariance, np.diag(np.diag(problem.covariance)), rtol=0, atol=0)
        if problem.ridge == 0 or diagonal:
            return (
                "far out along u the sign of each gradient's coordinate has the sign of (S u)_j in the mean, S the "
                "covariance (at batch size 1 it is 2/pi arcsin of a correlation), so sqrt(u . S u) falls"
            )
    return ""


def _not_separable(sgd: SGD) -> str:
    """That no direction improves every sample, by a linear programme.

    Raises
    ------
    NoStationaryLaw
        If one does.
    """
    from scipy.optimize import linprog

    problem = sgd.problem
    inputs = problem.source.inputs
    if problem.dimension > problem.predictor.inputs:
        inputs = np.hstack([inputs, np.ones((len(inputs), 1))])
    signed = inputs * problem.source.labels[:, None]
    for axis in (0, 1, 0):  # units of columns, and lengths of rows, change no answer
        sizes = np.abs(signed).max(axis=axis, keepdims=True)
        signed = signed / np.where(sizes > 0, sizes, 1.0)
    found = linprog(-signed.sum(axis=0), A_ub=-signed, b_ub=np.zeros(len(signed)), bounds=(-1, 1))
    if -found.fun > ZERO * len(signed):
        raise NoStationaryLaw(
            f"{sgd.label} has no stationary law: there is no ridge and the labels can be separated, so one linear "
            "function of x grows at every step; add a ridge"
        )
    return "the labels cannot be separated, so far out the mean gradient along u is mean max(0, -label a . u) > 0"


def _seen_inward(sgd: SGD, bound: MoveBound, seed: int) -> str:
    """That paths from far out in all directions looked at come in, as a sentence.

    Raises
    ------
    OutOfReach
        If not all do.
    """
    dimension, simulator = sgd.problem.dimension, sgd.simulator()
    noise = Noise(seed, np.arange(PATHS))
    full = float(sgd.step_size) * bound.size * (math.sqrt(dimension) if bound.of == "coordinate" else 1.0)
    near = Crowd(simulator, np.zeros((PATHS, dimension)), noise)
    near.advance_to(FAR_STEPS)
    radius = max(FAR_STEPS * full, NEAR * float(near.look("norm").max()))
    directions = noise.child("directions").normals(DIRECTIONS, 0, dimension)
    directions /= np.sqrt(np.square(directions).sum(axis=1, keepdims=True))
    crowd, stride = Crowd(simulator, radius * directions, noise), math.ceil(radius / (2 * full))
    for turn in range(1, PATIENCE + 1):
        crowd.advance_to(turn * stride)
        norms = crowd.look("norm")
        if not np.isfinite(norms).all():
            break
        if (norms < radius / 2).all():
            return (
                f"in a simulation, all of {PATHS} paths from distance {radius:.4g} in as many directions halve it in "
                f"{turn * stride} steps"
            )
    outside = int((~(norms < radius / 2)).sum())
    raise OutOfReach(
        f"the steps of {sgd.label} are bounded, but that does not make its tail light: {outside} of {PATHS} paths from "
        f"distance {radius:.4g} do not come in within {turn * stride} steps, and no drift inward is proved"
    )
