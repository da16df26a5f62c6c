"""compare.tails: the tail indices of processes side by side, and whether they are one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.ensembles.initial import initial_state
from sgdlimits.exact.errors import InvalidInput, flag, instance_of, one_of, seed_number, whole_number
from sgdlimits.exact.tail_index import TailIndex

from .. import capabilities, tail_estimators
from .._laws.gathered import dimension_of
from .._laws.sides import Run, sides_of
from ..estimates import confidence_level
from ..known_law import KnownLaw
from .result import Tails
from .rows import Known, Row, compared, estimate_row, exact_rows, known_index
from .sampling import ends_of, lines_of, steps_of

if TYPE_CHECKING:
    import xarray

ESTIMATORS = (
    "corrected_hill", "hill", "moment", "pickands", "power_law", "student", "skewed_student", "stable_quantiles",
    "stable_blocks",
)  # fmt: skip


@capabilities.one_blas_thread
def tails(
    reference: Any,
    *others: Any,
    x0: Any = None,
    steps: int | None = None,
    paths: int = 10_000,
    direction: Any = None,
    estimators: Sequence[str] = ("corrected_hill", "student"),
    indices: Mapping[str, TailIndex | None] | None = None,
    sample: bool = True,
    seed: int = 0,
    confidence: float = 0.95,
    threads: int | None = None,
    progress: Any = None,
) -> Tails:
    """Tail indices of stationary laws, P(|x| > t) ~ t^-index: exact, bounded and estimated, and whether they are one.

    Parameters
    ----------
    reference : process
        Usually `discrete.SGD`; the other indices are compared with its own.
    *others : processes
        Of the same dimension: limits, or anything that `compare.laws` takes. Their index is asked of `tail_index()`,
        bounds of `tail_index_bounds()`, where they have them.
    x0 : array (d,), array (paths, d) or tuple, optional
        Where the sampled paths start; default: each process at its own centre, see `Tails`.
    steps : int, optional
        Of the sampled paths, whose ends are the sample. Default: ten relaxations of the slowest mode, less where this
        would be too much work; that the law was another at half of them is said.
    paths : int
        Independent paths of each process: one value each, so that the intervals hold.
    direction : array (d,), optional
        Along which the estimators see the ends; default: the eigenvector of the largest eigenvalue. All directions
        that the noise reaches have one index.
    estimators : names of functions of `compare.tail_estimators`
    indices : mapping from labels to TailIndex or None, optional
        Indices known elsewhere, of a recurrence of your own by `discrete.kesten_index` for example. None: not asked.
    sample : bool
        False: exact indices and bounds only.
    seed : int
    confidence : float
        Of each interval.
    threads, progress
        As in `simulate`.

    Returns
    -------
    Tails

    Raises
    ------
    InvalidInput
        If an argument does not fit; the sentence says which and why.
    """
    processes = [reference, *others]
    capabilities.check_processes(processes)
    if any(isinstance(process, KnownLaw) for process in processes):
        raise InvalidInput("a KnownLaw has no stationary law to sample and states no index: leave it out")
    labels = capabilities.distinct_labels(processes)
    functions = {name: getattr(tail_estimators, one_of("estimators", name, ESTIMATORS)) for name in estimators}
    flag("sample", sample)
    level, paths = confidence_level(confidence), whole_number("paths", paths, 50)
    steps = None if steps is None else whole_number("steps", steps, 2)
    dimension = dimension_of(processes, x0)
    if x0 is not None:
        initial_state(x0, dimension, paths)
    lines = lines_of(processes, direction, dimension)
    run = Run(x0, 0, np.zeros(0), paths, seed_number(seed), threads, progress)
    known = _known(processes, labels, indices)
    rows = [exact_rows(process, each) for process, each in zip(processes, known)]
    count = steps_of(processes, [each.lyapunov_exponent for each in known], steps, paths, dimension)
    run = replace(run, steps=count, record=np.array([count // 2, count]))
    samples = np.full((len(processes), paths), np.nan)
    if sample and functions:
        for place, side in enumerate(sides_of(processes, labels, lines[0].origin, None, None, None)):
            if not known[place].settles:
                continue
            line = lines[place]
            try:
                ends = ends_of(side, line, run if x0 is not None else replace(run, x0=line.origin))
            except InvalidInput as error:
                rows[place].append(Row("estimate", "none", notes=(str(error),)))
                continue
            samples[place] = ends.values
            for name, function in functions.items():
                row = estimate_row(name, function, ends.values, known[place], level)
                rows[place].append(replace(row, notes=(*row.notes, *ends.notes)))
    return Tails(_dataset(labels, known, rows, samples, run, level, processes))


def _known(processes: Sequence[Any], labels: Sequence[str], given: Any) -> list[Known]:
    given = {} if given is None else dict(given)
    for name, index in given.items():
        one_of("indices", name, list(labels))
        if index is not None:
            instance_of("indices", index, TailIndex, "pass what tail_index() or discrete.kesten_index(...) returns")
    return [
        _given(given[label]) if label in given else known_index(process) for process, label in zip(processes, labels)
    ]


def _given(index: TailIndex | None) -> Known:
    return Known(None, why_not="not asked for") if index is None else Known(index, index.lyapunov_exponent)


def _dataset(
    labels: Sequence[str], known: Sequence[Known], rows: Sequence[Sequence[Row]], samples: np.ndarray, run: Run,
    level: float, processes: Sequence[Any],
) -> xarray.Dataset:  # fmt: skip
    import xarray as xr

    from sgdlimits import __version__

    flat = [(place, row) for place, listed in enumerate(rows) for row in listed]
    kinds: dict[type, tuple[str, ...]] = {
        float: ("index", "lower", "upper"), object: ("kind", "method", "verdict"), int: ("k",)
    }  # fmt: skip
    by_row: dict[str, Any] = {
        name: ("row", np.array([getattr(row, name) for _, row in flat], dtype=kind))
        for kind, names in kinds.items()
        for name in names
    }
    by_row["notes"] = ("row", np.array([json.dumps(row.notes) for _, row in flat], dtype=object))
    by_row["of"] = ("row", np.array([place for place, _ in flat]))
    verdicts = ["reference", *(compared(known[0], each) for each in known[1:])]
    return xr.Dataset(
        by_row
        | {
            "sample": (("process", "path"), samples),
            "lyapunov_exponent": ("process", np.array([each.lyapunov_exponent for each in known])),
            "settles": ("process", np.array([each.settles for each in known])),
            "beside_reference": ("process", np.array(verdicts, dtype=object)),
        },
        {"process": list(labels)},
        {
            "title": f"Tail indices of {labels[0]}" + (f" against {', '.join(labels[1:])}" if labels[1:] else ""),
            "settings": json.dumps(_settings(processes, labels)), "steps": run.steps, "paths": run.paths,
            "seed": run.seed, "confidence": level,
            "step_size": capabilities.stated_number(processes[0], "step_size", 0.0),
            "batch_size": int(capabilities.stated_number(processes[0], "batch_size", 0.0)),
            "claims": capabilities.claim_notes(processes, labels, ("tail_claims", "claims")),
            "version": __version__,
        },
    )  # fmt: skip


def _settings(processes: Sequence[Any], labels: Sequence[str]) -> list[str]:
    """Problem, step size and batch size in words: once where the processes share them, else of each that has one."""
    problems = [capabilities.problem_of(process) for process in processes]
    shared = len({id(problem) for problem in problems if problem is not None}) <= 1
    said = _each("", problems, labels, shared)
    for name in ("step size", "batch size"):
        values = [getattr(process, name.replace(" ", "_"), None) for process in processes]
        said += _each(f"{name} ", values, labels, len({_shown(value) for value in values if value is not None}) <= 1)
    return said


def _each(word: str, values: Sequence[Any], labels: Sequence[str], shared: bool) -> list[str]:
    said = [(word + _shown(value), label) for value, label in zip(values, labels) if value is not None]
    return [text for text, _ in said[:1]] if shared else [f"{text} ({label})" for text, label in said]


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, (int, float)) else repr(value)
