"""The table of methods: what a rule keeps, where its law is exact, its limits and threshold, from the classes."""

from __future__ import annotations

import numpy as np

from sgdlimits.exact.errors import SgdlimitsError
from sgdlimits.problems.least_squares import LeastSquares
from sgdlimits.problems.noisy_quadratic import NoisyQuadratic
from sgdlimits.problems.quadratic import QuadraticProblem
from sgdlimits.problems.streaming import StreamingLeastSquares

from .rules import (
    Adam, AdamW, Clipped, DampedNewton, HeavyBall, NaturalGradient, Nesterov, Plain, Preconditioned, Proximal, RMSProp,
    Rule, SignSGD, StochasticNewton,
)  # fmt: skip
from .rules.curved import CurvedRule
from .sgd import SGD

# Examples of each method, written as a user writes it: a law is exact where it is of one of them.
EXAMPLES: dict[str, tuple[Rule, ...]] = {
    "Plain()": (Plain(),),
    "HeavyBall(0.9)": (HeavyBall(0.9),),
    "Nesterov(0.9)": (Nesterov(0.9),),
    "Preconditioned(matrix)": (Preconditioned(np.array([1.0, 0.5])),),
    "DampedNewton(0.1)": (DampedNewton(0.1),),
    "StochasticNewton(damping)": (StochasticNewton(0.1), StochasticNewton()),
    "StochasticNewton(damping, 'independent')": (
        StochasticNewton(0.1, "independent"), StochasticNewton(0.0, "independent"),
    ),
    "Proximal()": (Proximal(),),
    "NaturalGradient(0.1)": (NaturalGradient(0.1),),
    "NaturalGradient(0.1, 'centred')": (NaturalGradient(0.1, "centred"),),
    "Adam()": (Adam(),),
    "AdamW()": (AdamW(),),
    "RMSProp()": (RMSProp(),),
    "SignSGD()": (SignSGD(),),
    "Clipped(1.0)": (Clipped(1.0),),
}
HEADS = ("method", "state", "exact law on", "besides", "limit", "time a step", "weak order", "threshold of the mean")
STEP, BATCHES = 0.01, {"single rows": 1, "batches of rows": 2, "stream": 12, "additive noise": 1}


def methods() -> str:
    """The table in Markdown, a row a method; where a law is exact is found out by asking for it."""
    lines = [HEADS, ("---",) * len(HEADS), *(_row(name, each) for name, each in EXAMPLES.items())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _row(name: str, rules: tuple[Rule, ...]) -> tuple[str, ...]:
    facts, problems = rules[0].facts, _problems().items()
    exact = [kind for kind, problem in problems if any(_closes(rule, problem, BATCHES[kind]) for rule in rules)]
    limit = facts.limit, facts.clock or "-", facts.order or "-"
    return f"`{name}`", _state(rules[0]), ", ".join(exact) or "nothing", facts.besides, *limit, facts.threshold


def _state(rule: Rule) -> str:
    state = "x" if not rule.slots else f"x and {rule.slots} like it"
    return f"{state}; asks for {rule.asks}" if isinstance(rule, CurvedRule) else state


def _problems() -> dict[str, QuadraticProblem]:
    """Small problems of each kind whose law closes for some method."""
    rows = np.array([[1.0, 0.2], [-0.3, 0.8], [0.5, -1.0], [0.1, 0.4]])
    finite = LeastSquares.from_arrays(rows, np.array([0.3, -0.2, 0.5, 0.1]))
    return {
        "single rows": finite, "batches of rows": finite,
        "stream": StreamingLeastSquares(np.array([1.0, 0.5]), 0.3, np.ones(2)),
        "additive noise": NoisyQuadratic([1.0, 0.5], [1.0, 1.0]),
    }  # fmt: skip


def _closes(rule: Rule, problem: QuadraticProblem, batch: int) -> bool:
    try:
        SGD(problem, STEP, batch, rule=rule).stationary()
    except SgdlimitsError:
        return False
    return True
