"""Ready-made studies: one folder per question, run by the command line and by the notebooks."""

from typing import Any

if not __name__.startswith("sgdlimits."):
    raise ImportError("import sgdlimits.studies, not studies")

# name -> what it asks; the folder of that name (with _ for -) holds the class `Study`
STUDIES = {
    "homogenized": "SGD on least squares against homogenized SGD and other diffusions that approximate it",
    "zero-loss": "noisy gradient descent along a set of zero loss: limits, time scales, and what each noise selects",
}


def find_study(name: str) -> type[Any]:
    """The settings class of a study.

    Raises
    ------
    InvalidInput
        If there is no such study; the message names the nearest.
    """
    from importlib import import_module

    from sgdlimits.exact.errors import one_of

    module = one_of("study", name, STUDIES).replace("-", "_")
    return import_module(f".{module}", __name__).Study
