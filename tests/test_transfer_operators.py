"""Exact tail indices to their errors: against even moments, where these make the index whole, in hard cases."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq

from sgdlimits.discrete import SGD
from sgdlimits.discrete.even_moments import even_moments
from sgdlimits.exact.errors import NoStationaryLaw, OutOfReach
from sgdlimits.problems import StreamingLeastSquares


def stream(eigenvalues, ridge=0.0):
    return StreamingLeastSquares(eigenvalues, 0.3, np.ones(len(eigenvalues)), ridge)


def momentum(**rest):
    return SGD(stream([1.0], rest.pop("ridge", 0.0)), rest.pop("step_size"), rest.pop("batch_size", 1), **rest)


@pytest.mark.parametrize(("d", "batch_size"), [(100, 1), (200, 1), (1000, 1), (1000, 10)])
def test_eight_digits_and_an_error_that_holds_where_directions_are_many(d, batch_size):
    """Assert 2 at its step size, where the growth of lower moments is below 1e-8."""
    found = SGD(stream(np.ones(d)), 2 * batch_size / (d + batch_size + 1), batch_size).tail_index()
    assert abs(found.index - 2) <= found.error < 2e-8
    assert 0 <= found.lyapunov_error < -1e-6 * found.lyapunov_exponent


def test_eight_digits_where_the_fourth_moment_has_its_threshold():
    """Assert 4 within the error where k(4) = 1 by the closed equations of moments."""
    sgd = SGD(stream(np.ones(100)), 0.1, 10)

    def fourth(size):
        return math.log(even_moments(replace(sgd, step_size=size), 4).rates[1])

    edge = brentq(fourth, 0.1, 0.18, xtol=1e-17, rtol=1e-15)
    found = replace(sgd, step_size=edge).tail_index()
    assert abs(found.index - 4) <= found.error + 1e-10 < 1e-8


@pytest.mark.parametrize(("mu", "ridge"), [(0.98, 0.1), (0.99, 0.1), (0.992, 0.1), (0.999, 0.0), (0.3, 0.0)])
@pytest.mark.parametrize("order", [2, 4])
def test_momentum_near_one_where_even_moments_make_the_index_whole(mu, ridge, order):
    """Assert 2 and 4 within the error at step sizes where k is exactly 1, and the sign and size of the exponent."""
    def growth(size):
        sgd = momentum(step_size=size, momentum=mu, ridge=ridge)
        return math.log(even_moments(sgd, order).rates[-1])

    edge = brentq(growth, 0.1 * (1 - mu), 3 * (1 - mu), xtol=1e-16, rtol=1e-14)
    found = momentum(step_size=edge, momentum=mu, ridge=ridge).tail_index()
    assert abs(found.index - order) <= found.error < 1e-7
    # log k is convex, 0 at 0 and at the index: below 0 in between, and its slope at 0 is below all chords.
    chord = math.log(even_moments(replace(momentum(step_size=edge, momentum=mu, ridge=ridge)), 2).rates[0]) / 2
    assert found.lyapunov_exponent < min(chord, -found.lyapunov_error) + found.lyapunov_error


def test_momentum_at_the_edge_of_stability():
    """Assert exponents that were refused or positive, an index between even orders, and a growth that is refused."""
    found = momentum(step_size=0.0008, momentum=0.999, batch_size=2).tail_index()
    assert found.index == pytest.approx(7.98306058, abs=1e-6)
    assert found.lyapunov_exponent == pytest.approx(-0.000400168, abs=1e-8)
    with pytest.raises(NoStationaryLaw):
        momentum(step_size=0.05, momentum=0.99).tail_index()


@pytest.mark.parametrize(("least", "order"), [(0.4, 4), (1e-2, 4), pytest.param(1e-2, 2, marks=pytest.mark.slow),
                                              pytest.param(1e-4, 4, marks=pytest.mark.slow),
                                              pytest.param(1e-4, 2, marks=pytest.mark.slow)])  # fmt: skip
def test_features_of_any_spread_in_the_plane(least, order):
    """Assert 2 and 4 within the error where k is exactly 1, and the Lyapunov exponent that simulations give."""
    sgd = SGD(stream([1.0, least]), 0.1)

    def growth(size):
        return math.log(even_moments(replace(sgd, step_size=size), order).rates[-1])

    edge = brentq(growth, 0.2, 0.9, xtol=1e-16, rtol=1e-14)
    found = replace(sgd, step_size=edge).tail_index()
    assert abs(found.index - order) <= found.error < 1e-7
    known = {(0.4, 4): -0.179408, (1e-2, 4): -0.0038604, (1e-2, 2): -0.0068162, (1e-4, 4): -3.8348e-5,
             (1e-4, 2): -6.6690e-5}[least, order]  # fmt: skip
    assert found.lyapunov_exponent == pytest.approx(known, rel=3e-4) and found.lyapunov_error < 0.1 * abs(known)


@pytest.mark.slow
def test_next_to_a_flat_direction_the_steep_one_decides():
    """Assert the index of the line alone, at a kink of log k, where the flat direction moves a millionth a step."""
    alone = SGD(stream([1.0]), 0.4).tail_index()
    found = SGD(stream([1.0, 1e-5]), 0.4).tail_index()
    assert abs(found.index - alone.index) < 1e-6 and found.error < 1e-6


@pytest.mark.slow
def test_where_space_is_not_resolved_populations_answer():
    """Assert the side of 4 that even moments give, in directions of which one is flat, and no wrong exponent."""
    sgd = SGD(stream([1.0, 0.9, 1e-3]), 0.3)
    found = sgd.tail_index()
    assert "populations" in found.method and found.index + found.error > 4
    assert even_moments(sgd, 4).rates[1] < 1
    assert abs(found.lyapunov_exponent + 3e-4) < found.lyapunov_error + 1e-5


@pytest.mark.slow
def test_the_threshold_beside_a_flat_direction():
    """Assert a crossing where there was a bare error of the root finder, and the exponent's signs about it."""
    sgd = SGD(stream([1.0, 1e-2]), 1e-3)
    found = sgd.stability()
    edge = found.lyapunov_threshold
    assert edge == pytest.approx(1.4533882, abs=1e-6) and found.lyapunov_threshold_error < 1e-6
    with pytest.raises(NoStationaryLaw):
        replace(sgd, step_size=1.01 * edge).tail_index()


def test_an_index_that_nodes_do_not_reach_says_how_far_they_see():
    """Assert that the error carries the order up to which there is no root, which a study prints in its row."""
    with pytest.raises(OutOfReach, match="over 50") as raised:
        SGD(stream([1.0, 0.36]), 0.01).tail_index()
    assert raised.value.above == 50
