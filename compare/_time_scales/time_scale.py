"""A time scale to be measured: one process and its motion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, finite_array, one_of, real_number, text

from ..rescaling import Quantity, ladder

LEVELS = {"drift": 0.1, "relaxation": 1e-3, "equilibration": 1 - np.exp(-1)}


@dataclass(frozen=True, eq=False)
class TimeScale:
    """One process and the motion whose time is measured.

    Parameters
    ----------
    process : NoisyGradientDescent, or any process with exact `moments` on least squares
    w0 : (m,) array
    kind : {"drift", "relaxation", "equilibration"}, optional
        drift: E of a quantity of Phi(w_k) passes `level`. relaxation: the distance to where the process settles falls
        to `level` times its start, noise left out. equilibration: E |w_k - Phi(w_k)|^2, from a start on the zero-loss
        set, rises to `level` times its plateau; as the noise goes to zero, exactly, for plain descent without
        minibatches or carried noise, else over paths. Default: drift; relaxation on least squares.
    quantity : function of points (P, m) of the set with values (P,), optional
        Of a drift; default: the displacement along the limit's way.
    level : float, optional
        Default: a displacement of 0.1 for a drift, 1e-3 for a relaxation, 1 - 1/e for an equilibration.
    step_sizes, noise_levels : decreasing sequences, optional
        The ladders; default those of `time_scales`. The step size runs at the noise level of the process as given,
        and the noise level at its step size.
    label : str, optional
    """

    process: Any
    w0: Any
    kind: str | None = None
    quantity: Quantity | None = None
    level: Any = None
    step_sizes: Sequence[float] | None = None
    noise_levels: Sequence[float] | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        along_set = hasattr(self.process, "model") and hasattr(self.process, "noise")
        if not along_set and not callable(getattr(self.process, "moments", None)):
            raise InvalidInput(
                f"no time can be measured for {type(self.process).__name__}: NoisyGradientDescent, or a process on "
                "least squares with moments(x0, steps), is needed"
            )
        kind = self.kind if self.kind is not None else "drift" if along_set else "relaxation"
        one_of("kind", kind, LEVELS)
        if not along_set and kind != "relaxation":
            raise InvalidInput(f"on least squares only the relaxation is measured, got kind={kind!r}")
        if self.quantity is not None and (kind != "drift" or not callable(self.quantity)):
            raise InvalidInput("quantity must be a function of points (P, m), and belongs to a drift")
        level = real_number("level", LEVELS[kind] if self.level is None else self.level)
        if kind != "drift" and not 0 < level < 1:
            raise InvalidInput(f"level must be above 0 and below 1 for a {kind}, got {level:g}")
        if self.quantity is None and level <= 0:
            raise InvalidInput(f"level is a distance here and must be above 0, got {level:g}")
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "level", level)
        space = self.process.model if along_set else self.process.problem
        object.__setattr__(self, "w0", finite_array("w0", self.w0, shape=(space.dimension,)))
        for given, values in (("step_sizes", self.step_sizes), ("noise_levels", self.noise_levels)):
            if values is not None:
                ladder(given, values, values)
        if self.label is not None:
            text("label", self.label)
        name = getattr(self.process, "label", type(self.process).__name__).removeprefix("noisy gradient descent, ")
        object.__setattr__(self, "label", self.label or (name if kind == "drift" else f"{name}, {kind}"))
