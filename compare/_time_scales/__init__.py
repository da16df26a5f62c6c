"""compare.time_scales: steps that processes need for a set motion, and how these scale."""

from .driver import time_scales
from .result import TimeScales
from .time_scale import TimeScale

__all__ = ["TimeScale", "TimeScales", "time_scales"]
