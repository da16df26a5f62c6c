"""Weights of a torch module as its reset_parameters draws them, with random numbers of this package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.ensembles.random import Noise, Purpose
from sgdlimits.exact.errors import InvalidInput, calling

from .problem import ReadOnlyFields
from .torch_functions import import_torch
from .torch_modules import module_copy

RESETS = ("reset_parameters", "_reset_parameters")  # the second of MultiheadAttention


@dataclass(frozen=True, eq=False)
class ModuleStarts(ReadOnlyFields):
    """Parameters (d,) of a module from the noise of one path: reset, or changed by a function of the user's.

    All that torch draws meanwhile comes from this noise, tensor by tensor, whatever torch's own generator is at.

    Parameters
    ----------
    net : torch.nn.Module
    change : function (module) -> None, optional
        Draws weights in place; by default every part's `reset_parameters`, inner parts first.

    Raises
    ------
    InvalidInput
        If parameters belong to no part with `reset_parameters`; when drawing, if the function fails.
    """

    net: Any
    change: Callable[[Any], None] | None = None

    def __post_init__(self) -> None:
        if self.change is not None:
            return
        reset = {id(p) for part in self.net.modules() if _reset_of(part) for p in part.parameters()}
        left = [name for name, p in self.net.named_parameters() if p.requires_grad and id(p) not in reset]
        if left:
            raise InvalidInput(
                f"{len(left)} parameters of net, {left[0]!r} among them, belong to no part with reset_parameters: give "
                "starts= a function that draws the weights of a module in place, or 'given'"
            )

    def __call__(self, noise: Noise) -> np.ndarray:
        """Parameters (d,) that require a gradient."""
        torch, net = import_torch(), module_copy(self.net)
        with torch.no_grad(), _drawing(noise):
            if self.change is None:
                for part in reversed(list(net.modules())):
                    reset = _reset_of(part)
                    if reset:
                        reset()
            else:
                with calling("starts, a function of the module,"):
                    self.change(net)
        drawn = [p.detach().numpy().ravel() for p in net.parameters() if p.requires_grad]
        return np.concatenate(drawn) if drawn else np.empty(0)


def _reset_of(part: Any) -> Callable[[], None] | None:
    return next((getattr(part, name) for name in RESETS if callable(getattr(part, name, None))), None)


def _drawing(noise: Noise) -> Any:
    """A context in which torch's uniform and normal numbers are those of a path's noise, and others are refused."""
    torch = import_torch()
    from torch.utils._python_dispatch import TorchDispatchMode

    aten, drawn = torch.ops.aten, 0

    def fill(out: Any, normal: bool, first: float, second: float) -> Any:
        nonlocal drawn
        own = noise.child("tensor", drawn)
        drawn += 1
        numbers = (own.normals if normal else own.uniforms)(Purpose.INITIAL_STATE, 0, out.numel())
        scale = second if normal else second - first
        return out.copy_(torch.from_numpy(first + scale * numbers[0]).reshape(out.shape))

    class Drawing(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, given: Any = (), named: Any = None) -> Any:
            named = named or {}
            if function in (aten.uniform_.default, aten.normal_.default):
                normal = function is aten.normal_.default
                names = ("mean", "std") if normal else ("from", "to")
                asked = {**dict(zip(names, (0.0, 1.0))), **named, **dict(zip(names, list(given)[1:]))}
                return fill(given[0], normal, *(asked[name] for name in names))
            if function in (aten.rand.default, aten.randn.default):
                return fill(torch.empty(*given, **named), function is aten.randn.default, 0.0, 1.0)
            if torch.Tag.nondeterministic_seeded in function.tags:
                raise InvalidInput(
                    f"the weights of net are drawn by {function}, and only uniform_, normal_, rand and randn can draw "
                    "from a path's own random numbers: give starts= a function that uses these"
                )
            return function(*given, **named)

    return Drawing()
