"""Scripts by which shells complete the command line, made by shtab from its parsers."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from sgdlimits.exact.errors import MissingLibrary
from sgdlimits.studies import STUDIES, find_study
from sgdlimits.studies.options import options_of

from .parsers import whole_parser

FILES = ("CSV", "FILE")  # metavars of options that take a file
FOLDERS = ("FOLDER",)


def script(shell: str) -> str:
    """The script for a shell.

    Raises
    ------
    MissingLibrary
        If shtab is not installed.
    """
    try:
        import shtab
    except ImportError:
        raise MissingLibrary(
            "completion needs shtab, which is not installed: pip install shtab, or pip install '.[completion]'"
        ) from None
    parser = whole_parser()
    for name, action in _actions(parser):
        if action.metavar in (*FILES, *FOLDERS):
            action.complete = shtab.FILE if action.metavar in FILES else shtab.DIRECTORY  # type: ignore[attr-defined]
        for entry, found in options_of(find_study(name)) if name in STUDIES else ():
            if entry.name == action.dest and found.allowed is not None:
                action.choices = list(found.allowed())
    return str(shtab.complete(parser, shell)).rstrip()


def _actions(parser: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, argparse.Action]]:
    """Every argument of a parser and its parts, with the name of the part."""
    for action in parser._actions:
        yield name, action
        if isinstance(action, argparse._SubParsersAction):
            for part, inner in action.choices.items():
                yield from _actions(inner, part)
