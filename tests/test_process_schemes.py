"""Built-in diffusions under every scheme: kernels against the schemes' own steps, exact flows, one door."""

from __future__ import annotations

import numpy as np
import pytest

from sgdlimits.diffusions import SCHEMES, HomogenizedSGD, ModifiedEquation, OrnsteinUhlenbeck, UserDiffusion, integrate
from sgdlimits.diffusions.solvers import Coefficients, NinomiyaVictoir, StepNoise, find_scheme, process_simulator
from sgdlimits.ensembles import run
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import LeastSquares
from tests.parameters import slowly

PROBLEM = LeastSquares.gaussian(10, 5, spectrum=1.0, noise=0.3, seed=1, ridge=0.1)
X0 = np.linspace(1.0, -0.5, 5)
HOMOGENIZED = HomogenizedSGD(PROBLEM, 0.1, batch_size=2, label_noise=0.1)


@pytest.mark.parametrize("solver", HomogenizedSGD.solvers)
@pytest.mark.parametrize("quality", ["float32", "float64"])
def test_kernels_take_the_schemes_own_steps(solver, quality):
    """Assert that a fused kernel and the scheme's step in modes give the same paths to rounding, substeps included."""
    fused = HOMOGENIZED.simulate(X0, 20, 33, ("state",), seed=4, quality=quality, solver=solver, substeps=3)
    stepped = process_simulator(HOMOGENIZED, find_scheme(solver), 3, 20, X0, 4, quality)
    kept = run(stepped, X0, paths=33, steps=20, observables="state", seed=4, quality=quality)
    np.testing.assert_allclose(kept.values["state"], fused.state.values[:, kept.record], rtol=0, atol=1e-11)


def test_modes_are_the_process_in_its_eigenbasis():
    """Assert that drift and diffusion in modes, turned back, are those of the process."""
    x = np.random.default_rng(0).normal(size=(7, 5))
    modes, vectors = HOMOGENIZED.in_modes(), PROBLEM.eigenvectors
    z = PROBLEM.to_modes(x)
    np.testing.assert_allclose(modes.drift(0.0, z) @ vectors.T, HOMOGENIZED.drift(0.0, x), atol=1e-13)
    np.testing.assert_allclose(modes.diffusion(0.0, z)[:, None, :] * vectors, HOMOGENIZED.diffusion(0.0, x), atol=1e-13)


def test_derivatives_in_closed_form_are_the_differences():
    """Assert that derivative and Ito correction agree with central differences of the diffusion."""
    modes = HOMOGENIZED.in_modes()
    bare = UserDiffusion(modes.drift, modes.diffusion, 5)
    z = np.random.default_rng(1).normal(size=(6, 5))
    closed, differences = Coefficients(modes, 0.0, z), Coefficients(bare, 0.0, z)
    g = modes.diffusion(0.0, z)
    np.testing.assert_allclose(closed.along(0.0, z, g), differences.along(0.0, z, g), atol=1e-9)
    expected = differences.self_derivative(0.0, z, g)
    np.testing.assert_allclose(closed.self_derivative(0.0, z, g), expected, atol=1e-9)


def test_exact_flows_are_those_of_the_vector_fields():
    """Assert that closed flows of noise and drift meet Runge-Kutta ones, of fifth and third order in the increment."""
    modes = HOMOGENIZED.in_modes()
    bare = UserDiffusion(modes.drift, modes.diffusion, 5, ito_correction=modes.ito_correction)
    generator = np.random.default_rng(2)
    z, w = generator.normal(size=(6, 5)), generator.normal(size=(6, 5))
    signs = np.where(np.arange(6) % 2, 1.0, -1.0)[:, None] * np.ones(5)
    errors = []
    for size in (0.8, 0.4):
        noise = StepNoise(size * w, None, signs)
        both = [NinomiyaVictoir()._along_noises(Coefficients(made, 0.0, z), 0.0, z, noise) for made in (modes, bare)]
        errors.append(np.abs(both[0] - both[1]).max())
    assert np.log2(errors[0] / errors[1]) > 4.5
    assert errors[1] < 1e-6
    drift = [
        np.abs(
            modes.drift_flow(0.0, z, h) - NinomiyaVictoir()._along_drift(Coefficients(bare, 0.0, z), 0.0, z, h)
        ).max()
        for h in (0.2, 0.1)
    ]
    assert abs(np.log2(drift[0] / drift[1]) - 3) < 0.1


PROCESSES = (HOMOGENIZED, ModifiedEquation(PROBLEM, 0.1, batch_size=2), OrnsteinUhlenbeck(PROBLEM, 0.1, batch_size=2))


@pytest.mark.parametrize("process", PROCESSES, ids=lambda process: process.label)
@pytest.mark.parametrize(
    "solver", slowly(["heun", "ri6", "dri1", "ninomiya_victoir"], lambda name: name == "ninomiya_victoir")
)
def test_schemes_without_a_kernel_meet_the_exact_moments(process, solver):
    """Assert the exact risk at step 5 within four standard errors, from two increments a step."""
    exact = process.moments(X0, 5).risk.values[-1]
    risk = process.simulate(X0, 5, 1000, ("risk",), record=[5], solver=solver, substeps=2).risk.values
    assert abs(risk.mean() - exact) < 4 * risk.std() / np.sqrt(1000)


def test_increments_longer_than_a_step_go_through_the_one_door():
    """Assert that dt of four SGD steps has the exact moments of Strang's scheme, and two substeps those of simulate."""
    fused = integrate(HOMOGENIZED, X0, 20.0, 0.5, 40, "strang", seed=4, observables={"r": "risk"})
    again = HOMOGENIZED.simulate(X0, 20, 40, ("risk",), seed=4, solver="strang", substeps=2)
    np.testing.assert_allclose(fused.r.sel(time=20.0), again.risk.sel(step=20), rtol=1e-12)
    coarse = integrate(HOMOGENIZED, X0, 20.0, 4.0, 20_000, "weak_strang", observables={"r": "risk"}, record=[20.0])
    step = HOMOGENIZED.modal_step("weak_strang", 1, 4.0).moment_map(HOMOGENIZED.noise_map)
    mean, covariance = step.propagate(PROBLEM.to_modes(X0), np.zeros((5, 5)), [5])
    risk = coarse.r.values
    assert abs(risk.mean() - PROBLEM.expected_risk(mean, covariance)[0]) < 4 * risk.std() / np.sqrt(risk.size)


def test_bits_do_not_depend_on_chunks_or_threads():
    """Assert bitwise equality under a scheme without a kernel and under two-point increments in one."""
    for solver in ("ninomiya_victoir", "weak_strang"):
        one = HOMOGENIZED.simulate(X0, 10, 100, ("state",), solver=solver, threads=1).state.values
        two = HOMOGENIZED.simulate(X0, 10, 100, ("state",), solver=solver, threads=2, chunk=16).state.values
        np.testing.assert_array_equal(one, two)


def test_schemes_that_do_not_fit_are_named():
    """Assert one clear sentence for moments that do not close and for noise that a scheme cannot treat."""
    with pytest.raises(InvalidInput, match="solver 'ri6' has no closed moments for homogenized SGD"):
        HOMOGENIZED.moments(X0, 5, solver="ri6")
    with pytest.raises(InvalidInput, match="'milstein' treats .* but homogenized SGD has general noise"):
        HOMOGENIZED.simulate(X0, 5, 16, solver="milstein")
    assert set(HomogenizedSGD.solvers) <= set(SCHEMES)
