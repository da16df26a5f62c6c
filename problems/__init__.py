"""What is optimised: loss, data, noise mechanism, geometry of the zero-loss set. Knows no dynamics."""

from typing import Any

if not __name__.startswith("sgdlimits."):
    raise ImportError("import sgdlimits.problems, not problems")

from .least_squares import LeastSquares
from .local_expansion import LocalExpansion
from .local_quadratic import LocalQuadratic
from .logistic import Logistic
from .noisy_quadratic import NoisyQuadratic
from .prediction import Supervised
from .sample_loss import SampleLoss
from .streaming import StreamingLeastSquares

_SUBMODULES = ("datasets", "geometry", "landscapes", "losses", "noise", "predictors", "sources", "tasks", "zero_loss")

__all__ = [
    "LeastSquares", "LocalExpansion", "LocalQuadratic", "Logistic", "NoisyQuadratic", "SampleLoss",
    "StreamingLeastSquares", "Supervised", *_SUBMODULES,
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        from importlib import import_module

        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
