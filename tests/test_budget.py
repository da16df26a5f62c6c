"""The error budget: each part against a second route, and the parts add up."""

import numpy as np
import pytest
from scipy.linalg import expm
from sgdlimits import compare
from sgdlimits.compare._laws.budget import PARTS, Sampled, error_budget, obstacle
from sgdlimits.diffusions import GradientFlow, HomogenizedSGD, ModifiedEquation, OrnsteinUhlenbeck
from sgdlimits.discrete import SGD
from sgdlimits.problems import LeastSquares, StreamingLeastSquares

STEPS, SUBSTEPS = 7, 2


def tiny(ridge=0.2):
    generator = np.random.default_rng(5)
    return LeastSquares.from_arrays(generator.standard_normal((4, 2)), generator.standard_normal(4), ridge)


class Operators:
    """Second-moment operators of (x - m, 1) in original coordinates, by Kronecker products alone."""

    def __init__(self, problem, sgd):
        self.sgd, (n, d) = sgd, problem.features.shape
        self.minimiser = problem.minimiser
        rows = problem.features
        residuals = rows @ problem.minimiser - problem.targets
        self.samples = np.zeros((n, d + 1, d + 1))
        for i, (a, r) in enumerate(zip(rows, residuals)):
            self.samples[i, :d, :d] = np.outer(a, a) + problem.ridge * np.eye(d)
            self.samples[i, :d, d] = a * r + problem.ridge * problem.minimiser
        self.mean = self.samples.mean(axis=0)
        self.hessian = np.zeros((d + 1, d + 1))
        self.hessian[:d, :d] = rows.T @ rows / n
        augmented = np.column_stack([rows, residuals])
        self.level = (augmented.T @ augmented / n).ravel()  # <., W> = 2 E L
        self.start = np.append(-problem.minimiser, 1.0)
        self.identity = np.eye(d + 1)

    def covariance(self):
        """One sample's gradient covariance."""
        return np.mean([np.kron(g, g) for g in self.samples], axis=0) - np.kron(self.mean, self.mean)

    def closed(self):
        """2 L H."""
        return np.outer(self.hessian.ravel(), self.level)

    def frozen(self):
        """The covariance at the minimiser."""
        at_rest = np.zeros_like(self.identity)
        at_rest[-1, -1] = 1
        unit = np.zeros(self.identity.size)
        unit[-1] = 1
        return np.outer(self.covariance() @ at_rest.ravel(), unit)

    def recurrence(self, noise, factor, size=1.0):
        move = self.identity - size * self.sgd.step_size * self.mean
        return np.kron(move, move) + size * self.sgd.step_size**2 * factor * noise

    def flow(self, noise, drift_order=1):
        eta, curvature = self.sgd.step_size, self.mean
        drift = eta * curvature + (0.5 * eta**2 * curvature @ curvature if drift_order == 2 else 0)
        generator = -np.kron(drift, self.identity) - np.kron(self.identity, drift)
        return expm(generator + eta**2 / self.sgd.batch_size * noise)

    def telescoped(self, after, before):
        """E L under `after` minus under `before`, as the sum of one-step defects carried to the end."""
        start = np.outer(self.start, self.start).ravel()
        total = 0.0
        for j in range(STEPS):
            defect = (after - before) @ np.linalg.matrix_power(before, j) @ start
            total += 0.5 * self.level @ np.linalg.matrix_power(after, STEPS - 1 - j) @ defect
        return total


@pytest.mark.parametrize("ridge", [0.0, 0.2, -0.05])
@pytest.mark.parametrize(
    "kind, options, noise, order",
    [
        (HomogenizedSGD, {}, "closed", 1),
        (HomogenizedSGD, {"drift_order": 2}, "closed", 2),
        (ModifiedEquation, {}, "covariance", 1),
        (ModifiedEquation, {"order": 2}, "covariance", 2),
        (OrnsteinUhlenbeck, {}, "frozen", 1),
    ],
)
def test_every_exact_part_equals_its_sum_of_one_step_defects(kind, options, noise, order, ridge):
    """Assert sampling, step-size, closure and integrator parts against telescoped superoperators, to rounding."""
    problem = tiny(ridge)
    sgd = SGD(problem, 0.15, 2, sampling="without_replacement")
    none = Sampled(np.zeros(1), np.zeros(1))
    scheme = {"solver": "euler", "substeps": SUBSTEPS}
    process = kind.of(sgd, **options)
    budget = error_budget(sgd, process, np.zeros(2), np.array([STEPS]), none, none, scheme)
    operators = Operators(problem, sgd)
    true, model = operators.covariance(), getattr(operators, noise)()
    exact = operators.recurrence(true, (4 - 2) / (2 * 3))
    independent = operators.recurrence(true, 1 / 2)
    limit, diffusion = operators.flow(true, order), operators.flow(model, order)
    expected = [
        operators.telescoped(independent, exact),
        operators.telescoped(limit, independent),
        operators.telescoped(diffusion, limit),
    ]
    if order == 1:
        increment = operators.recurrence(model, 1 / 2, 1 / SUBSTEPS)
        scheme_step = np.linalg.matrix_power(increment, SUBSTEPS)
        # Per increment the noise is size * step_size^2 / B: the drift's square is of second order in the size.
        expected.append(operators.telescoped(scheme_step, diffusion))
    np.testing.assert_allclose(budget.parts[: len(expected), 0], expected, rtol=1e-9, atol=1e-14)


def test_monte_carlo_parts_are_simulated_means_less_exact_ones():
    """Assert both sampling parts against powers of superoperators, and that the six parts make the difference."""
    problem, steps = tiny(), 9
    sgd = SGD(problem, 0.1, 2)
    operators = Operators(problem, sgd)

    def risk(step):
        start = np.outer(operators.start, operators.start).ravel()
        return 0.5 * operators.level @ np.linalg.matrix_power(step, steps) @ start

    own = risk(operators.recurrence(operators.covariance(), 1 / 2))
    scheme = risk(operators.recurrence(operators.closed(), 1 / 2))
    reference, other = Sampled(np.array([0.7]), np.array([0.01])), Sampled(np.array([0.6]), np.array([0.02]))
    found = error_budget(
        sgd, HomogenizedSGD.of(sgd), np.zeros(2), np.array([steps]), reference, other,
        {"solver": "euler", "substeps": 1},
    )  # fmt: skip
    parts = dict(zip(PARTS, found.parts[:, 0]))
    assert parts["Monte Carlo, other"] == pytest.approx(0.6 - scheme, rel=1e-9)
    assert parts["Monte Carlo, reference"] == pytest.approx(own - 0.7, rel=1e-9)
    assert dict(zip(PARTS, found.errors[:, 0])) == {
        **dict.fromkeys(PARTS, 0.0), "Monte Carlo, other": 0.02, "Monte Carlo, reference": 0.01
    }  # fmt: skip
    np.testing.assert_allclose(found.total, [0.6 - 0.7], atol=1e-14)


def test_reshuffled_reference_is_measured_not_computed():
    """Assert that the sampling correction then carries the reference's Monte Carlo error, once."""
    sgd = SGD(tiny(), 0.1, 2, sampling="reshuffle")
    measured = Sampled(np.array([0.9]), np.array([0.05]))
    found = error_budget(
        sgd, GradientFlow.of(sgd), np.ones(2), np.array([4]), measured, measured, {"solver": "euler", "substeps": 1}
    )
    assert found.errors[PARTS.index("sampling correction")] == 0.05
    assert found.errors[PARTS.index("Monte Carlo, reference")] == 0
    np.testing.assert_allclose(found.total, 0, atol=1e-14)


@pytest.mark.filterwarnings("ignore::sgdlimits.exact.errors.StabilityWarning")
def test_parts_that_cancel_past_their_digits_are_refused():
    """Assert that parts add up to the table's difference at every step that has some, and a reason at the others."""
    sgd = SGD(StreamingLeastSquares([1.0], 0.3, [1.0]), 3.0)  # the limit of true covariance grows by e^12 a step
    found = compare.laws(sgd, HomogenizedSGD.of(sgd), x0=[0.0], steps=20, paths=4)
    data = found.dataset.sel(process="homogenized SGD")
    parts, rounding = data["budget"].values[:3].sum(axis=0), data["budget_rounding"].values[:3].sum(axis=0)
    difference, kept = data["difference"].sel(observable="risk").values, np.isfinite(parts)
    assert kept.any() and not kept.all()
    assert (np.abs(parts - difference)[kept] <= rounding[kept] + 1e-12 * np.abs(difference[kept])).all()
    np.testing.assert_allclose(data["budget_sum"].values[kept], difference[kept], rtol=1e-12, atol=1e-15)
    size = np.abs(data["budget"].values[:3]).max(axis=0)[kept]
    assert (1e-12 * size < np.abs(difference[kept]) + 1e-9).all()
    assert "leaves nothing of it" in found.dataset.attrs["budget_absent"]
    assert "There is no budget at" in " ".join(found.notes())


def test_pairs_without_a_budget_say_why():
    """Assert a sentence for momentum, for a reference that is no SGD and for sides that do not match."""
    problem = tiny()
    sgd = SGD(problem, 0.1)
    hsgd = HomogenizedSGD.of(sgd)
    assert "momentum" in obstacle(SGD(problem, 0.1, momentum=0.5), hsgd)
    assert "SGD as the reference" in obstacle(hsgd, GradientFlow.of(sgd))
    assert "share" in obstacle(sgd, HomogenizedSGD(problem, 0.2))
    assert "not one" in obstacle(sgd, SGD(problem, 0.1))
    assert obstacle(sgd, hsgd) is None
