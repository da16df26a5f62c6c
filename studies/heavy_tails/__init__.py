"""Heavy tails on both sides: indices exact, bounded and fitted; which optimisers have a power tail, and why."""

if not __name__.startswith("sgdlimits."):
    raise ImportError("import sgdlimits.studies, not studies")

from .optimisers import OptimiserTail, optimiser_tails
from .study import HeavyTailsResult, HeavyTailsStudy

Study = HeavyTailsStudy

__all__ = ["HeavyTailsResult", "HeavyTailsStudy", "OptimiserTail", "Study", "optimiser_tails"]
