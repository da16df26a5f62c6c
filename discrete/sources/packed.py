"""Descents of a quadratic in packs of paths: in the eigenbasis (not centred) where the rule allows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sgdlimits.ensembles import packs
from sgdlimits.ensembles.random import Noise
from sgdlimits.ensembles.simulators import ArraySimulator, PathArrays
from sgdlimits.problems.quadratic import QuadraticProblem

from ..rules import Rule


@dataclass(frozen=True, eq=False)
class PackedPaths:
    """The coordinates in which packs of paths are moved.

    Attributes
    ----------
    problem : QuadraticProblem
    rule : Rule
    """

    problem: QuadraticProblem
    rule: Rule

    @property
    def modal(self) -> bool:
        """Whether these are the modes."""
        return self.rule.equivariant

    @cached_property
    def basis(self) -> np.ndarray:
        """Eigenvectors (d, d), one a column."""
        return np.ascontiguousarray(self.problem.eigenvectors)

    @cached_property
    def into(self) -> np.ndarray:
        """From positions to modes (d, d)."""
        return np.ascontiguousarray(self.problem.eigenvectors.T)

    @cached_property
    def _bottom(self) -> np.ndarray:
        return self.problem.eigenvectors.T @ self.problem.least_risk_point

    def simulator(self, name: str, advance: Callable[[PathArrays, int, int, Noise], None]) -> ArraySimulator:
        """Of a loop that advances the packs."""
        return ArraySimulator(
            name, self.problem.dimension, advance, self._enter, self._leave,
            {"risk": self._risk, "norm": lambda state: packs.norm(state.x)}, self._kept, packed=True,
        )  # fmt: skip

    def _enter(self, positions: np.ndarray) -> np.ndarray:
        packed = packs.pack(positions)
        return packs.rotate(packed, self.into) if self.modal else packed

    def _leave(self, state: PathArrays) -> np.ndarray:
        return packs.unpack(packs.rotate(state.x, self.basis) if self.modal else state.x)

    def _kept(self, x: np.ndarray) -> dict[str, np.ndarray]:
        return {"slots": np.zeros((len(x), self.rule.slots, *x.shape[1:]))}

    def _risk(self, state: PathArrays) -> np.ndarray:
        problem, modes = self.problem, state.x if self.modal else packs.rotate(state.x, self.into)
        centred = modes - self._bottom[:, None]
        return packs.quadratic(centred, problem.least_risk, np.zeros(problem.dimension), 0.5 * problem.eigenvalues)
