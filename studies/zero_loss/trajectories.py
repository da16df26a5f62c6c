"""Trajectories on the zero-loss sets of small models: every mechanism from one start, beside its limit."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput

if TYPE_CHECKING:
    import xarray

    from sgdlimits.compare import Manifold

REACH = 0.5  # a run lasts as long as the limit, at its first speed, needs for this distance


@dataclass(frozen=True, eq=False)
class Scene:
    """A model, where every mechanism starts, and coordinates by which points of its set are told apart.

    Attributes
    ----------
    start : (m,) array
        Off the set.
    chart : function of points (..., m) with values (..., q)
    names : tuple of str
        Of the q coordinates; the first is the one whose mean is drawn against time.
    """

    name: str
    model: Any
    formula: str
    step_size: float
    start: np.ndarray
    chart: Callable[[np.ndarray], np.ndarray]
    names: tuple[str, ...]


def scenes() -> tuple[Scene, ...]:
    """Two curves in the plane and a set of three dimensions."""
    from sgdlimits.problems import zero_loss

    def products(w: np.ndarray) -> np.ndarray:
        u, v = w[..., :2], w[..., 2:]
        return np.concatenate([(u * v)[..., :1], u**2 - v**2], axis=-1)

    return (
        Scene(
            "hyperbola", zero_loss.Hyperbola(), "(xy − 1)² / 2", 0.1, np.array([2.2, 0.7]),
            lambda w: w[..., :1] ** 2 - w[..., 1:] ** 2, ("x² − y²",),
        ),
        Scene(
            "difference of squares", zero_loss.QuadraticDifference(), "(u² − v² − 1)² / 2", 0.02, np.array([1.7, 1.1]),
            lambda w: w[..., :1] * w[..., 1:], ("u v",),
        ),
        Scene(
            "sum of two products", zero_loss.ProductSum(2), "(u₁v₁ + u₂v₂ − 1)² / 2", 0.05,
            np.array([1.3, 0.3, 0.8, 0.9]), products, ("u₁ v₁", "u₁² − v₁²", "u₂² − v₂²"),
        ),
    )  # fmt: skip


def mechanisms() -> dict[str, Any]:
    """Name -> noise."""
    from sgdlimits.problems import noise

    return {
        "label noise": noise.LabelNoise(0.5),
        "weight noise": noise.WeightNoise(0.1),
        "anti-correlated": noise.AntiCorrelated(0.05),
        "Dropout": noise.Dropout(0.2),
        "DropConnect": noise.DropConnect(0.1),
        "Bernoulli DropConnect": noise.DropConnect(0.1, "bernoulli"),
        "Langevin noise": noise.Langevin(0.2),
        "minibatch": noise.Minibatch(1),
    }


@dataclass(frozen=True, eq=False)
class Trajectories:
    """What was computed for a scene: `dataset` for the pictures, and a comparison for each mechanism.

    The dataset holds, at the smallest step size of the ladder and over (mechanism, look): steps, share of the run's
    time, mean and standard error of the chart (coordinate) at Phi(w_k), limit of it (one path where the limit is
    random), regulariser with error and limit (nan where the drift is no gradient); one path's w and the limit's
    points; over mechanism regime, explanation, noise_level.
    """

    scene: Scene
    dataset: xarray.Dataset
    comparisons: dict[str, Manifold]


def run_scene(
    scene: Scene, looks: int, paths: int, rungs: int, settings: dict[str, Any], judging: dict[str, Any]
) -> Trajectories:
    """Simulate every mechanism and compare it with its limit over a ladder of step sizes.

    Parameters
    ----------
    scene : Scene
    looks : int
        Points in time of the pictures.
    paths, rungs : int
        As in `compare.manifold`.
    settings : mapping
        seed, threads and progress of every simulation.
    judging : mapping
        tolerance and confidence.
    """
    import xarray as xr

    from sgdlimits.compare import manifold
    from sgdlimits.compare.rescaling import rebuilt
    from sgdlimits.diffusions import ManifoldLimit, NeglectedDrift
    from sgdlimits.discrete import NoisyGradientDescent

    found, comparisons, noises = [], {}, mechanisms()
    reference = 0
    for name, mechanism in noises.items():
        process = NoisyGradientDescent(scene.model, mechanism, scene.step_size)
        limit = ManifoldLimit.of(process, start=scene.start)
        steps = _steps(scene, limit) or reference
        reference = reference or steps  # what stands still is watched for as long as the first mechanism
        bias = limit.regime != "trivial" and not mechanism.reg_is_constant  # of the order of the noise level squared
        options: dict[str, Any] = {
            "steps": steps, "paths": paths, "rungs": rungs, "times": 4,
            "noise_levels": [mechanism.sigma, mechanism.sigma / 2] if bias else None,
        }  # fmt: skip
        fine = rebuilt(process, scene.step_size / 2 ** (rungs - 1), mechanism.sigma)
        with warnings.catch_warnings():
            # Masks are degenerate on the hyperbola alone, where E L_hat depends on x y only: nothing is neglected.
            warnings.simplefilter("ignore", NeglectedDrift)
            comparisons[name] = manifold(process, limit, scene.start, **options, **settings, **judging)
            found.append(_pictured(scene, fine, steps / float(limit.clock), looks, paths, settings))
    axes = {"chart": "coordinate", "chart_error": "coordinate", "chart_limit": "coordinate"}
    axes |= {"path": "parameter", "limit": "parameter"}
    variables: dict[str, Any] = {
        key: (("mechanism", "look", axes[key]) if key in axes else ("mechanism", "look"), np.stack(arrays))
        for key in found[0][0]
        for arrays in [[cell[0][key] for cell in found]]
    }
    for place, key in enumerate(("regime", "explanation"), start=1):
        variables[key] = "mechanism", np.array([cell[place] for cell in found], dtype=object)
    variables["noise_level"] = "mechanism", np.array([mechanism.sigma for mechanism in noises.values()])
    coordinates = {"mechanism": list(noises), "coordinate": list(scene.names)}
    attributes = {
        "model": scene.name,
        "formula": scene.formula,
        "step_size": scene.step_size / 2 ** (rungs - 1),
        "paths": paths,
    }
    return Trajectories(scene, xr.Dataset(variables, coordinates, attributes), comparisons)


def _steps(scene: Scene, limit: Any) -> int:
    """Steps in which the limit, at its first speed, covers `REACH`; 0 where it stands still."""
    from sgdlimits.problems import geometry

    if limit.regime == "trivial":
        return 0
    origin = geometry.limit_map(scene.model, scene.start)
    projector = geometry.tangent_projector(scene.model, origin)
    if limit.noise_dimension:
        time = REACH**2 / np.square(limit.diffusion(0.0, origin)).sum()
    else:
        time = REACH / np.linalg.norm(projector @ limit.drift(0.0, origin))
    return int(np.ceil(time * float(limit.clock)))


def _pictured(
    scene: Scene, process: Any, time: float, looks: int, paths: int, settings: dict[str, Any]
) -> tuple[dict[str, np.ndarray], str, str]:
    """One mechanism up to a time on its limit's clock: values for the dataset, regime and explanation."""
    from sgdlimits.compare.estimates import mean_and_error
    from sgdlimits.compare.rescaling import limit_points
    from sgdlimits.diffusions import ManifoldLimit

    limit = ManifoldLimit.of(process, start=scene.start)
    steps = int(np.ceil(time * float(limit.clock)))
    record = np.rint(np.linspace(0, steps, looks)).astype(int)
    run = process.simulate(
        scene.start, steps, paths, observables={"w": "state", "phi": "limit_map"}, record=record, **settings
    )
    phi = run["phi"].values
    means, errors = zip(*(mean_and_error(column) for column in np.moveaxis(scene.chart(phi), -1, 0)))
    if limit.noise_dimension and limit.regime != "trivial":
        points = limit.simulate(scene.start, steps, 1, observables={"w": "state"}, record=record, **settings)[
            "w"
        ].values[0]
    else:
        points = limit_points(limit, scene.start, record / float(limit.clock))
    values = {
        "steps": record, "share": record / steps, "chart": np.stack(means, axis=-1),
        "chart_error": np.stack(errors, axis=-1), "chart_limit": scene.chart(points), "path": run["w"].values[0],
        "limit": points,
    }  # fmt: skip
    try:
        regulariser, error = mean_and_error(limit.regulariser(phi))
        values |= {
            "regulariser": regulariser,
            "regulariser_error": error,
            "regulariser_limit": limit.regulariser(points),
        }
    except InvalidInput:  # the drift is not known to be a gradient: there is none to draw
        empty = np.full(looks, np.nan)
        values |= dict.fromkeys(("regulariser", "regulariser_error", "regulariser_limit"), empty)
    return values, limit.regime, limit.explanation
