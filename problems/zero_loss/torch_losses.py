"""Derivatives of a torch loss L(w) or L_hat(w, eta) of one path, by torch.func, for many paths at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..problem import ReadOnlyFields
from ..torch_functions import import_torch, tensor


@dataclass(frozen=True, eq=False)
class LossDerivative(ReadOnlyFields):
    """One derivative of a loss as a NumPy function; a copy can be pickled where the loss can.

    Parameters
    ----------
    function : L(w (m,)) -> scalar tensor, or L_hat(w, eta (q,)) where noise_size > 0
    noise_size : int
        q.
    name : str
        "loss", "gradient", "product" and "third_product" of (w, vector (m,)), or one of `user_loss.NOISE_FUNCTIONS`.
    """

    function: Callable[..., Any]
    noise_size: int
    name: str

    def __call__(self, *arrays: np.ndarray) -> np.ndarray:
        """Values (P, ...) for arrays (P, ...)."""
        return self._vmapped(*map(tensor, arrays)).detach().numpy()

    @cached_property
    def _vmapped(self) -> Callable[..., Any]:
        torch = import_torch()
        func, function, size = torch.func, self.function, self.noise_size

        def zero(w):
            return torch.zeros(size, dtype=w.dtype)

        def clean(w):
            return function(w, zero(w)) if size else function(w)

        def product(w, vector):
            return func.jvp(func.grad(clean), (w,), (vector,))[1]

        def laplacian(w, eta):
            return func.hessian(function, argnums=1)(w, eta).diagonal().sum()

        def regulariser(w):
            return laplacian(w, zero(w)) / 2

        def fourth(w):
            return func.hessian(laplacian, argnums=1)(w, zero(w)).diagonal().sum() / 8

        made = {
            "loss": function,
            "gradient": func.grad(function),
            "product": product,
            "third_product": func.grad(lambda w, vector: product(w, vector) @ vector),
            "noise_matrix": lambda w: func.jacrev(func.grad(function), argnums=1)(w, zero(w)),
            "regulariser": regulariser,
            "regulariser_gradient": func.grad(regulariser),
            "fourth_gradient": func.grad(fourth),
        }
        return func.vmap(made[self.name])
