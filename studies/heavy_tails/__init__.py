"""Heavy tails on both sides: which optimisers have a power tail, which have not, and how that is known."""

if not __name__.startswith("sgdlimits."):
    raise ImportError("import sgdlimits.studies, not studies")

from .optimisers import OptimiserTail, optimiser_tails

__all__ = ["OptimiserTail", "optimiser_tails"]
