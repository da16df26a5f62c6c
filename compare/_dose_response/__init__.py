"""compare.dose_response: what the loss owes to noise, over ladders of batch sizes or step sizes and over epochs."""

from .driver import dose_response
from .result import DoseResponse

__all__ = ["DoseResponse", "dose_response"]
