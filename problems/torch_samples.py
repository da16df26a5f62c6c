"""A torch loss of one path and one sample as losses and gradients of many; a sum over samples is one pass back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput

from .problem import ReadOnlyFields
from .torch_functions import blocks, import_torch, tensor, vmapped


@dataclass(frozen=True, eq=False)
class TorchSamples(ReadOnlyFields):
    """Losses of samples, in double precision.

    Parameters
    ----------
    loss : function (x (d,), *sample) -> number
    arrays : tuple of arrays (n, ...)
    row_size : int
        Numbers that a sample makes on the way.
    """

    loss: Callable[..., Any]
    arrays: tuple[np.ndarray, ...]
    row_size: int

    @cached_property
    def _tensors(self) -> list[Any]:
        return [tensor(array) for array in self.arrays]

    @cached_property
    def _vmapped(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        return vmapped(self.loss), vmapped(self.loss, gradient=True)

    @cached_property
    def _losses(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """Losses (P, B) of tensors x (P, d) and samples of each path, or shared by all."""
        vmap, none = import_torch().func.vmap, (None,) * len(self.arrays)
        one = vmap(self.loss, in_dims=(None, *(0 for _ in self.arrays)))
        return vmap(one), vmap(one, in_dims=(0, *none))

    def value(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Losses (P, B) of the samples `rows` (P, B) at positions (P, d)."""
        return self._each(self._vmapped[0], x, rows)

    def gradient(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Gradients (P, B, d)."""
        return self._each(self._vmapped[1], x, rows)

    def weighted(
        self, x: np.ndarray, rows: np.ndarray, weights: np.ndarray | None, directions: np.ndarray | None = None
    ) -> np.ndarray:
        """Gradient (P, d) of the sum of losses times weights (P, B), or its Hessian times directions (P, d)."""
        torch, found = import_torch(), np.zeros(x.shape)
        for paths, samples in blocks(rows.shape, self.row_size):
            chosen = rows[paths, samples]
            shared = len(chosen) == 1 or not chosen.strides[0]
            numbers = torch.from_numpy(np.array(chosen[0] if shared else chosen))
            given = [values[numbers] for values in self._tensors]
            losses, at = self._losses[shared], tensor(x[paths]).requires_grad_()
            factors = torch.ones(1) if weights is None else tensor(weights[paths, samples])

            with _one_sample():
                total = (losses(at, *given) * factors).sum()
                (slope,) = torch.autograd.grad(total, at, create_graph=directions is not None)
                if directions is not None:  # back twice: the forward mode of torch's own losses is not to be relied on
                    (slope,) = torch.autograd.grad((slope * tensor(directions[paths])).sum(), at)
                found[paths] += slope.numpy()
        return found

    def along(self, x: np.ndarray, rows: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Derivatives (P, B) of the losses along directions (P, d)."""
        torch, found = import_torch(), np.empty(rows.shape)
        for paths, samples in blocks(rows.shape, self.row_size):
            numbers = torch.from_numpy(np.array(rows[paths, samples]))
            given, at = [values[numbers] for values in self._tensors], tensor(x[paths]).requires_grad_()
            with _one_sample():
                losses = self._losses[0](at, *given)
                factors = torch.ones_like(losses).requires_grad_()
                (slope,) = torch.autograd.grad((losses * factors).sum(), at, create_graph=True)
                moved = torch.autograd.grad((slope * tensor(directions[paths])).sum(), factors)[0]
                found[paths, samples] = moved.numpy()
        return found

    def _each(self, function: Callable[..., Any], x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        chosen = import_torch().from_numpy(np.array(rows))
        with _one_sample():
            return function(x, *(values[chosen] for values in self._tensors))


@contextmanager
def _one_sample() -> Iterator[None]:
    """What torch raises meanwhile is said of the loss of one sample."""
    try:
        yield
    except (RuntimeError, IndexError, TypeError) as error:
        raise InvalidInput(
            f"the torch loss fails on one sample: {str(error)[:200]}; it must give one number for "
            "loss(x (d,), *sample)"
        ) from None
