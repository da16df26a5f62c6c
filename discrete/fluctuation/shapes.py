"""The shape of fluctuations in a plane: ellipses of the discrete law and of its continuous limit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, Unstable, finite_array, one_of, real_number, whole_number


if TYPE_CHECKING:
    import xarray

    from ..sgd import SGD

LAWS = ("discrete", "Ornstein-Uhlenbeck")


@dataclass(frozen=True)
class Ellipse:
    """The set (x - centre)^T S^-1 (x - centre) <= q of a covariance S in two coordinates.

    Attributes
    ----------
    centre : array (2,)
    covariance : array (2, 2)
    level : float
        The probability of the set under a Gaussian law; q = -2 log(1 - level).
    """

    centre: np.ndarray
    covariance: np.ndarray
    level: float

    @property
    def half_axes(self) -> np.ndarray:
        """Half axes (2,), the long one first."""
        values = np.maximum(np.linalg.eigvalsh(self.covariance)[::-1], 0.0)
        return np.sqrt(-2 * math.log1p(-self.level) * values)

    @property
    def anisotropy(self) -> float:
        """Ratio of the larger to the smaller variance along the axes; inf on a line."""
        small, large = np.linalg.eigvalsh(self.covariance)
        return float(large / small) if small > 0 else math.inf

    @property
    def angle(self) -> float:
        """Of the long axis to the first coordinate, in radians, in (-pi/2, pi/2]."""
        a, b, c = self.covariance[0, 0], self.covariance[0, 1], self.covariance[1, 1]
        angle = 0.5 * math.atan2(2 * b, a - c)
        return angle if angle > -math.pi / 2 else angle + math.pi

    def outline(self, points: int = 200) -> np.ndarray:
        """Points (points, 2) of the outline, closed."""
        turn = np.linspace(0, 2 * np.pi, whole_number("points", points, 3))
        values, vectors = np.linalg.eigh(self.covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0) * -2 * math.log1p(-self.level))
        return self.centre + np.stack([np.cos(turn), np.sin(turn)], axis=1) @ root.T

    def __repr__(self) -> str:
        long, short = self.half_axes
        return (
            f"Ellipse(half axes {long:.4g} and {short:.4g}, angle {math.degrees(self.angle):.4g} degrees, "
            f"anisotropy {self.anisotropy:.4g}, level {self.level:g})"
        )


def ellipse(
    sgd: SGD, coordinates: Sequence[int] = (0, 1), level: float = 0.95, law: str = "discrete"
) -> Ellipse:
    """The ellipse of the stationary covariance in two coordinates.

    Parameters
    ----------
    sgd : SGD
        Whose second moments close.
    coordinates : two different int
    level : float
        Between 0 and 1.
    law : {"discrete", "Ornstein-Uhlenbeck"}
        The exact one, or that of the overdamped limit with the noise of the minimiser.

    Raises
    ------
    NoStationaryLaw, InfiniteVariance, InvalidInput
        As `SGD.stationary`; InvalidInput if an argument cannot be used.
    """
    first, second = _two(coordinates, sgd.problem.dimension)
    state = sgd._stationary_state()
    exact = one_of("law", law, LAWS) == "discrete"
    level = real_number("level", level)
    if not 0 < level < 1:
        raise InvalidInput(f"level must lie between 0 and 1, got {level:g}")
    whole = state.out(state.positions if exact else state.overdamped_covariance)
    chosen = [first, second]
    return Ellipse(state.centre[chosen].copy(), whole[np.ix_(chosen, chosen)], level)


def shapes(
    sgd: SGD, step_sizes: Any, coordinates: Sequence[int] = (0, 1), paths: int = 0, steps: int = 0, seed: int = 0
) -> xarray.Dataset:
    """Anisotropy and angle of the stationary ellipse against the step size, of the discrete law and of its limit.

    Parameters
    ----------
    sgd : SGD
        Its step size is replaced by each of `step_sizes`.
    step_sizes : sequence of float
        Those at which no second moment is finite give inf.
    coordinates : two different int
    paths, steps, seed : int
        With paths, the same of so many simulated paths after so many steps from the minimiser, where the law exists.

    Returns
    -------
    xarray.Dataset
        `anisotropy(step_size, law)`, `angle(step_size, law)` in radians and `covariance(step_size, law, row, column)`,
        laws "discrete", "Ornstein-Uhlenbeck" and, if asked for, "simulated". Past the threshold the first and the last
        have none: inf, and nan for the angle; `without_law` lists these step sizes.
    """
    import xarray

    sizes = np.atleast_1d(finite_array("step_sizes", step_sizes))
    chosen = list(_two(coordinates, sgd.problem.dimension))
    paths = whole_number("paths", paths, 0)
    if paths == 1:
        raise InvalidInput("paths is 1, and one path has no covariance: take more, or 0 for none")
    laws = [*LAWS, "simulated"] if paths else list(LAWS)
    found = np.full((sizes.size, len(laws), 2, 2), np.inf)
    without: list[tuple[int, Unstable]] = []
    for index, size in enumerate(sizes):
        here = replace(sgd, step_size=float(size))
        try:
            state = here._stationary_state()
        except Unstable as error:
            without.append((index, error))
            continue
        for place, modes in enumerate((state.positions, state.overdamped_covariance)):
            found[index, place] = state.out(modes)[np.ix_(chosen, chosen)]
        if paths:
            steps = whole_number("steps", steps, 1)
            run = here.simulate(sgd.problem.minimiser, steps, paths, ("state",), [steps], seed)
            found[index, 2] = np.cov(run.state.values[:, -1][:, chosen].T)
    if len(without) == sizes.size and without:
        raise without[0][1]
    settled = np.setdiff1d(np.arange(sizes.size), [index for index, _ in without])
    for index, _ in without:  # the limit has a law at every step size, which is a factor of its covariance
        found[index, 1] = found[settled[0], 1] * (sizes[index] / sizes[settled[0]])
    finite = np.isfinite(found).all(axis=(2, 3))
    drawn = {at: Ellipse(np.zeros(2), found[at], 0.95) for at in zip(*np.nonzero(finite))}
    tables = {name: np.full(finite.shape, np.nan if name == "angle" else np.inf) for name in ("anisotropy", "angle")}
    for at, one in drawn.items():
        tables["anisotropy"][at], tables["angle"][at] = one.anisotropy, one.angle
    names = [sgd.problem.coordinates[i] for i in chosen]
    return xarray.Dataset(
        {
            "anisotropy": (("step_size", "law"), tables["anisotropy"]),
            "angle": (("step_size", "law"), tables["angle"]),
            "covariance": (("step_size", "law", "row", "column"), found),
        },
        {"step_size": sizes, "law": laws, "row": names, "column": names},
        {
            "process": sgd.label, "paths": paths, "steps": steps, "seed": seed,
            "without_law": [float(sizes[index]) for index, _ in without],
        },
    )


def _two(coordinates: Sequence[int], dimension: int) -> tuple[int, int]:
    if np.ndim(coordinates) != 1 or dimension < 2:
        raise InvalidInput(f"coordinates must be two numbers below {dimension}, the number of parameters, which must "
                           f"be at least 2; got {coordinates!r}")  # fmt: skip
    places = [whole_number("coordinates", place, 0, dimension - 1) for place in coordinates]
    if len(places) != 2 or places[0] == places[1]:
        raise InvalidInput(f"coordinates must be two different numbers below {dimension}, got {places}")
    return places[0], places[1]
