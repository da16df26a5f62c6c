"""Execute every notebook of this folder with reduced sizes; the results land in build/notebooks."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import jupytext
import nbclient
import nbformat

FOLDER = Path(__file__).resolve().parent
TARGET = FOLDER.parent / "build" / "notebooks"


def main(names: list[str]) -> int:
    """Execute the named notebooks, or all; 1 if one of them fails."""
    os.environ.setdefault("SGDLIMITS_REDUCED", "1")
    TARGET.mkdir(parents=True, exist_ok=True)
    scripts = [path for path in sorted(FOLDER.glob("*.py")) if path != Path(__file__).resolve()]
    failed = 0
    for script in (path for path in scripts if not names or path.stem in names):
        begin = time.perf_counter()
        notebook = jupytext.read(script)
        client = nbclient.NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(FOLDER)}})
        try:
            client.execute()
            outcome = "ok"
        except nbclient.exceptions.CellExecutionError as error:
            outcome, failed = f"FAILED\n{error}", 1
        nbformat.write(notebook, TARGET / f"{script.stem}.ipynb")
        print(f"{script.stem}: {outcome} ({time.perf_counter() - begin:.0f} s)", flush=True)
    return failed


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
