"""Two ratios of quantiles of stable laws, and the way back from them to the index and the skewness."""

from __future__ import annotations

from functools import cache

import numpy as np

INDICES = np.linspace(0.5, 2.0, 16)
SKEWNESSES = np.linspace(0.0, 1.0, 9)
LEAST, MOST = INDICES[0], INDICES[-1]
# A row an index, a column a skewness: scipy.stats.levy_stable's cdf, inverted to 1e-8; McCulloch (1986) has three
# digits of the same. Splines through them are right to 3e-4 in the index.
SPREADS = np.array((  # (q95 - q05) / (q75 - q25)
    (44.635, 43.443, 40.428, 36.705, 33.195, 30.776, 29.304, 28.462, 27.938),  # 0.5
    (23.612, 23.142, 21.88, 20.161, 18.407, 17.107, 16.279, 15.85, 15.643),  # 0.6
    (14.894, 14.66, 14.009, 13.071, 12.079, 11.288, 10.753, 10.495, 10.4),  # 0.7
    (10.479, 10.345, 9.9653, 9.4061, 8.8019, 8.2867, 7.9182, 7.7544, 7.7046),  # 0.8
    (7.9285, 7.8456, 7.6088, 7.2597, 6.8744, 6.5274, 6.2706, 6.1643, 6.1349),  # 0.9
    (6.3138, 6.2607, 6.1095, 5.8867, 5.6352, 5.3996, 5.2259, 5.1552, 5.1358),  # 1.0
    (5.2229, 5.1889, 5.0925, 4.9498, 4.7856, 4.6292, 4.5178, 4.4698, 4.4561),  # 1.1
    (4.4509, 4.4297, 4.3695, 4.2798, 4.1759, 4.0781, 4.0102, 3.9783, 3.9685),  # 1.2
    (3.8865, 3.8739, 3.8381, 3.785, 3.724, 3.6683, 3.6294, 3.6095, 3.6032),  # 1.3
    (3.4656, 3.4589, 3.4399, 3.412, 3.3808, 3.3529, 3.3329, 3.3222, 3.3192),  # 1.4
    (3.1498, 3.1469, 3.1388, 3.1273, 3.1146, 3.1034, 3.0954, 3.0915, 3.0913),  # 1.5
    (2.914, 2.9133, 2.9112, 2.9083, 2.9052, 2.9028, 2.9016, 2.902, 2.9039),  # 1.6
    (2.7394, 2.7394, 2.7395, 2.7398, 2.7404, 2.7414, 2.7429, 2.745, 2.7478),  # 1.7
    (2.6099, 2.61, 2.6105, 2.6111, 2.6121, 2.6133, 2.6149, 2.6167, 2.6188),  # 1.8
    (2.5128, 2.5129, 2.513, 2.5133, 2.5136, 2.514, 2.5146, 2.5152, 2.5159),  # 1.9
    (2.4387, 2.4387, 2.4387, 2.4387, 2.4387, 2.4387, 2.4387, 2.4387, 2.4387),  # 2.0
))  # fmt: skip
LEANINGS = np.array((  # (q95 + q05 - 2 q50) / (q95 - q05)
    (0.0000, 0.2694, 0.5096, 0.7012, 0.8381, 0.9246, 0.9701, 0.9847, 0.9847),  # 0.5
    (0.0000, 0.2289, 0.4409, 0.6231, 0.7677, 0.8719, 0.9362, 0.9607, 0.9620),  # 0.6
    (0.0000, 0.1984, 0.3865, 0.5558, 0.6994, 0.8123, 0.8900, 0.9226, 0.9269),  # 0.7
    (0.0000, 0.1740, 0.3415, 0.4967, 0.6343, 0.7492, 0.8340, 0.8716, 0.8805),  # 0.8
    (0.0000, 0.1534, 0.3026, 0.4437, 0.5726, 0.6843, 0.7699, 0.8102, 0.8247),  # 0.9
    (0.0000, 0.1354, 0.2680, 0.3951, 0.5134, 0.6183, 0.6992, 0.7415, 0.7617),  # 1.0
    (0.0000, 0.1191, 0.2363, 0.3495, 0.4560, 0.5511, 0.6241, 0.6679, 0.6933),  # 1.1
    (0.0000, 0.1039, 0.2063, 0.3056, 0.3992, 0.4824, 0.5473, 0.5915, 0.6210),  # 1.2
    (0.0000, 0.0892, 0.1771, 0.2622, 0.3422, 0.4129, 0.4703, 0.5138, 0.5459),  # 1.3
    (0.0000, 0.0745, 0.1479, 0.2186, 0.2848, 0.3440, 0.3943, 0.4355, 0.4686),  # 1.4
    (0.0000, 0.0597, 0.1184, 0.1750, 0.2282, 0.2767, 0.3199, 0.3574, 0.3895),  # 1.5
    (0.0000, 0.0451, 0.0895, 0.1326, 0.1736, 0.2121, 0.2477, 0.2800, 0.3091),  # 1.6
    (0.0000, 0.0314, 0.0626, 0.0931, 0.1227, 0.1512, 0.1783, 0.2040, 0.2281),  # 1.7
    (0.0000, 0.0194, 0.0386, 0.0577, 0.0766, 0.0951, 0.1132, 0.1308, 0.1479),  # 1.8
    (0.0000, 0.0090, 0.0179, 0.0269, 0.0358, 0.0447, 0.0535, 0.0623, 0.0710),  # 1.9
    (0.0000, 0.0000, 0.0000, 0.0000, 0.0000, 0.0000, 0.0000, 0.0000, 0.0000),  # 2.0
))  # fmt: skip
FINE = 151  # indices between which the way back is linear
ROUNDS = 12  # of index and skewness in turn; each gains about a digit


@cache
def _fine() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    # Indices, skewnesses, log spreads and leanings (indices, skewnesses) on a fine grid.
    from scipy.interpolate import RectBivariateSpline

    indices, skewnesses = np.linspace(LEAST, MOST, FINE), np.linspace(0.0, 1.0, 33)
    tables = (
        RectBivariateSpline(INDICES, SKEWNESSES, table)(indices, skewnesses) for table in (np.log(SPREADS), LEANINGS)
    )
    return indices, skewnesses, *tables


def ratios(quantiles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Spread and leaning from quantiles (..., 5) at 0.05, 0.25, 0.5, 0.75 and 0.95."""
    low, lower, middle, upper, high = np.moveaxis(quantiles, -1, 0)
    return (high - low) / (upper - lower), (high + low - 2 * middle) / (high - low)


def index_of(spreads: np.ndarray, leanings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index and skewness (m,) of stable laws with these ratios (m,); beyond the table, its nearest edge."""
    indices, skewnesses, log_spreads, slants = _fine()
    target, slant = np.log(spreads), np.abs(leanings)
    skewness = np.zeros_like(target)
    index = np.full_like(target, MOST)
    for _ in range(ROUNDS):
        place = skewness * (len(skewnesses) - 1)
        left = np.minimum(place.astype(int), len(skewnesses) - 2)
        share = place - left
        columns = log_spreads[:, left] * (1 - share) + log_spreads[:, left + 1] * share  # falls with the index
        index = _crossing(indices, -columns, -target)
        place = (index - LEAST) / (MOST - LEAST) * (FINE - 1)
        low = np.minimum(place.astype(int), FINE - 2)
        share = place - low
        rows = (slants[low] * (1 - share)[:, None] + slants[low + 1] * share[:, None]).T  # rises with the skewness
        skewness = _crossing(skewnesses, rows, slant)
    return index, np.sign(leanings) * skewness


def _crossing(places: np.ndarray, rising: np.ndarray, targets: np.ndarray) -> np.ndarray:
    # Where each column of `rising` (places, m) passes its target (m,), linear between, the nearest end beyond.
    upper = np.clip((rising < targets).sum(axis=0), 1, len(places) - 1)
    columns = np.arange(len(targets))
    low, high = rising[upper - 1, columns], rising[upper, columns]
    share = np.clip((targets - low) / np.maximum(high - low, 1e-300), 0.0, 1.0)
    return places[upper - 1] + share * (places[upper] - places[upper - 1])
