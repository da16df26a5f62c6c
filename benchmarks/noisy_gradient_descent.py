"""Noisy gradient descent on zero-loss models: a two-parameter model, and one tanh network in torch and in numba."""

from __future__ import annotations

import numpy as np
from sgdlimits.discrete import NoisyGradientDescent
from sgdlimits.problems import noise, predictors, zero_loss

WIDTH, SAMPLES, INPUTS = 4, 3, 2


def hyperbola() -> NoisyGradientDescent:
    """Label noise on the hyperbola."""
    return NoisyGradientDescent(zero_loss.Hyperbola(), noise.LabelNoise(0.3), 0.01)


def network(library: str) -> tuple[NoisyGradientDescent, np.ndarray]:
    """Label noise on a tanh network with 4 units and 3 samples, given as a torch function or compiled; its start."""
    generator = np.random.default_rng(0)
    features, labels = generator.standard_normal((SAMPLES, INPUTS)), generator.standard_normal(SAMPLES) / 2
    start = generator.standard_normal(WIDTH * (1 + INPUTS)) / 2
    if library == "numba":
        model = zero_loss.ShallowNetwork(features, labels, WIDTH, "tanh")
    else:
        import torch

        def function(w: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
            return (w[:WIDTH] * torch.tanh(w[WIDTH:].reshape(WIDTH, INPUTS) @ x)).sum()

        predictor = predictors.TorchPredictor(function, INPUTS, 1, WIDTH * (1 + INPUTS))
        model = zero_loss.PredictorRegression(predictor, features, labels)
    return NoisyGradientDescent(model, noise.LabelNoise(0.3), 0.05), start
