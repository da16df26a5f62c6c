"""All schemes by name."""

from __future__ import annotations

from typing import Any

from sgdlimits.exact.errors import InvalidInput, one_of

from .adapters import LIBRARIES
from .additive_runge_kutta import StochasticRungeKuttaA1, StochasticRungeKuttaA3
from .commutative_runge_kutta import StochasticRungeKuttaI2
from .drift_implicit_euler import DriftImplicitEuler
from .euler_maruyama import EulerMaruyama
from .exponential_euler import ExponentialEuler
from .heun import StochasticHeun
from .milstein import Milstein
from .ninomiya_victoir import NinomiyaVictoir
from .scheme import Scheme
from .strang import Strang, WeakStrang
from .strong_runge_kutta import StochasticRungeKuttaW1, StochasticRungeKuttaW2
from .tamed_euler import TamedEuler
from .weak_euler import WeakEuler
from .weak_runge_kutta import WeakRungeKuttaDRI1, WeakRungeKuttaRI6

SCHEMES: dict[str, type[Scheme]] = {
    chosen.name: chosen
    for chosen in (
        EulerMaruyama,
        WeakEuler,
        TamedEuler,
        DriftImplicitEuler,
        ExponentialEuler,
        Strang,
        WeakStrang,
        Milstein,
        StochasticHeun,
        StochasticRungeKuttaI2,
        StochasticRungeKuttaA1,
        StochasticRungeKuttaA3,
        StochasticRungeKuttaW1,
        StochasticRungeKuttaW2,
        WeakRungeKuttaRI6,
        WeakRungeKuttaDRI1,
        NinomiyaVictoir,
    )
}


def find_scheme(solver: Any) -> Scheme:
    """The scheme of a name in SCHEMES or of a library in LIBRARIES; a scheme passes through.

    Raises
    ------
    InvalidInput
        If the name is not known; the nearest one is named.
    """
    if isinstance(solver, Scheme):
        return solver
    if isinstance(solver, type) and issubclass(solver, Scheme):
        raise InvalidInput(f"solver is the class {solver.__name__}: pass an instance, {solver.__name__}()")
    known = {**SCHEMES, **LIBRARIES}
    return known[one_of("solver", solver, known)]()
