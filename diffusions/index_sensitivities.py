"""How the tail index of homogenized SGD moves with step size, ridge, one eigenvalue and batch size. Derived."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.exact.diffusion_sensitivities import Change, index_slopes
from sgdlimits.exact.errors import InvalidInput, OutOfReach, some_of
from sgdlimits.exact.index_sensitivities import PARAMETERS, Derivative, TailIndexSensitivities
from sgdlimits.exact.moment_exponents import LinearNoise

from .tails import diffusion_tail_index, linear_noise, noise_dies

if TYPE_CHECKING:
    from .homogenized import HomogenizedSGD


def homogenized_sensitivities(
    process: HomogenizedSGD, parameters: Sequence[str] | None, seed: int, threads: int | None
) -> TailIndexSensitivities:
    """As `HomogenizedSGD.tail_index_sensitivities`."""
    chosen = some_of("parameters", parameters, PARAMETERS)
    index = diffusion_tail_index(process, seed, threads)
    if not math.isfinite(index.index):
        raise InvalidInput(
            f"the tail index of {process.label} is infinite ({index.note}): it does not move"
            + ("; add label noise" if noise_dies(process) else "")
        )
    noise = linear_noise(process)
    assert isinstance(noise, LinearNoise)  # a rank one, always
    size, batch, ridge = float(process.step_size), float(process.batch_size), process.quadratic.ridge
    h = process.quadratic.eigenvalues[process.quadratic.eigenvalues > 0]

    def moved(step: float = 0.0, shift: float = 0.0, stretch: Any = 0.0, batches: float = 0.0) -> LinearNoise:
        """At step_size (1 + step), ridge + shift, eigenvalues (1 + stretch) and 1 / batch_size (1 + batches)."""
        rates = size * (1 + step) * (h * (1 + stretch) + ridge + shift)
        rates = rates + rates**2 / 2 if process.drift_order == 2 else rates
        spread = noise.spread * (1 + step) ** 2 * (1 + stretch) * (1 + batches)
        return replace(noise, rates=rates, spread=spread, coupling=noise.coupling * (1 + stretch))

    def stretched(each: np.ndarray) -> Change:
        return lambda t: moved(stretch=t * each)

    scale = float(h.max()) + abs(ridge)
    together = noise.isotropic and h.size > 1  # k is symmetric in all of them: each has an equal part
    stretches = [np.ones(h.size)] if together else list(np.eye(h.size))
    changes: dict[str, list[tuple[Change, float]]] = {
        "step_size": [(lambda t: moved(step=t), size)], "ridge": [(lambda t: moved(shift=scale * t), scale)],
        "eigenvalue": [
            (stretched(each), float(h[0]) * h.size if together else float(h @ each)) for each in stretches
        ],
        "batch_size": [(lambda t: moved(batches=t), -batch)],
    }  # fmt: skip
    asked = [(name, *pair) for name in chosen for pair in changes[name]]
    slopes = index_slopes(noise, index, [change for _, change, _ in asked])
    if slopes is None:
        raise OutOfReach(
            f"the derivatives of the tail index of {process.label}, {index!r}, are not resolved by its spectrum: take "
            "differences of tail_index() over settings far apart"
        )
    found: dict[str, Any] = {"index": index}
    parts = [Derivative(each.value / per, each.error / abs(per)) for each, (_, _, per) in zip(slopes, asked)]
    for (name, _, _), part in zip(asked, parts):
        if name == "eigenvalue":
            found[name] = (*found.get(name, ()), *([part] * h.size if together else [part]))
        else:
            found[name] = part
    return TailIndexSensitivities(**found)
