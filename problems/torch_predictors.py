"""A torch function or module as a predictor (torch is imported when one is built)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from sgdlimits.exact.derivative_check import probe
from sgdlimits.exact.errors import InvalidInput, calling, whole_number

from .predictor import Predictor
from .torch_functions import blocks, import_torch, stands_alone, tensor, vmapped
from .torch_modules import ModuleFunction, module_function
from .user_predictors import check_sizes, layers_of_sizes, normal_start

THROUGH = "the torch function, for many paths at once through torch.func,"


@dataclass(frozen=True, eq=False)
class TorchPredictor(Predictor):
    """A predictor in torch, in double precision; every derivative by torch.func.

    Parameters
    ----------
    function : f(x (d,), input (p,)) -> tensor (K,), or () for one output
        Written for one path and one sample.
    inputs, outputs, dimension : int
        p, K and d.
    initial : array (d,), optional
        Where `start` starts; by default at standard normals over sqrt(d).
    activations : int, optional
        Numbers that the function makes on the way for a sample, by which batches are cut to fit in memory.

    Raises
    ------
    MissingLibrary
        If torch is not installed.
    InvalidInput
        If the function returns another shape.
    """

    function: Callable[..., Any]
    inputs: int
    outputs: int
    dimension: int
    initial: np.ndarray | None = None
    activations: int = 0
    compiled: bool = field(default=False, init=False)

    batched = multiplies_batches = True
    exact_hessians = True

    def __post_init__(self) -> None:
        check_sizes(self)
        x, point = probe(self.dimension)[0][None], probe(self.inputs)[0][None, None]
        if isinstance(self.function, ModuleFunction) and not self.function.mapped:
            return
        found = self._through_torch("value", x, point)
        if found.reshape(1, 1, -1).shape[-1] != self.outputs:
            raise InvalidInput(f"function must return {self.outputs} outputs for one input, got {found.shape[2:]}")

    @classmethod
    def from_module(cls, net: Any, inputs: int | tuple[int, ...], whole: bool = False) -> TorchPredictor:
        """A torch module: x holds its parameters as `parameters_to_vector` orders them, `initial` those it has now.

        A copy in double precision is used; the module itself is left alone. Parameters that require no gradient stay as
        they are.

        Parameters
        ----------
        net : torch.nn.Module
            Without parts that are in training mode and behave otherwise there, as Dropout and BatchNorm do.
        inputs : int or tuple of int
            p: the module is called on single inputs (p,); a shape: on batches (B, *shape).
        whole : bool
            Inputs are whole numbers.
        """
        batched = isinstance(inputs, tuple)
        shape = inputs if isinstance(inputs, tuple) else (inputs,)
        function, outputs, activations = module_function(net, shape, batched, whole)
        initial = function.initial()
        return cls(function, int(np.prod(shape)), outputs, initial.size, initial, activations)

    @property
    def layers(self):
        """The parts of the module that hold parameters of their own; of a function one."""
        if isinstance(self.function, ModuleFunction):
            return layers_of_sizes(self.function.sizes())
        return {"weights": slice(0, self.dimension)}

    @property
    def row_size(self) -> int:
        """Input, outputs and what is made on the way."""
        return self.inputs + self.outputs + (self.activations or 8 * (self.inputs + self.outputs))

    def alone(self, samples: int) -> bool:
        """Whether so many samples of a path are worked out by themselves, so that its bits know no other path."""
        return stands_alone(samples, self.row_size)

    @cached_property
    def _of_path(self) -> Callable[..., Any]:
        """Outputs (B, K) of tensors x (d,) and inputs (B, p)."""
        if isinstance(self.function, ModuleFunction):
            return self.function.batch
        return import_torch().func.vmap(lambda x, a: self.function(x, a).reshape(-1), in_dims=(None, 0))

    @cached_property
    def _batch(self) -> Callable[..., Any]:
        """Outputs (P, B, K) of tensors x (P, d) and inputs (P, B, p), and of inputs (B, p) that all paths share."""
        vmap, one = import_torch().func.vmap, self._of_path
        each, shared = vmap(one), vmap(one, in_dims=(0, None))
        if isinstance(self.function, ModuleFunction) and not self.function.mapped:
            stack = import_torch().stack
            return lambda x, inputs: stack(
                [one(each, inputs if inputs.ndim == 2 else inputs[place]) for place, each in enumerate(x)]
            )

        def outputs(x: Any, inputs: Any) -> Any:
            if inputs.ndim == 3:
                return each(x, inputs)
            return one(x[0], inputs)[None] if len(x) == 1 else shared(x, inputs)

        return outputs

    def _blocks(self, inputs: np.ndarray) -> Iterator[tuple[slice, slice, Any]]:
        """Paths, samples and their inputs, once where all paths share them."""
        for some, rows in blocks(inputs.shape, self.row_size):
            part = inputs[some, rows]
            shared = len(part) == 1 and self.alone(inputs.shape[1]) or (len(part) > 1 and not part.strides[0])
            yield some, rows, tensor(part[0] if shared else part)

    @cached_property
    def _vmapped(self) -> dict[str, Callable[..., Any]]:
        """Derivatives of <slopes, outputs> for many paths and samples."""
        func = import_torch().func

        def inner(x, a, slope):
            return (self.function(x, a).reshape(-1) * slope).sum()

        def both(x, a, slope):
            def outputs(x):
                found = self.function(x, a).reshape(-1)
                return (found * slope).sum(), found

            gradient, found = func.grad(outputs, has_aux=True)(x)
            return found, gradient

        pulled = func.grad(inner)
        hessian = func.jacrev(pulled)  # not forward: torch has one such mode at a time, whatever the threads

        def contracted(x, a, slope, matrix):
            return (hessian(x, a, slope) * matrix).sum()

        def differentials(x, a, slope, along):
            bent, moved = func.grad(lambda x, slope: (pulled(x, a, slope) * along).sum(), argnums=(0, 1))(x, slope)
            return moved, bent

        made = {
            "value": self.function,
            "pullback": pulled,
            "both": both,
            "hessians": hessian,
            "hessian_gradient": func.grad(contracted),
            "input_pullback": func.grad(inner, argnums=1),
            "mixed": func.jacrev(func.grad(inner, argnums=1), argnums=0),
            "differentials": differentials,
        }
        return {name: vmapped(function) for name, function in made.items()}

    def _through_torch(self, name: str, *arrays: np.ndarray) -> Any:
        with calling(THROUGH):
            return self._vmapped[name](*arrays)

    def predict(self, x, inputs):
        """The function's outputs."""
        found = np.empty((*inputs.shape[:-1], self.outputs))
        with import_torch().no_grad(), calling(THROUGH):
            for paths, samples, part in self._blocks(inputs):
                found[paths, samples] = self._batch(tensor(x[paths]), part).numpy()
        return found

    def batch_pullback(self, x, inputs, slopes_of):
        """Gradients (P, d) of the sum over samples of <slopes_of(outputs, paths, samples), outputs>."""
        torch, found = import_torch(), np.empty(x.shape)
        for paths, samples, part in self._blocks(inputs):
            at = tensor(x[paths]).requires_grad_()
            with calling(THROUGH):
                outputs = self._batch(at, part)
            if not outputs.requires_grad:
                raise InvalidInput(
                    "the outputs of net have no derivative in its weights: leave out detach(), no_grad and whatever "
                    "leaves torch on the way"
                )
            slopes = tensor(slopes_of(outputs.detach().numpy(), paths, samples))
            with calling(THROUGH):
                gradient = torch.autograd.grad(outputs, at, slopes)[0].numpy()
            found[paths] = found[paths] + gradient if samples.start else gradient
        return found

    def outputs_along(self, x, inputs, directions):
        """One way forth and two back."""
        found = np.empty((*inputs.shape[:-1], self.outputs))
        for paths, samples, part in self._blocks(inputs):
            with calling(THROUGH):
                found[paths, samples] = self._moved(x[paths], part, None, directions[paths])[2].numpy()
        return found

    def hessian_products(self, x, inputs, slopes, curvatures, directions):
        """One way forth and three back along each direction."""
        torch, found = import_torch(), np.zeros(directions.shape)
        for paths, samples, part in self._blocks(inputs):
            pull, bend = tensor(slopes[paths, samples]), tensor(curvatures[paths, samples])
            for place in range(directions.shape[1]):
                with calling(THROUGH):
                    at, outputs, moved, bent = self._moved(x[paths], part, pull, directions[paths, place])
                    curved = (bend @ moved[..., None])[..., 0]
                    found[paths, place] += (bent + torch.autograd.grad(outputs, at, curved)[0]).numpy()
        return found

    def _moved(self, x: np.ndarray, part: Any, slopes: Any, directions: np.ndarray) -> tuple[Any, Any, Any, Any]:
        """Weights, outputs, J directions and, given slopes, the Hessian of <slopes, outputs> times directions.

        Back twice, for torch knows one forward mode at a time, whatever the threads.
        """
        torch, at = import_torch(), tensor(x).requires_grad_()
        outputs = self._batch(at, part)
        dual = torch.zeros_like(outputs).requires_grad_()
        pulled = torch.autograd.grad(outputs, at, dual if slopes is None else dual + slopes, create_graph=True)[0]
        along = (pulled * tensor(directions)).sum()
        moved, bent = torch.autograd.grad(along, (dual, at), retain_graph=True, allow_unused=True)
        return at, outputs, moved, torch.zeros_like(at) if bent is None else bent

    def pullback(self, x, inputs, slopes):
        """Gradients of <slopes, outputs>."""
        return self._through_torch("pullback", x, inputs, slopes)

    def predict_and_pullback(self, x, inputs, slopes):
        """Both in one pass."""
        return self._through_torch("both", x, inputs, slopes)

    def hessians(self, x, inputs, slopes):
        """By torch."""
        return self._through_torch("hessians", x, inputs, slopes)

    def differentials(self, x, inputs, slopes, direction):
        """By torch."""
        along = np.broadcast_to(direction[:, None], (*slopes.shape[:-1], direction.shape[-1]))
        return self._through_torch("differentials", x, inputs, slopes, along)

    def hessian_gradient(self, x, inputs, slopes, matrix):
        """By torch."""
        matrix = np.broadcast_to(matrix[:, None], (*slopes.shape[:-1], *matrix.shape[1:]))
        return self._through_torch("hessian_gradient", x, inputs, slopes, matrix)

    def input_pullback(self, x, inputs, slopes):
        """By torch."""
        return self._through_torch("input_pullback", x, inputs, slopes)

    def mixed(self, x, inputs, slopes):
        """By torch."""
        return self._through_torch("mixed", x, inputs, slopes)

    def start(self, paths, seed=0):
        """The module's own parameters, else standard normals over sqrt(d)."""
        if self.initial is not None:
            return np.tile(self.initial, (whole_number("paths", paths, 1), 1))
        return normal_start(paths, seed, self.dimension)
