"""Numbers are written to the digits that their errors leave."""

import pytest
from sgdlimits.discrete.escape import EscapeRate
from sgdlimits.exact.tail_index import TailIndex
from sgdlimits.exact.written_numbers import known


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [(15.87521775, 0.13, "15.88"), (6.0, 0.0, "6"), (2.208635889, 4.1e-6, "2.2086359"), (5.1118e-3, 2e-5, "0.005112")],
)
def test_two_digits_of_the_error_are_kept(value, error, text):
    """Assert texts, of a closed form too."""
    assert known(value, error) == text


def test_results_promise_no_digit_that_their_error_takes():
    """Assert what a tail index and a measured rate print."""
    assert "TailIndex(15.88 +- 0.13; populations" in repr(TailIndex(15.87521775, 0.13, "populations"))
    rate = EscapeRate(7.51733e-8, 8.4e-9, "splitting", interval=(6.7e-8, 8.4e-8))
    assert repr(rate).startswith("EscapeRate(7.52e-8 a step, +- 8.4e-09 (95 %)")
