"""Kernels of a study are compiled once before it, in processes side by side, and found on disk by it."""

import os
import subprocess
import sys

import pytest

from sgdlimits.discrete.kernels import minibatch
from sgdlimits.exact import compiling
from sgdlimits.studies import STUDIES, rehearsal

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
HomogenizedStudy(paths=64).run()
print(counted.seconds)
"""


@pytest.mark.slow
def test_after_a_rehearsal_little_is_left_to_compile(tmp_path):
    """Assert a fifth at most of what is compiled without it; each in a cache of its own."""
    seconds = {}
    for rehearsed in (False, True):
        setting = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / str(rehearsed))}
        code = "from sgdlimits.studies.rehearsal import rehearse; print(rehearse('homogenized', print))"
        if rehearsed:
            said = [subprocess.check_output([sys.executable, "-c", code], env=setting, text=True) for _ in range(2)]
            assert said == [f"{rehearsal.SAID}\nTrue\n", "False\n"]
        found = subprocess.check_output([sys.executable, "-c", COUNTED], env=setting, text=True)
        seconds[rehearsed] = float(found)
    assert seconds[True] < 0.2 * seconds[False], seconds


def test_what_is_on_disk_is_not_rehearsed(monkeypatch):
    """Nor a study that has no parts; and all parts and studies are those that exist."""
    told = []
    monkeypatch.setattr(compiling, "on_disk", lambda kernel: True)
    assert not rehearsal.rehearse("homogenized", told.append)
    monkeypatch.setattr(compiling, "on_disk", lambda kernel: kernel is not minibatch)
    assert not rehearsal.rehearse("zero-loss", told.append) and not told
    assert set(rehearsal.STUDIES) <= set(STUDIES)
    assert {part for parts in rehearsal.STUDIES.values() for part in parts} == set(rehearsal.PARTS)


def test_a_rehearsal_that_fails_costs_nothing(monkeypatch):
    """It runs in a process of its own, whose end is all that is waited for."""
    told = []
    monkeypatch.setattr(compiling, "on_disk", lambda kernel: False)
    monkeypatch.setattr(rehearsal, "STUDIES", {"homogenized": ("no such part",)})
    assert rehearsal.rehearse("homogenized", told.append) and told == [rehearsal.SAID]
