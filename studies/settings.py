"""Settings of a study in a TOML file, with the versions they were run with."""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
import tomllib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, ClassVar, Self

from sgdlimits.exact.errors import InvalidInput, flag, nearest

from .options import kind_of, options_of, shortened

RERUN = "sgdlimits study --from study.toml"
LARGEST = 1_000_000  # bytes of a settings file


class StudySettings:
    """What the settings of every study can do; a leaf is a frozen dataclass of fields made by `options.option`."""

    name: ClassVar[str]

    def check_kinds(self) -> None:
        """Refuse a text or a yes or no that is none; numbers are for each study to check.

        Raises
        ------
        InvalidInput
        """
        for entry, _ in options_of(type(self)):
            value, kind = getattr(self, entry.name), kind_of(entry)
            if kind == "bool":
                self.settle({entry.name: flag(entry.name, value)})
            elif kind == "str" and not isinstance(value, str) and (value is not None or entry.default is not None):
                raise InvalidInput(f"{entry.name} must be a text, got {shortened(value)}")

    def settle(self, checked: Mapping[str, Any]) -> None:
        """Put checked values in place of those that were given."""
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str]) -> Self:
        """Read study.toml; a file that it names is looked for from its folder, and beside it if it has moved.

        Raises
        ------
        InvalidInput
            If the file is no settings file of this study, or a setting is not known or not allowed.
        """
        found = _read_settings(cls, path)
        for name in _files_of(cls):
            if isinstance(found.get(name), str):
                found[name] = found_from(path, found[name])
        return cls(**found)

    def to_toml(self, names: Sequence[str] = (), folder: Path | None = None) -> str:
        """Text of study.toml; `names`: the files of its folder, from which a file that it names is seen if given."""
        from sgdlimits.compare.reports import versions

        settings: dict[str, Any] = asdict(self)  # type: ignore[call-overload]
        for name in _files_of(type(self)):
            if settings[name] is not None and folder is not None:
                settings[name] = relative_to(folder, settings[name])
        return to_toml(self.name, stored(self, settings), versions(), names)


def _files_of(study: type) -> list[str]:
    return [entry.name for entry, found in options_of(study) if found.file]


def to_toml(
    study: str, settings: Mapping[str, Any], versions: Mapping[str, str], files: Sequence[str] = ()
) -> str:
    """Text of study.toml; settings that are None are left out. `files`: all that the run wrote into the folder."""
    lines = [f"# To run this again: {RERUN}", f"study = {_value(study)}"]
    for title, table in (("settings", settings), ("versions", versions)):
        lines += ["", f"[{title}]"]
        lines += [f"{name} = {_value(value)}" for name, value in table.items() if value is not None]
    if files:
        lines += ["", "# --overwrite replaces these files and no others.", "[written]", "files = ["]
        lines += [*(f"    {_value(name)}," for name in files), "]"]
    return "\n".join(lines) + "\n"


def stored(study: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that numbers may depend on: all but the options that are the machine's affair."""
    left_out = {entry.name for entry, found in options_of(type(study)) if not found.stored}
    return {name: value for name, value in settings.items() if name not in left_out}


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return repr(value)  # the shortest text that gives the same number back
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    raise InvalidInput(f"a setting must be a finite number, a text or true/false, got {value!r}")


def read_toml(path: str | os.PathLike[str]) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Study name, settings and versions from a file that `to_toml` wrote.

    Raises
    ------
    InvalidInput
        If the file cannot be read or is no settings file.
    """
    shown = shortened(os.fspath(path), 200)
    raw = _regular(path, shown, LARGEST)
    try:
        content = tomllib.loads(raw.decode("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"{shown} is not a TOML file: {str(error)[:200]}") from None
    except (UnicodeDecodeError, RecursionError, ValueError) as error:  # nested too deep; a number of 5000 digits
        raise InvalidInput(f"{shown} is not a TOML file that a study wrote ({type(error).__name__})") from None
    study, settings, versions = content.get("study"), content.get("settings"), content.get("versions", {})
    if not isinstance(study, str) or not isinstance(settings, dict) or not isinstance(versions, dict):
        raise InvalidInput(f'{shown} does not hold a study: it needs study = "name" and a table [settings]')
    return study, settings, versions


def _read_settings(study: type[StudySettings], path: str | os.PathLike[str]) -> dict[str, Any]:
    """Settings of this study from a file that `to_toml` wrote; warns of other versions."""
    from sgdlimits.compare.reports import versions

    stated, settings, then = read_toml(path)
    if stated != study.name:
        raise InvalidInput(f"{shortened(os.fspath(path), 200)} holds the study {shortened(stated)}, not {study.name!r}")
    allowed = [entry.name for entry in fields(study)]  # type: ignore[arg-type]
    for name in settings:
        if name not in allowed:
            raise InvalidInput(f"setting {shortened(name)} is not known; {nearest(name[:60], allowed)}")
    _warn_of_versions(then, versions())
    return settings


def _warn_of_versions(then: Mapping[str, Any], now: Mapping[str, str]) -> None:
    """Warn if the settings were run with other versions than those installed."""
    changed = [
        f"{name} {then[name]} (now {now[name]})" for name in now if name in then and then[name] != now[name]
    ]
    if changed:
        warnings.warn(
            f"the study was run with {', '.join(changed)}: numbers may differ in their last digits",
            stacklevel=4,
        )


def file_sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(_regular(path, shortened(os.fspath(path), 200))).hexdigest()


def _regular(path: str | os.PathLike[str], shown: str, largest: float = math.inf) -> bytes:
    """Content of a regular file; a pipe would wait for ever."""
    try:
        state = os.stat(path)
        if not stat.S_ISREG(state.st_mode):
            raise InvalidInput(f"cannot read {shown}: it is not a file")
        if state.st_size > largest:
            raise InvalidInput(f"cannot read {shown}: it has {state.st_size} bytes, at most {largest:.0f} are read")
        return Path(path).read_bytes()
    except InvalidInput:
        raise
    except OSError as error:
        raise InvalidInput(f"cannot read {shown}: {error.strerror or error}") from None
    except ValueError:
        raise InvalidInput(f"cannot read {shown}: a file name holds no zero byte") from None


def relative_to(folder: Path, file: str) -> str:
    """The file as seen from the folder; its whole path where they have nothing in common but the root."""
    file, here = os.path.realpath(file), os.path.realpath(folder)
    try:
        common = os.path.commonpath([file, here])
    except ValueError:  # two drives
        return file
    return file if os.path.dirname(common) == common else Path(os.path.relpath(file, here)).as_posix()


def found_from(settings: str | os.PathLike[str], file: str) -> str:
    """A file that a settings file names: seen from its folder, or moved beside it, or else as it is."""
    folder = Path(settings).parent
    for candidate in (folder / file, folder / Path(file).name):
        try:
            if candidate.exists():
                return str(candidate)
        except (OSError, ValueError):
            pass
    return file
