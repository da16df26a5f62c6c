"""What a predictor must give: outputs of parameters and input, pullbacks of slopes in the outputs, and Hessians."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from sgdlimits.exact.numerical_derivatives import contraction, derivative, slope_along

from .problem import ReadOnlyFields


class Predictor(ReadOnlyFields):
    """Outputs of parameters and input, and the parameters' gradient for a slope in the outputs.

    Attributes
    ----------
    inputs, outputs, dimension : int
        p, K and d.
    compiled : bool
        Whether `compiled_outputs(x (d,), input (p,), work, out (K,))` and `compiled_pullback(x, input, slope (K,),
        work, out (d,))` exist. Either finds `out` filled with zeros; the pullback follows the outputs of the same x and
        input, and `work` (work_size,) is as they left it.
    batched : bool
        Whether `batch_pullback(x (P, d), inputs (P, B, p), slopes_of)` exists: gradients (P, d) of the sum over samples
        of <slopes, outputs>, from one way forth and one back, with no (P, B, d) in between. `slopes_of(outputs, paths,
        samples)` gives the slopes for the outputs of a slice of paths and one of samples. `row_size`: numbers that this
        keeps of a path's sample. Such a predictor cuts samples into blocks itself. `alone(samples)`: whether the bits
        that so many samples of a path give do not depend on how many paths are asked with it.
    affine : bool
        Outputs are affine in the parameters.
    multiplies_batches : bool
        Whether `hessian_products(x (P, d), inputs (P, B, p), slopes (P, B, K), curvatures (P, B, K, K), directions
        (P, m, d))` exists: sums over samples of (J' curvature J + Hessian of <slopes, outputs>) times the directions,
        (P, m, d), J the Jacobian of the outputs, with no (P, B, d) in between; and `outputs_along(x, inputs, directions
        (P, d))`, J times the direction, (P, B, K).
    sums_pullbacks : bool
        Whether `summed_pullback(x (P, d), inputs (P, B, p), slopes (P, B, K))` exists: the sum over samples (P, d) of
        the pullbacks, with no (P, B, d) in between.
    exact_hessians : bool
        `hessians` are no differences of the pullback.
    """

    inputs: int
    outputs: int
    compiled: bool = True
    batched: ClassVar[bool] = False
    multiplies_batches: ClassVar[bool] = False
    sums_pullbacks: ClassVar[bool] = False
    affine: ClassVar[bool] = False
    exact_hessians: ClassVar[bool] = False
    compiled_outputs: Callable[..., None]
    compiled_pullback: Callable[..., None]
    batch_pullback: Callable[..., np.ndarray]
    alone: Callable[[int], bool]
    hessian_products: Callable[..., np.ndarray]
    summed_pullback: Callable[..., np.ndarray]
    outputs_along: Callable[..., np.ndarray]

    if TYPE_CHECKING:  # read only: a leaf has a field or a property

        @property
        def dimension(self) -> int: ...

        @property
        def work_size(self) -> int: ...

        @property
        def row_size(self) -> int: ...

    else:
        work_size = 0

    @property
    @abstractmethod
    def layers(self) -> dict[str, slice]:
        """Name of each layer, and where its weights and biases lie in x: all of x, in order."""

    @abstractmethod
    def predict(self, x: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """Outputs (P, B, K) at parameters (P, d) and inputs (P, B, p)."""

    @abstractmethod
    def pullback(self, x: np.ndarray, inputs: np.ndarray, slopes: np.ndarray) -> np.ndarray:
        """Gradients (P, B, d) of <slopes (P, B, K), outputs> in the parameters."""

    @abstractmethod
    def predict_and_pullback(
        self, x: np.ndarray, inputs: np.ndarray, slopes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Both."""

    @abstractmethod
    def hessians(self, x: np.ndarray, inputs: np.ndarray, slopes: np.ndarray) -> np.ndarray:
        """Hessians (P, B, d, d) of <slopes, outputs> in the parameters."""

    @abstractmethod
    def differentials(
        self, x: np.ndarray, inputs: np.ndarray, slopes: np.ndarray, direction: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Derivatives of outputs (P, B, K) and of the pullback (P, B, d) of slopes, along `direction` (P, d)."""

    @abstractmethod
    def hessian_gradient(
        self, x: np.ndarray, inputs: np.ndarray, slopes: np.ndarray, matrix: np.ndarray
    ) -> np.ndarray:
        """Gradients (P, B, d) in the parameters of <matrix, hessians>, for a symmetric `matrix` (P, d, d)."""

    @abstractmethod
    def input_pullback(self, x: np.ndarray, inputs: np.ndarray, slopes: np.ndarray) -> np.ndarray:
        """Gradients (P, B, p) of <slopes, outputs> in the inputs."""

    @abstractmethod
    def mixed(self, x: np.ndarray, inputs: np.ndarray, slopes: np.ndarray) -> np.ndarray:
        """Derivatives (P, B, p, d) of `input_pullback` in the parameters."""

    @abstractmethod
    def start(self, paths: int, seed: int = 0) -> np.ndarray:
        """Parameters (paths, d) to start from, drawn as torch.nn.Linear draws its own (uniform, 1 / sqrt(fan-in))."""


def hessians_by_differences(
    predictor: Predictor, x: np.ndarray, inputs: np.ndarray, slopes: np.ndarray
) -> np.ndarray:
    """`hessians` from the pullback."""
    full = derivative(lambda point: predictor.pullback(point, inputs, slopes), x)
    return (full + full.swapaxes(-1, -2)) / 2


def differentials_by_differences(
    predictor: Predictor, x: np.ndarray, inputs: np.ndarray, slopes: np.ndarray, direction: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """`differentials` from outputs and pullback."""
    length = np.linalg.norm(direction, axis=-1, keepdims=True)
    unit = direction / np.where(length > 0, length, 1.0)
    outputs = slope_along(lambda point: predictor.predict(point, inputs), x, unit)
    pulled = slope_along(lambda point: predictor.pullback(point, inputs, slopes), x, unit)
    return length[:, None] * outputs, length[:, None] * pulled


def hessian_gradient_by_differences(
    predictor: Predictor, x: np.ndarray, inputs: np.ndarray, slopes: np.ndarray, matrix: np.ndarray
) -> np.ndarray:
    """`hessian_gradient` from the pullback."""
    return contraction(lambda point: predictor.pullback(point, inputs, slopes), x, matrix)


def input_pullback_by_differences(
    predictor: Predictor, x: np.ndarray, inputs: np.ndarray, slopes: np.ndarray
) -> np.ndarray:
    """`input_pullback` from the outputs."""
    return derivative(lambda points: (predictor.predict(x, points) * slopes).sum(-1), inputs)


def mixed_by_differences(predictor: Predictor, x: np.ndarray, inputs: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """`mixed` from the pullback."""
    return derivative(lambda points: predictor.pullback(x, points, slopes), inputs).swapaxes(-1, -2)
