"""What the command line understands: its verbs, the options of each, and one parser of all of them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any, NoReturn

import sgdlimits
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.studies import STUDIES, find_study
from sgdlimits.studies._sweep.command import add_sweep_options
from sgdlimits.studies.options import add_options, described, whole

LONGEST = 400  # characters of a sentence on a wrong command line
HELP = ("-h", "--help")
SHELLS = ("bash", "zsh", "tcsh")
# verb -> lines of the overview: what is typed after it, and what that does
VERBS = {
    "study": {
        "NAME [options]": "run a study; --help after its name shows its options",
        "--from study.toml": "run one again with the settings of an earlier run",
    },
    "sweep": {"NAME --over SETTING=VALUES --out FOLDER": "run a study over a grid; the same command goes on"},
    "list": {"": "name the studies", "--json": "the same with every option, for other programs"},
    "completion": {"SHELL": f"print the script that completes commands in {', '.join(SHELLS)}"},
}


class Parser(argparse.ArgumentParser):
    """Reports a wrong command line like every other wrong input: by raising."""

    def error(self, message: str) -> NoReturn:
        raise InvalidInput(message if len(message) <= LONGEST else f"{message[: LONGEST - 100]}...{message[-90:]}")


class Format(argparse.HelpFormatter):
    """Help in lines of at most 100 characters."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=100)


def overview() -> str:
    """What is printed where no verb is given."""
    lines = {f"sgdlimits {verb} {words}".rstrip(): does for verb in VERBS for words, does in VERBS[verb].items()}
    width = max(map(len, lines))
    usage = [f"{line:{width}}  {does}" for line, does in lines.items()]
    return "\n".join([
        "How far is SGD from its continuous limits?\n", "usage: " + usage[0], *(f"       {line}" for line in usage[1:]),
        "       sgdlimits --version\n", "studies:", listed("  "),
    ])  # fmt: skip


def listed(indent: str = "") -> str:
    """A line for each study."""
    width = max(map(len, STUDIES))
    return "\n".join(f"{indent}{name:{width}}  {purpose}" for name, purpose in STUDIES.items())


def as_json() -> str:
    """Version and studies, each with its purpose and options as `studies.options.described` gives them."""
    studies = [
        {"name": name, "purpose": purpose, "options": described(find_study(name))} for name, purpose in STUDIES.items()
    ]
    return json.dumps({"version": sgdlimits.__version__, "studies": studies}, indent=2, allow_nan=False)


def add_run_options(parser: argparse.ArgumentParser, name: str) -> None:
    """What `study` takes beside the options of a study."""
    run = parser.add_argument_group("machine and output")
    run.add_argument("--threads", type=whole, metavar="N", help="never changes a number (default: all cores)")
    run.add_argument("--out", metavar="FOLDER", help=f"where results go (default: results/{name}-001, -002, ...)")
    run.add_argument("--overwrite", action="store_true", help="replace the files of an earlier run in that folder")
    run.add_argument("--quiet", action="store_true", help="no table and no progress")
    run.add_argument("--from", metavar="FILE", dest="from_file", help="take every setting from a study.toml")


# Verbs after which a study is named and its options follow -> what they take beside these.
OF_STUDIES: dict[str, Callable[[argparse.ArgumentParser, str], None]] = {
    "study": add_run_options, "sweep": add_sweep_options,
}  # fmt: skip


def study_parser(verb: str, name: str, full: bool, make: Callable[..., Any] | None = None) -> argparse.ArgumentParser:
    """The parser of what follows the name of a study.

    Parameters
    ----------
    verb : str
        Of `OF_STUDIES`.
    name : str
        Of the study.
    full : bool
        With help texts that need heavy imports.
    make : function, optional
        Makes it, as a part of another parser.
    """
    whole_name = f"sgdlimits {verb} {name}"
    parser: argparse.ArgumentParser = (make or Parser)(
        prog=whole_name, usage=f"{whole_name} [options]", description=STUDIES[name], formatter_class=Format,
        allow_abbrev=False, argument_default=argparse.SUPPRESS,
    )  # fmt: skip
    add_options(parser, find_study(name), full, machine=verb != "sweep")
    OF_STUDIES[verb](parser, name)
    return parser


def _fill_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help=VERBS["list"]["--json"])


def _fill_completion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS))


_FILL = {"list": _fill_list, "completion": _fill_completion}  # verbs that name no study
_MORE = {
    "completion": "Needs shtab (pip install '.[completion]'). In bash, once for all shells to come: "
    "sgdlimits completion bash > ~/.local/share/bash-completion/completions/sgdlimits"
}


def verb_parser(verb: str, make: Callable[..., Any] | None = None) -> argparse.ArgumentParser:
    """The parser of what follows a verb; where a study follows, `make` is asked for a part for each."""
    parser: argparse.ArgumentParser = (make or Parser)(
        prog=f"sgdlimits {verb}", description="; ".join(VERBS[verb].values()) + ".", epilog=_MORE.get(verb),
        formatter_class=Format, allow_abbrev=False,
    )  # fmt: skip
    if verb in _FILL:
        _FILL[verb](parser)
    return parser


def whole_parser() -> argparse.ArgumentParser:
    """One parser of every verb, study and option, with all help texts: what shells complete."""
    parser = Parser("sgdlimits", formatter_class=Format, allow_abbrev=False)
    parser.add_argument("--version", action="store_true", help="print the version")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    for verb, lines in VERBS.items():
        does = "; ".join(lines.values())

        def add_verb(verb: str = verb, does: str = does, **words: Any) -> argparse.ArgumentParser:
            return verbs.add_parser(verb, help=does, **words)

        found = verb_parser(verb, add_verb)
        if verb not in OF_STUDIES:
            continue
        if verb == "study":
            found.add_argument("--from", metavar="FILE", dest="from_file", help=lines["--from study.toml"])
        names = found.add_subparsers(dest="name", metavar="NAME")
        for name, purpose in STUDIES.items():

            def add_name(names: Any = names, name: str = name, purpose: str = purpose, **words: Any) -> Any:
                return names.add_parser(name, help=purpose, **words)

            study_parser(verb, name, True, add_name)
    return parser
