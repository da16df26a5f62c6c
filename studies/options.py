"""Options of a study: fields of its settings that carry their own help, group and default for the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class Option:
    """What the command line says of a setting.

    Attributes
    ----------
    help : str or function without arguments
        What it means; a function where naming what is allowed needs heavy imports.
    group : str
        Heading in the help text.
    default : str
        How the default is described where it is computed; else the field's own is shown.
    metavar : str
    flag : str
        Spelling on the command line, where it is not the name of the field.
    stored : bool
        Whether it goes into study.toml; if not it may be given beside --from.
    """

    help: str | Callable[[], str]
    group: str
    default: str = ""
    metavar: str = ""
    flag: str = ""
    stored: bool = True


def option(default: Any, group: str, help: str | Callable[[], str], **words: Any) -> Any:
    """A field of a study's settings that is an option of the command line; see `Option` for the words."""
    words["default"] = words.pop("shown", "")
    return field(default=default, metadata={"option": Option(help, group, **words)})


def options_of(study: type) -> list[tuple[Field[Any], Option]]:
    """Every setting of the study that is an option, in the order of its fields."""
    return [(entry, entry.metadata["option"]) for entry in fields(study) if "option" in entry.metadata]


def flag_of(entry: Field[Any]) -> str:
    """Spelling on the command line."""
    return entry.metadata["option"].flag or "--" + entry.name.replace("_", "-")


def add_options(parser: argparse.ArgumentParser, study: type, full: bool) -> None:
    """Add the options of the study to a parser, under their headings; `full`: with texts that need heavy imports."""
    groups: dict[str, Any] = {}
    for entry, found in options_of(study):
        if found.group not in groups:
            groups[found.group] = parser.add_argument_group(found.group)
        text = found.help if isinstance(found.help, str) else found.help() if full else ""
        add = groups[found.group].add_argument
        if entry.type in ("bool", bool):
            action = "store_false" if entry.default is True else "store_true"
            add(flag_of(entry), dest=entry.name, action=action, help=_escaped(text))
            continue
        default = found.default or (f"{entry.default:g}" if isinstance(entry.default, float) else entry.default)
        if default not in (None, MISSING):
            text += f" (default: {default})"
        kind = str(entry.type).partition(" ")[0]
        reader = {"int": whole, "float": number}.get(kind, str)
        metavar = found.metavar or {"int": "N", "float": "X"}.get(kind, "TEXT")
        add(flag_of(entry), dest=entry.name, type=reader, metavar=metavar, help=_escaped(text))


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def attach_values(arguments: Iterable[str], study: type) -> list[str]:
    """Join an option to a value that begins with a minus sign and is a number: argparse knows only some of these."""
    taking = {flag_of(entry) for entry, _ in options_of(study) if entry.type not in ("bool", bool)}
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] in taking and argument[:1] == "-" and _is_number(argument):
            joined[-1] += "=" + argument
        else:
            joined.append(argument)
    return joined


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def number(text: str) -> float:
    """A real number, or a word why not."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, got {shortened(text)}") from None


def whole(text: str) -> int:
    """A whole number, 1e4 too, or a word why not."""
    try:
        return int(text)
    except ValueError:
        pass
    value = number(text)
    if not value.is_integer():
        raise argparse.ArgumentTypeError(f"must be a whole number, got {shortened(text)}")
    return int(value)


def shortened(value: object, longest: int = 60) -> str:
    """A value as a message shows it, cut short."""
    text = repr(value)
    return text if len(text) <= longest else f"{text[: longest // 2]}...{text[-longest // 3 :]}"


def dataset_names() -> str:
    """The named data sets, for help texts."""
    from sgdlimits.problems import datasets

    return ", ".join(datasets.DATASETS)
