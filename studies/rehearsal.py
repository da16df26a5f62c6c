"""Kernels that a study needs, compiled before its work begins: in processes side by side that fill numba's disk cache.

Numba's compiler holds a lock, so that threads would wait for each other. A rehearsal runs a few steps of what the study
runs; what it leaves out is compiled when it is come to, as everywhere.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from sgdlimits.exact.threads import threads_of

if TYPE_CHECKING:
    from sgdlimits.problems import LeastSquares

ENDLESS = 300.0  # seconds after which a rehearsal is given up
SAID = "compiling kernels for this machine: once after each installation, about a quarter of a minute"


def minibatches() -> None:
    """SGD on rows of data."""
    from sgdlimits.discrete import SGD

    SGD(_problem(), 0.01).simulate(np.zeros(10), steps=2, paths=64)


def diffusions() -> None:
    """Limits of SGD on least squares, sampled and exact."""
    from sgdlimits.compare import bounds
    from sgdlimits.diffusions import HomogenizedSGD, ModifiedEquation, OrnsteinUhlenbeck
    from sgdlimits.discrete import SGD

    sgd, start = SGD(_problem(), 0.01), np.zeros(10)
    for kind in (HomogenizedSGD, ModifiedEquation, OrnsteinUhlenbeck):
        kind.of(sgd).simulate(start, steps=2, paths=64)
    bounds(sgd, HomogenizedSGD.of(sgd), x0=start)


PARTS: dict[str, Callable[[], None]] = {"minibatches": minibatches, "diffusions": diffusions}
STUDIES = {"homogenized": ("minibatches", "diffusions")}  # those whose kernels take longer than the processes


def rehearse(study: str, aloud: bool, threads: int | None = None) -> bool:
    """Compile what a study needs, where the cache lacks it and there are cores for it; whether that was so.

    Parameters
    ----------
    study : str
        Its name.
    aloud : bool
        Whether a line on standard error says it.
    threads : int, optional
        Of the study: on one, as among other parts of a sweep, kernels are compiled when they are come to.
    """
    parts = STUDIES.get(study, ())
    if not parts or threads_of(threads) < 2:
        return False
    from sgdlimits.discrete.kernels import minibatch
    from sgdlimits.exact.compiling import on_disk

    if on_disk(minibatch):
        return False
    if aloud:
        print(SAID, file=sys.stderr)
    running = [
        subprocess.Popen(
            [sys.executable, "-m", __name__, part], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for part in parts
    ]  # fmt: skip
    try:
        for process in running:
            process.wait(ENDLESS)
    except subprocess.TimeoutExpired:
        pass  # the study compiles for itself
    finally:
        for process in running:
            process.kill()
            process.wait()
    return True


def _problem() -> LeastSquares:
    from sgdlimits.problems import LeastSquares

    return LeastSquares.from_dataset("diabetes")


if __name__ == "__main__":
    PARTS[sys.argv[1]]()
