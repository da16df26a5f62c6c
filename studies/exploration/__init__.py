"""What multiplicative noise does: basins, networks, maps of the tail index, and a published grid beside what is exact.

`explore(Setting(...))` takes a landscape of one's own, `look(task, Size(...))` a learning task.
"""

from typing import TYPE_CHECKING, Any

if not __name__.startswith("sgdlimits."):
    raise ImportError("import sgdlimits.studies, not studies")

from .study import ExplorationResult, ExplorationStudy

if TYPE_CHECKING:
    from .basins import Basins, Setting, explore, valley
    from .networks import Network, Size, look

Study = ExplorationStudy
_LATE = dict.fromkeys(("Basins", "Setting", "explore", "valley"), "basins") | dict.fromkeys(
    ("Network", "Size", "look"), "networks"
)

__all__ = [
    "Basins", "ExplorationResult", "ExplorationStudy", "Network", "Setting", "Size", "Study", "explore", "look",
    "valley",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """What is run, when it is asked for: the settings need none of the libraries behind it."""
    from importlib import import_module

    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_LATE[name]}", __name__), name)
