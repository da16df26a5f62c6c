"""What speaks against an estimate of a tail index: its origin, light tails, laws that settle slowly."""

import math
import re

import numpy as np
import pytest

from sgdlimits.compare import tail_estimators as tails
from sgdlimits.compare.tail_estimators import corrected_hill, hill, moment, pickands
from sgdlimits.exact.errors import InvalidInput
from tests.heavy_samples import generator, pareto, stable_sample, student_sample


def general(index, n, seed):
    """Generalised Pareto: rho = -1 / index, far from what Student's t has."""
    return index * (generator(seed).random(n) ** (-1 / index) - 1)


def unequal(index, n, seed):
    """A tenth has the index on the right, the rest twice the index on the left."""
    right, size = generator(seed).random((2, n))
    return np.where(right < 0.1, size ** (-1 / index), -(size ** (-0.5 / index)))


LAWS = {
    "Student 4 + 3": (lambda n, seed: 3 + student_sample(4, n, seed), 4),
    "Student 3 - 1000": (lambda n, seed: student_sample(3, n, seed) - 1000, 3),
    "Student 8": (lambda n, seed: student_sample(8, n, seed), 8),
    "generalised Pareto": (lambda n, seed: general(4, n, seed), 4),
    "unequal tails": (lambda n, seed: unequal(2, n, seed), 2),
    "stable": (lambda n, seed: stable_sample(1.5, n, seed), 1.5),
}


def coverage(estimate, law, repetitions, n=10_000):
    draw, index = LAWS[law]
    return np.mean([index in estimate(draw(n, 700 + seed)) for seed in range(repetitions)])


@pytest.mark.parametrize("law", LAWS)
def test_the_corrected_estimate_covers_on_laws_of_other_second_orders(law):
    """Assert coverage where one rho alone, or one origin, loses it."""
    assert coverage(corrected_hill, law, 60) >= 0.8


def test_one_rho_and_one_origin_lose_what_the_range_covers():
    """Assert the controls: a rho that is trusted on Student 8, zero as the origin of shifted samples."""
    assert coverage(lambda x: corrected_hill(x, rho=-2 / 3), "Student 8", 60) < 0.95
    assert coverage(lambda x: corrected_hill(x, 500, rho=-2 / 3), "generalised Pareto", 60) < 0.9
    assert coverage(lambda x: corrected_hill(x, rho=-2 / 3, centre="none"), "Student 4 + 3", 60) < 0.6


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS)
def test_the_corrected_estimate_covers_at_length(law):
    """Assert 400 samples of 10^4, and 300 of 1000."""
    assert coverage(corrected_hill, law, 400) >= 0.86
    assert coverage(corrected_hill, law, 300, 1000) >= 0.84


@pytest.mark.parametrize("shift", (1.0, -30.0, 1e4, 1e6))
def test_shifts_of_two_tails_change_nothing(shift):
    """Assert the corrected index of a shifted sample, the origin that is said, and every other's refusal or warning."""
    x = student_sample(3, 10_000, 1)
    found, moved = corrected_hill(x), corrected_hill(x + shift)
    assert moved.index == pytest.approx(found.index, rel=1e-5) and moved.upper == pytest.approx(found.upper, rel=1e-5)
    assert moved.details["origin"] == pytest.approx(np.median(x) + shift)
    for estimate in (hill, moment, pickands, lambda x, **more: tails.power_law(x, resamples=100, **more)):
        if abs(shift) > 100:
            with pytest.raises(InvalidInput, match="away from zero.*centre='median'"):
                estimate(x + shift)
        else:
            assert any("depends on the origin" in text for text in estimate(x + shift).warnings)
        assert estimate(x + shift, centre="median").index == pytest.approx(estimate(x, centre="median").index, rel=1e-5)
    assert not any("origin" in text for text in hill(x).warnings)


def test_one_tail_is_measured_from_zero():
    """Assert that a Pareto sample keeps its origin, that its reflection does too, and a warning where it is shifted."""
    x = pareto(3, 10_000, 2)
    assert corrected_hill(x).details["origin"] == corrected_hill(-x).details["origin"] == 0
    assert not corrected_hill(x).warnings and not hill(-x).warnings
    for moved in (x + 2, -x - 2):
        assert any("one tail" in text for text in corrected_hill(moved).warnings)
    with pytest.raises(InvalidInput, match="away from zero"):
        corrected_hill(x + 1e6)
    with pytest.raises(InvalidInput, match="centre"):
        hill(x, centre="mean")


def test_hill_and_moment_must_be_one():
    """Assert a warning where a k is too large for the law, and that a pure power is warned of in at most 2 %."""
    assert sum("pure power" in "".join(hill(student_sample(4, 10_000, s), 2000).warnings) for s in range(20)) == 20
    found = [hill(pareto(2, 2000, s), 500).warnings for s in range(300)]
    assert np.mean(["pure power" in "".join(each) for each in found]) <= 0.02


LIGHT = {
    "Student 20": lambda n, seed: student_sample(20, n, seed),
    "exponential": lambda n, seed: generator(seed).standard_exponential(n),
    "normal": lambda n, seed: generator(seed).standard_normal(n),
}
SEEN = (corrected_hill, hill, lambda x: hill(x, 0.05), moment, pickands)


@pytest.mark.parametrize("law", LIGHT)
@pytest.mark.parametrize("n", (1000, 10_000))
def test_an_index_beyond_sight_is_no_number(law, n):
    """Assert intervals without an upper end and a warning on nearly all; no index at or past the largest one seen."""
    for estimate in SEEN:
        found = [estimate(LIGHT[law](n, seed)) for seed in range(20)]
        assert sum(math.isinf(each.upper) and bool(each.warnings) for each in found) >= 18
        assert all(each.lower < math.inf or "no power law" in each.warnings[0] for each in found)
        seen = [float(re.search(r"shows, ([0-9.]+) at most", text)[1])
                for each in found for text in each.warnings if "at most:" in text and each.index < math.inf]
        assert len(seen) >= sum(each.index < math.inf for each in found) - 2
        assert all(each.index < max(seen) for each in found if each.index < math.inf and math.isinf(each.upper))


def test_an_open_interval_says_why():
    """Assert a warning wherever there is no upper end, of short samples of a true power too."""
    found = [estimate(student_sample(4, 1000, seed)) for seed in range(20) for estimate in SEEN]
    assert all(each.warnings for each in found if math.isinf(each.upper))
    assert any(math.isinf(each.upper) and each.index < math.inf for each in found)


def test_a_whole_law_fitted_has_no_number_beyond_sight_either():
    """Assert that Student's t says infinite where its interval has no upper end, and what it says of a true 3."""
    found = [tails.student(student_sample(100, 500, seed)) for seed in range(10)]
    assert all(math.isinf(each.index) == math.isinf(each.upper) for each in found)
    assert any(math.isinf(each.index) and 100 in each for each in found)
    assert tails.student(student_sample(3, 500, 1)).index < 10


def test_pickands_on_ties_has_no_huge_number():
    """Assert an infinite index where the gaps of the largest values are equal, not the inverse of a rounding error."""
    found = pickands(np.r_[np.arange(1.0, 2001.0) / 7, np.arange(1.0, 2001.0) / 7])
    assert found.index == math.inf or found.index < 100
