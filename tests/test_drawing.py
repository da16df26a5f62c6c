"""Pictures of a report drawn side by side: the same bytes as one by one, and no figure costs another."""

import os
import signal
import threading

import pytest

from sgdlimits.compare import drawing, style
from sgdlimits.compare.html_page import Picture


def picture(height):
    def make():
        figure, axes = style.panels()
        axes[0].plot([0, 1], [0, height])
        return figure

    return make


def fail():
    raise ArithmeticError("no <number>")


def die():
    if os.getpid() != FIRST:
        os.kill(os.getpid(), signal.SIGKILL)
    return picture(3)()


FIRST = os.getpid()
FIGURES = [("one", "c", picture(1)), ("broken", "c", fail), ("two", "c", picture(2))]


@pytest.fixture
def copies(monkeypatch):
    """Whether copies were made."""
    if not hasattr(os, "fork"):
        pytest.skip("no copies on this system")
    made, real = [], drawing._side_by_side
    monkeypatch.setenv("SGDLIMITS_THREADS", "2")
    monkeypatch.setattr(drawing, "_can_copy", lambda: True)
    monkeypatch.setattr(drawing, "_side_by_side", lambda *given: made.append(1) or real(*given))
    return made


def test_pictures_are_those_drawn_one_by_one(copies, monkeypatch):
    """Assert equal bytes, names in their order, and that a figure that fails is a sentence."""
    told = []
    found = list(drawing.drawn(FIGURES, told.append))
    monkeypatch.setenv("SGDLIMITS_THREADS", "1")
    assert found == list(drawing.drawn(FIGURES, told.append)) and copies == [1]
    assert [each.name for each in found if isinstance(each, Picture)] == ["one", "two"]
    assert found[1] == "Figure broken could not be drawn (ArithmeticError: no <number>)."
    assert told == 2 * ["figure one", "figure broken", "figure two"] and found[0].png != found[2].png


def test_a_copy_that_is_killed_costs_nothing(copies):
    """Assert that what it did not draw is drawn here."""
    found = list(drawing.drawn([*FIGURES, ("deadly", "c", die), ("last", "c", picture(4))], lambda _: None))
    assert copies and [each.name for each in found if isinstance(each, Picture)] == ["one", "two", "deadly", "last"]


def test_beside_other_threads_no_copy_is_made():
    """A lock that one of them holds would stay held in the copy."""
    free, gone = threading.Event(), drawing._can_copy()
    other = threading.Thread(target=free.wait)
    other.start()
    try:
        assert not drawing._can_copy()
    finally:
        free.set()
        other.join()
    assert drawing._can_copy() == gone
