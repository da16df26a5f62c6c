"""What is exactly known of SGD where it is: moments, stationary law, stability, sensitivities, closures, tail index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.ensembles.progress import Progress
from sgdlimits.exact.errors import InvalidInput, flag
from sgdlimits.exact.index_sensitivities import TailIndexSensitivities
from sgdlimits.exact.moment_maps import MomentMap
from sgdlimits.exact.noise_maps import NoiseMap
from sgdlimits.exact.schedules import StepSizes, elapsed
from sgdlimits.exact.stationary_law import MomentThreshold, Stability, StationaryLaw
from sgdlimits.exact.tail_index import TailIndex
from sgdlimits.problems.even_moments import even_moments, even_order
from sgdlimits.problems.second_moments import SecondMoments
from sgdlimits.problems.sensitivities import sensitivities

from . import closures, moment_equations
from .closures import Closure
from .even_moments import even_moments as even_equations
from .exact_form import refuse_schedule
from .index_sensitivities import tail_index_sensitivities
from .moment_threshold import moment_threshold
from .stationary_states import StationaryState

if TYPE_CHECKING:
    import xarray


class KnownLaws:
    """The exact part of a descent; what is not known is refused in a sentence."""

    @property
    def moments_close(self: Any) -> bool:
        """Whether `moments` has them: of the rule on this problem, with this sampling and step size."""
        try:
            return self._exact_form.closes
        except InvalidInput:
            return False

    @property
    def noise_map(self: Any) -> NoiseMap:
        """Expected covariance (d, d) of the batch gradient in modes, from moments of the modes."""
        return moment_equations.noise_map(self)

    def moment_map(self: Any, step_size: float | None = None) -> MomentMap:
        """One step of the exact moment equations in modes, at this step size or another."""
        return moment_equations.moment_map(self, float(self.step_size) if step_size is None else step_size)

    @property
    def second_moments(self: Any) -> SecondMoments:
        """What its first two moments obey, where they close."""
        return moment_equations.second_moments(self)

    def moments(
        self: Any,
        x0: Any,
        steps: int,
        record: int | Sequence[int] | None = None,
        quantities: Sequence[str] | None = None,
        progress: bool | Progress | None = None,
    ) -> xarray.Dataset:
        """Exact mean, covariance and expected risk; no Monte Carlo. Least squares, independent batches.

        Parameters
        ----------
        x0 : array (d,) or (paths, d), Gaussian, or tuple (mean, covariance)
        steps : int
        record : None, int or sequence of int
            Steps to keep, 0 always among them: None for all of at most 1000 steps, about 200 of more.
        quantities : names, optional
            What the result holds: "mean", "covariance", "risk" by default. Without the covariances none is kept; on a
            stream none is computed. "risk_second_moment" (E L^2) and "risk_standard_deviation" on request: plain SGD,
            on a stream in any dimension, on finite data in some ten.
        progress : bool or object with update(n) and close(), optional
            As in `simulate`.

        Returns
        -------
        xarray.Dataset
            `mean(step, coordinate)`, `covariance(step, coordinate, coordinate_2)`, `risk(step)` (without the
            ridge term), in original coordinates; what else was asked for as (step). Moments past the range of
            floating-point numbers are inf.

        Raises
        ------
        InvalidInput
            If the problem or the sampling has no closed moments, or an argument cannot be used.
        OutOfReach
            If what is asked for takes hours.

        Warns
        -----
        StabilityWarning
            If the step size is not below the threshold of the mean or of the second moment.
        """
        return self._exact_form.moments(x0, steps, record, quantities, self._attributes(), progress)

    def even_moments(
        self: Any, x0: Any, steps: int, order: int = 4, record: int | Sequence[int] | None = None
    ) -> xarray.Dataset:
        """Exact E |x - minimiser|^p for p = 2, 4, ..., `order`, below the tail index and above it; no Monte Carlo.

        Least squares, independent batches, linear rules; derived (module `sgdlimits.exact.even_moments`). k(p) is the
        spectral radius of E[A^(x)p] on symmetric tensors, A the linear part of a step. A stream with equal variances is
        no matter of the dimension; without a ridge order 4 reaches some hundred directions of a stream, on finite data
        some ten.

        Parameters
        ----------
        x0 : array (d,), or (paths, d) over which is averaged
        steps : int
        order : int
            Even.
        record : None, int or sequence of int
            As in `moments`.

        Returns
        -------
        xarray.Dataset
            `norm_moment(order, step)`; `rate(order)`: k(p), by which the moment grows per step where it is above 1;
            `bounded(order)`: whether k(p) < 1, that is p below the tail index; `stationary(order)`, inf where it is
            not. Distances are taken in the range of the data. Moments past the range of numbers are inf.

        Raises
        ------
        InvalidInput
            If the moments do not close, or an argument cannot be used.
        OutOfReach
            If there are too many of them.
        """
        return even_moments(
            moment_equations.quadratic_of(self), lambda: even_equations(self, even_order(order)), x0, steps, record,
            self._attributes(), self._time,
        )  # fmt: skip

    def sensitivities(
        self: Any,
        x0: Any,
        steps: int,
        record: int | Sequence[int] | None = None,
        parameters: Sequence[str] | None = None,
    ) -> xarray.Dataset:
        """Exact expected risk and its derivatives in step size, ridge and batch size. Least squares, as `moments`.

        From the linearised moment equations; derived. The batch size counts as a real number, of which the sampling
        factor 1/B, or (n - B) / (B (n - 1)), is a smooth function.

        Parameters
        ----------
        x0, steps, record
            As in `moments`.
        parameters : names among "step_size", "ridge", "batch_size", optional
            All by default; each costs less than two runs of moments.

        Returns
        -------
        xarray.Dataset
            `risk(step)`, without the ridge term, and `sensitivity(parameter, step)`: its derivatives.

        Raises
        ------
        InvalidInput
            If the problem or the sampling has no closed moments, the step size follows a schedule, or an argument
            cannot be used.
        OutOfReach
            If the way to the last step is too dear.

        Warns
        -----
        StabilityWarning
            If the step size is not below the threshold of the mean or of the second moment.
        """
        second = self.second_moments
        second.warn_if_unstable()
        return sensitivities(
            second, lambda: moment_equations.directions(self), x0, steps, record, parameters, self._attributes(),
            self._time,
        )  # fmt: skip

    def stationary(self: Any, settled_only: bool = False) -> StationaryLaw:
        """Exact mean, covariance and expected risk of the stationary law.

        Plain and with momentum, variances in the eigenbasis of the Hessian, and covariances there in units of their
        standard deviations, are known to some 1e-12 (checked in many digits), however small the step size, far apart
        the curvatures or near to 1 the momentum, up to 0.9 of the threshold: nearer, 1e-15 over the relative distance
        from it. Eigenvalues of a Hessian that is not diagonal are known to 1e-15 of the largest, and so what is
        divided by them.

        Parameters
        ----------
        settled_only : bool
            Where noise is additive and some directions have no positive curvature: the law of the projection on the
            others. `.unsettled_directions` are those left out.

        Raises
        ------
        NoStationaryLaw
            If the mean does not settle; `.threshold` is the step size at which it ceases to, `.directions` are those in
            which nothing settles at any.
        InfiniteVariance
            If the mean settles but the second moment does not.
        InvalidInput
            If the problem or the sampling has no closed moments.
        """
        settled_only = flag("settled_only", settled_only)
        refuse_schedule(self.step_size)
        return self._exact_form.stationary(settled_only)

    def _stationary_state(self: Any) -> StationaryState:
        """Everything that is kept, at stationarity, with the recurrence that moves it; errors as of `stationary`.

        What `discrete.fluctuation` is made of.
        """
        refuse_schedule(self.step_size)
        return self._exact_form.state()

    def closure(self: Any, form: str | None = None) -> Closure:
        """An approximate stationary covariance of a rule whose law does not close: its matrix frozen at its mean.

        Natural gradient with the Fisher matrix of all samples on a stream (read in the paper; with noise on labels, or
        uncentred, derived), Adam and RMSProp on quadratic problems (derived). `compare.closure` puts it beside paths.

        Parameters
        ----------
        form : {None, "2021"}
            Of natural gradient, the older closure without the trace of the second moment.

        Returns
        -------
        Closure
            `covariance`, the residual of its equation, and by what the frozen matrix multiplies second moments: where
            that is 1, no iteration would find the covariance.

        Raises
        ------
        InvalidInput
            If none is known.
        """
        return closures.closure(self, form)

    def _time(self: Any, steps: np.ndarray) -> np.ndarray | None:
        """Sum of the step sizes before each step, where they follow a schedule."""
        return elapsed(self.step_size, steps) if isinstance(self.step_size, StepSizes) else None

    def stability(self: Any) -> Stability:
        """Step sizes below which mean and second moment settle, on the range of the data.

        The mean: 2 (1 + mu) / k_max, Nesterov 2 (1 + mu) / ((1 + 2 mu) k_max), k_max the largest curvature.
        The second moment: where the noise feeds itself by the whole, to about 1e-12. Derived. Of the Lyapunov exponent,
        past which no law is stationary, when `.lyapunov_threshold` is read.
        """
        return self._exact_form.stability()

    def tail_index(self: Any, **options: Any) -> TailIndex:
        """Tail index of the stationary law: P(|x| > t) falls as t^-index. Least squares: exact, by Kesten's theorem.

        On a line and for isotropic Gaussian features by quadrature, for momentum on a line, for two unlike Gaussian
        features and for three within a factor of ten by a transfer operator, refined until `error` is what is left.
        Else, and where that does not settle or even moments contradict it, by populations, whose `error` is half a
        95 % interval; `method` says which. inf where no step expands.
        Gaussian noise added to the step (SGLD) leaves the index as it is, except that noise which would die out no
        longer does.

        A power of the tail may begin far out: `note` names data of which one sample dominates large moments, whose
        tail falls in stairs that samples of a million do not see past.

        With other rules inf where steps are bounded and lead inward, with other losses where gradients are bounded:
        `note` derives it, and `proved` is False where the drift inward was only seen in a simulation.

        Parameters
        ----------
        **options
            Of the populations, where they are used: paths, generations, groups, seed, threads.

        Raises
        ------
        NoStationaryLaw
            If the Lyapunov exponent is not below 0; the sentence has it.
        OutOfReach
            If the index is larger than the method can see, or steps are bounded and no drift inward is seen.
        InvalidInput
            If the step size follows a schedule, or nothing is known of the rule or the loss.
        """
        return self._exact_form.tail_index(**options)

    def tail_index_sensitivities(
        self: Any, parameters: Sequence[str] | None = None, **options: Any
    ) -> TailIndexSensitivities:
        """Derivatives of the tail index in step size, ridge and each eigenvalue, and what one sample more does to it.

        By the implicit function of log k(index) = 0, derived; in closed form on a line of data, else to some eight
        digits where log k is, and by differences of populations over 5 and 10 % where it is sampled. In the batch size
        the index has a derivative where its formula takes real numbers, for isotropic streams; elsewhere ratios to the
        neighbouring whole numbers are given.

        Parameters
        ----------
        parameters : names among "step_size", "ridge", "eigenvalue", "batch_size", optional
            All by default; on finite data each costs some seconds, and the batch size two indices.
        **options
            Of the populations, as in `tail_index`.

        Raises
        ------
        NoStationaryLaw, OutOfReach, InvalidInput
            As in `tail_index`; also if the index is infinite.
        """
        return tail_index_sensitivities(self, parameters, **options)

    def moment_threshold(self: Any, order: float = 2.0, **options: Any) -> MomentThreshold:
        """The step size, at this batch size, at which the tail index is `order`: E |x|^order ceases to be finite.

        At order 0 the last step size with a stationary law, where the Lyapunov exponent is 0; at 2 the mean-square
        threshold. Orders 2 and 4 by the spectral radius of the map of moments, on finite data too, others where log
        k(order) rises through 0: by quadrature or a transfer operator to some ten digits, else by populations, whose
        `error` is half a 95 % interval; `method` says which. The process's own step size does not matter. From order 1
        on there is one such step size; below, finite data may have a law again past it: on a line the first is given,
        in more directions a stretch without a law that is short beside the search's steps may be stepped over.

        Parameters
        ----------
        order : float
            From 0 to 64.
        **options
            Of the populations, where they are used: paths, generations, groups, seed, threads.

        Raises
        ------
        InvalidInput
            If no law of the samples is known, the rule is not linear, or the step size is a schedule.
        OutOfReach
            If no such step size is found.
        """
        return moment_threshold(self, order, **options)

    def fourth_moments_settle(self: Any) -> bool:
        """Whether the stationary fourth moment is proved to be finite; False says only that no proof was found."""
        return self._exact_form.fourth_moments_settle()
