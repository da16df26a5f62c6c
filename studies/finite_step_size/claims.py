"""Published claims about finite step sizes, each with what is computed here and a verdict.

A function a claim; its arguments are the setting in which the claim is put to the test, and each says where the claim
is right.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sgdlimits import compare
from sgdlimits.compare.text_table import number
from sgdlimits.diffusions import ModifiedEquation, OrnsteinUhlenbeck
from sgdlimits.discrete import SGD, escape, fluctuation, rules
from sgdlimits.problems import LeastSquares, NoisyQuadratic, StreamingLeastSquares
from sgdlimits.studies.verdicts import COMMON, FAILS, HOLDS, PART, Verdict

from .second_order import variance_check

ROUGH, APART = 0.02, 4  # relative gap of a formula that serves; standard errors
SURELY = 1e-4  # below 0, of a ridge that is negative: a flat minimum is found to the root of rounding
P1, P2 = "Liu, Ziyin, Ueda 2021", "Ziyin, Liu, Mori, Ueda 2022"
SMOOTH, CUSP = "smooth barrier", "cusp"


def verdicts(seed: int, threads: int | None) -> list[Verdict]:
    """All of them; some seconds."""
    return [
        momentum_equation(), newton_covariance(), decayed_covariance(), tail_index(), noise_sign(),
        natural_gradient_closure(seed, threads), kramers_exponent(), best_decay(), second_order(), other_inputs(),
    ]  # fmt: skip


def _holds(gap: float, tolerance: float = 1e-9) -> str:
    return HOLDS if gap <= tolerance else FAILS


def _together(*parts: bool) -> str:
    """Of a claim that is made of several settings."""
    return HOLDS if all(parts) else PART if any(parts) else FAILS


def _gap(said: np.ndarray, exact: np.ndarray) -> float:
    """Largest difference, as a part of the largest entry."""
    return float(np.abs(said - exact).max() / np.abs(exact).max())


def momentum_equation(nesterov: bool = False) -> Verdict:
    """Of heavy ball; that of Nesterov's iterate is another."""
    k, c, mu, eta = np.array([[1.0, 0.4], [0.4, 0.5]]), np.array([[1.0, -0.6], [-0.6, 1.5]]), 0.8, 0.7
    s = SGD(NoisyQuadratic(k, c), eta, momentum=mu, nesterov=nesterov).stationary().covariance
    left = (1 - mu) * eta * (k @ s + s @ k) - (1 + mu**2) / (1 - mu**2) * eta**2 * k @ s @ k
    left += mu / (1 - mu**2) * eta**2 * (k @ k @ s + s @ k @ k)
    gap = _gap(left, eta**2 * c)
    return Verdict("matrix equation of the covariance under momentum, any Hessian and noise", P2,
                   "equation of the stationary covariance", f"residual {gap:.1e}", _holds(gap))  # fmt: skip


def newton_covariance(damping: float = 0.0) -> Verdict:
    """Right without damping."""
    a, mu, batch, eta = np.array([1.0, 0.5, 0.2]), 0.5, 16, 0.3
    stream = StreamingLeastSquares(a, 0.5, np.ones(3))
    s = SGD(stream, eta, batch, rule=rules.DampedNewton(damping, mu)).stationary().covariance
    g = 2 * (1 - mu) - ((1 - mu) / (1 + mu) + 1 / batch) * eta
    gap = float(np.abs(np.diag(s) * a / (eta * 0.25 / (g * batch - 3 * eta)) - 1).max())
    return Verdict("covariance of Newton's method with momentum under label noise", P2,
                   "eta sigma^2 / (g B - eta d) A^-1", f"relative gap {gap:.1e}", _holds(gap))  # fmt: skip


def decayed_covariance(truth: Sequence[float] = (1.0, 1.0)) -> Verdict:
    """Right where the truth lies along an eigenvector of the features' covariance."""
    u = np.asarray(truth, dtype=float)
    exact, said, right = _decayed(u)
    along, along_said, _ = _decayed(np.eye(2)[0])
    skew = float(np.abs(said - said.T).max() / np.abs(exact).max())
    return Verdict(
        "covariance without label noise, any truth, under a decay that commutes with the features' covariance", P2,
        "a product of A, K, G and U = u u^T in one order",
        f"truth ({u[0]:g}, {u[1]:g}): off by {100 * _gap(said, exact):.2g} % of the largest entry, and unlike its "
        f"transpose by {100 * skew:.2g} %; without the assumption that U commutes with A: {_gap(right, exact):.1e}; "
        f"truth along an eigenvector: {_gap(along_said, along):.1e}",
        _holds(_gap(said, exact)),
    )  # fmt: skip


def _decayed(u: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Exact covariance, that of the theorem, and that of a derivation in which U need not commute, (2, 2) each."""
    a, ridge, batch, eta = np.array([1.0, 0.3]), 0.2, 4, 0.5
    exact = SGD(StreamingLeastSquares(a, 0.0, u, ridge), eta, batch).stationary().covariance
    k, push = a + ridge, eta / batch
    g = 2 - eta * (k + a**2 / (k * batch))
    shift = ridge * u / k  # of the minimiser from the truth
    tau, left = float(a @ shift**2), 1 - push * float((a**2 / (k * g)).sum())
    kappa, r = (1 - left) / (push * left), float((a**3 * shift**2 / (k * g)).sum()) / left
    twice = tau * (1 + push * kappa) + push * r  # the expected loss
    own = np.outer(ridge * a * u / k, ridge * a * u / k)
    said = push * (np.diag(twice * a) + (a * ridge / k)[:, None] ** 2 * np.outer(u, u)) / (k * g)
    sums = k[:, None] + k - eta * np.outer(k, k) - push * np.outer(a, a)
    return exact, said, push * (own + np.diag(twice * a)) / sums


def tail_index(batches: Sequence[int] = (1, 4, 8, 32), step_size: float = 1.0) -> Verdict:
    """Right where it says 2: at the step size 2 B / (B + 2)."""
    line = StreamingLeastSquares(np.ones(1), 1.0, np.zeros(1))
    found = [float(SGD(line, step_size, batch).tail_index().index) for batch in batches]
    said = [2 * batch / step_size - batch for batch in batches]
    first = batches[0]
    critical = float(SGD(line, 2 * first / (first + 2), first).tail_index().index)
    return Verdict("tail index 2 B / (a eta) - B on a line", P2,
                   f"{', '.join(f'{index:.4g}' for index in said)} at a eta = {step_size:.4g}, "
                   f"B = {', '.join(map(str, batches))}",
                   f"{', '.join(f'{index:.4g}' for index in found)}; where it says 2, at a eta = 2 B / (B + 2): "
                   f"{critical:.6g}",
                   _holds(max(abs(one / other - 1) for one, other in zip(found, said)), ROUGH))  # fmt: skip


def noise_sign(dimension: int = 5, batch: int = 1) -> Verdict:
    """Of use for large batches or many parameters."""
    eta, line = 0.1, StreamingLeastSquares(np.ones(1), 0.0, np.zeros(1))
    stream = StreamingLeastSquares(np.ones(dimension), 1.0, np.zeros(dimension))
    exact, trace = float(np.trace(SGD(stream, eta, batch).stationary().covariance)), {}
    for name, own in (("minus", -1.0), ("plus", 1.0)):
        # 2 S = eta S + (eta / B) (tr S + own S + 1), S a multiple of the identity
        trace[name] = dimension * (eta / batch) / (2 - eta - eta / batch * (dimension + own))
    here = float(line.gradient_noise_covariance(np.ones(1))[0, 0])
    slope, twice = float(line.gradient(np.ones(1))[0]) ** 2, 2 * float(line.risk(np.ones(1)))
    return Verdict("noise near a minimum is 2 L H less, not plus, the square of the mean gradient", P2,
                   f"trace {trace['minus']:.5g} (d = {dimension}, B = {batch}, eta = {eta:g}); noise "
                   f"{twice - slope:g} at distance 1 on a line without label noise",
                   f"{exact:.5g}, with plus {trace['plus']:.5g}; {here:g}, with plus {twice + slope:g}",
                   _holds(abs(trace["minus"] / exact - 1), ROUGH))  # fmt: skip


def natural_gradient_closure(seed: int, threads: int | None, sgd: SGD | None = None) -> Verdict:
    """Of another rule with a closure too: right for RMSProp under label noise with a long memory."""
    few = None
    if sgd is None:
        natural = rules.NaturalGradient(fisher="centred")
        sgd, small = (SGD(StreamingLeastSquares(np.ones(d), 0.0, np.ones(d)), 0.1, 8, rule=natural) for d in (24, 3))
        few = compare.closure(small, paths=16, steps=100, seed=seed, threads=threads)
    closed = sgd.closure()
    check = variance_check(compare.closure(sgd, paths=64, seed=seed, threads=threads), "the closure")
    said, found, error = (check[name] for name in ("predicted", "found", "error"))
    words = "" if few is None else f"; d = 3: {number(variance_check(few, 'the closure')['found'])}"
    return Verdict(f"variance of {sgd.label} by its closure", P2 if few is not None else "derived",
                   f"{said:.4g} (d = {sgd.problem.dimension}; residual of its equation {closed.residual:.1e}, second "
                   f"moments multiplied by {closed.radius:.10g} a step)",
                   f"{found:.4g} +- {error:.1g} over paths{words}",
                   _holds(abs(found - said), APART * error + ROUGH * said))  # fmt: skip


def kramers_exponent(barriers: Sequence[str] = (SMOOTH, CUSP)) -> Verdict:
    """Right for a cusp."""
    made = {
        SMOOTH: escape.LandscapeDescent(escape.DoubleWell(height=0.5), step_size=0.4, noise=0.05),
        CUSP: escape.LandscapeDescent(escape.HarmonicWell(1.0, wall=1.0), step_size=0.4, noise=0.1),
    }
    found = {name: escape.substitution(made[name]) for name in barriers}
    return Verdict("2 - step size x curvature in Kramers' exponent", "a common reading of the first paper",
                   "an exponent smaller by that factor over 2: "
                   + ", ".join(f"{one.claimed:.5g} ({name})" for name, one in found.items()),
                   ", ".join(f"{one.exponent:.5g} ({name}: {one.verdict})" for name, one in found.items()),
                   _together(*(one.verdict == HOLDS for one in found.values())))  # fmt: skip


def best_decay(settings: Sequence[tuple[float, float]] = ((0.0, 0.7), (0.0, 1.7), (0.5, 0.7), (0.5, 1.2))) -> Verdict:
    """Of pairs (label noise, a eta); right under label noise at a eta above 1."""
    words, parts = [], []
    for noise, size in settings:
        sgd = SGD(StreamingLeastSquares(np.ones(1), noise, np.ones(1)), size, 8)
        best = fluctuation.weight_decay(sgd, np.linspace(-0.4, 0.4, 17)).best
        settles = sgd.stability().mean_square_threshold > size
        words.append(f"{best:+.3g} ({noise:g}, {size:g}{'' if settles else ': none has no law'})")
        parts.append(best < -SURELY and settles)
    return Verdict("the best weight decay is negative where descent without it has a law", P2, "at large step sizes",
                   f"best ridge (label noise, a eta), B = 8: {', '.join(words)}", _together(*parts))  # fmt: skip


def second_order(looks: Sequence[str] = ("finite time", "stationary")) -> Verdict:
    """Right on finite time from a start far off."""
    problem, eta, steps = NoisyQuadratic([1.0], [1.0]), 0.5, 3
    made = (SGD(problem, eta), OrnsteinUhlenbeck(problem, eta), ModifiedEquation(problem, eta, order=2))
    words, parts = [], []
    for look in looks:
        if look == "stationary":
            exact, first, second = (float(process.stationary().risk) for process in made)
        else:
            exact, first, second = (float(process.moments([3.0], steps)["risk"][-1]) for process in made)
        words.append(f"{look}: {second:.4g} and {first:.4g} against {exact:.4g}")
        parts.append(abs(second - exact) < abs(first - exact))
    return Verdict("the modified equation of second order is nearer than the first", COMMON, "yes",
                   f"expected loss, a eta = {eta:g}; {'; '.join(words)}", _together(*parts))  # fmt: skip


def other_inputs(inputs: Sequence[float] = (-1.0, 1.0)) -> Verdict:
    """Of inputs with as many of each of these values; right where their kurtosis is 3: (-1, 0, 0, 0, 0, 1)."""
    x = np.asarray(inputs, dtype=float)
    x = x / np.sqrt(np.square(x).mean())
    rows, residuals = np.repeat(x, 2), np.tile([-1.0, 1.0], x.size)
    eta, batch, kurtosis = 0.8, 2, float((x**4).mean())
    problem = LeastSquares.from_arrays(rows[:, None], rows + residuals)
    exact = float(SGD(problem, eta, batch).stationary().covariance[0, 0])
    said = eta / (batch * (2 - eta * (1 + 2 / batch)))
    right = eta / (batch * (2 - eta * (1 + (kurtosis - 1) / batch)))
    return Verdict("the covariance of minibatch noise for Gaussian inputs serves others too", COMMON,
                   f"{said:.4g} for inputs of kurtosis {kurtosis:.4g} (a eta = {eta:g}, B = {batch})",
                   f"{exact:.4g}; with kurtosis - 1 in place of 2: {right:.4g}",
                   _holds(abs(said / exact - 1), ROUGH))  # fmt: skip
