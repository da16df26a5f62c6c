"""The verb `sweep` of the command line: a study over a grid of its settings."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from sgdlimits.exact.errors import InvalidInput
from sgdlimits.studies.options import flag_of, options_of, whole

from .values import swept_values

OWN = ("over", "out", "workers", "dask", "retry", "merge", "variable", "quiet")


def add_sweep_options(parser: argparse.ArgumentParser, name: str) -> None:
    """What `sweep` takes beside the options of a study."""
    grid = parser.add_argument_group("grid")
    grid.add_argument(
        "--over", action="append", metavar="NAME=VALUES",
        help="a setting and its values, such as step_size=0.01:0.1:10log (ten, geometric), ridge=0:1:5 (five, even) or "
        "batch_size=1,2,4,8; give it once for each setting",
    )  # fmt: skip
    run = parser.add_argument_group("machine and output")
    run.add_argument("--out", metavar="FOLDER", help="store of finished cells, and results; the same command goes on")
    run.add_argument("--workers", type=whole, metavar="N", help="processes, each with one thread (default: this one)")
    run.add_argument("--dask", metavar="ADDRESS", help="scheduler of a Dask cluster, such as tcp://host:8786")
    run.add_argument("--retry", action="store_true", help="run cells that failed before again")
    run.add_argument("--merge", action="append", metavar="FOLDER", help="copy the cells of another store first")
    run.add_argument("--variable", metavar="NAME", help="what the picture shows (default: as the study says)")
    run.add_argument("--quiet", action="store_true", help="no progress and no summary")


def run_sweep(study: type, given: Mapping[str, Any], words: list[str], say: Callable[[str], int]) -> int:
    """Run the sweep of a study with these options; `words` is what was typed."""
    from sgdlimits.compare.reports import check_figures

    from .cells import work_of
    from .driver import Plan, sweep
    from .executors import dask_executor
    from .grid import grid_of
    from .merging import merge_stores
    from .report import finding, write_report
    from .store import Folder, check_same

    over = _over(study, given.get("over") or [])
    if "out" not in given:
        raise InvalidInput("a sweep needs --out FOLDER, where finished cells are kept and the same command goes on")
    fixed = {key: value for key, value in given.items() if key not in OWN}
    for key in over:
        if key in fixed:
            flag = next(flag_of(entry) for entry, _ in options_of(study) if entry.name == key)
            raise InvalidInput(f"{key} is swept, so {flag} cannot be given with it: leave one of them out")
    if "dask" in given and "workers" in given:
        raise InvalidInput("give --workers or --dask, not both: a cluster has its own workers")
    check_figures()
    out, quiet, seed = Path(given["out"]), given.get("quiet", False), fixed.pop("seed", 0)
    base = study(**fixed)
    progress = None if quiet else True
    if given.get("merge"):
        identity = Plan(work_of(base), grid_of(over), seed, None, 1).identity
        for other in map(Folder, given["merge"]):
            check_same(other.shown, other.identity(), identity)
        copied = merge_stores(out, *given["merge"])
        if not quiet:
            print(f"{copied} cells copied from {', '.join(given['merge'])}", file=sys.stderr)
    with dask_executor(given["dask"]) if "dask" in given else nullcontext() as executor:
        result = sweep(
            base, over, out, seed, workers=given.get("workers"), executor=executor, retry=given.get("retry", False),
            progress=progress,
        )  # fmt: skip
    if result.attrs["failed"] == result.attrs["cells"]:
        first = str(result["failure"].values.flat[0])
        cells = result.attrs["cells"]
        raise InvalidInput(f"all {cells} cells failed, the first with: {first}; {out} keeps the sentences")
    command = shlex.join(["sgdlimits", "sweep", *words])
    settings = fixed | {"seed": seed} | {
        key: ", ".join(map(str, values)) for key, values in over.items()
    }  # fmt: skip
    page = write_report(out, result, settings, command, given.get("variable"))
    say(str(page) if quiet else f"{finding(result)}\n{page}")
    return 0


def _over(study: type, texts: list[str]) -> dict[str, list[Any]]:
    if not texts:
        raise InvalidInput("a sweep needs at least one --over NAME=VALUES, such as --over step_size=0.01:0.1:10log")
    over: dict[str, list[Any]] = {}
    for text in texts:
        name, values = swept_values(study, text)
        if name in over:
            raise InvalidInput(f"{name} is swept twice: give all its values in one --over")
        over[name] = values
    return over
