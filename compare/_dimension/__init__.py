"""How high must the dimension be? Error and concentration of homogenized SGD over dimension; data against Gaussian."""

from .concentration import concentration
from .concentration_result import Concentration
from .delocalisation import delocalisation
from .delocalisation_result import Delocalisation

__all__ = ["Concentration", "Delocalisation", "concentration", "delocalisation"]
