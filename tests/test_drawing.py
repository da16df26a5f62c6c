"""Pictures of a report drawn side by side: the same bytes as one by one, and no figure costs another.

Copies are made in a process of its own: in this one other tests may have loaded libraries that keep threads.
"""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sgdlimits.compare import drawing, style
from sgdlimits.compare.html_page import Picture

FIRST = os.getpid()


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


FIGURES = [("one", "c", picture(1)), ("broken", "c", fail), ("two", "c", picture(2))]


def draw_both_ways(monkeypatch):
    """Assert equal bytes, names in their order, and that a figure that fails is a sentence."""
    copies, told, real = [], [], drawing._side_by_side
    monkeypatch.setattr(drawing, "_side_by_side", lambda *given: copies.append(1) or real(*given))
    found = {}
    for threads in ("2", "1"):
        monkeypatch.setenv("SGDLIMITS_THREADS", threads)
        found[threads] = list(drawing.drawn(FIGURES, told.append))
    beside = found["2"]
    assert copies == [1] and beside == found["1"]
    assert [each.name for each in beside if isinstance(each, Picture)] == ["one", "two"]
    assert beside[1] == "Figure broken could not be drawn (ArithmeticError: no <number>)."
    assert told == 2 * ["figure one", "figure broken", "figure two"] and beside[0].png != beside[2].png


def draw_beside_a_killed_copy(monkeypatch):
    """Assert that what it did not draw is drawn here."""
    monkeypatch.setenv("SGDLIMITS_THREADS", "2")
    found = list(drawing.drawn([*FIGURES, ("deadly", "c", die), ("last", "c", picture(4))], lambda _: None))
    assert [each.name for each in found if isinstance(each, Picture)] == ["one", "two", "deadly", "last"]


@pytest.mark.skipif(sys.platform != "linux", reason="copies are made on Linux alone")
@pytest.mark.parametrize("case", (draw_both_ways, draw_beside_a_killed_copy), ids=lambda case: case.__name__)
def test_copies_draw_what_this_process_draws(case):
    """Run the case where nothing else is loaded."""
    code = "import pytest, test_drawing\nwith pytest.MonkeyPatch.context() as patch: test_drawing.%s(patch)"
    command = [sys.executable, "-c", code % case.__name__]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_beside_other_threads_no_copy_is_made(monkeypatch):
    """A lock that one of them holds would stay held in the copy; so of libraries that keep threads."""
    monkeypatch.setattr(drawing, "THREADED", set())
    free, gone = threading.Event(), drawing._can_copy()
    other = threading.Thread(target=free.wait)
    other.start()
    try:
        assert not drawing._can_copy()
    finally:
        free.set()
        other.join()
    assert drawing._can_copy() == gone
    monkeypatch.setattr(drawing, "THREADED", {"numpy"})
    assert not drawing._can_copy()
