"""How many order statistics Hill's estimate takes: named rules, each a compromise of bias and variance."""

from __future__ import annotations

import numpy as np

from .samples import FEWEST_ABOVE, Tail
from .second_order import estimate_beta, estimate_rho, spacings

RATIO = 1.12  # between neighbouring k on the grid of the Kolmogorov-Smirnov rule
RESAMPLES = 100  # of each of the two bootstraps
SETTLED = 1.5  # standard errors by which a smoothed path may move
FIRST = 30  # k from which the smoothed path is followed


def grid_of(most: int) -> np.ndarray:
    """Values of k, 10 ... most, 12 % apart."""
    count = 2 + int(np.log(most / FEWEST_ABOVE) / np.log(RATIO))
    return np.unique(np.geomspace(FEWEST_ABOVE, most, count).astype(int))


def distances(logs: np.ndarray, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Kolmogorov-Smirnov distances of the k largest to their Pareto fits, and Hill's gamma: (r, grid) each.

    `logs` (r, m), largest first, one sample a row.
    """
    found, gammas = np.empty((2, len(logs), len(grid)))
    for column, k in enumerate(grid):
        above = logs[:, :k] - logs[:, k : k + 1]
        gamma = above.mean(axis=1)
        scale = np.where(gamma > 0, gamma, 1.0)
        above /= -scale[:, None]
        np.exp(above, out=above)
        above -= np.arange(k) / k
        found[:, column] = np.maximum(above.max(axis=1), 1 / k - above.min(axis=1))
        found[gamma <= 0, column] = np.inf  # all tied
        gammas[:, column] = gamma
    return found, gammas


def kolmogorov_smirnov(tail: Tail, generator: np.random.Generator) -> int:
    """Clauset, Shalizi and Newman (2009): where the exceedances are closest to a Pareto law."""
    grid = grid_of(tail.most)
    return int(grid[distances(tail.logs[None], grid)[0][0].argmin()])


def double_bootstrap(tail: Tail, generator: np.random.Generator) -> int:
    """Danielsson, de Haan, Peng and de Vries (2001): two bootstraps, of n^0.9 and of n^0.8 values."""
    n = tail.n
    first = int(n**0.9)
    second = first**2 // n
    best = [_least_error(tail, size, generator) for size in (first, second)]
    size, small = np.log(first), np.log(best[0])
    rho_term = (small / (2 * size - small)) ** (2 * (size - small) / size)
    return int(np.clip(best[0] ** 2 / best[1] * rho_term, FEWEST_ABOVE, tail.most))


def _least_error(tail: Tail, size: int, generator: np.random.Generator) -> int:
    # k at which the mean square of M2 - 2 M1^2 over resamples of that size is least.
    most = int(size * (tail.most / tail.n) * 0.9) - 1
    centred = tail.logs - np.median(tail.logs)
    counts = np.arange(1, most)
    total = np.zeros(most - 1)
    for _ in range(RESAMPLES):
        logs = centred[top_places(generator, 1, size, most, tail.n).clip(max=tail.most)[0]]
        mean = np.cumsum(logs)[:-1] / counts
        square = np.cumsum(logs**2)[:-1] / counts
        edge = logs[1:]
        one = mean - edge
        total += np.square(square - 2 * edge * mean + edge**2 - 2 * one**2)
    start = min(FEWEST_ABOVE, len(total)) - 1
    return start + 1 + int(total[start:].argmin())


def top_places(generator: np.random.Generator, rows: int, size: int, most: int, n: int) -> np.ndarray:
    """Places in a sample of n, sorted largest first, of the `most` largest of resamples of `size`: (rows, most).

    Sorted uniforms are partial sums of exponentials over their total, so only those that are used are drawn.
    """
    sums = generator.standard_exponential((rows, most)).cumsum(axis=1)
    rest = generator.standard_gamma(size + 1 - most, (rows, 1))
    return (n * (sums / (sums[:, -1:] + rest))).astype(int)


def smooth(tail: Tail, generator: np.random.Generator) -> int:
    """The largest k until which the path, averaged over k ... 2k, has not left 1.5 standard errors about any earlier.

    Averages of Resnick and Starica (1997), the stopping rule in the manner of Drees and Kaufmann (1998).
    """
    counts = np.arange(1, tail.most + 1)
    centred = tail.logs - tail.logs[0]
    gammas = np.cumsum(centred)[:-1] / counts - centred[1:]
    sums = np.append(0.0, np.cumsum(gammas))
    k = np.arange(min(FIRST, tail.most // 2), tail.most // 2 + 1)
    path = (sums[2 * k] - sums[k]) / k
    error = SETTLED * path / np.sqrt(k)
    left = (path < np.maximum.accumulate(path - error)) | (path > np.minimum.accumulate(path + error))
    return int(k[left.argmax() - 1] if left.any() else k[-1])


def second_order(tail: Tail, generator: np.random.Generator) -> int:
    """Hall and Welsh (1985): the k of least mean square error for estimated second-order parameters."""
    n, most = tail.n, min(tail.most, int(tail.n**0.995))
    rho = estimate_rho(tail.logs, most)
    beta = estimate_beta(spacings(tail.logs[:most] - tail.logs[most]), rho, n)
    if beta == 0:
        return most
    best = ((1 - rho) ** 2 * n ** (-2 * rho) / (-2 * rho * beta**2)) ** (1 / (1 - 2 * rho))
    return int(np.clip(best, FEWEST_ABOVE, most))


RULES = {
    "second_order": second_order,
    "double_bootstrap": double_bootstrap,
    "smooth": smooth,
    "kolmogorov_smirnov": kolmogorov_smirnov,
}
