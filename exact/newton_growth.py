"""Growth of moments under Newton steps with the Hessian of another batch, on Gaussian features. Derived.

In coordinates in which features are standard normal a step is A = I - size H'^-1 H, H' and H independent Wishart
matrices over b and B, and turned coordinates are as good: k(s) = E |A e|^s of any unit vector e. H e is (X, sqrt(X Y))
/ B along e and across it, X and Y chi-squared of B and d - 1 degrees of freedom. (b H')^-1 sends a unit vector v to
(v + r n) / T, with n uniform among unit vectors across v, T chi-squared of b - d + 1, and r^2 the quotient of
chi-squared numbers of d - 1 and b - d + 2, all independent. With c the coordinate of n along e,

    |A e|^2 = 1 - 2 q (X + r c sqrt(X Y)) / T + q^2 X (X + Y) (1 + r^2) / T^2,    q = size b / B,

a mean over five numbers, by Gauss' rules for their densities times what |A e|^s has of powers of T and 1 + r^2.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import gammaln, roots_genlaguerre, roots_jacobi

from .tail_index import TailIndex, positive_root, refuse_growth

FINE, COARSE = 20, 14  # nodes of each rule
CLOSE = 1e-6  # of the order at which moments of a step cease to be finite: how near to it k is asked for


def newton_growth(dimension: int, batch: int, other: int, size: float, order: float, nodes: int) -> float:
    """log k(order), d at least 2; at order 0 the Lyapunov exponent.

    Parameters
    ----------
    batch, other : int
        Samples of the gradient and of the Hessian.
    order : float
        Below (other - d + 1) / 2.
    """
    d, free = dimension, other - dimension + 1
    x, x_mass = _gamma(batch / 2, nodes)
    y, y_mass = _gamma((d - 1) / 2, nodes)
    t, t_mass = _gamma(free / 2 - order, nodes)
    t_scale = gammaln(free / 2 - order) - gammaln(free / 2) - order * math.log(2)
    # u = r^2 / (1 + r^2) is beta distributed, and (1 + r^2)^(order / 2) is taken into its weight.
    one, two = (d - 1) / 2, (free + 1) / 2 - order / 2
    u, u_mass = roots_jacobi(nodes, two - 1, one - 1)
    u, u_mass = (1 + u) / 2, u_mass / u_mass.sum()
    u_scale = gammaln(two) - gammaln(one + two) - gammaln((free + 1) / 2) + gammaln(one + (free + 1) / 2)
    if d == 2:
        c, c_mass = np.array([-1.0, 1.0]), np.array([0.5, 0.5])
    else:
        c, c_mass = roots_jacobi(nodes, d / 2 - 2, d / 2 - 2)
        c_mass = c_mass / c_mass.sum()
    q = size * other / batch
    X, Y, T = x[:, None, None], y[None, :, None], t[None, None, :]
    total = 0.0
    for place, part in enumerate(u):
        for along, mass in zip(c, c_mass):
            linear = X * (1 - part) + math.sqrt(part * (1 - part)) * along * np.sqrt(X * Y)
            square = np.maximum(T**2 * (1 - part) - 2 * q * T * linear + q**2 * X * (X + Y), 0.0)
            if order:
                values = square ** (order / 2)
            else:
                values = 0.5 * np.log(np.maximum(square, 1e-300)) - np.log(T) - 0.5 * math.log1p(-part)
            total += u_mass[place] * mass * float(np.einsum("i,j,k,ijk->", x_mass, y_mass, t_mass, values))
    return math.log(total) + t_scale + u_scale if order else total


def _gamma(shape: float, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights for the mean over a chi-squared number of 2 * shape degrees of freedom."""
    t, mass = roots_genlaguerre(nodes, shape - 1)
    return 2 * t, mass / mass.sum()


def newton_index(label: str, dimension: int, batch: int, other: int, size: float) -> TailIndex:
    """The root of log k, from two resolutions.

    Raises
    ------
    NoStationaryLaw
    """
    most = (other - dimension + 1) / 2 * (1 - CLOSE)
    exponents = [newton_growth(dimension, batch, other, size, 0.0, nodes) for nodes in (FINE, COARSE)]
    exponent, exponent_error = exponents[0], abs(exponents[0] - exponents[1])
    refuse_growth(label, exponent, exponent_error)

    def root(nodes: int) -> float:
        return positive_root(lambda order: newton_growth(dimension, batch, other, size, order, nodes), most, 1e-12)

    found = root(FINE), root(COARSE)
    return TailIndex(
        found[0], abs(found[0] - found[1]), "quadrature of |A e|, whose products are independent", exponent,
        exponent_error,
    )  # fmt: skip
