"""Published claims about finite step sizes, each with what is computed here and a verdict."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sgdlimits import compare
from sgdlimits.diffusions import ModifiedEquation, OrnsteinUhlenbeck
from sgdlimits.discrete import SGD, escape, fluctuation, rules
from sgdlimits.problems import LeastSquares, NoisyQuadratic, StreamingLeastSquares

from .second_order import variance_check

HOLDS, FAILS, PART = "holds", "fails", "holds in part"
ROUGH, APART = 0.02, 4  # relative gap of a formula that serves; standard errors
P1, P2 = "Liu, Ziyin, Ueda 2021", "Ziyin, Liu, Mori, Ueda 2022"


@dataclass(frozen=True)
class Verdict:
    """A claim, what it says, what is found, and the verdict.

    Attributes
    ----------
    claim, source, said, found, verdict : str
        A source "a common reading" was not read in a paper.
    """

    claim: str
    source: str
    said: str
    found: str
    verdict: str


def verdicts(seed: int, threads: int | None) -> list[Verdict]:
    """All of them; a second or two."""
    return [
        _momentum(), _newton(), _tail(), _signs(), _closure(seed, threads), _escape(), _decay(), _second_order(),
        _inputs(),
    ]  # fmt: skip


def _holds(gap: float, tolerance: float = 1e-9) -> str:
    return HOLDS if gap <= tolerance else FAILS


def _together(*parts: bool) -> str:
    """Of a claim that is made of several settings."""
    return HOLDS if all(parts) else PART if any(parts) else FAILS


def _momentum() -> Verdict:
    k, c, mu, eta = np.array([[1.0, 0.4], [0.4, 0.5]]), np.array([[1.0, -0.6], [-0.6, 1.5]]), 0.8, 0.7
    s = SGD(NoisyQuadratic(k, c), eta, momentum=mu).stationary().covariance
    left = (1 - mu) * eta * (k @ s + s @ k) - (1 + mu**2) / (1 - mu**2) * eta**2 * k @ s @ k
    left += mu / (1 - mu**2) * eta**2 * (k @ k @ s + s @ k @ k)
    gap = float(np.abs(left - eta**2 * c).max() / np.abs(eta**2 * c).max())
    return Verdict("matrix equation of the covariance under momentum, any Hessian and noise", P2,
                   "equation of the stationary covariance", f"residual {gap:.1e}", _holds(gap))  # fmt: skip


def _newton() -> Verdict:
    a, mu, batch, eta = np.array([1.0, 0.5, 0.2]), 0.5, 16, 0.3
    stream = StreamingLeastSquares(a, 0.5, np.ones(3))
    s = SGD(stream, eta, batch, rule=rules.DampedNewton(0.0, mu)).stationary().covariance
    g = 2 * (1 - mu) - ((1 - mu) / (1 + mu) + 1 / batch) * eta
    gap = float(np.abs(np.diag(s) * a / (eta * 0.25 / (g * batch - 3 * eta)) - 1).max())
    return Verdict("covariance of Newton's method with momentum under label noise", P2,
                   "eta sigma^2 / (g B - eta d) A^-1", f"relative gap {gap:.1e}", _holds(gap))  # fmt: skip


def _tail() -> Verdict:
    batches = (1, 4, 8, 32)
    found = [SGD(StreamingLeastSquares(np.ones(1), 1.0, np.zeros(1)), 1.0, b).tail_index().index for b in batches]
    gap = max(abs(index / b - 1) for index, b in zip(found, batches))
    said = ", ".join(f"{b:g}" for b in batches)
    return Verdict("tail index 2 B / (a eta) - B on a line", P2, f"{said} at a eta = 1, B = 1, 4, 8, 32",
                   f"{', '.join(f'{index:.4g}' for index in found)}; equal only at index 2",
                   _holds(gap, ROUGH))  # fmt: skip


def _signs() -> Verdict:
    batch, eta, d = 1, 0.1, 5
    stream = StreamingLeastSquares(np.ones(d), 1.0, np.zeros(d))
    exact = float(np.trace(SGD(stream, eta, batch).stationary().covariance))
    trace = {}
    for name, own in (("minus", -1.0), ("plus", 1.0)):
        # 2 S = eta S + (eta / B) (tr S + own S + 1), S a multiple of the identity
        trace[name] = d * (eta / batch) / (2 - eta - eta / batch * (d + own))
    return Verdict("noise near a minimum is 2 L H less, not plus, the square of the mean gradient", P2,
                   f"trace {trace['minus']:.5g} (d = {d}, B = 1, eta = {eta:g})",
                   f"{exact:.5g}; with plus {trace['plus']:.5g}",
                   _holds(abs(trace["minus"] / exact - 1)))  # fmt: skip


def _closure(seed: int, threads: int | None) -> Verdict:
    stream = StreamingLeastSquares(np.ones(24), 0.0, np.ones(24))
    sgd = SGD(stream, 0.1, 8, rule=rules.NaturalGradient(fisher="centred"))
    check = variance_check(compare.closure(sgd, paths=64, seed=seed, threads=threads), "the closure")
    said, found, error = (check[name] for name in ("predicted", "found", "error"))
    return Verdict("variance of natural gradient by its closure, whose operator has spectral radius 1", P2,
                   f"{said:.4g}", f"{found:.4g} +- {error:.1g} over paths",
                   _holds(abs(found - said), APART * error))  # fmt: skip


def _escape() -> Verdict:
    well = escape.LandscapeDescent(escape.DoubleWell(height=0.5), step_size=0.4, noise=0.05)
    wall = escape.LandscapeDescent(escape.HarmonicWell(1.0, wall=1.0), step_size=0.4, noise=0.1)
    smooth, cusp = (escape.substitution(each) for each in (well, wall))
    return Verdict("2 - step size x curvature in Kramers' exponent", "a common reading of the first paper",
                   "an exponent smaller by that factor over 2",
                   f"smooth barrier: {smooth.verdict}; cusp: {cusp.verdict}",
                   _together(smooth.verdict == HOLDS, cusp.verdict == HOLDS))  # fmt: skip


def _decay() -> Verdict:
    best = [
        fluctuation.weight_decay(SGD(StreamingLeastSquares(np.ones(1), 0.5, np.ones(1)), size, 8),
                                 np.linspace(-0.4, 0.4, 17)).best for size in (0.7, 1.2)
    ]  # fmt: skip
    return Verdict("the best weight decay may be negative", P2, "yes",
                   f"with label noise its sign is that of 1 - a eta: {best[0]:+.3g} at 0.7, {best[1]:+.3g} at 1.2; "
                   "without, only where no decay is unstable", _together(*(ridge < 0 for ridge in best)))  # fmt: skip


def _second_order() -> Verdict:
    problem, eta = NoisyQuadratic([1.0], [1.0]), 0.5
    exact, first, second = (
        process.stationary().covariance[0, 0]
        for process in (SGD(problem, eta), OrnsteinUhlenbeck(problem, eta), ModifiedEquation(problem, eta, order=2))
    )
    return Verdict("the modified equation of second order is nearer than the first", "a common reading",
                   "yes, on finite time",
                   f"at stationarity {second:.4g} and {first:.4g} against {exact:.4g}",
                   HOLDS if abs(second - exact) < abs(first - exact) else FAILS)  # fmt: skip


def _inputs() -> Verdict:
    generator = np.random.Generator(np.random.Philox(5))
    rows = np.sign(generator.standard_normal(400))[:, None]  # of kurtosis 1, where Gaussian ones have 3
    labels = rows[:, 0] + generator.standard_normal(400)
    problem, eta, batch = LeastSquares.from_arrays(rows, labels), 0.8, 2
    exact = float(SGD(problem, eta, batch).stationary().covariance[0, 0])
    noise = 2 * problem.least_risk
    said = noise * eta / (batch * (2 - eta * (1 + 2 / batch)))
    return Verdict("the covariance of minibatch noise for Gaussian inputs serves others too", "a common reading",
                   f"{said:.4g} for inputs of signs (a eta = 0.8, B = 2)", f"{exact:.4g}",
                   _holds(abs(said / exact - 1), ROUGH))  # fmt: skip
