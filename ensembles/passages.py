"""First passages: the step, or the time between steps, at which a function of the position first reaches a level."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.exact.derivative_check import check_derivative
from sgdlimits.exact.errors import InvalidInput, calling, flag, function, one_of, real_number, shown

from .observables import Function, Reducer, check_function

SENSES = ("steps", "continuous")
Gradient = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class FirstPassage(Reducer):
    """When the function is first at or below (at or above) a level; inf if never in the run.

    One number a path, whatever is recorded: the whole run is watched, its first step included (of a run that goes on
    from a saved state, only what follows). There are two senses, apart by a part that goes as the root of dt.

    "steps": the first step of the run at which the function is there. Nothing else can be said of SGD, so that this
    sense is the one in which a diffusion is compared with it.

    "continuous": the time at which the path of a diffusion passes, counted in steps and not whole; of
    `diffusions.integrate`, in the diffusion's time. Between the ends of
    an increment of the scheme (one of its substeps), at distances u and v before the level, the function is a Brownian
    bridge that passes with probability exp(-2 u v / s2), at a time drawn from that bridge's law; s2 is the variance
    |sigma^T gradient|^2 dt that the noise gives the function, with both taken at the increment's start. This is right
    to leading order, and exact where gradient and noise are constant (derived): what is left goes as dt. Without noise
    the function is linear in between. A level must be no stationary value of the function: of x^3 at 0 the gradient
    vanishes there, and what is left falls like the root of dt, from more than that of "steps". Where the noise changes
    much in an increment, it must be shortened: on the embedded data the risk of homogenized SGD comes down to a tenth
    of its excess after 22 steps if the increment is SGD's step, after 38 with substeps=16 and 39.5 with 64. So halve
    the increment until the passage stays.

    Of one function with one gradient a nearer level is never passed in a later increment than a farther one; within
    one increment the times of two levels are drawn apart, and their order is not promised. Levels on both sides, and
    different functions, have numbers of their own, by their order among the observables.

    Parameters
    ----------
    function : as in `Recorded`, with one number a path
    below, above : float
        The level; exactly one of the two.
    retire : bool
        When every observable asked is a retiring first passage, a path's run ends with its last passage
        (or its overflow): chunks whose paths have all ended are not advanced further, and what a path
        does after its end is not reported.
    sense : "steps" or "continuous"
    gradient : function of a (paths, d) array with values (paths, d), optional
        Of the function, for the continuous sense. Default: differences, 2 d calls an increment; "risk" and "norm" have
        their own.
    """

    function: Function
    below: float | None = None
    above: float | None = None
    retire: bool = False
    sense: str = "steps"
    gradient: Gradient | None = None

    def __post_init__(self) -> None:
        check_function(self.function)
        if (self.below is None) == (self.above is None):
            raise InvalidInput(
                "FirstPassage needs exactly one of below and above, "
                f"got below={shown(self.below)}, above={shown(self.above)}"
            )
        object.__setattr__(self, "retire", flag("retire", self.retire))
        side = "above" if self.below is None else "below"
        object.__setattr__(self, side, real_number(side, getattr(self, side)))
        one_of("sense", self.sense, SENSES)
        if self.gradient is not None:
            function("gradient", self.gradient, "of a (paths, d) array, or None")

    @property
    def side(self) -> str:
        """ "above" or "below"."""
        return "above" if self.below is None else "below"

    def distance(self, values: np.ndarray) -> np.ndarray:
        """How far (P,) values are before the level: 0 or less where they have reached it."""
        return values - self.below if self.above is None else self.above - values

    def next_step(self, after: int, record: np.ndarray) -> int:
        return after + 1

    def shape(self, recorded: int, tail: tuple[int, ...]) -> tuple[int, ...]:
        if tail:
            raise InvalidInput(
                f"FirstPassage needs one number a path, got a function with values of shape {tail}"
            )
        return ()

    def begin(self, out: np.ndarray, tail: tuple[int, ...]) -> np.ndarray:
        out[...] = np.inf
        return np.empty(0)

    def see(
        self, step: int, values: np.ndarray, record: np.ndarray, out: np.ndarray, running: np.ndarray
    ) -> None:
        if self.sense == "continuous":  # the times so far, which `Crossings` found between the steps
            out[...] = values
            return
        passed = values >= self.above if self.below is None else values <= self.below
        out[passed & np.isinf(out)] = step


@dataclass(frozen=True, eq=False)
class LocalNoise:
    """What a diffusion says of its noise within one of its own increments, in coordinates of its own.

    Parameters
    ----------
    variance : function (own_step, z, gradient) -> (P,)
        Variance over that increment of a function with this gradient (P, d) at z (P, d), to leading order.
    coordinates : function of a simulator's state
        z (P, d), in a fresh array.
    turn : function of gradients (P, d) in positions
        The same in these coordinates.
    gradients : mapping
        Of "risk" and "norm", as functions of z; of "risk" only where there is one.
    span : function (own_step) -> (begin, end), optional
        Where the increment that ends in this own step lies, counted in own steps. Default: it is the own step.
    """

    variance: Callable[[int, np.ndarray, np.ndarray], np.ndarray]
    coordinates: Callable[[Any], np.ndarray]
    turn: Callable[[np.ndarray], np.ndarray]
    gradients: Mapping[str, Gradient]
    span: Callable[[int], tuple[float, float]] = lambda own: (own, own + 1)


def is_continuous(reducer: Any) -> bool:
    """Whether this is a first passage in the continuous sense."""
    return isinstance(reducer, FirstPassage) and reducer.sense == "continuous"


def streams(reducers: Mapping[str, Any]) -> dict[str, int]:
    """Which random numbers each continuous first passage draws: those of one function and side share theirs."""
    numbers: dict[tuple, int] = {}
    found: dict[str, int] = {}
    for name, passage in reducers.items():
        if is_continuous(passage):
            asked = passage.function
            side = asked if isinstance(asked, str) else id(asked), passage.side
            found[name] = numbers.setdefault(side, len(numbers))
    return found


def passages_end(reducers: Mapping[str, Reducer]) -> bool:
    """Whether every observable is a first passage that retires its paths."""
    return all(isinstance(reducer, FirstPassage) and reducer.retire for reducer in reducers.values())


def continuous_passages(
    reducers: Mapping[str, Reducer], noise: LocalNoise | str | None, simulator: Any
) -> dict[str, FirstPassage]:
    """The first passages asked in the continuous sense.

    Parameters
    ----------
    reducers : mapping
    noise : LocalNoise, a sentence that says why there is none, or None for a recurrence
    simulator : Simulator

    Raises
    ------
    InvalidInput
        If there are any, and the process has no continuous time or says nothing of its noise; if a gradient is wrong.
    """
    found = {name: r for name, r in reducers.items() if isinstance(r, FirstPassage) and is_continuous(r)}
    if not found or isinstance(noise, LocalNoise):
        for name, passage in found.items():
            _check_gradient(name, passage, simulator.dimension)
        return found
    reason = f"{simulator.name} is defined at steps only" if noise is None else noise
    raise InvalidInput(
        f"observable {shown(next(iter(found)))} is a first passage in the continuous sense, but {reason}: take "
        'sense="steps"'
    )


def _check_gradient(name: str, passage: FirstPassage, dimension: int) -> None:
    value, gradient = passage.function, passage.gradient
    if gradient is None or isinstance(value, str):
        return

    def claimed(point: np.ndarray, direction: np.ndarray) -> np.ndarray:
        given = np.asarray(gradient(point[None]))
        if given.shape != (1, dimension):
            raise InvalidInput(
                f"the gradient of observable {shown(name)} returned shape {given.shape} for an array (1, {dimension}): "
                "it must return one row a path, (paths, d)"
            )
        return given[0] @ direction

    with calling(f"observable {shown(name)} or its gradient"):
        check_derivative(f"gradient of observable {shown(name)}", value, claimed, dimension)
