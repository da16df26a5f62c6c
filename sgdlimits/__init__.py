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
