"""Training data of a regression: checked, copied, made read-only."""

from __future__ import annotations

from typing import Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, finite_array


def set_data(model: Any, features: Any, labels: Any) -> None:
    """Store `features` (N, p) and `labels` (N,) as read-only arrays in a frozen model."""
    features = np.array(finite_array("features", features, ndim=2), order="C")
    labels = np.array(finite_array("labels", labels, ndim=1))
    if len(features) != len(labels) or not len(labels) or not features.shape[1]:
        raise InvalidInput(
            f"features and labels must have the same number of rows, at least one, and at least one column; "
            f"got features {features.shape} and labels {labels.shape}"
        )
    for name, array in (("features", features), ("labels", labels)):
        array.flags.writeable = False
        object.__setattr__(model, name, array)
