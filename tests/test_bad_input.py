"""Whatever is passed: it works, or one sentence says what was got and what is allowed."""

import dataclasses
import warnings

import numpy as np
import pytest

from sgdlimits.exact.errors import SgdlimitsError
from tests.hostile_cases import CALLS, HOSTILE
from tests.parameters import slowly

LONGEST = 300
OURS = ("StabilityWarning", "OverflowedPaths", "MismatchedProcesses", "NeglectedDrift", "LargeNoise")
# Results in which nan says that nothing is predicted, estimated or looked at, or that there is no error.
EMPTY = ("Laws", "Manifold", "TimeScales", "ExpectationEstimate", "MatchedNoise", "StepSizeEffect")
# Functions of positions that the engine calls on paths that have overflowed: what is no number goes through them.
PASS_THROUGH = (
    "LeastSquares.gradient", "Hyperbola.loss", "Hyperbola.gradient", "NoisyGradientDescent.regulariser",
    "HomogenizedSGD.drift", "HomogenizedSGD.diffusion", "coarsen",
)  # fmt: skip


def has_nan(result):
    """Whether numbers that a call returned hold a nan; in fields and tuples too."""
    if isinstance(result, tuple | list):
        return any(has_nan(part) for part in result)
    if hasattr(result, "data_vars"):
        return any(has_nan(result[name].values) for name in result.data_vars)
    if isinstance(result, np.ndarray | np.floating | float):
        return np.asarray(result).dtype.kind == "f" and bool(np.isnan(np.asarray(result)).any())
    if type(result).__name__ in EMPTY:
        return False
    if dataclasses.is_dataclass(result) and not isinstance(result, type):
        return any(has_nan(getattr(result, field.name)) for field in dataclasses.fields(result))
    return False


def fault(name, argument, value):
    """What is wrong with the answer to one call, or None."""
    call, given = CALLS[name]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = call(**{**given, argument: value})
        except SgdlimitsError as error:
            message, result = str(error), None
            if len(message) > LONGEST or "\n" in message:
                return f"{len(message)} characters: {message[:400]}"
            if "nan" in message and "got nan" in message and "nan" not in repr(value):
                return message
        except Exception as error:
            return f"{type(error).__name__}: {str(error)[:300]}"
    leaked = [str(each.message)[:200] for each in caught if each.category.__name__ not in OURS]
    if leaked:
        return f"leaks the warning {leaked[0]}"
    if has_nan(result):
        return "returns nan"
    return None


@pytest.mark.parametrize("name", CALLS)
def test_a_public_call_works(name):
    """Assert that the arguments that are spoiled below work when they are not."""
    call, given = CALLS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert not has_nan(call(**given))


LONG = ("multilevel", "laws", "time_scales", "manifold")  # every argument with every value takes seconds


@pytest.mark.parametrize("name", slowly(CALLS, lambda name: name in LONG))
def test_bad_input_gets_a_sentence(name):
    """Assert that every argument of every call takes every hostile value: it works, or one sentence is raised."""
    faults = {
        (argument, kind): found
        for argument in CALLS[name][1]
        for kind, value in HOSTILE.items()
        if not (name in PASS_THROUGH and kind in ("nan array", "huge array"))
        if (found := fault(name, argument, value)) is not None
    }
    assert not faults
