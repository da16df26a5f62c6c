"""Sweeps that are killed at random instants; run as a script, in a process without threads, since it forks.

Usage: killed_sweeps.py FOLDER COUNT SEED LONGEST. Prints how many kills hit a running sweep, and how many sweeps ended.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from sgdlimits import studies
from sgdlimits.studies._sweep.store import read_cell

OVER = {"a": list(range(20)), "b": [0.5, 1.5]}


def cell(a, b, seed):
    time.sleep(0.002)
    return {"product": a * b, "numbers": np.random.default_rng(seed).random(1000)}


def killed(folder, after):
    """Run the sweep in a child and kill it, SIGKILL, after so many seconds; whether it was still at it."""
    child = os.fork()
    if not child:
        try:
            studies.sweep(cell, OVER, folder, seed=5)
        finally:
            os._exit(0)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def main(folder, count, seed, longest):
    """Kill so many times; after each, every file is whole and none is gone; a full store is the unbroken sweep."""
    generator = np.random.default_rng(seed)
    truth = studies.sweep(cell, OVER, seed=5)
    folder.mkdir()
    stopped = rounds = before = 0
    for _ in range(count):
        place = folder / str(rounds)
        stopped += killed(place, generator.uniform(0.0, longest))
        files = list((place / "cells").glob("*.npz")) if (place / "cells").is_dir() else []
        for file in files:
            read_cell(file)  # every checksum is looked at
        assert len(files) >= before
        before = len(files)
        if len(files) == truth.failure.size:
            assert studies.sweep(cell, OVER, place, seed=5).identical(truth)
            rounds, before = rounds + 1, 0
    assert studies.sweep(cell, OVER, folder / str(rounds), seed=5).identical(truth)
    print(stopped, rounds)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
