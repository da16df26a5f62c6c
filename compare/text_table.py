"""A table of short texts, set as aligned text, HTML or LaTeX; and how numbers are written in it."""

from __future__ import annotations

import html
import math
import re
import textwrap
from dataclasses import dataclass

from sgdlimits.exact.written_numbers import NOTHING, number, rounded

WIDTH = 100  # columns of a text table
LATEX_LINES = 45  # of a tabular: a page of `article` holds about 55 in footnote size
_NUMBER = re.compile(r"(?<![\w.])([+-]?)(\d+(?:\.\d+)?)(?:e([+-]?\d+))?(?![\w.])")
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",
    "−": "$-$",
    "±": r"$\pm$",
    "²": "$^2$",
    "<": "$<$",
    ">": "$>$",
} | {character: "\\" + character for character in "&%$#_"}


def percent(part: float) -> str:
    """A part as a percentage in two digits, and no power of ten: 0.23, -16, 140."""
    value = 100 * float(part)
    return f"{value:.2g}" if abs(value) < 99.5 else f"{value:.0f}"


def some(count: int, most: int = 8) -> list[int]:
    """Places of at most so many rows, evenly spread, the first and the last among them."""
    return sorted({round(place * (count - 1) / max(min(count, most) - 1, 1)) for place in range(min(count, most))})


def with_error(value: float, error: float, exact: bool, sign: bool = False) -> str:
    """A number and how well it is known: its standard error, or the word exact."""
    if math.isnan(float(value)):
        return NOTHING
    if exact:
        return f"{number(value, sign=sign)} exact"
    if error <= 1e-12 * abs(value):
        return f"{number(value, sign=sign)} (no spread)"  # a process without noise: the paths differ by rounding
    if not math.isfinite(error):
        return f"{number(value, sign=sign)} ±?"
    return f"{rounded(value, error, sign)} ±{number(error, 2)}"


@dataclass(frozen=True)
class TextTable:
    """Cells under column heads, in titled groups.

    Attributes
    ----------
    columns : tuple of str
        Heads. The last column holds words (a verdict), the others numbers.
    groups : tuple of (title, rows)
        Each row a tuple of cells, one a column; a group without a title has no line for it.
    title : str
        What a page calls the table where it is folded.
    """

    columns: tuple[str, ...]
    groups: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]
    title: str = ""

    def text(self) -> str:
        """Lines of aligned text; numbers stand with their decimal points in one column."""
        rows = [row for _, group in self.groups for row in group]
        aligned = [_aligned(head, [row[i] for row in rows]) for i, head in enumerate(self.columns)]
        heads = "  " + "  ".join(column[0] for column in aligned).rstrip()
        lines = [heads, "-" * max([len(heads), *(len(title) for title, _ in self.groups)])]
        place = 1
        for title, group in self.groups:
            lines += [title] if title else []
            for _ in group:
                lines.append("  " + "  ".join(column[place] for column in aligned).rstrip())
                place += 1
        return "\n".join(lines)

    def html(self) -> str:
        """A <table>; the last cell of a row carries its first word as a class, for colour."""
        heads = "".join(f'<th scope="col">{_html(head)}</th>' for head in self.columns)
        lines = [f"<table>\n<thead><tr>{heads}</tr></thead>"]
        for title, group in self.groups:
            span = len(self.columns)
            named = f'<tr><th scope="rowgroup" colspan="{span}">{_html(title)}</th></tr>'
            lines += ["<tbody>", named] if title else ["<tbody>"]
            for row in group:
                word = re.sub(r"\W.*", "", row[-1])
                cells = "".join(f"<td>{_html(cell.replace('-', '−'))}</td>" for cell in row[:-1])
                lines.append(f'<tr>{cells}<td class="{word}">{_html(row[-1])}</td></tr>')
            lines.append("</tbody>")
        return "\n".join([*lines, "</table>"])

    def latex(self) -> str:
        """Tabulars with booktabs rules for the narrow line of `article`, none longer than its page.

        In small letters, which are made smaller still where a tabular is wider than the line.
        """
        parts: list[list[tuple[str, tuple[tuple[str, ...], ...]]]] = [[]]
        for group in self.groups:
            length = sum(len(rows) + 1 for _, rows in (*parts[-1], group))
            if parts[-1] and length > LATEX_LINES:
                parts.append([])
            parts[-1].append(group)
        return "\n".join(self._tabular(part) for part in parts)

    def _tabular(self, groups: list[tuple[str, tuple[tuple[str, ...], ...]]]) -> str:
        heads = " & ".join(latex_text(head) for head in self.columns)
        lines = [
            r"% needs \usepackage{booktabs,graphicx}",
            r"{\footnotesize\setlength{\tabcolsep}{3pt}%",
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{{'r' * (len(self.columns) - 1)}l}}",
            r"\toprule",
            rf"{heads} \\",
        ]
        for title, group in groups:
            lines.append(r"\midrule")
            if title:
                lines.append(rf"\multicolumn{{{len(self.columns)}}}{{l}}{{\emph{{{latex_text(title)}}}}} \\")
            for row in group:
                cells = [_latex_numbers(cell) for cell in row[:-1]] + [latex_text(row[-1])]
                lines.append(" & ".join(cells) + r" \\")
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}}}"]) + "\n"


def latex_text(text: str) -> str:
    """Text with LaTeX's own characters escaped."""
    return "".join(_LATEX.get(character, character) for character in text)


def wrapped(sentence: str, indent: str = "  ") -> str:
    """A sentence broken at the width of a text table."""
    return textwrap.fill(
        sentence, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _html(text: str) -> str:
    return html.escape(text, quote=True)


def _latex_numbers(cell: str) -> str:
    """A cell of numbers in mathematics mode, powers of ten set as such."""

    def replace(match: re.Match[str]) -> str:
        sign, mantissa, power = match.groups()
        return f"${sign}{mantissa}" + (rf"\times 10^{{{int(power)}}}$" if power else "$")

    parts, last = [], 0
    for match in _NUMBER.finditer(cell):
        parts += [latex_text(cell[last : match.start()]), replace(match)]
        last = match.end()
    return "".join(parts) + latex_text(cell[last:])


def _aligned(head: str, cells: list[str]) -> list[str]:
    """The head and its cells padded to one width, decimal points below each other."""
    halves = [_halves(cell) for cell in cells]
    left = max((len(before) for before, _ in halves), default=0)
    right = max((len(after) for _, after in halves), default=0)
    left += max(len(head) - left - right, 0)
    width = left + right
    return [head.rjust(left).ljust(width)] + [
        before.rjust(left) + after.ljust(right) for before, after in halves
    ]


def _halves(cell: str) -> tuple[str, str]:
    """Split before the decimal point; words and intervals belong to the right."""
    match = re.match(r"[+-]?(?:\d+|inf)(?![\d])", cell)
    if match:
        return cell[: match.end()], cell[match.end() :]
    return ("", cell)
