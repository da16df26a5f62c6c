"""Escape from a well against the step size: the exact rate, Kramers' formula, a common reading of it, and paths."""

from __future__ import annotations

import numpy as np

from sgdlimits.discrete import escape

from .curves import EXACT, Curve, Scale

KRAMERS, SUBSTITUTED = "Kramers", "Kramers with 2 - step size x curvature"
EXPONENT = 12.0  # of Kramers' formula, kept along the curve


def double_well(scale: Scale) -> Curve:
    """A quartic double well, noise so that Kramers' exponent stays the same at all step sizes."""
    well = escape.DoubleWell(height=0.5)  # curvature 1 at the minima, barrier 1 / 8
    sizes = np.linspace(0.1, 1.6, 2 * scale.points + 1)
    looked = (0, scale.points, 2 * scale.points)
    exact, kramers, substituted, seen, errors = [], [], [], [], []
    for index, size in enumerate(sizes):
        noise = 2 * 0.125 / (float(size) * EXPONENT)
        descent = escape.LandscapeDescent(well, step_size=float(size), noise=noise)
        exact.append(escape.rate(descent).rate)
        formula = escape.kramers(descent).rate
        kramers.append(formula)
        substituted.append(formula * np.exp(EXPONENT * float(size) / 2) if size < 2 else np.nan)
        if index in looked:
            found = escape.rate(descent, method="splitting", tolerance=0.2, seed=scale.seed, threads=scale.threads)
            seen.append(found.rate)
            errors.append(found.error / 1.96)
        else:
            seen.append(np.nan)
            errors.append(np.nan)
    lines = {EXACT: np.array(exact), KRAMERS: np.array(kramers), SUBSTITUTED: np.array(substituted)}
    return Curve(
        "escape", "Escape from a quartic well: the rate per step, at one Kramers exponent",
        "step size x curvature of the minimum", "rate per step", sizes, lines, np.array(seen), np.array(errors),
        note=f"Escape: barrier 1/8, curvature 1, noise so that Kramers' exponent is {EXPONENT:g}; to the other one. "
        "Over a smooth barrier the exponent has no correction of first order in the step size; past step size x "
        "curvature of one single steps overshoot.",
    )  # fmt: skip
