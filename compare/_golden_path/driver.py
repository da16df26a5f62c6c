"""compare.golden_path: a noise drop on a learning task, and four ways in which the golden path may fail there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.discrete import SGD
from sgdlimits.ensembles.progress import KeptOpen, Progress, open_progress
from sgdlimits.ensembles.random import Noise
from sgdlimits.exact.errors import SgdlimitsError, whole_number
from sgdlimits.problems.quadratic import QuadraticProblem
from sgdlimits.problems.tasks import Task

from .._snapping import snapping
from ..drops import BATCH, RULE, SAME, SIZE
from ..capabilities import one_blas_thread
from ..estimates import fieller
from ..results import labelled
from .arms import Arm, Runner, branch
from .criteria import VOID, Criterion, does_not_help, joins, same_functions
from .edge import SIDES, Edges, edges
from .functions import MINE, Functions, functions_at_equal_loss, measurable
from .plan import Plan, plan, told
from .result import AXES, GoldenPath

if TYPE_CHECKING:
    import xarray

ROUNDING = 1e-14  # of the first loss, below which losses are taken for zero
HALF = 0.025  # on each side, of the intervals at single steps
ARMS = ("high", "snapped", "low", "noiseless")
OTHER = "noiseless, dropped"


@one_blas_thread
def golden_path(
    task: Task,
    sgd: SGD,
    drop_at: int,
    *,
    batch_size: Any = SAME,
    step_size: Any = SAME,
    rule: Any = SAME,
    steps: int,
    seeds: int = 16,
    seed: int = 0,
    margin: float = 0.05,
    level: float = 0.05,
    window: float = 0.25,
    record: int | Sequence[int] | None = None,
    functions: bool = True,
    sharpness_seeds: int = 3,
    threads: int | None = None,
    progress: bool | Progress | None = None,
) -> GoldenPath:
    """Drop the noise of SGD on a task, and test whether it joins the run with little noise, and the noiseless one.

    Four arms from common starts: `high` (never dropped), `snapped` (a branch of `high` at the drop), `low` (little
    noise throughout) and `noiseless` (the settings of `low` on the population, the full batch, or large fresh batches).
    Each draws its own data. Gaps are L_snapped - L_low, less the same of two noiseless runs where the drop changes step
    size or rule: phi is a gap over that at the drop, psi over the loss of `low`. After a drop of the step size runs are
    matched at equal sums of step sizes, else at equal steps. What falsifies the golden path (criteria derived):

    F1  phi ends outside the margin, and falls no more (two one-sided tests at the margin's edge; void without a drop);
    F2  the snapped run is ahead of `low` at some step;
    F3  their functions are farther apart, at equal loss, than those of two runs that should agree (four baselines);
    F4  the snapped run is ahead of the noiseless one at some step.

    Parameters
    ----------
    task : problems.tasks.Task
    sgd : discrete.SGD
        Before the drop, on the task's problem.
    drop_at : int
        The first step with less noise.
    batch_size, step_size, rule
        After the drop; one of them. A batch of None, inf or "n": without noise. A step size is a number or a schedule,
        a function of the low run's steps; where its sums do not meet those before the drop, the low run takes one
        shorter step. What a rule keeps (momentum) is carried where it stays of one type, and starts at zero otherwise.
    steps : int
        Of the snapped run, from step 0.
    seeds : int
        Runs of each arm; at least 4.
    seed : int
    margin : float
        Of phi in F1, relative to the loss in F2 and F4, to the baseline in F3.
    level : float
        Probability of a wrong verdict, for each criterion.
    window : float
        Last part of the steps after the drop, over which F1 averages.
    record : None, int or sequence of int
        Steps to look at from the drop on; default about 24.
    functions : bool
        Whether functions are compared (F3), which takes three more runs.
    sharpness_seeds : int
        How many seeds of the high and the low run are asked for their largest Hessian eigenvalue at the drop, in some
        fifteen products with the Hessian each; 0: none.
    threads : int, optional
    progress : bool or object with update(n) and close(), optional
        Path-steps; None: a line after ten seconds and each half minute, False: nothing.

    Returns
    -------
    GoldenPath

    Raises
    ------
    InvalidInput
        If an argument cannot be used.

    Notes
    -----
    The hypothesis is that of Vyas et al. (2023); the criteria and their tests are this package's own.
    """
    asked = plan(task, sgd, drop_at, batch_size, step_size, rule, steps, record, seeds, seed, margin, level, window)
    probes = whole_number("sharpness_seeds", sharpness_seeds, 0, asked.seeds)
    why_not = measurable(task) if functions else "functions were not asked for"
    bar = open_progress(progress, math.inf, patient="golden path")
    try:
        arms = runs(asked, threads, not why_not, KeptOpen(bar))
    finally:
        bar.close()
    return GoldenPath(_dataset(asked, arms, edges(asked, arms, probes), *judge(asked, arms, why_not)))


def judge(
    asked: Plan, arms: dict[str, Arm], why_not: str = ""
) -> tuple[np.ndarray, np.ndarray, list[Criterion], Functions | None]:
    """Gaps and those of the noiseless runs (R, K), the verdicts, and distances unless `why_not` forbids them."""
    snapped, low, quiet = (arms[name].after for name in ARMS[1:])
    noiseless_gap = arms[OTHER].after - quiet if OTHER in arms else np.zeros(low.shape)
    gaps, ahead = snapped - low - noiseless_gap, snapped - quiet - noiseless_gap
    margin, level, after = asked.margin, asked.level, asked.after
    judged = [
        joins(gaps, gaps[:, 0], after, margin, level, asked.window),
        does_not_help("F2", gaps, _scale(arms, "low"), after, margin, level, "low"),
    ]
    compared = None
    if not why_not:
        compared, why_not = _functions(asked, arms)
    if why_not or compared is None:
        judged.append(Criterion("F3", VOID, margin=margin, level=level, why=why_not))
    else:
        baselines = {pair: values for pair, values in compared.distances.items() if pair != MINE}
        found = same_functions(compared.distances[MINE], baselines, margin, level)
        judged += [
            replace(one, verdict=VOID, why=compared.unequal(one.against)) if compared.unequal(one.against) else one
            for one in found
        ]
    judged.append(does_not_help("F4", ahead, _scale(arms, "noiseless"), after, margin, level, "noiseless"))
    return gaps, noiseless_gap, judged, compared


def _functions(asked: Plan, arms: dict[str, Arm]) -> tuple[Functions | None, str]:
    """Distances of functions, and why those of the snapped and the low run say nothing."""
    try:
        found = functions_at_equal_loss(asked.task, arms, np.concatenate([asked.before - asked.drop_at, asked.after]))
    except SgdlimitsError as error:
        return None, str(error)
    if asked.kind == RULE:
        return found, "two rules take different ways without noise too"
    if found.target <= ROUNDING * arms["high"].losses[:, 0].mean():
        return found, "the losses have come down to rounding, and residuals are nothing else"
    return found, found.unequal(MINE)


def _scale(arms: dict[str, Arm], other: str) -> np.ndarray:
    """The larger mean loss (K,) of the snapped and another run, of which a margin is a part; not below rounding."""
    least = ROUNDING * arms["high"].losses[:, 0].mean()
    return np.maximum(np.maximum(*(arms[name].after.mean(axis=0) for name in ("snapped", other))), least)


def runs(asked: Plan, threads: int | None, compared: bool, progress: Progress | None = None) -> dict[str, Arm]:
    """All arms; where the drop changes step size or rule, one more without noise that drops too."""
    task, high, low, then = asked.task, asked.high, asked.low, asked.then
    runner, kept = Runner(task, asked.seeds, threads, progress), len(asked.after)
    starts = task.starts(asked.seeds, asked.seed)
    before, after = [*asked.before.tolist(), asked.drop_at], (asked.drop_at + asked.after).tolist()
    early, place = np.unique(asked.low_before, return_inverse=True)
    matched = [*early, *(asked.met_at + asked.after)]

    def seed_of(name: str) -> int:
        return int(Noise(asked.seed, np.arange(1)).child(name).seed)

    def throughout(name: str, sgd: SGD, start: np.ndarray) -> Arm:
        """One run of the same settings, seen at the matched steps."""
        arm, _ = runner.run(name, sgd, start, matched, len(matched) if compared else kept, seed_of(name), kept)
        if place.size == early.size:
            return arm
        every = np.concatenate([place, len(early) + np.arange(kept)])  # two looks before the drop may fall together
        return replace(arm, losses=arm.losses[:, every], positions=arm.positions[:, every if compared else slice(None)])

    def dropped(name: str, first: SGD, then: SGD, own: int) -> tuple[Arm, Arm]:
        """One run up to the drop and the two that go on from it: with other settings, and with the same."""
        lead, state = runner.run("high" if name == "snapped" else name, first, starts, before, 0, own)
        branched, _ = runner.run(name, then, branch(state, first, then), after, kept, own)
        unbroken = branched if name != "snapped" else runner.run("high", first, state, after, kept, own)[0]
        return tuple(  # type: ignore[return-value]
            replace(arm, losses=np.concatenate([lead.losses[:, :-1], arm.losses], axis=1))
            for arm in (branched, unbroken)
        )

    snapped, unbroken = dropped("snapped", high, then, seed_of("high"))
    arms = {"high": unbroken, "snapped": snapped, "low": throughout("low", low, starts)}
    if asked.silent and asked.kind == BATCH:
        arms["noiseless"] = replace(arms["low"], name="noiseless")
    else:
        arms["noiseless"] = throughout("noiseless", asked.noiseless(low), starts)
    if compared:
        if not asked.silent:
            arms["low twin"] = throughout("low twin", low, starts)
        if not task.start.fixed:
            elsewhere = task.starts(asked.seeds, asked.seed, asked.seeds)
            arms["low from elsewhere"] = throughout("low from elsewhere", low, elsewhere)
        arms["snapped twin"] = dropped("snapped twin", high, then, seed_of("snapped twin"))[0]
    if asked.kind != BATCH:
        arms[OTHER] = dropped(OTHER, asked.noiseless(high), asked.noiseless(then), seed_of(OTHER))[0]
    return arms


def _dataset(
    asked: Plan, arms: dict[str, Arm], edge: Edges, gaps: np.ndarray, noiseless_gap: np.ndarray,
    judged: list[Criterion], compared: Functions | None,
) -> xarray.Dataset:  # fmt: skip
    """Every number, as `GoldenPath` says."""
    low, each, nothing = arms["low"].after, asdict_of(judged), np.full(len(arms), np.nan)
    phi = np.array([fieller(gap, gaps[:, 0], HALF) for gap in gaps.T]).T
    psi = np.array([fieller(gap, over, HALF) for gap, over in zip(gaps.T, low.T)]).T
    psi[:, low.mean(axis=0) < ROUNDING * arms["high"].losses[:, 0].mean()] = np.nan
    pairs = {} if compared is None else compared.distances
    record = SimpleNamespace(
        loss=np.array([arm.after for arm in arms.values()]), gap=gaps, noiseless_gap=noiseless_gap,
        phi=phi[0], phi_lower=phi[1], phi_upper=phi[2], psi=psi[0], psi_lower=psi[1], psi_upper=psi[2],
        exact_gap=_exact_gap(asked), early_time=asked.times[0], time=asked.times[1], high_time=asked.times[2],
        early_loss=np.array([arm.early for arm in arms.values()]),
        distance=np.array(list(pairs.values())).reshape(len(pairs), asked.seeds),
        compared_loss=nothing if compared is None else np.array([compared.losses[name] for name in arms]),
        compared_at=nothing if compared is None else np.array([compared.steps[name] for name in arms]), **each,
        **edge.variables,
    )  # fmt: skip
    criteria = [f"F3 {one.against}".strip() if one.name == "F3" else one.name for one in judged]
    coordinates = {
        "arm": list(arms), "seed": np.arange(asked.seeds), "after": asked.after, "before": asked.before,
        "pair": list(pairs), "criterion": criteria, "side": list(SIDES), "probe": np.arange(edge.size.shape[1]),
    }  # fmt: skip
    settings = {
        "task": repr(asked.task), "name": asked.task.name, "high": told(asked.high), "low": told(asked.low),
        "noiseless": told(asked.noiseless(asked.low)), "drop": asked.kind, "change": asked.change,
        "matched": asked.matched,
        "drop_at": asked.drop_at, "met_at": asked.met_at, "steps": asked.steps, "seeds": asked.seeds,
        "seed_of_runs": asked.seed, "margin": asked.margin, "level": asked.level, "window": asked.window,
        "online": int(asked.task.online), "high_epochs": asked.epochs[0], "low_epochs": asked.epochs[1],
        "classifier": int(asked.task.classifier), "about": asked.task.about,
        "target": np.nan if compared is None else compared.target,
        "loss_error": float(np.sqrt(np.mean(asked.task.risk_error(arms["low"].positions[:, -1]) ** 2))),
        "formula": int(asked.task.population is not None), "silent": int(asked.silent),
        "one_start": int(asked.task.start.fixed), "sharpness": edge.mean,
    }  # fmt: skip
    return labelled(record, AXES, coordinates, settings)


def asdict_of(judged: list[Criterion]) -> dict[str, np.ndarray]:
    """Fields of the criteria, side by side."""
    numbers = ("value", "lower", "upper", "at", "needed")
    found = {name: np.array([getattr(one, name) for one in judged], dtype=float) for name in numbers}
    words = {name: np.array([getattr(one, name) for one in judged], dtype=object)
             for name in ("name", "verdict", "against", "why")}  # fmt: skip
    return found | words | {"beware": np.array(["; ".join(one.notes) for one in judged], dtype=object)}


def _exact_gap(asked: Plan) -> np.ndarray:
    """The mean gap (K,) over these starts, where moments close; nan elsewhere.

    Offline too: the loss is that of fresh samples, and moments give the risk on the rows.
    """
    unknown = np.full(len(asked.after), np.nan)
    closed = asked.task.online and isinstance(asked.task.problem, QuadraticProblem)
    if not closed or asked.kind not in (BATCH, SIZE):
        return unknown
    changed = {"batch_size": None} if asked.low.problem is not asked.high.problem else (
        {"batch_size": asked.low.batch_size} if asked.kind == BATCH else {"step_size": asked.given.step_size}
    )
    try:
        exact = snapping(
            asked.high, asked.task.starts(asked.seeds, asked.seed), asked.drop_at, steps=asked.steps,
            record=(asked.drop_at + asked.after).tolist(), **changed,
        )  # fmt: skip
    except SgdlimitsError:
        return unknown
    return np.asarray(exact.dataset["gap"].sel(after=asked.after))
