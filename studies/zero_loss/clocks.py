"""Three clocks on one axis of steps: the fall to the set, Dropout's slow motion and label noise's; minibatches stop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xarray

SAMPLES, FEATURES = 3, 5  # of a diagonal network whose set has seven dimensions
START = 0.7  # every u and v
STEP_SIZE = 0.04
LEVELS = (0.4, 0.2)  # of Dropout and of label noise alike
RUN = 1.5  # length in the time of label noise at its smaller level
BATCH = 2
LOOKS = 40
MOST_PATHS = 100
RANDOM = 5  # of the features


@dataclass(frozen=True, eq=False)
class Clocks:
    """What was computed, over (curve, look).

    Attributes
    ----------
    dataset : xarray.Dataset
        step (look); loss and moved (curve, look) with `_error`: means over paths of the loss and of how far Phi(w) has
        come on the way of the mechanism's limit (of minibatch noise: of label noise's); `limit` and `finite_step`
        (nan where not known) for the latter; mechanism, noise_level and unit_steps, steps in a unit of the
        limit's time, over curve; in attrs step_size, relaxation (steps) and paths.
    """

    dataset: xarray.Dataset


def run_clocks(paths: int, settings: dict[str, Any], looks: int = LOOKS) -> Clocks:
    """Every mechanism from one start off the set, for as many steps as the slowest needs.

    Parameters
    ----------
    paths : int
        Of each curve, at most `MOST_PATHS`.
    settings : mapping
        seed, threads and progress of every simulation.
    looks : int
        Steps at which runs are looked at, evenly spaced on a logarithmic axis.
    """
    import xarray as xr

    from sgdlimits.compare.estimates import mean_and_error
    from sgdlimits.compare.rescaling import limit_points
    from sgdlimits.diffusions import ManifoldLimit
    from sgdlimits.discrete import NoisyGradientDescent
    from sgdlimits.problems import geometry, noise
    from sgdlimits.problems.zero_loss import DiagonalLinearNetwork

    paths = min(paths, MOST_PATHS)
    features = np.random.Generator(np.random.Philox(RANDOM)).standard_normal((SAMPLES, FEATURES))
    model = DiagonalLinearNetwork(features, features @ np.array([1.0, -0.5, 0.0, 0.3, 0.0]))
    w0 = np.full(model.dimension, START)
    origin = geometry.limit_map(model, w0)
    last = round(RUN / (STEP_SIZE * min(LEVELS)) ** 2)
    record = np.unique(np.rint(np.concatenate([[0], np.geomspace(1, last, looks)])).astype(int))
    curves: list[tuple[str, Any]] = [("label noise", noise.LabelNoise(level)) for level in LEVELS]
    curves += [("Dropout", noise.Dropout(level)) for level in LEVELS] + [("minibatch", noise.Minibatch(BATCH))]
    rows: list[dict[str, Any]] = []
    way = np.zeros(model.dimension)
    for name, mechanism in curves:
        process = NoisyGradientDescent(model, mechanism, STEP_SIZE)
        limit = ManifoldLimit.of(process, start=w0)
        sides = {"limit": limit_points(limit, w0, record / float(limit.clock))}
        if limit.regime != "trivial":
            close = ManifoldLimit.of(process, start=w0, finite_step=True)
            sides["finite_step"] = limit_points(close, w0, record / float(close.clock))
            way = sides["limit"][-1] - origin
            way = way / np.linalg.norm(way)
        looked_at = {"risk": "loss", "phi": "limit_map"}
        run = process.simulate(w0, last, paths, observables=looked_at, record=record, **settings)
        found: dict[str, Any] = {"mechanism": name, "noise_level": mechanism.sigma, "unit_steps": float(limit.clock)}
        found["loss"], found["loss_error"] = mean_and_error(run["risk"].values)
        found["moved"], found["moved_error"] = mean_and_error((run["phi"].values - origin) @ way)
        for side in ("limit", "finite_step"):
            found[side] = (sides[side] - origin) @ way if side in sides else np.full(record.size, np.nan)
        rows.append(found)
    variables = {
        key: (("curve", "look") if np.ndim(rows[0][key]) else "curve", np.array([row[key] for row in rows]))
        for key in rows[0]
    }
    variables["step"] = "look", record
    slowest = float(geometry.frame(model, origin).eigenvalues.min())
    attributes = {"step_size": STEP_SIZE, "relaxation": 1 / (STEP_SIZE * slowest), "paths": paths, "model": model.label}
    return Clocks(xr.Dataset(variables, attrs=attributes))
