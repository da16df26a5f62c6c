"""Measure error against time of every scheme and of three other libraries, and write docs/which_scheme.*

Errors are exact: the bias of each scheme's own moments, so no curve rests on sampling. Times are CPU times on one
thread, everything included, each the minimum of interleaved rounds in one run. Run alone on the machine:
python benchmarks/work_precision.py
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sgdlimits.diffusions import SCHEMES, Diffrax, Sdeint, TorchSDE, find_scheme, integrate
from timing import interleaved
from which_scheme_page import draw, write_page
from work_precision_problems import Homogenized, linear_problems

DOCS = Path(__file__).resolve().parent.parent / "docs"
LADDER = (4, 16, 64)
MODAL_LADDER = (8, 32, 128, 512)
PATHS = {"own": 1024, "torchsde": 1024, "diffrax": 1024, "sdeint": 8}
TOLERANCE, ASKED = 1e-3, 20.0
# The scheme of ours that takes the same step (tests compare the paths): its moments are theirs.
TWINS = {"Euler": "euler", "ItoMilstein": "milstein", "SRA1": "sra1"}


@dataclass(frozen=True)
class Curve:
    """Error against time of one scheme on one problem; `seconds` a path."""

    label: str
    library: str
    steps: np.ndarray
    seconds: np.ndarray
    errors: np.ndarray


def peers(noise_type: str, modal: bool) -> list[Any]:
    """The other libraries' Ito methods for this noise, on their own random numbers, where they are installed."""
    listed = [
        TorchSDE("euler", "library", "float32"), TorchSDE("milstein", "library", "float32"),
        TorchSDE("srk", "library", "float32"), Diffrax("Euler", "library", "float32"),
        Diffrax("ItoMilstein", "library", "float32"), Diffrax("SRA1", "library", "float32"),
        Sdeint("itoEuler", "library"),
    ]  # fmt: skip
    if not modal and noise_type in ("diagonal", "additive"):  # m = 1: no area is drawn, and its moments close
        listed.append(Sdeint("itoSRI2", "library"))
    present = [scheme for scheme in listed if importlib.util.find_spec(scheme.name) is not None]
    return [scheme for scheme in present if noise_type in scheme.noise_types]


def bias_of(problem: Any, scheme: Any, steps: int) -> float:
    """Exact relative bias of a scheme, ours or theirs."""
    method = getattr(scheme, "method", None)
    if method in TWINS or isinstance(problem, Homogenized):
        return problem.bias(find_scheme(TWINS.get(method, "euler") if method else scheme.name), steps)
    return problem.bias(type(scheme)(method) if method else scheme, steps)


def seconds_per_path(contenders: dict[str, tuple[Any, Any, int]]) -> dict[str, float]:
    """CPU time a path of each (problem, scheme, steps)."""
    paths = {
        key: PATHS[scheme.name if hasattr(scheme, "method") else "own"]
        for key, (_, scheme, _) in contenders.items()
    }

    def run(key: str) -> Any:
        problem, scheme, steps = contenders[key]
        process, horizon = getattr(problem, "process", problem), float(getattr(problem, "horizon", 1.0))
        kept = {"last": lambda x: x[:, 0]} if process is problem else ("risk",)
        return lambda: integrate(
            process,
            problem.start,
            horizon,
            horizon / steps,
            paths[key],
            scheme,
            threads=1,
            record=[horizon],
            observables=kept,
        )

    seconds = interleaved({key: run(key) for key in contenders}, rounds=2)
    return {key: value / paths[key] for key, value in seconds.items()}


def measure(problem: Any) -> list[Curve]:
    """Every scheme that treats the problem's noise, with our moments and theirs."""
    modal = isinstance(problem, Homogenized)
    names = problem.process.solvers if modal else [name for name in SCHEMES if name != "tamed_euler"]
    noise_type = "general" if modal else problem.noise_type
    schemes = [find_scheme(name) for name in names if noise_type in SCHEMES[name].noise_types]
    curves = []
    for scheme in (*schemes, *peers(noise_type, modal)):
        library = scheme.name if hasattr(scheme, "method") else "own"
        label = f"{library} {scheme.method}" if library != "own" else scheme.name
        ladder = MODAL_LADDER if modal else LADDER
        seconds = seconds_per_path({str(steps): (problem, scheme, steps) for steps in ladder})
        errors = np.array([bias_of(problem, scheme, steps) for steps in ladder])
        curves.append(Curve(label, library, np.array(ladder), np.array(list(seconds.values())), errors))
        print(
            f"{problem.label:50} {label:22}",
            *(f"{s * 1e6:8.2f} us {e:.1e}" for s, e in zip(seconds.values(), errors, strict=True)),
            flush=True,
        )
    return curves


def headline(problem: Homogenized) -> tuple[list[tuple[str, int, float, float]], float | None]:
    """Rows (scheme, steps, bias, seconds a path) at the bias asked for, and how much faster the best of ours is."""
    schemes = {name: find_scheme(name) for name in problem.process.solvers}
    schemes |= {f"{s.name} {s.method}": s for s in peers("general", True)}
    steps = {
        label: problem.steps_needed(find_scheme(getattr(s, "method", None) and "euler" or s.name), TOLERANCE)
        for label, s in schemes.items()
    }
    seconds = seconds_per_path({label: (problem, s, steps[label]) for label, s in schemes.items()})
    rows = [
        (label, steps[label], bias_of(problem, s, steps[label]), seconds[label])
        for label, s in schemes.items()
    ]
    rows.sort(key=lambda row: row[3])
    theirs = [row[3] for row in rows if row[0].split()[0] in ("torchsde", "diffrax")]
    ours = [row[3] for row in rows if row[0] in SCHEMES]
    return rows, (min(theirs) / min(ours) if theirs else None)


def main() -> int:
    """Measure all, print, write the page and the figure."""
    DOCS.mkdir(exist_ok=True)
    homogenized = Homogenized()
    rows, ratio = headline(homogenized)
    for row in rows:
        print("{:22} {:5} steps, bias {:.2e}, {:9.2f} us a path".format(row[0], row[1], row[2], row[3] * 1e6))
    if ratio is not None:
        print(
            f"best of ours against the best of torchsde and diffrax: {ratio:.0f}x (asked {ASKED:g}x)",
            flush=True,
        )
    panels = {problem.label: measure(problem) for problem in (*linear_problems(), homogenized)}
    draw(panels, DOCS)
    write_page(DOCS, panels, rows, ratio, ASKED, TOLERANCE)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
