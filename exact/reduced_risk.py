"""Expected risks on finite data at all step sizes from one small space of quadratic functions, with a bound. Derived.

The risk at step n is a quadratic function of the start, Q_n = (1 - G)^n Q_0 with Q_0 = H / 2, besides what the noise at
the minimiser adds. G is self-adjoint in the Frobenius product, and of d (d + 1) / 2 numbers the Q_n of all step sizes
need some hundred at most. So G is projected on a space that holds Q_0 (Galerkin), which grows by what is left over,

    r_n = Q_(n + 1) - (1 - G) Q_n    of the projected Q,

after the diagonal part of G has let it fade. What that makes of the risk is exactly the sum of <r_i, S_(n - 1 - i)>
over i < n, with S the true second moments about the minimiser. As S is positive, |<r, S>| is at most
|H^-1/2 r H^-1/2| <H, S>, so that

    |error of the risk at n| <= sum_i |H^-1/2 r_i H^-1/2| <H, S_(n - 1 - i)>,

with the risk itself on the right: relative errors follow. In continuous time sums are integrals. The bound is evaluated
on a grid of steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from .cost import check_memory
from .linear_maps import pack_symmetric, unpack_symmetric
from .moment_spectra import Functional
from .spectral_sums import Factors, SpectralSums

LARGEST_SPACE = 600
DIAGONALS = 60  # times of the uncoupled start, of which the first directions are made
KEPT = 1e-7  # of the largest singular value: a direction of those
FIRST, EVEN = 24, 12  # times, evenly in their logarithm and evenly, at which remainders are looked at for directions
LEADING, MOST_NEW = 0.02, 30  # part of the largest singular value, count: new directions of one extension
DEPENDENT = 1e-10  # part of a direction that is outside the space, below which it is none
LOOKS = 48  # steps at which a bound is evaluated
HALVINGS = 24  # of the distance to an end, of the parts in which a sum over products is bounded
ROUNDED = 1e-15  # of the squares of what a remainder is the sum of: what rounding leaves of its own square
MATCHED = 1e-12  # relative, of decays that are a combination of curvatures and their squares


class ReducedRisk:
    """The space of one data set, start and functional; it grows where curves need it.

    Parameters
    ----------
    rows : (n, r) array
        Samples, of equal weight, in the r modes on which they act.
    residuals : (n,) array
        At the minimiser.
    curvatures : (r,) array
        Of what is descended; above 0.
    mean : (r,) array
    second : (r, r) array
        Moments of the start about the minimiser.
    functional : Functional
        Its weights are the eigenvalues of the Hessian, above 0.
    length : float
        Gradient-flow time up to which curves are asked for.
    whole : bool
        Whether the space is all there is from the beginning, so that curves are exact.
    """

    def __init__(
        self, rows: np.ndarray, residuals: np.ndarray, curvatures: np.ndarray, mean: np.ndarray, second: np.ndarray,
        functional: Functional, length: float, whole: bool = False,
    ) -> None:  # fmt: skip
        self.rows, self.residuals, self.mean, self.functional = np.ascontiguousarray(rows), residuals, mean, functional
        self.curvatures, k, h, r = curvatures, curvatures, functional.weights, curvatures.size
        size = r * (r + 1) // 2
        check_memory(
            f"expected risks of {r} modes at many step sizes", 8.0 * size * 8 * min(size, LARGEST_SPACE),
            "use fewer columns",
        )  # fmt: skip
        self._root = pack_symmetric(np.full((r, r), np.sqrt(2)) - (np.sqrt(2) - 1) * np.eye(r))
        self._diagonals = np.array([
            pack_symmetric(k[:, None] + k), pack_symmetric(k[:, None] * k), pack_symmetric(k[:, None] ** 2 + k**2),
        ])  # fmt: skip
        self._pair, self._start = pack_symmetric(h[:, None] * h), self.pack(second)
        self.whiten = self._pair**-0.5
        self.space, self.coupled, self.squares = np.empty((0, size)), np.empty((0, size)), np.empty((0, len(rows)))
        self._blocks, self._gram = np.empty((4, 0, 0)), np.empty((5, 5, 0, 0))
        self.start, self.still = np.empty(0), np.empty(0)
        self.pulls, self.read = np.empty((0, r)), np.empty(0)
        times = np.concatenate([[0.0], np.geomspace(0.01 / k.max(), max(length, 0.1 / k.max()), DIAGONALS)])
        faded = [self.pack(np.diag(0.5 * h * np.exp(-2 * time * k))) for time in times]
        if whole:
            self._append(np.eye(size))
            return
        self._append(np.array(faded[:1]))
        self._append(_leading(np.array(faded) * self.whiten, KEPT, DIAGONALS) / self.whiten)

    @property
    def whole(self) -> bool:
        """Whether the space is all there is, so that nothing is left out."""
        return len(self.space) == self.space.shape[1]

    def pack(self, matrix: np.ndarray) -> np.ndarray:
        """A symmetric matrix (r, r) as a vector whose products are those of Frobenius."""
        return pack_symmetric(matrix) * self._root

    def _append(self, directions: np.ndarray) -> int:
        """Make the space hold these (k, p); how many were new."""
        known = self.space
        new = directions / np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), np.finfo(float).tiny)
        for part in (DEPENDENT, 0.5):  # once more, as what is nearly dependent is not yet orthogonal to rounding
            for _ in range(2):
                new = new - (new @ known.T) @ known
            q, upper = np.linalg.qr(new.T)
            new = np.ascontiguousarray(q[:, np.abs(np.diagonal(upper)) > part].T)
        new = new[: known.shape[1] - len(known)]
        if not len(new):
            return 0
        coupled, squares = np.empty_like(new), np.empty((len(new), len(self.rows)))
        pulls, slope, h = np.empty((len(new), self.mean.size)), self.functional.slope, self.functional.weights
        still = np.empty(len(new))
        for place, vector in enumerate(new):
            matrix = unpack_symmetric(vector / self._root, h.size)
            squares[place] = y = np.einsum("ij,ij->i", self.rows @ matrix, self.rows)
            coupled[place] = self.pack((self.rows * y[:, None]).T @ self.rows / y.size) - self._pair * vector
            tilted = matrix @ slope
            still[place] = self.residuals**2 @ y / y.size - slope @ tilted
            pulls[place] = 2 * ((self.residuals * y) @ self.rows / y.size - h * tilted) * self.mean
        self.space, self.coupled = np.concatenate([known, new]), np.concatenate([self.coupled, coupled])
        self.squares = np.concatenate([self.squares, squares])
        self.start, self.still = np.append(self.start, new @ self._start), np.append(self.still, still)
        self.pulls = np.concatenate([self.pulls, pulls])
        self.read = np.append(self.read, new @ self.pack(np.diag(0.5 * h)))
        self._grow(new, coupled)
        return len(new)

    def _grow(self, new: np.ndarray, coupled: np.ndarray) -> None:
        """Products of the space with itself: (4, m, m) of what moves it, (5, 5, m, m) of what is left over."""
        m, old = len(self.space), len(self.space) - len(new)
        blocks, gram = np.empty((4, m, m)), np.empty((5, 5, m, m))
        blocks[:, :old, :old], gram[:, :, :old, :old] = self._blocks, self._gram
        for place, diagonal in enumerate(self._diagonals):
            blocks[place, old:] = (new * diagonal) @ self.space.T
        blocks[3, old:] = coupled @ self.space.T
        blocks[:, :old, old:] = blocks[:, old:, :old].swapaxes(1, 2)
        self._blocks = blocks
        if self.whole:  # nothing is ever left over
            return
        factors = np.concatenate([np.ones((1, new.shape[1])), self._diagonals])
        white = self.whiten**2
        for a in range(5):
            left = (new * factors[a] if a < 4 else coupled) * white
            for b in range(5):
                if 0 < b < a < 4 or (a < 4 and b == 0 < a):  # products of diagonals commute
                    gram[a, b, old:] = gram[b, a, old:]
                    continue
                gram[a, b, old:] = (left * factors[b] if b < 4 else left) @ (self.space if b < 4 else self.coupled).T
        gram[:, :, :old, old:] = gram[:, :, old:, :old].transpose(1, 0, 3, 2)
        self._gram = gram

    def curve(self, equations: Any) -> ReducedCurve | None:
        """The risk under these `Spectral` equations by the space as it is; None where decays are of another form."""
        u, k = equations.mean_decays[: self.curvatures.size], self.curvatures
        first, second = float(u @ k / (k @ k)), 0.0
        if not equations.discrete and np.abs(u - first * k).max() > MATCHED * np.abs(u).max():
            first, second = np.linalg.lstsq(np.column_stack([k, k**2]), u, rcond=None)[0].tolist()
        if np.abs(u - first * k - second * k**2).max() > MATCHED * np.abs(u).max():
            return None
        parts = np.array([first, -(first**2) if equations.discrete else 0.0, second])
        noise, scale = equations.noise, float(equations.noise_scale)
        return ReducedCurve(self, equations.discrete, u, parts, scale * noise.factor, scale * noise.added[: u.size])

    def extend(self, curves: Sequence[ReducedCurve], last: Sequence[int]) -> bool:
        """Grow by what these leave over up to their last steps; whether it did."""
        if self.whole or len(self.space) >= LARGEST_SPACE:
            return False
        found = [replace(curve).remainders(steps) for curve, steps in zip(curves, last)]  # by the space of now
        new = _leading(np.concatenate(found), LEADING, min(MOST_NEW, LARGEST_SPACE - len(self.space)))
        return bool(len(new)) and self._append(new / self.whiten) > 0

    def projected(self, parts: np.ndarray, weight: float) -> np.ndarray:
        """G (m, m) in the space."""
        return np.tensordot(parts, self._blocks[:3], 1) - weight * self._blocks[3]

    def sizes(self, coordinates: np.ndarray) -> np.ndarray:
        """|H^-1/2 r H^-1/2| (T,), of what is given (5, m, T) by the space, its diagonal images, and its coupled one."""
        found, largest = np.zeros(coordinates.shape[2]), np.zeros(coordinates.shape[2])
        for a in range(5):
            for b in range(5):
                part = (coordinates[a] * (self._gram[a, b] @ coordinates[b])).sum(axis=0)
                found += part
                largest += part if a == b else 0.0
        return np.sqrt(np.maximum(found, 0.0) + ROUNDED * largest)

    def left_over(self, coordinates: np.ndarray) -> np.ndarray:
        """The same remainders themselves (T, p)."""
        found = coordinates[0].T @ self.space + coordinates[4].T @ self.coupled
        for diagonal, part in zip(self._diagonals, coordinates[1:4]):
            if part.any():
                found += (part.T @ self.space) * diagonal
        return found

    def diagonal(self, parts: np.ndarray) -> np.ndarray:
        """The part (p,) of G without coupling."""
        return parts @ self._diagonals


@dataclass(frozen=True, eq=False)
class ReducedCurve:
    """The functional of one process as a function of steps, by a space as it was when this was made.

    Attributes
    ----------
    reduced : ReducedRisk
    discrete : bool
    decays : (r,) array
        Of the mean.
    parts : (3,) array
        Of the sum of two curvatures, their product, and the sum of their squares in the diagonal of G.
    weight : float
        Of the covariance of one sample's gradient.
    added : (r,) array
        Variances of a noise that is the same everywhere.
    """

    reduced: ReducedRisk
    discrete: bool
    decays: np.ndarray
    parts: np.ndarray
    weight: float
    added: np.ndarray

    def __post_init__(self) -> None:
        assert self._made  # by the space as it is now

    @cached_property
    def _made(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, SpectralSums]:
        """G in the space, eigenvalues, eigenvectors, and the part of the functional that is quadratic."""
        reduced = self.reduced
        moved = reduced.projected(self.parts, self.weight)
        values, vectors = np.linalg.eigh((moved + moved.T) / 2)
        added = reduced.space @ reduced.pack(np.diag(self.added))
        read = vectors.T @ reduced.read
        driven = None
        if reduced.pulls.any() and self.weight:
            driven = (read * self.weight)[:, None] * (vectors.T @ reduced.pulls)
        sums = SpectralSums(
            values, self.discrete, read * (vectors.T @ reduced.start),
            read * (vectors.T @ (self.weight * reduced.still + added)), self.decays, driven, True,
        )  # fmt: skip
        return moved, values, vectors, sums

    @property
    def outdated(self) -> bool:
        """Whether the space has grown since."""
        return self._made[1].size < len(self.reduced.space)

    def __call__(self, steps: np.ndarray) -> np.ndarray:
        """The functional (k,); inf where it leaves the range of numbers."""
        functional = self.reduced.functional
        with np.errstate(over="ignore", invalid="ignore"):
            found = self._made[3].totals(np.asarray(steps)) + functional.constant
            if functional.slope.any():
                faded = Factors(self.decays, self.discrete).table(np.asarray(steps))[0]
                found = found + faded @ (functional.slope * self.reduced.mean)
        return np.where(np.isnan(found), np.inf, found)

    def _coordinates(self, steps: np.ndarray) -> np.ndarray:
        """What is left over at these steps (5, m, T), for `sizes` and `left_over`."""
        moved, values, vectors, _ = self._made
        with np.errstate(over="ignore", invalid="ignore"):
            powers = Factors(values, self.discrete).table(steps)[0]
            read = vectors.T @ self.reduced.read[: values.size]
            state = vectors @ (np.where(read == 0, 0.0, powers * read)).T
            return np.concatenate([
                -(moved @ state)[None], self.parts[:, None, None] * state, -self.weight * state[None],
            ])  # fmt: skip

    def error(self, steps: np.ndarray) -> np.ndarray:
        """Bound of the error (k,) at steps, ascending from 0; inf where a bound is not to be had."""
        if self.reduced.whole or len(steps) < 2:
            return np.zeros(len(steps))
        seen = steps[np.unique(np.linspace(0, len(steps) - 1, LOOKS).astype(int))].astype(float)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            risk = np.maximum(self._made[3].totals(seen), 0.0)
            found = _convolved(seen, self.reduced.sizes(self._coordinates(seen)), 2 * risk)
            # The risk on the right is the true one: by induction over steps it costs this factor.
            part = np.maximum.accumulate(np.nan_to_num(np.where(found == 0, 0.0, found / risk), nan=np.inf))
            found = np.where(part < 1, found / (1 - part), np.inf)
        known = np.interp(steps, seen, np.where(np.isfinite(found), found, 0.0))
        return np.where(steps <= seen[np.isfinite(found)].max(initial=-1.0), known, np.inf)

    def remainders(self, last: int) -> np.ndarray:
        """What they add up to (T, p) up to a step, were nothing coupled, as large as it weighs there; whitened."""
        even = np.linspace(0, last, EVEN + 1)[1:]
        steps = np.unique(np.rint(np.concatenate([[0.0, 1.0], np.geomspace(1, max(even[0], 1), FIRST), even])))
        reduced = self.reduced
        fading = np.abs(reduced.diagonal(self.parts))
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            risk = np.abs(self._made[3].totals(steps))
            left = reduced.left_over(self._coordinates(steps))
            summed = np.zeros_like(left)
            for place, gap in enumerate(np.diff(steps)):
                lost = -np.expm1(-gap * fading)
                entered = lost / fading * (left[place] + left[place + 1]) / 2
                summed[place + 1] = summed[place] - lost * summed[place] + entered
            summed *= (risk[0] / risk)[:, None] * reduced.whiten
        return np.ascontiguousarray(summed[np.isfinite(summed).all(axis=1)])


def _convolved(steps: np.ndarray, sizes: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Bound of sum_i sizes_i moments_(n - 1 - i) at each step n: parts between halvings, the largest moment of each."""
    summed = np.concatenate([[0.0], np.cumsum(np.diff(steps) * (sizes[1:] + sizes[:-1]) / 2)])
    summed += sizes[0]  # a sum over steps begins with a whole one
    halves = 0.5 ** np.arange(1, HALVINGS + 1)
    edges = np.concatenate([[0.0], halves[::-1], 1 - halves[1:], [1.0]])
    places = steps[:, None] * edges
    grown = np.interp(places, steps, summed)
    grown[:, 0] = 0.0
    left = np.interp(steps[:, None] - places, steps, moments)
    return (np.diff(grown, axis=1) * np.maximum(left[:, 1:], left[:, :-1])).sum(axis=1)


def _leading(rows: np.ndarray, part: float, most: int) -> np.ndarray:
    """Orthonormal directions (k, p) of the largest singular values of rows (N, p)."""
    if not len(rows):
        return rows
    values, vectors = np.linalg.eigh(rows @ rows.T)
    sizes = np.sqrt(np.maximum(values[::-1], 0.0))
    kept = np.flatnonzero(sizes > max(part, 1e-8) * sizes[0])[:most]
    return (vectors[:, ::-1][:, kept] / sizes[kept]).T @ rows
