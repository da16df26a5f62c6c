"""Public calls that work, on small problems, and values that nobody should pass: what test_bad_input.py combines."""

import datetime
import importlib.util
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy import stats

from sgdlimits import compare, diffusions, discrete, ensembles, problems
from sgdlimits.discrete import rules, schedules
from sgdlimits.ensembles import populations
from sgdlimits.problems import LeastSquares, Logistic, SampleLoss, StreamingLeastSquares, geometry, noise, zero_loss
from sgdlimits.problems import Supervised, losses, predictors, sources

DRAW = np.random.Generator(np.random.Philox(3))
ROWS, TARGETS = DRAW.standard_normal((8, 2)), DRAW.standard_normal(8)
SMALL = LeastSquares.from_arrays(ROWS, TARGETS)
STREAM = StreamingLeastSquares(np.eye(2), 0.3, np.ones(2))
DESCENT = discrete.SGD(SMALL, 0.05)
HOMOGENIZED = diffusions.HomogenizedSGD.of(DESCENT)
HYPERBOLA = zero_loss.Hyperbola()
ON_SET = np.array([1.0, 1.0])
NOISY = discrete.NoisyGradientDescent(HYPERBOLA, noise.DropConnect(0.1), 0.05)
LIMIT = diffusions.ManifoldLimit.of(NOISY, start=ON_SET)
NOISY_LABELS = discrete.NoisyGradientDescent(HYPERBOLA, noise.LabelNoise(0.5), 0.1)
LABEL_LIMIT = diffusions.ManifoldLimit.of(NOISY_LABELS, start=ON_SET)
START = np.array([1.0, -0.5])
DRIFTING = diffusions.UserDiffusion(lambda t, x: -x, lambda t, x: 0.3 * np.ones(2), dimension=2, noise_type="additive")
STREAMS = ensembles.Noise(3, np.arange(8))
PATH = ensembles.Brownian(1.0, 4, 2, seed=3)


class Walk:
    """A recurrence of the user's own."""

    label = "walk"

    def initial_state(self, x0):
        return x0.copy()

    def step(self, k, state, noise):
        return 0.9 * state

    def position(self, state):
        return state


def norm(x):
    return np.sqrt((x * x).sum(axis=1))


def miss(x, i):
    return (ROWS[i] * x[:, None]).sum(axis=-1) - TARGETS[i]


def sample_value(x, i):
    return 0.5 * np.square(miss(x, i))


def sample_gradient(x, i):
    return miss(x, i)[..., None] * ROWS[i]


class Equation:
    """What torchsde takes."""

    noise_type, sde_type = "diagonal", "ito"

    def f(self, t, y):
        return -y

    def g(self, t, y):
        return 0 * y + 0.3


@lru_cache(maxsize=1)
def diffrax_terms():
    """What diffrax takes; made when it is needed, because jax is slow to import."""
    import diffrax
    import jax

    path = diffrax.VirtualBrownianTree(0.0, 1.0, 1e-2, shape=(2,), key=jax.random.key(0))
    return diffrax.MultiTerm(
        diffrax.ODETerm(lambda t, y, args: -y), diffrax.ControlTerm(lambda t, y, args: 0.3 * jax.numpy.eye(2), path)
    )


DIABETES = Path(problems.__file__).parent / "data" / "diabetes.csv"
GIVEN = object()  # stands for what is made late
SIMULATED = dict(x0=START, steps=3, paths=2, observables=("norm",), record=[0, 3], seed=1, quality="float32", threads=1,
                 chunk=8, progress=None, first_path=0, keep_state=False)  # fmt: skip
SCHEMED = SIMULATED | {"solver": "euler", "substeps": 1}
MOMENTS = dict(x0=START, steps=3, record=[0, 3], progress=None)
SIMULATED_W = {"w0": ON_SET} | {name: value for name, value in SIMULATED.items() if name != "x0"}


# name -> (callable, keyword arguments with which it works)
CALLS = {
    "LeastSquares.from_arrays": (
        LeastSquares.from_arrays, dict(A=ROWS, b=TARGETS, ridge=0.1),
    ),
    "LeastSquares.gaussian": (LeastSquares.gaussian, dict(n=6, d=2, spectrum=1.0, noise=0.3, seed=1, ridge=0.1)),
    "StreamingLeastSquares": (
        StreamingLeastSquares, dict(covariance=np.eye(2), noise=0.3, minimiser=np.ones(2), ridge=0.1),
    ),
    "Logistic.from_arrays": (
        Logistic.from_arrays, dict(A=ROWS, b=np.sign(TARGETS), ridge=0.1),
    ),
    "SampleLoss": (
        SampleLoss, dict(value=sample_value, gradient=sample_gradient, samples=8, dimension=2),
    ),
    "LeastSquares.risk": (SMALL.risk, dict(x=START)),
    "LeastSquares.gradient": (SMALL.gradient, dict(x=START)),
    "LeastSquares.gradient_noise_covariance": (SMALL.gradient_noise_covariance, dict(x=START)),
    "StreamingLeastSquares.risk": (STREAM.risk, dict(x=START)),
    "Hyperbola.loss": (HYPERBOLA.loss, dict(w=START)),
    "Hyperbola.gradient": (HYPERBOLA.gradient, dict(w=START)),
    "limit_map": (geometry.limit_map, dict(model=HYPERBOLA, w=START)),
    "frame": (geometry.frame, dict(model=HYPERBOLA, w=ON_SET)),
    "tangent_projector": (geometry.tangent_projector, dict(model=HYPERBOLA, w=ON_SET)),
    "set_dimension": (geometry.set_dimension, dict(model=HYPERBOLA, w=ON_SET)),
    "distance": (geometry.distance, dict(model=HYPERBOLA, w=START)),
    "retract": (geometry.retract, dict(model=HYPERBOLA, w=ON_SET)),
    "trace_hessian": (geometry.trace_hessian, dict(model=HYPERBOLA, w=ON_SET)),
    "trace_gradient": (geometry.trace_gradient, dict(model=HYPERBOLA, w=ON_SET)),
    "log_determinant": (geometry.log_determinant, dict(model=HYPERBOLA, w=ON_SET)),
    "log_determinant_gradient": (geometry.log_determinant_gradient, dict(model=HYPERBOLA, w=ON_SET)),
    "normal_covariance": (
        geometry.normal_covariance, dict(model=HYPERBOLA, w=ON_SET, covariance=np.eye(2), step_size=0.1),
    ),
    "second_derivative": (geometry.second_derivative, dict(model=HYPERBOLA, w=ON_SET, covariance=np.eye(2))),
    "ProductSum": (zero_loss.ProductSum, dict(terms=2)),
    "DiagonalLinearNetwork": (zero_loss.DiagonalLinearNetwork, dict(features=ROWS, labels=TARGETS)),
    "LinearRegression": (zero_loss.LinearRegression, dict(features=ROWS, labels=TARGETS)),
    "MatrixFactorisation": (zero_loss.MatrixFactorisation, dict(target=np.eye(2), rank=2)),
    "ShallowNetwork": (zero_loss.ShallowNetwork, dict(features=ROWS, labels=TARGETS, width=2, activation="tanh")),
    "UserLoss": (
        zero_loss.UserLoss,
        dict(loss_function=lambda w: 0.5 * np.square(w[..., 0]), dimension=2,
             gradient_function=lambda w: w * np.array([1.0, 0.0])),
    ),
    "Minibatch": (noise.Minibatch, dict(batch_size=2, sampling="with_replacement")),
    "LabelNoise": (noise.LabelNoise, dict(sigma=0.1)),
    "DropConnect": (noise.DropConnect, dict(sigma=0.1, law="gaussian")),
    "Dropout": (noise.Dropout, dict(sigma=0.1, law="gaussian", sharing="shared")),
    "WeightNoise": (noise.WeightNoise, dict(sigma=0.1)),
    "AntiCorrelated": (noise.AntiCorrelated, dict(sigma=0.1)),
    "InputNoise": (noise.InputNoise, dict(sigma=0.1)),
    "Langevin": (noise.Langevin, dict(sigma=0.1, noise_covariance=np.eye(2))),
    "LossNoise": (noise.LossNoise, dict(sigma=0.1)),
    "Mixture": (noise.Mixture, dict(parts=(noise.LabelNoise(0.1), noise.DropConnect(0.1)))),
    "steps_per_time": (noise.steps_per_time, dict(regime="degenerate", step_size=0.1, sigma=0.2)),
    "SGD": (
        discrete.SGD,
        dict(problem=SMALL, step_size=0.05, batch_size=2, sampling="with_replacement", momentum=0.5, label_noise=0.1,
             nesterov=False),
    ),
    "SGD.simulate": (DESCENT.simulate, SIMULATED),
    "SGD.moments": (DESCENT.moments, MOMENTS),
    "SVAG": (discrete.SVAG, dict(sgd=DESCENT, l=2)),
    "SVAG.simulate": (discrete.SVAG(DESCENT, 2).simulate, SIMULATED),
    "SVAG.moments": (discrete.SVAG(DESCENT, 2).moments, MOMENTS),
    "sharpness": (discrete.sharpness, dict(problem=SMALL, x=START, tolerance=1e-6)),
    "NoisyGradientDescent": (
        discrete.NoisyGradientDescent, dict(model=HYPERBOLA, noise=noise.LabelNoise(0.1), step_size=0.05),
    ),
    "NoisyGradientDescent.simulate": (NOISY.simulate, SIMULATED_W),
    "NoisyGradientDescent.regulariser": (NOISY.regulariser, dict(w=START)),
    "discrete.simulate": (discrete.simulate, {"recurrence": Walk(), **SIMULATED, "risk": norm}),
    "GradientFlow": (
        diffusions.GradientFlow,
        dict(problem=SMALL, step_size=0.05, batch_size=1, label_noise=0.0, drift_order=1, rtol=1e-8, atol=1e-10),
    ),
    "GradientFlow.solve": (diffusions.GradientFlow(SMALL, 0.05).solve, dict(x0=START, steps=3, record=[3])),
    "OrnsteinUhlenbeck": (
        diffusions.OrnsteinUhlenbeck, dict(problem=SMALL, step_size=0.05, batch_size=1, label_noise=0.0),
    ),
    "ModifiedEquation": (
        diffusions.ModifiedEquation, dict(problem=SMALL, step_size=0.05, batch_size=1, label_noise=0.0, order=2),
    ),
    "HomogenizedSGD": (
        diffusions.HomogenizedSGD, dict(problem=SMALL, step_size=0.05, batch_size=1, label_noise=0.0, drift_order=2),
    ),
    "HomogenizedSGD.of": (diffusions.HomogenizedSGD.of, dict(sgd=DESCENT)),
    "GradientFlow.of": (diffusions.GradientFlow.of, dict(sgd=DESCENT)),
    "UnderdampedLangevin": (
        diffusions.UnderdampedLangevin,
        dict(problem=SMALL, step_size=0.05, batch_size=1, momentum=0.5, nesterov=True, order=2, label_noise=0.0),
    ),
    "AdamSDE": (
        diffusions.AdamSDE,
        dict(problem=SMALL, step_size=0.05, batch_size=1, betas=(0.5, 0.9), eps=0.1, weight_decay=0.1,
             decoupled=True, bias_correction=True, second_moment=0.5, squared_gradient=True, label_noise=0.0),
    ),
    "RMSPropSDE": (
        diffusions.RMSPropSDE,
        dict(problem=SMALL, step_size=0.05, batch_size=1, alpha=0.9, eps=0.1, weight_decay=0.1, second_moment=0.5,
             squared_gradient=True, label_noise=0.0),
    ),
    "SignSDE": (diffusions.SignSDE, dict(problem=SMALL, step_size=0.05, batch_size=1, order=2, label_noise=0.0)),
    "SignSDE.simulate": (
        diffusions.SignSDE(SMALL, 0.05).simulate,
        dict(x0=START, steps=2, paths=8, seed=0, substeps=1, solver="euler", record=[2], observables="norm"),
    ),
    "UnderdampedLangevin.moments": (
        diffusions.UnderdampedLangevin(SMALL, 0.05, momentum=0.5).moments, dict(x0=START, steps=2, record=[2]),
    ),
    "AdamSDE.of": (diffusions.AdamSDE.of, dict(sgd=discrete.SGD(SMALL, 0.05, rule="adam"))),
    "ModifiedEquation.of": (diffusions.ModifiedEquation.of, dict(sgd=DESCENT)),
    "OrnsteinUhlenbeck.of": (diffusions.OrnsteinUhlenbeck.of, dict(sgd=DESCENT)),
    "HomogenizedSGD.simulate": (HOMOGENIZED.simulate, SCHEMED),
    "HomogenizedSGD.moments": (HOMOGENIZED.moments, MOMENTS | {"solver": "euler", "substeps": 1}),
    "HomogenizedSGD.drift": (HOMOGENIZED.drift, dict(t=0.0, x=START[None])),
    "HomogenizedSGD.diffusion": (HOMOGENIZED.diffusion, dict(t=0.0, x=START[None])),
    "volterra_risk": (
        diffusions.volterra_risk, dict(process=HOMOGENIZED, x0=START, steps=3, record=[0, 3], discrete=False),
    ),
    "UserDiffusion": (
        diffusions.UserDiffusion,
        dict(drift=lambda t, x: -x, diffusion=lambda t, x: np.ones(2), dimension=2, noise_type="additive",
             noise_dimension=2, compiled=False, diagonal_matrix=False, derivative=None, ito_correction=None,
             linear=np.ones(2), drift_jacobian=None, label="mine"),
    ),
    "integrate": (
        diffusions.integrate,
        dict(diffusion=DRIFTING, x0=START, t1=1.0, dt=0.25, paths=2, solver="euler", seed=1, t0=0.0, record=[0.0, 1.0],
             observables="norm", threads=1, chunk=8, progress=None, quality="float32", brownian=PATH, first_path=0),
    ),
    "integrate adaptive": (
        diffusions.integrate,
        dict(diffusion=DRIFTING, x0=START, t1=1.0, dt=0.25, paths=2, solver="sra1", tolerance=0.1),
    ),
    "monte_carlo": (
        diffusions.monte_carlo,
        dict(diffusion=DRIFTING, observable=norm, tolerance=0.5, x0=START, t1=1.0, dt=0.5, t0=0.0, solver="euler",
             seed=1, confidence=0.95, first_paths=64, most_paths=10**5, quality="float32", threads=1),
    ),
    "multilevel": (
        diffusions.multilevel,
        dict(diffusion=DRIFTING, observable=norm, tolerance=0.5, x0=START, t1=1.0, solver="euler", seed=1, threads=1),
    ),
    "linear_moments": (
        diffusions.linear_moments, dict(diffusion=DRIFTING, x0=START, dt=0.1, steps=3, solver="euler", degree=2),
    ),
    "find_scheme": (diffusions.find_scheme, dict(solver="euler")),
    "ManifoldLimit": (
        diffusions.ManifoldLimit,
        dict(model=HYPERBOLA, noise=noise.LabelNoise(0.1), step_size=0.05, start=START, correction=False,
             finite_step=False),
    ),
    "ManifoldLimit.of": (diffusions.ManifoldLimit.of, dict(recurrence=NOISY)),
    "ManifoldLimit.stability": (LIMIT.stability, dict(w0=ON_SET)),
    "ManifoldLimit.solve": (LIMIT.solve, dict(w0=ON_SET, times=[0.0, 0.1])),
    "ManifoldLimit.simulate": (
        LIMIT.simulate, {name: value for name, value in SIMULATED_W.items() if name != "keep_state"},
    ),
    "Noise": (ensembles.Noise, dict(seed=1, paths=np.arange(8), quality="float32")),
    "Noise.normals": (STREAMS.normals, dict(purpose=1, k=0, size=3)),
    "Noise.uniforms": (STREAMS.uniforms, dict(purpose=1, k=0, size=3)),
    "Noise.two_point": (STREAMS.two_point, dict(purpose=1, k=0, size=3)),
    "Noise.rows": (STREAMS.rows, dict(k=0, batch_size=2, samples=5, sampling="with_replacement")),
    "Noise.permutation": (STREAMS.permutation, dict(epoch=0, samples=5)),
    "child_seed": (lambda seed, label: ensembles.child_seed(seed, label), dict(seed=1, label="rung")),
    "Brownian": (ensembles.Brownian, dict(horizon=1.0, steps=4, dimension=2, seed=1, quality="float64", area=False)),
    "Brownian.increments": (PATH.increments, dict(paths=np.arange(2), first=0, last=4, level=1)),
    "Brownian.at": (PATH.at, dict(paths=np.arange(2), times=[0.0, 0.3])),
    "Brownian.interval": (PATH.interval, dict(level=1)),
    "coarsen": (ensembles.coarsen, dict(w=np.ones((4, 2, 1)), h=None, factor=2)),
    "Gaussian": (ensembles.Gaussian, dict(mean=np.ones(2), covariance=np.eye(2))),
    "Mean": (ensembles.Mean, dict(function="norm", since=0)),
    "WindowMean": (ensembles.WindowMean, dict(function="norm", window=2)),
    "Maximum": (ensembles.Maximum, dict(function="norm")),
    "Recorded": (ensembles.Recorded, dict(function="norm")),
    "FirstPassage": (
        ensembles.FirstPassage,
        dict(function="norm", below=0.1, above=None, retire=False, sense="continuous", gradient=np.sign),
    ),
    "run": (ensembles.run, {"simulator": DESCENT.simulator(), **SIMULATED}),
    "initial_state": (ensembles.initial_state, dict(x0=START, dimension=2, paths=3)),
    "initial_moments": (ensembles.initial_moments, dict(x0=START, dimension=2)),
    "recorded_steps": (ensembles.recorded_steps, dict(record=[0, 3], steps=3, begin=0)),
    "laws": (
        lambda reference, other, **rest: compare.laws(reference, other, **rest),
        dict(reference=DESCENT, other=HOMOGENIZED, x0=START, steps=2, paths=16, observables=("risk",), record=[2],
             seed=1, solver="euler", substeps=1, tolerance=0.05, confidence=0.95, threads=1, progress=None),
    ),
    "orders": (
        lambda reference, other, **rest: compare.orders(reference, other, **rest),
        dict(reference=DESCENT, other=HOMOGENIZED, x0=START, steps=4, step_sizes=[0.05, 0.025, 0.0125], rungs=3),
    ),
    "orders by time": (
        lambda time, rungs: compare.orders(DESCENT, HOMOGENIZED, x0=START, time=time, rungs=rungs),
        dict(time=0.2, rungs=3),
    ),
    "manifold": (
        compare.manifold,
        dict(recurrence=NOISY_LABELS, limit=LABEL_LIMIT, w0=ON_SET, steps=40, paths=4,
             observables={"first": lambda w: w[:, 0]}, step_sizes=[0.1, 0.05], noise_levels=[0.5], rungs=2, times=2,
             seed=1, tolerance=0.05, confidence=0.95, quality="float32", threads=1, progress=None),
    ),
    "manifold by time": (
        lambda time: compare.manifold(NOISY_LABELS, LABEL_LIMIT, ON_SET, time=time, paths=4, rungs=2, times=2),
        dict(time=0.02),
    ),
    "TimeScale": (
        compare.TimeScale,
        dict(process=NOISY_LABELS, w0=ON_SET, kind="drift", quantity=lambda w: w[:, 0], level=0.1,
             step_sizes=[0.1, 0.05], noise_levels=[0.2, 0.1], label="mine"),
    ),
    "time_scales": (
        compare.time_scales,
        dict(scales=[DESCENT], w0=START, step_sizes=[0.8, 0.4], noise_levels=None, rungs=2, paths=4, steps=100,
             seed=1, tolerance=0.05, confidence=0.95, threads=1, progress=None),
    ),
    "compare.svag": (
        compare.svag,
        dict(sgd=DESCENT, x0=START, steps=3, l=(2,), paths=2, record=[0, 3], seed=1, tolerance=0.1, confidence=0.9,
             risk=None),
    ),
    "compare.linear_scaling": (
        compare.linear_scaling,
        dict(sgd=DESCENT, x0=START, steps=4, factors=(2,), paths=2, record=[0, 4], seed=1, tolerance=0.1,
             confidence=0.9, risk=None),
    ),
    "compare.step_size_effect": (
        compare.step_size_effect,
        dict(problem=SMALL, x0=START, step_size=0.05, steps=3, record=[0, 3], sgd=None, paths=2, seed=1, rtol=1e-6,
             atol=1e-8, sharpness_looks=1),
    ),
    "KnownLaw": (compare.KnownLaw, dict(laws={"norm": stats.norm()}, label="mine")),
    "LeastSquares.from_csv": (
        LeastSquares.from_csv,
        dict(path=DIABETES, target="progression", ridge=0.1, standardise=True, test_fraction=0.25, seed=1,
             one_hot="sex", drop="s1", delimiter=",", decimal="."),
    ),
    "LeastSquares.from_dataset": (
        LeastSquares.from_dataset, dict(name="diabetes", ridge=0.1, standardise=True, test_fraction=0.25, seed=1),
    ),
    "Rows": (sources.Rows, dict(inputs=ROWS, labels=TARGETS)),
    "Rows.from_csv": (sources.Rows.from_csv, dict(path=DIABETES, target="progression", standardise=True)),
    "Stream.gaussian_classes": (
        sources.Stream.gaussian_classes, dict(centres=np.eye(2), noise=1.0, seed=1, evaluated=64),
    ),
    "Supervised": (
        Supervised,
        dict(predictor=predictors.Linear(2), loss=losses.Squares(), source=sources.Rows(ROWS, TARGETS), ridge=0.1),
    ),
    "Linear": (predictors.Linear, dict(inputs=2, outputs=2, bias=True)),
    "TwoLayer": (predictors.TwoLayer, dict(inputs=2, width=3, outputs=2, activation="tanh")),
    "Adam": (rules.Adam, dict(betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1, amsgrad=True)),
    "AdamW": (rules.AdamW, dict(betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1, amsgrad=True)),
    "RMSProp": (rules.RMSProp, dict(alpha=0.9, eps=1e-8, weight_decay=0.1, momentum=0.5, centered=True)),
    "HeavyBall": (rules.HeavyBall, dict(momentum=0.5)),
    "Nesterov": (rules.Nesterov, dict(momentum=0.5)),
    "Clipped": (rules.Clipped, dict(max_norm=0.5, rule=rules.Adam())),
    "SGD by a rule": (lambda rule: discrete.SGD(SMALL, 0.05, rule=rule), dict(rule="adam")),
    "Constant": (schedules.Constant, dict(size=0.1)),
    "Drop": (schedules.Drop, dict(size=0.1, at=(3, 5), factor=0.5)),
    "WarmUp": (schedules.WarmUp, dict(size=0.1, steps=5, then=0.1)),
    "Cosine": (schedules.Cosine, dict(size=0.1, steps=5, smallest=0.01)),
    "grow": (
        populations.grow,
        dict(process=Walk(), x0=START, generations=4, paths=32, log_weight=lambda before, after: 0 * after[:, 0],
             every=1, project=lambda x: x, groups=2, burn_in=1, seed=1, quality="float32", confidence=0.95, threads=1),
    ),
    "resample": (populations.resample, dict(log_weights=np.zeros(4), uniform=0.5)),
    "to_sdeint": (diffusions.to_sdeint, dict(diffusion=DRIFTING, x0=START)),
    "from_sdeint": (
        diffusions.from_sdeint,
        dict(f=lambda y, t: -y, G=lambda y, t: np.eye(2), x0=START, noise_type="general", label="mine"),
    ),
}  # fmt: skip

if all(importlib.util.find_spec(name) for name in ("torch", "torchsde")):
    CALLS |= {
        "to_torchsde": (diffusions.to_torchsde, dict(diffusion=DRIFTING, x0=START, dtype=None)),
        "from_torchsde": (diffusions.from_torchsde, dict(sde=Equation(), x0=START, label="mine")),
    }
if all(importlib.util.find_spec(name) for name in ("jax", "diffrax")):
    CALLS |= {
        "to_diffrax": (
            lambda diffusion, brownian, **rest: diffusions.to_diffrax(
                diffusion, diffrax_terms().terms[1].control if brownian is GIVEN else brownian, **rest
            ), dict(diffusion=DRIFTING, brownian=GIVEN, x0=START, precision="float32"),
        ),
        "from_diffrax": (
            lambda terms, **rest: diffusions.from_diffrax(diffrax_terms() if terms is GIVEN else terms, **rest),
            dict(terms=GIVEN, x0=START, noise_type="general", label="mine"),
        ),
    }  # fmt: skip


def shouts(x):
    raise RuntimeError("no\nthank you " + 1000 * "x")


HOSTILE = {
    "None": None,
    "huge": 10**400,
    "minus one": -1,
    "one and a half": 1.5,
    "True": True,
    "text": "5",
    "bytes": b"5",
    "1e30": 1e30,
    "nan": float("nan"),
    "inf": float("inf"),
    "1e308": 1e308,
    "complex": 1 + 2j,
    "numpy complex": np.complex128(1 + 2j),
    "long text": 10_000 * "x",
    "blank": " ",
    "null byte": "a\0b",
    "False as text": "False",
    "empty": [],
    "ragged": [[1.0, 2.0], [3.0]],
    "list of texts": ["1", "2"],
    "masked": np.ma.masked_array([1.0, 2.0], [False, True]),
    "complex array": np.array([1.0, 2j]),
    "nan array": np.array([np.nan, 1.0]),
    "huge array": np.array([1e308, -1e308]),
    "huge in a list": [10**400, 1],
    "dates": np.array(["2020-01-01", "2020-01-02"], dtype="datetime64[D]"),
    "date": datetime.date(2020, 1, 1),
    "no rows": np.zeros((0, 2)),
    "three numbers": np.ones(3),
    "asymmetric": np.array([[1.0, 2.0], [0.0, 1.0]]),
    "mapping": {"a": "b"},
    "function that raises": shouts,
    "function of nothing": lambda: 1,
    "observable that raises": {"mine": shouts},
    "observable of nothing": {"mine": lambda: 1},
    "observable of texts": {"mine": lambda x: np.array(["a"] * len(x))},
    "observable of complex numbers": {"mine": lambda x: x[:, 0] + 1j},
    "observable past d": {"mine": lambda x: x[:, 99]},
    "observable named blank": {" ": norm},
    "observable with a null byte": {"a\0b": norm},
    "a class": LeastSquares,
    "an object": object(),
}
