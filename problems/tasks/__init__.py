"""Learning tasks: problems with test inputs, a law of starts and often a population risk by formula.

Each function gives the online form, fresh samples at every step, and with `rows=n` the offline one, n samples drawn
once. `seed` chooses teacher, samples and test rows; the seed of a run chooses none of them. `from_csv` and `from_rows`
make a task of rows of one's own, `torch_module` one of a module and its data.
"""

from collections.abc import Callable

from .characters import next_character
from .classification import relu_classification
from .features import random_features
from .linear import linear_regression
from .logistic import logistic_regression
from .own_data import from_csv, from_rows
from .pixels import digits
from .population import Population
from .regression import relu_regression
from .sparse import diagonal_network
from .task import Starts, Task, UserStarts
from .torch_module import torch_module

TASKS: dict[str, Callable[..., Task]] = {
    "linear-regression": linear_regression,
    "random-features": random_features,
    "logistic-regression": logistic_regression,
    "diagonal-network": diagonal_network,
    "relu-regression": relu_regression,
    "relu-classification": relu_classification,
    "digits": digits,
    "next-character": next_character,
}

__all__ = [
    "TASKS",
    "Population",
    "Starts",
    "Task",
    "UserStarts",
    "diagonal_network",
    "digits",
    "from_csv",
    "from_rows",
    "linear_regression",
    "logistic_regression",
    "next_character",
    "random_features",
    "relu_classification",
    "relu_regression",
    "torch_module",
]
