"""Command line: sgdlimits study NAME [options] | sgdlimits study --from study.toml | sgdlimits list."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, NoReturn

import sgdlimits
from sgdlimits.exact.errors import InvalidInput, SgdlimitsError, nearest, one_of, whole_number
from sgdlimits.studies import STUDIES, find_study

NOT_SETTINGS = {"command", "study", "from_file", "out", "overwrite", "threads", "quiet"}


class _Parser(argparse.ArgumentParser):
    """Reports a wrong command line like every other wrong input: by raising."""

    def error(self, message: str) -> NoReturn:
        raise InvalidInput(message)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 2 (wrong input, one sentence), 130 (interrupted)."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without ± must not end a long run
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = _warn_once()
        try:
            return _run(_parse(sys.argv[1:] if arguments is None else list(arguments)))
        except SgdlimitsError as error:
            return _fail(str(error), 2)
        except OSError as error:
            return _fail(f"{error.strerror or error}: {error.filename}" if error.filename else str(error), 2)
        except MemoryError:
            return _fail("not enough memory; use fewer --paths or --steps", 2)
        except KeyboardInterrupt:
            return _fail("interrupted; nothing was written", 130)


def _fail(message: str, code: int) -> int:
    print("sgdlimits: " + " ".join(message.split()), file=sys.stderr)
    return code


def _warn_once() -> Any:
    """Print each warning once, in one line, without Python's source line."""
    said: set[str] = set()

    def show(message: Warning | str, *_: Any) -> None:
        text = " ".join(str(message).split())
        if text not in said:
            said.add(text)
            print(f"warning: {text}", file=sys.stderr)

    return show


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = _Parser(
        "sgdlimits", description="How far is SGD from its continuous limits?", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"sgdlimits {sgdlimits.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands.add_parser("list", help="name the studies, a line each", allow_abbrev=False)
    study = commands.add_parser("study", help="run a study", allow_abbrev=False)
    _add_study_options(study)
    found, unknown = parser.parse_known_args(arguments)
    if unknown:
        options = [option for action in study._actions for option in action.option_strings]
        name = unknown[0].partition("=")[0]
        hint = f"; {nearest(name, options)}" if name.startswith("-") else ""
        raise InvalidInput(f"{unknown[0]!r} is not understood{hint}")
    return found


def _add_study_options(study: argparse.ArgumentParser) -> None:
    study.argument_default = argparse.SUPPRESS
    study.add_argument("study", nargs="?", help="name of the study; sgdlimits list names them")
    study.add_argument("--from", dest="from_file", metavar="FILE", help="take all settings from a study.toml")
    data = study.add_argument_group("data")
    data.add_argument("--dataset", help="named data set (default: diabetes, which ships with the package)")
    data.add_argument("--data", metavar="CSV", help="CSV file with a header line")
    data.add_argument("--target", metavar="COLUMN", help="column of the CSV file to predict")
    data.add_argument(
        "--no-standardise", dest="standardise", action="store_false", help="use columns as they are"
    )
    data.add_argument("--test-fraction", type=_number, metavar="F", help="hold out a part of the rows")
    sgd = study.add_argument_group("SGD")
    sgd.add_argument("--ridge", type=_number)
    sgd.add_argument("--step-size", type=_number, help="default: a quarter of the mean-square threshold")
    sgd.add_argument("--batch-size", type=_whole)
    sgd.add_argument("--sampling", help="with_replacement (default), without_replacement or reshuffle")
    sgd.add_argument("--momentum", type=_number)
    sgd.add_argument("--label-noise", type=_number, help="standard deviation of noise added to the labels")
    zero_loss = study.add_argument_group("zero-loss")
    zero_loss.add_argument("--rows", type=_whole, help="training rows of the regressions (default: 20)")
    zero_loss.add_argument("--quick", action="store_true", help="small sizes: a look in half a minute")
    run = study.add_argument_group("run")
    run.add_argument("--steps", type=_whole, help="default: three relaxation times, at most 1000")
    run.add_argument("--paths", type=_whole, help="of each process (default: 4000; zero-loss: 300)")
    run.add_argument("--seed", type=_whole)
    run.add_argument("--solver", help="scheme to compare in place of the processes (default: the processes themselves)")
    run.add_argument("--substeps", type=_whole, help="increments of the scheme per SGD step")
    run.add_argument("--tolerance", type=_number, help="relative, for the verdicts (default: 0.05)")
    run.add_argument("--confidence", type=_number, help="of each interval (default: 0.95)")
    run.add_argument("--threads", type=_whole, help="default: all cores; never changes a number")
    output = study.add_argument_group("output")
    output.add_argument("--out", metavar="FOLDER", help="default: results/NAME-001, -002, ...")
    output.add_argument("--overwrite", action="store_true", help="replace the folder of an earlier run")
    output.add_argument("--quiet", action="store_true", help="no table and no progress")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, got {text!r}") from None


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        pass
    number = _number(text)  # 1e4 is a whole number too
    if not number.is_integer():
        raise argparse.ArgumentTypeError(f"must be a whole number, got {text!r}")
    return int(number)


def _run(options: argparse.Namespace) -> int:
    if options.command == "list":
        width = max(map(len, STUDIES))
        for name, purpose in STUDIES.items():
            print(f"{name:{width}}  {purpose}")
        return 0
    return _study(vars(options))


def _study(options: dict[str, Any]) -> int:
    from sgdlimits.compare.folders import check_folder
    from sgdlimits.compare.reports import OWN_FILES

    study = _settings(options)
    threads = None if options.get("threads") is None else whole_number("threads", options["threads"], 1)
    out, overwrite = options.get("out"), options.get("overwrite", False)
    check_folder(out, overwrite, OWN_FILES)
    quiet = options.get("quiet", False)
    result = study.run(progress=None if quiet else True, threads=threads)
    tell = None if quiet else (lambda what: print(f"writing {what}", file=sys.stderr))
    folder = result.write(out, overwrite, tell)
    if not quiet:
        print(f"{result}\n")
    print(folder / "report.html")
    return 0


def _settings(options: dict[str, Any]) -> Any:
    """The study with its settings, from the file or from the options."""
    given = {name: value for name, value in options.items() if name not in NOT_SETTINGS}
    name = options.get("study")
    if "from_file" not in options:
        if name is None:
            raise InvalidInput(f"no study is named; allowed: {', '.join(STUDIES)}, or --from study.toml")
        return _checked(find_study(name), name, given)(**given)
    if given:
        option = _option(next(iter(given)))
        raise InvalidInput(f"--from takes every setting from the file, so {option} cannot be given with it")
    from sgdlimits.studies.settings import read_toml

    stored = read_toml(options["from_file"])[0]
    if name is not None and one_of("study", name, STUDIES) != stored:
        raise InvalidInput(f"{options['from_file']!r} holds the study {stored!r}, not {name!r}")
    return find_study(stored).from_toml(options["from_file"])


def _checked(study: type, name: str, given: dict[str, Any]) -> type:
    """The study's class, if it has every setting that is given."""
    allowed = [field.name for field in fields(study)]
    for setting in given:
        if setting not in allowed:
            raise InvalidInput(
                f"the study {name!r} has no option {_option(setting)}; {nearest(setting, allowed)}"
            )
    return study


def _option(setting: str) -> str:
    return "--no-standardise" if setting == "standardise" else "--" + setting.replace("_", "-")


if __name__ == "__main__":
    raise SystemExit(main())
