"""One door for any Ito diffusion: integrate paths with any scheme and keep observables at chosen times."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.ensembles import Brownian, Progress, Reducer, run
from sgdlimits.ensembles.engine import Simulator
from sgdlimits.ensembles.initial import Gaussian, initial_state, recorded_steps
from sgdlimits.ensembles.observables import Function
from sgdlimits.ensembles.passages import FirstPassage, LocalNoise, is_continuous
from sgdlimits.ensembles.until import Until
from sgdlimits.exact.errors import (
    InvalidInput,
    axes,
    finite_array,
    instance_of,
    positive,
    real_number,
    seed_number,
    whole_number,
)

from .diffusion import Diffusion
from .local_noise import diffusion_noise, process_noise, unseen
from .optimiser_limit import HIDDEN, OptimiserLimit
from .solvers import Coefficients, Scheme, find_scheme, fused_simulator, scheme_simulator, steps_of
from .solvers.coefficients import check_diffusion

if TYPE_CHECKING:
    import xarray

MOST_STEPS = 2**31  # of a grid


def integrate(
    diffusion: Any,
    x0: Any,
    t1: float,
    dt: float,
    paths: int | None = None,
    solver: str | Scheme = "euler",
    seed: int = 0,
    *,
    t0: float = 0.0,
    record: int | Sequence[float] | np.ndarray | None = None,
    observables: str | Sequence[str] | Mapping[str, Function | Reducer] = "state",
    threads: int | None = None,
    chunk: int | None = None,
    progress: bool | Progress | None = None,
    quality: str = "float32",
    brownian: Brownian | None = None,
    tolerance: float | None = None,
    first_path: int = 0,
    until: Until | Mapping[str, Any] | None = None,
) -> xarray.Dataset:
    """Integrate many independent paths of an Ito diffusion from t0 to t1.

    Parameters
    ----------
    diffusion : UserDiffusion or any object of that form
    x0 : (d,) array, (paths, d) array, Gaussian, or tuple (mean, covariance)
    t1 : float
        End of the run, in the diffusion's time.
    dt : float
        Step of the scheme; it must divide t1 - t0. With `tolerance`, the longest step.
    paths : int, optional
        Default: the rows of `x0`.
    solver : name in `solvers.SCHEMES`, or a scheme; "torchsde", "sdeint" or "diffrax" for another library's
    seed : int
    t0 : float
    record : None, int or increasing times on the grid of dt
        None for about 50 evenly spaced times, an int for that many.
    observables : names ("state", "norm", "risk" where the diffusion has one), or a mapping to functions or reducers
    threads, chunk, progress, first_path, until
        As in `ensembles.run`; the step of `until` counts increments of dt.
    quality : "float32" or "float64"
        Resolution of the normals.
    brownian : Brownian, optional
        The path that drives the run, over t1 - t0; its grid must refine or be refined by that of dt. Default: one of
        this seed on the grid of dt. Runs with one Brownian and different solvers or dt are coupled.
    tolerance : float, optional
        Adaptive steps for schemes that estimate their error: the largest root mean square over coordinates of
        error / (1 + |x|) in a step. Each path has steps of its own, dt / 2^level, on a Brownian path that rejected
        steps do not change.

    Returns
    -------
    xarray.Dataset
        One variable an observable, with dims (path, time[, coordinate]).

    Raises
    ------
    InvalidInput
        If an argument cannot be used, a function returns the wrong shape, complex or nan values, the scheme cannot
        treat the noise, or dt does not fit the horizon.

    Warns
    -----
    OverflowedPaths
        If a path overflowed.
    """
    t0, t1 = real_number("t0", t0), real_number("t1", t1)
    steps = grid_steps(t0, t1, dt)
    paths = _number_of_paths(x0, paths)
    chosen = find_scheme(solver)
    simulator = simulator_of(diffusion, x0, chosen, t0, t1, steps, seed, quality, brownian, tolerance)
    kept = _recorded(record, t0, t1, steps)
    noise = None
    if isinstance(observables, Mapping) and any(map(is_continuous, observables.values())):
        noise = unseen(chosen, tolerance) or _local_noise(diffusion, x0, simulator, t0, (t1 - t0) / steps)
    ensemble = run(
        simulator, x0, paths=paths, steps=steps, observables=observables, record=kept, seed=seed, quality=quality,
        threads=threads, chunk=chunk, progress=progress, first_path=first_path, until=until, local_noise=noise,
    )  # fmt: skip
    from sgdlimits.ensembles import ensemble_dataset

    length = (t1 - t0) / steps
    for name, reducer in ensemble.observables.items():
        if isinstance(reducer, FirstPassage):
            ensemble.values[name] = t0 + length * ensemble.values[name]
    attributes = {
        "process": getattr(diffusion, "label", type(diffusion).__name__),
        "solver": chosen.name,
        "noise_type": diffusion.noise_type,
        "strong_order": chosen.orders[diffusion.noise_type][0],
        "weak_order": chosen.orders[diffusion.noise_type][1],
        "dt": length,
        "t0": t0,
        "tolerance": tolerance,
    }
    dataset = ensemble_dataset(ensemble, attributes, t0 + length * ensemble.record, (diffusion, brownian))
    return dataset.swap_dims(step="time").drop_vars("step")


def grid_steps(t0: float, t1: float, dt: float) -> int:
    """Number of steps of length dt from t0 to t1; they must fill the horizon."""
    horizon, dt = t1 - t0, positive("dt", dt)
    if horizon <= 0:
        raise InvalidInput(f"t1 must lie after t0, got t0 = {t0:g} and t1 = {t1:g}")
    if dt > horizon * (1 + 1e-9):
        raise InvalidInput(
            f"dt is {dt:g}, longer than the horizon t1 - t0 = {horizon:.12g}: take dt <= {horizon:.12g}"
        )
    if horizon / dt > MOST_STEPS:
        raise InvalidInput(
            f"dt is {dt:g}, so the horizon t1 - t0 = {horizon:g} has {horizon / dt:.3g} steps, more than 2^31: raise dt"
        )
    steps = round(horizon / dt)
    if abs(steps * dt - horizon) > 1e-9 * horizon:
        fitting = math.ceil(horizon / dt)
        raise InvalidInput(
            f"dt = {dt:g} does not divide the horizon t1 - t0 = {horizon:g}: take {horizon / fitting:.12g}, which is "
            f"(t1 - t0) / {fitting}"
        )
    return steps


def simulator_of(
    diffusion: Any,
    x0: Any,
    chosen: Scheme,
    t0: float,
    t1: float,
    steps: int,
    seed: int,
    quality: str,
    brownian: Brownian | None,
    tolerance: float | None,
) -> Simulator:
    """The fused simulator where there is one, else the vectorised one, on the Brownian path asked for."""
    check_diffusion(diffusion)
    if isinstance(diffusion, OptimiserLimit):
        return _of_a_limit(diffusion, x0, chosen, t0, t1, steps, seed, quality, brownian, tolerance)
    start = _where(x0, int(getattr(diffusion, "dimension", 1)))
    inside = diffusion.in_modes() if isinstance(diffusion, Diffusion) else None  # built in, and cheaper there
    modal = inside is not None
    if modal:
        start = diffusion.problem.to_modes(start)
    coefficients = Coefficients(diffusion if inside is None else inside, t0, start)
    chosen.check(coefficients)
    tolerance = _tolerance(tolerance, chosen)
    m, level, joined = coefficients.noise_dimension, 0, 1
    if brownian is None:
        seed = seed_number(seed)
        if modal and chosen.name in diffusion.solvers and not diffusion.always_exact and tolerance is None:
            return diffusion.simulator(chosen.name, 1, float(diffusion.clock) * (t1 - t0) / steps)
        fused = (
            None
            if tolerance is not None
            else fused_simulator(coefficients, chosen, t0, (t1 - t0) / steps, seed)
        )
        if fused is not None:
            return fused
        brownian = Brownian(t1 - t0, steps, m, seed, quality, area=chosen.areas)
    else:
        instance_of("brownian", brownian, Brownian, "make one with ensembles.Brownian")
        level, joined = _fit(brownian, chosen, m, t1 - t0, steps)
        if tolerance is not None and joined > 1:
            raise InvalidInput(
                f"with a tolerance, dt must be a step of the Brownian path's grid or a halving of it; it has "
                f"{brownian.steps} steps, the run {steps}"
            )
    own = steps_of(coefficients, chosen, brownian, t0, level, joined, tolerance)
    return scheme_simulator(own, diffusion if modal else None)


def _tolerance(tolerance: Any, chosen: Scheme) -> float | None:
    if tolerance is not None:
        tolerance = positive("tolerance", tolerance)
        if not chosen.adaptive:
            raise InvalidInput(
                f"solver {chosen.name!r} has no error estimate, so it takes no tolerance: leave it out, or take "
                "'sra1' or 'sra3' (additive noise), 'sriw1' or 'sriw2' (scalar or diagonal noise)"
            )
    return tolerance


def _of_a_limit(
    limit: OptimiserLimit, x0: Any, chosen: Scheme, t0: float, t1: float, steps: int, seed: int, quality: str,
    brownian: Brownian | None, tolerance: float | None,
) -> Simulator:  # fmt: skip
    """A limit with a state of its own; from another time than 0 what it keeps beside the position would be missing."""
    if t0:
        raise InvalidInput(
            f"t0 is {t0:g}, but {limit.label} begins at time 0, where what it keeps is known: leave t0 out"
        )
    tolerance, level, joined, m = _tolerance(tolerance, chosen), 0, 1, limit.noise_dimension
    if brownian is None:
        brownian = Brownian(t1, steps, m, seed_number(seed), quality, area=chosen.areas)
    else:
        instance_of("brownian", brownian, Brownian, "make one with ensembles.Brownian")
        level, joined = _fit(brownian, chosen, m, t1, steps)
    return limit.scheme_simulator(chosen, x0, brownian, 0.0, 1, level, joined, tolerance)


def _local_noise(diffusion: Any, x0: Any, simulator: Simulator, t0: float, dt: float) -> LocalNoise | str:
    if isinstance(diffusion, OptimiserLimit):
        return HIDDEN
    if isinstance(diffusion, Diffusion):
        return process_noise(diffusion, simulator, dt)
    return diffusion_noise(diffusion, simulator, t0, dt, _where(x0, int(diffusion.dimension)))


def _fit(brownian: Brownian, chosen: Scheme, m: int, horizon: float, steps: int) -> tuple[int, int]:
    """Level of the Brownian path's grid, and how many of its intervals make a step."""
    if chosen.increments != "gaussian":
        raise InvalidInput(
            f"solver {chosen.name!r} draws {chosen.increments.replace('_', '-')} increments, which have no Brownian "
            "path: leave brownian out, or take a scheme with Gaussian increments"
        )
    if brownian.dimension != m or abs(brownian.horizon - horizon) > 1e-9 * horizon:
        raise InvalidInput(
            f"brownian has dimension {brownian.dimension} on a horizon of {brownian.horizon:g}, but the run needs "
            f"dimension {m} on {horizon:g}"
        )
    if chosen.areas and not brownian.area:
        raise InvalidInput(
            f"solver {chosen.name!r} needs space-time Levy areas: make the Brownian with area=True"
        )
    level = 0
    while (brownian.steps << level) % steps and level < 20:
        level += 1
    if (brownian.steps << level) % steps:
        raise InvalidInput(
            f"the run has {steps} steps, which neither halve nor join the {brownian.steps} of brownian: take a "
            "multiple or a divisor of them"
        )
    return level, (brownian.steps << level) // steps


def _number_of_paths(x0: Any, paths: int | None) -> int:
    if paths is not None:
        return whole_number("paths", paths, 1)
    if not isinstance(x0, (tuple, Gaussian)) and axes(x0) == 2:
        return len(x0)
    raise InvalidInput("paths is missing: pass how many, or an x0 of shape (paths, d)")


def _where(x0: Any, dimension: int) -> np.ndarray:
    initial = initial_state(x0, dimension)
    return initial.mean if isinstance(initial, Gaussian) else initial[:16] if initial.ndim == 2 else initial


def _recorded(record: Any, t0: float, t1: float, steps: int) -> np.ndarray:
    if record is None:
        return recorded_steps(None, steps)
    if axes(record) == 0:
        count = whole_number("record", record, 1)
        if count > steps + 1:
            raise InvalidInput(f"record asks for {count} times, but dt makes {steps + 1}: lower it, or lower dt")
        return recorded_steps(count, steps)
    times = finite_array("record", record, ndim=1)
    if not times.size:
        raise InvalidInput("record is empty: name at least one time, or pass None for about 50 of them")
    slack = 1e-6 * (t1 - t0) / steps
    if times.min() < t0 - slack or times.max() > t1 + slack:
        bad = times.min() if times.min() < t0 - slack else times.max()
        raise InvalidInput(f"record asks for time {bad:g}, but the run goes from {t0:g} to {t1:g}")
    places = (times - t0) / (t1 - t0) * steps
    near = np.rint(places)
    off = np.abs(places - near) > 1e-6
    if off.any():
        bad = times[off][0]
        best = t0 + near[off][0] * (t1 - t0) / steps
        raise InvalidInput(
            f"record asks for time {bad:.12g}, which is no multiple of dt after t0: take {best:.12g}"
        )
    for before, after, place in zip(times[:-1], times[1:], np.diff(near), strict=True):
        if place <= 0:
            raise InvalidInput(f"record must increase from step to step of dt, got time {after:g} after {before:g}")
    return recorded_steps(near, steps)
