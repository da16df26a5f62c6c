"""The same bits as ever: first random numbers of every purpose, and a few values of every process and scheme."""

import json

import pytest
from tests.golden_cases import FILE, WORDS, every_case, moved

pytestmark = pytest.mark.slow
GOLDEN = json.loads(FILE.read_text())
PORTABLE = 1e-11  # other processors and compilers contract sums differently; random words never change


@pytest.fixture(scope="module")
def cases():
    return every_case()


def test_every_golden_case_still_exists(cases):
    """Assert that no process, scheme or purpose was lost, and none is unrecorded."""
    assert set(GOLDEN) == set(cases)


def test_values_are_the_recorded_ones(cases):
    """Assert words, rows and permutations to the bit, and all that follows from them to rounding."""
    off = {
        name: moved(values, cases[name])
        for name, values in GOLDEN.items()
        if moved(values, cases[name]) > (0 if name.split()[0] in WORDS[:4] else PORTABLE)
    }
    assert not off


def test_a_changed_stream_is_noticed(cases):
    """Assert that one wrong word, sign or digit counts as moved: the control of the test above."""
    word = GOLDEN["words ROWS"]
    assert moved(word, [str(int(word[0]) + 1), *word[1:]]) > 0
    path = GOLDEN["SGD finite plain 0"]
    assert moved(path, [path[0] * (1 + 1e-9), *path[1:]]) > PORTABLE
