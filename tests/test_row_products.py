"""Products of rows with positions: right, in one order however they are taken, and nothing beside the path moves."""

import numpy as np
import pytest
from sgdlimits.discrete.row_products import move_and_product, push_and_product, row_product
from sgdlimits.exact.compiling import compiled


@compiled
def _alone(rows, i, x, p):
    return row_product(rows, i, x, p)


@compiled
def _moved(x, p, keep, coefficient, rows, i, ahead):
    return move_and_product(x, p, keep, coefficient, rows, i, ahead)


@compiled
def _pushed(x, slots, p, numbers, rows, i, ahead):
    a, b, c, d, e = numbers
    return push_and_product(x, slots, p, a, b, c, d, e, rows, i, ahead)


@pytest.mark.parametrize("d", [1, 2, 3, 7, 31, 32, 33, 100, 127])
def test_a_product_taken_ahead_has_the_bits_of_one_taken_alone(d):
    """Assert values against NumPy and bits between the three functions; sums in another order differ somewhere."""
    draw = np.random.Generator(np.random.Philox(d))
    rows, start, slots = draw.standard_normal((4, d)), draw.standard_normal((3, d)), draw.standard_normal((3, 1, d))
    assert abs(_alone(rows, 2, start, 1) - rows[2] @ start[1]) < 1e-14 * d
    x = start.copy()
    product = _moved(x, 1, 0.9, 0.3, rows, 2, 3)
    assert np.abs(x[1] - (0.9 * start[1] + 0.3 * rows[2])).max() < 1e-15 * d
    assert np.array_equal(x[[0, 2]], start[[0, 2]]) and product == _alone(rows, 3, x, 1)
    x, v = start.copy(), slots.copy()
    product = _pushed(x, v, 1, (0.1, 0.3, 0.5, -0.02, -0.04), rows, 2, 3)
    g = 0.1 * start[1] + 0.3 * rows[2]
    assert np.abs(v[1, 0] - (0.5 * slots[1, 0] + g)).max() < 1e-15 * d
    assert np.abs(x[1] - (start[1] - 0.02 * g - 0.04 * v[1, 0])).max() < 1e-15 * d
    assert np.array_equal(v[[0, 2]], slots[[0, 2]]) and np.array_equal(x[[0, 2]], start[[0, 2]])
    assert product == _alone(rows, 3, x, 1)
    backwards = [_alone(rows[:, ::-1].copy(), i, start[:, ::-1].copy(), 1) for i in range(4)]
    assert d < 100 or backwards != [_alone(rows, i, start, 1) for i in range(4)]
