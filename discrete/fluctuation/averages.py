"""How iterates hang together: autocovariances, and means over windows (Polyak, Ruppert), exactly. Derived."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, whole_number
from sgdlimits.exact.map_powers import Power, leaps
from sgdlimits.exact.moment_maps import MomentMap
from sgdlimits.problems.second_moments import start_moments

from ..stationary_states import StationaryState

if TYPE_CHECKING:
    import xarray

    from ..sgd import SGD


def autocovariance(sgd: SGD, lags: Sequence[int] | np.ndarray | int = 20) -> xarray.Dataset:
    """Exact Cov(x_{t + lag}, x_t) at stationarity.

    Parameters
    ----------
    sgd : SGD
        Whose second moments close: every rule whose step is affine, where it has `stationary()`.
    lags : int, or sequence of int
        So many lags from 0 on, or these, in steps.

    Returns
    -------
    xarray.Dataset
        `autocovariance(lag, coordinate, coordinate_2)`; `correlation(lag)`: its trace over that at lag 0; and
        `ornstein_uhlenbeck(lag)`: the same of the process frozen at the mean, sum tr S_0 exp(-rate lag) of the
        overdamped rates, which are step_size k / (1 - momentum) of plain descent and momentum.

    Raises
    ------
    NoStationaryLaw, InfiniteVariance, InvalidInput
        As `SGD.stationary`; InvalidInput if a lag is no whole number from 0 on, or nothing fluctuates.
    """
    import xarray

    if np.ndim(lags) == 0:
        kept = np.arange(whole_number("lags", lags, 1))
    else:
        given = np.asarray(lags)
        if given.ndim != 1 or not given.size:
            raise InvalidInput(f"lags must be one number or a sequence of them, got the shape {given.shape}")
        kept = np.array([whole_number("lags", lag, 0) for lag in given.tolist()])
    state = sgd._stationary_state()
    if not state.positions.any():
        raise InvalidInput("nothing fluctuates at stationarity, so that no correlation is defined: add noise")
    found = _lagged(state, kept)
    total = np.array([np.trace(state.out(one)) for one in found])
    decayed = np.exp(-np.outer(kept, state.overdamped_rates))
    weights = (state.overdamped_covariance * (state.vectors.T @ state.vectors)).sum(axis=1)
    names = list(sgd.problem.coordinates)
    return xarray.Dataset(
        {
            "autocovariance": (("lag", "coordinate", "coordinate_2"), state.out(found)),
            "correlation": ("lag", total / np.trace(state.out(state.positions))),
            "ornstein_uhlenbeck": ("lag", decayed @ weights / weights.sum()),
        },
        {"lag": kept, "coordinate": names, "coordinate_2": names},
        {"process": sgd.label, "step_size": float(sgd.step_size)},
    )


def average(sgd: SGD, window: int, x0: Any = None, burn_in: int = 0) -> xarray.Dataset:
    """Exact mean and covariance of the mean of `window` consecutive iterates.

    Parameters
    ----------
    sgd : SGD
        As in `autocovariance`.
    window : int
        Iterates that are averaged.
    x0 : array (d,), Gaussian, or tuple (mean, covariance), optional
        The start; default: stationarity.
    burn_in : int
        Steps from x0 before the window: x_{burn_in + 1}, ..., x_{burn_in + window} are averaged.

    Returns
    -------
    xarray.Dataset
        `mean(coordinate)`, `covariance(coordinate, coordinate_2)`, `risk` at the average, and `limit(coordinate,
        coordinate_2)`: K^-1 C K^-1 / window, what the covariance tends to as the window grows (Polyak, Juditsky 1992
        for its form); C is the covariance of the batch gradient at stationarity, or of the direction that stands for
        it, and K its mean slope; zero where nothing acts.

    Raises
    ------
    NoStationaryLaw, InfiniteVariance, InvalidInput
        As `SGD.stationary`; InvalidInput if an argument cannot be used.
    """
    import xarray

    window, burn_in = whole_number("window", window, 1), whole_number("burn_in", burn_in, 0)
    if x0 is None and burn_in:
        raise InvalidInput(f"burn_in is {burn_in}, but without x0 the window is at stationarity already: pass x0 too")
    state, problem = sgd._stationary_state(), sgd.problem
    if x0 is None:
        mean, covariance = np.zeros(problem.dimension), _window_covariance(state, window)
    else:
        mean, covariance = _from_start(sgd, state, x0, burn_in, window)
    place = state.vectors @ mean + state.centre
    whole = state.out(covariance)
    risk = float(problem.risk_of_positions(place, whole))
    names = list(problem.coordinates)
    return xarray.Dataset(
        {
            "mean": ("coordinate", place),
            "covariance": (("coordinate", "coordinate_2"), whole),
            "risk": ((), risk),
            "limit": (("coordinate", "coordinate_2"), state.out(state.long_run / window)),
        },
        {"coordinate": names, "coordinate_2": names},
        {"process": sgd.label, "step_size": float(sgd.step_size), "window": window, "burn_in": burn_in},
    )


def _lagged(state: StationaryState, lags: np.ndarray) -> np.ndarray:
    """Cov(z_{t + lag}, z_t) (lags, d, d) of the modes: the first rows of F^lag with all digits of a slow decay."""
    lost = np.swapaxes(state.equations.lost, 1, 2)
    rows = leaps(Power.of(-lost), np.eye(lost.shape[-1])[np.zeros(len(lost), dtype=int)], (), lags)
    return np.einsum("ian,aij->nij", rows, state.covariance[:, 0])


def _window_covariance(state: StationaryState, window: int) -> np.ndarray:
    """(W R_0 + sum (W - n) (R_n + R_n^T)) / W^2, with R_n = F^n R_0 of everything that is kept."""
    lost = state.equations.lost
    sums = _sums_of_sums(lost, window - 1)
    weighted = (sums - lost @ sums)[:, 0]  # of F^n, n = 1, ..., W - 1
    cross = np.einsum("ia,aij->ij", weighted, state.covariance[:, 0])
    return (window * state.positions + cross + cross.T) / window**2


def _sums_of_sums(lost: np.ndarray, count: int) -> np.ndarray:
    """T_n = A_1 + ... + A_n for n = count, A_n = 1 + F + ... + F^(n - 1), (d, s, s), from lost = 1 - F.

    By doubling: A_2n = 2 A_n - lost A_n A_n, Newton's step for the inverse of `lost`, so that digits are kept where F
    is all but 1.
    """
    one = np.eye(lost.shape[-1])
    first, second, n = np.zeros_like(lost), np.zeros_like(lost), 0
    for bit in bin(count)[2:]:
        moved = lost @ first
        second = 2 * second + n * first - moved @ second
        first, n = 2 * first - moved @ first, 2 * n
        if bit == "1":
            first = one + first - lost @ first
            second, n = second + first, n + 1
    return second


def _from_start(
    sgd: SGD, state: StationaryState, x0: Any, burn_in: int, window: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean (d,) and covariance (d, d) of the average, in modes: the sum is one number more of each mode."""
    equations, d = state.equations, sgd.problem.dimension
    mean, spread = start_moments(x0, d)
    inverse = np.linalg.pinv(state.vectors)
    means = np.zeros((equations.numbers + 1, d))
    means[0] = inverse @ (mean - state.centre)
    carried = np.zeros((equations.numbers + 1, equations.numbers + 1, d, d))
    if spread is not None:
        carried[0, 0] = inverse @ spread @ inverse.T
    summed = _with_sum(equations)
    for step in range(burn_in + window):
        if step == burn_in:
            means[-1], carried[-1], carried[:, -1] = 0.0, 0.0, 0.0
        means, carried = summed.apply(means, carried)
    return means[-1] / window, carried[-1, -1] / window**2


def _with_sum(equations: MomentMap) -> MomentMap:
    """The map of (state, sum of the positions that were reached)."""
    s = equations.numbers
    transition = np.zeros((equations.dimension, s + 1, s + 1))
    transition[:, :s, :s] = equations.transition
    transition[:, s, :s], transition[:, s, s] = equations.transition[:, 0], 1.0
    return MomentMap(transition, np.append(equations.entry, equations.entry[0]), equations.noise, equations.weights)
