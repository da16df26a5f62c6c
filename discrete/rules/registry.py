"""The register of update rules: a name and a compiled form for each, told apart once a step by a whole number.

A whole number rather than a function lets numba keep the kernels on disk; a user's rule is compiled in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, cast

import numpy as np
from numba import types
from numba.extending import overload

from sgdlimits.exact.compiling import compiled
from sgdlimits.exact.errors import InvalidInput, nearest

from .adam import Adam, AdamW, adam
from .clipped import Clipped, clip
from .momentum import HeavyBall, Nesterov, Plain, heavy_ball, nesterov, plain
from .natural_gradient import NaturalGradient
from .newton import DampedNewton
from .preconditioned import Preconditioned, preconditioned
from .proximal import Proximal
from .rmsprop import RMSProp, rmsprop
from .rule import Rule, UserRule
from .sign import SignSGD, sign
from .stochastic_newton import StochasticNewton

RULES: tuple[type[Rule], ...] = (
    Plain, HeavyBall, Nesterov, Adam, AdamW, RMSProp, SignSGD, Preconditioned, Clipped, DampedNewton, NaturalGradient,
    StochasticNewton, Proximal,
)  # fmt: skip


@compiled
def _built_in(code, x, slots, p, gradient, row, step_size, k, settings):
    if code == 0: plain(x, slots, p, gradient, row, step_size, k, settings)  # fmt: skip  # noqa: E701
    elif code == 1: heavy_ball(x, slots, p, gradient, row, step_size, k, settings)  # fmt: skip  # noqa: E701
    elif code == 2: nesterov(x, slots, p, gradient, row, step_size, k, settings)  # fmt: skip  # noqa: E701
    elif code == 3 or code == 4: adam(x, slots, p, gradient, row, step_size, k, settings)  # fmt: skip  # noqa: E701
    elif code == 5: rmsprop(x, slots, p, gradient, row, step_size, k, settings)  # fmt: skip  # noqa: E701
    elif code == 6: sign(x, slots, p, gradient, row, step_size, k, settings)  # fmt: skip  # noqa: E701
    elif code == 7: preconditioned(x, slots, p, gradient, row, step_size, k, settings)  # fmt: skip  # noqa: E701


def apply_rule(rule, x, slots, p, gradient, row, step_size, k, settings):
    """Move path p of x (P, d) by row `row` of gradient; `rule` is a place in RULES or a user's compiled function."""
    raise NotImplementedError("only inside compiled loops")


@overload(apply_rule)
def _apply_rule(rule, x, slots, p, gradient, row, step_size, k, settings):
    if isinstance(rule, types.Integer):

        def move(rule, x, slots, p, gradient, row, step_size, k, settings):
            clip(gradient, row, settings[-1])
            _built_in(rule, x, slots, p, gradient, row, step_size, k, settings)

    else:

        def move(rule, x, slots, p, gradient, row, step_size, k, settings):
            clip(gradient, row, settings[-1])
            rule(x[p], slots[p], gradient[row], step_size, k, settings[:-1])

    return move


def compiled_rule(rule: Rule) -> tuple[int | Callable[..., None], np.ndarray]:
    """What compiled loops take as `rule` and `settings`, the norm to clip at last; the rule has a compiled form."""
    inner, largest = (rule.rule, rule.max_norm) if isinstance(rule, Clipped) else (rule, np.inf)
    place: Any = inner.kernel if isinstance(inner, UserRule) else RULES.index(type(inner))
    return place, np.array([*inner.settings, largest])


def find_rule(rule: Any) -> Rule:
    """A rule from its name, an object of `discrete.rules`, or a user's object with `move`.

    Raises
    ------
    InvalidInput
        If it is none of these, or a name of a rule that has no default settings.
    """
    if isinstance(rule, str):
        return _by_name(rule)
    if isinstance(rule, type) and issubclass(rule, Rule):
        raise InvalidInput(f"rule is the class {rule.__name__}: pass an object, such as {rule.__name__}(...)")
    if isinstance(rule, Rule):
        return rule
    if callable(getattr(rule, "move", None)):
        return UserRule.of(rule)
    raise InvalidInput(
        f"rule must be one of discrete.rules, a name, or an object with move(x, slots, gradient, step_size, k), "
        f"got {type(rule).__name__}"
    )


def _by_name(name: str) -> Rule:
    named = {_spelled(cls.__name__): cls for cls in RULES}
    if _spelled(name) not in named:
        meant = nearest(name.title().replace("_", ""), [cls.__name__ for cls in RULES])
        raise InvalidInput(f"rule {name[:40]!r} is not known; {meant} Or pass an object of discrete.rules")
    cls = named[_spelled(name)]
    try:
        return cls()
    except TypeError:
        first = fields(cast(Any, cls))[0].name
        raise InvalidInput(
            f"rule {name!r} has no default setting: pass an object, rules.{cls.__name__}({first}=...)"
        ) from None


def _spelled(name: str) -> str:
    return name.lower().replace("_", "").replace(" ", "")
