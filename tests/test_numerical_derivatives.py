"""Numerical derivatives at every scale of a coordinate, against derivatives by hand."""

import numpy as np
import pytest

from sgdlimits.exact.numerical_derivatives import (
    derivative_along,
    derivative_by_entry,
    jacobian,
)

SCALES = [1e-12, 1e-7, 1e-3, 1.0, 1e4, 1e9]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("beside", [1.0, 1e-9, 1e8])
def test_derivatives_do_not_depend_on_the_unit_nor_on_other_coordinates(scale, beside):
    """Assert sqrt and sin of a coordinate in any unit, with a neighbour of any size, to 1e-8."""
    x = np.array([[0.7 * scale, beside], [1.9 * scale, beside]])

    def function(x):
        return np.stack([np.sqrt(x[:, 0] / scale), np.sin(x[:, 0] / scale), x[:, 1] ** 2], axis=1)

    one = derivative_along(function, x, np.array([[scale, 0.0]] * 2))
    u = x[:, 0] / scale
    np.testing.assert_allclose(one[:, :2], np.stack([0.5 / np.sqrt(u), np.cos(u)], axis=1), rtol=1e-8)
    np.testing.assert_allclose(one[:, 2], 0.0, atol=1e-6 * beside**2)
    own = derivative_by_entry(lambda x: np.sin(x / [scale, beside]), x, np.array([[scale, beside]] * 2))
    np.testing.assert_allclose(own, np.cos(x / [scale, beside]), rtol=1e-8)


@pytest.mark.parametrize("x", [0.0, 1e-300, 1e-14, 1e-6, 0.3])
def test_a_small_coordinate_of_a_function_of_order_one_is_not_lost_in_rounding(x):
    """Assert d/dx (2 + 3 x, cos x, 5) near zero, to 2e-8 absolutely: a purely relative step would give noise."""
    at = np.array([[x]])
    found = derivative_along(lambda x: np.concatenate([2 + 3 * x, np.cos(x), 5 + 0 * x], axis=1), at, np.ones((1, 1)))
    np.testing.assert_allclose(found[0], [3.0, -np.sin(x), 0.0], atol=2e-8)


def test_at_the_edge_of_a_domain_differences_are_one_sided():
    """Assert the derivatives of 2 x + (1 - x)^3.5 at 1, 3 x + x^3.5 at 0, and of log at 1e-9."""
    ones = np.ones((1, 1))
    with np.errstate(invalid="ignore"):
        assert derivative_along(lambda x: 2 * x + (1 - x) ** 3.5, ones, ones)[0, 0] == pytest.approx(2.0, abs=1e-9)
        assert derivative_along(lambda x: 3 * x + x**3.5, 0 * ones, ones)[0, 0] == pytest.approx(3.0, abs=1e-9)
        assert derivative_along(np.log, 1e-9 * ones, ones)[0, 0] == pytest.approx(1e9, rel=1e-8)


def test_a_jacobian_holds_one_column_a_coordinate():
    """Assert (f, j) in the last two axes, of coordinates of very different size."""
    x = np.array([[0.4, -1e-5], [2.0, 3.0]])
    found = jacobian(lambda x: np.stack([x[:, 0] * np.exp(x[:, 1]), np.sin(x[:, 1])], axis=1), x)
    right = [[[np.exp(b), a * np.exp(b)], [0, np.cos(b)]] for a, b in x]
    np.testing.assert_allclose(found, right, rtol=1e-8, atol=1e-12)


def test_rows_without_numbers_end():
    """Assert that infinite positions and functions give nan or any number, and no endless search."""
    x = np.array([[np.inf, 1.0], [np.nan, 0.0], [1.0, 2.0]])
    with np.errstate(invalid="ignore"):
        found = derivative_along(lambda x: x**2, x, np.ones_like(x))
    np.testing.assert_allclose(found[2], [2.0, 4.0], rtol=1e-9)
    assert np.isnan(derivative_along(lambda x: x * np.nan, x[2:], np.ones((1, 2)))).all()
