"""Generators of modified equations on torch modules, applied again and again by automatic differentiation."""

from tests.optional import optional


class Generator:
    """A of dX = b(X) dt + sqrt(eta factor C(X)) dW, from losses of single samples f_i(x, *sample).

    b is -grad f, or -grad(f + eta |grad f|^2 / 4), and C the covariance of the samples' gradients.
    """

    def __init__(self, loss, samples, order):
        self.loss, self.samples, self.order = loss, samples, order
        self.func = optional("torch").func

    def gradients(self, x):
        """Gradients (n, d) of the samples."""
        return self.func.vmap(self.func.grad(self.loss), (None, *(0 for _ in self.samples)))(x, *self.samples)

    def drift(self, x, eta):
        """b (d,)."""
        mean = self.gradients(x).mean(0)
        if self.order == 1:
            return -mean
        return -mean - eta / 2 * self.func.jvp(lambda y: self.gradients(y).mean(0), (x,), (mean,))[1]

    def columns(self, x):
        """u_i (n, d), with C the mean of u_i u_i^T."""
        gradients = self.gradients(x)
        return gradients - gradients.mean(0)

    def applied(self, g, eta, factor):
        """A g, a function again."""
        jvp = self.func.jvp

        def bent(x, along):
            return jvp(lambda y: jvp(g, (y,), (along,))[1], (x,), (along,))[1]

        def found(x):
            first = jvp(g, (x,), (self.drift(x, eta),))[1]
            second = self.func.vmap(bent, (None, 0))(x, self.columns(x)).mean(0)
            return first + eta * factor / 2 * second

        return found

    def expansion(self, g, x, sizes, factors, terms):
        """Terms eta^k A^k g / k! of E g(X(eta)): (k = 0, ..., terms; factor; eta; ...)."""
        torch = optional("torch")

        def of(eta, factor):
            found, now, scale = [], g, 1.0
            for k in range(terms + 1):
                found.append(scale * now(x))
                now, scale = self.applied(now, eta, factor), scale * eta / (k + 1)
            return torch.stack(found)

        over = self.func.vmap(self.func.vmap(of, (0, None)), (None, 0))
        return over(sizes, factors).detach().movedim(2, 0).numpy()
