"""What a predictor must give: outputs of parameters and input, and the pullback of a slope in the outputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import numpy as np


class Predictor(ABC):
    """Outputs of parameters and input, and the parameters' gradient for a slope in the outputs.

    Attributes
    ----------
    inputs, outputs, dimension : int
        p, K and d.
    compiled : bool
        Whether `compiled_outputs(x (d,), input (p,), work, out (K,))` and `compiled_pullback(x, input, slope (K,),
        work, out (d,))` exist. Either finds `out` filled with zeros; the pullback follows the outputs of the same x and
        input, and `work` (work_size,) is as they left it.
    affine : bool
        Outputs are affine in the parameters.
    """

    inputs: int
    outputs: int
    dimension: int
    work_size: int = 0
    compiled: bool = True
    affine: ClassVar[bool] = False
    compiled_outputs: Callable[..., None]
    compiled_pullback: Callable[..., None]

    @abstractmethod
    def predict(self, x: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """Outputs (P, B, K) at parameters (P, d) and inputs (P, B, p)."""

    @abstractmethod
    def pullback(self, x: np.ndarray, inputs: np.ndarray, slopes: np.ndarray) -> np.ndarray:
        """Gradients (P, B, d) of <slopes (P, B, K), outputs> in the parameters."""

    @abstractmethod
    def start(self, paths: int, seed: int = 0) -> np.ndarray:
        """Parameters (paths, d) to start from, drawn as torch.nn.Linear draws its own (uniform, 1 / sqrt(fan-in))."""
