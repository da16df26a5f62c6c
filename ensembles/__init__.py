"""How many paths are run at once: random streams, the engine, observables, labelled results.

Knows no SGD: a process hands in a `Simulator`, and `run` gives back an `Ensemble`.
"""

if not __name__.startswith("sgdlimits."):
    raise ImportError("import sgdlimits.ensembles, not ensembles")

from .brownian import Brownian, coarsen
from .crowd import Crowd, SavedState
from .engine import Simulator, run
from .ensemble import Ensemble
from .initial import Gaussian, draw_initial, initial_moments, initial_state, recorded_steps
from .observables import Maximum, Mean, Recorded, Reducer, WindowMean
from .passages import FirstPassage, LocalNoise
from .pieces import concatenate
from .progress import Progress, open_progress
from .random import PACK, QUALITIES, Noise, Purpose, child_seed
from .recurrences import NumpyRecurrence, RecurrenceSimulator
from .results import ensemble_dataset, load, moments_dataset, save, saved_state
from .simulators import ArraySimulator, PathArrays
from .until import Until

__all__ = [
    "PACK",
    "QUALITIES",
    "ArraySimulator",
    "Brownian",
    "Crowd",
    "Ensemble",
    "FirstPassage",
    "Gaussian",
    "LocalNoise",
    "Maximum",
    "Mean",
    "Noise",
    "NumpyRecurrence",
    "PathArrays",
    "Progress",
    "Purpose",
    "Recorded",
    "RecurrenceSimulator",
    "Reducer",
    "SavedState",
    "Simulator",
    "Until",
    "WindowMean",
    "child_seed",
    "coarsen",
    "concatenate",
    "draw_initial",
    "ensemble_dataset",
    "initial_moments",
    "initial_state",
    "load",
    "moments_dataset",
    "open_progress",
    "recorded_steps",
    "run",
    "save",
    "saved_state",
]
