"""The Python of the README and of the pages runs as it stands."""

from pathlib import Path

import matplotlib
import pytest
from tests.optional import optional
from tests.pages import ROOT, blocks_of, run_page

README = ROOT / "README.md"


def test_the_page_on_sweeps_runs(tmp_path, monkeypatch):
    """Assert that its grid is filled and kept, and its simulation cut into pieces."""
    monkeypatch.chdir(tmp_path)
    names = run_page(ROOT / "docs" / "sweeps.md")
    assert names["grid"].attrs["failed"] == 0 and len(list(Path("results/error-map/cells").iterdir())) == 40
    assert names["risks"].sizes["path"] == 2000


@pytest.mark.slow
def test_the_page_on_tails_runs(capsys):
    """Assert that both refusals and indices are printed, and that claims name their sources."""
    assert len(blocks_of(ROOT / "docs" / "tails.md")) >= 4
    run_page(ROOT / "docs" / "tails.md")
    printed = capsys.readouterr().out
    assert "kesten1973" in printed and "covers" in printed and "populations" in printed
    assert "docs/tails.md" in README.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_page_on_networks_runs(capsys):
    """Assert tables of all four comparisons with verdicts, and that the README leads there."""
    run_page(ROOT / "docs" / "networks.md")
    printed = capsys.readouterr().out
    for said in ("second layer, weights", "smallest singular value", "exponent 1", "Heavier tails generalise better:"):
        assert said in printed
    assert "docs/networks.md" in README.read_text(encoding="utf-8")


def test_the_page_on_finite_step_sizes_runs(capsys):
    """Assert the tables of methods, verdicts of both kinds, and that the README leads there."""
    run_page(ROOT / "docs" / "finite_step_size.md")
    printed = capsys.readouterr().out
    for said in ("Newton", "Posterior(", "they agree", "WeightDecay(", "verdict='holds'", "verdict='fails'"):
        assert said in printed
    assert "docs/finite_step_size.md" in README.read_text(encoding="utf-8")


@pytest.mark.extras
def test_the_page_on_torch_modules_runs(capsys):
    """Assert a module in laws, in the golden path and on a set of zero loss, and that the README leads there."""
    optional("torch")
    run_page(ROOT / "docs" / "torch_modules.md")
    printed = capsys.readouterr().out
    for said in ("modified equation, order 2 by euler", "SVAG, l=4", "Regime:"):
        assert said in printed
    assert "docs/torch_modules.md" in README.read_text(encoding="utf-8")


def test_the_page_on_scaling_laws_runs(capsys):
    """Assert exponents, powers and the hypothesis, and that the README leads there."""
    run_page(ROOT / "docs" / "scaling_laws.md")
    printed = capsys.readouterr().out
    for said in ("derived", "Continuous time", "spread of SGD", "Gaussian, lowest"):
        assert said in printed
    assert "docs/scaling_laws.md" in README.read_text(encoding="utf-8")


def test_the_page_on_the_golden_path_runs(capsys):
    """Assert that a task of one's own is judged."""
    run_page(ROOT / "docs" / "golden_path.md", slice(-1))
    printed = capsys.readouterr().out
    for said in ("mine.csv, offline", "AdamW", "mine, offline", "F1", "Regime:"):
        assert said in printed


@pytest.mark.extras
def test_the_torch_module_on_the_page_on_the_golden_path_runs(capsys):
    """Assert that it is judged online, on samples that are met once."""
    optional("torch")
    run_page(ROOT / "docs" / "golden_path.md", slice(-1, None))
    assert "images, online" in capsys.readouterr().out


@pytest.mark.slow
def test_the_page_on_validity_runs(capsys):
    """Assert the table of ends, and that the README leads there."""
    run_page(ROOT / "docs" / "validity.md")
    assert "breaks first" in capsys.readouterr().out
    assert "docs/validity.md" in README.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_page_on_exploration_runs(capsys):
    """Assert exact numbers beside measured ones on a landscape of one's own, and that the README leads there."""
    run_page(ROOT / "docs" / "exploration.md")
    assert "covers" in capsys.readouterr().out
    assert "docs/exploration.md" in README.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_page_on_escape_runs(capsys):
    """Assert that rates, the claim's verdict and where paths leave are printed."""
    run_page(ROOT / "docs" / "escape.md")
    printed = capsys.readouterr().out
    assert "transfer" in printed and "splitting" in printed and "fails" in printed and "not seen" in printed
    assert "docs/escape.md" in README.read_text(encoding="utf-8")


def test_the_page_on_limits_runs(capsys):
    """Assert that orders are printed on a ladder of its own, exact and by Monte Carlo, and a law beside its limit."""
    run_page(ROOT / "docs" / "limits.md")
    printed = " ".join(capsys.readouterr().out.split())
    assert "held fixed; order counted in sqrt(step size)" in printed and "means over 2000 paths" in printed
    assert "Adam SDE against Adam" in printed and "MISMATCH" not in printed


def test_the_python_blocks_run_in_order(capsys, tmp_path, monkeypatch):
    """Assert that what a newcomer copies works, and prints the verdict tables and the limit's explanation."""
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    assert len(blocks_of(README)) >= 6
    run_page(README)
    printed = capsys.readouterr().out
    assert "homogenized SGD against SGD" in printed and "Stability(" in printed
    assert "homogenized SGD by euler" in printed and "growth rate" in printed and "label noise" in printed
    norm = next(line for line in printed.splitlines() if line.strip().startswith("norm"))
    assert "(1)" in norm and "(1) integrator: the integrator's part is larger" in printed  # what the README says of it
