"""The Python examples of README.md and docs/ run, page by page, against the mock server."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import pytest

import millstream
import millstream.mock

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def python_blocks(page: Path) -> list[tuple[int, str]]:
    """(line, code) of each fenced Python block of a page."""
    text = page.read_text()
    return [
        (text.count("\n", 0, match.start(1)), match[1])
        for match in re.finditer(r"^```python\n(.*?)^```", text, re.M | re.S)
    ]


@pytest.mark.parametrize("page", [p for p in PAGES if python_blocks(p)], ids=lambda p: p.name)
def test_examples_run(page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # some write files
    with millstream.mock.Server() as url:
        # An example that names no server means the provider's own: the mock stands in for it.
        client = functools.partial(millstream.Client, base_url=url, api_key="test")
        monkeypatch.setattr(millstream, "Client", client)
        in_loops = functools.partial(millstream.AsyncClient, base_url=url, api_key="test")
        monkeypatch.setattr(millstream, "AsyncClient", in_loops)
        names: dict[str, object] = {}
        for line, code in python_blocks(page):
            # Not as if it stood in this file: annotations are no strings there.
            program = compile("\n" * line + code, str(page), "exec", dont_inherit=True)
            exec(program, names)


def test_readme_has_examples() -> None:
    assert python_blocks(ROOT / "README.md")
