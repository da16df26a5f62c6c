"""Derivatives of the steps of a descent along its paths: products with batch Hessians, and vectors carried along."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from sgdlimits.ensembles.crowd import Crowd
from sgdlimits.ensembles.random import PACK, Noise, Purpose
from sgdlimits.exact.errors import InvalidInput

if TYPE_CHECKING:
    from .sgd import SGD


def check_differentiable(sgd: SGD) -> None:
    """Raise InvalidInput unless a step is linear in the gradient, and its batch has a Hessian."""
    if sgd.update_rule.linear(1.0) is None:
        raise InvalidInput(
            f"{sgd.label} is not linear in the gradient, and its derivative is not carried along: take plain descent, "
            "momentum or a preconditioner"
        )
    if not (sgd.problem.sampled or sgd.problem.quadratic):
        raise InvalidInput(f"{type(sgd.problem).__name__} has no samples whose Hessians could be asked for")


def batch_hessian_products(sgd: SGD, k: int, x: np.ndarray, directions: np.ndarray, noise: Noise) -> np.ndarray:
    """Hessians of the batches of step k at positions x (P, d), with the ridge, times directions (P, m, d): (P, m, d).

    Where the objective of a batch is a quadratic x does not matter, and products are differences of its gradients,
    exact but for rounding; else they are the problem's own.
    """
    problem = sgd.problem
    if problem.sampled:
        return problem.batch_hessian_products(x, sgd.batch(k, noise), directions) + problem.ridge * directions
    P, m, d = directions.shape
    spread = Noise(noise.seed, np.repeat(noise.paths, m), noise.quality)
    flat = directions.reshape(P * m, d)
    apart = sgd.source.gradient(k, flat, spread) - sgd.source.gradient(k, np.zeros_like(flat), spread)
    return apart.reshape(P, m, d)


def padded(starts: np.ndarray, paths: int) -> np.ndarray:
    """Positions (P, d) of one start (d,) or one a path, P the next multiple of PACK: the last only fill it."""
    lanes = -(-paths // PACK) * PACK
    if starts.ndim == 1:
        return np.tile(starts, (lanes, 1))
    return starts[np.minimum(np.arange(lanes), paths - 1)]


def positions_along(
    sgd: SGD, starts: np.ndarray, paths: int, seed: int, record: np.ndarray
) -> Callable[[int], np.ndarray]:
    """A function of the recorded steps, in their order, that gives positions (paths, d) there.

    Raises
    ------
    InvalidInput
        While it runs: if a path leaves the range of numbers.
    """
    crowd = Crowd(sgd.simulator(), padded(starts, paths), Noise(seed, np.arange(-(-paths // PACK) * PACK)))

    def at(step: int) -> np.ndarray:
        crowd.advance_to(step)
        left = int((crowd.overflow_steps()[:paths] >= 0).sum())
        if left:
            raise InvalidInput(
                f"{left} of {paths} runs of {sgd.label} left the range of floating-point numbers within {step} steps: "
                "lower the step size, or steps"
            )
        return crowd.positions()[:paths]

    return at


class Tangents:
    """Orthonormal vectors of each path's state, carried by the derivatives of its steps: their growth is recorded.

    Parameters
    ----------
    sgd : SGD
        With a rule that is linear in the gradient.
    paths, count : int
        How many paths, and vectors of each.
    seed : int
        Of the first vectors: random, the same in law in all directions of the state (position and what the rule keeps).
    """

    def __init__(self, sgd: SGD, paths: int, count: int, seed: int) -> None:
        self.sgd, self.slots = sgd, sgd.update_rule.slots
        size = (1 + self.slots) * sgd.problem.dimension
        drawn = Noise(seed, np.arange(paths)).child("tangents").normals(Purpose.INITIAL_STATE, 0, count * size)
        self.logs = np.zeros((paths, count))  # of the growth of volumes, one vector after the other
        self.vectors = drawn.reshape(paths, count, size)
        self.orthonormalise()
        self.logs[:] = 0.0

    def step(self, k: int, x: np.ndarray, noise: Noise) -> None:
        """Carry the vectors over step k, from positions x (P, d): the rule moves them as it moves a position."""
        P, count, size = self.vectors.shape
        d = self.sgd.problem.dimension
        places, kept = self.vectors[..., :d], self.vectors[..., d:]
        turned = batch_hessian_products(self.sgd, k, x, places, noise)
        step_size = float(self.sgd.step_sizes(k, k + 1)[0])
        moved, slots = self.sgd.update_rule.move(
            places.reshape(-1, d), kept.reshape(P * count, self.slots, d), turned.reshape(-1, d), step_size, k
        )
        self.vectors = np.concatenate([moved.reshape(P, count, d), slots.reshape(P, count, size - d)], axis=-1)

    def orthonormalise(self) -> None:
        """Make them orthonormal again, and add what they had grown by to `logs`; -inf where one vanished."""
        q, r = np.linalg.qr(self.vectors.swapaxes(1, 2))
        with np.errstate(divide="ignore"):
            self.logs = self.logs + np.log(np.abs(np.diagonal(r, axis1=1, axis2=2)))
        self.vectors = np.ascontiguousarray(q.swapaxes(1, 2))


def draws_of(sgd: SGD, x: np.ndarray, batches: int, seed: int) -> tuple[np.ndarray, Noise]:
    """Positions (P * batches, d), each as often as batches are drawn there, and the noise that draws them."""
    return np.repeat(x, batches, axis=0), Noise(seed, np.arange(len(x) * batches)).child("batches")


def batch_starts(noise: Noise, dimension: int) -> np.ndarray:
    """Random vectors (P, d) for iterations, one a draw."""
    return noise.child("starts").normals(Purpose.INITIAL_STATE, 0, dimension)


