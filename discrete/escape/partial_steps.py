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
from sgdlimits.exact.compiling import compiled
from sgdlimits.exact.errors import OutOfReach
from sgdlimits.problems.basin import Basin, Scores

from .basins import edge_points
from .descent import LandscapeDescent
from .models import StepModel

LARGE = 0.6  # of the stationary variance: of a step, from which it is divided
SMALL = 0.2  # of the stationary deviation: how far a part of the noise should then take a path
STEEP = 2.5  # powers of e by which a deviation of a step changes the rate ahead, from which it is divided
GENTLE = 2.0  # the same of a part
MOST = 64
AHEAD = (0, 1, 2, 3, 4, 6, 8, 11, 15, 20, 27, 36)  # steps that are looked ahead
WAY = 1.2  # powers of e by which a path comes back in the time that is looked ahead
FORGOTTEN = 12.0  # powers of e by which a path has forgotten its start
FAR = 1e3  # standard deviations: nothing is told apart beyond
SLOWEST = 1e-5  # powers of e a step, below which that takes too long
SEGMENT = 41  # points between the minimum and the saddle
REACH = 12.0  # standard deviations that a table on a line spans
GRID, PAIRS = 4000, (400, 160)  # its points; with momentum in the position and in the last move

State = dict[str, np.ndarray]


def parts_of(descent: LandscapeDescent, model: StepModel, basin: Basin) -> int:
    """Into how many parts the noise of a step is divided; 1 where steps are small as they are."""
    if descent.law is not None:
        return 1
    covariance = model.covariance()
    largest = np.linalg.eigvals(np.linalg.solve(covariance, _at_once(model))).real.max()
    parts = 1 if largest <= LARGE else math.ceil(largest / SMALL**2)
    steepest = _steepest(descent, model, basin, covariance)
    if steepest > STEEP:
        parts = max(parts, math.ceil((steepest / GENTLE) ** 2))
    return min(MOST, parts)


def _steepest(descent: LandscapeDescent, model: StepModel, basin: Basin, covariance: np.ndarray) -> float:
    """Slope of the exponent of the rate ahead, in deviations of a step, where it is largest on the straight way out."""
    landscape, minimum = descent.landscape, model.minimum
    if landscape.saddle is not None and basin is model.basin:
        points = minimum + np.linspace(0, 1, SEGMENT)[:, None] * (landscape.saddle - minimum)
        slope = landscape.gradient(points)
        pulled = np.einsum("pij,pj->pi", np.linalg.pinv(descent.covariance(points)), slope)
        pace = (1 - descent.momentum) * (1 + descent.momentum if descent.nesterov else 1.0)
        return 2 * pace * math.sqrt(max(np.einsum("pi,pi->p", slope, pulled)))
    pulls = np.linalg.solve(covariance, (edge_points(basin, minimum) - minimum).T).T
    nearest = pulls[np.einsum("pi,ij,pj->p", pulls, covariance, pulls).argmin()]
    return math.sqrt(nearest @ _at_once(model) @ nearest)


def _at_once(model: StepModel) -> np.ndarray:
    """Covariance (d, d) of what one step's noise does to the position: with Nesterov's momentum more than its own."""
    return model.whole_noise[: model.dimension, : model.dimension]


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
    """The recurrence; its position is (where the path is within its step (d,), what it keeps of before (d,), parts that
    are done). Without momentum it keeps nothing.
    """

    descent: LandscapeDescent
    parts: int

    def initial_state(self, x0: np.ndarray) -> State:
        """At the beginning of a step."""
        x = np.array(x0[:, : self.descent.dimension])
        return {"x": x, "m": np.zeros_like(x), "y": x.copy(), "done": np.zeros(len(x))}

    def step(self, k: int, state: State, noise: Noise) -> State:
        """One part of a step."""
        descent, size, mu = self.descent, self.descent.step_size, self.descent.momentum
        x, m, y, done = (state[name].copy() for name in ("x", "m", "y", "done"))
        ahead = 1 + mu if descent.nesterov else 1.0
        new = done == 0
        if new.any():
            slope = descent.landscape.gradient(x[new])
            y[new] = x[new] - size * (ahead * slope + (mu * mu if descent.nesterov else mu) * m[new])
        y -= size * ahead / math.sqrt(self.parts) * descent.drawn(k, x, noise)
        done += 1
        whole = done == self.parts
        m[whole] = self._momentum(x[whole], m[whole], y[whole])
        x[whole] = y[whole]
        done[whole] = 0
        return {"x": x, "m": m, "y": y, "done": done}

    def _momentum(self, x: np.ndarray, m: np.ndarray, y: np.ndarray) -> np.ndarray:
        """After a step from x with m that ended at y."""
        mu, moved = self.descent.momentum, (x - y) / self.descent.step_size
        return mu * m + (moved - mu * mu * m) / (1 + mu) if self.descent.nesterov else moved

    def position(self, state: State) -> np.ndarray:
        """(P, d + 1), with momentum (P, 2 d + 1)."""
        descent, y, done = self.descent, state["y"], state["done"]
        if not descent.momentum:
            return np.column_stack([y, done])
        m = np.where(done[:, None] > 0, self._momentum(state["x"], state["m"], y), state["m"])
        reach = descent.momentum if descent.nesterov else 1.0
        return np.column_stack([y, y + descent.step_size * reach * m, done])

    @property
    def dimension(self) -> int:
        """Of its position."""
        return self.descent.dimension * (2 if self.descent.momentum else 1) + 1

    def start(self, x: np.ndarray) -> np.ndarray:
        """Its position at rest at x (d,)."""
        return np.r_[x, x, 0.0] if self.descent.momentum else np.r_[x, 0.0]

    def simulator(self) -> RecurrenceSimulator:
        """What the engine advances."""
        return RecurrenceSimulator(self, self.dimension)

    def importance(self, model: StepModel, basin: Basin) -> Scores:
        """How many standard deviations of what lies ahead a path is away from leaving, at the best of the next steps.

        Without noise it would go on as the drift leads; the noise on the way is taken as it is at the minimum. On a
        line without momentum from a table.
        """
        looking = self._looking_ahead(model, basin)
        if model.dimension > 1:
            return looking
        whole = model.whole_covariance()
        sizes = PAIRS if model.momentum else (GRID, 1)
        spreads = math.sqrt(whole[0, 0]), math.sqrt(whole[0, 0] + whole[1, 1] - 2 * whole[0, 1])
        y, move = (np.linspace(-REACH, REACH, n) * spread if n > 1 else np.zeros(1)
                   for n, spread in zip(sizes, spreads, strict=True))  # fmt: skip
        y = y + float(model.minimum[0])
        places = np.stack(np.meshgrid(y, move, indexing="ij"), axis=-1).reshape(-1, 2)
        places[:, 1] = places[:, 0] - places[:, 1]
        kept = places if model.momentum else places[:, :1]
        rows = [looking(np.column_stack([kept, np.full(len(kept), float(done))])) for done in range(self.parts)]
        table = np.array(rows).reshape(self.parts, *sizes)
        if not model.momentum:
            table, move = np.repeat(table, 2, axis=2), np.array([-1.0, 1.0])
        grid = np.array([y[0], y[1] - y[0], move[0], move[1] - move[0]])
        return lambda x: _looked_up(table, grid, np.ascontiguousarray(x))

    def _looking_ahead(self, model: StepModel, basin: Basin) -> Scores:
        d, parts = self.descent.dimension, self.parts
        horizon = max(AHEAD[5], WAY / max(-math.log(max(model.radius, 1e-6)), 1e-3))
        looks = [n for n in AHEAD if n <= horizon]
        one = [model.whole_noise]
        for _ in range(looks[-1]):
            one.append(model.whole @ one[-1] @ model.whole.T)
        ones = [each[:d, :d] for each in one]
        spreads = [sum(ones[:n], np.zeros((d, d))) for n in looks]
        nudge = np.diag(1e-5 * np.sqrt(np.diag(model.noise)))
        moves = np.concatenate([np.zeros((1, d)), nudge, -nudge])

        def importance(x: np.ndarray) -> np.ndarray:
            y, before, done = x[:, :d], x[:, d : 2 * d], x[:, -1]
            share = np.where(done > 0, 1 - done / parts, 0.0)
            places = []
            for n in range(looks[-1] + 1):
                if n in looks:
                    places.append(y)
                with np.errstate(over="ignore", invalid="ignore"):
                    after, then = model.ahead(y, before)
                stays = ~np.isfinite(after).all(axis=1)
                y, before = np.where(stays[:, None], y, after), then
            shifted = np.array(places)[:, None] + moves[:, None]
            scores = basin.scores(shifted.reshape(-1, d)).reshape(len(looks), 2 * d + 1, len(x))
            missing = np.maximum(basin.level - scores[:, 0], 0.0)
            slope = (scores[:, 1 : d + 1] - scores[:, d + 1 :]) / (2 * np.diag(nudge))[:, None]
            best = np.full(len(x), -FAR)
            for n, short, steep, spread in zip(looks, missing, slope, spreads, strict=True):
                variance = ((spread @ steep) * steep).sum(axis=0) + share * ((ones[n] @ steep) * steep).sum(axis=0)
                with np.errstate(divide="ignore", invalid="ignore"):
                    away = np.where(variance > 0, short / np.sqrt(variance), np.where(short > 0, np.inf, 0.0))
                best = np.maximum(best, -away)
            return best

        return importance

    def score(self, basin: Basin) -> Scores:
        """The basin's score, at the end of a step; within it a path has not left."""
        inside, d = np.nextafter(basin.level, -np.inf), self.descent.dimension

        def score(x: np.ndarray) -> np.ndarray:
            found = basin.scores(x[:, :d])
            return np.where(x[:, -1] == 0, found, np.minimum(found, inside))

        return score


@compiled
def _looked_up(table, grid, x):
    """Between the nearest values of the table: of the parts that are done, at the position and the last move."""
    out = np.empty(x.shape[0])
    last, most = x.shape[1] - 1, (table.shape[1] - 2, table.shape[2] - 2)
    for p in range(x.shape[0]):
        row = int(x[p, last])
        a = min(max((x[p, 0] - grid[0]) / grid[1], 0.0), most[0] + 1.0)
        move = x[p, 0] - x[p, 1] if last == 2 else 0.0
        b = min(max((move - grid[2]) / grid[3], 0.0), most[1] + 1.0)
        i, j = min(int(a), most[0]), min(int(b), most[1])
        a, b = a - i, b - j
        low = (1 - b) * table[row, i, j] + b * table[row, i, j + 1]
        high = (1 - b) * table[row, i + 1, j] + b * table[row, i + 1, j + 1]
        out[p] = (1 - a) * low + a * high
    return out
