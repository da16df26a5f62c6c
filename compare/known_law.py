"""A law that is known in closed form: a side of `compare.laws` from which nothing is sampled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from sgdlimits.exact.errors import InvalidInput, text


class Distribution(Protocol):
    """What is asked of a law on the line: what a frozen distribution of scipy.stats has."""

    def mean(self) -> float: ...

    def cdf(self, x: np.ndarray) -> np.ndarray: ...

    def ppf(self, q: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class KnownLaw:
    """Laws of observables, each known in closed form.

    One without a finite mean gets no verdict on means, and a sentence; its quantiles and distances stand.

    Parameters
    ----------
    laws : mapping
        Observable -> a frozen distribution of scipy.stats (or any object with `mean`, `cdf` and `ppf`), the same at
        every step, or a function of the step that gives one.
    label : str

    Raises
    ------
    InvalidInput
        If an entry is neither a distribution nor a function.
    """

    laws: Mapping[str, Distribution | Callable[[int], Distribution]]
    label: str = "known law"

    def __post_init__(self) -> None:
        text("label", self.label)
        if not isinstance(self.laws, Mapping) or not self.laws:
            raise InvalidInput("laws must map observables to distributions, as in {'norm': scipy.stats.gamma(3)}")
        for name, law in self.laws.items():
            if not (_is_distribution(law) or callable(law)):
                raise InvalidInput(
                    f"the law of {name!r} is {type(law).__name__}; give a frozen distribution of scipy.stats, or a "
                    "function of the step that returns one"
                )

    def at(self, observable: str, step: int) -> Distribution:
        """The law of an observable at a step.

        Raises
        ------
        InvalidInput
            If the observable has none, or its function gives no distribution.
        """
        if observable not in self.laws:
            known = ", ".join(map(repr, self.laws))
            raise InvalidInput(f"{self.label} has no law of {observable!r}, only of {known}; add it, or compare those")
        law: Any = self.laws[observable]
        law = law if _is_distribution(law) else law(int(step))
        if not _is_distribution(law):
            raise InvalidInput(f"the law of {observable!r} at step {step} is {type(law).__name__}, no distribution")
        return law


def _is_distribution(law: Any) -> bool:
    return all(callable(getattr(law, name, None)) for name in ("mean", "cdf", "ppf"))
