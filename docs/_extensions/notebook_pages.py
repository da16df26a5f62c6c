"""Tutorials: a page for each script of notebooks/, with what it printed and drew if `./run notebooks` has executed it.

Building never executes anything. An executed notebook counts as long as its cells are those of the script.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "docs" / "tutorials"
EXECUTED = ROOT / "build" / "notebooks"
ABSENT = "*Not executed in this build: `./run notebooks` and then `./run docs` show what the cells print and draw.*"
REDUCED = "*Executed with reduced sizes; [the script]({link}) as it stands takes the full ones.*"


def cells(script: Path) -> list[tuple[str, str]]:
    """(kind, source) of each cell of a percent script; kind is markdown or code."""
    found = []
    for part in re.split(r"^# %%", script.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        head, _, body = part.partition("\n")
        if "[markdown]" in head:
            body = re.sub(r"^# ?", "", body, flags=re.MULTILINE)
        found.append(("markdown" if "[markdown]" in head else "code", body.strip()))
    return found


def outputs(name: str, script: list[tuple[str, str]]) -> list[list[dict]] | None:
    """What each cell gave; None where it was not executed, or another state of the script was."""
    file = EXECUTED / f"{name}.ipynb"
    if not file.is_file():
        return None
    executed = json.loads(file.read_text(encoding="utf-8"))["cells"]
    sources = [(cell["cell_type"], "".join(cell["source"]).strip()) for cell in executed]
    return [cell.get("outputs", []) for cell in executed] if sources == script else None


def shown(output: dict, picture: str, heading: str) -> str:
    """One output: a picture, else a table, else text. What goes to standard error is progress, and left out."""
    if output["output_type"] == "stream":
        return fenced("text", "".join(output["text"])) if output["name"] == "stdout" else ""
    if output["output_type"] == "error":
        return fenced("text", f"{output['ename']}: {output['evalue']}")
    data = output["data"]
    if "image/png" in data:
        (FOLDER / picture).write_bytes(base64.b64decode("".join(data["image/png"])))
        return f"![{heading}]({picture})\n"
    if "text/html" in data:
        return fenced("{raw} html", f'<div class="cell-output">{"".join(data["text/html"])}</div>')
    return fenced("text", "".join(data["text/plain"]))


def fenced(kind: str, text: str) -> str:
    return f"````{kind}\n{text.rstrip()}\n````\n" if text.strip() else ""


def page(script: Path) -> str:
    """The page in Markdown."""
    found = cells(script)
    given = outputs(script.stem, found)
    note = ABSENT if given is None else REDUCED.format(link=f"../../notebooks/{script.name}")
    parts = []
    heading = script.stem
    for place, (kind, source) in enumerate(found):
        heading = (re.findall(r"^#+ (.*)$", source, re.MULTILINE) or [heading])[-1] if kind == "markdown" else heading
        parts.append(source + "\n" if kind == "markdown" else fenced("python", source))
        if place == 0:
            parts.append(note + "\n")
        for number, output in enumerate(given[place] if given else []):
            parts.append(shown(output, f"{script.stem}-{100 * place + number}.png", heading))
    return "\n".join(part for part in parts if part)


def gallery() -> str:
    """Every picture of the tutorials that were executed, with the lines that drew it."""
    about = "Pictures of the tutorials, each with the lines that drew it; its tutorial has what they use."
    parts = [f"# Gallery\n\n{about}\n"]
    for script in scripts():
        found = cells(script)
        given = outputs(script.stem, found) or []
        drawn = [place for place, outs in enumerate(given) if any("image/png" in out.get("data", {}) for out in outs)]
        if drawn:
            title = re.search(r"^# (.*)$", found[0][1], re.MULTILINE)
            parts.append(f"## [{title[1] if title else script.stem}]({script.stem}.md)\n")
        for place in drawn:
            source = found[place][1]
            for number, output in enumerate(given[place]):
                if "image/png" in output.get("data", {}):
                    parts.append(shown(output, f"{script.stem}-{100 * place + number}.png", source.split("\n")[-1]))
            parts.append(fenced("python", source))
    return "\n".join(parts if len(parts) > 1 else [*parts, ABSENT + "\n"])


def scripts() -> list[Path]:
    """Those of notebooks/ that are notebooks."""
    return [script for script in sorted((ROOT / "notebooks").glob("*.py")) if cells(script)]


def write(app: Any) -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    for script in scripts():
        (FOLDER / f"{script.stem}.md").write_text(page(script), encoding="utf-8")
    (FOLDER / "gallery.md").write_text(gallery(), encoding="utf-8")


def setup(app: Any) -> dict[str, Any]:
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
