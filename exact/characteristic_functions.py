"""Characteristic functions of one variable: closed forms of common families, and quadrature of a quantile function."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .cumulants import cumulants_of_moments

ORDERS = np.arange(1, 21)
NODES = 16  # of a Gauss rule in each panel
DEPTH = 60  # panels halve towards probabilities 0 and 1, down to 2^-DEPTH
MOST_NODES = 20_000
ROUGH = 4e-15  # of interpolated values
TABULATED = 32  # points in a call from which on values are interpolated
Array = np.ndarray


class ClosedForm(NamedTuple):
    """The standard member of a family: function, falling majorant of its modulus, cumulants."""

    function: Callable[[Array], Array]
    majorant: Callable[[Array], Array]
    cumulants: Array
    why_no_more: str = "higher ones are not computed"


def closed_form(name: str, shapes: Sequence[Any]) -> ClosedForm | None:
    """That of a family of scipy.stats; None where it is not known here."""
    build = _FAMILIES.get(name)
    return None if build is None else build(*(float(shape) for shape in shapes))


def _by_modulus(function: Callable[[Array], Array], cumulants: Array, **more: Any) -> ClosedForm:
    """A family whose modulus falls itself."""
    return ClosedForm(function, lambda t: np.abs(function(t)), cumulants, **more)


def _even(values: Callable[[int], float]) -> Array:
    return np.array([0.0 if n % 2 else values(int(n)) for n in ORDERS])


def _norm() -> ClosedForm:
    return _by_modulus(lambda t: np.exp(-t * t / 2) + 0j, np.where(ORDERS == 2, 1.0, 0.0))


def _uniform() -> ClosedForm:
    from scipy.special import bernoulli

    numbers = bernoulli(ORDERS[-1])[1:] / ORDERS
    numbers[0] = 0.5
    return ClosedForm(
        lambda t: np.exp(0.5j * t) * np.sinc(t / (2 * math.pi)), lambda t: 1 / np.maximum(1.0, np.abs(t) / 2), numbers
    )


def _gamma(shape: float, scale: float = 1.0) -> ClosedForm:
    cumulants = np.array([shape * math.factorial(n - 1) * scale**n for n in ORDERS])
    return _by_modulus(lambda t: (1 - 1j * scale * t) ** -shape, cumulants)


def _laplace() -> ClosedForm:
    return _by_modulus(lambda t: 1 / (1 + t * t) + 0j, _even(lambda n: 2.0 * math.factorial(n - 1)))


def _logistic() -> ClosedForm:
    from scipy.special import zeta

    def function(t: Array) -> Array:
        size = math.pi * np.minimum(np.abs(t), 200.0)
        return np.where(size < 1e-8, 1.0, size / np.sinh(np.maximum(size, 1e-8))) + 0j

    return _by_modulus(function, _even(lambda n: 2.0 * math.factorial(n - 1) * float(zeta(n))))


def _cauchy() -> ClosedForm:
    return _by_modulus(
        lambda t: np.exp(-np.abs(t)) + 0j, np.zeros(0), why_no_more="the mean does not exist, so no cumulant is finite"
    )


def _student(freedom: float) -> ClosedForm | None:
    from scipy.special import gammaln, kve

    if freedom > 60:  # Bessel functions of so high an order overflow near zero
        return None
    order = freedom / 2

    def function(t: Array) -> Array:
        size = math.sqrt(freedom) * np.abs(t)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            log = np.log(kve(order, size)) - size + order * np.log(size) - gammaln(order) - (order - 1) * math.log(2)
        return np.where(size < 1e-150, 1.0, np.exp(np.minimum(np.nan_to_num(log, nan=0.0, posinf=0.0), 0.0))) + 0j

    moments: list[float] = []
    value = 1.0
    for n in ORDERS:
        if n >= freedom:
            break
        if n % 2 == 0:
            value *= freedom * (n - 1) / (freedom - n)
        moments.append(0.0 if n % 2 else value)
    if len(moments) == ORDERS.size:
        return _by_modulus(function, cumulants_of_moments(moments))
    return _by_modulus(
        function, cumulants_of_moments(moments), why_no_more=f"Student's t of {freedom:g} degrees of freedom has no "
        f"finite moment of order {len(moments) + 1}",
    )  # fmt: skip


_FAMILIES: dict[str, Callable[..., ClosedForm | None]] = {
    "norm": _norm,
    "uniform": _uniform,
    "expon": lambda: _gamma(1.0),
    "gamma": _gamma,
    "chi2": lambda freedom: _gamma(freedom / 2, 2.0),
    "laplace": _laplace,
    "logistic": _logistic,
    "cauchy": _cauchy,
    "t": _student,
}


class OfQuantiles:
    """Characteristic function E exp(i t Q(U)) by Gauss rules in U, from the quantiles at u and at 1 - u.

    Panels halve towards both ends, where quantile functions are singular, and wherever halving still changes the sum:
    at kinks, and where t Q moves far.
    """

    def __init__(self, lower: Callable[[Array], Array], upper: Callable[[Array], Array]) -> None:
        self._sides = (lower, upper)
        self._rules: dict[int, tuple[Array, Array, float]] = {}
        self._tables: dict[int, Array | None] = {}

    def __call__(self, t: Array) -> Array:
        t = np.asarray(t, float)
        largest = float(np.abs(t).max(initial=0.0))
        table = self._table(largest) if t.size >= TABULATED or self._tables else None
        return self._summed(t, largest) if table is None else _interpolated(table[1], table[0], t)

    def _summed(self, t: Array, largest: float) -> Array:
        x, mass, _ = self._rule(largest)
        flat, out = t.ravel(), np.empty(t.size, complex)
        size = max(1, 1_000_000 // x.size)
        for first in range(0, flat.size, size):
            out[first : first + size] = np.exp(1j * flat[first : first + size, None] * x) @ mass
        return out.reshape(t.shape)

    def _table(self, largest: float) -> tuple[float, Array] | None:
        """Chebyshev coefficients in panels of [0, 2^key], the nearest of those made; None where none is fine enough."""
        key = _key(largest)
        key = min((each for each in self._tables if each >= key), default=key)
        if key not in self._tables:
            self._tables[key] = None
            x, mass, _ = self._rule(2.0**key)
            angles = math.pi * (np.arange(NODES) + 0.5) / NODES
            basis = np.cos(np.arange(NODES)[:, None] * angles) * 2 / NODES
            basis[0] /= 2
            for panels in (64, 256, 1024):
                width = 2.0**key / panels
                inner = np.exp(1j * width * (1 + np.cos(angles))[:, None] / 2 * x)
                outer = np.exp(1j * width * np.arange(panels)[:, None] * x) * mass
                found = outer @ (basis @ inner).T
                if np.abs(found[:, -2:]).max() < ROUGH:
                    self._tables[key] = found
                    break
        table = self._tables[key]
        return None if table is None else (2.0**key / len(table), table)

    def error(self, largest: float) -> float:
        """Estimated error for |t| up to `largest`: what the last halving of the panels changed, and what is left out.
        """
        return self._rule(largest)[2]

    def _rule(self, largest: float) -> tuple[Array, Array, float]:
        key = _key(largest)
        if key not in self._rules:
            sides = [_panels(quantile, 2.0**key) for quantile in self._sides]
            x, mass = (np.concatenate([side[place] for side in sides]) for place in (0, 1))
            self._rules[key] = (x, mass, sum(side[2] for side in sides) + 2 * 0.5**DEPTH)
        return self._rules[key]


def _key(largest: float) -> int:
    """Power of two up to which a rule is made; few of them serve all sizes."""
    return -18 if largest == 0 else max(-18, 3 * math.ceil(math.log2(largest) / 3))


def _interpolated(table: Array, width: float, t: Array) -> Array:
    """Clenshaw's sums of the panels that hold |t|; conjugate for negative t."""
    place = np.abs(t) / width
    panel = np.minimum(place.astype(int), len(table) - 1)
    z = 2 * (place - panel) - 1
    one, two = np.zeros(t.shape, complex), np.zeros(t.shape, complex)
    for n in range(table.shape[1] - 1, 0, -1):
        one, two = table[panel, n] + 2 * z * one - two, one
    found = table[panel, 0] + z * one - two
    return np.where(t < 0, found.conj(), found)


_GAUSS = np.polynomial.legendre.leggauss(NODES)


def _panels(quantile: Callable[[Array], Array], largest: float) -> tuple[Array, Array, float]:
    """Points and weights for u in (0, 1/2), and the estimated error of the sum of exp(i t x) for |t| <= largest."""
    nodes, weights = (_GAUSS[0] + 1) / 2, _GAUSS[1] / 2
    low, width = 0.5 ** np.arange(2.0, DEPTH + 1), 0.5 ** np.arange(2.0, DEPTH + 1)
    x = quantile(low[:, None] + width[:, None] * nodes)
    places: list[Array] = []
    masses: list[Array] = []
    error = 0.0
    with np.errstate(invalid="ignore"):
        while low.size:
            halves = np.stack([low, low + width / 2], 1)
            finer = quantile(halves[..., None] + width[:, None, None] / 2 * nodes)
            change = np.zeros(low.size)
            for t in (largest, largest / 3):
                coarse = np.exp(1j * t * x) @ weights
                fine = (np.exp(1j * t * finer) @ weights).mean(-1)
                change = np.maximum(change, np.nan_to_num(np.abs(coarse - fine) * width, nan=0.0))
            split = change > 1e-16
            if NODES * (len(places) + 2 * split.sum()) > MOST_NODES:
                split[:] = False
            error += float(change[~split].sum())
            places += list(finer[~split].reshape(-1, 2 * NODES))
            masses += [np.tile(each * weights / 2, 2) for each in width[~split]]
            low, width = halves[split].ravel(), np.repeat(width[split] / 2, 2)
            x = finer[split].reshape(-1, NODES)
    points, mass = np.concatenate(places), np.concatenate(masses)
    good = np.isfinite(points)
    return points[good], mass[good], error + float(mass[~good].sum())
