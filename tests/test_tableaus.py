"""Roessler's order conditions hold on the tableaus as identities."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from sgdlimits.diffusions.solvers import tableaus

ROUNDING = 1e-14


def arrays(tableau):
    """The tableau's fields as arrays, and a vector of ones."""
    values = [np.asarray(getattr(tableau, field.name), dtype=float) for field in fields(tableau)]
    return dict(zip([field.name for field in fields(tableau)], values, strict=True)), np.ones(
        len(tableau.alpha)
    )


def additive_conditions(tableau):
    """Conditions of strong order 1.5 for additive noise (Roessler, SIAM J. Numer. Anal. 48, 2010)."""
    v, e = arrays(tableau)
    b0 = v["b0"] @ e
    return [
        v["alpha"] @ e - 1, v["beta1"] @ e - 1, v["beta2"] @ e, v["alpha"] @ b0 - 1, v["alpha"] @ v["a0"] @ e - 1 / 2,
        v["alpha"] @ b0**2 - 3 / 2, v["beta1"] @ v["c1"] - 1, v["beta2"] @ v["c1"] + 1,
    ]  # fmt: skip


def elementwise_conditions(tableau):
    """Conditions of strong order 1.5 for one noise a coordinate (Roessler, SIAM J. Numer. Anal. 48, 2010)."""
    v, e = arrays(tableau)
    alpha, betas = v["alpha"], [v[f"beta{k}"] for k in (1, 2, 3, 4)]
    a0, a1, b0, b1 = v["a0"] @ e, v["a1"] @ e, v["b0"] @ e, v["b1"] @ e
    wanted = {
        "sum": (1, 0, 0, 0), "b1": (0, 1, 0, 0), "a1": (1, 0, -1, 0), "b1^2": (1, 0, -1, 2), "b1 b1": (0, 0, 0, 1)
    }  # fmt: skip
    vectors = {"sum": e, "b1": b1, "a1": a1, "b1^2": b1**2, "b1 b1": v["b1"] @ b1}
    out = [alpha @ e - 1, alpha @ a0 - 1 / 2, alpha @ b0 - 1, alpha @ b0**2 - 3 / 2]
    out += [
        beta @ vectors[name] - want
        for name, row in wanted.items()
        for beta, want in zip(betas, row, strict=True)
    ]
    return [*out, betas[0] @ v["a1"] @ b0 / 2 + betas[2] @ v["a1"] @ b0 / 3]


def weak_conditions(tableau):
    """The 59 conditions of weak order 2 (Roessler, SIAM J. Numer. Anal. 47, 2009), where A2 vanishes."""
    v, e = arrays(tableau)
    alpha, p1, p2, p3, p4 = v["alpha"], v["beta1"], v["beta2"], v["beta3"], v["beta4"]
    A1, B0, B1, B2 = v["a1"], v["b0"], v["b1"], v["b2"]
    a0, a1, b0, b1, b2 = (v[name] @ e for name in ("a0", "a1", "b0", "b1", "b2"))
    one = p1 @ e
    return [
        alpha @ e - 1, p4 @ e, p3 @ e, one**2 - 1, p2 @ e, p1 @ b1, p3 @ b2, p4 @ b2**2,
        alpha @ a0 - 1 / 2, alpha @ b0**2 - 1 / 2, one * alpha @ b0 - 1 / 2, one * p1 @ a1 - 1 / 2, p2 @ b1 - 1,
        p4 @ b2 - 1, one * p1 @ b1**2 - 1 / 2, one * p3 @ b2**2 - 1 / 2, p1 @ B1 @ b1, p3 @ B2 @ b1,
        p3 @ B2 @ B1 @ b1, p1 @ A1 @ b0, alpha @ B0 @ b1, p2 @ a1, p1 @ (a1 * b1), p2 @ A1 @ b0, p2 @ A1 @ b0**2,
        p1 @ B1 @ a1, p3 @ B2 @ a1, p2 @ b1**2, p4 @ B2 @ b1, p2 @ B1 @ b1, p1 @ b1**3, p3 @ b2**3, p1 @ B1 @ b1**2,
        p3 @ B2 @ b1**2, p4 @ b2**4, p4 @ (B2 @ b1) ** 2, p4 @ (b2 * (B2 @ b1)), alpha @ (b0 * (B0 @ b1)),
        p1 @ ((A1 @ b0) * b1), p1 @ A1 @ B0 @ b1, p4 @ ((B2 @ a1) * b2), p1 @ B1 @ A1 @ b0, p3 @ B2 @ A1 @ b0,
        p1 @ (b1 * (B1 @ b1)), p3 @ (b2 * (B2 @ b1)), p1 @ B1 @ B1 @ b1, p4 @ (b2 * (B2 @ b1**2)),
        p4 @ (b2 * (B2 @ B1 @ b1)),
    ]  # fmt: skip


CASES = [
    (tableaus.SRA1, additive_conditions), (tableaus.SRA3, additive_conditions),
    (tableaus.SRIW1, elementwise_conditions), (tableaus.SRIW2, elementwise_conditions),
    (tableaus.RI6, weak_conditions), (tableaus.DRI1, weak_conditions),
]  # fmt: skip


@pytest.mark.parametrize(
    ("tableau", "conditions"), CASES, ids=["SRA1", "SRA3", "SRIW1", "SRIW2", "RI6", "DRI1"]
)
def test_order_conditions_hold_to_rounding(tableau, conditions):
    """Assert every condition of the claimed order."""
    assert np.abs(conditions(tableau)).max() < ROUNDING


@pytest.mark.parametrize(
    ("tableau", "conditions"), CASES, ids=["SRA1", "SRA3", "SRIW1", "SRIW2", "RI6", "DRI1"]
)
def test_every_weight_is_held_by_a_condition(tableau, conditions):
    """Assert that changing any nonzero number of a tableau by a thousandth breaks a condition."""
    for field in fields(tableau):
        values = np.array(getattr(tableau, field.name), dtype=float)
        for place in zip(*np.nonzero(values), strict=True):
            changed = values.copy()
            changed[place] *= 1.001
            assert np.abs(conditions(replace(tableau, **{field.name: changed}))).max() > 1e-5, (
                field.name,
                place,
            )


@pytest.mark.parametrize(
    "tableau", [tableaus.SRA3, tableaus.SRIW2, tableaus.DRI1], ids=["SRA3", "SRIW2", "DRI1"]
)
def test_three_drift_stages_are_of_third_order_without_noise(tableau):
    """Assert the two conditions of order three for ordinary differential equations."""
    c = tableau.c0
    assert abs(np.dot(tableau.alpha, c**2) - 1 / 3) < ROUNDING
    assert abs(np.dot(tableau.alpha, tableau.a0 @ c) - 1 / 6) < ROUNDING
