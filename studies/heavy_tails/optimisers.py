"""Light or heavy: each optimiser on one problem on a line, what theory says of its tail, and what its paths show."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sgdlimits import discrete
from sgdlimits.compare.estimates import confidence_level
from sgdlimits.compare.tail_estimators import TailEstimate, corrected_hill, hill
from sgdlimits.compare.tail_estimators.order_statistics import gamma_interval
from sgdlimits.discrete import rules
from sgdlimits.ensembles.random import Noise
from sgdlimits.exact.errors import StabilityWarning, whole_number
from sgdlimits.exact.tail_index import TailIndex
from sgdlimits.problems import Logistic, StreamingLeastSquares
from sgdlimits.studies.summaries import joined

from .verdicts import estimate_of, index_of, worded

FEWEST = 20_000  # paths: of the last depth
DEPTHS = (0.05, 0.01, 0.002)  # shares of the sample above the threshold
LANGEVIN = 98  # purpose of random numbers
KESTEN = (
    "Kesten's theorem: a step multiplies w by 1 - step_size a^2, at times above 1 in size, its logarithm below 0 in "
    "the mean; the index solves E |1 - step_size a^2|^index = 1"
)
JOINTLY = "Kesten's theorem for products of the random 2 x 2 matrices that move w and the w before it"
IN_ABSTRACT = "the abstract of Hodgkinson and Mahoney (2021) counts it among heavy-tailed cases"


@dataclass(frozen=True)
class OptimiserTail:
    """One optimiser: theory beside paths.

    Attributes
    ----------
    optimiser, setting : str
    theory : TailIndex
        Index, method, and `proved`; nan where theory is out of reach, and `note` says why.
    derivation : str
        Why, in a sentence or two.
    estimates : tuple of TailEstimate
        Hill's estimate from the outer 5, 1 and 0.2 % of the sample: alike for a power but for its bias, rising for
        what is lighter.
    whole : TailEstimate
        The estimate freed of its bias, `corrected_hill`. All nan where the sample shows nothing; `derivation` says why.
    claim : str
        What has been published of it and is at odds with theory here; empty where nothing is.
    """

    optimiser: str
    setting: str
    theory: TailIndex
    derivation: str
    estimates: tuple[TailEstimate, ...]
    whole: TailEstimate
    claim: str = ""

    @property
    def name(self) -> str:
        """The optimiser, and its loss and ridge where they are not those of the other rows."""
        loss = self.setting.rpartition(", step size")[0] if self.setting.startswith("logistic") else ""
        return f"{self.optimiser}, {loss}" if loss else self.optimiser

    @property
    def heavy(self) -> bool:
        """Whether theory says a power."""
        return math.isfinite(self.theory.index)

    @property
    def light(self) -> bool:
        """Whether theory says lighter than every power."""
        return math.isinf(self.theory.index)

    @property
    def rises(self) -> bool:
        """Whether the estimate farthest out lies above the one farthest in, their intervals apart."""
        inner, *_, outer = self.along
        return outer[0] > inner[2]

    @property
    def along(self) -> tuple[tuple[float, float, float], ...]:
        """Lower end, estimate and upper end of Hill's own intervals, also where a warning opens them above."""
        found = []
        for estimate in self.estimates:
            if estimate.k is None:  # Hill's has one, unless the sample shows nothing
                found.append((math.nan,) * 3)
                continue
            low, high = gamma_interval(estimate.k, estimate.confidence)
            found.append((estimate.lower, estimate.lower / low, estimate.lower * high / low))
        return tuple(found)

    @property
    def agrees(self) -> bool | None:
        """Whether the paths bear theory out; None where they cannot tell."""
        if self.heavy:
            return None if math.isnan(self.whole.index) else self.theory.index in self.whole
        return True if self.light and self.rises else None

    @property
    def outcome(self) -> str:
        """In a word: "agrees", "differs" or "undecided"."""
        return worded(self.agrees, "agrees", "differs")

    @property
    def verdict(self) -> str:
        """In words, with the verdict on the claim."""
        along = " -> ".join(f"{index:.3g}" for _, index, _ in self.along)
        if self.heavy:
            word = worded(self.agrees, "inside", "outside")
            found = f"a power: index {self.theory.index:.4g}, {word} [{self.whole.lower:.3g}, {self.whole.upper:.3g}]"
        elif not self.light:
            found = f"theory is out of reach; the index along the tail is {along}"
        else:
            known = "light, proved" if self.theory.proved else "light, but the drift inward is only seen"
            seen = f"the index rises along the tail, {along}" if self.rises else f"paths cannot tell, {along}"
            found = f"{known}; {seen}"
        if not self.claim:
            return found
        outcome = "not seen at this setting" if self.light and self.rises else "not decided at this setting"
        return f"{found}; {self.claim}: {outcome}"


@dataclass(frozen=True, eq=False)
class Langevin:
    """SGD with N(0, sigma^2) added to each coordinate of a step: minibatch SGLD."""

    sgd: discrete.SGD
    sigma: float

    label: ClassVar[str] = "SGLD"

    def initial_state(self, x0: np.ndarray) -> np.ndarray:
        """The positions."""
        return x0.copy()

    def step(self, k: int, state: np.ndarray, noise: Noise) -> np.ndarray:
        """A step of SGD and the noise."""
        moved = self.sgd.position(self.sgd.step(k, self.sgd.initial_state(state), noise))
        return moved + self.sigma * noise.normals(LANGEVIN, k, state.shape[1])

    def position(self, state: np.ndarray) -> np.ndarray:
        """The state."""
        return state


def optimiser_tails(
    paths: int = 40_000, seed: int = 0, threads: int | None = None, confidence: float = 0.95
) -> tuple[OptimiserTail, ...]:
    """The table: SGD and its momenta, SGLD, proximal steps, and rules and losses with bounded steps.

    On y = N(0, 1) with one feature a ~ N(0, 1), batch size 1; logistic regression on ten samples of it.

    Parameters
    ----------
    paths : int
        At least 20 000: the last depth keeps 0.2 % of them.
    seed : int
    threads : int, optional
    confidence : float
        Of each interval.
    """
    paths, confidence = whole_number("paths", paths, FEWEST), confidence_level(confidence)
    return tuple(_row(paths, seed, threads, confidence, *case) for case in _cases())


def _row(
    paths: int, seed: int, threads: int | None, confidence: float, process: Any, setting: str, steps: int,
    theory: TailIndex | None, derivation: str, claim: str,
) -> OptimiserTail:  # fmt: skip
    options: dict[str, Any] = {"record": [steps], "seed": seed, "threads": threads}
    observables = {"x": lambda x: x[:, 0]}
    start = (np.zeros(1), np.eye(1))  # spread out: sign descent stays on a lattice about its start
    if isinstance(process, discrete.SGD):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", StabilityWarning)  # infinite variance is what is looked for
            run = process.simulate(start, steps, paths, observables, **options)
    else:
        run = discrete.simulate(process, start, steps, paths, observables, **options)
    if theory is None:
        known = index_of(process)
        theory = known.index or TailIndex(math.nan, math.nan, known.text, note=known.why_not, proved=False)
    last = run["x"].values[:, -1].ravel()
    values = last - np.median(last)
    estimates = tuple(estimate_of(hill, values, confidence, depth) for depth in DEPTHS)
    whole = estimate_of(corrected_hill, values, confidence)
    missing = next(iter(whole.warnings), "") if math.isnan(whole.index) else ""
    derivation = joined(derivation or theory.note, missing)
    return OptimiserTail(process.label, setting, theory, derivation, estimates, whole, claim)


def _cases() -> Iterator[tuple[Any, str, int, TailIndex | None, str, str]]:
    """Process, its setting, steps to its stationary law, theory where it is not `tail_index`, derivation, claim."""
    problem = StreamingLeastSquares(np.eye(1), 1.0, np.zeros(1))
    draws = np.random.Generator(np.random.Philox(1)).standard_normal((2, 10))
    labels = np.sign(draws[0] + 2 * draws[1])
    plain = discrete.SGD(problem, 0.5)
    yield plain, "step size 0.5", 300, None, KESTEN, ""
    for nesterov in (False, True):
        moving = discrete.SGD(problem, 0.1, momentum=0.9, nesterov=nesterov)
        yield moving, "step size 0.1", 600, None, JOINTLY, ""
    yield (
        Langevin(plain, 0.5), "step size 0.5, sigma 0.5", 300, plain.tail_index(),
        "Gaussian noise enters the additive part alone, so the index is that of SGD", "",
    )  # fmt: skip
    yield discrete.SGD(problem, 0.5, rule=rules.Proximal()), "step size 0.5", 300, None, "", ""
    for rule, size, steps, claim in (
        (rules.SignSGD(), 0.2, 600, ""), (rules.Clipped(1.0), 0.5, 600, ""),
        (rules.RMSProp(0.9), 0.2, 2000, ""), (rules.Adam((0.9, 0.99)), 0.1, 2000, IN_ABSTRACT),
        (rules.AdamW((0.9, 0.99), weight_decay=0.1), 0.1, 2000, ""),
    ):  # fmt: skip
        yield discrete.SGD(problem, size, rule=rule), f"{rule!r}, step size {size:g}", steps, None, "", claim
    for ridge in (0.1, 0.0):
        logistic = Logistic.from_arrays(draws[0][:, None], labels, ridge)
        labelled = f"logistic loss, ridge {ridge:g}, step size 1"
        yield discrete.SGD(logistic, 1.0), labelled, 1000, None, "", ""
