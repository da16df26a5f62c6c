"""The rows of the two phases: before the set is reached, and along it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.ensembles.random import child_seed
from sgdlimits.exact.errors import InvalidInput

from .. import rescaling
from ..rescaling import Quantity, rebuilt, values_of
from ..text_table import number, with_error
from . import sides
from .control import drifts, with_drift
from .errors import Errors, Reference, averages, exit_times, functionals, of_means, probabilities
from .predicted import fast_orders, slow_orders
from .statistics import Row

TIMES = 3  # at which the joint law is looked at
SUBSTEPS, FEWEST = 2, 64  # integrator steps of a random limit between two looks at least, and in all
# Along one coordinate the part of order sqrt(step) may be small beside the bias of order step: 1/2 is a bound there.
ALONG = ("slow: W1 of the coordinate", "exit time: W1")
CROWD = 2  # times as many paths of a random limit, for all rungs


@dataclass(frozen=True, eq=False)
class Case:
    """What is compared; see `driver.paths`. `origin`: Phi(w0). `wrong`: a factor of the drift, or a limit."""

    recurrence: Any
    limit: Any
    w0: np.ndarray
    origin: np.ndarray
    sizes: np.ndarray
    end: float
    looks: int
    paths: int
    asked: Quantity | None
    radius: float | None
    interval: tuple[float, float] | None
    wrong: Any
    confidence: float
    settings: dict[str, Any]
    seed: int

    @property
    def wrong_label(self) -> str:
        """The wrong limit in words."""
        if not isinstance(self.wrong, float):
            return "the limit given as control"
        return "the limit without its drift" if self.wrong == 0 else f"the limit with {self.wrong:g} times its drift"

    def options(self, *key: Any) -> dict[str, Any]:
        """Settings of a run, with random numbers of its own."""
        return self.settings | {"seed": child_seed(self.seed, *key)}

    def ladder(self, power: float) -> tuple[np.ndarray, list[tuple[Any, Any, Any]]]:
        """Noise levels (R,), and (recurrence, limit, wrong limit) at each rung."""
        level = rescaling.noise_level(self.recurrence.noise)
        levels = level * (self.sizes / self.sizes[0]) ** power
        found = []
        for size, at in zip(self.sizes, levels):
            limit = rebuilt(self.limit, size, at)
            wrong = with_drift(limit, self.wrong) if isinstance(self.wrong, float) else rebuilt(self.wrong, size, at)
            found.append((rebuilt(self.recurrence, size, at), limit, wrong))
        return levels, found

    def leaves(self, coordinate: Quantity, radius: float) -> tuple[Quantity, str]:
        """A function of points that is at least 0 outside the neighbourhood, and that in words."""
        if self.interval is None:
            return (lambda x: np.linalg.norm(x - self.origin, axis=-1) - radius), f"|W - Phi(w0)| = {number(radius, 3)}"
        low, high = self.interval
        start = float(values_of("coordinate", coordinate, self.origin[None])[0])
        if not low < start < high:
            raise InvalidInput(
                f"exit_interval {low:g} to {high:g} does not hold the coordinate of Phi(w0), {start:.4g}: widen it"
            )
        return (
            lambda x: _outside(values_of("coordinate", coordinate, x), low, high)
        ), f"the coordinate in {low:g}, {high:g}"


def _outside(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.maximum(values - high, low - values)


def over(function: Quantity, points: np.ndarray) -> np.ndarray:
    """Values (P, T) of a function at points (P, T, m)."""
    return values_of("coordinate", function, points.reshape(-1, points.shape[-1])).reshape(points.shape[:-1])


def slow_phase(case: Case) -> tuple[list[Row], list[str], np.ndarray, str]:
    """Rows along the set, sentences, the noise levels (R,), and the wrong limit in words."""
    random = not rescaling.is_deterministic(case.limit)
    orders = None if random else slow_orders(case.recurrence, case.limit, case.w0)
    levels, rungs = case.ladder(0.0 if orders is None else orders.power)
    if any(limit.regime != case.limit.regime for _, limit, _ in rungs):
        raise InvalidInput(
            "the leading regime of the mixture changes along the ladder: take nearer step sizes, or one mechanism"
        )
    clock = float(rungs[0][1].clock)
    last = max(1, int(np.rint(case.end * clock)))
    times = np.unique(np.rint(last * np.arange(case.looks + 1) / case.looks)) / clock
    if len(times) <= case.looks:
        raise InvalidInput(
            f"{last} steps at step size {case.sizes[0]:g} are fewer than {case.looks} looks: lengthen the time, or "
            "lower the step size or `looks`"
        )
    found = [
        sides.descended(recurrence, limit, case.w0, times, case.paths, case.options("slow", place))
        for place, (recurrence, limit, _) in enumerate(rungs)
    ]
    if orders is None:
        rows, said, label = _random(case, rungs[0], times, [x.points for x in found])
    else:
        rows, said = _deterministic(case, rungs, found, orders)
        said.insert(0, f"Slow phase: {orders.reason} (derived).")
        label = case.wrong_label
    return rows, said, levels, label


def _deterministic(case: Case, rungs: list[Any], found: list[sides.Looked], orders: Any) -> tuple[list[Row], list[str]]:
    curves, wrong = (_curves([rung[place] for rung in rungs], case.w0, [x.times for x in found]) for place in (1, 2))
    coordinate = case.asked or rescaling.displacement(case.origin, curves[-1][-1])
    far = float(np.linalg.norm(curves[-1] - case.origin, axis=-1).max())
    beyond, where = case.leaves(coordinate, far / 2 if case.radius is None else case.radius)
    if (beyond(curves[-1]) < 0).all():
        raise InvalidInput(
            f"the limit does not leave {where} by time {case.end:g} (it gets {far:.4g} from Phi(w0)): lower "
            "exit_radius, or lengthen the time"
        )
    exits = [exit_times(over(beyond, x.points), x.times) for x in found]

    def errors(reference: list[np.ndarray]) -> list[Errors]:
        gaps = [x.points - curve for x, curve in zip(found, reference)]
        apart = [np.linalg.norm(gap, axis=-1) for gap in gaps]
        ends = [over(coordinate, x.points[:, -1:])[:, 0] for x in found]
        theirs = [values_of("coordinate", coordinate, curve[-1:])[0] for curve in reference]
        left = [exit_times(beyond(curve)[None], x.times)[0] for x, curve in zip(found, reference)]
        late = [np.abs(np.minimum(t, x.times[-1]) - min(s, x.times[-1])) for t, s, x in zip(exits, left, found)]
        mean = of_means([gap[:, 1:] for gap in gaps], case.confidence)
        samples = (
            [x.max(axis=1) for x in apart],
            [x[:, -1] for x in apart],
            [np.abs(a - b) for a, b in zip(ends, theirs)],
        )
        sup, end, along, exit_ = (averages(x, case.confidence) for x in (*samples, late))
        return [sup, end, along, mean, exit_]

    names = (
        ("slow: sup distance", orders.paths), ("slow: W1 at the end", orders.paths),
        ("slow: W1 of the coordinate", orders.paths), ("slow: mean", orders.means), ("exit time: W1", orders.paths),
    )  # fmt: skip
    rows = [
        Row(
            name, "exit" if name.startswith("exit") else "slow", "order", order, right, control,
            bound=order < 1 and name in ALONG,
        )
        for (name, order), right, control in zip(names, errors(curves), errors(wrong))
    ]  # fmt: skip
    thin = [np.linalg.norm(x.points - c, axis=-1)[:, ::2].max(axis=1).mean() for x, c in zip(found, curves)]
    share = max(1 - a / b for a, b in zip(thin, rows[0].found.value))
    time = exit_times(beyond(curves[-1])[None], found[-1].times)[0]
    return rows, [
        f"The sup is over {case.looks} looks, at the same times at every rung; over every other look it is at most "
        f"{100 * share:.1f} % smaller.",
        f"Exit: {where}, which the limit reaches at time {number(time)}; between looks linear, on both sides.",
    ]


def _curves(limits: list[Any], w0: np.ndarray, times: list[np.ndarray]) -> list[np.ndarray]:
    """Points (T + 1, m) of the limit at each rung; one curve in its own time where one mechanism alone moves it."""
    curves: list[np.ndarray] = []
    for place, (limit, at) in enumerate(zip(limits, times)):
        alone = sum(term.rate > 0 for term in limit.terms) == 1 and not (limit.finite_step or limit.correction)
        if place and alone and np.allclose(at, times[0], rtol=1e-12, atol=0):
            curves.append(curves[0])
        else:
            curves.append(sides.followed(limit, w0, at))
    return curves


def _random(case: Case, first: Any, times: np.ndarray, found: list[np.ndarray]) -> tuple[list[Row], list[str], str]:
    """Rows, sentences, and the wrong limit in words."""
    _, limit, wrong = first
    crowd = CROWD * case.paths
    substeps = max(SUBSTEPS, -(-FEWEST // case.looks))
    right = sides.sampled(limit, case.w0, times, crowd, substeps, case.options("limit"))
    fine = sides.sampled(limit, case.w0, times, case.paths, 2 * right.substeps, case.options("fine"))
    label, why = case.wrong_label, ""
    if isinstance(case.wrong, float) and not drifts(limit, right.points):
        label, why = "the limit at twice the speed", "The limit has no drift along the set that a control could change."
        twice = sides.sampled(limit, case.w0, 2 * times, crowd, right.substeps, case.options("wrong"))
        other = sides.Looked(times, twice.points)
    elif rescaling.is_deterministic(wrong):
        still = sides.followed(wrong, case.w0, times)
        other = sides.Looked(times, np.tile(still, (crowd, 1, 1)))
    else:
        other = sides.sampled(wrong, case.w0, times, crowd, right.substeps, case.options("wrong"))
    coordinate = case.asked or _first_direction(case)
    spread = float(np.sqrt(np.square(right.points[:, -1] - case.origin).sum(axis=-1).mean()))
    beyond, where = case.leaves(coordinate, float(number(0.75 * spread, 2)) if case.radius is None else case.radius)
    places = np.rint(np.arange(1, TIMES + 1) * case.looks / TIMES).astype(int)
    scale = np.maximum(right.points[:, places].std(axis=0), np.finfo(float).tiny)
    everyone = [*found, right.points, fine.points, other.points]
    values = [over(coordinate, points) for points in everyone]
    outside = [over(beyond, points) for points in everyone]
    leaving = [exit_times(x, right.times) for x in outside]
    parts = {
        "laws: joint": [functionals(x - case.origin, v, places, scale) for x, v in zip(everyone, values)],
        "laws: sup": [v.max(axis=1, keepdims=True) for v in values],
        "exit time:": [np.minimum(x, right.times[-1])[:, None] for x in leaving],
    }
    exited = [np.isfinite(x) for x in leaving]
    if not np.concatenate(exited[:-2]).any():
        raise InvalidInput(
            f"no path of either side leaves {where} by time {case.end:g}: lower exit_radius, or lengthen the time"
        )
    rows, worst, count = [], 0.0, len(found)
    for name, samples in parts.items():
        mine, controls = (Reference.of(samples[place], case.confidence) for place in (-3, -1))
        near, apart = mine.distances([*samples[:count], samples[-2]])
        worst = max(worst, float(near.value[-1]))
        against = controls.distances(samples[:count])
        for metric, here, there in zip(("W1", "KS"), (near, apart), against):
            phase = "exit" if name.startswith("exit") else "laws"
            rows.append(Row(f"{name} {metric}", phase, "distance", np.nan, _first(here, count), there))
    chance, other_chance = (probabilities(exited[:count], exited[place], case.confidence) for place in (-3, -1))
    rows.append(Row("exit: probability", "exit", "probability", np.nan, chance, other_chance))
    fitted = f"{parts['laws: joint'][0].shape[1]} functionals"
    return rows, [
        f"Laws: the largest over {fitted} of the law at {TIMES} times jointly (values, increments and average of the "
        "coordinate, random combinations of all coordinates at all times), with Bonferroni's bands; W1 over the "
        f"limit's own spread. Both sides are seen at the same {case.looks} looks; the limit has {crowd} paths.",
        f"The limit with its integrator's step halved lies {number(worst, 2)} from it in W1 and "
        f"{number(abs(float(exited[-2].mean() - exited[-3].mean())), 2)} in the probability of an exit, sampling "
        "errors included.",
        f"Exit: {where}; seen at these looks the limit leaves by time {case.end:g} with probability "
        f"{exited[-3].mean():.3f}, seen at all times with about {_continuous(outside[-3], right.times)}. Between looks "
        "linear, on both sides; a path that stays counts with the end.",
        *filter(None, [why]),
    ], label  # fmt: skip


def _continuous(outside: np.ndarray, times: np.ndarray) -> str:
    """Probability of an exit seen at all times, in words: looks miss a part that goes as the root of their distance.

    `outside` (P, T + 1) is at least 0 where a path is. Extrapolated from these looks and every other one, in the
    logarithm of the probability to stay (derived).
    """
    stays = [np.isinf(exit_times(outside[:, ::every], times[::every])) for every in (1, 2)]
    if not stays[0].any():
        return "1"
    more = 1 / (np.sqrt(2) - 1)
    rates = [(1 + more) / stays[0].mean(), -more / stays[1].mean()]
    chance = stays[0].mean() ** (1 + more) / stays[1].mean() ** more
    each = chance * sum(rate * stay for rate, stay in zip(rates, stays))
    return with_error(1 - chance, each.std(ddof=1) / np.sqrt(len(each)), False)


def _first(errors: Errors, count: int) -> Errors:
    return Errors(errors.value[:count], errors.lower[:count], errors.upper[:count], errors.error[:count])


def _first_direction(case: Case) -> Quantity:
    """Displacement along the direction of most noise at Phi(w0), its largest entry positive."""
    left = np.linalg.svd(case.limit.diffusion(0.0, case.origin))[0][:, 0]
    left = left * np.sign(left[np.argmax(np.abs(left))])
    return lambda points: (points - case.origin) @ left


def fast_phase(case: Case, duration: float) -> tuple[list[Row], list[str], np.ndarray]:
    """Rows before the set is reached, sentences, and the noise levels (R,)."""
    orders = fast_orders(case.recurrence, case.w0)
    level = rescaling.noise_level(case.recurrence.noise)
    levels = level * (case.sizes / case.sizes[0]) ** orders.power
    count = int(np.rint(duration / case.sizes[0]))
    if count < 2:
        raise InvalidInput(
            f"the fast phase of length {duration:.3g} has fewer than 2 steps at step size {case.sizes[0]:g}: lengthen "
            "fast_time, or lower the step size"
        )
    end, found = count * float(case.sizes[0]), []
    for place, (size, at) in enumerate(zip(case.sizes, levels)):
        recurrence = rebuilt(case.recurrence, size, at)
        averaged = orders.power == 0
        gradient = (
            sides.averaged_gradient(recurrence.model, recurrence.noise) if averaged else recurrence.model.gradient
        )
        flow, steps = sides.flow(gradient, case.w0, 2 * end + 2 * float(size)), int(np.rint(end / size))
        grid = size * np.arange(steps + 1)
        shared = np.rint(np.arange(1, count + 1) * case.sizes[0] / size).astype(int).clip(max=steps)
        curves = flow(grid), flow(2 * grid)
        tops: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        gaps: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        for block in sides.hurried(recurrence, case.w0, steps, case.paths, case.options("fast", place)):
            for curve, top, gap in zip(curves, tops, gaps):
                off = block - curve
                top.append(np.linalg.norm(off, axis=-1).max(axis=1))
                gap.append(off[:, shared])
        found.append([np.concatenate(x) for x in (*tops, *gaps)])
    sup, wrong, gap, far = (list(column) for column in zip(*found))
    rows = [
        Row(
            "fast: sup distance",
            "fast",
            "order",
            orders.paths,
            averages(sup, case.confidence),
            averages(wrong, case.confidence),
        ),
        Row(
            "fast: mean", "fast", "order", orders.means, of_means(gap, case.confidence), of_means(far, case.confidence)
        ),
    ]
    flow_of = "E L_hat, the loss averaged over the noise" if orders.power == 0 else "L"
    return (
        rows,
        [
            f"Fast phase: w_k at every step against the gradient flow of {flow_of}, up to time {number(end)} in units "
            f"of step * step size; {orders.reason} (derived). Its control is the flow at twice the speed."
        ],
        levels,
    )
