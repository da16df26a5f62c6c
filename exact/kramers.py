"""Rates of escape of diffusions: the formulas of Eyring and Kramers, at walls, and in one dimension without a limit."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np


def smooth_rate(at_minimum: np.ndarray, at_saddle: np.ndarray, barrier: float, temperature: float) -> float:
    """Rate of dX = -grad U dt + sqrt(2 temperature) dB over a smooth saddle, per unit of time, as temperature -> 0.

    |mu| / (2 pi) sqrt(det H_minimum / |det H_saddle|) exp(-barrier / temperature), mu the negative eigenvalue at the
    saddle (Eyring, Kramers).
    """
    bends = np.linalg.eigvalsh(at_saddle)
    share = 0.5 * float(np.log(np.linalg.eigvalsh(at_minimum)).sum() - np.log(np.abs(bends)).sum())
    return abs(float(bends[0])) / (2 * math.pi) * math.exp(share - barrier / temperature)


def wall_rate(curvature: float, barrier: float, temperature: float) -> float:
    """The same onto one absorbing wall on which U rises in a harmonic well, for barriers large against temperature.

    curvature z exp(-z^2 / 2) / sqrt(2 pi), z^2 / 2 = barrier / temperature; `curvature` is U's where the wall is
    lowest, along the way there.
    """
    z = math.sqrt(2 * barrier / temperature)
    return curvature * z * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def power_law_rate(at_minimum: float, at_saddle: float, loss_ratio: float, step_over_batch: float) -> float:
    """Rate of dX = -L' dt + sqrt(2 step_size L h / B) dB over a saddle on a line, h = L'' at the minimum.

    sqrt(h |L''_saddle|) / (2 pi) (L_minimum / L_saddle)^(B / (step_size h) + 1/2): in the time of a step of size L it
    is a diffusion of constant noise in log L.

    Parameters
    ----------
    at_minimum, at_saddle : float
        Curvatures, the second below zero.
    loss_ratio : float
        L at the minimum over L at the saddle.
    step_over_batch : float
        step_size / B.
    """
    power = 1 / (step_over_batch * at_minimum) + 0.5
    return math.sqrt(at_minimum * abs(at_saddle)) / (2 * math.pi) * math.exp(power * math.log(loss_ratio))


def line_rate(
    slope: Callable[[np.ndarray], np.ndarray], variance: Callable[[np.ndarray], np.ndarray], lower: float, upper: float,
    start: float, nodes: int = 4000,
) -> float:  # fmt: skip
    """1 over the mean time in which dX = -slope dt + sqrt(variance) dB, from `start`, leaves (lower, upper).

    By the scale function and the speed measure, for any noise. An end at which paths turn back before they reach it
    is named by a finite bound beyond what they see and is told from an exit by `slope` pointing away from it.

    Parameters
    ----------
    slope, variance : functions of an array
    lower, upper : float
        One of them may be infinite: then nothing leaves there.
    """
    from scipy.special import roots_legendre

    ends = [lower, upper]
    for i, sign in ((0, -1.0), (1, 1.0)):
        if math.isinf(ends[i]):
            ends[i] = _far(slope, variance, start, sign)
    x, width = np.linspace(ends[0], ends[1], nodes + 1), (ends[1] - ends[0]) / nodes
    t, weight = roots_legendre(8)
    inner = x[:-1, None] + width * (t + 1) / 2
    force = 2 * slope(inner.ravel()).reshape(inner.shape) / variance(inner.ravel()).reshape(inner.shape)
    phi = np.r_[0.0, np.cumsum(force @ weight * width / 2)]  # minus the logarithm of the stationary density, times c
    first = np.array([[_antiderivative(t, j, u) for j in range(t.size)] for u in t])
    local = phi[:-1, None] + force @ first.T * width / 2
    low = float(local.min())
    scale = np.exp(local - float(local.max())) @ weight * width / 2
    speed = np.exp(low - local) * 2 / variance(inner.ravel()).reshape(inner.shape) @ weight * width / 2
    if math.isinf(lower):
        inside = np.cumsum(speed)
        place = int((start - ends[0]) / width)
        total = float((scale * (inside - speed / 2))[place:].sum())
    elif math.isinf(upper):
        inside = np.cumsum(speed[::-1])[::-1]
        place = int((start - ends[0]) / width)
        total = float((scale * (inside - speed / 2))[: place + 1].sum())
    else:
        place = int((start - ends[0]) / width)
        reach, mass = np.cumsum(scale) - scale / 2, speed
        whole = float(scale.sum())
        left, right = reach, whole - reach
        here = float(left[place])
        green = np.where(np.arange(nodes) <= place, left * (whole - here), right * here) / whole
        total = float((green * mass).sum())
    return math.exp(low - float(local.max())) / total


def _antiderivative(t: np.ndarray, j: int, u: float) -> float:
    """Integral from -1 to u of the j-th Lagrange polynomial of the nodes."""
    others = np.delete(t, j)
    polynomial = np.polynomial.Polynomial.fromroots(others) / np.prod(t[j] - others)
    whole = polynomial.integ()
    return float(whole(u) - whole(-1.0))


def _far(
    slope: Callable[[np.ndarray], np.ndarray], variance: Callable[[np.ndarray], np.ndarray], start: float, sign: float
) -> float:
    """Where the stationary density has fallen by exp(-60) on a side without an end."""
    reach = 1e-3
    for _ in range(200):
        x = start + sign * np.linspace(0, reach, 400)
        force = 2 * slope(x) / variance(x) * sign
        if np.trapezoid(force, dx=reach / 399) > 60:
            return start + sign * reach
        reach *= 1.2
    return start + sign * reach
