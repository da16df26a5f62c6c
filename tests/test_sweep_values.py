"""Values along an axis of a sweep: of the setting's type, ends as typed, the same bits; one sentence if wrong."""

import math
import struct

import numpy as np
import pytest

from sgdlimits.exact.errors import InvalidInput
from sgdlimits.studies import find_study
from sgdlimits.studies._sweep.values import checked_values, swept_values

STUDY = find_study("homogenized")
UNDERSTOOD = {
    "batch_size=1,2,4,8": [1, 2, 4, 8],
    "batch-size = 1, 1e3": [1, 1000],
    "batch_size=1:64:7log": [1, 2, 4, 8, 16, 32, 64],
    "batch_size=10:1:4": [10, 7, 4, 1],
    "ridge=0:1:5": [0.0, 0.25, 0.5, 0.75, 1.0],
    "ridge=-1:1:3lin": [-1.0, 0.0, 1.0],
    "ridge=0:0.3:4": [0.0, 0.1, 0.2, 0.3],
    "step_size=0.001:1:4log": [0.001, 0.01, 0.1, 1.0],
    "step_size=1e-200:1e100:4log": [1e-200, 1e-100, 1.0, 1e100],
    "sampling=reshuffle,with_replacement": ["reshuffle", "with_replacement"],
    "standardise=true,false": [True, False],
    "momentum=0": [0.0],
    "seed=18446744073709551615": [2**64 - 1],
}


@pytest.mark.parametrize("text", UNDERSTOOD)
def test_values_are_those_of_the_text_in_the_type_of_the_setting(text):
    name, values = swept_values(STUDY, text)
    assert name == text.partition("=")[0].strip().replace("-", "_")
    assert values == UNDERSTOOD[text]
    assert [type(value) for value in values] == [type(value) for value in UNDERSTOOD[text]]


@pytest.mark.parametrize("spacing", ["", "lin", "log"])
def test_a_range_has_its_ends_as_typed_its_count_and_its_spacing(spacing):
    """Assert it for ends that no power of a ratio or sum of steps reaches in floating point."""
    for first, last, count in (("0.01", "0.1", 10), ("0.3", "0.7", 8), ("3e-7", "1.1", 101), ("7", "0.1", 4)):
        values = swept_values(STUDY, f"step_size={first}:{last}:{count}{spacing}")[1]
        assert values[0] == float(first) and values[-1] == float(last) and len(values) == count
        spaced = np.diff(np.log(values) if spacing == "log" else values)
        np.testing.assert_allclose(spaced, spaced.mean(), rtol=1e-9)


def test_the_same_text_gives_known_bits():
    """Assert the bits of a geometric range, which are those of its values rounded once, on any machine."""
    values = swept_values(STUDY, "step_size=0.01:0.1:10log")[1]
    bits = struct.pack(">10d", *values).hex()
    assert bits == KNOWN
    assert max(abs(value / 10 ** (-2 + k / 9) - 1) for k, value in enumerate(values)) < 4 * np.finfo(float).eps


KNOWN = (
    "3f847ae147ae147b3f8a73709dcab99a3f9114d3522608c63f960fb8a566f6273f9c7e5001442ab1"
    "3fa2667bc31444e53fa7c3d2c4d63ff53faeb18f59ead9cc3fb3d236e78f41b33fb999999999999a"
)

WRONG = {
    "stepsize=1": "'stepsize' is no setting that can be swept; did you mean 'step_size'",
    "data_sha256=ab": "no setting that can be swept",
    "minutes=1,2": "minutes cannot be swept, since no number depends on it",
    "threads=1,2": "threads cannot be swept, since no number depends on it",
    "out=a,b": "out cannot be swept",
    "ridge": "must be NAME=VALUE,VALUE,... .*got 'ridge'",
    "=1": "must be NAME=VALUE",
    "": "must be NAME=VALUE",
    "ridge=": "ridge is given no value; it needs ridge=VALUE",
    "ridge=1,,2": "ridge has an empty value",
    "ridge=1,": "ridge has an empty value",
    "ridge=nan": "ridge must be finite, got nan",
    "ridge=0,1e999": "ridge must be finite, got inf",
    "ridge=0:inf:3": "ridge must be finite, got inf",
    "ridge=a": "ridge must be a number, got 'a'",
    "ridge=1,1.0": "ridge has the value 1.0 twice",
    "ridge=-0.0,0": "ridge has the value 0.0 twice",
    "ridge=1:1:3": "ridge has the value 1.0 twice",
    "ridge=-1:1:3log": "need ends above zero, got -1.0 and 1.0; leave log out",
    "step_size=0:1:3log": "need ends above zero, got 0.0 and 1.0",
    "ridge=0:1:1": "from 2 to 10000.*got '1'",
    "ridge=0:1:10001": "from 2 to 10000.*got '10001'",
    "ridge=0:1:" + "9" * 6000: "from 2 to 10000",
    "ridge=0:1:ten": "got 'ten'",
    "ridge=0:1:-3": "got '-3'",
    "ridge=0:1:3ln": "alone or with log or lin after it, got '3ln'",
    "ridge=0:1": "it must be ridge=FIRST:LAST:COUNT",
    "ridge=0:1:2:3": "it must be ridge=FIRST:LAST:COUNT",
    "ridge=0:1:3,4": "it must be ridge=FIRST:LAST:COUNT",
    "ridge=::": "ridge has an empty value",
    "batch_size=1.5": "batch_size must be a whole number, got '1.5'",
    "batch_size=1:10:4log": "but 1:10:4log gives 1, 2.15443, 4.64159, 10; give a list, such as batch_size=1,2,5,10",
    "batch_size=1:2:3": "takes whole numbers, but 1:2:3 gives 1, 1.5, 2",
    "batch_size=1:1:2": "batch_size has the value 1 twice",
    "seed=" + "9" * 6000: "seed must be a whole number",
    "standardise=1": "standardise must be true or false, got '1'",
    "sampling=a,b,a": "sampling has the value 'a' twice, in a, b, a",
}


@pytest.mark.parametrize("text", WRONG, ids=lambda text: text[:30])
def test_a_wrong_text_is_one_short_sentence(text):
    with pytest.raises(InvalidInput, match=WRONG[text]) as raised:
        swept_values(STUDY, text)
    assert len(str(raised.value)) < 400 and "\n" not in str(raised.value)


def test_what_is_no_text_is_refused_and_another_study_has_its_own_settings():
    with pytest.raises(InvalidInput, match="must be a text"):
        swept_values(STUDY, 3)
    assert swept_values(find_study("zero-loss"), "quick=true,false") == ("quick", [True, False])
    with pytest.raises(InvalidInput, match="allowed: 'data', 'target'"):
        swept_values(find_study("zero-loss"), "momentum=0,0.9")


def test_values_given_in_python_are_checked_by_the_same_rules():
    """Assert types of arrays and lists, and a sentence for what is no list, wrong, empty or there twice."""
    values = checked_values(STUDY, "step_size", np.geomspace(0.01, 0.1, 3))
    assert [type(value) for value in values] == [float] * 3 and values[0] == 0.01
    assert checked_values(STUDY, "batch-size", (np.int64(1), 2.0)) == [1, 2]
    assert checked_values(STUDY, "standardise", [np.True_]) == [True]
    for name, given, sentence in (
        ("ridge", "0,1", "must have a list of values"), ("ridge", 1.0, "must have a list of values"),
        ("ridge", np.float64(1), "must have a list of values"), ("ridge", [], "is given no value"),
        ("ridge", [math.nan], "must be finite"), ("ridge", [1, 1], "twice"), ("batch_size", [True], "whole number"),
        ("sampling", [1], "must be a text"), ("standardise", [1], "true or false"), (3, [1], "must be a text"),
        ("minutes", [1], "cannot be swept"), ("ridge", range(10_001), "at most 10000"),
    ):  # fmt: skip
        with pytest.raises(InvalidInput, match=sentence):
            checked_values(STUDY, name, given)
