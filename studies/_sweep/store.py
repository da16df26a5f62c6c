"""Where finished cells are kept: a folder with one file a cell, which is there whole or not at all.

Why no database and no zarr: renaming a file is the one step that every file system takes whole, so a file a cell is
the smallest thing that a kill cannot halve, that two machines can fill at once, and that is merged by copying. A cell
is NumPy's own .npz (a zip with checksums, without pickles) because a netCDF file of a few numbers takes 5 to 30 ms to
write and as long to read, a twentieth to a third of a short cell; one of these takes one.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import time
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sgdlimits.ensembles.whole_files import PARTIAL, whole_file
from sgdlimits.exact.errors import InvalidInput, SgdlimitsError, shown

IDENTITY = "sweep.json"
CELLS = "cells"
FORMAT = 1
META = "meta.json"
STALE = 3600.0  # seconds after which a file that was never finished is taken away
NAME = re.compile(r"([0-9a-f]{24})(?:-(\d+)-(\d+))?\.npz")
LARGEST_IDENTITY = 10_000_000  # bytes


class StoreError(SgdlimitsError):
    """A store that could not take a cell; what is in it is whole."""


@dataclass(frozen=True)
class Piece:
    """Which paths of a cell a file holds; first 0 and count 0 where a cell is made in one go."""

    first: int = 0
    count: int = 0


@dataclass(eq=False)
class Cell:
    """A finished cell, or a piece of one.

    Attributes
    ----------
    arrays : dict of arrays
        Empty where it failed.
    meta : dict
        Of JSON: "place" (label and key of each value), "failure", "notes", "platform", "variables" (dims, attributes),
        "coordinates", "attributes".
    """

    arrays: dict[str, np.ndarray]
    meta: dict[str, Any]

    @property
    def failure(self) -> str:
        return str(self.meta.get("failure", ""))


@dataclass(eq=False)
class Memory:
    """A store that ends with the call."""

    cells: dict[tuple[str, Piece], Cell] = field(default_factory=dict)
    shown: str = ""

    def pieces(self) -> list[tuple[str, Piece]]:
        return list(self.cells)

    def put(self, key: str, piece: Piece, cell: Cell) -> None:
        self.cells[key, piece] = cell

    def get(self, key: str, piece: Piece) -> Cell | None:
        return self.cells.get((key, piece))

    def drop(self, key: str, piece: Piece) -> None:
        self.cells.pop((key, piece), None)


class Folder:
    """A store on disk; cells that were read or written are held in memory too."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.shown = shown(str(path))
        self._held: dict[tuple[str, Piece], Cell] = {}

    def open(self, identity: Mapping[str, Any]) -> None:
        """Make the folder, or find out that it holds the same sweep.

        Raises
        ------
        InvalidInput
            If it cannot be written, holds something else, or another sweep: what differs is named.
        """
        try:
            if self.path.is_dir() and self.new and any(map(_foreign, self.path.iterdir())):
                raise InvalidInput(f"{self.shown} holds files, but no {IDENTITY}: it is no store; name another folder")
            (self.path / CELLS).mkdir(parents=True, exist_ok=True)
            self._clean()
            if self.new:
                with whole_file(self.path / IDENTITY, durable=True, keep_first=True) as file:
                    file.write(_json(identity))
            else:
                probe = self.path / CELLS / f".{secrets.token_hex(8)}{PARTIAL}"
                probe.touch()  # found out before the work, not after it
                probe.unlink()
        except InvalidInput:
            raise
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InvalidInput(f"cannot write to the store {self.shown} ({reason}); name another folder") from None
        check_same(self.shown, self.identity(), json.loads(_json(identity)))

    def identity(self) -> dict[str, Any]:
        """What the sweep of this store is.

        Raises
        ------
        InvalidInput
            If it cannot be read.
        """
        file = self.path / IDENTITY
        try:
            if file.stat().st_size > LARGEST_IDENTITY:
                raise ValueError("it is too large")
            found = json.loads(file.read_text(encoding="utf-8"))
            if not isinstance(found, dict) or "format" not in found:
                raise ValueError("it is no description of a sweep")
            return found
        except (OSError, ValueError, RecursionError) as error:
            reason = getattr(error, "strerror", None) or str(error)[:100]
            raise InvalidInput(f"cannot read the store {self.shown}: {IDENTITY}: {reason}") from None

    def pieces(self) -> list[tuple[str, Piece]]:
        """Every cell, or piece of one, that is there."""
        folder = self.path / CELLS
        names = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
        matches = filter(None, map(NAME.fullmatch, names))
        return [(match[1], Piece(int(match[2] or 0), int(match[3] or 0))) for match in matches]

    def put(self, key: str, piece: Piece, cell: Cell) -> None:
        """Keep a finished cell: when this returns, a kill or a power cut no longer loses it.

        Raises
        ------
        StoreError
            If the disk is full, or gone.
        """
        try:
            _write_cell(self.path / CELLS / _name(key, piece), cell)
        except OSError as error:
            full = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror or str(error)
            raise StoreError(
                f"cannot write to the store {self.shown}: {full}; the {len(self.pieces())} finished cells in it are "
                "whole: make room and run the same again, which computes the rest"
            ) from None
        self._held[key, piece] = cell

    def get(self, key: str, piece: Piece) -> Cell | None:
        """A cell; None, with a warning, where its file is damaged: it counts as one that is not there."""
        if (key, piece) not in self._held:
            file = self.path / CELLS / _name(key, piece)
            try:
                self._held[key, piece] = read_cell(file)
            except FileNotFoundError:
                return None
            except OSError as error:  # of the machine, not of the file: it may be whole
                reason = error.strerror or error
                raise StoreError(f"cannot read {file.name} of the store {self.shown}: {reason}") from None
            except (ValueError, KeyError, zipfile.BadZipFile, EOFError, zlib.error) as error:
                said = type(error).__name__
                warnings.warn(f"{file.name} in {self.shown} is damaged ({said}) and left aside", stacklevel=2)
                return None
        return self._held[key, piece]

    def drop(self, key: str, piece: Piece) -> None:
        """Take a cell out, to be computed again."""
        self._held.pop((key, piece), None)
        (self.path / CELLS / _name(key, piece)).unlink(missing_ok=True)

    def check_same(self, other: Folder) -> None:
        """Raise unless the other store is of the same sweep."""
        check_same(self.shown, self.identity(), other.identity(), f"the store {other.shown} has")

    @property
    def new(self) -> bool:
        """Whether nothing says yet what its sweep is."""
        return not (self.path / IDENTITY).is_file()

    def merge(self, other: Folder) -> int:
        """Copy the cells that only `other` has, or has better: whole, or done where they failed here; how many."""
        here, copied = set(self.pieces()), 0
        for key, piece in other.pieces():
            mine, theirs = (self.get(key, piece) if (key, piece) in here else None), other.get(key, piece)
            if theirs is not None and (mine is None or (mine.failure and not theirs.failure)):
                self.put(key, piece, theirs)
                copied += 1
        return copied

    def _clean(self) -> None:
        """Take away what a killed run left unfinished, long enough ago that nobody is at it."""
        for file in [*(self.path / CELLS).glob(f".*{PARTIAL}"), *self.path.glob(f".*{PARTIAL}")]:
            try:
                if time.time() - file.stat().st_mtime > STALE:
                    file.unlink()
            except OSError:
                pass  # another run was faster


def _write_cell(file: Path, cell: Cell) -> None:
    meta = _json(cell.meta | {"arrays": list(cell.arrays)})
    numbered: dict[str, Any] = {str(i): values for i, values in enumerate(cell.arrays.values())}
    with whole_file(file, durable=True) as opened:
        np.savez(opened, **numbered | {META: np.frombuffer(meta, dtype=np.uint8)})


def read_cell(file: Path) -> Cell:
    """A cell from its file; every checksum is looked at."""
    with open(file, "rb") as opened, np.load(opened, allow_pickle=False) as content:
        meta = json.loads(content[META].tobytes())
        return Cell({name: content[str(i)] for i, name in enumerate(meta.pop("arrays"))}, meta)


def check_same(where: str, there: Mapping[str, Any], here: Mapping[str, Any], who: str = "this one has") -> None:
    """Raise at the first thing in which two sweeps differ.

    Raises
    ------
    InvalidInput
        It names what differs.
    """
    then, now = _flat(there), _flat(here)
    for name in sorted(then.keys() | now.keys(), key=lambda name: (name.endswith("fingerprint"), name)):
        if then.get(name) == now.get(name):
            continue
        if name.endswith("fingerprint"):
            said = "a cell that computes something else (its code, or data that it uses, have changed)"
            raise InvalidInput(f"the store {where} is of {said}: name another store")
        raise InvalidInput(
            f"the store {where} holds a sweep with {_setting(name, then)}; {who} {_setting(name, now)}: name another "
            "store, or take what it has"
        )


def _foreign(entry: Path) -> bool:
    """Whether a file is none that a run killed while it made the store leaves behind."""
    return not (entry.name == CELLS and entry.is_dir()) and not entry.name.endswith(PARTIAL)


def _setting(name: str, settings: Mapping[str, Any]) -> str:
    short = name.removeprefix("settings.")
    return f"{short} = {shown(settings[name])}" if name in settings else f"no {short}"


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found


def _name(key: str, piece: Piece) -> str:
    return f"{key}.npz" if not piece.count else f"{key}-{piece.first}-{piece.count}.npz"


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, indent=1, allow_nan=True).encode()
