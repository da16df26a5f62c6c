"""Formulas that stand in three places: on a page of theory/, in the code, and in a test.

On the page a formula has a label, `:label: NAME`. In code and tests `formula NAME` stands in a docstring or a comment.
A name that is missing in one of the three is a warning with page and line. In a docstring that has a page the words
lead to the formula.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
LABEL = re.compile(r"^:label: (\S+)$", re.MULTILINE)
MENTION = re.compile(r"\b(?:F|f)ormula ([a-z]+(?:-[a-z0-9]+)+)")
CODE = ("problems", "ensembles", "exact", "discrete", "diffusions", "compare", "studies")

Places = dict[str, tuple[Path, int]]


def places_in(files: Any, pattern: re.Pattern[str]) -> Places:
    """{name: (file, line)} of the first mention of each."""
    found: Places = {}
    for file in sorted(files):
        text = file.read_text(encoding="utf-8")
        for match in pattern.finditer(text):
            found.setdefault(match[1], (file, text.count("\n", 0, match.start()) + 1))
    return found


def missing(root: Path = ROOT) -> list[tuple[str, tuple[str, int]]]:
    """(sentence, (file, line)) for each name that is not in all three places."""
    kinds = {
        "on a page of docs/theory": places_in((root / "docs" / "theory").glob("*.md"), LABEL),
        "in the code": places_in((file for top in CODE for file in (root / top).rglob("*.py")), MENTION),
        "in a test": places_in((root / "tests").glob("test_*.py"), MENTION),
    }
    sentences = []
    for name in sorted(set().union(*kinds.values())):
        absent = [kind for kind, places in kinds.items() if name not in places]
        if absent:
            file, line = next(places[name] for places in kinds.values() if name in places)
            sentences.append((f"formula {name} stands here, but not {' and not '.join(absent)}", (str(file), line)))
    return sentences


def check(app: Any) -> None:
    from sphinx.util import logging

    for sentence, place in missing():
        logging.getLogger(__name__).warning(sentence, location=":".join(map(str, place)))


def setup(app: Any) -> dict[str, Any]:
    app.connect("builder-inited", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
