"""Linear steps drawn in proportion to what they contribute to E |A u|^order, for populations that see rare growth.

Of plain draws few carry a moment of high order. Here a path draws its batch from a law near to p(batch) |A u|^order
and takes p / q into its weight, so that the population's mean weight stays unbiased whatever the law drawn from. Paths
are rows (direction, log weight): an ordinary recurrence for `ensembles.populations.grow`. Derived.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import gammaincinv, gammaln, xlogy

from sgdlimits.ensembles import populations
from sgdlimits.ensembles.random import Noise, Purpose

from .linear_rule import LinearRule

PLACES = 96  # purpose of the uniform numbers that choose rows, matrices and cells
CELLS = 64  # of the radius of a Gaussian batch
FIRST = 16  # cells that the first one is cut into: densities of chi are steep next to 0
OUTSIDE = 1e-18  # probability of a radius beyond them
FLAT = 1e-9  # slope of a logarithm that is none
DEFENCE = 0.02  # of the largest weight that a row has at least, while others are to come
TILTED = 8  # rows of a batch; the rest are drawn as they come
MOST_ROWS = 2048  # that a path looks at; of more it draws so many candidates at random
PLAIN = 1e-3  # order below which a radius is drawn as it comes
ROUNDS = 4  # of the fixed point of a Gaussian tilt


class TiltedSteps(ABC):
    """Recurrence of (direction, log weight of its last step), (P, D + 1)."""

    order: float

    @abstractmethod
    def move(self, k: int, u: np.ndarray, noise: Noise) -> tuple[np.ndarray, np.ndarray]:
        """A u (P, D) of the drawn A, and log p / q (P,)."""

    def initial_state(self, x0: np.ndarray) -> np.ndarray:
        return _to_the_sphere(x0)

    def step(self, k: int, state: np.ndarray, noise: Noise) -> np.ndarray:
        moved, ratio = self.move(k, state[:, :-1], noise)
        squares = np.square(moved).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            weights = self.order / 2 * np.log(squares) + ratio
        return np.column_stack([moved, weights])

    def position(self, state: np.ndarray) -> np.ndarray:
        return state


def grow_tilted(steps: TiltedSteps, spread: np.ndarray, **options: Any) -> populations.Growth:
    """Growth rate of E |y|^order by populations, whose directions start as those of N(0, spread), (D, D).

    Options and errors as `populations.grow`.
    """
    x0 = np.zeros(len(spread) + 1), np.pad(spread, (0, 1))
    return populations.grow(steps, x0, log_weight=_drawn, project=_to_the_sphere, halves=False, **options)


def _drawn(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return after[:, -1]


def _to_the_sphere(state: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(state[:, :-1], axis=1, keepdims=True)
    return np.column_stack([state[:, :-1] / norms, np.zeros(len(state))])


@dataclass(frozen=True, eq=False)
class TiltedMatrices(TiltedSteps):
    """A from a list (n, D, D) with log probabilities (n,): drawn exactly in proportion."""

    order: float
    matrices: np.ndarray
    log_weights: np.ndarray

    def move(self, k: int, u: np.ndarray, noise: Noise) -> tuple[np.ndarray, np.ndarray]:
        images = np.einsum("nij,pj->pni", self.matrices, u)
        with np.errstate(divide="ignore"):
            logs = self.order / 2 * np.log(np.square(images).sum(axis=2)) + self.log_weights
        chosen, drawn = choose(logs, noise.uniforms(PLACES, k, 1))
        chosen, drawn = chosen[:, 0], drawn[:, 0]
        return images[np.arange(len(u)), chosen], self.log_weights[chosen] - drawn


@dataclass(frozen=True, eq=False)
class TiltedRows(TiltedSteps):
    """Batches of rows (n, r), equally likely: of one row exactly in proportion.

    Of several rows one is drawn after the other, in proportion to |A u|^order with those to come at their mean, their
    variance added; the last one exactly.
    """

    order: float
    rule: LinearRule
    rows: np.ndarray
    batch_size: int
    replace: bool

    @cached_property
    def _pushes(self) -> np.ndarray:
        """What a row moves."""
        return self.rows @ self.rule.lift.T

    @cached_property
    def _squares(self) -> np.ndarray:
        return np.square(self._pushes).sum(axis=1)

    @cached_property
    def _hessian(self) -> np.ndarray:
        return self.rows.T @ self.rows / len(self.rows)

    @cached_property
    def _fourth(self) -> np.ndarray:
        """E |lift a|^2 a a^T."""
        return (self.rows * self._squares[:, None]).T @ self.rows / len(self.rows)

    def move(self, k: int, u: np.ndarray, noise: Noise) -> tuple[np.ndarray, np.ndarray]:
        split, batch, n = self.rule.split(u), self.batch_size, len(self.rows)
        look, scale = split.look, self.rule.scale
        mean, rest = look @ self._hessian @ self.rule.lift.T, np.square(split.rest).sum(axis=1)
        variance = np.einsum("pi,ij,pj->p", look, self._fourth, look) - np.square(mean).sum(axis=1)
        value, ratio = split.base - scale * batch * mean, np.zeros(len(u))
        tilted = min(batch, TILTED) if self.order > PLAIN else 0  # next to 0 there is nothing to tilt
        chosen = np.empty((len(u), tilted), np.int64)
        candidates = MOST_ROWS // 16 if n > MOST_ROWS else 0
        numbers = noise.uniforms(PLACES, k, tilted * (1 + candidates))
        for b in range(tilted):
            value += scale * mean
            spare = rest + scale**2 * (batch - b - 1) * variance
            own = numbers[:, b * (1 + candidates) : (b + 1) * (1 + candidates)]
            free = n if self.replace else n - b
            taken = chosen[:, : 0 if self.replace else b]
            place, drawn = self._one(value, look, spare, scale, own, taken, free, b + 1 < batch)
            chosen[:, b] = place
            ratio += drawn
            value -= scale * np.einsum("pi,pi->p", self.rows[place], look)[:, None] * self._pushes[place]
        if tilted < batch:
            further = self._further(k, chosen, noise)
            value += scale * (batch - tilted) * mean
            along = np.einsum("pbi,pi->pb", self.rows[further], look)
            value -= scale * np.einsum("pb,pbi->pi", along, self._pushes[further])
        return np.concatenate([value, split.rest], axis=1), ratio

    def _one(
        self, others: np.ndarray, look: np.ndarray, spare: np.ndarray, scale: float, numbers: np.ndarray,
        taken: np.ndarray, free: int, defended: bool,
    ) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
        """A row (P,) for each path, and log p / q.

        Parameters
        ----------
        others : (P, r) array
            A u but for this row.
        spare : (P,) array
            What else is in |A u|^2.
        numbers : (P, 1 + candidates) array
        taken : (P, b) array
            Rows that must not come again; `free` others are equally likely.
        """
        many = numbers.shape[1] > 1
        rows, pushes, squares, count = *self._single[:2], self._single[2][None], len(self.rows)
        look, other = look.astype(np.float32), others.astype(np.float32)
        if many:  # some stand for all
            cumulated, log_drawn = self._candidates
            places = np.minimum(np.searchsorted(cumulated, numbers[:, 1:] * cumulated[-1], side="right"), count - 1)
            squares, count = squares[0, places], places.shape[1]
            along, toward = np.einsum("pci,pi->pc", rows[places], look), np.einsum("pci,pi->pc", pushes[places], other)
        else:
            along, toward = look @ rows.T, other @ pushes.T
        still = (np.square(others).sum(axis=1) + spare).astype(np.float32)
        sizes = np.float32(scale**2) * along * squares - np.float32(2 * scale) * toward
        sizes *= along
        sizes += still[:, None]
        np.maximum(sizes, np.float32(1e-6) * still[:, None], out=sizes)  # below it is rounding
        logs = np.log(sizes, out=sizes)
        logs *= np.float32(self.order / 2)
        floor = DEFENCE if defended else 0.0
        if many:
            prior = -np.log(free) - log_drawn[places] - np.log(count)
            prior[(places[:, :, None] == taken[:, None]).any(axis=2)] = -np.inf
            logs += prior
            at, drawn = choose(logs, numbers[:, :1], floor)
            return np.take_along_axis(places, at, axis=1)[:, 0], (np.take_along_axis(prior, at, axis=1) - drawn)[:, 0]
        np.put_along_axis(logs, taken, np.float32(-np.inf), axis=1)
        at, drawn = choose(logs, numbers[:, :1], floor)
        return at[:, 0], -np.log(free) - drawn[:, 0]

    @cached_property
    def _single(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows, pushes and their squared norms in single precision: any law may draw, as its p / q is known."""
        return self.rows.astype(np.float32), self._pushes.astype(np.float32), self._squares.astype(np.float32)

    def _further(self, k: int, chosen: np.ndarray, noise: Noise) -> np.ndarray:
        """The rest of a batch (P, m), as it comes."""
        n, left = len(self.rows), self.batch_size - chosen.shape[1]
        if self.replace:
            return noise.rows(k, left, n)
        keys = noise.uniforms(Purpose.ROWS, k, n)
        np.put_along_axis(keys, chosen, np.inf, axis=1)
        return np.argpartition(keys, left - 1, axis=1)[:, :left]

    @cached_property
    def _candidates(self) -> tuple[np.ndarray, np.ndarray]:
        """Cumulated probabilities of candidates, and their logarithms: half by what a row could do at most."""
        seen = np.square(self.rows @ self.rule.look).sum(axis=1)
        could = self.order * np.log1p(self.rule.scale * np.sqrt(seen * self._squares))
        could = np.exp(could - could.max())
        mixed = 0.5 / len(could) + 0.5 * could / could.sum()
        return np.cumsum(mixed), np.log(mixed)


@dataclass(frozen=True, eq=False)
class TiltedGaussian(TiltedSteps):
    """Batches of features N(0, diag(eigenvalues)): sum of a (a.v) = R^2 S v + R sqrt(v.S v) g, R^2 chi^2, v.g = 0.

    R is drawn by cells; g from the normal law that an exponential tilt makes of its own, the exponent being that of
    |A u|^order to first order about its mean there.
    """

    order: float
    rule: LinearRule
    eigenvalues: np.ndarray
    batch_size: int

    @cached_property
    def _roots(self) -> np.ndarray:
        """Deviations of what a batch moves, (r,)."""
        return np.diagonal(self.rule.lift) * np.sqrt(self.eigenvalues)

    @cached_property
    def _cells(self) -> tuple[np.ndarray, np.ndarray]:
        from scipy.stats import chi

        low = chi.ppf(OUTSIDE, self.batch_size) if self.batch_size > 1 else 0.0
        edges = np.linspace(low, chi.isf(OUTSIDE, self.batch_size + 2 * self.order), CELLS + 1)
        if low:
            edges = np.concatenate([np.geomspace(low, edges[1], FIRST + 1), edges[2:]])
        return edges, self._log_density(edges)

    def _log_density(self, radius: np.ndarray) -> np.ndarray:
        half = self.batch_size / 2
        return xlogy(self.batch_size - 1, radius) - radius**2 / 2 - (half - 1) * np.log(2) - gammaln(half)

    def move(self, k: int, u: np.ndarray, noise: Noise) -> tuple[np.ndarray, np.ndarray]:
        order, split, roots, h = self.order, self.rule.split(u), self._roots, self._roots**2
        scale, uniforms = self.rule.scale, noise.uniforms(PLACES, k, 2)
        seen = split.look * np.sqrt(self.eigenvalues)
        base, pull = split.base, seen * roots
        rest, variance = np.square(split.rest).sum(axis=1), np.square(seen).sum(axis=1)
        radius, ratio = self._radius(base, pull, rest, variance, scale, uniforms)
        middle = base - (scale * radius**2)[:, None] * pull  # mean of A u, given R
        spread = scale * radius * np.sqrt(variance)
        still = np.square(middle).sum(axis=1) + rest
        along = seen / np.sqrt(variance)[:, None]  # the unit vector that g = roots * xi is without
        turned = middle * roots
        turned -= np.einsum("pi,pi->p", turned, along)[:, None] * along
        # exp(order / 2 |A u|^2 / size) is normal in xi; size is then the mean of |A u|^2, by a fixed point from above.
        most = order * spread**2 * h.max()
        size = still + spread**2 * h.sum() + most
        for _ in range(ROUNDS):
            tilt = order / size
            wide = 1 / (1 - (tilt * spread**2)[:, None] * h)
            shift = -(tilt * spread)[:, None] * turned * wide
            image = middle - spread[:, None] * roots * shift
            mean = np.square(image).sum(axis=1) + rest + spread**2 * (wide @ h)
            size = np.maximum(np.sqrt(size * mean), 1.05 * most)
        tilt = order / size
        wide = 1 / (1 - (tilt * spread**2)[:, None] * h)
        shift = -(tilt * spread)[:, None] * turned * wide
        xi = shift + np.sqrt(wide) * noise.normals(Purpose.FEATURES, k, h.size)
        # Conditioned on along . xi = 0, both laws.
        stretched = wide * along
        across = np.einsum("pi,pi->p", along, stretched)
        xi -= (np.einsum("pi,pi->p", along, xi) / across)[:, None] * stretched
        ratio += 0.5 * (np.log(wide) - xi**2 + (xi - shift) ** 2 / wide).sum(axis=1)
        ratio -= 0.5 * (np.log(across) + np.einsum("pi,pi->p", along, shift) ** 2 / across)
        return np.concatenate([middle - spread[:, None] * roots * xi, split.rest], axis=1), ratio

    def _radius(
        self, base: np.ndarray, pull: np.ndarray, rest: np.ndarray, variance: np.ndarray, scale: float,
        uniforms: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
        """R (P,) and log p / q: by cells in proportion to about E |A u|^order, the exponential of a line in each."""
        if self.order < PLAIN:
            return np.sqrt(2 * gammaincinv(self.batch_size / 2, uniforms[:, 0])), np.zeros(len(base))
        h, (edges, densities) = self._roots**2, self._cells
        own, cross, both = (np.einsum("pi,pi->p", *pair) for pair in ((base, base), (base, pull), (pull, pull)))
        across = h.sum() - both / variance + max(self.order / 2 - 1, 0.0) * np.square(h).sum() / h.sum()
        squares = (scale * edges**2)[None]
        sizes = (own + rest)[:, None] + squares * (both[:, None] * squares - 2 * cross[:, None])
        sizes += scale * squares * (variance * across)[:, None]
        logs = self.order / 2 * np.log(sizes) + densities
        # exp of a line within a cell: its mass, and its inverse distribution.
        widths, slopes = np.diff(edges), np.diff(logs, axis=1)
        slopes = np.where(np.abs(slopes) < FLAT, FLAT, slopes)
        cell, drawn = choose(logs[:, :-1] + np.log(widths * np.expm1(slopes) / slopes), uniforms[:, :1])
        low, slope = (np.take_along_axis(each, cell, axis=1)[:, 0] for each in (logs[:, :-1], slopes))
        part = np.log1p(uniforms[:, 1] * np.expm1(slope)) / slope
        width = widths[cell[:, 0]]
        radius = edges[cell[:, 0]] + width * part
        # log q: the cell's, and the line's over the cell's mass.
        log_drawn = drawn[:, 0] + slope * part - np.log(np.expm1(slope) / slope) - np.log(width)
        return radius, self._log_density(radius) - log_drawn


def choose(logs: np.ndarray, uniforms: np.ndarray, floor: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Places (P, m) drawn with probabilities in proportion to exp(logs) (P, n), and log probabilities of those.

    Parameters
    ----------
    uniforms : (P, m) array
    floor : float
        What is added to each weight, of the largest.
    """
    weights = logs - logs.max(axis=1, keepdims=True)
    np.exp(weights, out=weights)
    if floor:
        weights += weights.dtype.type(floor) * (logs > -np.inf)
    cumulated = np.cumsum(weights, axis=1, dtype=np.float64)  # the last is in every p / q: its rounding would add up
    marks = uniforms * cumulated[:, -1:]
    places = np.stack([(cumulated <= mark[:, None]).sum(axis=1) for mark in marks.T], axis=1)
    places = np.minimum(places, logs.shape[1] - 1)
    with np.errstate(divide="ignore"):
        return places, np.log(np.take_along_axis(weights, places, axis=1).astype(np.float64) / cumulated[:, -1:])
