"""Noise of which moments are known and nothing is drawn: of it there are exact laws, and no paths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from sgdlimits.ensembles.engine import Simulator
from sgdlimits.ensembles.random import Noise
from sgdlimits.exact.errors import InvalidInput

from ..rules.curved import Curvature
from .additive import Additive
from .source import Descent


@dataclass(frozen=True, eq=False)
class MomentsOnly(Additive):
    """Of a quadratic whose noise depends on the position; the Hessian of all samples is known."""

    def _refuse(self) -> NoReturn:
        raise InvalidInput(
            f"{type(self.problem).__name__} knows moments of its noise, from which nothing is drawn: simulate SGD on "
            "the loss or the data behind it"
        )

    def gradient(self, k: int, x: np.ndarray, noise: Noise) -> np.ndarray:
        self._refuse()

    def lacks(self, asked: Curvature) -> str:
        if (asked.matrix, asked.samples) != ("hessian", "all"):
            return (
                f"{type(self.problem).__name__} knows moments of its noise, from which no batch is drawn: take "
                "DampedNewton, whose Hessian is of all samples, or the loss or the data behind it"
            )
        return ""

    def simulator(self, descent: Descent) -> Simulator:
        self._refuse()
