"""A learning task: a problem of the package with test inputs, a law of starts and, where there is one, a formula."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sgdlimits.ensembles.random import Noise, Purpose
from sgdlimits.exact.errors import (
    InvalidInput,
    finite_array,
    function as checked_function,
    instance_of,
    non_negative,
    one_of,
    points,
    shown,
    text,
    whole_number,
)

from ..losses import CrossEntropy, LogisticLoss, OutputLoss, logistic
from ..prediction import PredictionProblem
from ..quadratic import QuadraticProblem
from ..sampled import SampledProblem
from ..sources import Rows

LAWS = ("normal", "uniform")
BLOCK = 2**22  # outputs that are held at once while a mean over test rows is taken


@dataclass(frozen=True, eq=False, repr=False)
class Starts:
    """Law of starts: centre + spread * xi with independent xi, standard normal or uniform on (-1, 1).

    Parameters
    ----------
    centre, spread : arrays (d,)
        Spread 0: no chance in that coordinate.
    law : {"normal", "uniform"}
    """

    centre: np.ndarray
    spread: np.ndarray
    law: str = "normal"

    def __post_init__(self) -> None:
        centre = np.array(finite_array("centre", self.centre, ndim=1))
        spread = np.array(finite_array("spread", self.spread, shape=centre.shape))
        if spread.size and spread.min() < 0:
            raise InvalidInput(f"spread must not be negative, got {spread.min():g}")
        centre.flags.writeable = spread.flags.writeable = False
        object.__setattr__(self, "centre", centre)
        object.__setattr__(self, "spread", spread)
        one_of("law", self.law, LAWS)

    @classmethod
    def of_layers(cls, *layers: tuple[int, float], law: str = "normal") -> Starts:
        """Centre 0, and layers of (how many parameters, spread) side by side."""
        for layer in layers:
            if not isinstance(layer, Sequence) or len(layer) != 2:
                raise InvalidInput(
                    f"a layer is a pair (how many parameters, spread), got {shown(layer)}: "
                    "Starts.of_layers((50, 0.4), (5, 0.0)), say"
                )
        spread = np.concatenate([
            np.full(whole_number("parameters of a layer", size, 0), non_negative("spread", each))
            for size, each in layers
        ])  # fmt: skip
        return cls(np.zeros(spread.size), spread, law)

    @property
    def dimension(self) -> int:
        """d."""
        return self.centre.size

    @property
    def fixed(self) -> bool:
        """All starts are the same."""
        return not self.spread.any()

    def __repr__(self) -> str:
        return f"Starts({self.law}, d={self.centre.size}, spread {self.spread.min():g} to {self.spread.max():g})"

    def draw(self, paths: int, seed: int, first_path: int = 0) -> np.ndarray:
        """Starts (paths, d) of paths first_path, first_path + 1, ...: a function of seed and path number alone."""
        paths = whole_number("paths", paths, 1)
        first = whole_number("first_path", first_path, 0)
        noise = Noise(seed, np.arange(first, first + paths), "float64").child("start")
        drawn = (noise.normals if self.law == "normal" else noise.uniforms)(Purpose.INITIAL_STATE, 0, self.centre.size)
        return self.centre + self.spread * (drawn if self.law == "normal" else 2 * drawn - 1)


@dataclass(frozen=True, eq=False)
class UserStarts:
    """Starts by a function of a path's random numbers.

    Parameters
    ----------
    function : function (noise) -> (d,)
        Of the `ensembles.Noise` of one path, of its own for starts.
    dimension : int
        d.
    """

    function: Callable[[Noise], np.ndarray]
    dimension: int
    fixed: ClassVar[bool] = False

    def __post_init__(self) -> None:
        checked_function("function", self.function, "of the noise of one path")
        object.__setattr__(self, "dimension", whole_number("dimension", self.dimension, 1))

    def draw(self, paths: int, seed: int, first_path: int = 0) -> np.ndarray:
        """Starts (paths, d) of paths first_path, first_path + 1, ...: a function of seed and path number alone."""
        paths, first = whole_number("paths", paths, 1), whole_number("first_path", first_path, 0)
        return np.stack([self._start(Noise(seed, np.array([path]), "float64")) for path in range(first, first + paths)])

    def _start(self, noise: Noise) -> np.ndarray:
        return finite_array("what function gives", self.function(noise.child("start")), shape=(self.dimension,))


@dataclass(frozen=True, eq=False, repr=False)
class Task:
    """What is learnt, from where, and on what it is tested.

    Parameters
    ----------
    name : str
    problem : Supervised, Logistic, LeastSquares or StreamingLeastSquares
        What is descended; endless: the task is online.
    test : sources.Rows
        Test inputs and labels.
    start : Starts or UserStarts
        Law of the starts.
    population : problem with a mean over stored samples, optional
        Its `risk` is the expected loss on a fresh sample by formula, and full batches of it are gradient descent on it.
    about : str
        The law of the samples, in words.

    Raises
    ------
    InvalidInput
        If the parts do not fit.
    """

    name: str
    problem: Any
    test: Rows
    start: Starts | UserStarts
    population: SampledProblem | None = None
    about: str = ""

    def __post_init__(self) -> None:
        text("name", self.name)
        hint = "a predictor with a loss and a source is a Supervised"
        instance_of("problem", self.problem, (PredictionProblem, QuadraticProblem), hint)
        instance_of("test", self.test, Rows, "store what a stream gives: sources.stored(stream, rows)")
        instance_of("start", self.start, (Starts, UserStarts), "build it with Starts(centre, spread)")
        d = self.problem.dimension
        if self.start.dimension != d:
            raise InvalidInput(f"the starts have {self.start.dimension} parameters, and the problem has {d}")
        if self.population is not None:
            instance_of("population", self.population, SampledProblem)
            if self.population.dimension != d or self.population.endless:
                raise InvalidInput(
                    f"population must be a mean over stored samples with {d} parameters, got {self.population!r}"
                )
        outputs = self.problem.outputs(self.starts(1, 0), self.test.inputs[:1])
        self.loss.check(self.test.labels, outputs.shape[-1])

    @property
    def online(self) -> bool:
        """Every sample is fresh: drawn for the run, or stored and met once."""
        return bool(self.problem.endless or self.problem.single_pass)

    @property
    def loss(self) -> OutputLoss:
        """Of outputs and label."""
        return self.problem.loss

    @property
    def classifier(self) -> bool:
        """Outputs become probabilities of classes; else they are real numbers."""
        return isinstance(self.loss, (CrossEntropy, LogisticLoss))

    @property
    def dimension(self) -> int:
        """d."""
        return self.problem.dimension

    def starts(self, paths: int, seed: int, first_path: int = 0) -> np.ndarray:
        """Starts (paths, d); the same path of the same seed starts at the same place in every run."""
        return self.start.draw(paths, seed, first_path)

    def noiseless(self, batch_size: int = 1024) -> dict[str, Any]:
        """Settings of a `discrete.SGD` without noise, or with little: problem, batch_size and sampling.

        Offline the full batch; online the full population where it is known, else fresh batches of `batch_size`.
        """
        if not self.online:
            return {"problem": self.problem, **self._full(self.problem)}
        if self.population is not None:
            return {"problem": self.population, **self._full(self.population)}
        sampling = "reshuffle" if self.problem.single_pass else "with_replacement"
        return {"problem": self.problem, "batch_size": batch_size, "sampling": sampling}

    @staticmethod
    def _full(problem: Any) -> dict[str, Any]:
        return {"batch_size": problem.samples, "sampling": "without_replacement"}

    def outputs(self, x: np.ndarray) -> np.ndarray:
        """Outputs (..., b, K) at the test inputs."""
        return self.problem.outputs(x, self.test.inputs)

    def probabilities(self, x: np.ndarray) -> np.ndarray:
        """Probabilities (..., b, K) of the classes at the test inputs; of a logistic model (..., b, 2).

        Raises
        ------
        InvalidInput
            If the outputs are no classes.
        """
        if not self.classifier:
            raise InvalidInput(f"the task {self.name} has real outputs, no probabilities; compare residuals instead")
        outputs = self.outputs(x)
        if isinstance(self.loss, LogisticLoss):
            return np.concatenate([logistic(-outputs), logistic(outputs)], axis=-1)
        weights = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
        return weights / weights.sum(axis=-1, keepdims=True)

    def residuals(self, x: np.ndarray) -> np.ndarray:
        """Output minus label (..., b) on the test rows, of a task with one real output.

        Raises
        ------
        InvalidInput
            If the outputs are classes or several.
        """
        outputs = self.outputs(x)
        if self.classifier or outputs.shape[-1] != 1:
            raise InvalidInput(f"the task {self.name} has no residuals; compare probabilities or outputs instead")
        return outputs[..., 0] - self.test.labels

    def risk(self, x: np.ndarray) -> np.ndarray:
        """Expected loss (...) on a fresh sample: by formula where there is one, else `test_risk`."""
        return self.test_risk(x) if self.population is None else self.population.risk(x)

    def risk_error(self, x: np.ndarray) -> np.ndarray:
        """Standard error (...) of `risk` as a mean over the test rows; 0 by formula."""
        if self.population is not None:
            return np.zeros(np.shape(x)[:-1])
        mean = self.test_risk(x)
        square = self._mean(x, lambda outputs, labels: self.loss.value(outputs, labels) ** 2)
        return np.sqrt(np.maximum(square - mean**2, 0) / max(1, self.test.rows - 1))

    def test_risk(self, x: np.ndarray) -> np.ndarray:
        """Mean loss (...) on the test rows."""
        return self._mean(x, self.loss.value)

    def test_accuracy(self, x: np.ndarray) -> np.ndarray:
        """Fraction (...) of test rows whose class is found."""
        return self._mean(x, self.loss.correct)

    def _mean(self, x: np.ndarray, function: Callable[..., np.ndarray]) -> np.ndarray:
        x = points("x", x, self.dimension, finite=False)
        flat = x.reshape(-1, self.dimension)
        total, length = np.zeros(len(flat)), max(1, BLOCK // (len(flat) * max(self.test.columns, 16)))
        with np.errstate(over="ignore", invalid="ignore"):
            for first in range(0, self.test.rows, length):
                labels = self.test.labels[first : first + length]
                outputs = self.problem.outputs(flat, self.test.inputs[first : first + length])
                total += function(outputs, np.broadcast_to(labels, outputs.shape[:-1])).sum(axis=1)
        return (total / self.test.rows).reshape(x.shape[:-1])

    def __repr__(self) -> str:
        kind = "online" if self.online else f"offline, {self.problem.samples} rows"
        return f"Task({self.name}: {kind}, d={self.dimension}, {self.test.rows} test rows)"
