"""The reference has a page for every public name; what is written for the site is checked without building it."""

import inspect
import sys
from importlib import import_module

import pytest
from tests.pages import ROOT
from tests.test_public_names import NAMES, found

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def extension():
    """A function that imports a module of docs/_extensions, by its name."""
    folder = str(DOCS / "_extensions")
    sys.path.insert(0, folder)
    yield import_module
    sys.path.remove(folder)


def test_every_public_name_has_a_page(extension):
    """Assert that what other people's code calls is listed, and has documentation to show."""
    api_pages = extension("api_pages")
    listed = api_pages.pages()
    with_page = [thing for module in listed for thing in api_pages.exported(module).values()]
    for module, names in NAMES.items():
        for name in names.split():
            thing = found(module, name.partition(".")[0])
            assert any(thing is other for other in with_page), f"sgdlimits.{module}.{name} has no page"
    for module in listed:
        for name, thing in api_pages.exported(module).items():
            assert api_pages.first_sentence(thing), f"sgdlimits.{module}.{name} has no documentation"


def test_no_public_package_is_left_out(extension):
    """Assert that each folder or module that says what it exports is in the reference."""
    api_pages = extension("api_pages")
    folders = {module.partition(".")[0] for module in api_pages.MODULES}
    listed = {name for homes in api_pages.pages().values() for name in homes}
    for file in (file for folder in sorted(folders) for file in (ROOT / folder).rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        private = any(part.startswith(("_", ".")) for part in parts)
        if not private and "\n__all__ = " in file.read_text(encoding="utf-8"):
            module = import_module("sgdlimits." + ".".join(parts))
            names = {name for name in module.__all__ if not inspect.ismodule(getattr(module, name))}
            assert names <= listed, f"{'.'.join(parts)}: {sorted(names - listed)} have no page"


def test_a_name_in_a_docstring_leads_to_its_page(extension):
    """Assert links for what is public, code for the rest, and that stars and bars stand for themselves."""
    docstrings = extension("docstrings")
    line = docstrings.line_of
    assert line("see `rules.Adam()`") == "see :py:obj:`rules.Adam() <sgdlimits.discrete.rules.Adam>`"
    assert line("`step_size` times |x| * 2 of *others") == "``step_size`` times \\|x\\| \\* 2 of \\*others"
    assert line("an xarray.Dataset") == "an :py:obj:`xarray.Dataset`" and line("a numpy.what") == "a numpy.what"
    assert line("``a * b``") == "``a * b``"


def test_a_missing_inventory_is_refused(extension, monkeypatch, tmp_path):
    """Assert that the sentence names the file, and one that cannot be read its line."""
    inventories = extension("inventories")
    monkeypatch.setattr(inventories, "FOLDER", tmp_path)
    with pytest.raises(FileNotFoundError, match="docs/inventories/numpy.txt is missing"):
        inventories.mapping(tmp_path / "out")
    (tmp_path / "numpy.txt").write_text("https://numpy.org/\nnumpy.ndarray class page.html\nnumpy.dtype class\n")
    with pytest.raises(ValueError, match="numpy.txt:3"):
        inventories.mapping(tmp_path / "out")


def test_a_tutorial_shows_what_its_notebook_gave(extension, monkeypatch, tmp_path):
    """Assert outputs of the script's own cells, and none of another state of it."""
    pages = extension("notebook_pages")
    monkeypatch.setattr(pages, "EXECUTED", tmp_path)
    monkeypatch.setattr(pages, "FOLDER", tmp_path)
    script = tmp_path / "small.py"
    script.write_text("# ---\n# ---\n\n# %% [markdown]\n# # Title\n# Words.\n\n# %%\nprint(6 * 7)\n")
    assert pages.ABSENT in pages.page(script)
    cells = (
        '{"cells": [{"cell_type": "markdown", "source": "# Title\\nWords."}, {"cell_type": "code", "source": '
        '["print(6 * %d)"], "outputs": [{"output_type": "stream", "name": "stdout", "text": ["42\\n"]}]}]}'
    )
    (tmp_path / "small.ipynb").write_text(cells % 7)
    assert "````text\n42\n````" in pages.page(script) and pages.ABSENT not in pages.page(script)
    (tmp_path / "small.ipynb").write_text(cells % 8)
    assert pages.ABSENT in pages.page(script)
