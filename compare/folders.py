"""A folder of results that appears whole or not at all."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from sgdlimits.exact.errors import InvalidInput

NUMBERED = "results"  # where numbered folders go when none is named


def check_folder(name: str | os.PathLike[str] | None, overwrite: bool, own: re.Pattern[str]) -> None:
    """Raise unless results can be written under this name; leaves the disk as it was.

    Parameters
    ----------
    name : path or None
        None: a numbered folder, see `write_folder`.
    overwrite : bool
        An existing folder may be replaced if the name of every file in it matches `own`.
    own : compiled pattern

    Raises
    ------
    InvalidInput
        If the folder exists and may not be replaced, or cannot be made.
    """
    target = Path(NUMBERED if name is None else name)
    if name is not None:
        _check_existing(target, overwrite, own)
        target = _real(target).parent
    ground = _real(target)
    while not ground.exists():
        ground = ground.parent
    try:
        os.rmdir(tempfile.mkdtemp(prefix=".sgdlimits-", dir=ground))
    except OSError as error:
        shown = NUMBERED if name is None else os.fspath(name)
        raise InvalidInput(
            f"cannot write to {shown!r} ({error.strerror or error} at {str(ground)!r}); name another folder"
        ) from None


def write_folder(
    name: str | os.PathLike[str] | None,
    stem: str,
    fill: Callable[[Path], None],
    overwrite: bool = False,
    own: re.Pattern[str] = re.compile(""),
) -> Path:
    """Fill a temporary folder beside the target, then rename it into place; on any failure remove all of it.

    Parameters
    ----------
    name : path or None
        None: results/`stem`-001, -002, ..., the first that is free when all is written.
    stem : str
    fill : callable
        Writes the files into the folder that it is given.
    overwrite, own
        As in `check_folder`. The old folder is removed only once the new one stands complete.

    Returns
    -------
    Path
        The folder, as named.
    """
    check_folder(name, overwrite, own)
    shown = Path(NUMBERED) if name is None else Path(name)
    parent = _real(shown) if name is None else _real(shown).parent
    made = [folder for folder in (parent, *parent.parents) if not folder.exists()]
    partial = parent / f".{stem}-{secrets.token_hex(4)}.partial"
    try:
        partial.mkdir(parents=True)
        fill(partial)
        if name is None:
            return shown / _rename_numbered(partial, parent, stem)
        _replace(partial, _real(shown), overwrite, own)
        return shown
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        for folder in made:
            try:
                folder.rmdir()
            except OSError:
                break  # not empty: someone else writes there too
        raise


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _check_existing(target: Path, overwrite: bool, own: re.Pattern[str]) -> None:
    if not os.path.lexists(target):
        return
    if not target.is_dir():
        raise InvalidInput(
            f"cannot write to {str(target)!r}: a file of that name exists; name another folder"
        )
    if not overwrite:
        raise InvalidInput(
            f"the folder {str(target)!r} exists already; name another one, or pass --overwrite "
            "(overwrite=True) "
            "to replace it"
        )
    foreign = sorted(entry.name for entry in target.iterdir() if not own.fullmatch(entry.name))
    if foreign:
        raise InvalidInput(
            f"will not replace {str(target)!r}: it holds {foreign[0]!r}, which no study wrote; "
            "name another folder"
        )


def _rename_numbered(partial: Path, parent: Path, stem: str) -> str:
    """Rename to the number after the highest; a number that someone takes meanwhile is skipped."""
    pattern = re.compile(re.escape(stem) + r"-(\d+)")
    taken = [int(match[1]) for entry in parent.iterdir() if (match := pattern.fullmatch(entry.name))]
    number = max(taken, default=0) + 1
    while True:
        final = parent / f"{stem}-{number:03d}"
        try:
            final.mkdir()  # takes the number; renaming onto an empty folder replaces it
            partial.replace(final)
            return final.name
        except FileExistsError:
            number += 1


def _replace(partial: Path, target: Path, overwrite: bool, own: re.Pattern[str]) -> None:
    _check_existing(target, overwrite, own)
    if not target.exists():
        partial.rename(target)
        return
    old = target.with_name(f".{target.name}-{secrets.token_hex(4)}.old")
    target.rename(old)
    try:
        partial.rename(target)
    except BaseException:
        old.rename(target)
        raise
    shutil.rmtree(old)
