"""Noise of the data: minibatch, labels, inputs."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np

from sgdlimits.ensembles.random import INDEPENDENT
from sgdlimits.exact.errors import one_of, points, whole_number
from sgdlimits.exact.numerical_derivatives import bilaplacian, laplacian

from ..covariances import Covariance
from ..zero_loss.model import Model, Regression
from .mechanism import Draw, Regime, SimpleMechanism, batch_covariance, check_sigma

NO_SAMPLES = "a loss without samples has none to perturb; give a regression, f(w, x) with its data"


@dataclass(frozen=True, eq=False)
class Minibatch(SimpleMechanism):
    """The gradient of `batch_size` random samples, times N / batch_size.

    Every sample's gradient vanishes on the set, so that no draw moves a point of it (derived).

    Parameters
    ----------
    batch_size : int
    sampling : {"with_replacement", "without_replacement"}
    """

    batch_size: int
    sampling: str = "with_replacement"
    sigma = nan
    reg_is_constant = True
    decided = Regime(
        "trivial", "minibatch noise vanishes on the set: every sample's gradient is 0 there", "theory"
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "batch_size", whole_number("batch_size", self.batch_size, 1))
        one_of("sampling", self.sampling, INDEPENDENT)

    def misfit(self, model: Model) -> str | None:
        """It needs samples, and enough of them."""
        if not isinstance(model, Regression):
            return NO_SAMPLES
        if self.sampling == "without_replacement" and self.batch_size > model.samples:
            return f"batch_size is {self.batch_size}, but without replacement at most its {model.samples} samples fit"
        return None

    def own_draws(self, model: Model, entries: int) -> tuple[Draw, ...]:
        """Row numbers (B,)."""
        return (Draw("rows", self.sampling, (self.batch_size,), samples=model.samples),)

    def second_moments(self, samples: int) -> tuple[float, float]:
        """(E a_i a_l for i != l, E a_i^2 minus that), a_i being N / B times how often sample i is drawn."""
        batch = self.batch_size
        if self.sampling == "with_replacement":
            return 1 - 1 / batch, samples / batch
        pair = samples * (batch - 1) / (batch * (samples - 1)) if samples > 1 else 1.0
        return pair, samples / batch - pair

    def regulariser(self, model, w):
        """Zero."""
        return np.zeros(np.shape(w)[:-1])

    def regulariser_gradient(self, model, w):
        """Zero."""
        return np.zeros(np.shape(w))

    def regulariser_on_set(self, model, w, frame):
        """The same."""
        return self.regulariser(model, w)

    def regulariser_slope(self, model, w, frame):
        """Zero."""
        return np.zeros(np.shape(w))

    def factored_covariance(self, model, w, batch=None):
        """Zero on the set."""
        return Covariance.multiple_of_identity(0.0, w)

    def noise_matrix(self, model, w):
        """No columns."""
        return np.zeros((*np.shape(w), 0))

    def fourth_gradient(self, model, w):
        """Zero."""
        return np.zeros(np.shape(w))


@dataclass(frozen=True, eq=False)
class LabelNoise(SimpleMechanism):
    """Fresh noise sigma * N(0, 1) on the label of every sample in the step.

    Its gradient covariance on the set is c sigma^2 Hessian, c = 1 / B with L = 1/(2N) sum and 1 with L = 1/2 sum
    (derived; Damian, Ma and Lee 2021 and Li, Wang and Arora 2022 treat this noise).

    Parameters
    ----------
    sigma : float
        Standard deviation of the noise of a label.
    """

    sigma: float
    reg_is_constant = True
    decided = Regime(
        "degenerate",
        "the mean effect of label noise on the loss is a constant, and only its second-order effect, at rate "
        "step_size^2 sigma^2, moves along the set (down the trace of the Hessian)",
        "theory",
    )

    def __post_init__(self) -> None:
        check_sigma(self)

    def misfit(self, model: Model) -> str | None:
        """It needs labels."""
        return None if isinstance(model, Regression) else NO_SAMPLES.replace("perturb", "mislabel")

    def own_draws(self, model: Model, entries: int) -> tuple[Draw, ...]:
        """Normals (S,)."""
        return (Draw("labels", "normal", (entries,), sigma=self.sigma),)

    def regulariser(self, model, w):
        """Half the weight times N, a constant."""
        return np.full(np.shape(w)[:-1], model.weight * model.samples / 2)

    def regulariser_gradient(self, model, w):
        """Zero."""
        return np.zeros(np.shape(w))

    def regulariser_on_set(self, model, w, frame):
        """The same."""
        return self.regulariser(model, w)

    def regulariser_slope(self, model, w, frame):
        """Zero."""
        return np.zeros(np.shape(w))

    def factored_covariance(self, model, w, batch=None):
        """weight^2 J'J, times N / B with a batch."""
        return batch_covariance(
            model, model.predict_with_jacobian(w)[1], np.ones((model.samples, 1)), batch, own_noise=True
        )

    def noise_matrix(self, model, w):
        """-weight J', (..., m, N)."""
        return -model.weight * model.predict_with_jacobian(w)[1].swapaxes(-1, -2)

    def fourth_gradient(self, model, w):
        """Zero: the loss is quadratic in the labels."""
        return np.zeros(np.shape(w))


@dataclass(frozen=True, eq=False)
class InputNoise(SimpleMechanism):
    """Noise sigma * N(0, 1) on every feature of every sample in the step.

    Parameters
    ----------
    sigma : float
        Standard deviation of the noise of a feature.
    """

    sigma: float
    effect = "the regulariser (weight/2) sum_i |grad_x f_i|^2"

    def __post_init__(self) -> None:
        check_sigma(self)

    def misfit(self, model: Model) -> str | None:
        """It needs inputs."""
        if model.input_size:
            return None
        return "its predictions do not depend on features; a network or a linear model has such inputs"

    def own_draws(self, model: Model, entries: int) -> tuple[Draw, ...]:
        """Normals (S, p)."""
        return (Draw("inputs", "normal", (entries, model.input_size), sigma=self.sigma),)

    def regulariser(self, model, w):
        """(weight/2) sum_i |grad_x f_i|^2, on the set."""
        return model.weight / 2 * (model.input_gradient(w) ** 2).sum((-1, -2))

    def regulariser_gradient(self, model, w):
        """Gradient of that sum."""
        return model.weight * np.einsum("...ip,...ipj->...j", model.input_gradient(w), model.mixed(w))

    def regulariser_on_set(self, model, w, frame):
        """The same."""
        return self.regulariser(model, w)

    def regulariser_slope(self, model, w, frame):
        """The gradient."""
        return self.regulariser_gradient(model, w)

    def factored_covariance(self, model, w, batch=None):
        """Covariance of (weight) sum_i (grad_x f_i . eta_i) grad f_i."""
        jacobian, slopes = model.predict_with_jacobian(w)[1], model.input_gradient(w)
        return batch_covariance(model, jacobian, slopes, batch, own_noise=True)

    def noise_matrix(self, model, w):
        """A column for each feature of each sample, (..., m, N p)."""
        factors = model.input_gradient(w)[..., None] * model.predict_with_jacobian(w)[1][..., None, :]
        return model.weight * factors.reshape(*factors.shape[:-3], -1, model.dimension).swapaxes(-1, -2)

    def mean_gradient(self, model, w):
        """Gradient of (weight/4) sum_i Laplacian_x (f_i - y_i)^2, which has a part across the set too."""
        w = points("w", w, model.dimension, finite=False)
        return self.averaged_samples(model, w, lambda inputs: _sample_gradients(model, w, inputs))

    def fourth_gradient(self, model, w):
        """Gradient of (weight/16) sum_i Laplacian_x^2 (f_i - y_i)^2."""
        w = points("w", w, model.dimension, finite=False)
        squared = bilaplacian(lambda inputs: _sample_gradients(model, w, inputs), _inputs(model, w))
        return model.weight / 8 * squared.sum(-2)

    def averaged_samples(self, model, w, field):
        """weight sum_i Laplacian_x / 2 of each sample's `field` of the inputs (..., N, p), (..., N, m)."""
        return model.weight / 2 * laplacian(field, _inputs(model, w)).sum(-2)


def _inputs(model: Any, w: np.ndarray) -> np.ndarray:
    return np.broadcast_to(model.inputs, (*np.shape(w)[:-1], *model.inputs.shape))


def _sample_gradients(model: Any, w: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """(f_i - y_i) grad f_i (..., N, m) at inputs (..., N, p)."""
    predictions, jacobian = model.predict_with_jacobian(w, inputs)
    return (predictions - model.labels)[..., None] * jacobian
