"""Settings of a study in a TOML file, with the versions they were run with."""

from __future__ import annotations

import hashlib
import json
import math
import os
import tomllib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sgdlimits.exact.errors import InvalidInput, nearest


def to_toml(study: str, settings: Mapping[str, Any], versions: Mapping[str, str]) -> str:
    """Text of study.toml; settings that are None are left out."""
    lines = ["# To run this again: sgdlimits study --from study.toml", f"study = {_value(study)}"]
    for title, table in (("settings", settings), ("versions", versions)):
        lines += ["", f"[{title}]"]
        lines += [f"{name} = {_value(value)}" for name, value in table.items() if value is not None]
    return "\n".join(lines) + "\n"


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
    shown = os.fspath(path)
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"cannot read {shown!r}: {error.strerror or error}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput(f"{shown!r} is not a TOML file: {error}") from None
    study, settings, versions = content.get("study"), content.get("settings"), content.get("versions", {})
    if not isinstance(study, str) or not isinstance(settings, dict) or not isinstance(versions, dict):
        raise InvalidInput(f'{shown!r} does not hold a study: it needs study = "name" and a table [settings]')
    return study, settings, versions


def read_study(
    path: str | os.PathLike[str], study: str, allowed: list[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings of this study and versions, from a file that `to_toml` wrote.

    Raises
    ------
    InvalidInput
        If the file holds another study, or a setting that is not allowed.
    """
    found, settings, then = read_toml(path)
    if found != study:
        raise InvalidInput(f"{os.fspath(path)!r} holds the study {found!r}, not {study!r}")
    check_names(settings, allowed)
    return settings, then


def check_names(settings: Mapping[str, Any], allowed: list[str]) -> None:
    """Raise at the first setting that the study does not have."""
    for name in settings:
        if name not in allowed:
            raise InvalidInput(f"setting {name!r} is not known; {nearest(name, allowed)}")


def warn_of_versions(then: Mapping[str, Any], now: Mapping[str, str]) -> None:
    """Warn if the settings were run with other versions than those installed."""
    changed = [
        f"{name} {then[name]} (now {now[name]})" for name in now if name in then and then[name] != now[name]
    ]
    if changed:
        warnings.warn(
            f"the study was run with {', '.join(changed)}: numbers may differ in their last digits",
            stacklevel=3,
        )


def file_sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, in hexadecimal."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise InvalidInput(f"cannot read {os.fspath(path)!r}: {error.strerror or error}") from None
