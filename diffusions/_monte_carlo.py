"""Expectations at the end of a run, to a stated accuracy: plain Monte Carlo under the package's stopping rule."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.special import ndtri

from sgdlimits.ensembles import PACK, Brownian, Gaussian, Noise, draw_initial, initial_state
from sgdlimits.ensembles.stopping import StoppingRule
from sgdlimits.exact.errors import InvalidInput, positive, real_number, whole_number

from ._expectation import ExpectationEstimate
from ._sampled_ends import (
    Observable,
    checked_confidence,
    checked_observable,
    observed,
    one_path,
    refuse_not_finite,
    sample_paths,
)
from .integration import grid_steps, simulator_of
from .solvers import Coefficients, Scheme, SchemeSteps, find_scheme, scheme_simulator


def monte_carlo(
    diffusion: Any,
    observable: Observable,
    tolerance: float,
    *,
    x0: Any,
    t1: float,
    dt: float,
    t0: float = 0.0,
    solver: str | Scheme = "euler",
    seed: int = 0,
    confidence: float = 0.95,
    first_paths: int = 1024,
    most_paths: int = 10**8,
    quality: str = "float32",
    threads: int | None = None,
) -> ExpectationEstimate:
    """Estimate E observable(X at t1), with as many paths as bring the standard error to `tolerance`.

    A pilot fixes the number of paths, fresh ones give the estimate (`ensembles.stopping` says why): the interval holds
    at least what it says. That of an indicator is exact, and is not [0, 0] when no path has hit. For other observables
    few hits of a rare event or a heavy tail ask for more paths than the tolerance would.

    Parameters
    ----------
    observable : function of a (P, d) array with values (P,)
        Booleans (``x[:, 0] > 3``) say that it is an indicator before a path has hit.
    tolerance : float
        Standard error to reach.
    x0, t1, dt, t0, solver, seed, quality, threads
        As in `integrate`; x0 is an array (d,) or a Gaussian.
    confidence : float
    first_paths, most_paths : int
        Paths of the first look (64 at least), and of everything.

    Returns
    -------
    ExpectationEstimate

    Raises
    ------
    InvalidInput
        As `integrate`; if more than `most_paths` paths would be needed (it says how many), if too little can be seen
        with them, if a coefficient is infinite, or if the observable raises or its values are of the wrong shape or
        not finite.
    """
    tolerance, confidence = positive("tolerance", tolerance), checked_confidence(confidence)
    observable = checked_observable(observable)
    first_paths, most_paths = whole_number("first_paths", first_paths, 2), whole_number("most_paths", most_paths, 2)
    t0, t1 = real_number("t0", t0), real_number("t1", t1)
    steps, chosen = grid_steps(t0, t1, dt), find_scheme(solver)
    simulator = simulator_of(diffusion, x0, chosen, t0, t1, steps, seed, quality, None, None)
    initial = initial_state(x0, simulator.dimension, 1)
    start = initial.mean if isinstance(initial, Gaussian) else initial.reshape(-1, simulator.dimension)[0]
    coefficients = Coefficients(diffusion, t0, start)

    def ends(paths: np.ndarray) -> np.ndarray:
        noise = Noise(seed, paths, quality)
        state = simulator.start(draw_initial(initial, noise), noise)
        simulator.advance(state, 0, steps, noise)
        return simulator.positions(state)

    def sample(paths: np.ndarray) -> np.ndarray:
        positions = ends(paths)
        values = observed(observable, positions)
        if not np.isfinite(positions).all():
            _replay(coefficients, chosen, initial, t0, t1, steps, seed, quality, paths)
        refuse_not_finite(values, positions)
        return values

    length = (t1 - t0) / steps
    positions = ends(np.arange(PACK, dtype=np.int64))
    if not isinstance(initial, Gaussian) and one_path(coefficients, t0, start, positions):
        values = observed(observable, positions)
        refuse_not_finite(values, positions)
        value = float(values[0])
        return ExpectationEstimate(
            value, 0.0, (value, value), math.nan, confidence, tolerance, PACK, 0, PACK * steps, chosen.name, length,
            "there is no noise on the way, so all paths are one path",
        )  # fmt: skip
    rule = StoppingRule(
        absolute=float(ndtri(0.5 + confidence / 2)) * tolerance, confidence=confidence, first=first_paths,
        most=most_paths,
    )  # fmt: skip
    state = rule.start()
    while state.outcome is None:
        state = rule.seen(state, sample_paths(sample, state.taken, state.wanted, simulator, threads))
    outcome = state.outcome
    if not outcome.reached:
        raise InvalidInput(_refusal(outcome, tolerance, most_paths))
    interval = outcome.interval
    return ExpectationEstimate(
        interval.value, interval.standard_error, (interval.low, interval.high), math.nan, confidence, tolerance,
        state.taken, state.taken - state.reported, state.taken * steps, chosen.name, length, outcome.why,
    )  # fmt: skip


def _refusal(outcome: Any, tolerance: float, most_paths: int) -> str:
    if not outcome.too_many:
        return (
            f"a standard error of {tolerance:g} cannot be vouched for: {outcome.why}: return booleans if it is an "
            "indicator, or look at an observable that varies"
        )
    return (
        f"a standard error of {tolerance:g} needs about {outcome.needed} paths, more than most_paths = {most_paths}"
        f"{outcome.tail}: raise tolerance or most_paths"
    )


def _replay(
    coefficients: Coefficients, chosen: Scheme, initial: Any, t0: float, t1: float, steps: int, seed: int, quality: str,
    paths: np.ndarray,
) -> None:  # fmt: skip
    """Run paths that were lost again, looking at every step: a coefficient that is not finite is named."""
    if chosen.increments != "gaussian":
        return
    brownian = Brownian(t1 - t0, steps, coefficients.noise_dimension, seed, quality, area=chosen.areas)
    noise = Noise(seed, paths, quality)
    plain = scheme_simulator(SchemeSteps(coefficients, chosen, brownian, t0))
    plain.advance(plain.start(draw_initial(initial, noise), noise), 0, steps, noise)
