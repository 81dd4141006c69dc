"""Every fault of docs/internals/reliability.md has its tests, and every test its row there."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
ROWS = re.compile(r"^\| (\d\d) \|.*\| ([^|]*) \|$", re.MULTILINE)


def test_rows_and_tests_are_the_same() -> None:
    page = HERE.parents[1] / "docs" / "internals" / "reliability.md"
    table = dict(ROWS.findall(page.read_text()))
    assert list(table) == [f"{number:02}" for number in range(1, 66)]
    for number, files in table.items():
        named = {
            name for name in re.findall(r"[a-z0-9]+", files) if (HERE / f"test_{name}.py").exists()
        }
        holding = {
            path.stem.removeprefix("test_")
            for path in HERE.glob("test_*.py")
            if f"def test_fault_{number}_" in path.read_text()
        }
        assert named == holding, number
