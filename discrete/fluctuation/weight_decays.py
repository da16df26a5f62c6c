"""Weight decay at a finite step size: the expected loss against the ridge, its best value, and where no law exists."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, Unstable, finite_array
from sgdlimits.exact.stationary_law import StationaryLaw
from sgdlimits.problems.least_squares import LeastSquares
from sgdlimits.problems.quadratic import QuadraticProblem

from ..stationary_states import check_least_risk

if TYPE_CHECKING:
    import xarray

    from ..sgd import SGD

NARROW = 1e-10  # of the range of ridges, to which edges and the best one are found


@dataclass(frozen=True, eq=False, repr=False)
class WeightDecay:
    """Expected losses at stationarity against the ridge.

    Attributes
    ----------
    dataset : xarray.Dataset
        `risk(ridge)`: E L on the training data or the stream, without the ridge term; `test_risk(ridge)` on held-out
        samples where there are any; inf where no second moment is finite. `gradient_flow(ridge)`: `risk` without noise.
    best : float
        Ridge of least test risk (of least risk on a stream) among those that were given and between; may be negative.
    best_loss : float
    best_at_edge : bool
        Whether it lies at an end of the range: a wider one may have a better.
    unstable : tuple of (float, float)
        Ranges of ridges without a law, to about 1e-10 of the whole range.
    """

    dataset: xarray.Dataset
    best: float
    best_loss: float
    best_at_edge: bool
    unstable: tuple[tuple[float, float], ...]

    def __repr__(self) -> str:
        where = "; ".join(f"no law from {low:.6g} to {high:.6g}" for low, high in self.unstable)
        edge = ", at the end of the range" if self.best_at_edge else ""
        where = f"; {where}" if where else ""
        return f"WeightDecay(best ridge {self.best:.6g}{edge}, loss {self.best_loss:.6g}{where})"


def weight_decay(sgd: SGD, ridges: Any) -> WeightDecay:
    """Exact expected losses at stationarity as the ridge varies, of either sign.

    Parameters
    ----------
    sgd : SGD
        Whose second moments close; its ridge is replaced.
    ridges : sequence of float, at least three
        Increasing.

    Raises
    ------
    InvalidInput
        If the moments do not close, the ridges do not increase, no one of them has a law, the risk has no least value,
        or the law of a ridge is lost in rounding, so near to minus an eigenvalue is it.
    """
    import xarray

    values = finite_array("ridges", ridges, ndim=1)
    if values.size < 3 or (np.diff(values) <= 0).any():
        raise InvalidInput(f"ridges must be at least three increasing numbers, got {values.tolist()}")
    if not isinstance(sgd.problem, QuadraticProblem):
        raise InvalidInput(
            f"the moments of {type(sgd.problem).__name__} do not close: pass least squares, or problems.LocalQuadratic"
        )
    check_least_risk(sgd)
    laws = [_law(sgd, float(ridge)) for ridge in values]
    if not any(law is not None for law in laws):
        try:
            _at(sgd, float(values[-1])).stationary()  # says so where something else is in the way
        except Unstable as error:
            raise InvalidInput(
                f"no ridge from {values[0]:g} to {values[-1]:g} has a law: lower the step size, or raise them; at the "
                f"last {error}"
            ) from None
    tested = isinstance(sgd.problem, LeastSquares) and len(sgd.problem.test_targets) > 0
    risks = np.array([math.inf if law is None else law.risk for law in laws])
    flows = np.array([_flow(sgd.problem, float(ridge)) for ridge in values])
    found = {"risk": ("ridge", risks), "gradient_flow": ("ridge", flows)}
    if tested:
        found["test_risk"] = ("ridge", np.array([math.inf if law is None else _test(sgd, law) for law in laws]))
    losses = found["test_risk" if tested else "risk"][1]
    best, loss = _least(sgd, values, losses, tested)
    return WeightDecay(
        xarray.Dataset(found, {"ridge": values}, {"process": sgd.label, "step_size": float(sgd.step_size)}),
        best, loss, bool(best in (values[0], values[-1])), _unstable(sgd, values, laws),
    )  # fmt: skip


def _at(sgd: SGD, ridge: float) -> SGD:
    return replace(sgd, problem=sgd.problem.with_ridge(ridge))


def _law(sgd: SGD, ridge: float) -> StationaryLaw | None:
    try:
        return _at(sgd, ridge).stationary()
    except Unstable:
        return None
    except InvalidInput:
        if (_at(sgd, ridge).problem.curvatures[sgd.problem.eigenvalues != 0] == 0).any():
            return None  # no stationary point
        raise


def _settles(sgd: SGD, ridge: float) -> bool:
    """Whether there is a law, even one of which too few digits are known."""
    try:
        return _law(sgd, ridge) is not None
    except InvalidInput:
        return True


def _flow(problem: QuadraticProblem, ridge: float) -> float:
    """L at the minimiser of the descended objective; inf where that has none."""
    try:
        there = problem.with_ridge(ridge)
        return float(there.risk_at_minimiser) if there.curvatures.min() >= 0 else math.inf
    except InvalidInput:
        return math.inf


def _test(sgd: SGD, law: StationaryLaw) -> float:
    """Expected half square of the residuals on held-out samples."""
    features, targets = sgd.problem.test_features, sgd.problem.test_targets
    spread = np.einsum("ni,ij,nj->n", features, law.covariance, features)
    return float(0.5 * (np.square(features @ law.mean - targets) + spread).mean())


def _least(sgd: SGD, values: np.ndarray, losses: np.ndarray, tested: bool) -> tuple[float, float]:
    """The best ridge, between its neighbours on the grid too."""
    from scipy.optimize import minimize_scalar

    index = int(np.argmin(losses))
    low, high = values[max(index - 1, 0)], values[min(index + 1, values.size - 1)]

    def loss(ridge: float) -> float:
        try:
            law = _law(sgd, float(ridge))
        except InvalidInput:  # lost in rounding: as good as minus an eigenvalue
            return math.inf
        return math.inf if law is None else _test(sgd, law) if tested else law.risk

    width = NARROW * (values[-1] - values[0])
    with np.errstate(invalid="ignore"):  # scipy takes differences of infinite values
        found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": width})
    if found.fun < losses[index]:
        return float(found.x), float(found.fun)
    return float(values[index]), float(losses[index])


def _unstable(sgd: SGD, values: np.ndarray, laws: list[StationaryLaw | None]) -> tuple[tuple[float, float], ...]:
    """Ranges without a law, their ends by bisection where the neighbour has one."""

    def edge(inside: float, outside: float) -> float:
        """Between a ridge without a law and one with."""
        while abs(outside - inside) > NARROW * (values[-1] - values[0]):
            middle = (inside + outside) / 2
            inside, outside = (inside, middle) if _settles(sgd, middle) else (middle, outside)
        return inside

    ranges, first = [], None
    for index, law in enumerate([*laws, laws[-1]]):
        last = index == len(laws)
        if law is None and not last and first is None:
            first = values[index] if index == 0 else edge(values[index], values[index - 1])
        elif first is not None and (law is not None or last):
            ranges.append((float(first), float(values[-1] if last else edge(values[index - 1], values[index]))))
            first = None
    return tuple(ranges)
