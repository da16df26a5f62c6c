"""Losses over dimension and draw, each a cell of a sweep, so that they can be cut, resumed and shared by processes."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput

from .._sweep.driver import sweep

if TYPE_CHECKING:
    from sgdlimits.compare import ScalingLaws


def scaling_laws(
    alpha: float, beta: float, *, store: Any = None, workers: int | None = None, progress: Any = None, **options: Any
) -> ScalingLaws:
    """`compare.scaling_laws` through `studies.sweep`.

    Parameters
    ----------
    alpha, beta : float
    store, workers, progress
        As in `studies.sweep`: where finished draws are kept, and how many processes share them.
    **options
        Of `compare.scaling_laws`: dimensions, redraws, fraction, batch_size, ambient, steps, seed.

    Returns
    -------
    ScalingLaws
        The bits of `compare.scaling_laws`, whatever the workers.

    Raises
    ------
    InvalidInput
        If an option cannot be used, or a draw failed.
    """
    from sgdlimits.compare import ScalingLaws
    from sgdlimits.compare._scaling.draws import CURVES, Draw
    from sgdlimits.compare._scaling.plan import Plan

    plan = Plan.of(alpha, beta, **options)
    one_of_them = replace(plan, redraws=1)  # a cell knows nothing of how many there are, so that more can follow

    def cell(dimension: int, redraw: int) -> dict[str, Any]:
        return asdict(one_of_them.draw(dimension, redraw))

    over = {"dimension": list(plan.dimensions[::-1]), "redraw": list(range(plan.redraws))}
    found = sweep(cell, over, store, workers=workers, progress=progress)
    failures = [str(words) for words in np.atleast_1d(found["failure"].values).ravel() if str(words)]
    if failures:
        raise InvalidInput(failures[0])

    def one(dimension: int, redraw: int) -> Draw:
        here = found.sel(dimension=dimension, redraw=redraw)
        risk, poisson, homogenized, noiseless, kernel = (here[name].values for name in CURVES)
        numbers = float(here["floor"]), float(here["threshold"])
        return Draw(risk, poisson, homogenized, noiseless, kernel, *numbers)

    return ScalingLaws(plan.dataset({place: one(*place) for place in plan.cells}))
