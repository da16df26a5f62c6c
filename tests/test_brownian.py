"""Brownian paths: their law, and that refining, coarsening and reaching into them never changes them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgdlimits.ensembles import Brownian, Noise, Purpose, coarsen
from sgdlimits.exact.errors import InvalidInput

PATHS = np.arange(40_000)


@pytest.mark.parametrize("level", [0, 1, 3])
def test_increments_and_areas_have_their_covariance_at_every_level(level):
    """Assert that W ~ N(0, h), H ~ N(0, h/12), and that they are uncorrelated within and across intervals."""
    path = Brownian(1.5, 3, 2, seed=4, area=True)
    w, h = path.increments(PATHS, 0, 3 << level, level)
    length = path.interval(level)
    numbers = np.concatenate([w / np.sqrt(length), h / np.sqrt(length / 12)]).transpose(0, 2, 1)
    numbers = numbers.reshape(-1, PATHS.size)
    covariance = numbers @ numbers.T / PATHS.size
    error = 5 / np.sqrt(PATHS.size)
    off = covariance - np.diag(np.diag(covariance))
    assert np.abs(off).max() < error
    assert np.abs(np.diag(covariance) - 1).max() < error * np.sqrt(2)
    assert np.abs(numbers.mean(axis=1)).max() < error


def test_area_is_the_integral_of_the_refined_path():
    """Assert that H of an interval equals the trapezoid integral of the path below it, up to the fine areas."""
    path = Brownian(1.0, 1, 1, seed=9, area=True)
    w, h = path.increments(PATHS[:2000], 0, 1)
    fine, _ = path.increments(PATHS[:2000], 0, 1 << 10, 10)
    values = np.concatenate([np.zeros_like(w), np.cumsum(fine, axis=0)])
    area = (values[1:] + values[:-1]).mean(axis=0) / 2 - w[0] / 2
    assert np.abs(area - h[0]).max() < 6 * np.sqrt(2.0**-20 / 12)
    assert np.abs(area).max() > 0.5


@settings(max_examples=40, deadline=None)
@given(
    steps=st.integers(1, 9), level=st.integers(0, 5), factor_level=st.integers(0, 5), area=st.booleans(),
    quality=st.sampled_from(["float32", "float64"]), dimension=st.integers(1, 5),
)  # fmt: skip
def test_coarsening_a_refined_path_gives_the_path_back(steps, level, factor_level, area, quality, dimension):
    """Assert that joining fine intervals gives the coarse increments and areas to rounding."""
    path = Brownian(2.0, steps, dimension, seed=3, quality=quality, area=area)
    paths = np.array([0, 5, 17, 18])
    finest = level + factor_level
    coarse = path.increments(paths, 0, steps << level, level)
    joined = coarsen(*path.increments(paths, 0, steps << finest, finest), 2**factor_level)
    np.testing.assert_allclose(joined[0], coarse[0], rtol=0, atol=1e-14 * np.sqrt(2.0) * 2**factor_level)
    if area:
        np.testing.assert_allclose(joined[1], coarse[1], rtol=0, atol=1e-14 * np.sqrt(2.0) * 2**factor_level)
    else:
        assert joined[1] is None


@settings(max_examples=40, deadline=None)
@given(
    level=st.integers(0, 6), first=st.integers(0, 9), count=st.integers(1, 12), area=st.booleans(),
    quality=st.sampled_from(["float32", "float64"]),
)  # fmt: skip
def test_any_window_and_any_route_gives_the_same_bits(level, first, count, area, quality):
    """Assert bitwise equality of a window, of the whole grid, and of each path's own interval."""
    path = Brownian(1.0, 5, 3, seed=8, quality=quality, area=area)
    paths = np.array([2, 3, 40])
    first = min(first, (5 << level) - 1)
    last = min(first + count, 5 << level)
    whole = path.increments(paths, 0, 5 << level, level)
    window = path.increments(paths, first, last, level)
    one = path.increments_at(paths, np.full(3, level), np.full(3, last - 1))
    for all_of_it, some, single in zip(whole, window, one, strict=True):
        if all_of_it is None:
            assert some is None and single is None
            continue
        np.testing.assert_array_equal(some, all_of_it[first:last])
        np.testing.assert_array_equal(single, all_of_it[last - 1])


def test_base_increments_are_the_noise_of_the_ensemble():
    """Assert that level 0 draws what a process draws step by step: the stream BROWNIAN of its paths."""
    path = Brownian(3.0, 6, 5, seed=11, quality="float32")
    paths = np.arange(7, 30)
    noise = Noise(11, paths, "float32")
    w, _ = path.increments(paths, 2, 4)
    np.testing.assert_array_equal(w[1], np.sqrt(0.5) * noise.normals(Purpose.BROWNIAN, 3, 5))


def test_values_at_grid_times_are_sums_of_increments():
    """Assert that `at` meets the grid of every level to rounding, whatever the order of the times."""
    path = Brownian(2.0, 4, 2, seed=5)
    paths = np.arange(6)
    w, _ = path.increments(paths, 0, 32, 3)
    sums = np.concatenate([np.zeros((1, 6, 2)), np.cumsum(w, axis=0)])
    order = np.random.default_rng(0).permutation(33)
    values = path.at(paths, (np.arange(33) * 2.0 / 32)[order])
    np.testing.assert_allclose(values, sums[order], rtol=0, atol=1e-13)


def test_values_between_grid_times_have_the_covariance_of_brownian_motion():
    """Assert Cov(B_s, B_t) = min(s, t) at times that lie on no dyadic grid, and that sqrt(s t) is refused."""
    times = np.array([0.1, 0.3, 1 / 3, 0.77])
    values = Brownian(1.0, 1, 1, seed=2).at(PATHS, times)[..., 0]
    covariance = values @ values.T / PATHS.size
    error = 5 * np.sqrt(2 / PATHS.size)
    assert np.abs(covariance - np.minimum.outer(times, times)).max() < error
    assert np.abs(covariance - np.sqrt(np.outer(times, times))).max() > error


def test_input_that_cannot_be_used_is_named():
    """Assert one clear sentence for each."""
    path = Brownian(1.0, 4, 1)
    with pytest.raises(InvalidInput, match="horizon must be above zero"):
        Brownian(0.0, 4, 1)
    with pytest.raises(InvalidInput, match="last must be between 1 and 8"):
        path.increments(PATHS[:2], 0, 9, 1)
    with pytest.raises(InvalidInput, match="factor 3 does not divide the 4 intervals"):
        coarsen(*path.increments(PATHS[:2], 0, 4), 3)
    with pytest.raises(InvalidInput, match="times must lie between 0 and the horizon 1"):
        path.at(PATHS[:2], np.array([1.5]))
