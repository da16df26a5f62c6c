"""Options of a study: fields of its settings that carry their own help, group and default for the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
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
    allowed : function without arguments, or None
        The names that may be given, where they are known beforehand.
    several : bool
        Whether more than one of them may be given, separated by commas.
    file : bool
        Whether it names a file: study.toml then holds the way to it from its own folder.
    """

    help: str | Callable[[], str]
    group: str
    default: str = ""
    metavar: str = ""
    flag: str = ""
    stored: bool = True
    allowed: Callable[[], Sequence[str]] | None = None
    several: bool = False
    file: bool = False


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


def kind_of(entry: Field[Any]) -> str:
    """bool, int, float or str: the type of a setting, and of one that may be None too."""
    kind = entry.type if isinstance(entry.type, str) else getattr(entry.type, "__name__", str(entry.type))
    return kind.partition(" ")[0]


def described(study: type) -> list[dict[str, Any]]:
    """Every option of the study as plain values, for other programs; imports what the texts need.

    A bool is a switch: its flag takes no value and gives the opposite of its default. `default` is None where nothing
    is the default or `default_text` says how it is computed. `allowed` is None where any value of the type may be
    given.
    """
    return [
        {
            "name": entry.name, "flag": flag_of(entry), "type": kind_of(entry), "default": entry.default,
            "default_text": found.default or None, "help": found.help if isinstance(found.help, str) else found.help(),
            "group": found.group, "stored": found.stored,
            "allowed": list(found.allowed()) if found.allowed is not None else None, "several": found.several,
        }
        for entry, found in options_of(study)
    ]  # fmt: skip


def add_options(parser: argparse.ArgumentParser, study: type, full: bool, machine: bool = True) -> None:
    """Add the options of the study to a parser, under their headings.

    `full`: with texts that need heavy imports; `machine`: those too that no number should depend on.
    """
    groups: dict[str, Any] = {}
    for entry, found in options_of(study):
        if not (found.stored or machine):
            continue
        if found.group not in groups:
            groups[found.group] = parser.add_argument_group(found.group)
        text = found.help if isinstance(found.help, str) else found.help() if full else ""
        add = groups[found.group].add_argument
        kind = kind_of(entry)
        if kind == "bool":
            action = "store_false" if entry.default is True else "store_true"
            add(flag_of(entry), dest=entry.name, action=action, help=_escaped(text))
            continue
        default = found.default or (f"{entry.default:g}" if isinstance(entry.default, float) else entry.default)
        if default not in (None, MISSING):
            text += f" (default: {default})"
        reader = {"int": whole, "float": number}.get(kind, str)
        metavar = found.metavar or {"int": "N", "float": "X"}.get(kind, "TEXT")
        add(flag_of(entry), dest=entry.name, type=reader, metavar=metavar, help=_escaped(text))


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def attach_values(arguments: Iterable[str], study: type) -> list[str]:
    """Join an option to a value that begins with a minus sign and is a number: argparse knows only some of these."""
    taking = {flag_of(entry) for entry, _ in options_of(study) if kind_of(entry) != "bool"}
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


def dataset_names() -> tuple[str, ...]:
    """The named data sets."""
    from sgdlimits.problems import datasets

    return datasets.DATASETS
