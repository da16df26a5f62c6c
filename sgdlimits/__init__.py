"""sgdlimits: how far SGD at a finite step size is from the continuous process that replaces it.

The folders are imported by name: ``from sgdlimits import problems, discrete, diffusions, compare``.
"""

from pathlib import Path as _Path

__version__ = "0.1.0"

# In a checkout the sub-packages lie beside this folder; in a wheel, inside it.
_checkout = _Path(__file__).resolve().parent.parent
if (_checkout / "setup.cfg").is_file() and (_checkout / "diffusions").is_dir():
    __path__.insert(0, str(_checkout))
del _checkout, _Path


def _keep_compiling() -> None:
    """Set NUMBA_DISABLE_JIT aside: the kernels' 64-bit arithmetic has no meaning in plain Python."""
    import os
    import sys
    import warnings

    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0") and "numba" not in sys.modules:
        os.environ["NUMBA_DISABLE_JIT"] = "0"
        warnings.warn("NUMBA_DISABLE_JIT is set aside: sgdlimits runs compiled kernels only", stacklevel=3)


_keep_compiling()
