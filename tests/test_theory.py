"""Formulas of the pages of theory stand in the code and in a test, and what their names say is what is computed."""

import importlib.util

import numpy as np
from sgdlimits import diffusions, discrete, problems
from tests.pages import ROOT


def formulas():
    """The module of docs/_extensions that looks for names."""
    spec = importlib.util.spec_from_file_location("formulas", ROOT / "docs" / "_extensions" / "formulas.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_formula_stands_on_a_page_in_the_code_and_in_a_test():
    """Assert that none is missing in one of the three places, and that there are some."""
    found = formulas()
    assert found.missing() == []
    assert len(found.places_in((ROOT / "docs" / "theory").glob("*.md"), found.LABEL)) >= 4


def test_a_formula_that_is_missing_somewhere_is_named_with_its_line(tmp_path):
    """Assert the sentence for each of the three places, and silence where all are there."""
    found = formulas()
    for folder in ("docs/theory", "exact", "tests"):
        (tmp_path / folder).mkdir(parents=True)
    page, code, test = (tmp_path / name for name in ("docs/theory/a.md", "exact/a.py", "tests/test_a.py"))
    name = "small-law"
    texts = {page: f"# A\n\n:label: {name}\n", code: f'"""Formula {name}."""\n', test: f"\n# formula {name}\n"}
    kinds = {page: "on a page of docs/theory", code: "in the code", test: "in a test"}
    for absent in texts:
        for file, text in texts.items():
            file.write_text("" if file == absent else text)
        ((sentence, place),) = found.missing(tmp_path)
        assert sentence == f"formula {name} stands here, but not {kinds[absent]}"
        assert place == ((str(code), 1) if absent == page else (str(page), 3))
    for file, text in texts.items():
        file.write_text(text)
    assert found.missing(tmp_path) == []


def test_drift_and_noise_of_homogenized_sgd():
    """Assert formula hsgd-equation at points, written with the data, and that noise of the ridge's risk differs."""
    generator = np.random.Generator(np.random.Philox(8))
    A, b, ridge, step_size, batch_size = generator.standard_normal((20, 3)), generator.standard_normal(20), 0.3, 0.1, 2
    problem = problems.LeastSquares.from_arrays(A, b, ridge)
    process = diffusions.HomogenizedSGD.of(discrete.SGD(problem, step_size, batch_size))
    H = A.T @ A / 20
    for x in generator.standard_normal((5, 3)):
        drift, noise = process.drift(0.0, x[None])[0], process.diffusion(0.0, x[None])[0]
        risk = np.square(A @ x - b).sum() / 40
        np.testing.assert_allclose(drift, -step_size * (A.T @ (A @ x - b) / 20 + ridge * x), rtol=1e-12)
        np.testing.assert_allclose(noise @ noise.T, step_size**2 * 2 * risk * H / batch_size, rtol=1e-11)
        regularised = risk + ridge * (x @ x) / 2
        assert not np.allclose(noise @ noise.T, step_size**2 * 2 * regularised * H / batch_size, rtol=1e-3)


def test_the_stationary_covariance_of_heavy_ball():
    """Assert formula heavy-ball-stationary with matrices that do not commute, and that the limit's does not obey it."""
    K = np.array([[1.0, 0.3], [0.3, 0.5]])
    C = np.array([[0.2, -0.1], [-0.1, 0.6]])
    eta, mu = 0.6, 0.7
    sgd = discrete.SGD(problems.NoisyQuadratic(K, C), eta, momentum=mu)

    def gap(S):
        drift = (1 - mu) * eta * (K @ S + S @ K)
        second = (mu * (K @ K @ S + S @ K @ K) - (1 + mu**2) * K @ S @ K) * eta**2 / (1 - mu**2)
        return np.abs(drift + second - eta**2 * C).max()

    assert gap(sgd.stationary().covariance) < 1e-14
    effective = diffusions.OrnsteinUhlenbeck.of(discrete.SGD(problems.NoisyQuadratic(K, C), eta / (1 - mu)))
    assert gap(effective.stationary().covariance) > 1e-2
