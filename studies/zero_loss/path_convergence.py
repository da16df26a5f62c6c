"""Convergence of paths, fast phase and slow phase: the comparisons that the study shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from sgdlimits.compare import Paths

FEATURES = ((1.0, 0.5, -0.3), (0.2, 1.0, 0.6))
LABELS = (1.0, 0.5)
NETWORK_START = (1.2, 0.9, 0.8, 0.5, 0.6, 0.7)
SHALLOW_FEATURES, SHALLOW_LABELS = ((1.0, 0.4), (-0.3, 1.0)), (0.6, -0.3)
SHALLOW_START = (1.2, -0.8, 0.9, 0.4, -0.5, 1.1)
NETWORK_PATHS = 500  # the limit map of a diagonal network is found point by point
SHALLOW_PATHS = 60  # its limit map is a flow that is followed for every path and look
LINE_SHARE = 20  # times as many paths on the hyperbola: distances of laws need them
LINE_START = (1.8, 0.7)
LEFT = (-2.0, 7.0)  # values of x^2 - y^2 between which a path stays


@dataclass(frozen=True, eq=False)
class PathConvergence:
    """One comparison of paths.

    Attributes
    ----------
    name : str
        Of the model and the noise.
    question : str
        What it shows, a sentence.
    found : Paths
    """

    name: str
    question: str
    found: Paths


def run(paths: int, rungs: int, settings: dict[str, Any], judging: dict[str, Any]) -> tuple[PathConvergence, ...]:
    """Label noise on a diagonal network and on a tanh network, Langevin noise on the hyperbola.

    Parameters
    ----------
    paths, rungs : int
        As in `compare.paths`.
    settings : mapping
        seed, threads and progress of every simulation.
    judging : mapping
        confidence; a tolerance in it is that of means, and the one of paths stays at its default.
    """
    from sgdlimits.compare import paths as compare_paths
    from sgdlimits.diffusions import ManifoldLimit
    from sgdlimits.discrete import NoisyGradientDescent
    from sgdlimits.problems import noise, zero_loss

    options = settings | {key: judging[key] for key in ("confidence",) if key in judging}

    def compared(model: Any, mechanism: Any, step_size: float, start: tuple[float, ...], **asked: Any) -> Paths:
        descent, w0 = NoisyGradientDescent(model, mechanism, step_size), np.array(start)
        return compare_paths(descent, ManifoldLimit.of(descent, start=w0), w0, **asked, **options)

    network = zero_loss.DiagonalLinearNetwork(np.array(FEATURES), np.array(LABELS))
    shallow = zero_loss.ShallowNetwork(np.array(SHALLOW_FEATURES), np.array(SHALLOW_LABELS), 2)
    return (
        PathConvergence(
            "diagonal network, label noise",
            "The noise has no part along the set off it either: paths err like their mean.",
            compared(
                network, noise.LabelNoise(0.5), 0.05, NETWORK_START, time=0.5, paths=min(paths, NETWORK_PATHS),
                rungs=rungs, looks=8,
            ),
        ),
        PathConvergence(
            "tanh network, label noise",
            "Off the set the noise has a part along it: paths err by the root of the step size.",
            compared(
                shallow, noise.LabelNoise(1.0), 0.05, SHALLOW_START, time=0.5, paths=min(paths, SHALLOW_PATHS),
                rungs=min(rungs, 3), looks=4,
            ),
        ),
        PathConvergence(
            "hyperbola, Langevin noise",
            "The limit is random: laws at several times jointly, of the largest x² − y², and of the time at which it "
            "leaves an interval.",
            compared(
                zero_loss.Hyperbola(), noise.Langevin(0.5), 0.04, LINE_START, time=2.0,
                paths=LINE_SHARE * paths, rungs=2, looks=8,
                coordinate=lambda w: w[..., 0] ** 2 - w[..., 1] ** 2, exit_interval=LEFT,
            ),
        ),
    )  # fmt: skip
