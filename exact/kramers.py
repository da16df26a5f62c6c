"""Rates of escape of diffusions in small noise: Eyring and Kramers, absorbing walls, noise that goes as the loss."""

from __future__ import annotations

import math
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
