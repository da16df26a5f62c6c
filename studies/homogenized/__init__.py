"""SGD on least squares against homogenized SGD, and the other diffusions that approximate it."""

if not __name__.startswith("sgdlimits."):
    raise ImportError("import sgdlimits.studies, not studies")

from .study import HomogenizedStudy, StudyResult

Study = HomogenizedStudy

__all__ = ["HomogenizedStudy", "Study", "StudyResult"]
