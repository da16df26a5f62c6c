"""compare.orders on the ladders that limits declare: what is held on each rung, and orders by Monte Carlo."""

from dataclasses import replace

import numpy as np
import pytest
from sgdlimits import compare
from sgdlimits.compare import fits
from sgdlimits.compare._orders.rungs import ladder_of, rungs_of
from sgdlimits.diffusions import AdamSDE, GradientFlow, ModifiedEquation, RMSPropSDE, SignSDE, UnderdampedLangevin
from sgdlimits.discrete import SGD, rules
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import LeastSquares

LINE = LeastSquares.from_arrays([[1.0]], [0.0])  # f = x^2 / 2; a batch of its one row has Gaussian noise of the label
ROWS = LeastSquares.gaussian(100, 2, noise=0.5, seed=3)
GAUSSIAN = {"sampling": "without_replacement", "label_noise": 1.0}
ADAM = rules.Adam(betas=(0.75, 0.875), eps=0.02, weight_decay=0.1)
MEANS = {"x": lambda x: x[:, 0], "square": lambda x: x[:, 0] ** 2}


def rungs(sgd, limit, **options):
    usual = {"steps": 8, "time": None, "step_sizes": None, "batch_sizes": None, "rungs": 3}
    return rungs_of(sgd, ladder_of([limit]), **usual | options)


def test_friction_is_held():
    """Assert (1 - momentum) / sqrt(step_size) and the time on both sides, and halves of the small parameter."""
    sgd = SGD(ROWS, 0.04, 2, momentum=0.8)
    limit = UnderdampedLangevin.of(sgd)
    found = rungs(sgd, limit)
    np.testing.assert_allclose(found.parameters, 0.2 * 0.5 ** np.arange(3))
    for rung, count in enumerate(found.counts):
        here, its = found.at(sgd, rung), found.at(limit, rung)
        assert here.momentum == its.momentum and its.friction == pytest.approx(limit.friction)
        assert count / float(its.clock) == pytest.approx(8 / float(limit.clock))
        assert type(limit).of(here).momentum == its.momentum


@pytest.mark.parametrize("decoupled", [False, True])
def test_scaled_noise_is_held_by_batch_sizes(decoupled):
    """Assert what Adam's ladder holds, with batch sizes 64, 16, 4, 1, and AdamW's decay over the step size."""
    rule = rules.AdamW((0.75, 0.875), 0.02, 0.1) if decoupled else ADAM
    sgd = SGD(ROWS, 0.1, 64, rule=rule)
    limit = AdamSDE.of(sgd, second_moment=0.3)
    found = rungs(sgd, limit, rungs=8)
    np.testing.assert_array_equal(found.batches, [64, 16, 4, 1])
    np.testing.assert_allclose(found.sizes, 0.1 * 0.5 ** np.arange(4))
    np.testing.assert_array_equal(found.counts, 8 * 4 ** np.arange(4))
    for rung, ratio in enumerate(0.5 ** np.arange(4)):
        here, its = found.at(sgd, rung), found.at(limit, rung)
        np.testing.assert_allclose(1 - np.array(here.rule.betas), np.array([0.25, 0.125]) * ratio**2)
        assert here.rule.eps == pytest.approx(0.02 / ratio)
        assert here.rule.weight_decay == pytest.approx(0.1 * (ratio if decoupled else 1))
        assert (here.rule.betas, here.rule.eps, here.rule.weight_decay) == (its.betas, its.eps, its.weight_decay)
        assert here.batch_size == its.batch_size and its.second_moment[0] == pytest.approx(0.3 / ratio**2)
        x = np.ones((1, 2))
        np.testing.assert_allclose(its.gradient.variances(x) * its.step_size**2, limit.gradient.variances(x) * 0.01)


def test_without_replacement_the_noise_has_its_own_factor():
    """Assert that step sizes follow (n - B) / (B (n - 1)), so that noise times step size stays."""
    sgd = SGD(ROWS, 0.1, 64, sampling="without_replacement", rule=ADAM)
    limit = AdamSDE.of(sgd)
    found = rungs(sgd, limit, steps=20)
    x = np.ones((1, 2))
    sizes = [found.at(limit, k).gradient.variances(x) * found.sizes[k] ** 2 for k in range(3)]
    np.testing.assert_allclose(sizes, [sizes[0]] * 3)
    np.testing.assert_allclose(found.sizes, 0.1 * np.sqrt(36 / 64 / (100 - found.batches) * found.batches))
    np.testing.assert_allclose(found.counts * found.sizes**2, 20 * 0.01, rtol=0.03)


def test_label_noise_is_scaled_where_every_batch_holds_all_rows():
    """Assert step_size * label_noise, and that batch sizes are refused then."""
    sgd = SGD(LINE, 0.5, 1, rule=rules.RMSProp(alpha=0.75, eps=0.02), **GAUSSIAN)
    limit = RMSPropSDE.of(sgd, second_moment=2.0)
    found = rungs(sgd, limit)
    np.testing.assert_allclose([found.at(sgd, k).label_noise * found.sizes[k] for k in range(3)], 0.5)
    with pytest.raises(InvalidInput, match="the label noise is scaled"):
        rungs(sgd, limit, batch_sizes=[16, 4, 1])


def test_declarations_are_sentences():
    """Assert what a limit says of its ladder."""
    sgd = SGD(ROWS, 0.04, 2, momentum=0.8)
    held = "(1 - momentum) / sqrt(step_size) held fixed; order counted in sqrt(step_size)"
    assert str(UnderdampedLangevin.of(sgd).ladder) == held
    assert str(AdamSDE(ROWS, 0.1).ladder).startswith("(1 - betas) / step_size^2, noise * step_size, eps * step_size")
    assert "order counted in step_size^2" in str(RMSPropSDE(ROWS, 0.1).ladder)
    assert str(SignSDE(ROWS, 0.1).ladder) == str(ModifiedEquation(ROWS, 0.1).ladder)
    assert str(GradientFlow(ROWS, 0.1).ladder) == "everything but the step size held fixed; order counted in step_size"


@pytest.mark.parametrize(
    ("settings", "kinds", "options", "sentence"),
    [
        ({"rule": ADAM, "batch_size": 6}, [AdamSDE], {}, "take a multiple of 16"),
        ({"rule": ADAM, "batch_size": 64}, [AdamSDE], {"step_sizes": [0.1, 0.05, 0.025]}, "pass batch_sizes"),
        ({"rule": ADAM, "batch_size": 64}, [AdamSDE], {"batch_sizes": [4, 16, 1]}, "decreasing whole numbers"),
        ({"rule": ADAM, "batch_size": 64}, [AdamSDE], {}, "pass paths="),
        ({"rule": rules.SignSGD()}, [SignSDE], {"paths": 8, "observables": []}, "observables must map"),
        ({"rule": rules.SignSGD()}, [SignSDE], {"paths": 1}, "paths must be"),
        ({"rule": rules.SignSGD()}, [SignSDE], {"paths": 8, "substeps": 0}, "substeps must be"),
        ({"momentum": 0.5}, [UnderdampedLangevin], {"batch_sizes": [16, 4, 1]}, "but on this ladder"),
    ],
)
def test_bad_ladders_get_one_sentence(settings, kinds, options, sentence):
    """Assert InvalidInput that names the way out."""
    sgd = SGD(ROWS, **{"step_size": 0.1} | settings)
    with pytest.raises(InvalidInput, match=sentence):
        compare.orders(sgd, *[kind.of(sgd) for kind in kinds], x0=np.ones(2), steps=4, **options)


def test_limits_of_other_optimisers_are_refused():
    """Assert a sentence for each thing that differs, and for ladders that do."""
    sgd = SGD(ROWS, 0.1, 64, rule=ADAM)
    limit = AdamSDE.of(sgd)
    for other, sentence in (
        (replace(limit, eps=0.1), "eps"), (replace(limit, batch_size=16), "batch_size"),
        (SignSDE(ROWS, 0.1, 64), "for this rule take diffusions.AdamSDE.of"),
        (AdamSDE.of(replace(sgd, problem=LINE)), "another problem"),
    ):  # fmt: skip
        with pytest.raises(InvalidInput, match=sentence):
            compare.orders(sgd, other, x0=np.ones(2), steps=4, paths=8)
    with pytest.raises(InvalidInput, match="different ladders"):
        ladder_of([limit, GradientFlow(ROWS, 0.1)])


def test_powers_and_constants_are_fitted_with_their_errors():
    """Assert exponent and constant within three of their errors in at least 95 of 100 draws, and no fit of noise."""
    generator, x = np.random.default_rng(5), np.array([0.25, 0.0625, 0.015625, 0.00390625])
    for bend, rungs_used in ((0.0, 3), (0.8, 4)):
        here = x[:rungs_used]
        errors, found = np.full(here.size, 1e-3), []
        for _ in range(100):
            values = -0.4 * here * (1 + bend * here) + errors * generator.standard_normal(here.size)
            found.append((*fits.power(here, values, errors), *fits.leading_constant(here, values, errors, 1)))
        q, q_error, c, c_error = np.array([row for row in found if np.isfinite(row).all()]).T
        assert q.size > 90 and (np.abs(q - 1) < 3 * q_error).mean() > 0.95
        assert (np.abs(c + 0.4) < 3 * c_error).mean() > 0.95 and np.std(c) == pytest.approx(c_error.mean(), rel=0.3)
    assert np.isnan(fits.power(x, errors * 0.5, errors)).all()


def test_sampled_orders_are_labelled_and_printed():
    """Assert errors with standard errors, what the page says of them, and that saving keeps it."""
    sgd = SGD(LINE, 0.5, 1, rule=rules.SignSGD(), **GAUSSIAN)
    result = compare.orders(sgd, SignSDE.of(sgd), x0=[1.0], steps=2, rungs=3, paths=256, seed=4, threads=1)
    assert (result.dataset["standard_error"] > 0).all() and "means over 256 paths" in " ".join(str(result).split())
    again = compare.orders(sgd, SignSDE.of(sgd), x0=[1.0], steps=2, rungs=3, paths=256, seed=4, threads=1)
    assert (again.dataset["error"].values == result.dataset["error"].values).all()
    assert list(result.dataset["quantity"].values) == ["risk", "squared norm"]
    result.plot()


def scaled(limit, factor):
    """The same limit with the noise multiplied, under the same name: a control that must fail."""
    kind = type(limit)

    class Wrong(kind):
        def diffusion_product(self, t, z, w):
            return super().diffusion_product(t, z, factor * w)

    Wrong.__name__ = kind.__name__
    other = object.__new__(Wrong)
    other.__dict__.update(limit.__dict__)
    return other


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Adam", "RMSProp"])
def test_adaptive_limits_are_of_order_one(name):
    """Assert slope 1 in step_size^2 within three of its standard errors, which is below 0.15, by Monte Carlo.

    Under Gaussian noise of real scale. With 1.3 times the noise the slope of the same errors is far from 1.
    """
    time = 0.25
    rule, kind = {
        "Adam": (ADAM, AdamSDE), "RMSProp": (rules.RMSProp(alpha=1 - 1.5 * time, eps=0.02), RMSPropSDE),
    }[name]  # fmt: skip
    sgd = SGD(LINE, time**0.5, 1, rule=rule, **GAUSSIAN)
    limit = kind.of(sgd, second_moment=2.0)
    data = compare.orders(
        sgd, limit, scaled(limit, 1.3), x0=[1.0], steps=4, rungs=3, paths=100_000, observables=MEANS, seed=1
    ).dataset
    best = data.isel(process=0, quantity=int(np.nanargmin(data["slope_error"][0].values)))
    assert best["slope_error"] < 0.15 and abs(best["slope"] - 1) < 3 * best["slope_error"], best
    wrong = data.isel(process=1).sel(quantity="square")
    assert wrong["error"][-1] > 10 * wrong["standard_error"][-1] and wrong["error"][-1] > 0.5 * wrong["error"][0]
