"""One noisy gradient step in NumPy: numbers into slots, slots into a gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sgdlimits.exact.errors import points
from sgdlimits.ensembles.random import Noise

from ..zero_loss.model import Model, Regression
from .mechanism import MULTIPLIED, Draw


class Perturbation(NamedTuple):
    """Noise of one step of P paths, by slot; None where a slot is empty.

    `rows` (P, B), `labels` (P, S), `units` (P, 1 or S, h), `inputs` (P, S, p), `eta` (P, q), and `factor`, `shift`,
    `push` (P, m). S is the number of samples in the step.
    """

    rows: np.ndarray | None = None
    labels: np.ndarray | None = None
    units: np.ndarray | None = None
    inputs: np.ndarray | None = None
    eta: np.ndarray | None = None
    factor: np.ndarray | None = None
    shift: np.ndarray | None = None
    push: np.ndarray | None = None


def perturbation(draws: Sequence[Draw], stream: Noise, k: int) -> Perturbation:
    """Draw the noise of step k.

    Parameters
    ----------
    draws : sequence of Draw
        See `Mechanism.draws`.
    stream : ensembles.Noise
        Of P paths.
    k : int
    """
    slots: dict[str, np.ndarray] = {}
    for draw in draws:
        if draw.slot == "rows":
            slots["rows"] = stream.rows(k, draw.shape[0], draw.samples, draw.law)
            continue
        if draw.law == "normal":
            value = draw.sigma * stream.normals(draw.purpose, k, draw.size)
        else:
            value = (stream.uniforms(draw.purpose, k, draw.size) < draw.keep) / draw.keep - 1
        value = value.reshape(len(value), *draw.shape)
        if draw.transform is not None:
            value = value @ draw.transform.T
        if draw.slot in MULTIPLIED:
            slots[draw.slot] = (1 + value) * slots.get(draw.slot, 1.0)
        else:
            slots[draw.slot] = value + slots.get(draw.slot, 0.0)
    return Perturbation(**slots)


def noisy_gradient(model: Model, w: np.ndarray, noise: Perturbation) -> np.ndarray:
    """Gradient (P, m) in w of the perturbed loss at w (P, m), plus what pushes the step.

    A regression sums over the rows drawn, times N / B. The weights at which it is taken are w * factor + shift, where
    w is the iterate, an anti-correlated perturbation of it included.
    """
    w = points("w", w, model.dimension, finite=False)
    place = w if noise.factor is None else w * noise.factor
    place = place if noise.shift is None else place + noise.shift
    if isinstance(model, Regression):
        gradient = _regression_gradient(model, place, noise)
    elif noise.eta is None:
        gradient = model.gradient(place)
    else:
        gradient = model.noisy_gradient_of(place, noise.eta)  # type: ignore[attr-defined]  # where there is an eta
    gradient = gradient if noise.factor is None else noise.factor * gradient
    return gradient if noise.push is None else gradient + noise.push


def _regression_gradient(model: Regression, w: np.ndarray, noise: Perturbation) -> np.ndarray:
    inputs, targets, scale = None, model.labels, model.weight
    if noise.rows is not None:
        inputs, targets = model.inputs[noise.rows], model.labels[noise.rows]
        scale = model.weight * model.samples / noise.rows.shape[-1]
    if noise.inputs is not None:
        inputs = (model.inputs if inputs is None else inputs) + noise.inputs
    if noise.labels is not None:
        targets = targets + noise.labels
    predictions, jacobian = model.predict_with_jacobian(w, inputs, noise.units)
    return scale * np.einsum("...i,...ij->...j", predictions - targets, jacobian)
