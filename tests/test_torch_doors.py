"""Which torch modules and losses are taken: recurrent, attention, losses on an interval; and what is silently wrong."""

import warnings

import numpy as np
import pytest
from tests.optional import optional

from sgdlimits import diffusions, discrete
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import SampleLoss, Supervised, samplings

pytestmark = pytest.mark.extras
DRAW = np.random.Generator(np.random.Philox(41))
INPUTS, NUMBERS = DRAW.standard_normal((7, 3, 2)), DRAW.standard_normal(7)


def wrapped(forward, *parts):
    """A module of parts (linear ones of 6 numbers by default) with this forward(self, x)."""
    torch = optional("torch")
    nn = torch.nn

    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(1)
                self.parts = nn.ModuleList(parts or (nn.Linear(6, 4), nn.Linear(4, 1)))

        def forward(self, x):
            return forward(self, x)

    return Wrapped()


def plain(self, x):
    return self.parts[1](self.parts[0](x.flatten(1)).tanh())


def dataset(targets=NUMBERS):
    torch = optional("torch")
    return torch.utils.data.TensorDataset(torch.tensor(INPUTS), torch.tensor(targets))


def built(net, loss=None, targets=NUMBERS):
    loss = optional("torch").nn.functional.mse_loss if loss is None else loss
    return Supervised.from_module(net, dataset(targets), loss)


def reference(net, x, loss, targets):
    """Gradient (n, d) of each sample's loss, by plain torch."""
    torch = optional("torch")
    net, rows = net.double(), []
    weights = list(net.parameters())
    torch.nn.utils.vector_to_parameters(torch.tensor(x), weights)
    for one, target in zip(torch.tensor(INPUTS), torch.tensor(targets)):
        parts = torch.autograd.grad(loss(net(one[None])[0, 0], target), weights)
        rows.append(torch.cat([part.reshape(-1) for part in parts]).numpy())
    return np.array(rows)


def recurrent(kind):
    nn = optional("torch").nn
    last = lambda self, x: self.parts[1](self.parts[0](x)[0][:, -1])  # noqa: E731
    return wrapped(last, getattr(nn, kind)(2, 3, batch_first=True), nn.Linear(3, 1))


def transformer():
    nn = optional("torch").nn
    seen = lambda self, x: self.parts[2](self.parts[1](self.parts[0](x)).mean(1))  # noqa: E731
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    return wrapped(seen, nn.Linear(2, 4), layer, nn.Linear(4, 1)).eval()


@pytest.mark.parametrize("kind", ("GRU", "LSTM", "RNN", "transformer"))
def test_the_noise_of_parts_in_one_piece_is_that_of_plain_torch(kind):
    """Mean and covariance of the batch's gradient by independent passes, of several paths; the same bits alone."""
    torch = optional("torch")
    torch.manual_seed(3)
    net = transformer() if kind == "transformer" else recurrent(kind)
    given = built(net)
    x = given.predictor.initial
    gradients = reference(net, x, torch.nn.functional.mse_loss, NUMBERS)
    np.testing.assert_allclose(given.gradient(x), gradients.mean(axis=0), atol=1e-12)
    equation = diffusions.ModifiedEquation(given, 0.1, 2, sampling="without_replacement")
    root = np.stack([equation.gradient.noise(x[None], w[None])[0] for w in np.eye(7)], axis=1)
    factor = samplings.sampling_factor(2, "without_replacement", 7)
    wanted = factor * np.cov(gradients.T, bias=True)
    np.testing.assert_allclose(root @ root.T, wanted, atol=1e-12 * wanted.max())
    equation = diffusions.ModifiedEquation.of(discrete.SGD(given, 0.1, 2), order=2)
    settings = {"observables": "state", "record": [2], "seed": 1, "threads": 1}
    whole = equation.simulate(x, 2, 5, **settings)["state"].values
    np.testing.assert_array_equal(equation.simulate(x, 2, 1, first_path=3, **settings)["state"].values, whole[3:4])


def test_a_loss_is_tried_on_outputs_of_the_module():
    """Cross entropy of probabilities and Poisson's of rates are defined on an interval alone, and taken."""
    torch = optional("torch")
    nn, functional = torch.nn, torch.nn.functional
    ones, counts = (NUMBERS > 0).astype(float), np.arange(7.0)
    cases = [
        (lambda self, x: plain(self, x).sigmoid(), functional.binary_cross_entropy, ones),
        (lambda self, x: functional.softplus(plain(self, x)), nn.PoissonNLLLoss(log_input=False), counts),
        (lambda self, x: functional.softplus(plain(self, x)), lambda f, y: (f - y * f.log()).mean(), counts),
    ]
    for forward, loss, targets in cases:
        net = wrapped(forward)
        given = built(net, loss, targets)
        wanted = reference(net, given.predictor.initial, loss, targets).mean(axis=0)
        np.testing.assert_allclose(given.gradient(given.predictor.initial), wanted, atol=1e-12)
    with pytest.raises(InvalidInput, match="not a mean over samples"):
        built(wrapped(cases[0][0]), nn.BCELoss(reduction="sum"), ones)


def grown(self, x):
    self.calls = getattr(self, "calls", 0) + 1
    return self.calls * plain(self, x)


def cut_off(self, x):
    found = plain(self, x)
    return found + 3 * found.detach()


def test_what_has_no_derivative_or_a_wrong_one_is_refused_at_the_door():
    """State from call to call, cut derivatives, other types, weights that are not finite: one sentence each."""
    torch = optional("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that scripting will go
        scripted = torch.jit.script(torch.nn.Linear(6, 1))
    broken = wrapped(plain)
    with torch.no_grad():
        broken.parts[0].weight[1, 2] = np.nan
    cases = [
        (wrapped(grown), None, "keeps something from call to call"),
        (wrapped(cut_off), None, "detach.. cuts off, is wrong: .*"),
        (wrapped(lambda self, x: plain(self, x).detach()), None, "no derivative in its weights"),
        (wrapped(lambda self, x: plain(self, x).float()), None, "net returns torch.float32 where"),
        (wrapped(lambda self, x: (plain(self, x), x)), None, "return a tensor, got tuple: wrap it"),
        (wrapped(lambda self, x: plain(self, x) * plain(self, x).sum().item()), None, "in a batch than by itself"),
        (wrapped(lambda self, x: plain(self, x) * self.parts[0].weight.sum().item()), None, r"calling \.item\(\)"),
        (broken, None, "'parts.0.weight' of net holds numbers that are not finite"),
        (scripted, None, "scripted module"),
        (wrapped(plain), lambda f, y: (f - y).square().mean().detach(), "cuts off, is wrong"),
        (wrapped(plain), lambda f, y: (f - y).square().mean() * torch.rand(()), "depends on chance"),
        (wrapped(plain), lambda f, y: (-(f - y).square()).log().mean(), "loss gives nan for one sample, of outputs"),
        (wrapped(plain), lambda f, y: 1j * (f - y).mean(), "must give a real number, got torch.complex"),
    ]
    for net, loss, sentence in cases:
        with pytest.raises(InvalidInput, match=sentence):
            built(net, loss)
    with pytest.raises(InvalidInput, match="keeps something from call to call"):
        SampleLoss.from_module(wrapped(grown_flat), INPUTS.reshape(7, 6), NUMBERS, torch.nn.functional.mse_loss)


def grown_flat(self, x):
    self.calls = getattr(self, "calls", 0) + 1
    return self.calls * self.parts[1](self.parts[0](x))
