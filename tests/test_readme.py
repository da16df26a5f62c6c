"""The README's Python runs as it stands."""

import re
from pathlib import Path

import matplotlib

README = Path(__file__).resolve().parent.parent / "README.md"


def test_the_first_three_python_blocks_run_in_order(capsys):
    """Assert that what a newcomer copies works, and prints the verdict table and the limit's explanation."""
    matplotlib.use("Agg")
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    names: dict = {}
    for block in blocks[:3]:
        exec(compile(block, "README.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "homogenized SGD against SGD" in printed and "Stability(" in printed
    assert "label noise" in printed
