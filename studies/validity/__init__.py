"""Validity: up to which step size each limit of SGD serves, over batch sizes, on data."""

if not __name__.startswith("sgdlimits."):
    raise ImportError("import sgdlimits.studies, not studies")

from .maps import validity_map
from .study import ValidityResult, ValidityStudy

Study = ValidityStudy

__all__ = ["Study", "ValidityResult", "ValidityStudy", "validity_map"]
