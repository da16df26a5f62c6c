"""The motions whose time scales the study on zero-loss sets measures."""

from __future__ import annotations

import numpy as np


def motions() -> list:
    """Slow motions on small models, the fast motions beside them, and relaxations of least squares."""
    from sgdlimits.compare import TimeScale
    from sgdlimits.diffusions import HomogenizedSGD
    from sgdlimits.discrete import SGD
    from sgdlimits.discrete import NoisyGradientDescent
    from sgdlimits.problems import LeastSquares, noise, zero_loss

    curve, products = zero_loss.Hyperbola(), zero_loss.ProductSum(2)
    on_curve, off_curve = np.array([2.0, 0.5]), np.array([2.2, 0.9])
    shares = np.sqrt([0.9, 0.1, 0.9, 0.1])
    features = np.random.Generator(np.random.Philox(5)).standard_normal((3, 5))
    diagonal = zero_loss.DiagonalLinearNetwork(features, features @ np.array([1.0, -0.5, 0.0, 0.3, 0.0]))
    label = NoisyGradientDescent(curve, noise.LabelNoise(0.5), 0.1)
    least_squares = LeastSquares.gaussian(50, 10, 1.0, seed=0)
    sgd = SGD(least_squares, 0.05)
    heavy = SGD(least_squares, 0.05, momentum=0.8)
    far = np.ones(10)
    # Such drifts are quick, and six rungs know their exponents four times as well.
    longer = tuple((0.1 * 0.5 ** np.arange(6)).tolist())
    return [
        TimeScale(label, on_curve),
        TimeScale(NoisyGradientDescent(products, noise.Dropout(0.2), 0.1), shares, step_sizes=longer),
        TimeScale(NoisyGradientDescent(products, noise.DropConnect(0.2), 0.1), shares, step_sizes=longer),
        TimeScale(NoisyGradientDescent(curve, noise.WeightNoise(0.1), 0.1), on_curve, step_sizes=longer),
        TimeScale(NoisyGradientDescent(diagonal, noise.Minibatch(1), 0.04), np.full(10, 0.7)),
        TimeScale(label, off_curve, "equilibration"),
        TimeScale(label, off_curve, "relaxation", label="hyperbola, relaxation"),
        TimeScale(sgd, far, label="least squares, SGD"),
        TimeScale(heavy, far, label="least squares, momentum 0.8"),
        TimeScale(HomogenizedSGD.of(sgd), far, label="least squares, homogenized SGD"),
    ]
