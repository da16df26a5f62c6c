"""Every public class is used through its protocol on a small problem; a class without an example here fails."""

import dataclasses
import inspect
import warnings
from importlib import import_module

import numpy as np
import pytest

from sgdlimits import compare, diffusions, discrete, ensembles
from sgdlimits.exact.errors import SgdlimitsError
from sgdlimits.problems import (
    LeastSquares, LocalExpansion, LocalQuadratic, Logistic, NoisyQuadratic, SampleLoss, StreamingLeastSquares,
    geometry, noise, zero_loss,
)  # fmt: skip
from tests.hostile_cases import DRIFTING, ROWS, TARGETS, Walk, norm, sample_gradient, sample_value
from tests.parameters import slowly

FOLDERS = (
    "problems", "problems.noise", "problems.tasks", "problems.zero_loss", "discrete", "diffusions", "ensembles",
    "compare",
)  # fmt: skip
START = np.array([1.0, -0.5])


def problems():
    """Name -> problem with two parameters."""
    found = {
        "LeastSquares": LeastSquares.from_arrays(ROWS, TARGETS, ridge=0.1),
        "StreamingLeastSquares": StreamingLeastSquares(np.eye(2), 0.3, np.ones(2)),
        "NoisyQuadratic": NoisyQuadratic([[1.0, 0.3], [0.3, 0.5]], [[1.0, -0.5], [-0.5, 2.0]]),
        "Logistic": Logistic.from_arrays(ROWS, np.sign(TARGETS), ridge=0.1),
        "SampleLoss": SampleLoss(sample_value, sample_gradient, 8, 2),
    }
    about = {"LocalQuadratic": LocalQuadratic(found["Logistic"]), "LocalExpansion": LocalExpansion(found["Logistic"])}
    return found | about


def half_square(w):
    return 0.5 * (w[..., 0] - 1) ** 2


def half_square_gradient(w):
    out = np.zeros_like(w)
    out[..., 0] = w[..., 0] - 1
    return out


def models():
    """Name -> (model, a point from which its flow reaches zero loss)."""
    inputs, labels = np.array([[1.0, 0.5]]), np.array([1.0])
    return {
        "DiagonalLinearNetwork": (zero_loss.DiagonalLinearNetwork(inputs, labels), np.array([1.0, 0.8, 0.3, 0.2])),
        "Hyperbola": (zero_loss.Hyperbola(), np.array([1.5, 0.5])),
        "LinearRegression": (zero_loss.LinearRegression(inputs, labels), np.array([1.0, 1.0])),
        "MatrixFactorisation": (zero_loss.MatrixFactorisation(np.eye(2)), np.array([1.0, 0.2, 0.1, 1, 1, 0, 0, 1])),
        "ProductSum": (zero_loss.ProductSum(2), np.array([1.0, 0.5, 0.7, 0.6])),
        "QuadraticDifference": (zero_loss.QuadraticDifference(), np.array([1.5, 0.5])),
        "ShallowNetwork": (zero_loss.ShallowNetwork(inputs, labels, 2), np.array([1.0, 0.5, 0.3, 0.2, 1.0, 0.5])),
        "UserLoss": (zero_loss.UserLoss(half_square, half_square_gradient, 2), np.array([0.5, 0.3])),
    }


def mechanisms():
    """Name -> noise mechanism."""
    return {
        "AntiCorrelated": noise.AntiCorrelated(0.1),
        "DropConnect": noise.DropConnect(0.1),
        "Dropout": noise.Dropout(0.1),
        "InputNoise": noise.InputNoise(0.1),
        "LabelNoise": noise.LabelNoise(0.1),
        "Langevin": noise.Langevin(0.1),
        "Minibatch": noise.Minibatch(1),
        "Mixture": noise.LabelNoise(0.1) + noise.DropConnect(0.1),
        "WeightNoise": noise.WeightNoise(0.1),
    }


def processes():
    """Name -> process on least squares."""
    sgd = discrete.SGD(problems()["LeastSquares"], 0.05, batch_size=2)
    return {
        "SGD": sgd,
        "SVAG": discrete.SVAG(sgd, 2),
        "GradientFlow": diffusions.GradientFlow.of(sgd),
        "HomogenizedSGD": diffusions.HomogenizedSGD.of(sgd),
        "ModifiedEquation": diffusions.ModifiedEquation.of(sgd),
        "OrnsteinUhlenbeck": diffusions.OrnsteinUhlenbeck.of(sgd),
    }


def limits_of_optimisers():
    """Name -> the optimiser and its limit, on least squares."""
    problem = problems()["LeastSquares"]
    optimisers = {
        "AdamSDE": {"rule": "adam"}, "RMSPropSDE": {"rule": "rmsprop"}, "SignSDE": {"rule": discrete.rules.SignSGD()},
        "UnderdampedLangevin": {"momentum": 0.8},
    }  # fmt: skip
    found = {name: discrete.SGD(problem, 0.01, batch_size=2, **options) for name, options in optimisers.items()}
    return {name: (sgd, getattr(diffusions, name).of(sgd)) for name, sgd in found.items()}


REDUCERS = {
    "FirstPassage": ensembles.FirstPassage("norm", below=0.5),
    "Maximum": ensembles.Maximum("norm"),
    "Mean": ensembles.Mean("norm"),
    "Recorded": ensembles.Recorded("norm"),
    "WindowMean": ensembles.WindowMean("norm", 2),
}
# Covered elsewhere: results and interfaces that other examples return or stand for, and what needs an optional library.
INTERFACES = {
    "Model", "Regression", "Mechanism", "Recurrence", "NumpyRecurrence", "Simulator", "Reducer",
    "Scheme", "Progress",
}  # fmt: skip
RETURNED = {
    "Draw", "Perturbation", "Regime", "ExpectationEstimate", "KnownLaw", "Supervised", "Ensemble", "LocalNoise",
    "LipschitzFactors", "SavedState", "Sharpness", "Until", "Bounds", "ClosureCheck", "Contraction", "ConvexOrder",
    "DoseResponse", "GoldenPath", "Laws", "MatchedNoise", "NoiseCost", "Orders", "Paths", "Snapping", "StepSizeEffect",
    "Tails", "Manifold", "TimeScale", "TimeScales", "Exploration", "ExitScaling", "WidthPreference", "LastIterates",
    "FiniteTimeExponents", "RankCorrelation", "SingularValues", "Validity", "Concentration", "Delocalisation",
    "ScalingLaws",
}  # fmt: skip
RAISED = {"LargeNoise", "LeftTheSet", "NeglectedDrift"}
OPTIONAL = {"Diffrax", "Sdeint", "TorchSDE"}
OWN_TESTS = {
    "UserDiffusion", "NoisyGradientDescent", "ManifoldLimit", "Noise", "Brownian", "Gaussian", "Purpose", "Crowd",
    "RecurrenceSimulator", "ArraySimulator", "PathArrays", "PredictorRegression", "LossNoise", "AdditiveRecurrence",
    "PearsonDiffusion", "StableOrnsteinUhlenbeck", "StableLangevin", "Population", "Starts", "Task", "UserStarts",
    "LandscapeDiffusion",
}  # fmt: skip


def public_classes():
    return {
        name: f"{folder}.{name}"
        for folder in FOLDERS
        for name in import_module(f"sgdlimits.{folder}").__all__
        if inspect.isclass(getattr(import_module(f"sgdlimits.{folder}"), name))
    }


def test_every_public_class_has_an_example():
    """Assert that nothing public is without an example below, and that no example is of something that is gone."""
    examples = {*problems(), *models(), *mechanisms(), *processes(), *limits_of_optimisers(), *REDUCERS}
    listed = examples | INTERFACES | RETURNED | RAISED | OPTIONAL | OWN_TESTS
    assert set(public_classes()) == listed


@pytest.mark.parametrize("name", problems())
def test_a_problem_speaks_its_protocol(name):
    """Assert shapes, that the gradient is the slope of the objective, and that SGD runs on it."""
    problem = problems()[name]
    x = np.array([START, -START, [0.2, 0.3]])
    assert problem.risk(x).shape == (3,) and problem.gradient(x).shape == x.shape
    move = 1e-6 * np.eye(2)

    def objective(place):
        return problem.risk(place) + 0.5 * problem.ridge * (place**2).sum(axis=-1)

    slope = [(objective(START + e) - objective(START - e)) / 2e-6 for e in move]
    np.testing.assert_allclose(problem.gradient(START), slope, atol=1e-7)
    covariance = problem.gradient_noise_covariance(START)
    assert covariance.shape == (2, 2) and np.linalg.eigvalsh(covariance)[0] >= -1e-12
    if name == "LocalExpansion":  # moments of its noise, from which nothing is drawn
        assert np.isfinite(discrete.SGD(problem, 0.05).moments(START, 3).risk).all()
        return
    run = discrete.SGD(problem, 0.05).simulate(START, 3, 4, observables=("risk", "norm", "state"), threads=1)
    assert run["state"].shape == (4, 4, 2) and np.isfinite(run["risk"]).all()


@pytest.mark.parametrize("name", models())
def test_a_model_speaks_its_protocol(name):
    """Assert loss, gradient, Hessian and third derivative against differences, and a limit of zero loss."""
    model, w = models()[name]
    assert model.dimension == w.size and model.loss(w[None]).shape == (1,)
    moves = 1e-5 * np.eye(w.size)
    slope = [(model.loss(w + e) - model.loss(w - e)) / 2e-5 for e in moves]
    np.testing.assert_allclose(model.gradient(w), slope, atol=1e-7)
    bend = [(model.gradient(w + e) - model.gradient(w - e)) / 2e-5 for e in moves]
    np.testing.assert_allclose(model.hessian(w), bend, atol=1e-6)
    matrix = np.diag(np.arange(1.0, w.size + 1))
    turn = [((model.hessian(w + e) - model.hessian(w - e)) * matrix).sum() / 2e-5 for e in moves]
    np.testing.assert_allclose(model.third_contraction(w, matrix), turn, atol=1e-5)
    assert model.loss(geometry.limit_map(model, w)) < 1e-12


@pytest.mark.parametrize("name", slowly(mechanisms(), lambda name: name not in ("Minibatch", "Langevin")))
def test_a_mechanism_speaks_its_protocol(name):
    """Assert that a network takes a step with it, with finite regulariser and gradient, from any seed alike."""
    mechanism, (model, w) = mechanisms()[name], models()["ShallowNetwork"]
    descent = discrete.NoisyGradientDescent(model, mechanism, 0.05)
    runs = [descent.simulate(w, 3, 4, observables=("loss", "state"), seed=2, threads=1) for _ in range(2)]
    assert runs[0].identical(runs[1]) and np.isfinite(runs[0]["state"]).all()
    assert (runs[0]["state"][:, -1] != w).any()
    assert np.isfinite(descent.regulariser(w))


@pytest.mark.parametrize("name", processes())
def test_a_process_speaks_its_protocol(name):
    """Assert exact moments, stationary law, thresholds and simulation, and that they agree where they meet."""
    process, fine = processes()[name], {}
    exact = process.moments(START, 400)
    law = process.stationary()
    np.testing.assert_allclose(exact["mean"][-1], law.mean, atol=1e-6)
    np.testing.assert_allclose(exact["risk"][-1], law.risk, rtol=1e-6)
    assert process.stability().mean_square_threshold > process.step_size
    if name not in ("SGD", "SVAG"):
        fine = {"substeps": 16}  # the scheme's own error stays below the sampling error
    run = process.simulate(START, 5, 2000, observables=("state",), record=[5], seed=3, threads=1, **fine)
    spread = np.sqrt(np.diag(exact["covariance"][5]) / 2000)
    assert (np.abs(run["state"][:, 0].mean("path") - exact["mean"][5]) <= 5 * spread + 1e-4).all()
    assert process.label and float(process.clock) > 0


@pytest.mark.parametrize("name", limits_of_optimisers())
def test_a_limit_of_an_optimiser_speaks_its_protocol(name):
    """Assert clock, ladder, claims and simulation in law beside the optimiser, positions alone being seen."""
    sgd, limit = limits_of_optimisers()[name]
    assert limit.label and float(limit.clock) > 0 and str(limit.ladder) and limit.claims and limit.weak_order == 1
    options = {"observables": ("state", "risk"), "record": [5], "seed": 3, "threads": 1}
    run = limit.simulate(START, 5, 500, solver=limit.law_solver, substeps=2, **options)
    same = sgd.simulate(START, 5, 500, **options)
    assert run["state"].shape == (500, 1, 2)
    risks = [float(side["risk"].mean()) for side in (run, same)]
    assert abs(risks[0] - risks[1]) < 0.1 * risks[1]


@pytest.mark.parametrize("name", diffusions.SCHEMES)
def test_a_scheme_speaks_its_protocol(name):
    """Assert that a linear equation with additive noise, which every scheme treats, keeps its exact mean."""
    equation = dataclasses.replace(DRIFTING, linear=np.ones(2))
    if "additive" not in diffusions.find_scheme(name).noise_types:
        pytest.skip(f"{name} takes no additive noise")
    run = diffusions.integrate(equation, START, 0.5, 0.0625, 4096, name, seed=1, record=[0.5], threads=1)
    assert np.abs(run["state"][:, 0].mean("path") - START * np.exp(-0.5)).max() < 0.035


@pytest.mark.parametrize("name", REDUCERS)
def test_a_reducer_speaks_its_protocol(name):
    """Assert its value on a path that is known: 0.9^k, from the definition."""
    run = discrete.simulate(Walk(), np.ones(1), 8, 2, observables={"value": REDUCERS[name]}, record=[8], threads=1)
    path = 0.9 ** np.arange(9)
    right = {
        "FirstPassage": float(np.argmax(path <= 0.5)), "Maximum": 1.0, "Mean": path.mean(), "Recorded": path[-1],
        "WindowMean": path[-2:].mean(),
    }  # fmt: skip
    np.testing.assert_allclose(run["value"].values.ravel(), right[name], rtol=1e-12)


def test_a_comparison_takes_every_process():
    """Assert that laws compares SGD with each diffusion, in one table."""
    reference, *others = processes().values()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = compare.laws(reference, *others, x0=START, steps=3, paths=64, seed=1, threads=1)
    assert result.dataset.sizes["process"] == 6 and str(result)


@pytest.mark.parametrize("name", ("homogenized", "zero-loss"))
def test_a_study_refuses_what_it_does_not_know(name):
    """Assert that a study is made by name with its defaults, and that a wrong setting is one sentence."""
    from sgdlimits.studies import find_study

    study = find_study(name)
    assert study()
    with pytest.raises(SgdlimitsError):
        study(paths="many")


def test_observables_name_the_culprit():
    """Assert that a function that fails is named, with what it did (C3); a passage too."""
    run = processes()["SGD"].simulate
    for function, did in (
        (lambda x: x[:, 99], "raised IndexError"),
        (lambda: 1, "raised TypeError"),
        (lambda x: np.array(["a"] * len(x)), "texts"),
        (lambda x: x[:, 0] + 1j, "complex"),
        (lambda x: np.log(-np.abs(x[:, 0]) - 1), "raised"),
    ):
        with pytest.raises(SgdlimitsError, match=f"mine.*{did}"):
            run(START, 2, 2, observables={"mine": function}, threads=1)
    assert norm(START[None]).shape == (1,)


def test_one_rule_for_seeds():
    """Assert that every door takes 3.0 as 3 and refuses True, texts, fractions, negative and huge numbers alike."""
    found = processes()
    sgd, flow = found["SGD"], found["HomogenizedSGD"]
    doors = {
        "SGD": lambda seed: sgd.simulate(START, 2, 2, seed=seed, threads=1)["norm"].values,
        "scheme": lambda seed: flow.simulate(START, 2, 2, seed=seed, solver="heun", threads=1)["norm"].values,
        "integrate": lambda seed: diffusions.integrate(DRIFTING, START, 1.0, 0.5, 2, seed=seed)["state"].values,
        "laws": lambda seed: compare.laws(sgd, flow, x0=START, steps=2, paths=8, seed=seed).dataset["ks"].values,
        "gaussian": lambda seed: LeastSquares.gaussian(5, 2, seed=seed).features,
        "Noise": lambda seed: ensembles.Noise(seed, np.arange(8)).normals(1, 0, 2),
        "Brownian": lambda seed: ensembles.Brownian(1.0, 2, 1, seed).increments(np.arange(2), 0, 2)[0],
    }
    for draw in doors.values():
        np.testing.assert_array_equal(draw(3.0), draw(3))
        for wrong in (True, "5", -1, 1.5, 10**400, None):
            with pytest.raises(SgdlimitsError, match="seed"):
                draw(wrong)
