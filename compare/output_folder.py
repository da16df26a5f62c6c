"""A folder of results that appears whole or not at all, and replaces only what an earlier run wrote."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path

from sgdlimits.exact.errors import InvalidInput

NUMBERED = "results"  # where numbered folders go when none is named
SETTINGS = "study.toml"  # holds, under [written], the names of all files of its folder
LARGEST_SETTINGS = 1_000_000  # bytes


def check_folder(name: str | os.PathLike[str] | None, overwrite: bool) -> None:
    """Raise unless results can be written under this name; leaves the disk as it was.

    Parameters
    ----------
    name : path or None
        None: a numbered folder, see `write_folder`.
    overwrite : bool
        An existing folder may be replaced if its study.toml lists every file in it.

    Raises
    ------
    InvalidInput
        If the folder exists and may not be replaced, or cannot be made.
    """
    shown = _shown(NUMBERED if name is None else name)
    try:
        target = Path(NUMBERED if name is None else name)
        if name is not None:
            if not os.fspath(name):
                raise InvalidInput("the folder's name is empty; name one, or leave --out away")
            _check_existing(target, overwrite, shown)
            target = _real(target).parent
            if len(os.fsencode(os.path.basename(os.fspath(name)))) > 200:
                raise InvalidInput(f"the folder's name {shown} is too long; use at most 200 bytes")
        ground = _real(target)
        while not ground.exists():
            ground = ground.parent
        os.rmdir(tempfile.mkdtemp(prefix=".sgdlimits-", dir=ground))
    except InvalidInput:
        raise
    except OSError as error:
        raise InvalidInput(f"cannot write to {shown} ({error.strerror or error}); name another folder") from None
    except (ValueError, RuntimeError):  # a zero byte; a circle of links
        raise InvalidInput(f"{shown} cannot be the name of a folder; name another one") from None


def write_folder(
    name: str | os.PathLike[str] | None, stem: str, fill: Callable[[Path], None], overwrite: bool = False
) -> Path:
    """Fill a temporary folder beside the target, then rename it into place; on any failure remove all of it.

    Parameters
    ----------
    name : path or None
        None: results/`stem`-001, -002, ..., the first that is free when all is written.
    stem : str
    fill : callable
        Writes the files into the folder that it is given, which stands beside the final one.
    overwrite
        As in `check_folder`. The old folder is removed only once the new one stands complete.

    Returns
    -------
    Path
        The folder, as named.
    """
    check_folder(name, overwrite)
    shown = Path(NUMBERED) if name is None else Path(name)
    parent = _real(shown) if name is None else _real(shown).parent
    made = [folder for folder in (parent, *parent.parents) if not folder.exists()]
    partial = parent / f".{stem}-{secrets.token_hex(4)}.partial"
    try:
        partial.mkdir(parents=True)
        fill(partial)
        if name is None:
            return shown / _rename_numbered(partial, parent, stem)
        _replace(partial, _real(shown), overwrite)
        return shown
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        for folder in made:
            try:
                folder.rmdir()
            except OSError:
                break  # not empty: someone else writes there too
        raise


def written_files(folder: Path) -> set[str]:
    """Names of the files that a run wrote into the folder, as its study.toml lists them; none where it does not."""
    try:
        settings = folder / SETTINGS
        if settings.is_symlink() or settings.stat().st_size > LARGEST_SETTINGS:
            return set()
        names = tomllib.loads(settings.read_text(encoding="utf-8"))["written"]["files"]
        return {name for name in names if isinstance(name, str) and name == os.path.basename(name)}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return set()


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _shown(name: str | os.PathLike[str]) -> str:
    text = repr(os.fspath(name))
    return text if len(text) <= 200 else f"{text[:100]}...{text[-60:]}"


def _check_existing(target: Path, overwrite: bool, shown: str) -> None:
    if not os.path.lexists(target):
        return
    if not target.is_dir():
        raise InvalidInput(f"cannot write to {shown}: a file of that name exists; name another folder")
    if not overwrite:
        raise InvalidInput(
            f"the folder {shown} exists already; name another one, or pass --overwrite (overwrite=True) to replace it"
        )
    here, real = Path(os.path.realpath(os.getcwd())), _real(target)
    if real == here or real in here.parents:
        raise InvalidInput(f"will not replace {shown}: it is the current folder or holds it; name another folder")
    entries = sorted(target.iterdir(), key=lambda entry: entry.name)
    if not entries:
        return
    own = written_files(target)
    if not own:
        raise InvalidInput(f"will not replace {shown}: no study.toml says that a study wrote it; name another one")
    for entry in entries:
        if entry.name not in own or entry.is_symlink() or not entry.is_file():
            raise InvalidInput(
                f"will not replace {shown}: it holds {_shown(entry.name)}, which no study wrote; name another folder"
            )


def _rename_numbered(partial: Path, parent: Path, stem: str) -> str:
    """Rename to the number after the highest; a number that someone takes meanwhile is skipped."""
    pattern = re.compile(re.escape(stem) + r"-(\d{1,9})")
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


def _replace(partial: Path, target: Path, overwrite: bool) -> None:
    _check_existing(target, overwrite, _shown(target))
    if not target.exists():
        partial.rename(target)
        return
    own = written_files(target)
    old = target.with_name(f".{target.name[:100]}-{secrets.token_hex(4)}.old")
    target.rename(old)
    try:
        partial.rename(target)
    except BaseException:
        old.rename(target)
        raise
    for entry in old.iterdir():
        if entry.name in own and entry.is_file() and not entry.is_symlink():
            entry.unlink()
    old.rmdir()  # what someone put there meanwhile stays, and this says where
