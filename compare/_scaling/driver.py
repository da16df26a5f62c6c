"""compare.scaling_laws: exact losses of SGD on power-law random features over steps and dimension."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sgdlimits.exact.threads import thread_pool, threads_of

from .draws import Draw
from .plan import AMBIENT, DIMENSIONS, Plan
from .result import ScalingLaws


def scaling_laws(
    alpha: float,
    beta: float,
    *,
    dimensions: Iterable[int] = DIMENSIONS,
    redraws: int = 20,
    fraction: float = 0.5,
    batch_size: int = 1,
    ambient: int = AMBIENT,
    steps: int | None = None,
    seed: int = 0,
    threads: int | None = None,
    progress: Any = None,
) -> ScalingLaws:
    """Exponents of SGD's loss on power-law random features, measured from exact curves, beside derived ones.

    Features of data x_j = j^-alpha z_j with target coefficients j^-beta, drawn anew `redraws` times in each dimension.
    Each curve is an exact expected loss given the features; what has an interval is the draw of the features.

    Parameters
    ----------
    alpha, beta : float
        alpha above 1/2, and 2 alpha + 2 beta above 1.
    dimensions : ascending whole numbers
        Of the features. An eigenproblem each: one of 1000 takes a second, one of 4000 a minute and 3 GB.
    redraws : int
        At least 3.
    fraction : float
        Of the mean-square threshold of the data themselves, for the one step size of all curves; in (0, 1).
    batch_size : int
    ambient : int
        Dimension of the data, in multiples of that of the features.
    steps : int, optional
        Default: until the largest dimension has reached its floor.
    seed : int
        Of the features.
    threads : int, optional
        Never changes a number.
    progress : True, None, or object with update(n) and close()

    Returns
    -------
    ScalingLaws

    Raises
    ------
    InvalidInput
        If an argument cannot be used, or the step size is past the threshold of a draw.
    OutOfReach
        If the last step cannot be counted.

    Notes
    -----
    The model is that of "4+3 phases of compute-optimal neural scaling laws" (arXiv 2405.15074), whose statements are
    not used: all exponents are derived, see `compare/_scaling/theory.py`.

    Examples
    --------
    >>> from sgdlimits import compare
    >>> found = compare.scaling_laws(1.0, 0.3, dimensions=(16, 32, 64), redraws=4)
    >>> round(found.exponents()[0].derived, 3)
    0.8
    """
    from sgdlimits.ensembles.progress import open_progress

    plan = Plan.of(alpha, beta, dimensions, redraws, fraction, batch_size, ambient, steps, seed)
    bar = open_progress(progress, len(plan.cells), "draws")

    def one(cell: tuple[int, int]) -> Draw:
        found = plan.draw(*cell)
        bar.update(1)
        return found

    try:
        with thread_pool(threads_of(threads)) as pool:
            draws = dict(zip(plan.cells, pool.map(one, plan.cells)))
    finally:
        bar.close()
    return ScalingLaws(plan.dataset(draws))
