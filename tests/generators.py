"""Generators of modified equations on torch modules, applied again and again by automatic differentiation."""

import numpy as np
from tests.optional import optional


class Generator:
    """A of dX = b(X) dt + sqrt(eta factor C(X)) dW, from losses of single samples f_i(x): A g is a function again.

    b is -grad f, or -grad(f + eta |grad f|^2 / 4), and C the covariance of the samples' gradients.
    """

    def __init__(self, loss, samples, factor, order):
        self.loss, self.samples, self.factor, self.order = loss, samples, factor, order
        self.func = optional("torch").func

    def gradients(self, x):
        """Gradients (n, d) of the samples."""
        return self.func.vmap(self.func.grad(self.loss), (None, *(0 for _ in self.samples)))(x, *self.samples)

    def drift(self, x, eta):
        """b (d,)."""
        mean = self.gradients(x).mean(0)
        if self.order == 1:
            return -mean
        bend = self.func.jvp(lambda y: self.gradients(y).mean(0), (x,), (mean,))[1]
        return -mean - eta / 2 * bend

    def columns(self, x):
        """u_i (n, d), with C the mean of u_i u_i^T."""
        gradients = self.gradients(x)
        return gradients - gradients.mean(0)

    def applied(self, g, eta):
        """A g."""
        jvp = self.func.jvp

        def bent(x, along):
            return jvp(lambda y: jvp(g, (y,), (along,))[1], (x,), (along,))[1]

        def found(x):
            first = jvp(g, (x,), (self.drift(x, eta),))[1]
            second = self.func.vmap(bent, (None, 0))(x, self.columns(x)).mean(0)
            return first + eta * self.factor / 2 * second

        return found

    def expansion(self, g, x, eta, terms):
        """Terms eta^k A^k g / k! of E g(X(eta)), k = 0, ..., terms."""
        found, scale = [], 1.0
        for k in range(terms + 1):
            found.append(scale * g(x))
            g, scale = self.applied(g, eta), scale * eta / (k + 1)
        return np.array([each.detach().numpy() for each in found])
