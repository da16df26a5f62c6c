"""A built-in diffusion of SGD run by any scheme, many paths at a time: SGD steps outside, the scheme's dt inside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.ensembles import Brownian, Noise, packs
from sgdlimits.ensembles.initial import Gaussian, initial_state
from sgdlimits.exact.errors import seed_number, whole_number

from .adapters import LibraryScheme, LibrarySimulator
from .coefficients import Coefficients
from .scheme import Scheme
from .simulation import SchemeSimulator


@dataclass(frozen=True, eq=False)
class ProcessSimulator:
    """A `Simulator` around `SchemeSimulator`.

    A process with modes is run there.
    """

    process: Any
    inner: SchemeSimulator | LibrarySimulator
    substeps: int
    modes: bool
    compiled: bool = False

    @classmethod
    def of(
        cls, process: Any, scheme: Scheme, substeps: int, steps: int, x0: Any, seed: int, quality: str
    ) -> ProcessSimulator:
        """Check that the scheme treats the noise, and make the simulator."""
        substeps = whole_number("substeps", substeps, 1)
        initial = initial_state(x0, process.dimension)
        start = initial.mean if isinstance(initial, Gaussian) else np.atleast_2d(initial)[:16]
        modes = process.in_modes()
        if modes is not None:
            start = process.problem.to_modes(start)
        coefficients = Coefficients(process if modes is None else modes, 0.0, start)
        scheme.check(coefficients)
        count = max(whole_number("steps", steps), 1)
        brownian = Brownian(
            float(process.clock.time(count)), count * substeps, coefficients.noise_dimension,
            seed_number(seed), quality, scheme.areas,
        )  # fmt: skip
        inner: Any = LibrarySimulator if isinstance(scheme, LibraryScheme) else SchemeSimulator
        return cls(process, inner(coefficients, scheme, brownian, 0.0), substeps, modes is not None)

    @property
    def dimension(self) -> int:
        """Number of coordinates d."""
        return self.inner.dimension

    def start(self, positions: np.ndarray, noise: Noise) -> Any:
        if self.modes:
            problem = self.process.problem
            positions = _rotated(positions - problem.minimiser, problem.eigenvectors.T)
        return self.inner.start(positions, noise)

    def advance(self, state: Any, first: int, last: int, noise: Noise) -> None:
        self.inner.advance(state, first * self.substeps, last * self.substeps, noise)

    def positions(self, state: Any) -> np.ndarray:
        positions = self.inner.positions(state)
        if not self.modes:
            return positions
        problem = self.process.problem
        return _rotated(positions, problem.eigenvectors) + problem.minimiser

    def measure(self, name: str, state: Any) -> np.ndarray | None:
        return self.process.problem.risk(self.positions(state)) if name == "risk" else None

    def overflow_steps(self, state: Any) -> np.ndarray:
        steps = self.inner.overflow_steps(state)
        return np.where(steps < 0, -1, -(-steps // self.substeps))


def _rotated(x: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    # Pack by pack: the bits of a matrix product may depend on its number of rows.
    return packs.unpack(packs.rotate(packs.pack(x), np.ascontiguousarray(matrix)))
