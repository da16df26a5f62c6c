"""What a sweep runs in each cell: a function of the swept names, or a study with these settings."""

from __future__ import annotations

import inspect
import platform
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from typing import Any

from sgdlimits.exact.errors import InvalidInput, kind, nearest, shown
from sgdlimits.exact.fingerprints import fingerprint

from .grid import Grid

UNHURRIED = 1e6  # minutes


class Work(ABC):
    """What is done in a cell, in this process or another."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Of a single number that it gives."""

    @abstractmethod
    def identity(self, swept: Iterable[str]) -> dict[str, Any]:
        """What tells it from other work, for a store; JSON."""

    @abstractmethod
    def takes(self, name: str) -> bool:
        """Whether a setting of this name can be handed to it."""

    @abstractmethod
    def typed(self, name: str, values: Any) -> Any:
        """The values of a name as it takes them: of a setting, in its type."""

    @abstractmethod
    def check(self, grid: Grid) -> None:
        """Raise at the first name or value that it cannot take."""

    @abstractmethod
    def run(self, settings: Mapping[str, Any]) -> Any:
        """Do it."""


@dataclass(frozen=True, eq=False)
class FunctionWork(Work):
    """A function of the swept names; of `seed`, and of `paths` and `first_path`, where it has them."""

    function: Callable[..., Any]

    @property
    def name(self) -> str:
        found = getattr(self.function, "__name__", "value")
        return found if found.isidentifier() else "value"  # a lambda has no name

    def identity(self, swept: Iterable[str]) -> dict[str, Any]:
        python = ".".join(platform.python_version_tuple()[:2])  # on which the code of a function depends
        return {"cell": self.name, "python": python, "fingerprint": fingerprint(self.function)}

    def takes(self, name: str) -> bool:
        found = self._parameters()
        return found is None or name in found or any(p.kind is p.VAR_KEYWORD for p in found.values())

    def typed(self, name: str, values: Any) -> Any:
        return values

    def check(self, grid: Grid) -> None:
        found = self._parameters()
        if found is None:
            return
        allowed = [
            name for name, p in found.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        ]  # fmt: skip
        for name in grid.names:
            if not self.takes(name):
                raise InvalidInput(f"the cell takes no {name!r}; {nearest(name, allowed)}" if allowed else (
                    f"the cell takes no {name!r}: let it be a function of the swept names"
                ))  # fmt: skip
        for name in allowed:
            missing = found[name].default is inspect.Parameter.empty and name not in grid.names
            if missing and name not in ("seed", "paths", "first_path"):
                raise InvalidInput(f"the cell needs {name!r}, which is not swept: name it in over, or give a default")

    def run(self, settings: Mapping[str, Any]) -> Any:
        return self.function(**settings)

    def _parameters(self) -> Mapping[str, inspect.Parameter] | None:
        try:
            return inspect.signature(self.function).parameters
        except (TypeError, ValueError):  # a builtin
            return None


@dataclass(frozen=True, eq=False)
class StudyWork(Work):
    """A study with settings of its own for all cells, of which the swept ones are replaced."""

    study: Any
    title: str

    @property
    def name(self) -> str:
        return self.title

    def identity(self, swept: Iterable[str]) -> dict[str, Any]:
        from sgdlimits.studies.settings import file_sha256, stored

        settings = stored(self.study, asdict(self.study))
        if settings.get("data"):  # a file may move; what is in it may not change
            settings["data_sha256"] = file_sha256(settings.pop("data"))
        left_out = {*swept, "seed"}
        kept = {name: value for name, value in settings.items() if name not in left_out and value is not None}
        return {"cell": self.title, "settings": kept}

    def takes(self, name: str) -> bool:
        return name in {entry.name for entry in fields(self.study)}

    def typed(self, name: str, values: Any) -> Any:
        from .values import checked_values

        if name == "data":
            raise InvalidInput("data cannot be swept: a store knows a file by its content; make a sweep for each file")
        return checked_values(type(self.study), name, values)

    def check(self, grid: Grid) -> None:
        for place in grid.places():
            replace(self.study, **grid.settings(place))  # a study says at once what it does not take

    def run(self, settings: Mapping[str, Any]) -> Any:
        study = replace(self.study, **settings)
        if "minutes" in {entry.name for entry in fields(study)}:
            study = replace(study, minutes=UNHURRIED)  # what is left out for want of time would depend on the machine
        return study.run(threads=None).summary


def work_of(cell: Any) -> Work:
    """Bring `cell` to its form.

    Raises
    ------
    InvalidInput
        If it is neither a function nor a study.
    """
    from sgdlimits.studies import STUDIES, find_study

    if isinstance(cell, str):
        return StudyWork(find_study(cell)(), cell)
    for title in STUDIES:
        if is_dataclass(cell) and not isinstance(cell, type) and isinstance(cell, find_study(title)):
            return StudyWork(cell, title)
    if not callable(cell) or isinstance(cell, type):
        raise InvalidInput(
            f"cell must be a function of the swept names, a study or its name, got {kind(cell)} {shown(cell)}"
        )
    return FunctionWork(cell)
