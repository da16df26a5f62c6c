"""compare.orders: observed weak orders and leading constants against theory, from exact moments."""

import numpy as np
import pytest
from sgdlimits import compare
from sgdlimits.diffusions import (
    AdamSDE,
    GradientFlow,
    HomogenizedSGD,
    ModifiedEquation,
    OrnsteinUhlenbeck,
    UnderdampedLangevin,
)
from sgdlimits.discrete import SGD
from sgdlimits.ensembles import Gaussian
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import LeastSquares, StreamingLeastSquares

START = Gaussian(np.array([1.0, -1.0, 0.5]), np.diag([0.5, 0.2, 0.1]))


def problems():
    return {
        "finite": LeastSquares.gaussian(12, 3, spectrum=0.7, noise=0.4, seed=2, ridge=0.1),
        "fewer samples than parameters": LeastSquares.gaussian(2, 3, noise=0.4, seed=2, ridge=0.3),
        "streaming": StreamingLeastSquares(np.diag([1.0, 0.5, 0.2]), 0.3, np.array([0.4, 1.0, -1.0]), 0.05),
    }


@pytest.mark.parametrize("name", problems())
@pytest.mark.parametrize("label_noise", [0.0, 0.3])
def test_orders_and_constants_are_those_of_theory(name, label_noise):
    """Assert slopes 1, 2, 1, 1, 1 within three standard errors and 0.05, and constants within 2 %."""
    sgd = SGD(problems()[name], 0.04, 2, label_noise=label_noise)
    others = [
        ModifiedEquation.of(sgd),
        ModifiedEquation.of(sgd, order=2),
        HomogenizedSGD.of(sgd),
        HomogenizedSGD.of(sgd, drift_order=2),
        OrnsteinUhlenbeck.of(sgd),
        GradientFlow.of(sgd),
    ]
    data = compare.orders(sgd, *others, x0=START, steps=25, rungs=7).dataset
    claimed = {"risk": [1, 2, 1, 1, 1, 1], "mean": [1, 2, 1, 2, 1, 1], "covariance": [1, 2, 1, 1, 1, 1]}
    for quantity, expected in claimed.items():
        side = data.sel(quantity=quantity)
        np.testing.assert_array_equal(side["claimed"], expected)
        gap = np.abs(side["slope"] - side["claimed"])
        assert (gap < 3 * side["slope_error"] + 0.05).all(), (quantity, side["slope"].values)
        np.testing.assert_allclose(side["constant"], side["constant_predicted"], rtol=0.02)


def test_a_wrong_claim_is_refuted():
    """Assert that the order-1 equation is far from order 2, and that sides which do not match are refused."""
    problem = problems()["finite"]
    sgd = SGD(problem, 0.04, 2)
    data = compare.orders(sgd, ModifiedEquation.of(sgd), x0=START, steps=25).dataset
    risk = data.isel(process=0).sel(quantity="risk")
    assert abs(risk["slope"] - 2) > 20 * risk["slope_error"]
    with pytest.raises(InvalidInput, match="share problem"):
        compare.orders(sgd, ModifiedEquation(problem, 0.04, 1), x0=START, steps=25)


def test_without_replacement_every_diffusion_is_of_order_1():
    """Assert constants within 2 % where SGD's noise is smaller than the diffusion's; order 2 drops to 1 but for the
    mean."""
    sgd = SGD(problems()["finite"], 0.04, 6, sampling="without_replacement")
    others = [ModifiedEquation.of(sgd), ModifiedEquation.of(sgd, order=2), HomogenizedSGD.of(sgd)]
    data = compare.orders(sgd, *others, x0=START, steps=25).dataset
    np.testing.assert_array_equal(data["claimed"].sel(process="modified equation, order 2"), [1, 2, 1])
    np.testing.assert_allclose(data["slope"], data["claimed"], atol=0.06)
    np.testing.assert_allclose(data["constant"], data["constant_predicted"], rtol=0.02)


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"steps": None}, "give either steps"),
        ({"steps": 5, "time": 1.0}, "give either steps"),
        ({"steps": None, "time": 0.05}, "no whole number of steps"),
        ({"step_sizes": [0.1, 0.2, 0.3]}, "decreasing"),
        ({"x0": None}, "x0 is missing"),
        ({"rungs": 2}, "rungs must be at least 3"),
    ],
)
def test_bad_ladders_get_one_sentence(change, sentence):
    """Assert InvalidInput that names what is wrong."""
    sgd = SGD(problems()["finite"], 0.04)
    with pytest.raises(InvalidInput, match=sentence):
        compare.orders(sgd, HomogenizedSGD.of(sgd), **{"x0": np.ones(3), "steps": 4, **change})


def test_momentum_and_reshuffling_are_refused():
    """Assert that sides without a ladder are named."""
    problem = problems()["finite"]
    plain = SGD(problem, 0.04)
    for sgd in (SGD(problem, 0.04, momentum=0.5), SGD(problem, 0.04, 2, sampling="reshuffle")):
        with pytest.raises(InvalidInput):
            compare.orders(sgd, HomogenizedSGD.of(plain), x0=np.ones(3), steps=4)


@pytest.mark.filterwarnings("ignore::sgdlimits.exact.errors.StabilityWarning")
def test_rungs_past_a_threshold_are_left_out_and_said():
    """Assert that an unstable rung does not change the fit, and that a ladder of such rungs gives no constant."""
    sgd = SGD(problems()["finite"], 0.04, 2)
    threshold = sgd.stability().mean_square_threshold
    side = HomogenizedSGD.of(sgd)
    fine = [0.04 * 0.5**k for k in range(5)]
    coarse = 0.04 * 2 ** int(np.ceil(np.log2(threshold / 0.04)) + 1)
    options = {"x0": START, "time": coarse * 8}
    mixed = compare.orders(sgd, side, step_sizes=[coarse, *fine], **options)
    plain = compare.orders(sgd, side, step_sizes=fine, **options)
    np.testing.assert_array_equal(mixed.dataset["slope"], plain.dataset["slope"])
    assert "UNSTABLE: SGD settles only below" in " ".join(str(mixed).split())
    lost = compare.orders(sgd, side, step_sizes=[4 * coarse, 2 * coarse, coarse], **options)
    assert np.isnan(lost.dataset["constant"]).all() and "no order is fitted" in " ".join(str(lost).split())


def test_the_same_noise_is_asked_at_more_than_one_point():
    """Assert that two noise maps which agree at the identity alone are told apart."""
    from sgdlimits.compare.predictions import _same_noise

    def own(second, mean):
        return second + np.outer(mean, mean)

    assert _same_noise(own, own, 3)
    assert not _same_noise(own, lambda second, mean: np.trace(second) / 3 * np.eye(3), 3)


def test_errors_are_drawn_against_what_the_order_is_counted_in():
    """Assert the abscissa: sqrt(step size) under momentum, on which the drawn slope is the one that is printed."""
    problem = problems()["finite"]
    sgd = SGD(problem, 0.01, 2, momentum=0.9)
    found = compare.orders(sgd, UnderdampedLangevin.of(sgd), x0=START, steps=8, rungs=4)
    (ax,) = found.plot().axes
    x, y = ax.lines[0].get_data()
    drawn = np.polyfit(np.log(x), np.log(y), 1)[0]
    assert ax.get_xlabel() == "sqrt(step size)" and "Weak order" in ax.get_title(loc="left")
    assert drawn == pytest.approx(found.table()[0]["slope"], rel=0.05)


def test_no_order_is_claimed_of_adam_from_zero():
    """Assert a dash and its reason without a second moment at the start, and the order 1 with one."""
    problem = problems()["finite"]
    adam = SGD(problem, 0.05, 64, rule="adam")
    loose = compare.orders(adam, AdamSDE.of(adam), x0=np.ones(3), steps=2, rungs=3, paths=20)
    firm = compare.orders(adam, AdamSDE.of(adam, second_moment=1.0), x0=np.ones(3), steps=2, rungs=3, paths=20)
    assert np.isnan(loose.dataset.claimed).all() and (firm.dataset.claimed == 1).all()
    assert "no order is claimed" in " ".join(str(loose).split()) and "no order is claimed" not in str(firm)
    assert np.isfinite(loose.dataset.constant).all()
    with pytest.raises(ValueError, match="no closed form of the stationary law of Adam SDE is known"):
        AdamSDE.of(adam).stationary()
