"""What the verdict of compare.manifold needs of single paths: what each adds to the errors, and what stands still."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..rescaling import ROUNDING
from ..standstill import is_frozen, motion_of, size_of


@dataclass(frozen=True, eq=False)
class Traces:
    """Of one rung with P paths and T times.

    Attributes
    ----------
    influence : (P, T, observables) array
        What each path adds to the errors of the means, as of `estimates.mean_and_influence`.
    limit_influence : (P, T, observables) array
        The same of a limit that is sampled; of no paths where it is exact.
    fast : (T, observables) array
        A deterministic limit at twice the times, as a control; nan where there is none.
    late : (P,) array
        Squared displacement of Phi(w_k) over the last half of the run; 0 where it is none.
    off_set : float
        Mean square of w_k - Phi(w_k) at the middle or the end, whichever is more.
    motion : float
        Largest change of any coordinate of Phi(w_k) over the last half.
    """

    influence: np.ndarray
    limit_influence: np.ndarray
    fast: np.ndarray
    late: np.ndarray
    off_set: float
    motion: float


def last_half(w: np.ndarray, phi: np.ndarray, looks: np.ndarray, w0: np.ndarray) -> tuple[np.ndarray, float, float]:
    """late, off_set and motion of `Traces`, from w and Phi(w) (P, T, m) at steps `looks` (T,) with the middle."""
    after = looks >= looks[-1] // 2
    w, phi = w[:, after], phi[:, after]
    motion = motion_of(phi)
    late = cleared(np.square(phi[:, -1] - phi[:, 0]).sum(axis=-1), w0)
    off_set = np.square((w - phi)[:, [0, -1]]).sum(axis=-1).mean(axis=0).max()
    return np.zeros_like(late) if is_frozen(motion, size_of(w0)) else late, float(off_set), motion


def cleared(squares: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Squared lengths, with 0 in place of what is rounding of positions of this scale: it has no order."""
    return np.where(squares > (ROUNDING * (1 + np.linalg.norm(scale))) ** 2, squares, 0.0)
