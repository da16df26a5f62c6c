"""Populations of learnt rows and chains in compiled loops, and calls in worker processes: the same as step by step."""

import os
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
import scipy.sparse

from sgdlimits import diffusions, discrete, studies
from sgdlimits.diffusions.moment_threshold import _starts
from sgdlimits.discrete.learnt_rows import LearntRows, learnt_rows
from sgdlimits.discrete.linear_rule import linear_rule
from sgdlimits.discrete.tilted_steps import PLACES, TiltedSteps, grow_tilted
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.exact.quartic_growth import QuarticGrowth
from sgdlimits.exact.slow_chains import evolved
from sgdlimits.problems import LeastSquares, StreamingLeastSquares
from sgdlimits.studies._sweep.executors import one_pool, side_by_side

ROWS = LeastSquares.gaussian(60, 4, seed=1, ridge=0.2)
SIZES: dict[str, Any] = {"generations": 60, "paths": 64, "groups": 3, "seed": 5, "threads": 1}


@dataclass(frozen=True, eq=False)
class Listed(TiltedSteps):
    """One step of the same batches in NumPy."""

    order: float
    learnt: LearntRows

    def move(self, k, u, noise):
        learnt, rule = self.learnt, self.learnt.rule
        ends, split = np.cumsum(learnt.weights), rule.split(u)
        places = np.searchsorted(ends, noise.uniforms(PLACES, k, learnt.batch_size) * ends[-1], side="right")
        rows = learnt.rows[places]
        along = np.einsum("pbi,pi->pb", rows, split.look)
        moved = split.base - rule.scale * np.einsum("pb,pbi->pi", along, rows) @ rule.lift.T
        ratio = -np.log(len(learnt.rows) * learnt.weights[places]).sum(axis=1)
        return np.concatenate([moved, split.rest], axis=1), ratio


def learnt(order=3.0, batch=2, momentum=0.0):
    sgd = discrete.SGD(ROWS, 0.4, batch, momentum=momentum) if momentum else discrete.SGD(ROWS, 0.4, batch)
    rule = linear_rule(sgd, ROWS, ROWS.eigenvalues[ROWS.eigenvalues > 0])
    return learnt_rows(order, rule, ROWS.range_modes, batch, 5), rule.spread


@pytest.mark.parametrize(("order", "batch", "momentum"), [(3.0, 1, 0.0), (3.0, 5, 0.0), (1.5, 2, 0.5), (1e-6, 2, 0.0)])
def test_the_compiled_population_is_that_of_tilted_steps(order, batch, momentum):
    """Assert its rate and its fewest parents to rounding, of plain and of momentum steps; another seed is not near."""
    found, spread = learnt(order, batch, momentum)
    growth, known = found.grow(spread, **SIZES), grow_tilted(Listed(order, found), spread, **SIZES)
    assert growth.rate == pytest.approx(known.rate, rel=1e-9, abs=1e-15)
    assert growth.fewest_effective == pytest.approx(known.fewest_effective, rel=1e-9)
    assert growth.upper - growth.lower == pytest.approx(known.upper - known.lower, rel=1e-6)
    other = found.grow(spread, **SIZES | {"seed": 6})
    assert abs(other.rate / growth.rate - 1) > 1e-6


def test_populations_have_the_same_bits_in_any_number_of_threads():
    """Assert it of one and of three."""
    found, spread = learnt()
    assert found.grow(spread, **SIZES) == found.grow(spread, **SIZES | {"threads": 3})


def test_learnt_probabilities_are_of_all_rows_and_not_plain():
    """Assert that they add up to 1, that none is below the plain part, and that high orders move them more."""
    low, high = (learnt(order)[0].weights for order in (1.0, 8.0))
    for weights in (low, high):
        assert weights.sum() == pytest.approx(1) and weights.min() >= 0.2 / 60
    assert high.max() > low.max() > 1.5 / 60


def test_fourth_moments_of_another_batch_size_are_made_anew():
    """Assert that what is kept from one batch size does not leak into the next."""
    used = QuarticGrowth(ROWS.range_modes)
    for batch in (1, 4, 1, 2):
        assert used.rate(0.9, 0.3 / batch, batch) == QuarticGrowth(ROWS.range_modes).rate(0.9, 0.3 / batch, batch)


def test_a_sparse_chain_is_followed_like_a_dense_one():
    """Assert the sum of laws, the last and what stays free, and that one step more is another."""
    place = np.arange(300)
    matrix = np.exp(-np.square((place[:, None] - place) / 2.0)) * (np.abs(place[:, None] - place) < 6)
    matrix /= matrix.sum(axis=1, keepdims=True) * 1.001
    law, free_at = (place == 40) * 1.0, place < 60
    listed = scipy.sparse.csr_array(matrix)
    sparse, dense = (evolved(kept, law, law * free_at, free_at, 37) for kept in (listed, matrix))
    for one, other in zip(sparse, dense):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-18)
    assert abs(evolved(listed, law, law * free_at, free_at, 38)[2] / sparse[2] - 1) > 1e-4


@pytest.mark.parametrize("order", [1.0, 1.5])
def test_a_search_for_a_threshold_begins_on_both_sides(order):
    """Assert it of the plane, whose thresholds are known, and that the mean-square threshold alone is on one side."""
    limit = diffusions.HomogenizedSGD(StreamingLeastSquares([1.0, 0.36], 0.3, np.ones(2), 0.1), 0.1)
    below, root = limit.stability().mean_square_threshold, limit.moment_threshold(order).value
    first, second = _starts(limit, order, below)
    assert below < first < root < second < 1.5 * root and root > 1.05 * below


def test_calls_here_are_made_in_their_order_and_raise():
    """Assert results without workers, and the error of a call."""
    assert side_by_side([partial(pow, 2, k) for k in range(4)], 1) == [1, 2, 4, 8]
    with pytest.raises(InvalidInput, match="above zero"):
        side_by_side([partial(studies.index_map, ROWS, [-1.0], [1])], None)


@pytest.mark.slow
def test_calls_in_workers_are_the_same_and_share_a_pool():
    """Assert order, errors, other processes than this one, and the same ones within `one_pool`."""
    calls = [partial(pow, 2, k) for k in range(4)]
    assert side_by_side(calls, 2) == [1, 2, 4, 8]
    with pytest.raises(InvalidInput, match="above zero"):
        side_by_side([partial(studies.index_map, ROWS, [-1.0], [1])], 2)
    with one_pool(2):
        first = {*side_by_side([os.getpid] * 12, 2)}
        again = {*side_by_side([os.getpid] * 12, 2)}
    assert os.getpid() not in first | again and len(first | again) <= 2
    assert not {*side_by_side([os.getpid] * 4, 2)} & (first | again)


@pytest.mark.slow
def test_a_map_has_the_same_bits_in_workers():
    """Assert all cells and lines of data whose indices are sampled."""
    options = {"highest": 6.0, "paths": 64, "generations": 40, "groups": 2}
    here, there = (
        studies.index_map(ROWS, [0.2, 0.5], [1, 2], workers=workers, **options) for workers in (None, 2)
    )  # fmt: skip
    assert here.cells.drop_vars("seconds").identical(there.cells.drop_vars("seconds"))
    assert here.lines.identical(there.lines)


@pytest.mark.slow
def test_basins_have_the_same_bits_in_workers():
    """Assert paths, exact numbers, levels and ladders."""
    study = studies.exploration.ExplorationStudy(parts="basins", paths=64, steps=100, quick=True)
    here, there = (study.run(threads=threads) for threads in (1, 2))
    (one,), (other,) = here.basins.values(), there.basins.values()
    assert one.exploration.dataset.identical(other.exploration.dataset)
    assert [match.level for match in one.matches] == [match.level for match in other.matches]
    assert here.scaling.dataset.identical(there.scaling.dataset)
    assert here.preference.dataset.identical(there.preference.dataset)
