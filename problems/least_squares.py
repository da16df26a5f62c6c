"""Least squares on a finite data set: L(x) = |Ax - b|^2 / (2n), every sample equally likely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from sgdlimits.exact.cost import check_memory
from sgdlimits.exact.errors import (
    LARGEST_FEATURE,
    LARGEST_LABEL,
    InvalidInput,
    axes,
    finite_array,
    non_negative,
    of_size,
    real_number,
    seed_number,
    whole_number,
)
from sgdlimits.exact.linear_maps import pack_symmetric, unpack_symmetric
from sgdlimits.exact.noise_maps import SampledNoise

from .csv_files import CsvFormat
from .datasets import dataset
from .quadratic import QuadraticProblem, stationary_point
from .samplings import check_sampling, sampling_factor
from .tables import Table, checked_rows, read_csv

CHEAP = 5e11  # multiplications, half of a minute at most: some hundred steps through the rows cost as much
BLOCK = 2**22  # numbers of one block of products of columns: 32 MB


@dataclass(frozen=True, eq=False, repr=False)
class LeastSquares(QuadraticProblem):
    """Least squares L(x) = |Ax - b|^2 / (2n) with a ridge; build it with one of the `from_` methods.

    Attributes
    ----------
    features : array (n, d)
        A, one sample a row.
    targets : array (n,)
        b.
    ridge : float
        Adds (ridge / 2) |x|^2 to what is descended; may be negative. The risk never contains it.
    coordinates : tuple of str
        Names of the d parameters.
    preparation : str
        What was done to the data before it came here, for reports.
    test_features, test_targets : arrays (m, d), (m,)
        Held-out samples, possibly none.
    """

    features: np.ndarray
    targets: np.ndarray
    ridge: float = 0.0
    coordinates: tuple[str, ...] = ()
    preparation: str = "arrays used as given"
    test_features: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    test_targets: np.ndarray = field(default_factory=lambda: np.empty(0))
    name: str = "least squares"

    def __post_init__(self) -> None:
        features, targets = checked_rows(self.features, self.targets, ("A", "b"))
        of_size("A", features, LARGEST_FEATURE)
        of_size("b", targets, LARGEST_LABEL)
        names = tuple(map(str, self.coordinates)) or tuple(f"x{i}" for i in range(features.shape[1]))
        if len(names) != features.shape[1]:
            raise InvalidInput(f"coordinates must name {features.shape[1]} columns, got {len(names)} names")
        for key, value in (("test_features", self.test_features), ("test_targets", self.test_targets)):
            value = np.array(value, order="C")
            value.setflags(write=False)
            object.__setattr__(self, key, value)
        object.__setattr__(self, "features", features)
        object.__setattr__(self, "targets", targets)
        object.__setattr__(self, "ridge", real_number("ridge", self.ridge))
        object.__setattr__(self, "coordinates", names)

    @classmethod
    def from_arrays(cls, A: np.ndarray, b: np.ndarray, ridge: float = 0.0) -> LeastSquares:
        """Use A (n, d) and b (n,) exactly as they are."""
        return cls(A, b, ridge)

    @classmethod
    def from_table(
        cls,
        table: Table,
        ridge: float = 0.0,
        standardise: bool = True,
        test_fraction: float = 0.0,
        seed: int = 0,
    ) -> LeastSquares:
        """Split off a test set, standardise by the training rows, and build the problem; `ridge` may be negative."""
        training, test, preparation = table.prepare(standardise, test_fraction, seed)
        return cls(
            training[0], training[1], ridge, table.columns, preparation, test[0], test[1], name=table.name
        )

    @classmethod
    def from_csv(
        cls,
        path: str | Path,
        target: str,
        ridge: float = 0.0,
        standardise: bool = True,
        test_fraction: float = 0.0,
        seed: int = 0,
        *,
        one_hot: str | Sequence[str] = (),
        drop: str | Sequence[str] = (),
        delimiter: str | None = None,
        decimal: str | None = None,
        complete_rows: bool = False,
    ) -> LeastSquares:
        """Read a CSV file with a header line; `target` names the column to be predicted.

        Every column, the target too, is shifted to mean 0 and scaled to variance 1 (over the training rows)
        unless `standardise` is false. `test_fraction` of the rows, drawn by `seed`, is held out. Columns of texts are
        named in `one_hot` (columns of 0 and 1) or in `drop`; delimiter (comma, semicolon, tab, bar) and decimal
        comma are recognised where they are not given, and `preparation` says so. With `complete_rows`, rows that lack a
        value (empty, NA, NaN, null, ?) are left out. `ridge` may be negative, as in the class: an objective that then
        runs away is refused where a stationary law is asked for, not here.
        """
        form = CsvFormat(delimiter, decimal, one_hot, drop, complete_rows)
        return cls.from_table(read_csv(path, target, form=form), ridge, standardise, test_fraction, seed)

    @classmethod
    def from_dataset(
        cls,
        name: str,
        ridge: float = 0.0,
        standardise: bool = True,
        test_fraction: float = 0.0,
        seed: int = 0,
    ) -> LeastSquares:
        """Use a named data set; `problems.datasets.DATASETS` lists them, the first four ship with the package."""
        return cls.from_table(dataset(name), ridge, standardise, test_fraction, seed)

    @classmethod
    def gaussian(
        cls, n: int, d: int, spectrum: object = None, noise: float = 0.1, seed: int = 0, ridge: float = 0.0
    ) -> LeastSquares:
        """Draw n rows N(0, diag(spectrum)) and labels from a unit-norm truth plus `noise` * N(0, 1).

        `spectrum` is None (all ones), a number p (eigenvalues i^-p) or an array (d,) of variances.
        """
        n, d = whole_number("n", n, 1), whole_number("d", d, 1)
        if spectrum is None or axes(spectrum) == 0:
            power = 0.0 if spectrum is None else real_number("spectrum", spectrum)
            variances = np.arange(1.0, d + 1) ** -power
        else:
            variances = finite_array("spectrum", spectrum, shape=(d,))
            if (variances < 0).any():
                raise InvalidInput(f"spectrum must be at least zero, got {variances.min()!r}")
        generator = np.random.Generator(np.random.Philox(seed_number(seed)))
        features = generator.standard_normal((n, d)) * np.sqrt(variances)
        truth = generator.standard_normal(d)
        truth /= np.linalg.norm(truth)
        targets = features @ truth + non_negative("noise", noise) * generator.standard_normal(n)
        preparation = f"synthetic: Gaussian rows, label noise {noise:g}, seed {seed}"
        return cls(features, targets, ridge, preparation=preparation, name=f"Gaussian, n={n}, d={d}")

    @property
    def samples(self) -> int:
        """Number of samples n."""
        return self.features.shape[0]

    @property
    def rank(self) -> int:
        """Numerical rank of A."""
        return int((self.eigenvalues > 0).sum())

    @cached_property
    def spectrum(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues (d,) and eigenvectors (d, d) of A^T A / n, from the singular values of A."""
        n, d = self.features.shape
        _, singular, right = np.linalg.svd(self.features, full_matrices=n < d)
        values = np.zeros(d)
        negligible = singular <= singular[0] * max(n, d) * np.finfo(float).eps
        values[: singular.size] = np.where(negligible, 0.0, singular**2 / n)
        return values, np.ascontiguousarray(right.T)

    @cached_property
    def minimiser(self) -> np.ndarray:
        """Stationary point (d,) of the descended objective; of least norm where it is not unique."""
        slope = (self.targets @ (self.features @ self.eigenvectors)) / self.samples
        return self.eigenvectors @ stationary_point(self.eigenvalues, self.ridge, slope)

    @cached_property
    def least_risk_point(self) -> np.ndarray:
        """Minimiser (d,) of L, of least norm where it is not unique."""
        slope = (self.targets @ (self.features @ self.eigenvectors)) / self.samples
        return self.eigenvectors @ stationary_point(self.eigenvalues, 0.0, slope)

    @cached_property
    def least_risk(self) -> float:
        """L at its least point."""
        return float(np.square(self.features @ self.least_risk_point - self.targets).sum() / (2 * self.samples))

    @cached_property
    def residuals_at_minimiser(self) -> np.ndarray:
        """A m - b (n,) at the minimiser m."""
        return self.features @ self.minimiser - self.targets

    @cached_property
    def risk_at_minimiser(self) -> float:
        """L at the minimiser of the descended objective."""
        return float(np.square(self.residuals_at_minimiser).sum() / (2 * self.samples))

    @cached_property
    def augmented_modes(self) -> np.ndarray:
        """Rows (n, d + 1): features in the eigenbasis and the residual at the minimiser."""
        modes = self.features @ self.eigenvectors
        modes[:, self.eigenvalues == 0] = 0.0
        return np.column_stack([modes, self.residuals_at_minimiser])

    @property
    def range_modes(self) -> np.ndarray:
        """Features (n, r) in the eigenbasis, restricted to the range of the data."""
        return self.augmented_modes[:, : self.rank]

    def sampling_factor(self, batch_size: int, sampling: str) -> float:
        """1/B with replacement, (n - B) / (B (n - 1)) without; reshuffled epochs have no such factor."""
        batch = self.check_batch_size(batch_size, sampling)
        if sampling == "reshuffle":
            raise InvalidInput(
                "reshuffled epochs are not independent steps, so their moments have no closed equation here; "
                "use simulate, or sampling='without_replacement'"
            )
        return sampling_factor(batch, sampling, self.samples)

    def with_ridge(self, ridge: float) -> LeastSquares:
        """The same data with another ridge."""
        return replace(self, ridge=ridge)

    def check_batch_size(self, batch_size: int, sampling: str) -> int:
        """Return the batch size if it can be drawn under this sampling."""
        return check_sampling(batch_size, sampling, self.samples)

    def noise_covariance_map(self, second: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """Expected covariance (d, d) of one sample's gradient, from moments of the modes; derived.

        (1/n) sum a_i a_i^T E r_i^2 - E grad L grad L^T, where r_i is the residual; the ridge shifts every
        sample's gradient alike and drops out.
        """
        if not second.any() and not mean.any():
            return self._noise_at_minimiser
        return self._noise(second, mean)

    @cached_property
    def _noise_at_minimiser(self) -> np.ndarray:
        """At each step size it is asked for again."""
        d = self.dimension
        found = self._noise(np.zeros((d, d)), np.zeros(d))
        found.setflags(write=False)
        return found

    def _noise(self, second: np.ndarray, mean: np.ndarray) -> np.ndarray:
        d = self.dimension
        moments = np.empty((d + 1, d + 1))
        moments[:d, :d], moments[d, :d], moments[:d, d], moments[d, d] = second, mean, mean, 1.0
        table = self.cheap_table()
        if table is not None:
            return unpack_symmetric(table @ pack_symmetric(moments), d)
        rows = self.augmented_modes
        squares = np.einsum("ij,ij->i", rows @ moments, rows)
        pull = np.column_stack([np.diag(self.eigenvalues), self.risk_slope])
        return (rows[:, :d] * squares[:, None]).T @ rows[:, :d] / self.samples - pull @ moments @ pull.T

    def gradient_noise_map(self, factor: float, label_variance: float) -> SampledNoise:
        """factor * `noise_covariance_map` + label_variance H: any entry may depend on any."""
        return SampledNoise(
            self.noise_covariance_map, factor, label_variance * self.eigenvalues, lambda: self.range_modes,
            self.eigenvalues[: self.rank], 2.0 * self.samples * self.dimension**2, self.cheap_table,
        )  # fmt: skip

    def cheap_table(self) -> np.ndarray | None:
        """`fourth_moments` where they pay and are made already, or soon."""
        soon = self.table_pays and self.table_cost < CHEAP
        return self.fourth_moments if soon or "fourth_moments" in self.__dict__ else None

    @property
    def table_pays(self) -> bool:
        """Whether reading `fourth_moments` is faster than a matrix product over the rows; the bound is measured."""
        n, d = self.samples, self.dimension
        return d * (d + 1) // 2 * ((d + 1) * (d + 2) // 2) <= n * d * d / 4

    @property
    def table_cost(self) -> float:
        """Multiplications to form `fourth_moments`."""
        return self.samples * self.dimension**4 / 4

    @cached_property
    def fourth_moments(self) -> np.ndarray | None:
        """Matrix of `noise_covariance_map` from packed moments of (modes, 1) to the packed covariance.

        None where d is so large that going through the rows is cheaper.
        """
        n, d = self.samples, self.dimension
        if not self.table_pays:
            return None
        rows, columns = np.triu_indices(d + 1)
        doubled = np.where(rows == columns, 1.0, 2.0)
        check_memory("the table of fourth moments", 8.0 * d**4 / 2, "use fewer columns")
        raw = np.zeros((rows.size, rows.size))
        block = max(1, BLOCK // rows.size)
        for first in range(0, n, block):
            part = self.augmented_modes[first : first + block]
            products = np.concatenate([part[:, [i]] * part[:, i:] for i in range(d + 1)], axis=1)
            raw += products.T @ products  # of one array, so that BLAS makes half of it
        raw = raw[columns < d] * doubled / n
        # The mean gradient is pull @ (modes, 1); its outer product is taken off.
        pull = np.column_stack([np.diag(self.eigenvalues), self.risk_slope])
        into_rows, into_columns = np.triu_indices(d)
        outer = pull[into_rows][:, rows] * pull[into_columns][:, columns]
        outer += (rows != columns) * pull[into_rows][:, columns] * pull[into_columns][:, rows]
        return raw - outer

    def test_risk(self, x: np.ndarray) -> np.ndarray:
        """L over the held-out samples at positions (..., d)."""
        if not self.test_targets.size:
            raise InvalidInput("no samples are held out; pass test_fraction when building the problem")
        residuals = x @ self.test_features.T - self.test_targets
        return np.square(residuals).mean(axis=-1) / 2

    def expected_test_risk(self, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
        """E of the held-out risk from moments of the position: mean (..., d), covariance (..., d, d)."""
        spread = self.test_features.T @ self.test_features / self.test_targets.size
        return self.test_risk(mean) + 0.5 * np.einsum("ij,...ij->...", spread, covariance)

    def __repr__(self) -> str:
        shape = f"n={self.samples}, d={self.dimension}, rank={self.rank}, ridge={self.ridge:g}"
        test = f", {self.test_targets.size} held out" if self.test_targets.size else ""
        return f"LeastSquares({self.name}: {shape}{test}; largest eigenvalue {self.eigenvalues[0]:.4g})"
