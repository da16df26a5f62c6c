"""What the command line does; what it understands stands in `parsers`."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import sgdlimits
from sgdlimits.exact.errors import InvalidInput, SgdlimitsError, nearest, one_of, whole_number
from sgdlimits.studies import STUDIES, find_study
from sgdlimits.studies.options import attach_values, flag_of, options_of, shortened

from .parsers import HELP, LONGEST, SHELLS, VERBS, as_json, listed, overview, study_parser, verb_parser

OWN = ("from_file", "out", "overwrite", "threads", "quiet")

def run(arguments: list[str]) -> int:
    """Run the command line; every wrong input is one sentence and code 2."""
    from .__main__ import fail

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        for kind in (DeprecationWarning, PendingDeprecationWarning):  # between libraries, no affair of the user's
            warnings.simplefilter("ignore", kind)
        warnings.showwarning = _warn_once()
        try:
            return _run(arguments)
        except SgdlimitsError as error:
            return fail(_cut(str(error)), 2)
        except OSError as error:
            reason = error.strerror or str(error)
            return fail(f"{reason}: {error.filename}" if error.filename else reason, 2)
        except MemoryError:
            return fail("not enough memory; use fewer --paths or --steps", 2)


def _cut(text: str) -> str:
    return text if len(text) <= 2 * LONGEST else f"{text[:LONGEST]}...{text[-LONGEST // 2 :]}"


def _warn_once() -> Any:
    """Print each warning once, in one line, without Python's source line."""
    said: set[str] = set()

    def show(message: Warning | str, *_: Any) -> None:
        text = " ".join(str(message).split())
        if text not in said:
            said.add(text)
            print(f"warning: {text}", file=sys.stderr)

    return show


def _run(arguments: list[str]) -> int:
    command, *rest = arguments or ["--help"]
    if command in HELP:
        return _say(overview())
    if command == "--version":
        return _say(f"sgdlimits {sgdlimits.__version__}")
    allowed = (*VERBS, "--help", "--version")
    verb = one_of("command", command if len(command) <= LONGEST else command[:60], allowed)
    return DO[verb](rest)


def _say(text: str) -> int:
    """Print, and find out at once whether it could be."""
    try:
        print(text, flush=True)
    except OSError as error:
        raise InvalidInput(f"cannot write to standard output ({error.strerror or error})") from None
    return 0


def _list(arguments: list[str]) -> int:
    if arguments[:1] and arguments[0] in HELP:
        return _say(listed())
    found, unknown = verb_parser("list").parse_known_args(arguments)
    if unknown:
        raise InvalidInput(f"{shortened(unknown[0])} is not understood: list takes --json or nothing")
    return _say(as_json() if found.json else listed())


def _completion(arguments: list[str]) -> int:
    parser = verb_parser("completion")
    if any(argument in HELP for argument in arguments):
        return _say(parser.format_help().rstrip())
    if len(arguments) != 1:
        raise InvalidInput(f"completion takes the name of one shell, {', '.join(SHELLS)}; got {len(arguments)} words")
    from .completion import script

    return _say(script(one_of("shell", arguments[0][:LONGEST], SHELLS)))


def _study(arguments: list[str]) -> int:
    from_file, name, rest = _named(arguments)
    if name is None and from_file is None:
        if any(argument in HELP for argument in rest):
            return _say(overview())
        raise InvalidInput(f"no study is named; allowed: {', '.join(STUDIES)}, or --from study.toml")
    if name is not None:
        one_of("study", name[:LONGEST], STUDIES)
    if from_file is None:
        assert name is not None
        given = _options(name, find_study(name), rest)
        settings = {key: value for key, value in given.items() if key not in OWN}
        return _execute(find_study(name)(**settings), given)
    from sgdlimits.studies.settings import read_toml

    if name is not None and any(argument in HELP for argument in rest):
        return 0 if _options(name, find_study(name), rest) else 0
    stored = one_of("study", read_toml(from_file)[0][:LONGEST], STUDIES)
    if name is not None and name != stored:
        raise InvalidInput(f"{shortened(from_file)} holds the study {stored!r}, not {name!r}")
    study = find_study(stored)
    given = _options(stored, study, rest)
    beside = {}
    for entry, found in options_of(study):
        if entry.name not in given:
            continue
        if not found.stored:
            beside[entry.name] = given[entry.name]
        else:
            raise InvalidInput(f"--from takes every setting from the file, so {flag_of(entry)} cannot be given with it")
    return _execute(replace(study.from_toml(from_file), **beside), given)


def _named(arguments: list[str]) -> tuple[str | None, str | None, list[str]]:
    """The file after --from, the name of the study, and what is left."""
    from_file, name, rest = None, None, list(arguments)
    for place, argument in enumerate(rest):
        if argument == "--from" or argument.startswith("--from="):
            value = argument[7:] if "=" in argument else next(iter(rest[place + 1 :]), None)
            if not value:
                raise InvalidInput("--from needs the name of a study.toml")
            from_file = value
            del rest[place : place + (1 if "=" in argument else 2)]
            break
    if rest and not rest[0].startswith("-"):
        name = rest.pop(0)
    elif from_file is None:
        name = next((argument for argument in rest if argument in STUDIES), None)
        if name is not None:
            rest.remove(name)
    return from_file, name, rest


def _options(name: str, study: type, arguments: Iterable[str], verb: str = "study") -> dict[str, Any]:
    """The options that are given after the name of a study, by the names of settings."""
    words = attach_values(arguments, study)
    parser = study_parser(verb, name, any(word in HELP for word in words))
    found, unknown = parser.parse_known_args(words)
    if unknown:
        word = unknown[0].partition("=")[0]
        raise InvalidInput(f"the study {name!r} has no option {shortened(word)}{_hint(name, word, parser)}")
    return vars(found)


def _hint(name: str, word: str, parser: argparse.ArgumentParser) -> str:
    """The nearest option of this study, or the studies that the option belongs to."""
    if not word.startswith("-"):
        return ""
    owners = [other for other in STUDIES if word in [flag_of(entry) for entry, _ in options_of(find_study(other))]]
    if owners:
        return f"; it belongs to {' and '.join(map(repr, owners))}, --help names those of {name!r}"
    allowed = [spelling for action in parser._actions for spelling in action.option_strings]
    return f"; {nearest(word[:LONGEST], allowed)}"


def _execute(study: Any, options: dict[str, Any]) -> int:
    from sgdlimits.compare.output_folder import check_folder
    from sgdlimits.compare.reports import check_figures
    from sgdlimits.exact.compiling import announce_compiling

    threads = None if options.get("threads") is None else whole_number("threads", options["threads"], 1, 1024)
    out, overwrite = options.get("out"), options.get("overwrite", False)
    check_folder(out, overwrite)
    check_figures()
    quiet = options.get("quiet", False)
    if not quiet:
        announce_compiling()
    result = study.run(progress=None if quiet else True, threads=threads)
    tell = None if quiet else (lambda what: print(f"writing {what}", file=sys.stderr))
    folder = result.write(out, overwrite, tell)
    try:
        _say(("" if quiet else f"{result}\n\n") + str(folder / "report.html"))
    except InvalidInput as error:
        raise InvalidInput(f"{error}; the report is whole, in {folder}") from None
    return 0


def _sweep(arguments: list[str]) -> int:
    if not arguments or arguments[0] in HELP:
        return _say(overview())
    name, *rest = arguments
    if name.startswith("-"):
        raise InvalidInput(f"no study is named after sweep; allowed: {', '.join(STUDIES)}, before its options")
    study = find_study(one_of("study", name[:LONGEST], STUDIES))
    from sgdlimits.studies._sweep.command import run_sweep

    return run_sweep(study, _options(name, study, rest, "sweep"), arguments, _say)


# What each of VERBS does with the words after it.
DO = {"study": _study, "sweep": _sweep, "list": _list, "completion": _completion}
