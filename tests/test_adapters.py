"""Other libraries run our diffusions and we run theirs: equal on one Brownian path, equal in law on their own."""

from __future__ import annotations

import importlib
import importlib.util
import math
import os

import numba
import numpy as np
import pytest

from sgdlimits import diffusions, problems
from sgdlimits.diffusions import Diffrax, Sdeint, TorchSDE, UserDiffusion, integrate
from sgdlimits.diffusions.array_form import ArrayForm
from sgdlimits.diffusions.solvers.adapters import LIBRARIES, libraries
from sgdlimits.ensembles import Brownian
from sgdlimits.exact.errors import InvalidInput, MissingLibrary, OverflowedPaths

pytestmark = pytest.mark.extras
NEEDS = {"torchsde": ("torch", "torchsde"), "sdeint": ("sdeint",), "diffrax": ("jax", "diffrax")}
X0 = np.array([1.0, -0.5])


def need(name):
    """Skip without the library, or fail where all of them are required."""
    missing = [part for part in NEEDS[name] if importlib.util.find_spec(part) is None]
    if missing:
        (pytest.fail if os.environ.get("SGDLIMITS_REQUIRE_ALL") == "1" else pytest.skip)(
            f"{missing} not installed"
        )


@pytest.fixture(params=NEEDS)
def name(request):
    """Each library that is there."""
    need(request.param)
    return request.param


def field(x):
    return np.stack([0.4 + 0.4 * np.sin(x[:, 1]), 0.5 + 0.3 * np.cos(x[:, 0])], axis=-1)


MATRICES = {
    "additive": lambda t, x: (0.5 + 0.3 * np.sin(2 * t)) * np.array([[0.7, 0.2], [0.0, 0.6]]),
    "scalar": lambda t, x: field(x) * (1 + 0.3 * np.sin(t)),
    "diagonal": lambda t, x: 0.5 + 0.4 * np.sin(x) + 0.1 * np.cos(t),
    "commutative": lambda t, x: np.stack([field(x), 0.7 * field(x)], axis=-1),
    "general": lambda t, x: np.stack([field(x), 0.3 * x[:, ::-1]], axis=-1),
}


def made(noise_type):
    """A nonlinear diffusion in the plane, with time in its coefficients."""
    if noise_type == "waves":
        return Waves()
    m = 1 if noise_type == "scalar" else 2
    if noise_type == "constant":  # where diffrax treats its dependence on time in another way
        return UserDiffusion(
            lambda t, x: np.sin(x[:, ::-1]), lambda t, x: np.array([[0.7, 0.2], [0.0, 0.6]]), 2, 2, "additive"
        )
    return UserDiffusion(
        lambda t, x: np.sin(x[:, ::-1]) - 0.5 * x + 0.3 * np.cos(t), MATRICES[noise_type], 2, m, noise_type
    )


class Waves:
    """A diagonal diffusion written for any array namespace, without constants."""

    dimension, noise_dimension, noise_type, label = 2, 2, "diagonal", "waves"

    def array_form(self):
        return ArrayForm(
            2, 2, "diagonal", "diagonal", lambda xp, c, t, z: -z, lambda xp, c, t, z: 0.5 + 0.4 * xp.sin(z)
        )

    def drift(self, t, x):
        return -x

    def diffusion(self, t, x):
        return 0.5 + 0.4 * np.sin(x)


SAME = [
    (TorchSDE("milstein"), "milstein", "waves"),
    (Diffrax("ItoMilstein"), "milstein", "waves"),
    *((TorchSDE(), "euler", kind) for kind in MATRICES),
    *((Sdeint(), "euler", kind) for kind in MATRICES),
    *((Diffrax(), "euler", kind) for kind in MATRICES),
    (TorchSDE("srk"), "sra1", "additive"),
    (Diffrax("SRA1"), "sra1", "constant"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("theirs", "ours", "noise_type"), SAME, ids=lambda value: getattr(value, "method", value)
)
def test_the_same_scheme_takes_the_same_path(theirs, ours, noise_type):
    """Assert equality to rounding with our scheme on the same Brownian path, and none on another."""
    need(theirs.name)
    ends = [
        integrate(made(noise_type), X0, 2.0, 0.1, 16, solver, seed=seed, record=[2.0]).state.values
        for solver, seed in ((theirs, 3), (ours, 3), (ours, 4))
    ]
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-7, atol=1e-9)
    assert np.abs(ends[0] - ends[2]).max() > 0.1


def test_sdeint_of_order_one_follows_our_path():
    """Assert that SRI2 on scalar noise comes closer to a fine path than Euler does, by half at least."""
    need("sdeint")
    path = Brownian(1.0, 32, 1, seed=2)

    def end(solver, dt):
        return integrate(made("scalar"), X0, 1.0, dt, 100, solver, brownian=path, record=[1.0]).state.values

    fine = end("milstein", 2.0**-10)
    errors = [
        np.sqrt(np.square(end(Sdeint(method), 1 / 32) - fine).mean()) for method in ("itoSRI2", "itoEuler")
    ]
    assert errors[0] < errors[1] / 2


def quadratics():
    """Every built-in diffusion in every form of its noise."""
    few = problems.LeastSquares.gaussian(6, 3, spectrum=0.5, noise=0.5, seed=1, ridge=0.1)
    many = problems.LeastSquares.gaussian(2000, 3, spectrum=0.5, noise=0.5, seed=1)
    stream = problems.StreamingLeastSquares(np.diag([1.0, 0.5, 0.2]), 0.3, np.ones(3), ridge=0.1)
    return {
        "homogenized": diffusions.HomogenizedSGD(few, 0.1, 2, label_noise=0.3),
        "homogenized, order 2": diffusions.HomogenizedSGD(stream, 0.1, drift_order=2),
        "Ornstein-Uhlenbeck": diffusions.OrnsteinUhlenbeck(few, 0.1),
        "gradient flow": diffusions.GradientFlow(few, 0.1),
        "modified, samples": diffusions.ModifiedEquation(few, 0.1, order=2, label_noise=0.2),
        "modified, table": diffusions.ModifiedEquation(many, 0.1),
        "modified, stream": diffusions.ModifiedEquation(stream, 0.1, label_noise=0.2),
    }


def dense(g, form):
    """Matrices (P, d, m) of what a form gives."""
    return np.einsum("...i,ij->...ij", g, np.eye(g.shape[-1])) if form.layout == "diagonal" else g


@pytest.mark.parametrize("kind", quadratics())
def test_array_forms_are_the_processes_in_modes(kind):
    """Assert drift and diffusion of the array form, rotated back, against the process's own, to rounding."""
    process = quadratics()[kind]
    form, x = process.array_form(), np.random.default_rng(1).normal(size=(5, 3))
    drift, diffusion = form.bound(np, np.asarray)
    z = form.to_modes(x)
    np.testing.assert_allclose(form.from_modes(z), x, atol=1e-12)
    np.testing.assert_allclose(drift(0.0, z) @ form.basis.T, process.drift(0.0, x), atol=1e-12)
    got = form.basis @ dense(diffusion(0.0, z), form)
    np.testing.assert_allclose(got, process.diffusion(0.0, x), atol=1e-12)


@pytest.mark.parametrize("kind", quadratics())
def test_torch_gets_functions_of_its_own(kind):
    """Assert the values of f and g against the array form, and gradients that reach the initial state."""
    need("torchsde")
    import torch

    process = quadratics()[kind]
    sde, form = process.to_torchsde(dtype=torch.float64), process.array_form()
    y = torch.tensor(np.random.default_rng(1).normal(size=(5, 3)), requires_grad=True)
    f, g = sde.f_and_g(torch.tensor(0.0), y)
    drift, diffusion = form.bound(np, np.asarray)
    np.testing.assert_allclose(f.detach(), drift(0.0, y.detach().numpy()), atol=1e-12)
    np.testing.assert_allclose(
        g.detach(), np.broadcast_to(diffusion(0.0, y.detach().numpy()), g.shape), atol=1e-12
    )
    (f.sum() + g.square().sum()).backward()
    assert torch.isfinite(y.grad).all() and y.grad.abs().max() > 0


@pytest.mark.parametrize("kind", quadratics())
def test_built_in_processes_run_in_other_libraries(kind, name):
    """Assert equality to rounding with our Euler in original coordinates, whatever basis the library works in."""
    process = quadratics()[kind]
    t1 = 4 / float(process.clock)
    ends = [
        integrate(process, np.ones(3), t1, t1 / 8, 16, solver, seed=1, record=[t1]).state.values
        for solver in (name, "euler")
    ]
    np.testing.assert_allclose(*ends, rtol=1e-9, atol=1e-11)


def test_simulate_takes_a_library(name):
    """Assert that SGD steps, substeps and observables of `simulate` are the same with our Euler."""
    process = quadratics()["homogenized"]
    runs = [
        process.simulate(np.ones(3), 6, 32, seed=2, solver=solver, substeps=2, record=[0, 3, 6])
        for solver in (name, "euler")
    ]
    np.testing.assert_allclose(runs[0].risk, runs[1].risk, rtol=1e-6)
    assert runs[0].attrs["solver"] == name


def test_homogenized_sgd_is_diagonal_in_torch_and_elementwise_methods_are_kept_away():
    """Assert an O(d) diffusion, a run of torchsde's Euler in law of the exact moments, and no run of its SRK."""
    need("torchsde")
    import torch
    import torchsde

    process = quadratics()["homogenized"]
    sde = process.to_torchsde(dtype=torch.float64)
    assert sde.noise_type == "diagonal" and sde.f_and_g(0.0, torch.zeros(4, 3, dtype=torch.float64))[
        1
    ].shape == (4, 3)
    start = sde.to_modes(torch.ones(20_000, 3, dtype=torch.float64))
    with pytest.raises(RuntimeError, match="Method `[fg]` has not been provided"):
        torchsde.sdeint(sde, start, [0.0, 1.0], method="srk", dt=0.5)
    bm = torchsde.BrownianInterval(0.0, 10.0, (20_000, 3), dtype=torch.float64, entropy=1)
    with torch.no_grad():
        x = sde.from_modes(torchsde.sdeint(sde, start, [0.0, 10.0], bm=bm, method="euler", dt=1.0)[-1])
    risk = process.problem.risk(x.numpy())
    error = risk.std() / math.sqrt(risk.size)
    scheme = float(process.moments(np.ones(3), 10, record=[10], solver="euler").risk[-1])
    other = float(process.moments(np.ones(3), 5, record=[5], solver="euler").risk[-1])
    assert abs(risk.mean() - scheme) < 4 * error < abs(risk.mean() - other)


LAWS = [
    TorchSDE(noise="library"),
    TorchSDE("srk", "library"),
    Sdeint(noise="library"),
    Diffrax("Euler", "library", "float32"),
]


@pytest.mark.parametrize("solver", LAWS, ids=lambda solver: f"{solver.name}-{solver.method}")
def test_own_random_numbers_have_the_same_law(solver):
    """Assert mean and mean square of geometric Brownian motion within 4 standard errors, and a wrong one beyond 6."""
    need(solver.name)
    steps, mu, paths = 16, 0.5, 2000 if solver.name == "sdeint" else 20_000

    def scores(sigma):
        process = UserDiffusion(lambda t, x: mu * x, lambda t, x: sigma * x, 1, noise_type="diagonal")
        x = integrate(
            process, [1.0], 1.0, 1 / steps, paths, solver, seed=5, record=[1.0]
        ).state.values.ravel()
        assert np.unique(x).size > 0.99 * paths
        mean, square = math.exp(mu), math.exp(2 * mu + 0.8**2)
        if solver.method in ("euler", "Euler", "itoEuler"):
            mean, square = (1 + mu / steps) ** steps, ((1 + mu / steps) ** 2 + 0.8**2 / steps) ** steps
        return [
            abs(y.mean() - value) / (y.std() / math.sqrt(paths)) for y, value in ((x, mean), (x * x, square))
        ]

    assert max(scores(0.8)) < 4
    assert scores(0.3)[1] > 6


def test_runs_do_not_depend_on_chunks_and_threads(name):
    """Assert the same paths, to rounding, whatever the chunks, the threads and the records."""
    whole = integrate(made("general"), X0, 1.0, 0.1, 64, name, seed=5, threads=1, record=[1.0]).state.values
    cut = integrate(
        made("general"), X0, 1.0, 0.1, 64, name, seed=5, threads=2, chunk=16, record=[0.3, 1.0]
    ).state.values
    np.testing.assert_allclose(cut[:, -1:], whole, rtol=1e-12, atol=1e-12)


@numba.njit
def drift_of_path(t, x, out):
    out[0] = np.sin(x[1]) - 0.5 * x[0]
    out[1] = np.sin(x[0]) - 0.5 * x[1]


@numba.njit
def diagonal_of_path(t, x, out):
    for i in range(2):
        out[i] = 0.4 + 0.3 * np.sin(x[i])


def test_compiled_diffusions_are_called_back(name):
    """Assert that numba functions of a path run in the library as in our Euler."""
    process = UserDiffusion(drift_of_path, diagonal_of_path, 2, noise_type="diagonal", compiled=True)
    ends = [
        integrate(process, X0, 1.0, 0.1, 16, solver, seed=1, quality="float64").state.values
        for solver in (name, "euler")
    ]
    np.testing.assert_allclose(*ends, rtol=1e-9)


@pytest.mark.parametrize("noise_type", MATRICES)
def test_torchsde_modules_come_back(noise_type):
    """Assert equal coefficients and derivatives there and back, and the module itself where it came from one."""
    need("torchsde")
    import torch

    process, x = made(noise_type), np.random.default_rng(2).normal(size=(5, 2))
    sde = diffusions.to_torchsde(process, dtype=torch.float64)
    back = diffusions.from_torchsde(sde, X0)
    np.testing.assert_allclose(back.drift(0.3, x), process.drift(0.3, x), rtol=1e-12)
    np.testing.assert_allclose(back.diffusion(0.3, x), process.diffusion(0.3, x), rtol=1e-12)
    assert back.noise_type == ("general" if noise_type == "commutative" else noise_type)
    assert diffusions.to_torchsde(back) is sde
    hsgd = quadratics()["homogenized"]
    theirs = diffusions.from_torchsde(hsgd.to_torchsde(dtype=torch.float64), np.ones(3))
    assert theirs.noise_type == "general" and theirs.diffusion(0.0, np.ones((5, 3))).shape == (5, 3)


def test_a_torchsde_module_runs_in_our_schemes_with_its_derivatives():
    """Assert that Milstein on a torch module is Milstein on the same NumPy functions with the known derivative."""
    need("torchsde")
    import torch

    class Module(torch.nn.Module):
        noise_type, sde_type = "diagonal", "ito"

        def __init__(self):
            super().__init__()
            self.rate = torch.nn.Parameter(torch.tensor(0.5, dtype=torch.float64))

        def f(self, t, y):
            return -self.rate * y

        def g(self, t, y):
            return 0.5 + 0.4 * torch.sin(y)

    known = UserDiffusion(
        lambda t, x: -0.5 * x, lambda t, x: 0.5 + 0.4 * np.sin(x), 2, noise_type="diagonal",
        derivative=lambda t, x, v: 0.4 * np.cos(x) * v,
    )  # fmt: skip
    theirs = diffusions.from_torchsde(Module(), X0)
    ends = [
        integrate(process, X0, 1.0, 0.1, 16, "milstein", seed=1).state.values for process in (theirs, known)
    ]
    np.testing.assert_allclose(*ends, rtol=1e-12)
    adaptive = integrate(theirs, X0, 1.0, 0.5, 16, "sriw1", seed=1, tolerance=1e-2).state.values
    assert np.isfinite(adaptive).all()


def test_sdeint_functions_come_back():
    """Assert equal coefficients there and back, for a matrix and for a list of columns."""
    need("sdeint")
    process, x = made("general"), np.random.default_rng(2).normal(size=(5, 2))
    pair = diffusions.to_sdeint(process)
    columns = [lambda y, t, k=k: pair.G(y, t)[:, k] for k in range(2)]
    for G in (pair.G, columns):
        back = diffusions.from_sdeint(pair.f, G, X0)
        np.testing.assert_allclose(back.drift(0.3, x), process.drift(0.3, x), rtol=1e-12)
        np.testing.assert_allclose(back.diffusion(0.3, x), process.diffusion(0.3, x), rtol=1e-12)
    assert diffusions.to_sdeint(diffusions.from_sdeint(*pair, X0)).f is pair.f
    hsgd = quadratics()["homogenized"]
    np.testing.assert_allclose(hsgd.to_sdeint().G(np.ones(3), 0.0), hsgd.diffusion(0.0, np.ones((1, 3)))[0])


@pytest.mark.parametrize("kind", ["homogenized", "modified, samples", *MATRICES])
def test_diffrax_terms_come_back(kind):
    """Assert equal coefficients there and back, to single precision."""
    need("diffrax")
    import diffrax
    import jax

    process = made(kind) if kind in MATRICES else quadratics()[kind]
    m, d = process.noise_dimension, process.dimension
    path = diffrax.VirtualBrownianTree(0.0, 1.0, 1e-3, (m,), jax.random.PRNGKey(0))
    terms = diffusions.to_diffrax(process, path)
    noise_type = process.noise_type if kind in MATRICES else "general"
    back = diffusions.from_diffrax(terms, np.ones(d), noise_type=noise_type)
    z = np.random.default_rng(2).normal(size=(5, d))
    x = z if kind in MATRICES else process.array_form().from_modes(z)
    basis = np.eye(d) if kind in MATRICES else process.problem.eigenvectors
    np.testing.assert_allclose(back.drift(0.3, z) @ basis.T, process.drift(0.3, x), rtol=1e-5, atol=1e-6)
    g = back.diffusion(0.3, z)
    if kind == "homogenized":
        g = basis @ dense(g, process.array_form())
    elif kind not in MATRICES:
        g = basis @ g
    np.testing.assert_allclose(g, process.diffusion(0.3, x), rtol=1e-5, atol=1e-6)
    end = diffrax.diffeqsolve(terms, diffrax.Euler(), 0.0, 1.0, 0.25, np.ones(d, dtype=np.float32)).ys
    assert np.isfinite(np.asarray(end)).all()


def run(solver, **options):
    """A short run on general noise."""
    return integrate(made("general"), X0, 1.0, 0.1, 16, solver, threads=1, **options)


BAD = [
    ("torchsde", lambda: TorchSDE("heun"), "method is 'heun', which is not known"),
    ("diffrax", lambda: Diffrax(noise="mine"), "noise is 'mine', which is not known; .*'counter'"),
    (
        "torchsde",
        lambda: run(TorchSDE("srk")),
        "solver 'torchsde' treats additive, scalar, diagonal noise, but user diffusion has general noise",
    ),
    (
        "torchsde",
        lambda: integrate(made("diagonal"), X0, 1.0, 0.1, 16, TorchSDE("milstein"), threads=1),
        "NumPy functions have no derivatives in another library",
    ),
    (
        "diffrax",
        lambda: integrate(made("diagonal"), X0, 1.0, 0.1, 16, Diffrax("ItoMilstein"), threads=1),
        "NumPy functions have no derivatives in another library",
    ),
    ("torchsde", lambda: run("torchsde", tolerance=0.1), "solver 'torchsde' has no error estimate"),
    ("sdeint", lambda: run("sdeimt"), "did you mean 'sdeint'"),
    (
        "sdeint",
        lambda: diffusions.from_sdeint(lambda y, t: y[0], lambda y, t: y[:, None], X0),
        r"f and G return the shapes \(\) and \(2, 1\)",
    ),
    ("diffrax", lambda: diffusions.from_diffrax(3, X0), "terms is int: pass diffrax.MultiTerm"),
]


@pytest.mark.parametrize(("library", "call", "sentence"), BAD)
def test_what_cannot_be_used_is_named(library, call, sentence):
    """Assert one clear sentence."""
    need(library)
    with pytest.raises(InvalidInput, match=sentence):
        call()


def test_stratonovich_modules_are_refused():
    """Assert that the sense of the integral is named."""
    need("torchsde")
    import torch

    class Module(torch.nn.Module):
        noise_type, sde_type = "diagonal", "stratonovich"

    with pytest.raises(InvalidInput, match="Module is in the sense of Stratonovich: pass an Ito equation"):
        diffusions.from_torchsde(Module(), X0)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_missing_library_is_named_with_its_install_line(library, monkeypatch):
    """Assert MissingLibrary where the import fails, for the solver and for handing out."""

    real = importlib.import_module

    def absent(name, package=None):
        if name.partition(".")[0] in ("torch", "torchsde", "sdeint", "jax", "diffrax", "lineax", "equinox"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, package)  # numba imports too, when it loads a kernel from its cache

    monkeypatch.setattr(libraries.importlib, "import_module", absent)
    with pytest.raises(MissingLibrary, match="is not installed: pip install"):
        run(library)


def test_overflow_is_reported():
    """Assert the package's warning when a library's paths blow up."""
    need("torchsde")
    process = UserDiffusion(lambda t, x: x**3, lambda t, x: 0 * x + 1.0, 1, noise_type="diagonal")
    with pytest.warns(OverflowedPaths, match="of 16 paths overflowed"):
        integrate(process, [30.0], 2.0, 0.1, 16, "torchsde")
