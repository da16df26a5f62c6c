"""compare.manifold: noisy gradient descent beside its limit on the set of zero loss, in Phi(w_k)."""

from __future__ import annotations

import time as time_module
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from sgdlimits.ensembles.initial import initial_state
from sgdlimits.ensembles.random import child_seed
from sgdlimits.exact.errors import InvalidInput, LongRun, finite_array, positive, real_number, whole_number
from sgdlimits.problems import geometry

from . import manifold_tables, slow_motion
from .error_parts import KINDS, VARIABLES, columns_of, fitted_parts, spread_exponents
from .estimates import mean_and_error, normal_quantile
from .results import Result
from .slow_motion import ROUNDING, Quantity
from .text_table import TextTable

LONG = 60.0  # seconds: a longer comparison is announced
QUICKEST = 1e-9  # seconds a path and step: below this no pilot is worth its time
PILOT = 30  # steps from which the speed is measured

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False, repr=False)
class Manifold(Result):
    """A recurrence against its limit over a ladder of step sizes and noise levels: what `compare.manifold` returns.

    Attributes
    ----------
    dataset : xarray.Dataset
        Coordinates step_size and noise_level (decreasing), time (the limit's), observable, part, kind, variable,
        coordinate. estimate, limit, error = estimate - limit, each with its standard error (`..._error`), over
        (step_size, noise_level, time, observable); mean_point and limit_point of Phi(w_k) and W; spread(step_size,
        noise_level, time, kind) and its error; steps. At the last time: coefficient(part, observable) of the error's
        parts, verdict, order(observable) in the step size, spread_exponent(kind, variable) beside the predicted one.
    """

    kind: ClassVar[str] = "manifold"
    columns: ClassVar[tuple[str, ...]] = manifold_tables.ERROR_ROW

    def table(self) -> list[dict[str, Any]]:
        """One dict for each observable, noise level and step size, at the last time."""
        return manifold_tables.error_rows(self.dataset)

    def heading(self) -> list[str]:
        return [f"{self.dataset.attrs['title']}; {self.dataset.attrs['model']}; start {self.dataset.attrs['w0']}"]

    def tables(self) -> list[TextTable]:
        return manifold_tables.manifold_grids(self.dataset)

    def notes(self) -> list[str]:
        return manifold_tables.manifold_notes(self.dataset)

    def plot(self, ax: Axes | None = None, observable: str | None = None) -> Figure:
        """Error against the step size with its fitted parts; see `manifold_plots.errors`."""
        from . import manifold_plots

        return manifold_plots.errors(self.dataset, observable, ax)

    def plot_spread(self, ax: Axes | None = None) -> Figure:
        """Spread across and along the set against the step size; see `manifold_plots.spreads`."""
        from . import manifold_plots

        return manifold_plots.spreads(self.dataset, ax)


def manifold(
    recurrence: Any,
    limit: Any,
    w0: Any,
    *,
    time: float | None = None,
    steps: int | None = None,
    paths: int = 1000,
    observables: Mapping[str, Quantity] | None = None,
    step_sizes: Sequence[float] | None = None,
    noise_levels: Sequence[float] | None = None,
    rungs: int = 4,
    times: int = 4,
    seed: int = 0,
    tolerance: float = 0.05,
    confidence: float = 0.95,
    quality: str = "float32",
    threads: int | None = None,
    progress: Any = None,
) -> Manifold:
    """Compare E Phi(w_k) with the limit at matched steps, over a ladder of step sizes and noise levels.

    w_k itself is never compared: it lies off the set by the noise of the last steps, Phi(w_k) on it. The error at the
    last time is separated into what remains as step size and noise go to zero (0 if the limit is right), a part in the
    step size, and a part in the noise level squared. Every rung has noise of its own, so errors are independent.

    Parameters
    ----------
    recurrence : NoisyGradientDescent
    limit : ManifoldLimit
        On the same model; both sides are rebuilt at each rung.
    w0 : (m,) array
        Start of the recurrence; the limit starts at Phi(w0).
    time : float, optional
        End on the limit's clock.
    steps : int, optional
        The same in steps of the recurrence as given. Exactly one of the two.
    paths : int
        Of each rung, at least 2.
    observables : mapping from names to functions of points (P, m) of the set with values (P,), optional
        Default: the displacement along the limit's way, or its square where the limit is random or does not move.
    step_sizes : decreasing sequence, optional
        Default: that of the recurrence, halved `rungs` - 1 times.
    noise_levels : decreasing sequence, optional
        Values of the largest standard deviation; others in a mixture go with it. Default: that of the recurrence, and
        in the non-degenerate regime also its half.
    rungs : int
        Length of the default ladder.
    times : int
        Evenly spaced times that are recorded, the end included.
    seed, quality, threads, progress
        As in `simulate`.
    tolerance : float
        The verdict "agrees" needs what remains of the error to lie within `tolerance` times the limit's change.
    confidence : float
        Of each interval by itself.

    Returns
    -------
    Manifold

    Raises
    ------
    InvalidInput
        If the sides do not belong together or an argument does not fit.
    """
    import xarray as xr

    from sgdlimits import __version__

    for side, name in ((recurrence, "recurrence"), (limit, "limit")):
        if not hasattr(side, "noise") or not hasattr(side, "model"):
            raise InvalidInput(f"the {name} must have a model and a noise, got {type(side).__name__}")
    if limit.model is not recurrence.model:
        raise InvalidInput("recurrence and limit are built on different models: pass the same object to both")
    w0 = initial_state(w0, recurrence.model.dimension)
    if not isinstance(w0, np.ndarray) or w0.ndim != 1:
        raise InvalidInput("w0 must be one point (m,): the limit's flow is followed from Phi(w0)")
    paths, times = whole_number("paths", paths, 2), whole_number("times", times, 1)
    tolerance, confidence = positive("tolerance", tolerance), real_number("confidence", confidence)
    if not 0 < confidence < 1:
        raise InvalidInput(f"confidence must be above 0 and below 1, got {confidence!r}")
    level, several = slow_motion.noise_level(recurrence.noise), limit.regime == "non-degenerate"
    sizes = slow_motion.ladder(
        "step_sizes", step_sizes, recurrence.step_size * 0.5 ** np.arange(whole_number("rungs", rungs, 2))
    )
    if np.isnan(level):
        if noise_levels is not None:
            raise InvalidInput("this noise has no standard deviation, so that noise_levels cannot be set")
        levels = np.array([np.nan])
    else:
        levels = slow_motion.ladder("noise_levels", noise_levels, [level, level / 2] if several else [level])
    if (time is None) == (steps is None):
        raise InvalidInput("give either time, on the limit's clock, or steps of the recurrence as given, and not both")
    end = positive("time", time) if steps is None else whole_number("steps", steps, 1) / float(limit.clock)
    asked = end * np.arange(1, times + 1) / times
    origin = geometry.limit_map(recurrence.model, w0)
    functions = _functions(observables, limit, w0, origin, asked)
    _say_how_long(recurrence, limit, w0, end, sizes, levels, paths, threads)
    cells = [
        [
            _Cell(
                slow_motion.rebuilt(recurrence, size, at), slow_motion.rebuilt(limit, size, at), w0, asked, functions,
                paths, child_seed(seed, row, column), quality, threads, progress,
            ).measured()
            for column, at in enumerate(levels)
        ]
        for row, size in enumerate(sizes)
    ]  # fmt: skip
    values = {key: np.array([[cell[key] for cell in row] for row in cells]) for key in cells[0][0]}
    values["error"] = values["estimate"] - values["limit"]
    values["error_error"] = np.hypot(values["estimate_error"], values["limit_error"])
    change = np.array([values["limit"][0, 0, -1, i] - f(origin[None])[0] for i, f in enumerate(functions.values())])
    z = normal_quantile(confidence)
    axes = ("step_size", "noise_level", "time")
    extra = {"steps": (), "mean_point": ("coordinate",), "limit_point": ("coordinate",)}
    extra |= {"spread": ("kind",), "spread_error": ("kind",)}
    variables = {key: (axes + extra.get(key, ("observable",)), array) for key, array in values.items()}
    variables |= fitted_parts(sizes, levels, values, change, tolerance, z, several)
    variables |= spread_exponents(sizes, levels, values, recurrence.noise, limit)
    parts = list(columns_of(sizes, levels))
    coordinates = {
        "step_size": sizes, "noise_level": levels, "time": asked, "observable": list(functions), "part": parts,
        "kind": list(KINDS), "variable": list(VARIABLES),
    }  # fmt: skip
    attributes = {
        "title": f"{recurrence.label} against its limit on the zero-loss set",
        "model": recurrence.model.label, "regime": limit.regime, "explanation": limit.explanation,
        "paths": paths, "seed": seed, "tolerance": tolerance, "confidence": confidence,
        "w0": np.array2string(w0, precision=4, threshold=8), "version": __version__,
    }  # fmt: skip
    return Manifold(xr.Dataset(variables, coordinates, attributes))


def _say_how_long(
    recurrence: Any, limit: Any, w0: np.ndarray, end: float, sizes: np.ndarray, levels: np.ndarray, paths: int,
    threads: int | None,
) -> None:  # fmt: skip
    """Warn before a comparison of more than a minute, from the speed of a few steps."""
    clocks = [[float(slow_motion.rebuilt(limit, size, at).clock) for at in levels] for size in sizes]
    steps = end * np.array(clocks)
    pilot = int(min(PILOT, steps.min()))
    if steps.sum() < LONG / QUICKEST / paths or pilot < 2:
        return
    spent = np.inf
    for _ in range(2):  # the first may compile
        began = time_module.perf_counter()
        recurrence.simulate(w0, pilot, paths, observables=("norm",), record=[pilot], threads=threads)
        spent = min(spent, time_module.perf_counter() - began)
    seconds = spent / pilot * steps.sum()
    if seconds > LONG:
        shorter = steps[:-1].sum() / steps.sum()
        hint = f"one rung less takes {100 * shorter:.0f} % of it" if len(sizes) > 1 else "lower the time or the paths"
        warnings.warn(
            f"compare.manifold will take about {seconds / 60:.0f} minutes: {steps.sum():.3g} steps of {paths} paths, "
            f"{steps[-1].sum():.3g} of them at the smallest step size; {hint}",
            LongRun,
            stacklevel=3,
        )


def _functions(
    observables: Mapping[str, Quantity] | None, limit: Any, w0: np.ndarray, origin: np.ndarray, times: np.ndarray
) -> dict[str, Quantity]:
    if observables is not None:
        if not isinstance(observables, Mapping) or not observables or not all(map(callable, observables.values())):
            raise InvalidInput("observables must be a mapping from names to functions of points (P, m)")
        return dict(observables)
    if limit.regime != "trivial" and slow_motion.is_deterministic(limit):
        end = slow_motion.limit_points(limit, w0, times)[-1]
        if np.linalg.norm(end - origin) > 1e-12 * (1 + np.linalg.norm(origin)):
            return {"displacement": slow_motion.displacement(origin, end)}
    return {"squared displacement": lambda points: _cleared(np.square(points - origin).sum(axis=-1), origin)}


def _cleared(squares: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Squared lengths, with 0 in place of what is rounding of positions of this scale: it has no order."""
    return np.where(squares > (ROUNDING * (1 + np.linalg.norm(scale))) ** 2, squares, 0.0)


@dataclass(frozen=True, eq=False)
class _Cell:
    """One rung: both sides at one step size and noise level."""

    recurrence: Any
    limit: Any
    w0: np.ndarray
    times: np.ndarray
    functions: dict[str, Quantity]
    paths: int
    seed: int
    quality: str
    threads: int | None
    progress: Any

    def measured(self) -> dict[str, np.ndarray]:
        """Both sides at steps (T,) nearest to the asked times; the limit is taken at the time of the whole step."""
        clock = float(self.limit.clock)
        record = np.rint(self.times * clock).astype(np.int64)
        if record[0] < 1 or (np.diff(record) < 1).any():
            raise InvalidInput(
                f"the times are less than a step apart at step size {self.recurrence.step_size:g} (steps {record}): "
                "lengthen the time, or lower the step size, the noise level or `times`"
            )
        settings = {"seed": self.seed, "quality": self.quality, "threads": self.threads, "progress": self.progress}
        run = self.recurrence.simulate(
            self.w0, int(record[-1]), self.paths, observables={"w": "state", "phi": "limit_map"}, record=record,
            **settings,
        )  # fmt: skip
        phi, w = run["phi"].values, run["w"].values
        if not np.isfinite(phi).all():
            raise InvalidInput(
                f"paths overflowed at step size {self.recurrence.step_size:g}, so that they have no mean: lower it"
            )
        found = self._spread(w, phi) | {"steps": record, "mean_point": phi.mean(axis=0)}
        found |= self._means("estimate", phi)
        if slow_motion.is_deterministic(self.limit) or self.limit.regime == "trivial":
            points = slow_motion.limit_points(self.limit, self.w0, record / clock)
            exact = np.stack([_values(name, f, points) for name, f in self.functions.items()], axis=-1)
            return found | {"limit_point": points, "limit": exact, "limit_error": np.zeros_like(exact)}
        sampled = self.limit.simulate(
            self.w0, int(record[-1]), self.paths, observables={"w": "state"}, record=record,
            **settings | {"seed": child_seed(self.seed, "limit")},
        )["w"].values  # fmt: skip
        return found | self._means("limit", sampled) | {"limit_point": sampled.mean(axis=0)}

    def _means(self, name: str, points: np.ndarray) -> dict[str, np.ndarray]:
        """Means (T, observables) over points (P, T, m), and their standard errors."""
        shape = points.shape[:2]
        pairs = [
            mean_and_error(_values(key, f, points.reshape(-1, points.shape[2])).reshape(shape))
            for key, f in self.functions.items()
        ]
        mean, error = (np.stack(arrays, axis=-1) for arrays in zip(*pairs))
        return {name: mean, f"{name}_error": error}

    def _spread(self, w: np.ndarray, phi: np.ndarray) -> dict[str, np.ndarray]:
        """Root mean squares (T, 2) of w - Phi(w) and of Phi(w) about their means, with standard errors."""
        squares = np.stack(
            [_cleared(np.square(x - x.mean(axis=0)).sum(axis=-1), self.w0) for x in (w - phi, phi)], axis=-1
        )
        spread = np.sqrt(squares.mean(axis=0))
        error = squares.std(axis=0) / np.sqrt(len(squares)) / np.maximum(2 * spread, np.finfo(float).tiny)
        return {"spread": spread, "spread_error": error}


def _values(name: str, function: Quantity, points: np.ndarray) -> np.ndarray:
    """Values (P,) of a user's function at points (P, m)."""
    values = finite_array(f"observable {name!r}", function(points))
    if values.shape != points.shape[:1]:
        raise InvalidInput(f"observable {name!r} returned shape {values.shape} for {len(points)} points")
    return values
