"""How fast paths with the same noise come together: E |A_n ... A_1 v|^p <= C^p k(p)^n |v|^p, with its C. Derived.

Two paths of z' = A z + b with the same (A, b) differ by v' = A v, so that W_p(nu_n, nu) <= C k(p)^(n/p) W_p(nu_0, nu).
A positive f of degree p with E f(A v) = k(p) f(v) gives C^p = max f / min f on the sphere: 1 where A is isotropic, the
condition number of a matrix for p = 2, a form of degree p for even p, else an eigenfunction of the transfer operator.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .circle_growth import CircleGrowth
from .even_moments import EvenMoments
from .monomials import exponents, multinomials

LARGEST_FORM = 1500  # coefficients up to which a form's bounds are sharpened
RAISED = 24  # half the degree up to which they are
FINE = 4096  # directions of the plane


@dataclass(frozen=True)
class ContractionBound:
    """E |A_n ... A_1 v|^p <= C^p k(p)^n |v|^p.

    Attributes
    ----------
    order : float
        p.
    growth : float
        k(p).
    constant : float
        C; nan where it is not known.
    method : str
        Where the constant is from, or why none is known.
    exact : bool
        Whether `growth` is k(p), not a number above it.
    """

    order: float
    growth: float
    constant: float
    method: str
    exact: bool = True

    @property
    def exponent(self) -> float:
        """log k(p) / p: of W_p per step."""
        return math.log(self.growth) / self.order


def bound_of_form(equations: EvenMoments, order: int) -> ContractionBound:
    """For an even p, from the form f of degree p that a step multiplies by k(p)."""
    growth = float(equations.rates[order // 2 - 1])
    if equations.exponents is None or equations.exponents.shape[1] == 1:
        return ContractionBound(order, growth, 1.0, "all directions are alike")
    values, left = np.linalg.eig(np.asarray(equations.block(order)).T)
    form = left[:, np.argmax(values.real)].real
    alpha = equations.exponents[equations.degrees == order]
    low, high, how = form_bounds(form * np.sign(form.sum()), alpha)
    if not low > 0:
        return ContractionBound(order, growth, math.nan, "the eigenform is not proved positive")
    return ContractionBound(order, growth, (high / low) ** (1 / order), how)


def form_bounds(coefficients: np.ndarray, alpha: np.ndarray) -> tuple[float, float, str]:
    """Numbers that a form of even degree lies between on the unit sphere, and how they were found.

    Parameters
    ----------
    coefficients : (n,) array
    alpha : (n, d) array of exponents
    """
    order, d = int(alpha[0].sum()), alpha.shape[1]
    if d == 2 and order > 2:
        return *_in_the_plane(coefficients, alpha), "extremes of the eigenform on the circle"
    if not (alpha % 2).any():
        low, high = _on_the_simplex(coefficients, alpha // 2)
        return low, high, "Bernstein coefficients of the eigenform"
    half = exponents(order // 2, d)
    places = {tuple(each): place for place, each in enumerate(alpha.tolist())}
    shares = coefficients / multinomials(alpha)
    sums = (half[:, None] + half[None]).reshape(-1, d).tolist()
    gram = np.array([shares[places[tuple(each)]] for each in sums]).reshape(len(half), -1)
    root = np.sqrt(multinomials(half))
    values = np.linalg.eigvalsh(root[:, None] * gram * root)  # f = v^T gram v with |v|^2 = |z|^order
    return float(values[0]), float(values[-1]), "eigenvalues of a matrix of the eigenform"


def _in_the_plane(coefficients: np.ndarray, alpha: np.ndarray) -> tuple[float, float]:
    """Extremes of f(cos, sin): at the real roots t of the derivative of f(1, t) / (1 + t^2)^(order / 2), and at inf."""
    order = int(alpha[0].sum())
    polynomial = np.zeros(order + 1)
    polynomial[alpha[:, 1]] = coefficients
    f = np.polynomial.Polynomial(polynomial)
    slope = f.deriv() * np.polynomial.Polynomial([1, 0, 1]) - order * np.polynomial.Polynomial([0, 1]) * f
    roots = slope.roots()
    real = roots[np.abs(roots.imag) < 1e-6 * (1 + np.abs(roots))].real
    t = np.append(real, np.tan(np.linspace(-1.5, 1.5, 61)))
    found = np.append(f(t) / (1 + t**2) ** (order // 2), polynomial[order])
    return float(found.min()), float(found.max())


def _on_the_simplex(coefficients: np.ndarray, alpha: np.ndarray) -> tuple[float, float]:
    """Of a form in w = squares, sum 1: Bernstein coefficients enclose it, more closely where its degree is raised."""
    table = {tuple(each): value for each, value in zip(alpha.tolist(), coefficients / multinomials(alpha))}
    degree, d = int(alpha[0].sum()), alpha.shape[1]
    while degree < RAISED and math.comb(degree + d, degree + 1) <= LARGEST_FORM:
        degree += 1
        table = {
            tuple(each): sum(
                power / degree * table[*each[:i], power - 1, *each[i + 1 :]] for i, power in enumerate(each) if power
            )
            for each in exponents(degree, d).tolist()
        }
    return min(table.values()), max(table.values())


def bound_on_the_circle(growth: CircleGrowth, order: float) -> ContractionBound:
    """For any p in the plane, from the eigenfunction of the transfer operator.

    Both are numerical, to some ten digits.
    """
    tangents = np.geomspace(1e-9, 1e9, FINE)  # in logarithms: it varies where unlike features differ most
    angles = np.concatenate([[0.0], np.arctan(tangents), np.linspace(0, np.pi / 2, FINE)])
    f = growth.eigenfunction(order, np.column_stack([np.cos(angles), np.sin(angles)]))
    constant = (f.max() / f.min()) ** (1 / order) if f.min() > 0 else math.nan
    return ContractionBound(
        order, math.exp(growth(order)), constant, "eigenfunction on the circle, by collocation"
    )


def bound_between(equations: EvenMoments, order: float) -> ContractionBound:
    """For other p: log k(p) is convex, so that it lies below the line between even orders; no constant is known."""
    above = int(2 * math.ceil(order / 2))
    logs = np.log(np.concatenate([[1.0], equations.rates]))
    share = (above - order) / 2
    low, high = logs[above // 2 - 1], logs[above // 2]
    growth = math.exp(share * low + (1 - share) * high)
    return ContractionBound(order, growth, math.nan, "constant not known for this p in unlike directions", False)
