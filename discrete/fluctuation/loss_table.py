"""Methods beside each other at stationarity: expected excess loss, exactly, and the error of their limits."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, SgdlimitsError, Unstable

from ..stationary_states import check_least_risk

if TYPE_CHECKING:
    import xarray

    from ..sgd import SGD

OWN = "Ornstein-Uhlenbeck"  # the limit that every rule with an affine step has here, momentum in its step size


@dataclass(frozen=True, eq=False, repr=False)
class LossTable:
    """Expected excess losses at stationarity.

    Attributes
    ----------
    dataset : xarray.Dataset
        `excess(process)`: E L less the least L, exact; inf where the second moment is.
        `excess_of_limit(process, limit)` and `relative_error(process, limit)`: that over the exact one, less 1; nan
        where a process has no such limit.
        `test_excess(process)` on held-out samples, where there are any: E of the loss less that of the minimiser.
    notes : tuple of str
        Why an entry is missing.
    """

    dataset: xarray.Dataset
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        found = self.dataset
        limits = [str(name) for name in found.limit.values]
        head = ["method", "excess loss", *limits]
        rows = [
            [str(name), f"{float(found.excess[i]):.6g}", *(_entry(found, i, j) for j in range(len(limits)))]
            for i, name in enumerate(found.process.values)
        ]
        widths = [max(len(row[c]) for row in [head, *rows]) for c in range(len(head))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in [head, *rows]]
        lines.append("excess loss: exact, at stationarity; of a limit: its own, and in brackets its relative error")
        return "\n".join([*lines, *self.notes])


def table(
    methods: Mapping[str, SGD] | Sequence[SGD], limits: Sequence[Callable[[SGD], Any]] = ()
) -> LossTable:
    """Expected excess loss at stationarity of several methods, and what continuous limits say in its place.

    Parameters
    ----------
    methods : mapping name -> SGD, or sequence of SGD
        Whose second moments close.
    limits : sequence of functions of an SGD, optional
        `diffusions.ModifiedEquation.of` and the like, or the class, beside the overdamped Ornstein-Uhlenbeck limit,
        which is there for every rule whose step is affine: the mean pull of a step, and the noise at the mean position;
        of plain descent and momentum step_size / (1 - momentum) and the noise of the minimiser. The label of what they
        give names the column, with the words "with replacement" where the descent draws without it and the limit knows
        only batches with it.

    Raises
    ------
    InvalidInput
        If there are no methods, one has no closed moments, or its risk no least value.
    """
    import xarray

    limits = [limit.of if isinstance(limit, type) and hasattr(limit, "of") else limit for limit in limits]
    named = dict(methods) if isinstance(methods, Mapping) else {sgd.label: sgd for sgd in methods}
    if not named or (not isinstance(methods, Mapping) and len(named) < len(methods)):
        raise InvalidInput("methods must be at least one, with different names: pass a dict of name -> SGD")
    for sgd in named.values():
        check_least_risk(sgd)
    excess, columns, notes = [], {OWN: [math.nan] * len(named)}, []
    tests: list[float] = []
    for index, (name, sgd) in enumerate(named.items()):
        least = sgd.problem.least_risk
        try:
            law = sgd.stationary()
        except Unstable as error:
            excess.append(math.inf)
            tests.append(math.inf)
            notes.append(f"{name}: {error}")
        except InvalidInput as error:
            raise InvalidInput(f"method {name!r} cannot stand in the table: {error}") from None
        else:
            excess.append(law.risk - least)
            tests.append(_test_excess(sgd, law.covariance))
            columns[OWN][index] = _overdamped(sgd) - least
        for limit in limits:
            try:
                process = limit(sgd)
                value = process.stationary().risk - least
            except SgdlimitsError as error:
                notes.append(f"{name}: {error}")
                continue
            columns.setdefault(_column(sgd, process), [math.nan] * len(named))[index] = value
    of_limit, exact = np.array(list(columns.values())).T, np.array(excess)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(of_limit == exact, 0.0, of_limit / exact - 1)  # both are 0 where nothing fluctuates
    found = {
        "excess": ("process", np.array(excess)),
        "excess_of_limit": (("process", "limit"), of_limit),
        "relative_error": (("process", "limit"), relative),
    }
    if not all(math.isnan(value) for value in tests):
        found["test_excess"] = ("process", np.array(tests))
    return LossTable(
        xarray.Dataset(found, {"process": list(named), "limit": list(columns)}), tuple(dict.fromkeys(notes))
    )


def _column(sgd: SGD, process: Any) -> str:
    """The limit's label, and what its noise is where that is not the noise of the descent."""
    own = sgd.sampling == getattr(process, "sampling", "with_replacement")
    return str(process.label) if own else f"{process.label}, with replacement"


def _overdamped(sgd: SGD) -> float:
    """E L of the Ornstein-Uhlenbeck limit."""
    state, problem = sgd._stationary_state(), sgd.problem
    return float(problem.risk_of_positions(state.centre, state.out(state.overdamped_covariance)))


def _test_excess(sgd: SGD, covariance: np.ndarray) -> float:
    features = getattr(sgd.problem, "test_features", None)
    if features is None or not len(features):
        return math.nan
    return float(0.5 * np.einsum("ni,ij,nj->n", features, covariance, features).mean())


def _entry(found: xarray.Dataset, row: int, column: int) -> str:
    value, error = float(found.excess_of_limit[row, column]), float(found.relative_error[row, column])
    if math.isnan(value):
        return "-"
    return f"{value:.6g} ({100 * error:+.3g} %)" if math.isfinite(error) else f"{value:.6g}"
