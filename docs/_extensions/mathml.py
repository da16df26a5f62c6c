"""Formulas as MathML, which browsers draw by themselves: no script, and nothing is fetched.

A formula that cannot be read is a warning with its page and line.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.utils.math import MathError, latex2mathml
from sphinx.util import logging

logger = logging.getLogger(__name__)


def converted(node: nodes.Element, text: str, block: bool) -> str:
    """The formula in MathML; its source as code where it cannot be read."""
    try:
        return latex2mathml.tex2mathml(text, as_block=block)
    except MathError as error:
        logger.warning("formula cannot be read: %s in %r", error, text, location=node)
        return f"<code>{text}</code>"


def visit_math(self: Any, node: nodes.Element) -> None:
    self.body.append(f'<span class="math">{converted(node, node.astext(), False)}</span>')
    raise nodes.SkipNode


def visit_math_block(self: Any, node: nodes.Element) -> None:
    """A block; its number stands at the right, with the anchor that references lead to."""
    self.body.append(self.starttag(node, "div", CLASS="math"))
    if node["number"]:
        self.body.append(f'<span class="eqno">({node["number"]})')
        self.add_permalink_ref(node, "Link to this formula")
        self.body.append("</span>")
    self.body.append(f'<div class="formula">{converted(node, node.astext(), True)}</div></div>')
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
