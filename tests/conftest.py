"""Fixtures that several test files share."""

import json

import numpy as np
import pytest

LABELS = ["SGD", "homogenized SGD", "modified equation, order 1", "Ornstein-Uhlenbeck", "gradient flow"]
PARTS = [
    "sampling correction",
    "step size",
    "closure",
    "integrator",
    "Monte Carlo, other",
    "Monte Carlo, reference",
]


@pytest.fixture(scope="session")
def laws_dataset():
    """A dataset with the schema of compare.laws, from formulas rather than from simulation."""
    import xarray as xr

    from sgdlimits.compare._laws.statistics import LawStatistics, worst_of

    noise = np.random.Generator(np.random.Philox(3))
    steps = np.unique(np.r_[0, np.linspace(0, 2000, 51).astype(int)[1:]])
    time = steps / 2000
    gap = np.array([0, 0.010, 0.004, -0.02, -0.06])[:, None]
    flow = 0.22 + 0.28 * np.exp(-8 * time)
    risk = flow + gap * (1 - np.exp(-10 * time)) + 1e-4 * gap * time
    norm = (
        0.8 * (1 - np.exp(-5 * time)) + 0.3 * gap * time + 0.001 * noise.standard_normal((5, 51)) * (time > 0)
    )
    estimate = np.stack([risk, norm], axis=1)
    error = np.stack([0 * risk, 0.001 + 0 * norm], axis=1)
    error[:, 1, 0] = 0
    difference = estimate - estimate[:1]
    half = 1.96 * np.sqrt(2) * error
    half[0] = 0
    lower, upper = difference - half, difference + half
    scale = np.abs(estimate[:1]) + 0 * estimate
    margin = 0.05 * scale
    verdict = np.where((lower >= -margin) & (upper <= margin), "agrees", "undecided").astype(object)
    verdict[(lower > margin) | (upper < -margin)] = "differs"
    verdict[0] = "reference"
    exact = np.array([[True, False]] * 5)
    band = 3.2 / 1.96 * half
    statistics = LawStatistics(
        estimate, error, difference, lower, upper, difference - band, difference + band, 0 * error, scale, verdict,
        np.zeros(error.shape, dtype=bool), exact, np.full(exact.shape, "", dtype=object),
    )  # fmt: skip
    worst = worst_of(statistics, steps, 0.05)
    caution = np.full(exact.shape, "", dtype=object)
    caution[4, 0], caution[1, 1] = "unstable", "tails; integrator"
    predicted = np.full(difference.shape, np.nan)
    predicted[1:3, 0] = 0.9 * difference[1:3, 0]
    levels = np.array([-1.6, -0.7, 0, 0.8, 2.1])
    quantiles = estimate[..., None] * (1 + 0.2 * levels * (time > 0)[:, None])
    quantiles[4] = estimate[4][..., None]
    places = [1, 3, 7, 14, 27, 50]
    w1 = np.abs(difference[..., places]) + 0.003
    ks = np.minimum(30 * np.abs(difference[..., places]) + 0.01, 1)
    w1[0], ks[0] = 0, 0
    parts = np.zeros((5, 6, 51))
    parts[1:, 1] = -0.004 * time
    parts[1:, 2] = difference[1:, 0] + 0.004 * time
    parts[1:, 3] = 2e-4 * time
    parts[1:, 4:] = 3e-4 * noise.standard_normal((4, 2, 51)) * (time > 0)
    errors = np.zeros_like(parts)
    errors[1:, 4:, 1:] = 3e-4
    parts[0], errors[0] = np.nan, np.nan
    axes = ("process", "observable", "step")
    return xr.Dataset(
        {
            **statistics.variables(),
            **{name: (axes[:2], values) for name, values in worst.items()},
            "worst_part": (axes[:2], np.array([["closure", ""]] * 5, dtype=object)),
            "caution": (axes[:2], caution),
            "predicted": (axes, predicted),
            "quantiles": ((*axes, "quantile"), quantiles),
            "w1": ((*axes[:2], "distance_step"), w1),
            "w1_lower": ((*axes[:2], "distance_step"), np.maximum(w1 - 0.004, 0)),
            "w1_upper": ((*axes[:2], "distance_step"), w1 + 0.004),
            "ks": ((*axes[:2], "distance_step"), ks),
            "ks_lower": ((*axes[:2], "distance_step"), np.maximum(ks - 0.03, 0)),
            "ks_upper": ((*axes[:2], "distance_step"), np.minimum(ks + 0.03, 1)),
            "gelbrich": (("process", "step"), np.abs(difference[:, 0])),
            "budget": (("process", "part", "step"), parts),
            "budget_error": (("process", "part", "step"), errors),
            "budget_rounding": (("process", "part", "step"), 0 * parts),
            "budget_sum": (("process", "step"), parts[:, :3].sum(axis=1)),
        },
        coords={
            "process": LABELS,
            "observable": ["risk", "norm"],
            "step": steps,
            "distance_step": steps[places],
            "quantile": [0.05, 0.25, 0.5, 0.75, 0.95],
            "part": PARTS,
        },
        attrs={
            "title": f"{LABELS[0]} against {', '.join(LABELS[1:])}",
            "problem": "LeastSquares(made_up: n=442, d=10, rank=10, ridge=0; largest eigenvalue 4.024)",
            "preparation": "made_up: 442 rows; every column <b> & target has mean 0",
            "steps": 2000,
            "paths": 10000,
            "seed": 0,
            "solver": "",
            "substeps": 0,
            "scales": json.dumps(["the value of SGD"] * 2),
            "sampled_by": json.dumps({LABELS[1]: ["strang", 4]}),
            "schemes": "[]",
            "quality": "float32",
            "tolerance": 0.05,
            "confidence": 0.95,
            "step_size": 0.05,
            "batch_size": 4,
            "x0": "the origin",
            "version": "0.1.0",
            "mismatches": json.dumps(["gradient flow has step_size 0.06, SGD has 0.05"]),
            "overflowed": json.dumps({"SGD": [3, 1200]}),
            "claims": json.dumps(
                [
                    {
                        "process": LABELS[2],
                        "statement": "weak order 1 in the step size",
                        "assumptions": ["smooth loss", "x < y & finite time"],
                        "source": "li2019",
                        "order": 1.0,
                    }
                ]
            ),
            "stability": json.dumps(
                [
                    {
                        "process": LABELS[0],
                        "mean_threshold": 0.49,
                        "mean_square_threshold": 0.2,
                        "step_size": 0.05,
                        "stable": True,
                        "sentence": "SGD: stable, step size 0.05 is 0.25 of the threshold 0.2.",
                    }
                ]
            ),
            "budget_absent": "",
        },
    )


@pytest.fixture(scope="session")
def orders_dataset():
    """A dataset with the schema of compare.orders."""
    import xarray as xr

    ladder = 0.1 / 2.0 ** np.arange(5)
    slopes = np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [2.0, 2.0, 2.0], [1.0, 1.0, 1.0]])
    constants = np.array([[0.3, 0.2, 0.5], [0.25, 0.2, 0.4], [0.8, 0.7, 1.1], [-0.28, 0.2, 0.45]])
    error = constants[..., None] * ladder ** slopes[..., None] * (1 + 0.3 * ladder)
    axes = ("process", "quantity")
    return xr.Dataset(
        {
            "error": ((*axes, "step_size"), error),
            "slope": (axes, slopes + 0.004),
            "slope_error": (axes, 0.002 + 0 * slopes),
            "claimed": (axes, slopes),
            "constant": (axes, constants * 1.01),
            "constant_predicted": (axes, constants),
        },
        coords={
            "process": [
                "homogenized SGD",
                "modified equation, order 1",
                "modified equation, order 2",
                "gradient flow",
            ],
            "quantity": ["risk", "mean", "covariance"],
            "step_size": ladder,
        },
        attrs={"title": "Weak errors against SGD at time 2.5", "time": 2.5, "claims": "[]"},
    )
