"""Assert that update rules are torch.optim's, that compiled loops equal the array form, and that a user's own runs."""

from __future__ import annotations

import dataclasses

import numba
import numpy as np
import pytest

from sgdlimits import diffusions, discrete, problems
from sgdlimits.discrete import SGD, rules
from sgdlimits.ensembles import Noise
from sgdlimits.exact.errors import InvalidInput
from tests.parameters import slowly

generator = np.random.default_rng(7)
A, B = generator.standard_normal((24, 4)), generator.standard_normal(24)
ROOT = generator.standard_normal((4, 4))
HIDDEN = 3


def _two_layer(x, rows):
    w, v = x[:, : 4 * HIDDEN].reshape(-1, 1, HIDDEN, 4), x[:, None, 4 * HIDDEN :]
    hidden = np.tanh((w * A[rows][:, :, None, :]).sum(-1))
    return hidden, (hidden * v).sum(-1) - B[rows]


def _two_layer_gradient(x, rows):
    hidden, error = _two_layer(x, rows)
    pull = error[..., None] * x[:, None, 4 * HIDDEN :] * (1 - hidden**2)
    first = pull[..., None] * A[rows][:, :, None, :]
    return np.concatenate([first.reshape(*rows.shape, -1), error[..., None] * hidden], axis=-1)


@numba.njit
def _value(x, i):
    return 0.25 * (x[0] ** 2 + x[1] - B[i]) ** 2


@numba.njit
def _gradient(x, i, out):
    error = x[0] ** 2 + x[1] - B[i]
    out[0], out[1] = error * x[0], 0.5 * error


PROBLEMS = {
    "least squares": problems.LeastSquares.from_arrays(A, B, ridge=0.1),
    "streaming": problems.StreamingLeastSquares(ROOT @ ROOT.T / 4, 0.3, np.ones(4), ridge=0.1),
    "logistic": problems.Logistic(A, B > 0, ridge=0.1),
    "a compiled loss": problems.SampleLoss(_value, _gradient, samples=24, dimension=2, compiled=True),
    "a two-layer network": problems.SampleLoss(
        lambda x, rows: 0.5 * _two_layer(x, rows)[1] ** 2, _two_layer_gradient, samples=24, dimension=5 * HIDDEN
    ),
}


@numba.njit
def _doubled(x, slots, gradient, step_size, k, settings):
    for j in range(x.size):
        slots[0, j] = settings[0] * slots[0, j] + gradient[j]
        x[j] -= step_size * slots[0, j] / (1 + k)


class Compiled:
    """A user's own rule, compiled: heavy ball with a step size that falls like 1 / (1 + k)."""

    slots, settings, label = 1, (0.5,), "falling"
    move = staticmethod(_doubled)


class InNumPy:
    """The same in NumPy."""

    slots = 1

    def move(self, x, slots, gradient, step_size, k):
        slots = 0.5 * slots + gradient[:, None]
        return x - step_size * slots[:, 0] / (1 + k), slots


RULES = {
    "plain": rules.Plain(),
    "heavy ball": rules.HeavyBall(0.7),
    "Nesterov": rules.Nesterov(0.7),
    "a user's, compiled": Compiled(),
    "Adam": rules.Adam(),
    "AMSGrad": rules.Adam(amsgrad=True, weight_decay=0.1),
    "AdamW": rules.AdamW(),
    "RMSProp": rules.RMSProp(),
    "sign": rules.SignSGD(),
    "clipped": rules.Clipped(0.5),
    "clipped Adam": rules.Clipped(0.5, rules.Adam()),
    "clipped, a user's": rules.Clipped(0.5, Compiled()),
    "RMSProp, momentum, centred": rules.RMSProp(0.9, 1e-6, 0.1, 0.5, True),
}


def by_definition(sgd, x0, steps, paths, seed):
    noise, state = Noise(seed, np.arange(paths)), sgd.initial_state(np.tile(x0, (paths, 1)))
    for k in range(steps):
        state = sgd.step(k, state, noise)
    return sgd.position(state)


@pytest.mark.parametrize("problem", slowly(PROBLEMS, lambda name: name in ("streaming", "a compiled loss")))
@pytest.mark.parametrize("rule", RULES)
def test_the_loop_equals_the_array_form_on_every_problem(rule, problem):
    """Assert the same positions to rounding under the same noise, and the same bits for any chunk."""
    sgd = SGD(PROBLEMS[problem], 0.02, batch_size=3, rule=RULES[rule])
    x0 = np.linspace(-1, 1, sgd.problem.dimension)
    settings = {"record": [17], "seed": 5, "threads": 1}
    loop = sgd.simulate(x0, 17, 20, "state", **settings)["state"].values[:, 0]
    np.testing.assert_allclose(loop, by_definition(sgd, x0, 17, 20, 5), rtol=1e-10, atol=1e-12)
    again = sgd.simulate(x0, 17, 20, "state", chunk=16, **settings)["state"].values[:, 0]
    np.testing.assert_array_equal(loop, again)


@pytest.mark.parametrize("momentum", [{"momentum": 0.7}, {"momentum": 0.7, "nesterov": True}])
def test_momentum_is_a_short_form_of_its_rule(momentum):
    """Assert equal bits, labels and moments of both forms, and that a copy of either can be made."""
    rule = rules.Nesterov(0.7) if "nesterov" in momentum else rules.HeavyBall(0.7)
    short, long = (SGD(PROBLEMS["least squares"], 0.05, **form) for form in (momentum, {"rule": rule}))
    runs = [sgd.simulate(np.ones(4), 9, 5, "state", seed=1).state.values for sgd in (short, long)]
    np.testing.assert_array_equal(*runs)
    assert short.label == long.label and long.momentum == 0.7
    np.testing.assert_array_equal(short.moments(np.ones(4), 5).risk, long.moments(np.ones(4), 5).risk)
    assert dataclasses.replace(long, step_size=0.1).update_rule == rule


@pytest.mark.slow
def test_a_user_rule_in_numpy_equals_the_compiled_one():
    """Assert equality to rounding on every problem, one route in NumPy and one in a fused loop."""
    for problem in PROBLEMS.values():
        x0 = np.linspace(-1, 1, problem.dimension)
        runs = [
            SGD(problem, 0.02, batch_size=2, rule=rule).simulate(x0, 9, 4, "state", seed=2).state.values
            for rule in (Compiled(), InNumPy())
        ]
        np.testing.assert_allclose(*runs, rtol=1e-10, atol=1e-12)


def test_names_stand_for_rules_with_their_defaults():
    """Assert that a name gives the default object, and that the label says what is run."""
    problem = PROBLEMS["logistic"]
    for cls in rules.RULES:
        if cls in (rules.HeavyBall, rules.Nesterov, rules.Preconditioned) or cls.__name__ == "Clipped":
            with pytest.raises(InvalidInput, match="no default setting"):
                SGD(problem, 0.1, rule=cls.__name__)
        else:
            sgd = SGD(problem, 0.1, rule=cls.__name__.lower())
            assert sgd.update_rule == cls()
            assert sgd.label == (cls().label if cls is not rules.Plain else "SGD")


def test_only_linear_rules_have_moments():
    """Assert that a rule that is not linear refuses its moments in a sentence, and warns of nothing."""
    sgd = SGD(PROBLEMS["least squares"], 0.1, rule=rules.Adam())
    for ask in (lambda: sgd.moments(np.ones(4), 3), sgd.stationary, sgd.stability):
        with pytest.raises(InvalidInput, match="Adam has no closed moments"):
            ask()


def test_limits_of_plain_sgd_are_not_made_of_another_rule():
    """Assert that no diffusion takes a descent by Adam for plain SGD."""
    for kind in (diffusions.HomogenizedSGD, diffusions.OrnsteinUhlenbeck, diffusions.GradientFlow):
        with pytest.raises(InvalidInput, match="the rule is Adam"):
            kind.of(SGD(PROBLEMS["least squares"], 0.1, rule="adam"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rule": "adam", "momentum": 0.5}, "both momentum"),
        ({"rule": rules.Adam, "momentum": 0.0}, "pass an object"),
        ({"rule": "adamm"}, "'adamm' is not known"),
        ({"rule": 3}, "got int"),
        ({"rule": "x" * 10_000}, "is not known"),
    ],
)
def test_bad_rules_are_refused_in_a_sentence(options, message):
    with pytest.raises(InvalidInput, match=message) as caught:
        SGD(PROBLEMS["least squares"], 0.1, **options)
    assert len(str(caught.value)) < 400


def test_a_user_rule_that_returns_a_wrong_shape_is_refused():
    class Wrong:
        slots = 1

        def move(self, x, slots, gradient, step_size, k):
            return x[:, :1], slots

    with pytest.raises(InvalidInput, match="move returned shapes"):
        SGD(PROBLEMS["least squares"], 0.1, rule=Wrong()).simulate(np.ones(4), 3, 2)


def test_sign_descent_moves_every_coordinate_by_the_step_size():
    """Assert steps of exactly +-step_size, none where the gradient is zero, and that nan is not hidden."""
    x, gradient = np.zeros((1, 4)), np.array([[3.0, -1e-300, 0.0, np.nan]])
    moved, _ = rules.SignSGD().move(x, np.zeros((1, 0, 4)), gradient, 0.25, 0)
    np.testing.assert_array_equal(moved[0], [-0.25, 0.25, 0.0, np.nan])
    path = SGD(PROBLEMS["streaming"], 0.25, rule="SignSGD").simulate(np.ones(4), 6, 3, "state", record=7)
    np.testing.assert_allclose(np.abs(np.diff(path.state.values, axis=1)), 0.25)


def averages(gradients, share):
    """(1 - share) sum_i share^(k - i) g_i over i <= k, for each k: the sum itself, no recursion."""
    powers = [share ** np.arange(k, -1, -1) for k in range(len(gradients))]
    return [(1 - share) * weights @ gradients[: len(weights)] for weights in powers]


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_adaptive_rules_are_their_sums(decay):
    """Assert Adam, AMSGrad, AdamW and RMSProp over 12 steps from their averages as sums, at an eps that is seen."""
    gradients, size, eps, k = generator.standard_normal((12, 3)), 0.1, 0.05, np.arange(1, 13)[:, None]
    m, v = np.array(averages(gradients, 0.8)), np.array(averages(gradients**2, 0.9))
    hatted, corrected = m / (1 - 0.8**k), np.sqrt(1 - 0.9**k)
    largest = np.maximum.accumulate(v, axis=0)
    moves = {
        rules.AdamW((0.8, 0.9), eps, decay): hatted / (np.sqrt(v) / corrected + eps),
        rules.AdamW((0.8, 0.9), eps, decay, amsgrad=True): hatted / (np.sqrt(largest) / corrected + eps),
    }
    if not decay:
        moves[rules.Adam((0.8, 0.9), eps)] = hatted / (np.sqrt(v) / corrected + eps)
        moves[rules.RMSProp(0.9, eps)] = gradients / (np.sqrt(v) + eps)
        moves[rules.RMSProp(0.9, eps, centered=True)] = gradients / (
            np.sqrt(v - np.square(averages(gradients, 0.9))) + eps
        )
    for rule, move in moves.items():
        x, expected, slots = np.ones((1, 3)), np.ones(3), np.zeros((1, rule.slots, 3))
        for step, gradient in enumerate(gradients):
            x, slots = rule.move(x, slots, gradient[None], size, step)
            expected = expected * (1 - size * decay) - size * move[step]
            np.testing.assert_allclose(x[0], expected, rtol=1e-12, atol=1e-13, err_msg=rule.label)


def test_decay_in_the_gradient_is_a_ridge():
    """Assert equal steps of Adam and RMSProp with a decay, and without one under the gradient plus decay * x."""
    x, gradient = generator.standard_normal((2, 1, 4))
    for kind in (rules.Adam, rules.RMSProp):
        with_decay, plain = kind(weight_decay=0.3), kind()
        slots = np.zeros((1, plain.slots, 4))
        expected = plain.move(x, slots, gradient + 0.3 * x, 0.1, 0)[0]
        np.testing.assert_allclose(with_decay.move(x, slots, gradient, 0.1, 0)[0], expected, rtol=1e-13)


TORCH = {
    "SGD": (rules.Plain(), {}),
    "SGD momentum": (rules.HeavyBall(0.9), {"momentum": 0.9}),
    "SGD Nesterov": (rules.Nesterov(0.9), {"momentum": 0.9, "nesterov": True}),
    "Adam": (rules.Adam(), {}),
    "Adam AMSGrad": (rules.Adam(amsgrad=True, weight_decay=0.1), {"amsgrad": True, "weight_decay": 0.1}),
    "AdamW": (rules.AdamW(), {}),
    "RMSprop": (rules.RMSProp(), {}),
    "RMSprop other": (
        rules.RMSProp(0.9, 1e-6, 0.1, 0.5, True),
        {"alpha": 0.9, "eps": 1e-6, "weight_decay": 0.1, "momentum": 0.5, "centered": True},
    ),
    "AdamW other": (
        rules.AdamW((0.8, 0.99), 1e-6, 0.1, True),
        {"betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": 0.1, "amsgrad": True},
    ),
}


@pytest.mark.extras
@pytest.mark.parametrize("name", TORCH)
def test_a_thousand_steps_are_those_of_torch(name):
    """Assert equality with torch.optim to 1e-12 under the same gradients, in double precision, defaults included."""
    torch = pytest.importorskip("torch")
    rule, options = TORCH[name]
    start, curvature = generator.standard_normal(6), np.linspace(0.1, 2, 6)
    shocks = generator.standard_normal((1000, 6))
    optimiser_class = getattr(torch.optim, name.split()[0])
    x = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimiser = optimiser_class([x], lr=0.01, **options)
    ours, slots = start[None].copy(), np.zeros((1, rule.slots, 6))
    for k, shock in enumerate(shocks):
        x.grad = torch.tensor(curvature) * x.detach() + torch.tensor(shock)
        optimiser.step()
        ours, slots = rule.move(ours, slots, curvature * ours + shock, 0.01, k)
    np.testing.assert_allclose(ours[0], x.detach().numpy(), rtol=1e-12, atol=1e-13)


@pytest.mark.extras
def test_clipping_is_that_of_torch():
    """Assert torch's factor on gradients below and above the norm."""
    torch = pytest.importorskip("torch")
    for size in (0.1, 0.9999999, 1.0, 30.0):
        gradient = np.array([[0.6, 0.8]]) * size
        x = torch.zeros(2, dtype=torch.float64, requires_grad=True)
        x.grad = torch.tensor(gradient[0])
        torch.nn.utils.clip_grad_norm_([x], 1.0)
        moved, _ = rules.Clipped(1.0).move(np.zeros((1, 2)), np.zeros((1, 0, 2)), gradient, 1.0, 0)
        np.testing.assert_allclose(-moved[0], x.grad.numpy(), rtol=1e-15)


@pytest.mark.extras
def test_a_torch_module_is_descended_by_every_rule():
    """Assert that each rule runs on a loss of a torch module and equals its array form."""
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.Tanh(), torch.nn.Linear(2, 1)).double()
    shapes = {name: value.shape for name, value in module.named_parameters()}

    def loss(w, features, label):
        parts = torch.split(w, [shape.numel() for shape in shapes.values()])
        weights = {name: part.reshape(shape) for (name, shape), part in zip(shapes.items(), parts)}
        return 0.5 * (torch.func.functional_call(module, weights, (features,))[0] - label) ** 2

    problem = problems.SampleLoss.from_torch(loss, (A, B), dimension=13)
    for name, rule in RULES.items():
        sgd = SGD(problem, 0.02, batch_size=3, rule=rule)
        run = sgd.simulate(np.linspace(-1, 1, 13), 4, 3, "state", record=[4], seed=3).state.values[:, 0]
        np.testing.assert_allclose(
            run, by_definition(sgd, np.linspace(-1, 1, 13), 4, 3, 3), rtol=1e-10, err_msg=name
        )


def test_rules_of_the_public_door():
    """Assert that discrete.rules is public and every rule in it says what it is and where it comes from."""
    assert discrete.rules is rules
    for cls in rules.RULES:
        assert cls.__name__ in rules.__all__ and cls.source and cls.__doc__
