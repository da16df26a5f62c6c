"""Which limit each noise mechanism has: its orders in step size and noise level, its clock, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from sgdlimits.ensembles.progress import Patience
from sgdlimits.exact.clock import Clock
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import geometry
from sgdlimits.problems.covariances import Covariance
from sgdlimits.problems.frames import length
from sgdlimits.problems.noise import DropConnect, Dropout, Mixture

from .next_order import next_order_drift

NON_DEGENERATE, DEGENERATE, TRIVIAL = "non-degenerate", "degenerate", "trivial"
REGIMES = (NON_DEGENERATE, DEGENERATE, TRIVIAL)  # of a mechanism, the fastest first
NEXT_ORDER = "next-order"  # of those that are not non-degenerate together
BIASED = (NON_DEGENERATE, NEXT_ORDER)  # whose limit is the leading order in sigma^2
PROBES = 3  # points at which a regime is decided by numbers: at a single one a non-zero drift may vanish
ATTEMPTS = 12
HOPELESS = 2  # starts after which a loss that has no zero-loss set, and not only none near, is refused
LONGEST_SEARCH = 10.0  # seconds after which three starts that failed are enough
ROUNDING = 1e-6  # of a next-order drift, relative to sigma^4, curvature and size of the weights
STILL = 1e-9  # relative: a smaller drift along the set is rounding
REMEMBERED = 64  # starts of a model whose points are kept
SPREAD = 0.1  # of the neighbours of a given start, relative to its size


@dataclass(frozen=True, eq=False)
class Term:
    """What one noise mechanism contributes to the limit.

    Attributes
    ----------
    mechanism : noise mechanism, or mixture in the next order
    regime : {"non-degenerate", "degenerate", "trivial", "next-order"}
    step_size_order, sigma_order : int or None
        The limit moves by step_size^step_size_order * sigma^sigma_order a step; None: it does not.
    clock : Clock
        Steps per unit of the term's own time.
    rate : float
        The term's own time per step; 0 if it moves nothing.
    sentence : str
        Why the regime is this one.
    decided_by : {"theory", "numbers"}
    tangential : bool
        Whether the noise has a part along the set.
    """

    mechanism: Any
    regime: str
    step_size_order: int | None
    sigma_order: int | None
    clock: Clock
    rate: float
    sentence: str
    decided_by: str
    tangential: bool

    @property
    def label(self) -> str:
        """Name of the mechanism."""
        name = " + ".join(type(part).__name__ for part in self.mechanism.components)
        return f"next order of {name}" if self.regime == NEXT_ORDER else name

    def __repr__(self) -> str:
        if self.regime == TRIVIAL:
            return f"Term({self.label}, trivial)"
        return f"Term({self.label}, {self.regime}, {self.clock!r})"


def decide_terms(
    model: Any, noise: Any, step_size: float, points: np.ndarray, correction: bool = False
) -> tuple[Term, ...]:
    """One term a mechanism of `noise`, decided at `points` (K, m) of the zero-loss set; with `correction`, one more for
    the next order in sigma^2 of those whose regulariser is constant on the set, where it moves."""
    terms = tuple(_term(model, mechanism, step_size, points) for mechanism in noise.components)
    return (*terms, *_next_order(model, slow_mechanisms(terms), step_size, points)) if correction else terms


def slow_mechanisms(terms: tuple[Term, ...]) -> list[Any]:
    """Those that numbers found to have a regulariser constant on the set: their next order may move along it."""
    return [
        term.mechanism
        for term in terms
        if term.regime in (DEGENERATE, TRIVIAL) and term.mechanism.sigma > 0 and not term.mechanism.reg_is_constant
    ]


def _next_order(model: Any, mechanisms: list[Any], step_size: float, points: np.ndarray) -> tuple[Term, ...]:
    if not mechanisms:
        return ()
    together, square = Mixture(tuple(mechanisms)), sum(float(part.sigma) ** 2 for part in mechanisms)
    frame = geometry.frame(model, points)
    speed = np.linalg.norm(next_order_drift(model, mechanisms, points, frame), axis=-1)
    if (speed <= ROUNDING * square**2 * frame.eigenvalues.max(-1) * length(points)).all():
        return ()
    rate = step_size * square**2
    sentence = "what the averaged loss leaves of order sigma^4 along the set changes, at rate step_size sigma^4"
    clock = Clock(1 / rate, "step_size sigma^4")
    return (Term(together, NEXT_ORDER, 1, 4, clock, rate, sentence, "numbers", False),)


def leading_term(terms: tuple[Term, ...]) -> Term:
    """The term that moves most a step; where nothing moves, the first."""
    return max(terms, key=lambda term: term.rate)


def explain(terms: tuple[Term, ...]) -> str:
    """One sentence: why the leading term's regime is what it is, and what the others do."""
    leading = leading_term(terms)
    text = f"{leading.regime}, decided by {leading.decided_by}: {leading.sentence.rstrip('.')}"
    for term in terms:
        if term is not leading:
            share = f"{term.rate / leading.rate:.3g} times the leading rate" if term.rate else "moves nothing"
            text += f"; {term.label} is {term.regime} ({share})"
    return text + "."


def _term(model: Any, mechanism: Any, step_size: float, points: np.ndarray) -> Term:
    sigma = float(mechanism.sigma)
    name, sentence, decided_by = _strongest_regime(model, mechanism, points)
    if sigma == 0:
        name, sentence, decided_by = TRIVIAL, f"{type(mechanism).__name__} has sigma = 0", "theory"
    along = name != TRIVIAL and mechanism.tangential and _has_tangential_part(model, mechanism, points)
    if name == DEGENERATE and mechanism.reg_is_constant and not along and _stands_still(model, mechanism, points):
        name, decided_by = TRIVIAL, "numbers"
        sentence = (
            f"{type(mechanism).__name__} would move along the set by step_size^2 sigma^2 a step, but on "
            f"{model.label} that drift vanishes at every point tried: <C, Hessian> is constant along the set, C the "
            "stationary covariance across it, so that it stands still at that rate; a slower motion is not looked at"
        )
    scale, unit = (1.0, "") if np.isnan(sigma) or sigma == 0 else (sigma**2, " sigma^2")
    order = 1 if name == NON_DEGENERATE else 2
    rate = step_size**order * scale
    clock = Clock(1 / rate, ("step_size" if order == 1 else "step_size^2") + unit)
    if name == TRIVIAL:
        return Term(mechanism, name, None, None, clock, 0.0, sentence, decided_by, False)
    return Term(mechanism, name, order, 2, clock, rate, sentence, decided_by, along)


def _has_tangential_part(model: Any, mechanism: Any, points: np.ndarray) -> bool:
    """Whether P covariance P differs from 0 at one of the points, beyond rounding."""
    frame = geometry.frame(model, points)
    found: Iterable[Covariance]
    if isinstance(mechanism, DropConnect | Dropout):
        found = (Covariance(rows) for rows in mechanism.noise_blocks(model, points))  # one that moves is enough
    else:
        found = (mechanism.factored_covariance(model, points),)
    largest = 0.0
    for covariance in found:
        largest = max(largest, float(covariance.largest().max()))
        if geometry.tangential_variance(covariance, frame).max() > 1e-10 * largest:
            return True
    return False


def _stands_still(model: Any, mechanism: Any, points: np.ndarray) -> bool:
    """Whether P grad <C, Hessian> vanishes at every point, to rounding of what the terms across the set are."""
    frame = geometry.frame(model, points)
    spread = geometry.normal_core(frame, mechanism.factored_covariance(model, points))
    push = geometry.push(model, points, frame, spread)
    inside = np.linalg.norm(frame.tangent_part(push), axis=-1)
    return bool((inside <= STILL * np.linalg.norm(push, axis=-1)).all())


def _strongest_regime(model: Any, mechanism: Any, points: np.ndarray) -> tuple[str, str, str]:
    """The fastest regime at any of the points: elsewhere its drift may vanish by chance."""
    found = [mechanism.regime(model, point) for point in points]
    best = min(found, key=lambda regime: REGIMES.index(regime.name))
    return best.name, best.sentence, best.decided_by


_FOUND: WeakKeyDictionary[Any, dict[Any, np.ndarray]] = WeakKeyDictionary()


def remembered(model: Any, key: Any, find: Callable[[], np.ndarray]) -> np.ndarray:
    """`find`(), or what it found for this key of this model: the limits of a ladder look from the same start."""
    if type(model).__hash__ is None:
        return find()
    found = _FOUND.setdefault(model, {})
    if key not in found:
        point = find()
        point.setflags(write=False)
        if len(found) >= REMEMBERED:
            found.clear()
        found[key] = point
    return found[key]


def probe_points(model: Any, origin: np.ndarray | None) -> np.ndarray:
    """Points (K, m) of the set at which regimes are decided: near its point `origin`, else from random starts.

    Raises
    ------
    InvalidInput
        If the gradient flow from every draw does not reach a set of positive dimension, or there is no such set at
        `origin`.
    """
    draws = np.random.default_rng(0).standard_normal((ATTEMPTS, model.dimension))
    found, reason = ([] if origin is None else [origin]), ""
    if origin is not None:
        geometry.check_set(model, origin)
        draws = found[0] + SPREAD * (float(np.abs(found[0]).max()) or 1.0) * draws
    patience, failed, hopeless = Patience("regime on the zero-loss set"), 0, 0
    for place, draw in enumerate(draws):
        late = hopeless == HOPELESS or (failed >= PROBES and patience.seconds > LONGEST_SEARCH)
        if len(found) == PROBES or (not found and late):
            break  # what is found never depends on the time, only when to give up
        patience.look(lambda: f"start {place + 1} of at most {ATTEMPTS}, {len(found)} of {PROBES} points found")
        try:
            point = geometry.limit_map(model, draw)
            geometry.frame(model, point) if found else geometry.check_set(model, point)
        except InvalidInput as error:
            reason, failed = str(error), failed + 1
            hopeless += isinstance(error, geometry.NoZeroSet)
            continue
        found.append(point)
    if not found and hopeless == failed:
        raise geometry.NoZeroSet(reason)
    if not found:
        raise InvalidInput(
            f"no point of a zero-loss set with tangents was found from {failed} random starts, so the "
            f"regime cannot be decided; pass start=, a point near the zero-loss set (last reason: {reason})"
        )
    geometry.warn_of_kinks(model, found[0])
    return np.array(found)
