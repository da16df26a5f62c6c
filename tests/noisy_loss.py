"""A loss in two weights with a noise of its own, from its parts."""

from types import SimpleNamespace

import numpy as np

from sgdlimits.problems import zero_loss


class NoisyLoss(zero_loss.Model):
    """A loss in two variables with one noise variable, from its parts: L, its derivatives, Reg and G."""

    dimension, noise_size, label = 2, 1, "made-up loss"
    kernel_data = ()

    def __init__(self, hessian, third, regulariser, regulariser_gradient, noise_column, gradient, loss):
        self.parts = SimpleNamespace(**{name: value for name, value in locals().items() if name != "self"})

    def loss(self, w):
        return self.parts.loss(*np.moveaxis(np.asarray(w, float), -1, 0))

    def gradient(self, w):
        return self._stack(self.parts.gradient, w)

    def hessian(self, w):
        xx, xy, yy = np.moveaxis(self._stack(self.parts.hessian, w), -1, 0)
        return np.stack([np.stack([xx, xy], -1), np.stack([xy, yy], -1)], -2)

    def third_contraction(self, w, matrix):
        xxx, xxy, xyy, yyy = np.moveaxis(self._stack(self.parts.third, w), -1, 0)
        a, b, d = matrix[..., 0, 0], 2 * matrix[..., 0, 1], matrix[..., 1, 1]
        return np.stack([a * xxx + b * xxy + d * xyy, a * xxy + b * xyy + d * yyy], -1)

    def own_regulariser(self, w):
        return self._stack(lambda x, y: (self.parts.regulariser(x, y),), w)[..., 0]

    def own_regulariser_gradient(self, w):
        return self._stack(self.parts.regulariser_gradient, w)

    def own_fourth_gradient(self, w):
        return np.zeros(np.shape(w))

    def noise_matrix(self, w):
        return self._stack(self.parts.noise_column, w)[..., None]

    def noisy_gradient_of(self, w, eta):
        return (
            self.gradient(w) + eta * self.noise_matrix(w)[..., 0] + eta**2 * self.own_regulariser_gradient(w)
        )

    def closed_limit(self, w):
        return None

    def conserved(self, w):
        return np.empty((*np.shape(w)[:-1], 0))

    def _stack(self, function, w):
        x, y = np.moveaxis(np.asarray(w, float), -1, 0)
        return np.stack([part + 0 * x for part in function(x, y)], -1)
