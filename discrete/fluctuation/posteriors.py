"""SGD as a sampler: the preconditioner and the step size for a posterior, exactly and as a limit has them.

The target is the Gaussian posterior exp(-N f) about the minimum of a quadratic f: covariance (N K)^-1, K the Hessian of
what is descended, the ridge (the prior) among it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, NoStationaryLaw, Unstable, finite_array, positive
from sgdlimits.exact.moment_maps import MomentMap
from sgdlimits.exact.stationary_law import THRESHOLD_ERROR

if TYPE_CHECKING:
    import xarray

    from ..sgd import SGD

SMALL = 1e-12  # eigenvalue of a covariance, as a part of the largest, below which it is singular
LOWEST = 1e-6  # of the threshold, or of continuous time's step size: the least that is tried
NEAREST = 4 * THRESHOLD_ERROR  # distance from the threshold, as a part of the step size, of the largest that is tried


@dataclass(frozen=True, eq=False)
class Posterior:
    """A descent beside a Gaussian posterior.

    Attributes
    ----------
    sgd : SGD
        Plain or heavy ball; its own step size plays no part.
    samples : float
        N.
    """

    sgd: SGD
    samples: float

    @cached_property
    def _equations(self) -> MomentMap:
        equations = self.sgd.second_moments.equations
        assert isinstance(equations, MomentMap)  # of a recurrence
        return equations

    @property
    def _curvatures(self) -> np.ndarray:
        return self.sgd.problem.curvatures

    @property
    def covariance(self) -> np.ndarray:
        """(N K)^-1 (d, d)."""
        vectors = self.sgd.problem.eigenvectors
        return vectors / (self.samples * self._curvatures) @ vectors.T

    @cached_property
    def _noise(self) -> np.ndarray:
        """Covariance (d, d) of the batch gradient under the posterior, in modes."""
        second = np.diag(1 / (self.samples * self._curvatures))
        return self._equations.noise(second, np.zeros(len(second)))

    @cached_property
    def exact_preconditioner(self) -> np.ndarray:
        """2 (1 - mu) [N C + (1 - mu) / (1 + mu) K]^-1 (d, d), of step size 1: SGD then has the posterior's covariance.

        C is the covariance of the batch gradient under the posterior itself, so that this holds for noise that depends
        on the position too. Derived; exact for matrices that do not commute.

        Raises
        ------
        InvalidInput
            If the noise is singular beside the Hessian: no preconditioner makes the posterior then, and this one lies
            at the threshold.
        """
        weight, root = (1 - self.sgd.momentum) / (1 + self.sgd.momentum), np.sqrt(self._curvatures)
        least = float(np.linalg.eigvalsh(self.samples * self._noise / root[:, None] / root)[0])
        if least <= NEAREST * weight:
            raise InvalidInput(
                f"the noise of the gradient is {max(least, 0.0):.3g} of the Hessian in one direction, so that the "
                "preconditioner of the posterior lies at the threshold, where nothing settles: add noise, or raise "
                "samples"
            )
        return self._matrix(weight)

    @cached_property
    def continuous_preconditioner(self) -> np.ndarray:
        """What a limit in continuous time has for it: without the term of K. Mandt, Hoffman, Blei (2017).

        Raises
        ------
        InvalidInput
            If the noise is singular: then continuous time has none.
        """
        return self._matrix(0.0)

    def _matrix(self, weight: float) -> np.ndarray:
        inner = self.samples * self._noise + weight * np.diag(self._curvatures)
        values = np.linalg.eigvalsh(inner)
        if values[0] <= SMALL * values[-1]:
            raise InvalidInput(
                "the noise of the gradient is singular, so that without the term of the Hessian no preconditioner "
                "makes the posterior: add noise in every direction"
            )
        vectors = self.sgd.problem.eigenvectors
        return 2 * (1 - self.sgd.momentum) * vectors @ np.linalg.inv(inner) @ vectors.T

    @cached_property
    def continuous_step_size(self) -> float:
        """2 (1 - mu) d / (N tr C), at which the divergence of the limit in continuous time is least."""
        return 2 * (1 - self.sgd.momentum) * len(self._noise) / (self.samples * float(np.trace(self._noise)))

    @cached_property
    def step_size(self) -> float:
        """At which the divergence of SGD's own law is least, a number for a step size; to about 1e-8.

        Its distance from the threshold is as exact, down to some 1e-11 of the threshold.

        Raises
        ------
        InvalidInput
            If it lies nearer to the threshold, or the law is singular at every step size.
        """
        from scipy.optimize import minimize_scalar

        threshold = self.sgd.stability().mean_square_threshold
        lowest = LOWEST * min(threshold, self.continuous_step_size)  # SGD's variances are above those of the limit
        guess = np.linspace(math.log(NEAREST), math.log(threshold / lowest), 90)

        def size(log: float) -> float:  # from its distance to the threshold, as a part of itself
            return threshold / (1 + math.exp(log))

        values = [self.divergence(size(log)) for log in guess]
        best = int(np.argmin(values))
        if math.isinf(values[best]):
            raise InvalidInput(
                "the law has no variance in some direction, so that its divergence from the posterior is infinite at "
                "every step size: add noise"
            )
        if best == 0:
            raise InvalidInput(
                f"samples is {self.samples:g}, so few that the best step size lies nearer than 1e-11 to the threshold "
                f"{threshold:.17g}, where nothing can be told: raise samples"
            )
        around = (guess[best - 1], guess[min(best + 1, len(guess) - 1)])
        with np.errstate(invalid="ignore"):  # scipy takes differences of infinite values
            found = minimize_scalar(
                lambda log: self.divergence(size(log)), bounds=around, method="bounded", options={"xatol": 1e-10}
            )
        return size(found.x)

    def divergence(self, step_size: float | None = None, preconditioner: np.ndarray | None = None) -> float:
        """Kullback-Leibler divergence, in nats, of the Gaussian law of SGD's stationary moments from the posterior.

        Parameters
        ----------
        step_size : float, optional
            Default: `self.step_size`, or 1 with a preconditioner.
        preconditioner : array (d, d), optional

        Returns
        -------
        float
            inf where no second moment is finite, or the law is singular.
        """
        if step_size is None:
            step_size = self.step_size if preconditioner is None else 1.0
        here = replace(self.sgd, step_size=positive("step_size", step_size), preconditioner=preconditioner)
        try:
            return self._from(here.stationary().covariance)
        except Unstable:
            return math.inf

    def divergences(self, step_sizes: Any) -> xarray.Dataset:
        """`divergence(step_size, law)` of the discrete law and of what continuous time believes it to be.

        The latter is the Ornstein-Uhlenbeck process with the noise under the posterior.
        """
        import xarray

        sizes = np.atleast_1d(finite_array("step_sizes", step_sizes))
        k, vectors = self._curvatures, self.sgd.problem.eigenvectors
        unit = vectors @ (self._noise / (k[:, None] + k)) @ vectors.T / (1 - self.sgd.momentum)
        found = [[self.divergence(float(size)), self._from(float(size) * unit)] for size in sizes]
        return xarray.Dataset(
            {"divergence": (("step_size", "law"), np.array(found))},
            {"step_size": sizes, "law": ["discrete", "Ornstein-Uhlenbeck"]},
            {"process": self.sgd.label, "samples": self.samples, **self._least},
        )

    @property
    def _least(self) -> dict[str, float]:
        """The best step sizes, SGD's where it is known."""
        found = {"least_at_continuous": self.continuous_step_size}
        try:
            return {"least_at": self.step_size, **found}
        except InvalidInput:
            return found

    def _from(self, covariance: np.ndarray) -> float:
        root = self.sgd.problem.eigenvectors * np.sqrt(self.samples * self._curvatures)
        values = np.linalg.eigvalsh(root.T @ covariance @ root)
        if values[0] <= values[-1] * values.size * np.finfo(float).eps:
            return math.inf
        return float(0.5 * (values - np.log(values) - 1).sum())

    def __repr__(self) -> str:
        limit = self.continuous_step_size
        where = [f"continuous time says {limit:.6g}, with {self.divergence(limit):.4g}"]
        best = self._least.get("least_at")
        if best is not None:
            where.insert(0, f"best step size {best:.6g} with divergence {self.divergence(best):.4g}")
        return f"Posterior({self.sgd.label}, N={self.samples:g}; {'; '.join(where)})"


def posterior(sgd: SGD, samples: float) -> Posterior:
    """SGD as a sampler of the Gaussian posterior exp(-samples f), f what is descended.

    Parameters
    ----------
    sgd : SGD
        Plain or heavy ball, on a problem whose second moments close, without flat directions.
    samples : float
        N, above 0: of finite data their number.

    Raises
    ------
    NoStationaryLaw
        If a direction has no positive curvature: there is no posterior.
    InvalidInput
        If the moments do not close, there is no noise, or the rule is another.
    """
    if sgd.rule is not None or sgd.nesterov:
        raise InvalidInput(f"the sampler is plain descent or heavy ball, and this is {sgd.label}: leave the rule out")
    found = Posterior(sgd, positive("samples", samples))
    if not isinstance(sgd.second_moments.equations, MomentMap):
        raise InvalidInput(f"{sgd.label} is no recurrence in steps: pass a discrete.SGD")
    if not sgd.problem.curvatures.min() > 0:
        raise NoStationaryLaw(
            f"the descended objective has the curvature {sgd.problem.curvatures.min():.3g}, so that there is no "
            "posterior to sample: add a ridge"
        )
    if not found._noise.any():
        raise InvalidInput("the gradient has no noise, so that nothing is sampled: lower the batch size")
    return found
