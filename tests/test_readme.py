"""The README's Python runs as it stands."""

import re
from pathlib import Path

import matplotlib

README = Path(__file__).resolve().parent.parent / "README.md"


def test_the_python_blocks_run_in_order(capsys):
    """Assert that what a newcomer copies works, and prints the verdict tables and the limit's explanation."""
    matplotlib.use("Agg")
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    names: dict = {}
    assert len(blocks) >= 6
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "homogenized SGD against SGD" in printed and "Stability(" in printed
    assert "homogenized SGD by euler" in printed and "growth rate" in printed and "label noise" in printed
    norm = next(line for line in printed.splitlines() if line.strip().startswith("norm"))
    assert "(1)" in norm and "(1) integrator: the integrator's part is larger" in printed  # what the README says of it
