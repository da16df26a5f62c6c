"""A torch loss of one sample's outputs and target as a loss of this package; the objective is its mean over samples."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, calling, function as checked_function, shown

from .losses import OutputLoss
from .torch_functions import import_torch, tensor

TRIED = 4  # samples that a batch is tried with
APART = 1e-6  # relative: losses of single precision are taken
NAME = "loss, a torch function of outputs and target,"


@dataclass(frozen=True, eq=False)
class TorchLoss(OutputLoss):
    """A smooth torch loss of one sample, as in torch.nn.functional or torch.nn; every derivative by torch.func.

    Parameters
    ----------
    function : callable (outputs (K,), or () where K is 1; target ()) -> one number
        If it takes a batch of them too, it must give the mean of its losses of single samples, or these losses.
    classifies : bool
        Targets are classes, whole numbers.
    probes : array (T, K), optional
        Outputs that it is tried on, in its domain; default: standard normals.

    Raises
    ------
    MissingLibrary
        If torch is not installed.
    InvalidInput
        If it is not a function; when a problem is built with it, if it does not give one number for a sample, or gives
        a batch anything but the mean of its losses, or depends on chance.
    """

    function: Callable[..., Any]
    classifies: bool = False  # type: ignore[misc]  # of this object, not of the class
    compiled: bool = False
    probes: Any = None

    def __post_init__(self) -> None:
        torch = import_torch()
        checked_function("loss", self.function, "of outputs and target")
        if isinstance(self.function, torch.nn.Module):
            object.__setattr__(self, "function", copy.deepcopy(self.function).to("cpu", torch.float64).eval())

    def check(self, labels: np.ndarray, outputs: int) -> None:
        """One number for a sample, and for a batch the mean over it."""
        torch = import_torch()
        rows = np.unique(labels, return_index=True)[1][: TRIED - 1]
        targets = self._targets(np.append(labels[rows], labels[rows[0]]))  # one label twice
        probes = self.probes
        if probes is None:
            probes = np.random.Generator(np.random.Philox(23)).standard_normal((len(targets), outputs))
        given = tensor(np.resize(probes, (len(targets), outputs)))
        with calling(NAME), torch.no_grad(), torch.random.fork_rng(devices=[]):
            own, again = ([self._of_sample(one, target) for one, target in zip(given, targets)] for _ in range(2))
        if not isinstance(own[0], torch.Tensor) or own[0].shape != ():
            got = f"shape {tuple(own[0].shape)}" if isinstance(own[0], torch.Tensor) else type(own[0]).__name__
            raise InvalidInput(f"loss must give one number, a tensor of shape (), for one sample, got {got}")
        losses = torch.stack(own)
        if not losses.is_floating_point():
            raise InvalidInput(f"loss must give a real number, got {losses.dtype}")
        if not losses.isfinite().all():
            place = int(np.argmax(~losses.isfinite().numpy()))
            raise InvalidInput(
                f"loss gives {float(losses[place]):g} for one sample, of outputs {shown(given[place].tolist())} and "
                f"target {targets[place].item():g}: it must be finite for every sample by itself, without ignore_index"
            )
        if not _close(torch.stack(again), losses):
            raise InvalidInput("loss gives two numbers for one sample, so that it depends on chance: leave that out")
        try:
            with torch.no_grad():
                found = torch.as_tensor(self.function(given[:, 0] if outputs == 1 else given, targets))
        except Exception:  # a function of one sample: then nothing but its mean can be meant
            return
        whole = losses if found.shape == losses.shape else losses.mean()
        if found.shape not in ((), losses.shape) or not _close(found, whole):
            value = f"{float(found):.6g}" if found.shape == () else f"shape {tuple(found.shape)}"
            raise InvalidInput(
                f"loss is not a mean over samples: of a batch of {len(own)} it gives {value}, and the mean of its "
                f"losses of each is {float(losses.mean()):.6g}; take reduction='mean' without weights of classes, or "
                "a loss of one sample, since SGD's batches are means over samples"
            )

    def value(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Losses (...)."""
        return self._mapped("value", outputs, labels, ())

    def slope(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Derivative (..., K) in the outputs."""
        return self._mapped("slope", outputs, labels, outputs.shape[-1:])

    def curvature(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Second derivative (..., K, K) in the outputs."""
        return self._mapped("curvature", outputs, labels, 2 * outputs.shape[-1:])

    def correct(self, outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """The first of the largest outputs is the label's; of one output, whether it is above 0 where the label is."""
        if not self.classifies:
            raise InvalidInput("targets of this loss are no whole numbers, so there are no classes to be right about")
        if outputs.shape[-1] == 1:
            return (outputs[..., 0] > 0) == (labels > 0)
        return outputs.argmax(axis=-1) == labels

    @cached_property
    def _functions(self) -> dict[str, Callable[..., Any]]:
        func, one = import_torch().func, self._of_sample
        found = {"value": one, "slope": func.grad(one), "curvature": func.jacrev(func.grad(one))}
        return {name: func.vmap(function) for name, function in found.items()}

    def _of_sample(self, outputs: Any, target: Any) -> Any:
        return self.function(outputs[0] if len(outputs) == 1 else outputs, target)

    def _targets(self, labels: np.ndarray) -> Any:
        return tensor(labels.astype(np.int64) if self.classifies else labels)

    def _mapped(self, name: str, outputs: np.ndarray, labels: np.ndarray, tail: tuple[int, ...]) -> np.ndarray:
        flat = np.broadcast_to(labels, outputs.shape[:-1]).reshape(-1)
        with calling(NAME), import_torch().no_grad():
            found = self._functions[name](tensor(outputs.reshape(flat.size, -1)), self._targets(flat))
        return found.to(import_torch().float64).numpy().reshape(*outputs.shape[:-1], *tail)


def _close(found: Any, whole: Any) -> bool:
    return bool((found - whole).abs().max() <= APART * whole.abs().max())
