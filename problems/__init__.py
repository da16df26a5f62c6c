"""What is optimised: loss, data, noise covariance. Knows no dynamics."""

if not __name__.startswith("sgdlimits."):
    raise ImportError("import sgdlimits.problems, not problems")

from .least_squares import LeastSquares
from .losses import Logistic, SampleLoss
from .streaming import StreamingLeastSquares

__all__ = ["LeastSquares", "Logistic", "SampleLoss", "StreamingLeastSquares"]
