"""Do large values come in clusters? Two tests that are exact, or nearly so, for independent samples of any law."""

from __future__ import annotations

import math

import numpy as np

LEVEL = 1e-3  # of each test, so that independent samples are warned of in at most 0.2 %
PER_BLOCK = 5  # expected exceedances of a block


def clustered(sizes: np.ndarray, threshold: float) -> tuple[str, ...]:
    """A warning where exceedances of the threshold cluster in the order of the sample, else nothing.

    Parameters
    ----------
    sizes : (n,) array
        In the order of the sample, which is time for a chain.
    threshold : float
    """
    places = np.flatnonzero(sizes > threshold)
    n, k = len(sizes), len(places)
    if k < 10 or n - k < 10:
        return ()
    if runs_probability(places, n) >= LEVEL and dispersion_probability(places, n) >= LEVEL:
        return ()
    clusters = max(1, round(k * extremal_index(places)))
    return (
        f"the sample is dependent: its {k} values above {threshold:.4g} come in about {clusters} clusters, and the "
        f"interval, made for independent samples, is about {math.sqrt(k / clusters):.2g} times too narrow: "
        "pass the ends of independent chains, or thin the chain",
    )


def runs_probability(places: np.ndarray, n: int) -> float:
    """P(as few runs of exceedances, or fewer), given their number k: hypergeometric for exchangeable samples."""
    from scipy.stats import hypergeom

    k = len(places)
    runs = 1 + int(np.count_nonzero(np.diff(places) > 1))
    # Wald and Wolfowitz (1940): C(k-1, c-1) C(n-k+1, c) / C(n, k), written as C(k-1, k-c) C(n-k+1, c).
    return float(hypergeom(n, n - k + 1, k).cdf(runs))


def dispersion_probability(places: np.ndarray, n: int) -> float:
    """P(counts of exceedances in blocks as uneven, or more so): chi-square, blocks with five expected each."""
    from scipy.special import chdtrc

    k = len(places)
    blocks = max(2, k // PER_BLOCK)
    counts = np.bincount(places * blocks // n, minlength=blocks)
    widths = np.bincount(np.arange(n) * blocks // n, minlength=blocks)
    expected = k * widths / n
    # Given k, cells without replacement vary less by the factor (n - k) / (n - 1).
    statistic = float((np.square(counts - expected) / expected).sum()) * (n - 1) / (n - k)
    return float(chdtrc(blocks - 1, statistic))


def extremal_index(places: np.ndarray) -> float:
    """Clusters per exceedance, in (0, 1], by the intervals estimator of Ferro and Segers (2003), their equation 10."""
    gaps = np.diff(places).astype(float)
    if not len(gaps):
        return 1.0
    if gaps.max() <= 2:
        found = 2 * gaps.sum() ** 2 / (len(gaps) * np.square(gaps).sum())
    else:
        found = 2 * (gaps - 1).sum() ** 2 / (len(gaps) * ((gaps - 1) * (gaps - 2)).sum())
    return float(min(1.0, found))
