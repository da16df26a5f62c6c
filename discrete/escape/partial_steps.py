"""A descent whose Gaussian noise comes in parts, so that paths can be told apart within one step.

A part of a step's noise is a step of this recurrence; after `parts` of them the position is that of the descent, in
law the same. Splitting over levels cannot gain from where a path is when one step of noise takes it all the way; from
where it is within the step it can.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sgdlimits.ensembles.random import Noise
from sgdlimits.ensembles.recurrences import RecurrenceSimulator
from sgdlimits.exact.errors import OutOfReach
from sgdlimits.problems.basin import Basin, Scores

from .descent import LandscapeDescent
from .models import StepModel

LARGE = 0.6  # of the stationary variance: of a step, from which it is divided
SMALL = 0.2  # of the stationary deviation: how far a part of the noise should take a path
MOST = 64
AHEAD = 6  # steps that are looked ahead
FAR = 1e3  # standard deviations: nothing is told apart beyond
FORGOTTEN = 30.0  # powers of e by which a path has forgotten its start
SLOWEST = 1e-5  # powers of e a step, below which that takes too long

State = dict[str, np.ndarray]


def parts_of(descent: LandscapeDescent, covariance: np.ndarray) -> int:
    """Into how many parts the noise of a step is divided; 1 where steps are small as they are."""
    if descent.law is not None:
        return 1
    step = descent.step_size**2 * descent.covariance(descent.landscape.minimum[None])[0]
    largest = np.linalg.eigvals(np.linalg.solve(covariance, step)).real.max()
    return 1 if largest <= LARGE else min(MOST, math.ceil(largest / SMALL**2))


def settled_after(model: StepModel) -> int:
    """Steps after which the linear recurrence at the minimum has forgotten its start.

    Raises
    ------
    OutOfReach
        If it takes too long to be simulated.
    """
    pace = -math.log(max(model.radius, 1e-6))
    if pace < SLOWEST:
        steps = f"about {FORGOTTEN / pace:.2g} steps" if pace > 0 else "more steps than numbers can tell"
        raise OutOfReach(
            f"at step_size {model.step_size:g} paths forget their start in {steps}, more than are simulated: pass "
            "burn_in, or ask for escape.kramers, which is near at small step sizes"
        )
    return math.ceil(FORGOTTEN / pace) + 20


@dataclass(frozen=True, eq=False)
class PartialSteps:
    """The recurrence; its position is (where the path is within its step (d,), parts that are done)."""

    descent: LandscapeDescent
    parts: int

    def initial_state(self, x0: np.ndarray) -> State:
        """At the beginning of a step."""
        x = np.array(x0[:, :-1])
        return {"x": x, "m": np.zeros_like(x), "y": x.copy(), "done": np.zeros(len(x))}

    def step(self, k: int, state: State, noise: Noise) -> State:
        """One part of a step."""
        descent, size = self.descent, self.descent.step_size
        x, m, y, done = (state[name].copy() for name in ("x", "m", "y", "done"))
        new = done == 0
        if new.any():
            pull = descent.landscape.gradient(x[new]) + descent.momentum * m[new]
            y[new] = x[new] - size * pull
        y -= size / math.sqrt(self.parts) * descent.drawn(k, x, noise)
        done += 1
        whole = done == self.parts
        m[whole] = (x[whole] - y[whole]) / size
        x[whole] = y[whole]
        done[whole] = 0
        return {"x": x, "m": m, "y": y, "done": done}

    def position(self, state: State) -> np.ndarray:
        """(P, d + 1)."""
        return np.column_stack([state["y"], state["done"]])

    def simulator(self) -> RecurrenceSimulator:
        """What the engine advances."""
        return RecurrenceSimulator(self, self.descent.dimension + 1)

    def importance(self, model: StepModel, basin: Basin) -> Scores:
        """How many standard deviations of what lies ahead a path is away from leaving, at the best of the next steps.

        Without noise it would be at drift(drift(...)); the noise on the way there is taken as it is at the minimum.
        """
        d, parts = self.descent.dimension, self.parts
        a = model.transition
        spreads = [np.zeros((d, d))]
        for _ in range(AHEAD):
            spreads.append(a @ spreads[-1] @ a.T + model.noise)
        rest = [model.noise]
        for _ in range(AHEAD):
            rest.append(a @ rest[-1] @ a.T)
        nudge = 1e-5 * np.sqrt(np.diag(model.noise))

        def importance(x: np.ndarray) -> np.ndarray:
            y, done = x[:, :-1], x[:, -1]
            share = np.where(done > 0, 1 - done / parts, 0.0)
            best = np.full(len(y), -np.inf)
            for n in range(AHEAD + 1):
                missing = np.maximum(basin.level - basin.scores(y), 0.0)
                slope = np.stack([
                    (basin.scores(y + step) - basin.scores(y - step)) / (2 * nudge[i])
                    for i, step in enumerate(np.diag(nudge))
                ], axis=1)  # fmt: skip
                variance = np.einsum("pi,ij,pj->p", slope, spreads[n], slope)
                variance += share * np.einsum("pi,ij,pj->p", slope, rest[n], slope)
                with np.errstate(divide="ignore", invalid="ignore"):
                    away = np.where(variance > 0, missing / np.sqrt(variance), np.where(missing > 0, np.inf, 0.0))
                best = np.maximum(best, -np.minimum(away, FAR))
                with np.errstate(over="ignore", invalid="ignore"):
                    ahead = model.drift(y)
                y = np.where(np.isfinite(ahead).all(axis=1, keepdims=True), ahead, y)
            return best

        return importance

    def score(self, basin: Basin) -> Scores:
        """The basin's score, at the end of a step; within it a path has not left."""
        inside = np.nextafter(basin.level, -np.inf)

        def score(x: np.ndarray) -> np.ndarray:
            found = basin.scores(x[:, :-1])
            return np.where(x[:, -1] == 0, found, np.minimum(found, inside))

        return score
