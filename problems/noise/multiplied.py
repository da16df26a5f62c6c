"""Gradient noise that is the Hessian times noise of the weights, near a set of zero loss."""

from __future__ import annotations

import numpy as np

from ..covariances import Covariance
from ..frames import spectrum
from ..zero_loss.model import Model, Regression
from .mechanism import batch_covariance
from .sampling import Minibatch


def hessian_covariance(model: Model, w: np.ndarray, scale: np.ndarray, batch: Minibatch | None) -> Covariance:
    """Covariance of H_batch (scale xi) over xi and the batch; w and scale (..., m), on the set (derived)."""
    if isinstance(model, Regression):
        jacobian = model.predict_with_jacobian(w)[1]
        gram = (jacobian * scale[..., None, :]) @ (jacobian * scale[..., None, :]).swapaxes(-1, -2)
        values, turned = np.linalg.eigh(gram)
        factors = turned * np.sqrt(np.maximum(values, 0.0))[..., None, :]
        return batch_covariance(model, jacobian, factors, batch, own_noise=False)
    values, columns, _ = spectrum(model, w)
    rows = columns.swapaxes(-1, -2)
    core = values[..., None] * ((rows * scale[..., None, :] ** 2) @ columns) * values[..., None, :]
    return Covariance(rows, core)
