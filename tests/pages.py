"""Pages whose Python runs: blocks with their lines, run so that a failure names page and line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^```python([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """Python between fences: its text, the line on which it begins (from 1), and what follows the word python."""

    text: str
    line: int
    mark: str


def blocks_of(page: Path, mark: str | None = "") -> list[Block]:
    """Blocks with this mark: "" run anywhere, "no-run" needs a cluster, "peers" other libraries; None: all."""
    text = page.read_text(encoding="utf-8")
    found = [
        Block(match[2], text.count("\n", 0, match.start(2)) + 1, match[1].strip())
        for match in FENCE.finditer(text)
    ]
    return [block for block in found if mark in (None, block.mark)]


def run_block(block: Block, page: Path, names: dict[str, Any]) -> None:
    """Run one block; a traceback shows the page's own lines."""
    exec(compile("\n" * (block.line - 1) + block.text, str(page), "exec"), names)


def run_page(page: Path, blocks: slice = slice(None), mark: str = "", names: dict[str, Any] | None = None) -> dict:
    """Run blocks of a page one after the other, in one namespace, which is returned."""
    names = {} if names is None else names
    for block in blocks_of(page, mark)[blocks]:
        run_block(block, page, names)
    return names
