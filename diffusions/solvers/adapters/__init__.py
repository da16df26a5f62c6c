"""Other people's solvers, both ways: our diffusions run in theirs, and handed out or taken in as their objects."""

from ._diffrax import Diffrax, from_diffrax, to_diffrax
from ._sdeint import Sdeint, SdeintPair, from_sdeint, to_sdeint
from ._torchsde import TorchSDE, from_torchsde, to_torchsde
from .libraries import LibraryScheme, LibrarySteps

LIBRARIES: dict[str, type[LibraryScheme]] = {chosen.name: chosen for chosen in (TorchSDE, Sdeint, Diffrax)}

__all__ = [
    "LIBRARIES",
    "Diffrax",
    "LibraryScheme",
    "LibrarySteps",
    "Sdeint",
    "SdeintPair",
    "TorchSDE",
    "from_diffrax",
    "from_sdeint",
    "from_torchsde",
    "to_diffrax",
    "to_sdeint",
    "to_torchsde",
]
