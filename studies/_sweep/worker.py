"""One cell, wherever it runs: its result as arrays, or the sentence with which it failed, and its warnings."""

from __future__ import annotations

import functools
import pickle
import platform
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from sgdlimits.exact.errors import InvalidInput, SgdlimitsError

from .cells import Work
from .returned import cell_of
from .store import Cell

LONGEST = 2000  # characters of a sentence that is kept
MOST_NOTES = 10


@dataclass(frozen=True)
class Task:
    """A cell to be run: the work as bytes (a lambda too), what it is called with, and how it is called in words."""

    payload: bytes
    settings: bytes
    place: dict[str, tuple[Any, str]]


def packed(thing: Any) -> bytes:
    """A thing as bytes that another process can read; a notebook's lambda too."""
    import cloudpickle

    return cloudpickle.dumps(thing)


_unpacked = functools.lru_cache(maxsize=8)(pickle.loads)  # the work is the same for all cells


def run_task(task: Task) -> Cell:
    """Run a cell in a worker, beside others; what it raises is part of the result."""
    return run_cell(_unpacked(task.payload), pickle.loads(task.settings), task.place, True)


def run_cell(work: Work, settings: dict[str, Any], place: dict[str, tuple[Any, str]], many: bool) -> Cell:
    """Run a cell in this process; `many`: beside others, with one thread each.

    BLAS has one thread in any case: the bits of a matrix product may depend on how many there are.
    """
    from sgdlimits.ensembles.blas_threads import one_blas_thread
    from sgdlimits.exact.threads import one_thread

    failure, cell = "", Cell({}, {})
    with noted() as notes, one_blas_thread(), one_thread() if many else nullcontext():
        try:
            cell = cell_of(work.run(settings), work.name, [*place])
            check_piece(cell, settings)
        except (Exception, SystemExit) as error:  # a cell that asks to exit is one that failed
            failure = sentence(error)
    cell.meta |= {"place": place, "failure": failure, "notes": notes[:MOST_NOTES], "platform": platform_name()}
    return cell


def failed(place: dict[str, tuple[Any, str]], failure: str) -> Cell:
    """A cell that brought its worker down: nobody can say where."""
    return Cell({}, {"place": place, "failure": failure, "notes": [], "platform": ""})


def check_piece(cell: Cell, settings: dict[str, Any]) -> None:
    """Raise unless a cell that was given paths returned these and no others."""
    if "first_path" not in settings:
        return
    told, asked = cell.meta["attributes"], (settings["first_path"], settings["paths"])
    if (told.get("first_path"), told.get("paths")) != asked:
        raise InvalidInput(
            f"a cell that is given paths must return the dataset of simulate(..., paths={asked[1]}, "
            f"first_path={asked[0]}), whole, and not of others"
        )


def sentence(error: BaseException) -> str:
    """Why a cell failed."""
    try:
        text = " ".join(str(error).split()) or "it gave no reason"
    except Exception:  # its own fault is not to stop the others
        text = "it gave no reason"
    if not isinstance(error, SgdlimitsError):
        text = f"{type(error).__name__}: {text}"
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


@functools.cache
def platform_name() -> str:
    """Machine and libraries on which bits may depend."""
    from sgdlimits.compare.reports import versions

    found = versions()
    return (
        f"{platform.system()} {platform.machine()} {found['processor']}, Python {found['python']}, "
        f"numpy {found['numpy']}, scipy {found['scipy']}, numba {found['numba']}"
    )


_mine = threading.local()
_lock = threading.Lock()
_inside = 0
_before: Any = None


@contextmanager
def noted() -> Iterator[list[str]]:
    """Collect what this thread warns of, each sentence once; other threads' warnings go where they went.

    `warnings.catch_warnings` alone would change the filters under the feet of the other threads.
    """
    notes: list[str] = []
    outer = getattr(_mine, "notes", None)
    _mine.notes = notes
    _enter()
    try:
        yield notes
    finally:
        _leave()
        _mine.notes = outer


def _enter() -> None:
    global _inside, _before
    with _lock:
        if _inside == 0:
            _before = warnings.catch_warnings()
            _before.__enter__()
            shown = warnings.showwarning
            warnings.simplefilter("always")
            for kind in (DeprecationWarning, PendingDeprecationWarning, ResourceWarning):
                warnings.simplefilter("ignore", kind)

            def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
                mine = getattr(_mine, "notes", None)
                if mine is None:
                    shown(message, category, *where, **more)
                    return
                text = " ".join(str(message).split())[:LONGEST]
                if text not in mine:
                    mine.append(text)

            warnings.showwarning = show
        _inside += 1


def _leave() -> None:
    global _inside
    with _lock:
        _inside -= 1
        if _inside == 0:
            _before.__exit__(None, None, None)
