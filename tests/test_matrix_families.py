"""Families of matrices whose products are simple: indices of factors, norms that never grow, no chance at all."""

import math

import numpy as np
import pytest
from scipy.optimize import brentq

from sgdlimits.discrete import SGD, kesten_index
from sgdlimits.exact.errors import NoStationaryLaw
from sgdlimits.exact.matrix_families import calm_norm, isometry_factors, separate_factors
from sgdlimits.problems import LeastSquares

rng = np.random.Generator(np.random.Philox(5))
TURN, SKEW = np.array([[1.3, 0.4], [-0.2, 0.7]]), np.array([[1.0, 0.5, 0.2], [0.0, 1.0, -0.4], [0.3, 0.1, 1.0]])
SHEARS = np.array([[[1.0, 1.0], [0.0, 1.0]], [[1.0, 0.0], [1.0, 1.0]]])  # together they grow by the golden ratio a step


def rotation(angle):
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def similar(matrices, turn):
    return turn @ np.array(matrices) @ np.linalg.inv(turn)


def root(*factors):
    return brentq(lambda s: sum(f**s for f in factors) - len(factors), 1e-3, 20, xtol=1e-15)


@pytest.mark.parametrize("turn", [np.eye(2), TURN])
def test_multiples_of_isometries_have_the_index_of_their_factors(turn):
    """Assert it to twelve digits with the lattice named, for rotations and reflections in any quadratic norm."""
    for family in ([2 * np.eye(2), np.eye(2) / 4], [2 * rotation(0.3), rotation(1.1) @ np.diag([0.25, -0.25])]):
        matrices = similar(family, turn)
        found = kesten_index(matrices)
        assert found.index == pytest.approx(root(2, 0.25), rel=1e-12) and 0 < found.error < 1e-12
        assert "lattice of step 0.6931" in found.note
        np.testing.assert_allclose(isometry_factors(matrices), [2, 0.25], rtol=1e-13)
    assert isometry_factors(np.array([np.diag([2.0, 1.9]), np.eye(2) / 4])) is None


def test_coordinates_that_move_by_themselves():
    """Assert the least index of any coordinate, of diagonal, commuting and triangular matrices."""
    diagonal = [np.diag([2.0, 0.5, 1.1]), np.diag([0.2, 0.5, 0.7])]
    triangular = [np.triu(5.0 * np.ones((3, 3)), 1) + one for one in diagonal]
    for matrices in (np.array(diagonal), similar(diagonal, SKEW), np.array(triangular)):
        found = kesten_index(matrices)
        assert abs(found.index - root(2, 0.2)) <= found.error < 1e-12
        assert found.lyapunov_exponent == pytest.approx(math.log(1.1 * 0.7) / 2, abs=1e-12)
    assert separate_factors(rng.standard_normal((3, 2, 2))) is None
    with pytest.raises(NoStationaryLaw):
        kesten_index(np.array([np.diag([2.0, 0.5]), np.diag([0.2, 2.5])]))


def test_matrices_whose_products_die_out_have_every_moment():
    """Assert an infinite index by name: of zero and nilpotent ones, and where a norm is found that never grows."""
    nilpotent = np.array([[0.0, 1.0], [0.0, 0.0]])
    bounded = similar([0.97 * rotation(1.0) @ np.diag([1.0, 0.3]), 0.97 * np.diag([0.2, 1.0])], np.diag([8.0, 1.0]))
    for matrices, said in (
        (np.zeros((3, 2, 2)), "no factor exceeds 1"),
        (np.array([nilpotent] * 2), "no factor exceeds 1"),
        (similar([nilpotent, 100 * nilpotent], TURN), "ellipsoid"),
        (np.array([np.eye(2) / 2, np.diag([0.3, -0.9])]), "no factor exceeds 1"),
        (np.array([0.9 * rotation(1.0)] * 2), "no factor exceeds 1"),
        (np.array([rotation(0.3) @ np.diag([1.0, 0.2]), rotation(1.0) @ np.diag([0.5, 0.9])]), "Euclidean norm"),
        (np.array([[[0.5, 0.5], [0.5, 0.5]], [[0.9, 0.1], [0.4, 0.2]]]), "largest coordinate"),
        (bounded, "ellipsoid"),
        (0.615 * similar(SHEARS, np.diag([3.0, 1.0])), "ellipsoid"),
    ):
        found = kesten_index(matrices)
        assert math.isinf(found.index) and f"{found.method} {found.note}".count(said) == 1
    assert np.linalg.norm(bounded, 2, axis=(1, 2)).max() > 2


def test_where_no_norm_is_claimed():
    """Assert none where products grow, one word at a time, or where a direction is kept for ever."""
    golden = (1 + 5**0.5) / 2
    assert calm_norm(SHEARS / (golden + 1e-3))[0] and not calm_norm(SHEARS / (golden - 1e-3))[0]
    assert not calm_norm(np.array([[[0.75, 0.25], [0.25, 0.75]], [[0.6, 0.4], [0.4, 0.6]]]))[0]
    assert not calm_norm(np.array([rotation(1.0), rotation(2.0) @ np.diag([1.0, -1.0])]))[0]
    for kept in (np.array([np.diag([1.0, 0.5]), np.diag([1.0, 0.4])]), np.array([rotation(1.0), rotation(2.0)])):
        with pytest.raises(NoStationaryLaw):
            kesten_index(kept)


def test_growth_of_words_against_a_ladder_of_scales():
    """Assert that no scale at which a word of eight grows has a norm, of random families."""
    for seed in range(5):
        family = np.random.default_rng(seed).standard_normal((2, 2, 2))
        words = [np.eye(2)]
        for _ in range(8):
            words = [one @ word for one in family for word in words]
        grows = max(np.abs(np.linalg.eigvals(word)).max() for word in words) ** (1 / 8)
        assert not calm_norm(1.01 * family / grows)[0] and calm_norm(0.8 * family / grows)[0]


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_without_chance(nesterov):
    """Assert an infinite index below the threshold and no law above it, where every batch is the same."""
    rows, labels = rng.standard_normal((6, 2)), np.arange(6.0)
    for problem, batch, sampling in (
        (LeastSquares.from_arrays(rows, labels), 6, "without_replacement"),
        (LeastSquares.from_arrays(rows[:1], labels[:1]), 1, "with_replacement"),
        (LeastSquares.from_arrays(np.array([rows[0], -rows[0]]), labels[:2]), 1, "with_replacement"),
    ):
        edge = SGD(problem, 0.01, batch, sampling, momentum=0.5, nesterov=nesterov).stability().mean_threshold
        below, above = (
            SGD(problem, part * edge, batch, sampling, momentum=0.5, nesterov=nesterov) for part in (0.999, 1.001)
        )
        found = below.tail_index()
        assert math.isinf(found.index) and found.lyapunov_exponent < 0 and "nothing multiplies" in found.note
        with pytest.raises(NoStationaryLaw):
            above.tail_index()


@pytest.mark.slow
def test_populations_own_the_bend_of_their_curve():
    """Assert that noiseless populations, which see the exact growth, keep the root within their error."""
    from sgdlimits.discrete.kesten import Populations, population_index
    from sgdlimits.discrete.tilted_steps import TiltedMatrices, grow_tilted

    matrices, logs = np.array([2 * np.eye(2), np.eye(2) / 4]), np.log([0.5, 0.5])
    found = population_index(
        "it", lambda order, **sized: grow_tilted(TiltedMatrices(order, matrices, logs), np.eye(2), **sized),
        Populations(paths=64, generations=40),
    )  # fmt: skip
    assert abs(found.index - root(2, 0.25)) <= found.error < 1e-4
