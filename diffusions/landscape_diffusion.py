"""The diffusion of a descent of a landscape, by Euler's scheme: homogenized SGD and Langevin on a landscape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import numpy as np

from sgdlimits.ensembles.engine import run
from sgdlimits.ensembles.limits import beyond, mark
from sgdlimits.ensembles.random import Noise, Purpose
from sgdlimits.ensembles.results import ensemble_dataset
from sgdlimits.ensembles.simulators import ArraySimulator, PathArrays
from sgdlimits.exact.claims import Claim
from sgdlimits.exact.clock import Clock, gradient_flow_clock
from sgdlimits.exact.errors import (
    InvalidInput,
    axes,
    calling,
    instance_of,
    kind,
    non_negative,
    points,
    positive,
    real_array,
    text,
    whole_number,
)
from sgdlimits.problems.landscapes import Landscape

if TYPE_CHECKING:
    import xarray

INCREMENTS = 4  # of Euler's scheme per step


@dataclass(frozen=True, eq=False)
class LandscapeDiffusion:
    """dX = -grad U(X) dt + sqrt(step_size C(X)) dB in gradient-flow time; one step is step_size of it.

    Parameters
    ----------
    landscape : Landscape
    step_size : float
    noise : float, or function of positions (P, d)
        C, covariance of the gradient noise: a variance in each coordinate, or a function with variances (P,) or
        covariances (P, d, d).
    substeps : int
        Euler's increments per step; with one it is a descent with Gaussian noise.
    label : str
    """

    landscape: Any
    step_size: float
    noise: Any
    substeps: int = INCREMENTS
    label: str = "diffusion on the landscape"

    claims: ClassVar[tuple[Claim, ...]] = (
        Claim(
            "expectations of smooth functions over a fixed gradient-flow time differ from those of the descent by a "
            "multiple of the step size",
            ("gradient and root of the covariance are smooth with bounded derivatives",),
            "li2019",
            1.0,
        ),
    )

    def __post_init__(self) -> None:
        instance_of("landscape", self.landscape, Landscape, "see sgdlimits.problems.landscapes and .wells")
        object.__setattr__(self, "step_size", positive("step_size", self.step_size))
        object.__setattr__(self, "substeps", whole_number("substeps", self.substeps, 1))
        text("label", self.label)
        if callable(self.noise):
            self.covariance(self.landscape.minimum[None])
        elif axes(self.noise) == 0:
            object.__setattr__(self, "noise", positive("noise", self.noise))
        else:
            raise InvalidInput(f"noise must be a variance or a function of positions, got {kind(self.noise)}")

    @classmethod
    def of(cls, descent: Any, substeps: int = INCREMENTS, label: str = "diffusion of the descent") -> Self:
        """With the landscape, the step size and the covariance of the noise of a descent without momentum."""
        if not hasattr(descent, "covariance") or not hasattr(descent, "landscape"):
            raise InvalidInput(f"descent must be a LandscapeDescent, got {kind(descent)}")
        if descent.momentum:
            raise InvalidInput(f"the descent has momentum {descent.momentum:g}: its diffusion lives on two numbers")
        return cls(descent.landscape, descent.step_size, descent.covariance, substeps, label)

    @classmethod
    def homogenized(
        cls, landscape: Any, step_size: float, batch_size: int, floor: float = 0.0, substeps: int = INCREMENTS
    ) -> Self:
        """Homogenized SGD on a landscape: C = 2 (U + floor) H / batch_size, H the Hessian at the minimum.

        Where U is 0 at the minimum a floor above 0 is needed, or the noise dies out there and nothing leaves.

        Raises
        ------
        InvalidInput
            If U + floor is below 0 at the minimum; when it is run, if it is so elsewhere.
        """
        instance_of("landscape", landscape, Landscape, "see sgdlimits.problems.landscapes and .wells")
        batch, floor = whole_number("batch_size", batch_size, 1), non_negative("floor", floor)
        hessian = landscape.hessian(landscape.minimum)

        def covariance(x: np.ndarray) -> np.ndarray:
            loss = landscape.potential(x) + floor
            if (loss < 0).any():
                raise InvalidInput(
                    f"homogenized SGD takes U + floor for a loss, but it is {loss.min():.4g} somewhere: raise floor "
                    f"above {floor - loss.min():.4g}"
                )
            return 2 * loss[:, None, None] / batch * hessian

        return cls(landscape, step_size, covariance, substeps, "homogenized SGD on the landscape")

    @property
    def dimension(self) -> int:
        """d."""
        return self.landscape.dimension

    @property
    def clock(self) -> Clock:
        """One step is step_size in gradient-flow time."""
        return cast(Clock, gradient_flow_clock(self.step_size))

    def covariance(self, x: np.ndarray) -> np.ndarray:
        """C (P, d, d) at positions (P, d)."""
        d = self.dimension
        if not callable(self.noise):
            return np.broadcast_to(self.noise * np.eye(d), (len(x), d, d))
        with calling("noise"):
            given = self.noise(x)
        found = real_array("what noise returns", given)
        found = found[:, None, None] * np.eye(d) if found.shape == x.shape[:1] else found
        if found.shape != (*x.shape, d) or not (np.einsum("pii->pi", found) >= 0).all():
            raise InvalidInput(
                f"noise must give variances (P,) or covariances (P, d, d), none below zero, for positions {x.shape}, "
                f"got shape {np.shape(given)} and the least {np.min(given):.4g}"
            )
        return found

    def drift(self, t: Any, x: np.ndarray) -> np.ndarray:
        """-grad U at x (P, d)."""
        return -self.landscape.gradient(points("x", x, self.dimension, finite=False))

    def diffusion(self, t: Any, x: np.ndarray) -> np.ndarray:
        """Symmetric root (P, d, d) of step_size C at x (P, d)."""
        values, vectors = np.linalg.eigh(self.step_size * self.covariance(x))
        return (vectors * np.sqrt(np.maximum(values, 0))[:, None]) @ np.swapaxes(vectors, 1, 2)

    def simulator(self) -> ArraySimulator:
        """What the engine advances."""
        length, d = self.step_size / self.substeps, self.dimension

        def advance(state: PathArrays, first: int, last: int, noise: Noise) -> None:
            for k in range(first, last):
                normals = np.sqrt(length) * noise.normals(Purpose.BROWNIAN, k, d)
                out = beyond(state.x)  # such paths stand still: nothing is asked for there
                x = np.where(out[:, None], 0.0, state.x) if out.any() else state.x
                if d == 1:
                    move = np.sqrt(self.step_size * self.covariance(x)[:, 0]) * normals
                else:
                    move = np.einsum("pij,pj->pi", self.diffusion(0.0, x), normals)
                with np.errstate(over="ignore", invalid="ignore"):  # what overflows is reported by the engine, once
                    moved = state.x + length * self.drift(0.0, x) + move
                state.x = np.where(out[:, None], state.x, moved)
                mark(state.overflow, state.x, k + 1)

        measures = {"risk": lambda state: self.landscape.potential(state.x)}
        return ArraySimulator(self.label, d, advance, measures=measures, substeps=self.substeps, compiled=False)

    def simulate(
        self, x0: Any, steps: int, paths: int, observables: Any = ("state",),
        record: int | Sequence[int] | None = None, seed: int = 0, **options: Any,
    ) -> xarray.Dataset:  # fmt: skip
        """Sample independent paths by Euler's scheme; `options` as in `sgdlimits.ensembles.run`.

        Returns
        -------
        xarray.Dataset
            One variable an observable, with dims (path, step[, coordinate]).
        """
        ensemble = run(
            self.simulator(), x0, steps=steps, paths=paths, observables=observables, record=record, seed=seed,
            local_noise="Euler's scheme on a landscape says nothing of passages between its increments", **options,
        )  # fmt: skip
        attributes = {
            "process": self.label, "step_size": self.step_size, "clock": repr(self.clock), "solver": "euler",
            "substeps": self.substeps,
        }  # fmt: skip
        return ensemble_dataset(ensemble, attributes, self.clock.time(ensemble.record), self)
