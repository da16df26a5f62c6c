"""Kernel regression by random Fourier features, with the population's Hessian by formula."""

from __future__ import annotations

import math

import numba
import numpy as np

from sgdlimits.exact.errors import non_negative, positive, whole_number

from ..predictors import Linear
from ..sources import Stream
from .drawing import TEST_ROWS, least_squares, samples_of, supervised, teacher_normals, teacher_uniforms
from .population import Population, quadratic
from .task import Starts, Task


@numba.njit(nogil=True, error_model="numpy")
def _draw(normals, uniforms, out, frequencies, phases, weights, noise):
    """Features cos(frequencies . a + phases), those of the student first; the label is made of the teacher's."""
    p, m = frequencies.shape[1], out.size
    label = noise[0] * normals[p]
    for i in range(phases.size):
        angle = phases[i]
        for j in range(p):
            angle += frequencies[i, j] * normals[j]
        value = math.cos(angle)
        if i < m:
            out[i] = weights[i] * value
        else:
            label += weights[i] * value
    return label


def random_features(
    inputs: int = 5, features: int = 200, width: float = 2.0, teacher: int = 20, noise: float = 0.1,
    rows: int | None = None, seed: int = 0, test_rows: int = TEST_ROWS,
) -> Task:  # fmt: skip
    """Regression on m random Fourier features (Rahimi, Recht 2007), which approximate a Gaussian kernel.

    Inputs a ~ N(0, I); features sqrt(2 / m) cos(w.a / width + phase), w ~ N(0, I). The teacher is a sum of `teacher`
    such waves of its own with variance 1. Online the features are those of fresh samples; offline it is `LeastSquares`.

    Parameters
    ----------
    inputs, features : int
        p and m = d.
    width : float
        Of the kernel exp(-|a - a'|^2 / (2 width^2)).
    teacher : int
        Waves of the teacher.
    noise : float
        Standard deviation of the labels about the teacher.
    rows, seed, test_rows
        As in `linear_regression`; the seed draws features and teacher too.
    """
    p, m = whole_number("inputs", inputs, 1), whole_number("features", features, 1)
    waves, noise = whole_number("teacher", teacher, 1), non_negative("noise", noise)
    normals = teacher_normals(seed, (m + waves) * p + waves)
    frequencies = normals[: (m + waves) * p].reshape(-1, p) / positive("width", width)
    phases = 2 * np.pi * teacher_uniforms(seed, m + waves)
    weights = np.concatenate([np.full(m, np.sqrt(2 / m)), normals[(m + waves) * p :] * np.sqrt(2 / waves)])
    law = Stream(_draw, m, p + 1, arrays=(frequencies, phases, weights, [noise]))
    source, test = samples_of(law, seed, rows, test_rows)
    problem = least_squares(source, test) if rows is not None else supervised(
        Linear(m, bias=False), "squares", source, test, "random features"
    )  # fmt: skip
    about = f"{m} random Fourier features of inputs N(0, I) in dimension {p}, labels of {waves} waves, noise {noise:g}"
    population = _population(frequencies, phases, weights, m, noise)
    return Task("random features", problem, test, Starts(np.zeros(m), np.zeros(m)), population, about)


def _population(
    frequencies: np.ndarray, phases: np.ndarray, weights: np.ndarray, features: int, noise: float
) -> Population:
    """E cos(w.a + b) cos(w'.a + b') = (e^(-|w - w'|^2 / 2) cos(b - b') + e^(-|w + w'|^2 / 2) cos(b + b')) / 2."""
    squares = np.square(frequencies).sum(axis=1)
    products, both = frequencies @ frequencies.T, squares[:, None] + squares
    minus, plus = np.exp(products - 0.5 * both), np.exp(-products - 0.5 * both)
    moments = 0.5 * (minus * np.cos(phases[:, None] - phases) + plus * np.cos(phases[:, None] + phases))
    moments *= np.outer(weights, weights)
    hessian, along = moments[:features, :features], moments[:features, features:].sum(axis=1)
    least = np.linalg.lstsq(hessian, along, rcond=1e-13)[0]
    floor = 0.5 * (moments[features:, features:].sum() - along @ least + noise**2)
    return quadratic("random features", hessian, least, float(floor))
