"""The choice of an exact route: what is chosen, that each route is right, and that no process declares falsely."""

import inspect
import itertools
import tracemalloc
import warnings
from dataclasses import dataclass, fields, replace
from typing import ClassVar

import numpy as np
import pytest
from scipy.linalg import expm

from sgdlimits import diffusions, discrete
from sgdlimits.diffusions import GradientFlow, HomogenizedSGD, ModifiedEquation, OrnsteinUhlenbeck, UnderdampedLangevin
from sgdlimits.discrete import SGD, SVAG
from sgdlimits.exact import matrix_equations, routes
from sgdlimits.exact.errors import InvalidInput, LongRun, NoStationaryLaw
from sgdlimits.exact.moment_maps import MomentMap
from sgdlimits.exact.noise_feedback import GeneralFeedback, NoFeedback, RankOneFeedback
from sgdlimits.exact.noise_maps import ConstantNoise, RankOneNoise, SampledNoise, Structure
from sgdlimits.exact.routes import Method, Moments, choose_route
from sgdlimits.problems import LeastSquares, StreamingLeastSquares, pace
from tests.test_diffusion_moments import generator_of, start_moments

DRAW = np.random.Generator(np.random.Philox(77))
D = 4
FEATURES, TARGETS, TRUTH = DRAW.standard_normal((7, D)), DRAW.standard_normal(7), DRAW.standard_normal(D)
ROOT = DRAW.standard_normal((D, D))
COVARIANCE = ROOT @ ROOT.T / D + 0.1 * np.eye(D)
PROBLEMS = {
    "finite": LeastSquares.from_arrays(FEATURES, TARGETS, ridge=0.2),
    "n < d": LeastSquares.from_arrays(FEATURES[:3], TARGETS[:3]),
    "streaming": StreamingLeastSquares(COVARIANCE, 0.4, TRUTH, ridge=0.2),
    "streaming, rank 3": StreamingLeastSquares(np.diag([1.0, 0.6, 0.3, 0.0]), 0.4, TRUTH),
}
RULES = {"plain": {}, "heavy ball": {"momentum": 0.6}, "Nesterov": {"momentum": 0.6, "nesterov": True}}
ETA = 0.05
MEAN, SPREAD = np.linspace(1, -2, D), 0.2 * np.eye(D) + 0.1


def processes(problem):
    """Name -> every kind of public process with second moments, on this problem."""
    settings = {"batch_size": 2, "label_noise": 0.3}
    found = {f"SGD, {name}": SGD(problem, ETA, **settings, **options) for name, options in RULES.items()}
    found["SGD, schedule"] = SGD(problem, lambda k: ETA / (1 + k), **settings)
    if isinstance(problem, LeastSquares):
        found["SGD, without replacement"] = SGD(problem, ETA, sampling="without_replacement", **settings)
    sgd = SGD(problem, ETA, **settings)
    for kind in (GradientFlow, HomogenizedSGD, ModifiedEquation, OrnsteinUhlenbeck):
        found[kind.__name__] = kind.of(sgd)
    return found | {
        "HomogenizedSGD, order 2": HomogenizedSGD.of(sgd, drift_order=2),
        "ModifiedEquation, order 2": ModifiedEquation.of(sgd, order=2),
        "GradientFlow, order 2": GradientFlow.of(sgd, drift_order=2),
        "SVAG": SVAG(sgd, 3),
        "UnderdampedLangevin": UnderdampedLangevin(problem, ETA, 2, momentum=0.6, label_noise=0.3),
    }


CASES = [(problem, name) for problem in PROBLEMS for name in processes(PROBLEMS[problem])]


def schemes(process):
    """Moment maps of the schemes of a diffusion whose moments close."""
    if isinstance(process, (SGD, SVAG)):
        return {}
    return {name: process.modal_step(name, 2).moment_map(process.noise_map) for name in process.solvers}


def test_every_public_process_with_second_moments_is_among_them():
    """Assert that a new one must be added to `processes`."""
    public = [getattr(module, name) for module in (discrete, diffusions) for name in module.__all__]
    known = {type(process) for process in processes(PROBLEMS["finite"]).values()}
    assert {thing for thing in public if inspect.isclass(thing) and hasattr(thing, "second_moments")} == known


def dependence(noise, d):
    """How the covariance (d, d) depends on second moments (d, d, k, l) and means (d, d, k), by unit arguments."""
    nothing = noise(np.zeros((d, d)), np.zeros(d))
    second, mean = np.empty((d, d, d, d)), np.empty((d, d, d))
    for k, m in itertools.product(range(d), repeat=2):
        unit = np.zeros((d, d))
        unit[k, m] = unit[m, k] = 1.0
        second[:, :, k, m] = noise(unit, np.zeros(d)) - nothing
    for k in range(d):
        mean[:, :, k] = noise(np.zeros((d, d)), np.eye(d)[k]) - nothing
    return second, mean


def holds(structure, noise, d):
    """Whether a noise has the structure, from its values alone."""
    second, mean = dependence(noise, d)
    small = 1e-12 * max(np.abs(second).max(), np.abs(mean).max())
    if structure is Structure.COMMUTING:
        return bool(small == 0)
    if structure is Structure.GENERAL:
        return True
    for i, j, k, m in itertools.product(range(d), repeat=4):
        allowed = {i, j} == {k, m} if i != j else k == m
        if not allowed and abs(second[i, j, k, m]) > small:
            return False
    for i, j, k in itertools.product(range(d), repeat=3):
        if i != j and k not in (i, j) and abs(mean[i, j, k]) > small:
            return False
    shared = np.einsum("iikk->ik", second)  # off its diagonal all minors of a rank-one matrix vanish
    for i, j, k, m in itertools.permutations(range(d), 4):
        if abs(shared[i, k] * shared[j, m] - shared[i, m] * shared[j, k]) > small * np.abs(shared).max():
            return False
    return True


@pytest.mark.parametrize(("problem", "name"), CASES)
def test_no_process_declares_falsely(problem, name):
    """Assert from the values of the noise that its structure is the declared one, for schemes too."""
    process = processes(PROBLEMS[problem])[name]
    noise = process.noise_map
    assert holds(noise.structure, noise, D)
    assert process.second_moments.equations.noise.structure is noise.structure
    assert all(map_.noise.structure is noise.structure for map_ in schemes(process).values())


def test_a_false_declaration_is_caught():
    """Assert that the noise of samples passes for nothing but general, and a coupled one not for commuting."""
    sampled = PROBLEMS["finite"].gradient_noise_map(1.0, 0.1)
    assert not holds(Structure.RANK_ONE, sampled, D) and not holds(Structure.COMMUTING, sampled, D)
    shared = PROBLEMS["finite"].homogenized_noise_map(1.0, 0.1)
    assert holds(Structure.RANK_ONE, shared, D) and not holds(Structure.COMMUTING, shared, D)

    @dataclass(frozen=True, eq=False)
    class Lying(SampledNoise):
        structure: ClassVar[Structure] = Structure.RANK_ONE

    lying = Lying(**{name: getattr(sampled, name) for name in [field.name for field in fields(sampled)]})
    assert not holds(lying.structure, lying, D)


def gaussian_nodes():
    """Features (n, D) and weights with the moments of N(0, COVARIANCE) up to the ninth in a coordinate."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    grid = np.array(list(itertools.product(nodes, repeat=D)))
    mass = np.array([np.prod(row) for row in itertools.product(weights / weights.sum(), repeat=D)])
    return grid @ np.linalg.cholesky(COVARIANCE).T, mass


@pytest.mark.parametrize("problem", ["finite", "streaming"])
def test_the_noise_of_sgd_is_that_of_its_samples(problem):
    """Assert noise(second, mean) = the covariance of gradients over samples, or over Gaussian nodes, at a point."""
    problem, x = PROBLEMS[problem], np.array([0.3, -1.0, 2.0, 0.5])
    process = SGD(problem, ETA, batch_size=2, label_noise=0.3)
    if isinstance(problem, LeastSquares):
        rows, weights, residuals, own = FEATURES, np.full(7, 1 / 7), FEATURES @ x - TARGETS, 0.0
    else:
        rows, weights = gaussian_nodes()
        residuals, own = rows @ (x - TRUTH), 0.4
    gradients = rows * residuals[:, None]
    centred = gradients - weights @ gradients
    expected = (centred * weights[:, None]).T @ centred / 2 + (own**2 + 0.3**2) / 2 * problem.hessian
    z = problem.to_modes(x)
    turned = problem.eigenvectors @ process.noise_map(np.outer(z, z), z) @ problem.eigenvectors.T
    np.testing.assert_allclose(turned, expected, rtol=1e-11, atol=1e-13)


CHOSEN = {
    ("finite", "SGD, plain"): (Method.STEPS, Moments.COVARIANCES, GeneralFeedback),
    ("finite", "SGD, heavy ball"): (Method.STEPS, Moments.COVARIANCES, GeneralFeedback),
    ("streaming", "SGD, plain"): (Method.STEPS, Moments.VARIANCES, RankOneFeedback),
    ("streaming", "SGD, Nesterov"): (Method.STEPS, Moments.VARIANCES, RankOneFeedback),
    ("finite", "HomogenizedSGD"): (Method.EIGENPROBLEM, Moments.VARIANCES, RankOneFeedback),
    ("streaming", "HomogenizedSGD"): (Method.EIGENPROBLEM, Moments.VARIANCES, RankOneFeedback),
    ("finite", "ModifiedEquation"): (Method.EIGENPROBLEM, Moments.COVARIANCES, GeneralFeedback),
    ("streaming", "ModifiedEquation"): (Method.EIGENPROBLEM, Moments.VARIANCES, RankOneFeedback),
    ("finite", "OrnsteinUhlenbeck"): (Method.ENTRIES, Moments.VARIANCES, NoFeedback),
    ("finite", "UnderdampedLangevin"): (Method.EXPONENTIAL, Moments.COVARIANCES, GeneralFeedback),
    ("streaming", "UnderdampedLangevin"): (Method.EXPONENTIAL, Moments.VARIANCES, RankOneFeedback),
    ("streaming", "GradientFlow"): (Method.ENTRIES, Moments.VARIANCES, NoFeedback),
}


@pytest.mark.parametrize(("problem", "name"), CHOSEN)
def test_the_choice(problem, name):
    """Assert method and what is carried and kept, for the risk, for the mean and for everything."""
    equations = processes(PROBLEMS[problem])[name].second_moments.equations
    method, carried, feedback = CHOSEN[problem, name]
    route = choose_route(equations, ("risk", "mean"), 5)
    assert (route.method, route.carried, route.kept) == (method, carried, Moments.VARIANCES)
    route = choose_route(equations, ("mean",), 5)
    assert (route.carried, route.kept) == (Moments.MEAN, Moments.MEAN)
    assert route.method is (Method.STEPS if isinstance(equations, MomentMap) else Method.ENTRIES)
    route = choose_route(equations, ("mean", "covariance", "risk"), 5)
    assert (route.method, route.carried, route.kept) == (method, Moments.COVARIANCES, Moments.COVARIANCES)
    assert route.feedback is feedback and isinstance(equations.feedback, feedback)


def test_what_does_not_fit_is_refused_by_what_the_route_holds(monkeypatch):
    """Assert that covariances of many steps are refused where the risk alone is not."""
    monkeypatch.setattr("sgdlimits.exact.cost.available_bytes", lambda: 100 << 20)
    problem = StreamingLeastSquares(np.linspace(1, 0.1, 300), 0.1, np.ones(300))
    sgd = SGD(problem, 1e-3)
    with pytest.raises(InvalidInput, match="covariances of 101 recorded steps in dimension 300"):
        sgd.moments(np.zeros(300), 100)
    assert sgd.moments(np.zeros(300), 100, quantities="risk")["risk"].size == 101


ASKED = [("risk",), ("mean",), ("mean", "risk"), ("covariance",)]


@pytest.mark.parametrize(("problem", "name"), CASES)
def test_what_is_asked_alone_is_what_comes_with_the_rest(problem, name):
    """Assert that every choice of quantities gives the values of the whole, from a Gaussian start."""
    process = processes(PROBLEMS[problem])[name]
    named = getattr(process, "solvers", ())
    solvers = [{}, *({"solver": name, "substeps": 2} for name in named)]
    for options in solvers:
        whole = process.moments((MEAN, SPREAD), 12, **options)
        for asked in ASKED:
            part = process.moments((MEAN, SPREAD), 12, quantities=asked, **options)
            assert set(part.data_vars) == set(asked)
            for key in asked:
                np.testing.assert_allclose(part[key].values, whole[key].values, rtol=1e-13, atol=1e-14)


def one_step(problem, options, eta, size, label):
    """Matrix on E vv^T, v = (x, buffer, 1), of a step of SGD by all samples or Gaussian nodes: a batch's mean move and
    its fluctuation."""
    if isinstance(problem, LeastSquares):
        rows, weights, labels, own = FEATURES, np.full(7, 1 / 7), TARGETS, 0.0
    else:
        rows, weights = gaussian_nodes()
        labels, own = rows @ TRUTH, problem.noise
    mu, one = options.get("momentum", 0.0), np.eye(D)
    single = np.zeros((len(rows), D, 2 * D + 1))  # gradient of a sample as a matrix on v
    single[:, :, :D] = rows[:, :, None] * rows[:, None] + problem.ridge * one
    single[:, :, -1] = -rows * labels[:, None]
    mean = np.einsum("n,nij->ij", weights, single)
    deviation = single - mean
    into_x, into_m = (-eta * (1 + mu) if "nesterov" in options else -eta), 1.0
    buffer = np.hstack([np.zeros((D, D)), mu * one, np.zeros((D, 1))]) + mean
    direction = mean + mu * buffer if "nesterov" in options else buffer
    move = np.vstack([np.hstack([one, np.zeros((D, D + 1))]) - eta * direction, buffer, np.eye(2 * D + 1)[-1:]])
    enters = np.vstack([into_x * one, into_m * one, np.zeros((1, D))])
    added = (own**2 + label**2) * np.einsum("n,ni,nj->ij", weights, rows, rows)

    def apply(second):
        noise = np.einsum("n,nia,ab,njb->ij", weights, deviation, second, deviation, optimize=True) + added
        return move @ second @ move.T + enters @ noise @ enters.T / size

    return apply


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("problem", ["finite", "streaming"])
def test_steps_equal_a_dense_recurrence_of_samples(problem, rule):
    """Assert mean, risk and covariance by steps, each asked alone, against E vv^T over samples or Gaussian nodes."""
    problem, options = PROBLEMS[problem], RULES[rule]
    sgd = SGD(problem, ETA, batch_size=2, label_noise=0.3, **options)
    found = {asked: sgd.moments((MEAN, SPREAD), 6, quantities=asked) for asked in ASKED}
    v = np.concatenate([MEAN, np.zeros(D), [1.0]])
    second, apply = np.outer(v, v), one_step(problem, options, ETA, 2, 0.3)
    second[:D, :D] += SPREAD
    for k in range(7):
        mean = second[:D, -1]
        covariance = second[:D, :D] - np.outer(mean, mean)
        risk = float(problem.risk(mean)) + 0.5 * np.trace(problem.hessian @ covariance)
        np.testing.assert_allclose(found[("mean",)]["mean"][k], mean, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(found[("risk",)]["risk"][k], risk, rtol=1e-12)
        np.testing.assert_allclose(found[("covariance",)]["covariance"][k], covariance, atol=1e-12)
        second = apply(second)


BY_OTHERS = ("SGD", "SVAG", "UnderdampedLangevin")  # the last has velocities too, and a test of its own


@pytest.mark.parametrize(
    ("problem", "name"), [case for case in CASES if not case[1].startswith(BY_OTHERS) and case[0] != "n < d"]
)
def test_flows_equal_the_exponential_of_the_generator(problem, name):
    """Assert mean and risk, each asked alone, and everything, against a generator read off drift and diffusion."""
    process = processes(PROBLEMS[problem])[name]
    generator, steps = generator_of(process), [0, 1, 7, 40]
    found = {asked: process.moments((MEAN, SPREAD), 40, steps, quantities=asked) for asked in ASKED}
    for index, step in enumerate(steps):
        raw = (expm(generator * process.clock.time(step)) @ start_moments(MEAN, SPREAD)).reshape(D + 1, D + 1)
        mean = raw[:D, D]
        covariance = raw[:D, :D] - np.outer(mean, mean)
        risk = float(process.problem.risk(mean)) + 0.5 * np.trace(process.problem.hessian @ covariance)
        np.testing.assert_allclose(found[("mean",)]["mean"][index], mean, rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(found[("risk",)]["risk"][index], risk, rtol=1e-11)
        np.testing.assert_allclose(found[("covariance",)]["covariance"][index], covariance, atol=1e-12)


@pytest.mark.parametrize(("problem", "name"), CASES)
def test_a_loop_of_a_structure_is_the_general_one(problem, name):
    """Assert spectral radius, stability and stationary covariance against the route that uses no structure."""
    process = processes(PROBLEMS[problem])[name]
    second = process.second_moments
    maps = [second.equations_at(factor * ETA) for factor in (0.1, 1.0, 4.0)] + list(schemes(process).values())
    for equations in maps:
        special, general = equations.feedback, GeneralFeedback(equations.noise, equations.responses())
        assert special.spectral_radius() == pytest.approx(general.spectral_radius(), rel=1e-11, abs=1e-15)
        assert special.is_stable() == general.is_stable() == (special.spectral_radius() < 1)
        if special.is_stable():
            np.testing.assert_allclose(
                special.stationary_covariance(), general.stationary_covariance(), rtol=1e-10, atol=1e-14
            )


def test_a_radius_next_to_an_own_term_keeps_its_digits():
    """Assert the largest root where coupling is tiny, equal, absent and infinite, against a dense matrix."""
    equations = SGD(PROBLEMS["streaming"], ETA).second_moments.equations
    for spread, own in (
        ([1e-14, 1.0, 0.3, 0.0], [2.0, 0.5, 0.5, 3.0]),
        ([1.0, 1.0, 0.0, 1.0], [1.0, 1.0, 1.0, 1.0]),
        ([0.0] * 4, [0.2, 0.1, 0.0, 0.0]),
        ([0.5, 0.2, 0.1, 0.0], [0.0] * 4),
    ):
        noise = replace(
            equations.noise, spread=np.array(spread), coupling=0.5 * np.array(spread), own=np.array(own)
        )
        loop = RankOneFeedback(noise, equations.responses())
        dense = np.diag(loop._own) + np.outer(np.sqrt(loop._shared), np.sqrt(loop._shared))
        assert loop.spectral_radius() == pytest.approx(np.linalg.eigvalsh(dense)[-1], rel=1e-14)


def test_a_stream_holds_no_covariance_for_its_risk(monkeypatch):
    """Assert that no (d, d) noise is formed, and that 50 recorded steps of d = 400 hold less than four covariances."""

    def forbidden(self, second, mean):
        raise AssertionError("a covariance was formed")

    monkeypatch.setattr(RankOneNoise, "__call__", forbidden)
    d = 400
    problem = StreamingLeastSquares(np.arange(1.0, d + 1) ** -1.2, 0.3, np.ones(d) / 20)
    assert problem.spectrum[0].size == problem.minimiser.size == d
    for options in RULES.values():
        sgd = SGD(problem, 0.05, label_noise=0.1, **options)
        sgd.moments(np.zeros(d), 1, quantities=("risk",))
        tracemalloc.start()
        exact = sgd.moments(np.zeros(d), 500, record=50, quantities=("risk", "mean"))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert exact["risk"].size == 50 and peak < 4 * 8 * d**2
        assert sgd.stability().mean_square_stable
        with pytest.raises(AssertionError):
            sgd.moments(np.zeros(d), 1)


class Watch:
    def __init__(self):
        self.done, self.calls, self.closed = 0, 0, 0

    def update(self, n):
        self.done += n
        self.calls += 1

    def close(self):
        self.closed += 1


@pytest.mark.parametrize(("problem", "name"), CASES)
def test_progress_counts_every_step_and_is_closed(problem, name):
    """Assert the sum of the reports, however the steps are recorded."""
    process = processes(PROBLEMS[problem])[name]
    for record, asked in ((None, None), ([3, 700], ("risk",)), ([700], ("mean",))):
        watch = Watch()
        process.moments(MEAN, 700, record, quantities=asked, progress=watch)
        assert watch.done == 700 * process.second_moments.increments and watch.closed == 1
    with pytest.raises(InvalidInput, match="progress must be"):
        process.moments(MEAN, 3, progress="yes")


def test_a_long_run_without_progress_says_how_long(monkeypatch):
    """Assert one warning with the minutes and what to change, none where progress is watched or the run is short."""
    ticks = itertools.count()
    monkeypatch.setattr(pace.time, "monotonic", lambda: 50.0 * next(ticks))
    monkeypatch.setattr(routes, "_powers", lambda *arguments: np.inf)  # they leap there
    sgd = SGD(PROBLEMS["finite"], ETA, momentum=0.5)
    with pytest.warns(LongRun, match="moments of 12000 steps.*minutes more: pass progress=True.*'risk'") as said:
        sgd.moments(MEAN, 12_000, record=[12_000])
    assert len(said) == 1 and said[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sgd.moments(MEAN, 2500)
        sgd.moments(MEAN, 12_000, record=[12_000], progress=Watch())


def test_lyapunov_and_stein_by_modes_and_by_scipy():
    """Assert residuals, that both ways agree where noise and Hessian do not commute, and what is refused."""
    hessian, noise = COVARIANCE, ROOT @ np.diag([1.0, 2, 0.5, 0.1]) @ ROOT.T
    values, vectors = np.linalg.eigh(hessian)
    dense = matrix_equations.solve_lyapunov(hessian, noise)
    np.testing.assert_allclose(hessian @ dense + dense @ hessian.T, noise, atol=1e-12)
    modal = vectors @ matrix_equations.solve_lyapunov(values, vectors.T @ noise @ vectors) @ vectors.T
    np.testing.assert_allclose(modal, dense, rtol=1e-11, atol=1e-12)
    transition = np.eye(D) - 0.3 * hessian
    dense = matrix_equations.solve_stein(transition, 0.3 * noise)
    np.testing.assert_allclose(dense - transition @ dense @ transition, 0.3 * noise, atol=1e-12)
    modal = vectors @ matrix_equations.solve_modal_stein(values, vectors.T @ noise @ vectors, 0.3) @ vectors.T
    np.testing.assert_allclose(modal, dense, rtol=1e-11, atol=1e-12)
    sheared = hessian + np.triu(np.ones((D, D)), 1)  # no symmetric drift
    dense = matrix_equations.solve_lyapunov(sheared, noise)
    np.testing.assert_allclose(sheared @ dense + dense @ sheared.T, noise, atol=1e-11)
    still = matrix_equations.solve_lyapunov(np.array([1.0, 0.0]), np.diag([2.0, 0.0]))
    np.testing.assert_array_equal(still, np.diag([1.0, 0.0]))
    with pytest.raises(NoStationaryLaw, match="real part"):
        matrix_equations.solve_lyapunov(-hessian, noise)
    with pytest.raises(NoStationaryLaw, match="modulus"):
        matrix_equations.solve_stein(2 * np.eye(D), noise)


def test_blocks_of_momentum_equal_a_dense_stein_equation():
    """Assert the response of a pair of modes against the solution over both of their blocks."""
    map_ = SGD(PROBLEMS["finite"], ETA, momentum=0.6).moment_map()
    whole = np.zeros((2 * D, 2 * D))
    for mode in range(D):
        whole[2 * mode : 2 * mode + 2, 2 * mode : 2 * mode + 2] = map_.transition[mode]
    entry = np.tile(map_.entry, D)
    dense = matrix_equations.solve_stein(whole, np.outer(entry, entry))
    np.testing.assert_allclose(map_.response, dense[::2, ::2], rtol=1e-11)
    np.testing.assert_allclose(map_.responses().variances, np.diagonal(dense)[::2], rtol=1e-11)


def test_constant_noise_need_not_commute():
    """Assert the stationary covariance of Ornstein-Uhlenbeck against SciPy's Lyapunov solver in positions."""
    process = OrnsteinUhlenbeck(PROBLEMS["finite"], ETA, 2, label_noise=0.3)
    assert isinstance(process.noise_map, ConstantNoise)
    problem, curvature = process.problem, PROBLEMS["finite"].hessian + 0.2 * np.eye(D)
    noise = problem.eigenvectors @ process.noise_map.covariance @ problem.eigenvectors.T
    assert np.linalg.norm(curvature @ noise - noise @ curvature) > 0.01 * np.linalg.norm(curvature @ noise)
    expected = matrix_equations.solve_lyapunov(curvature, ETA * noise)
    np.testing.assert_allclose(process.stationary().covariance, expected, rtol=1e-11, atol=1e-14)
