"""Kernels of a study are compiled once before it, in processes side by side, and found on disk by it."""

import os
import subprocess
import sys

import pytest

from sgdlimits.discrete.kernels import minibatch
from sgdlimits.exact import compiling
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.studies import STUDIES, rehearsal
from sgdlimits.studies.homogenized import HomogenizedStudy

COUNTED = """
from numba.core import event
from sgdlimits.studies.homogenized.study import HomogenizedStudy

class Counted(event.Listener):
    seconds, depth, began = 0.0, 0, 0.0
    def on_start(self, event):
        if not self.depth: self.began = time.process_time()
        self.depth += 1
    def on_end(self, event):
        self.depth -= 1
        if not self.depth: self.seconds += time.process_time() - self.began

import time
counted = Counted()
event.register("numba:compile", counted)
HomogenizedStudy(paths=64).run(threads=1)
print(counted.seconds)
"""


@pytest.mark.slow
def test_after_a_rehearsal_little_is_left_to_compile(tmp_path):
    """Assert a fifth at most of what is compiled without it; each in a cache of its own."""
    seconds = {}
    for rehearsed in (False, True):
        setting = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / str(rehearsed))}
        code = "from sgdlimits.studies.rehearsal import rehearse; print(rehearse('homogenized', True, 2))"
        if rehearsed:
            said = [
                subprocess.run([sys.executable, "-c", code], env=setting, text=True, capture_output=True, check=True)
                for _ in range(2)
            ]
            assert [each.stdout for each in said] == ["True\n", "False\n"]
            assert [each.stderr for each in said] == [f"{rehearsal.SAID}\n", ""]
        found = subprocess.check_output([sys.executable, "-c", COUNTED], env=setting, text=True)
        seconds[rehearsed] = float(found)
    assert seconds[True] < 0.2 * seconds[False], seconds


def test_what_is_on_disk_is_not_rehearsed(monkeypatch, capsys):
    """Nor a study that has no parts, nor on one thread; and all parts and studies are those that exist."""
    monkeypatch.setattr(compiling, "on_disk", lambda kernel: True)
    assert not rehearsal.rehearse("homogenized", True, 2)
    monkeypatch.setattr(compiling, "on_disk", lambda kernel: kernel is not minibatch)
    assert not rehearsal.rehearse("zero-loss", True, 2) and not rehearsal.rehearse("homogenized", True, 1)
    assert capsys.readouterr().err == "" and set(rehearsal.STUDIES) <= set(STUDIES)
    assert {part for parts in rehearsal.STUDIES.values() for part in parts} == set(rehearsal.PARTS)


def test_a_rehearsal_that_fails_costs_nothing(monkeypatch, capsys):
    """It runs in a process of its own, whose end is all that is waited for; quiet, it is not said."""
    monkeypatch.setattr(compiling, "on_disk", lambda kernel: False)
    monkeypatch.setattr(rehearsal, "STUDIES", {"homogenized": ("no such part",)})
    for aloud in (True, False):
        assert rehearsal.rehearse("homogenized", aloud, 2)
        assert capsys.readouterr().err == (f"{rehearsal.SAID}\n" if aloud else "")


def test_wrong_data_are_reported_before_anything_is_compiled(monkeypatch):
    """Assert that the study fails first; the control is one that comes so far."""
    def compiles(*given):
        raise RuntimeError("compiled")

    monkeypatch.setattr(rehearsal, "rehearse", compiles)
    with pytest.raises(InvalidInput):
        HomogenizedStudy(data="no such file.csv", target="y").run()
    with pytest.raises(RuntimeError, match="compiled"):
        HomogenizedStudy(paths=64).run()
