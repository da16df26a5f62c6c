"""Linear matrix equations of stationary covariances, continuous and discrete, in modes and for any matrices.

Continuous (Lyapunov): K C + C K^T = N. Discrete (Stein): C = T C T^T + N. Given as vectors of eigenvalues, with N in
modes, they are solved entry by entry, and where nothing acts (an entry does not decay) C is zero; N need not commute
with anything. Given as matrices they go to SciPy.
"""

from __future__ import annotations

import numpy as np

from .errors import NoStationaryLaw


def solve_lyapunov(drift: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """C with drift C + C drift^T = noise.

    Parameters
    ----------
    drift : (..., d) array of eigenvalues, at least zero, or (d, d) array
    noise : (..., d, d) array, symmetric

    Raises
    ------
    NoStationaryLaw
        If a matrix has an eigenvalue whose real part is not above zero.
    """
    if np.ndim(drift) < 2 or np.shape(drift) != np.shape(noise):
        return solve_modal_stein(drift, noise, 0.0)
    from scipy.linalg import solve_continuous_lyapunov

    slowest = float(np.linalg.eigvals(drift).real.min())
    if slowest <= 0:
        raise NoStationaryLaw(f"the drift has an eigenvalue of real part {slowest:.6g}, which does not pull back")
    return _symmetric(solve_continuous_lyapunov(drift, noise))


def solve_modal_stein(values: np.ndarray, noise: np.ndarray, step_size: float) -> np.ndarray:
    """C (..., d, d) with K C + C K - step_size K C K = noise for K = diag(values): a descent's, per step_size^2 N.

    Zero where K does not act on either index.
    """
    left, right = values[..., :, None], values[..., None, :]
    decay = (left * (2 - step_size * right) + right * (2 - step_size * left)) / 2
    return noise / np.where(decay == 0, np.inf, decay)


def solve_stein(transition: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """C with C = transition C transition^T + noise, for (d, d) arrays.

    Raises
    ------
    NoStationaryLaw
        If an eigenvalue of the transition is not inside the unit circle.
    """
    from scipy.linalg import solve_discrete_lyapunov

    radius = float(np.abs(np.linalg.eigvals(transition)).max())
    if radius >= 1:
        raise NoStationaryLaw(f"the transition has an eigenvalue of modulus {radius:.6g}, so that nothing settles")
    return _symmetric(solve_discrete_lyapunov(transition, noise))


def fading_response(lost: np.ndarray, others: np.ndarray) -> np.ndarray:
    """C with C = (1 - lost) C (1 - others) + 1, elementwise: what is left by a constant noise of modes of one number.

    Without a cancellation, where little is lost and where nearly 2 is; infinite where nothing fades.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return 2 / (lost * (2 - others) + others * (2 - lost))


def _symmetric(matrix: np.ndarray) -> np.ndarray:
    return (matrix + matrix.T) / 2
