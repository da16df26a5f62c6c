"""Tail indices where a threshold, a period, a unit or a short sample would make a plausible number a wrong one."""

import math
import re
import warnings
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import brentq

from sgdlimits.compare import tail_estimators as tails
from sgdlimits.compare import tails as compare_tails
from sgdlimits.diffusions import HomogenizedSGD, ModifiedEquation
from sgdlimits.discrete import SGD, kesten_index, tail_exponent_bounds
from sgdlimits.exact.errors import InvalidInput, PositiveLyapunovExponent
from sgdlimits.problems import LeastSquares, StreamingLeastSquares

HALF = np.sqrt(0.75)
REFLECTED = {
    "orthogonal": [[1.0, 0], [0, 1]],
    "at sixty degrees": [[1.0, 0], [0.5, HALF]],
    "one direction by itself": [[1.0, 0, 0], [0, 1, 0], [0, 0.5, 0.5]],
    "a plane by itself": [[1.0, 0, 0], [0.6, 0.8, 0], [0, 0, 0.5]],
}


def on_rows(rows, step_size, batch_size=1):
    rows = np.array(rows, dtype=float)
    return SGD(LeastSquares.from_arrays(rows, np.arange(1.0, len(rows) + 1)), step_size, batch_size)


@pytest.mark.parametrize("rows", REFLECTED.values(), ids=REFLECTED)
def test_steps_that_only_reflect_leave_no_stationary_law(rows):
    """Assert the refusal at step size 2 / |a|^2, where a direction keeps its length; and a law just below it."""
    with pytest.raises(PositiveLyapunovExponent, match="exponent is 0 a step"):
        on_rows(rows, 2.0).tail_index()
    assert on_rows(rows, 1.999).tail_index().index == math.inf


def test_reflections_that_lead_to_a_contraction_have_a_law():
    """Assert it of a chain of samples to one that contracts, of two samples a step."""
    linked = [[1.0, 0, 0], [0.6, 0.8, 0], [0, 0.6, 0.8], [0, 0, 0.5]]
    assert on_rows(linked, 2.0).tail_index().index == math.inf
    assert on_rows(np.eye(2), 2.0, batch_size=2).tail_index().index == math.inf
    x = np.full((4, 3), 1e3)  # and paths that forget where they began: the same numbers from afar
    for sample in np.random.default_rng(0).integers(0, 4, 4000):
        a = np.array(linked[sample])
        x = x - 2.0 * np.outer(x @ a, a)
    assert np.abs(x).max() < 1e-6


def test_a_refusal_names_what_helps():
    """Assert that nobody is told to lower the step size of factors of his own, or where a ridge is what drives."""
    for call in (
        lambda: kesten_index([2.0, 0.5]), lambda: kesten_index(2 * np.array([np.eye(2), [[0, 1], [1, 0]]])),
        lambda: tail_exponent_bounds(2.0, 1.5),
    ):  # fmt: skip
        with pytest.raises(PositiveLyapunovExponent, match="smaller on average") as caught:
            call()
        assert "step size" not in str(caught.value)
    empty = StreamingLeastSquares([1.0, 0.0], 0.3, [1.0, 1.0], -0.01)
    with pytest.raises(PositiveLyapunovExponent, match="raise it to 0") as caught:
        SGD(empty, 0.6).tail_index()
    assert "batch" not in str(caught.value)


@pytest.mark.parametrize("generations", [100, pytest.param(150, marks=pytest.mark.slow)])
def test_directions_that_take_turns(generations):
    """Assert the exact index of matrices that exchange two coordinates, by any number of generations."""
    exact = brentq(lambda s: math.log((0.5**s + 0.9**s) / 2 * (1.2**s + 0.3**s) / 2), 1, 60)
    exchange = np.array([[[0, 1.2], [0.5, 0]], [[0, 0.3], [0.9, 0]]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = kesten_index(exchange, generations=generations)
    assert found.lower < exact < found.upper and found.error < 0.005 * exact


@pytest.mark.parametrize("name", ["paths", "generations", "groups"])
@pytest.mark.parametrize("value", [0, -5, 2.5, "many"])
def test_sizes_of_populations_are_checked(name, value):
    with pytest.raises(InvalidInput, match=name):
        kesten_index(np.random.default_rng(0).standard_normal((30, 4, 4)) / 3, **{name: value})


@pytest.mark.parametrize("unit", [1e-36, 1e36, 1e60, 1e100, 1e140])
def test_units_change_nothing_or_are_refused(unit):
    """Assert the same indices and bounds in any unit, or a sentence: overflow once made bounds of 2 and 2."""

    def seen(unit):
        stream = StreamingLeastSquares(np.array([1.0, 0.36]) * unit**2, 0.3 * unit, [1.0, 1.0])
        data = LeastSquares.from_arrays(np.array([[2.0], [0.5]]) * unit, np.array([1.0, -1.0]) * unit)
        sides = [SGD(problem, 0.5 / unit**2) for problem in (stream, data)]
        limits = [*map(HomogenizedSGD.of, sides), ModifiedEquation.of(sides[0])]
        return [*(limit.tail_index().index for limit in limits), *limits[0].tail_index_bounds()]

    if 1e-37 < unit < 1e37:
        np.testing.assert_allclose(seen(unit), seen(1.0), rtol=1e-9)
    else:
        with pytest.raises(InvalidInput, match="change the"):
            seen(unit)
    for make in (
        lambda: StreamingLeastSquares([1e80], 0.0, [1.0]), lambda: StreamingLeastSquares([[1e80]], 0.0, [1.0]),
        lambda: LeastSquares.from_arrays([[1e40]], [1.0]), lambda: on_rows([[1e-36]], 1e80),
    ):  # fmt: skip
        with pytest.raises(InvalidInput, match="change the"):
            make()


@pytest.mark.parametrize(("d", "below"), [(3, 1e-6), (6, 1e-7), (40, 1e-3), (3, 0.5)])
def test_an_index_near_zero_is_within_its_error(d, below):
    """Assert 2 - d + 2 / step_size of equal eigenvalues, in exact arithmetic, where the difference nearly vanishes."""
    size = 2 / (d - 2) * (1 - below)
    found = HomogenizedSGD.of(SGD(StreamingLeastSquares(np.ones(d), 0.3, np.ones(d)), size)).tail_index()
    assert abs(Fraction(found.index) - (2 - d + 2 / Fraction(size))) <= found.error <= 1e-11


def test_a_root_in_a_sentence_has_its_error():
    """Assert it where the law is a point: 2 at the mean-square threshold, within that error; none where it is exact."""
    rows = [[1.0, 0], [0.5, 0.5]]
    threshold = on_rows(rows, 1.0).stability().mean_square_threshold
    said = on_rows(rows, threshold).tail_index(paths=64, generations=40, groups=4).note
    root, error = said.split("for p below ")[1].split(" and grows")[0].split(" +- ")
    assert abs(float(root) - 2) < 1.5 * float(error) < 0.2
    sharp = SGD(LeastSquares.from_arrays([[2.0], [0.5]], [6.0, 1.5]), 0.52).tail_index()
    assert "below 5.65026 and grows" in sharp.note


@pytest.mark.parametrize("index", [2, 3])
def test_no_short_sample_of_a_power_is_called_light(index):
    """Assert that moment and Pickands refuse what reaches into the middle of the law, and cover where they do not."""
    for estimate, fewest in ((tails.moment, 500), (tails.pickands, 1000)):
        for n in (50, 100, 200, fewest - 1):
            with pytest.raises(InvalidInput, match=f"{fewest} are needed"):
                estimate(stats.t(index).rvs(n, random_state=n))
        held = sum(index in estimate(stats.t(index).rvs(fewest, random_state=seed)) for seed in range(100))
        assert held >= 84  # below a true 92 % once in 300
        assert estimate(stats.t(index).rvs(200, random_state=1), 20).k == 20  # who gives k has it


def test_lengths_that_are_asked_for_suffice():
    """Assert that a sample as long as a refusal asks for is taken, and that none asks for less than it has."""
    x = stats.t(3).rvs(2000, random_state=0)
    for estimate in (tails.corrected_hill, tails.moment, tails.pickands, tails.stable_blocks):
        for n in (50, 60, 80, 100, 110, 300):
            try:
                estimate(x[:n])
            except InvalidInput as error:
                needed = int(re.search(r"(\d+)(?: values)? are needed", str(error)).group(1))
                assert needed > n
                estimate(x[:needed])


def test_sentences_on_ties_and_zeros():
    with pytest.raises(InvalidInput, match="holds 0 "):
        tails.student(np.r_[np.full(100, -0.0), np.arange(1.0, 100)])
    with pytest.raises(InvalidInput, match="differences"):
        tails.stable_blocks(np.arange(1.0, 5000))
    assert tail_exponent_bounds(np.zeros(100), np.zeros(100)).lower.void


def test_a_row_has_one_name_whether_it_is_estimated_or_not():
    """Assert that too short a sample leaves the estimator's name as it is elsewhere."""
    sgd = SGD(StreamingLeastSquares([1.0], 0.3, [1.0]), 0.5)
    short = str(compare_tails(sgd, paths=60, steps=40, estimators=("corrected_hill", "pickands", "student")))
    assert "corrected Hill" in short and "Pickands" in short and "corrected hill" not in short
