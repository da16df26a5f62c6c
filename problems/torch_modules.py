"""A torch module as a function of flat parameters, for one sample and for a batch, and what it must be for that."""

from __future__ import annotations

import copy
import threading
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput

from .problem import ReadOnlyFields
from .torch_functions import import_torch

PROBED = 2  # samples that a module is tried on
ALIKE = 1e-9  # relative difference of outputs up to which they are the same but for rounding


@dataclass(frozen=True, eq=False)
class ModuleFunction(ReadOnlyFields):
    """Outputs of a module at parameters x (d,), those that require a gradient in their order, in double precision.

    Parameters
    ----------
    net : torch.nn.Module
        A copy, in double precision.
    names : tuple of str
        Of the parameters that x holds; all else is as in `net`.
    shape : tuple of int
        Of an input, which is handed over flat.
    batched : bool
        The module takes batches (B, *shape); else one input, of this shape.
    whole : bool
        Inputs are whole numbers, tokens for example.
    """

    net: Any
    names: tuple[str, ...]
    shape: tuple[int, ...]
    batched: bool
    whole: bool = False

    @cached_property
    def mapped(self) -> bool:
        """Whether torch takes many weights at once: nn.RNN, LSTM and GRU, compiled in one piece, it does not."""
        return not any(isinstance(part, import_torch().nn.RNNBase) for part in self.net.modules())

    @cached_property
    def _copies(self) -> threading.local:
        return threading.local()

    @property
    def _own(self) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        """This thread's copy of the module, since parameters are put into it: with those of x, and all else."""
        if not hasattr(self._copies, "held"):
            net = copy.deepcopy(self.net)
            parameters = dict(net.named_parameters())
            moved = {name: parameters.pop(name) for name in self.names}
            self._copies.held = net, {name: each.shape for name, each in moved.items()}, dict(net.named_buffers())
        return self._copies.held

    def initial(self) -> np.ndarray:
        """The parameters (d,) that the module has."""
        parameters = dict(self.net.named_parameters())
        return np.concatenate([parameters[name].detach().numpy().ravel() for name in self.names])

    def sizes(self) -> dict[str, int]:
        """Numbers of parameters of each part that holds some of its own, in the order of x."""
        parameters, found = dict(self.net.named_parameters()), dict[str, int]()
        for name in self.names:
            part = name.rpartition(".")[0] or "weights"
            found[part] = found.get(part, 0) + parameters[name].numel()
        return found

    def __call__(self, x: Any, a: Any) -> Any:
        """Outputs (K,) at one input (p,)."""
        return self.batch(x, a[None])[0] if self.batched else self._outputs(x, self._shaped(a, self.shape)).reshape(-1)

    def batch(self, x: Any, inputs: Any) -> Any:
        """Outputs (B, K) at inputs (B, p)."""
        if not self.batched:
            return import_torch().func.vmap(self, in_dims=(None, 0))(x, inputs)
        return self._outputs(x, self._shaped(inputs, (-1, *self.shape))).reshape(len(inputs), -1)

    def _shaped(self, inputs: Any, shape: tuple[int, ...]) -> Any:
        inputs = inputs.reshape(shape)
        return inputs.long() if self.whole else inputs

    def _outputs(self, x: Any, inputs: Any) -> Any:
        net, shapes, buffers = self._own
        parts = zip(shapes.items(), x.split([shape.numel() for shape in shapes.values()]))
        parameters = {name: part.reshape(shape) for (name, shape), part in parts}
        return import_torch().func.functional_call(net, {**parameters, **buffers}, (inputs,))

    def activations(self, inputs: np.ndarray) -> tuple[int, int]:
        """Number of outputs K of a sample, and of all numbers that the parts of the module give for it.

        Raises
        ------
        InvalidInput
            If the module cannot take these inputs (B, *shape), or gives something else than numbers for each.
        """
        torch = import_torch()
        net, _, _ = self._own
        seen: list[int] = []
        hooks = [part.register_forward_hook(lambda _, __, found: seen.append(_size(found))) for part in net.modules()]
        given = inputs if self.batched else inputs[0]
        try:
            found = _called(net, self._shaped(torch.tensor(given, dtype=torch.float64), given.shape), self.batched)
        finally:
            for hook in hooks:
                hook.remove()
        if self.batched and (found.ndim not in (1, 2) or len(found) != len(given)):
            raise InvalidInput(
                f"net must return (batch,) or (batch, outputs), got {tuple(found.shape)} for a batch of {len(given)}"
            )
        samples = len(given) if self.batched else 1
        return found.numel() // samples, sum(seen) // samples


def _called(net: Any, given: Any, batched: bool) -> Any:
    """What a module gives for a tensor, which it may write into."""
    torch, shape = import_torch(), tuple(given.shape)
    try:
        with torch.no_grad():
            found = net(given.clone())
    except (RuntimeError, TypeError, IndexError, ValueError, NotImplementedError) as error:
        what = "a batch of inputs" if batched else "one input"
        raise InvalidInput(f"net cannot take {what} of shape {shape}: {str(error)[:200]}") from None
    if not isinstance(found, torch.Tensor):
        raise InvalidInput(f"net must return a tensor, got {type(found).__name__}: wrap it to return its outputs alone")
    if found.dtype != torch.float64:
        raise InvalidInput(
            f"net returns {found.dtype} where weights and inputs are torch.float64: leave out what changes the type, "
            "float() or argmax for example"
        )
    return found


def module_function(
    net: Any, shape: tuple[int, ...], batched: bool, whole: bool = False
) -> tuple[ModuleFunction, int, int]:
    """A module as a function of the parameters that require a gradient, its number of outputs, and of activations.

    A copy in double precision is used, in the mode that it is in; the module itself is left alone.

    Raises
    ------
    InvalidInput
        If it is not a module, has nothing to descend, cannot take an input of this shape, or gives other outputs in
        training than in evaluation mode.
    """
    copied = module_copy(net)
    names = tuple(name for name, parameter in copied.named_parameters() if parameter.requires_grad)
    for parameter in copied.parameters():
        parameter.requires_grad_(False)
    if not names:
        raise InvalidInput("net has no parameters that require a gradient, so there is nothing to descend")
    function = ModuleFunction(copied, names, shape, batched, whole)
    probes = np.random.Generator(np.random.Philox(22)).standard_normal((PROBED, *shape))
    check_modes(net, np.zeros_like(probes) if whole else probes, whole, batched)
    return function, *function.activations(np.zeros((PROBED, *shape)))


def module_copy(net: Any) -> Any:
    """A copy of a module on the processor, in double precision.

    Raises
    ------
    InvalidInput
        If it is no module, has not got its parameters yet, or they are not real numbers on one device.
    """
    torch = import_torch()
    if not isinstance(net, torch.nn.Module):
        raise InvalidInput(f"net must be a torch.nn.Module, got {type(net).__name__}")
    if isinstance(net, torch.jit.ScriptModule):
        raise InvalidInput("net is a scripted module, into which no weights can be put: give the module itself")
    if any(torch.nn.parameter.is_lazy(parameter) for parameter in net.parameters()):
        raise InvalidInput("net has lazy modules, whose parameters are not made yet: call it once on a batch")
    for name, each in net.named_parameters():
        if not each.is_floating_point():
            raise InvalidInput(
                f"parameter {name!r} of net is of {each.dtype}, and SGD moves real numbers: make it a buffer if it is "
                "not to be trained, or give net.float()"
            )
        if each.requires_grad and not each.is_meta and not each.isfinite().all():
            raise InvalidInput(f"parameter {name!r} of net holds numbers that are not finite: draw the weights again")
    devices = sorted({str(each.device) for each in (*net.parameters(), *net.buffers())})
    if len(devices) > 1:
        raise InvalidInput(
            f"the weights of net lie on {len(devices)} devices, {', '.join(devices)}, and one is allowed: put them "
            "together by net.to('cpu')"
        )
    if devices == ["meta"]:
        raise InvalidInput("the weights of net lie on the device 'meta', where they have no values: build it on 'cpu'")
    copied = copy.deepcopy(net).to("cpu", torch.float64)
    for part in copied.modules():  # attention's short cuts have no derivative, or no second one
        if isinstance(part, torch.nn.MultiheadAttention):
            part.register_forward_pre_hook(_written_out, with_kwargs=True)
            if not part.training:
                part.training, part.dropout = True, 0.0
        elif isinstance(part, torch.nn.TransformerEncoderLayer):
            part.activation_relu_or_gelu = 0
    return copied


def _written_out(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of an attention that makes its weights, which are products of matrices, and gives them too."""
    return given, named if len(given) > 4 else {**named, "need_weights": True}


def check_module(net: Any, inputs: np.ndarray, whole: bool) -> None:
    """Refuse a module whose output for a sample depends on chance, on its mode, or on the rest of the batch.

    Parameters
    ----------
    net : torch.nn.Module
        As the user gave it, in training or evaluation mode.
    inputs : array (B, *shape)
        Some of the data.
    whole : bool
        They are whole numbers.

    Raises
    ------
    InvalidInput
        If it does.
    """
    torch = import_torch()
    settled = check_modes(net, inputs, whole, batched=True)
    with torch.random.fork_rng(devices=[]):
        alone = torch.cat([_called(module_copy(net).eval(), each[None], True) for each in _given(inputs, whole)])
    if not _alike(alone, settled):
        raise InvalidInput(
            "net gives a sample other outputs in a batch than by itself, and here a sample has one loss: leave out "
            "what mixes samples"
        )


def check_modes(net: Any, inputs: np.ndarray, whole: bool, batched: bool) -> Any:
    """Its outputs for inputs (B, *shape) in evaluation mode; refused if others in the mode that it is in."""
    torch = import_torch()
    given = _given(inputs if batched else inputs[0], whole)
    with torch.random.fork_rng(devices=[]):
        kept = module_copy(net)
        settled = _called(module_copy(net).eval(), given, batched)
        trained = [_called(each, given, batched) for each in (module_copy(net), kept)]
    if any(not _alike(each, settled) for each in trained):
        kinds = {type(part).__name__ for part in net.modules() if part.training and _has_a_mode(part)}
        names = f" ({', '.join(sorted(kinds))})" if kinds else ""
        raise InvalidInput(
            f"net{names} gives other outputs in training than in evaluation mode, as Dropout and BatchNorm do, and "
            "here a sample has one loss: leave such parts out, take GroupNorm or LayerNorm, or call net.eval() to have "
            "their evaluation mode throughout"
        )
    with torch.random.fork_rng(devices=[]):
        again = _called(kept, given, batched)
    if not _alike(again, settled):
        raise InvalidInput(
            "net gives other outputs when it is called again, so that it keeps something from call to call, and here a "
            "sample has one loss: make its outputs a function of weights and inputs"
        )
    return settled



def _given(inputs: np.ndarray, whole: bool) -> Any:
    torch = import_torch()
    return torch.tensor(inputs, dtype=torch.long if whole else torch.float64)


def _has_a_mode(part: Any) -> bool:
    return any(known in type(part).__name__ for known in ("Dropout", "BatchNorm", "RReLU"))


def _alike(one: Any, other: Any) -> bool:
    scale = float(other.nan_to_num().abs().max())
    close = import_torch().allclose
    return one.shape == other.shape and close(one, other, rtol=0.0, atol=ALIKE * scale, equal_nan=True)


def _size(found: Any) -> int:
    parts = found if isinstance(found, (tuple, list)) else (found,)
    return sum(part.numel() for part in parts if hasattr(part, "numel"))
