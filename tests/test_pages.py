"""The Python of the pages that say how to do one thing runs, and every page with Python is run by some test."""

import linecache
import re

import pytest
from tests.optional import optional
from tests.pages import ROOT, blocks_of, run_page

DOCS = ROOT / "docs"
PAGES = [DOCS / "start.md", DOCS / "what_can_fail.md", *sorted((DOCS / "how_to").glob("*.md"))]


SLOW = ("what_can_fail", "own_rule", "own_data")  # each some seconds
RUN = [
    pytest.param(page, id=page.stem, marks=[pytest.mark.slow] if page.stem in SLOW else [])
    for page in PAGES
    if blocks_of(page)
]


@pytest.mark.parametrize("page", RUN)
def test_a_page_runs(page, tmp_path, monkeypatch, capsys):
    """Assert that its blocks run in order, in an empty folder, and print something."""
    monkeypatch.chdir(tmp_path)
    run_page(page)
    assert capsys.readouterr().out.strip()


@pytest.mark.extras
def test_the_blocks_with_other_libraries_run(tmp_path, monkeypatch, capsys):
    """Assert that homogenized SGD goes to torchsde and is stepped by it."""
    optional("torchsde")
    monkeypatch.chdir(tmp_path)
    page = DOCS / "how_to" / "other_libraries.md"
    run_page(page, mark="peers", names=run_page(page))
    assert "(1, 10)" in capsys.readouterr().out


def test_a_failure_names_page_and_line(tmp_path):
    """Assert that the last frame is the line of the page, and shows it."""
    page = tmp_path / "page.md"
    blocks = "```python\na = 1\n```\n\nWords.\n\n```python no-run\n1 / 0\n```\n\n```python\na\na / 0\n```\n"
    page.write_text(f"# Title\n\n{blocks}")
    with pytest.raises(ZeroDivisionError) as caught:
        run_page(page)
    last = caught.traceback[-1]
    assert str(last.path) == str(page) and last.lineno + 1 == 15
    assert linecache.getline(str(page), 15) == "a / 0\n"


def test_every_page_with_python_is_run():
    """Assert that a test names each page that has blocks without a mark, or one that somebody can meet."""
    tests = "".join(file.read_text(encoding="utf-8") for file in sorted((ROOT / "tests").glob("test_*.py")))
    named = set(re.findall(r'"(\w+\.md)"', tests)) | {page.name for page in PAGES}
    written = [page for page in sorted(DOCS.rglob("*.md")) if page.parent.name not in ("api", "tutorials")]
    assert {page.name for page in written if blocks_of(page)} <= named
    marks = {block.mark for page in written for block in blocks_of(page, mark=None)}
    assert marks == {"", "no-run", "peers"}


def test_every_python_block_is_python():
    """Assert that those which need a cluster, and are not run, can be compiled."""
    for page in (ROOT / "README.md", *DOCS.glob("*.md"), *DOCS.glob("how_to/*.md")):
        for block in blocks_of(page, mark=None):
            compile("\n" * (block.line - 1) + block.text, str(page), "exec")
