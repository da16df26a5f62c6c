"""What the golden file holds: first random numbers of every purpose, and a few values of each process and scheme.

`python tests/golden_cases.py` compares them with tests/golden.json and records what is new. A value that moved by less
than 1e-12 (an order of arithmetic) is recorded anew; one that moved further is only with `--changed NAME ...`.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_name("golden.json")
WORDS = ("words", "rows", "permutation", "signs", "normals", "uniforms", "brownian")  # never recorded anew


def draws():
    """Random numbers: name -> list of numbers, the same bits on every platform or to the rounding of one log."""
    from sgdlimits.ensembles import Brownian, Noise, Purpose
    from sgdlimits.ensembles.random import path_word64

    noise = Noise(20240229, np.array([0, 3, 8, 1_000_003]))
    found = {}
    for purpose in Purpose:
        words = [int(path_word64(np.uint64(11), int(purpose), 5, q)) for q in (0, 1, 2, 1000)]
        found[f"words {purpose.name}"] = [str(word) for word in words]
        for quality in ("float32", "float64"):
            drawn = Noise(noise.seed, noise.paths, quality).normals(purpose, 7, 3)
            found[f"normals {purpose.name} {quality}"] = drawn.ravel().tolist()
    found["uniforms"] = noise.uniforms(Purpose.MASK, 5, 3).ravel().tolist()
    for isotropic in (False, True):
        found[f"stable isotropic {isotropic}"] = noise.stable(5, 3, 1.5, isotropic).ravel().tolist()
    found["signs"] = noise.two_point(Purpose.WEAK, 41, 5).ravel().tolist()
    for sampling in ("with_replacement", "without_replacement"):
        found[f"rows {sampling}"] = noise.rows(9, 4, 442, sampling).ravel().tolist()
    found["permutation"] = noise.permutation(2, 9).ravel().tolist()
    for area in (False, True):
        parts = Brownian(1.0, 8, 2, seed=3, area=area).increments(np.arange(2), 5, 8, level=2)
        found[f"brownian area {area}"] = np.concatenate([part.ravel() for part in parts if part is not None]).tolist()
    return found


def problems_of_all_kinds():
    """Small problems by name."""
    from sgdlimits.problems import LeastSquares, Logistic, StreamingLeastSquares

    draw = np.random.Generator(np.random.Philox(17))
    rows, targets = draw.standard_normal((12, 3)), draw.standard_normal(12)
    covariance = np.array([[1.0, 0.3, 0], [0.3, 0.7, 0.1], [0, 0.1, 0.4]])
    return {
        "finite": LeastSquares.from_arrays(rows, targets, ridge=0.1),
        "streaming": StreamingLeastSquares(covariance, 0.4, np.array([1.0, 0, -1]), ridge=0.05),
        "logistic": Logistic.from_arrays(rows, np.sign(targets), ridge=0.1),
    }


START = np.array([1.0, -0.5, 0.25])


def last(result, name="state"):
    """Values at the last recorded step of the first two paths."""
    return np.asarray(result[name])[:2, -1].ravel().tolist()


def recurrences():
    """Paths of every kind of SGD."""
    from sgdlimits.discrete import SGD

    found = {}
    settings = {
        "plain": {},
        "batch 3": {"batch_size": 3},
        "without replacement": {"batch_size": 3, "sampling": "without_replacement"},
        "reshuffle": {"batch_size": 5, "sampling": "reshuffle"},
        "momentum": {"momentum": 0.7},
        "nesterov": {"momentum": 0.7, "nesterov": True, "batch_size": 2},
    }
    for kind, problem in problems_of_all_kinds().items():
        for name, options in settings.items():
            if kind == "streaming" and "sampling" in options:
                continue
            noises = (0.0, 0.3) if kind != "logistic" else (0.0,)
            for label_noise in noises:
                sgd = SGD(problem, 0.05, label_noise=label_noise, **options)
                run = sgd.simulate(START, 37, 10, observables=("state",), record=[37], seed=5, threads=1)
                found[f"SGD {kind} {name} {label_noise:g}"] = last(run)
    return found


def moments():
    """Exact mean and risk of everything whose moments close."""
    from sgdlimits.diffusions import GradientFlow, HomogenizedSGD, ModifiedEquation, OrnsteinUhlenbeck
    from sgdlimits.discrete import SGD

    found = {}
    for kind in ("finite", "streaming"):
        problem = problems_of_all_kinds()[kind]
        for name, options in {
            "plain": {},
            "momentum": {"momentum": 0.6, "label_noise": 0.2, "batch_size": 2},
        }.items():
            sgd = SGD(problem, 0.1, **options)
            exact, law = sgd.moments(START, 20), sgd.stationary()
            found[f"moments {kind} SGD {name}"] = [*exact["mean"].values[-1], float(exact["risk"][-1]), law.risk]
            thresholds = sgd.stability()
            found[f"stability {kind} SGD {name}"] = [thresholds.mean_threshold, thresholds.mean_square_threshold]
        sgd = SGD(problem, 0.1, batch_size=2)
        for process in (
            HomogenizedSGD.of(sgd),
            HomogenizedSGD.of(sgd, drift_order=2),
            ModifiedEquation.of(sgd, order=1),
            ModifiedEquation.of(sgd, order=2),
            OrnsteinUhlenbeck.of(sgd),
            GradientFlow.of(sgd),
        ):
            exact = process.moments(START, 20)
            found[f"moments {kind} {process.label} {process.drift_order}"] = [
                *exact["mean"].values[-1],
                *np.diag(exact["covariance"].values[-1]),
                float(exact["risk"][-1]),
                process.stationary().risk,
            ]
    return found


def diffusions():
    """Paths of every built-in diffusion by every scheme that it takes, and of a user's by every scheme."""
    from sgdlimits import diffusions as d
    from sgdlimits.discrete import SGD

    found = {}
    for kind in ("finite", "streaming"):
        sgd = SGD(problems_of_all_kinds()[kind], 0.1, batch_size=2)
        for process in (
            d.HomogenizedSGD.of(sgd),
            d.ModifiedEquation.of(sgd, order=2),
            d.OrnsteinUhlenbeck.of(sgd),
            d.GradientFlow.of(sgd),
        ):
            for solver in (*process.solvers, "weak_euler", "tamed_euler"):
                run = process.simulate(
                    START, 11, 10, observables=("state",), record=[11], seed=5, threads=1, solver=solver, substeps=2
                )
                found[f"simulate {kind} {process.label} {solver}"] = last(run)
    for process in (
        d.StableOrnsteinUhlenbeck([1.0, 0.5, 0.2], [0.3, 0.2, 0.1], 1.5, step_size=0.1),
        d.StableLangevin(lambda x: x**3 / (1 + x * x), [0.3, 0.2, 0.1], 1.5, step_size=0.1),
    ):
        run = process.simulate(START, 11, 10, observables=("state",), record=[11], seed=5, threads=1)
        found[f"simulate {process.label}"] = last(run)
    forms = {
        "additive": (lambda t, x: -x, lambda t, x: np.array([[0.3, 0.1], [0.0, 0.2]])),
        "diagonal": (lambda t, x: -x, lambda t, x: 0.4 * x),
        "general": (lambda t, x: -x, lambda t, x: 0.2 * np.stack([x, x[:, ::-1] ** 2 / 3 + 0.1], axis=2)),
    }
    for noise_type, (drift, diffusion) in forms.items():
        process = d.UserDiffusion(drift, diffusion, dimension=2, noise_type=noise_type)
        for name in d.SCHEMES:
            try:
                run = d.integrate(
                    process, [1.0, 0.5], 0.5, 0.125, paths=9, solver=name, seed=4, record=[0.5], threads=1
                )
            except ValueError:
                continue  # the scheme does not treat this noise
            found[f"integrate {noise_type} {name}"] = last(run)
    return found


def zero_loss_sets():
    """Noisy gradient descent by every mechanism, its geometry and its limits."""
    from sgdlimits import diffusions, discrete
    from sgdlimits.problems import noise, zero_loss

    found = {}
    model, start = zero_loss.Hyperbola(), np.array([2.2, 0.7])
    mechanisms = {
        "label": noise.LabelNoise(0.3),
        "dropconnect": noise.DropConnect(0.2),
        "bernoulli": noise.DropConnect(0.2, law="bernoulli"),
        "weights": noise.WeightNoise(0.1),
        "anti": noise.AntiCorrelated(0.1),
        "langevin": noise.Langevin(0.1),
        "sum": noise.LabelNoise(0.3) + noise.DropConnect(0.2),
    }
    for name, mechanism in mechanisms.items():
        descent = discrete.NoisyGradientDescent(model, mechanism, 0.05)
        run = descent.simulate(start, 23, 10, observables=("state",), record=[23], seed=6, threads=1)
        found[f"descent {name}"] = last(run)
    network = zero_loss.ShallowNetwork(np.array([[1.0, 0.2], [-0.3, 0.7]]), np.array([0.4, -0.2]), 3, "tanh")
    w = np.linspace(-0.8, 0.9, network.dimension)
    for name, mechanism in {
        "minibatch": noise.Minibatch(1),
        "dropout": noise.Dropout(0.2),
        "inputs": noise.InputNoise(0.1),
    }.items():
        run = discrete.NoisyGradientDescent(network, mechanism, 0.05).simulate(
            w, 23, 10, observables=("state",), record=[23], seed=6, threads=1
        )
        found[f"descent network {name}"] = last(run)
    found["limit map"] = diffusions.limit_map(model, start).tolist()
    limit = diffusions.ManifoldLimit(model, noise.LabelNoise(0.3), 0.02)
    found["label noise limit"] = [
        float(limit.clock),
        *limit.solve(diffusions.limit_map(model, start), [0.5])["w"].values[-1],
    ]
    sphere = diffusions.ManifoldLimit(model, noise.Langevin(0.1), 0.02)
    run = sphere.simulate(diffusions.limit_map(model, start), 40, 9, observables=("state",), record=[40], seed=2)
    found["langevin limit"] = last(run)
    return found


def studies():
    """A few numbers of each study at the smallest sizes; none that rounding decides, as of a slope or a tiny error."""
    from sgdlimits.studies.homogenized.study import HomogenizedStudy
    from sgdlimits.studies.zero_loss import sparse_regression

    result = HomogenizedStudy(paths=32, steps=20, seed=3).run(threads=1)
    laws, orders = result.laws.dataset, result.orders.dataset
    found = {
        "study homogenized step size": [result.study.step_size, laws["step"].values[-1]],
        "study homogenized constants": orders["constant_predicted"].values.ravel().tolist(),
    }
    for process in laws["process"].values:
        here = laws.sel(process=process).isel(step=-1)
        found[f"study homogenized {process}"] = [
            *here["estimate"].values, *here["standard_error"].values, *laws["w1"].sel(process=process).values[:, -1],
        ]  # fmt: skip
    task = sparse_regression.synthetic_task(8, 12, 1, 0)
    data = sparse_regression.run_task(
        task, 200, 2, 4, seed=5, tolerance=0.1, confidence=0.95, threads=1, progress=None
    )  # fmt: skip
    for name in data["mechanism"].values:
        here = data.sel(mechanism=name).isel(start=0)
        found[f"study zero-loss {name}"] = here["coefficients"].values.tolist()
    return found


def every_case():
    """All of it; values are plain numbers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = draws() | recurrences() | moments() | diffusions() | zero_loss_sets() | studies()
    return {
        name: [value if isinstance(value, str) else float(value) for value in values]
        for name, values in cases.items()
    }


def moved(old, new):
    """Largest relative change; infinite for words and shapes."""
    if len(old) != len(new) or any(isinstance(value, str) for value in (*old, *new)):
        return 0.0 if old == new else np.inf
    old, new = np.array(old), np.array(new)
    scale = np.abs(old).max(initial=0.0) or 1.0
    return float(np.abs(new - old).max(initial=0.0) / scale)


def main(arguments):
    """Record what is new or moved by rounding; refuse the rest unless it is named."""
    old, new = json.loads(FILE.read_text()) if FILE.exists() else {}, every_case()
    refused = [
        name
        for name in new
        if name in old
        and moved(old[name], new[name]) > (0 if name.split()[0] in WORDS else 1e-12)
        and name not in arguments
    ]
    for name in refused:
        print(f"changed: {name}: {old[name]} -> {new[name]}")
    gone = [name for name in old if name not in new]
    if refused or gone:
        print("gone:", gone)
        return 1
    FILE.write_text(json.dumps(new, indent=0) + "\n")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    sys.exit(main(sys.argv[2:] if sys.argv[1:2] == ["--changed"] else sys.argv[1:]))
