"""The documentation: every block of code in it runs, and what it names is there."""

from __future__ import annotations

import functools
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import millstream
from answers import GIVE_UP_S
from conftest import Serve
from doc_pages import (
    PAGES,
    ROOT,
    blocks,
    environment,
    file_named,
    name_of,
    python_of,
    run_shell,
    write_files,
)
from test_c_library import installed as installed

CLI = ROOT / "docs" / "reference" / "cli.md"  # test_cli_tools.py runs that page
BULK = ROOT / "docs" / "bulk.md"  # test_bulk_docs.py runs its sh blocks and those for clusters (py)

# Whose examples change the whole process.
LARGE = {"celery", "django", "gevent"}


def having(language: str) -> list[Path]:
    others = {CLI, BULK} if language == "sh" else {CLI}
    return [page for page in PAGES if blocks(page, language) and page not in others]


def imported(page: Path) -> set[str]:
    """The packages that a page's Python needs."""
    code = "\n".join(block.code for block in blocks(page, "python"))
    return set(re.findall(r"^(?:import|from) (\w+)", code, re.MULTILINE))


def skip_without(page: Path, folder: Path) -> None:
    """What the page imports is there, and is not a file of its own."""
    shown = {file.stem for file in folder.glob("*.py")}
    for name in sorted(imported(page) - shown):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"skipped: no {name} for this Python")


# ---- Python --------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", having("python"), ids=name_of)
def test_python_runs(
    page: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # some write files
    monkeypatch.syspath_prepend(str(tmp_path))  # and import them
    write_files(page, tmp_path)
    skip_without(page, tmp_path)
    env = environment(tmp_path, serve().url)
    run_shell(page, tmp_path, env, before=blocks(page, "python")[0].line)
    if imported(page) & LARGE:
        run_beside(page, tmp_path, env)
    else:
        run_here(page, env["DOCS_MOCK_URL"], monkeypatch)


def run_here(page: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # An example that names no server means the provider's own: the mock stands in for it.
    for name in ("Client", "AsyncClient"):
        client = functools.partial(getattr(millstream, name), base_url=url, api_key="test")
        monkeypatch.setattr(millstream, name, client)
    for file in Path.cwd().glob("*.py"):
        monkeypatch.delitem(sys.modules, file.stem, raising=False)  # another page's
    names: dict[str, object] = {"__name__": "__main__"}
    for line, code in python_of(page):
        # Not as if it stood in this file: annotations are no strings there.
        exec(compile("\n" * line + code, str(page), "exec", dont_inherit=True), names)


RUNNER = """
import json, sys

names = {"__name__": "__main__"}
for page, line, code in json.load(sys.stdin):
    exec(compile("\\n" * line + code, page, "exec"), names)
"""


def run_beside(page: Path, folder: Path, env: dict[str, str]) -> None:
    code = [(str(page), line, code) for line, code in python_of(page)]
    done = subprocess.run(
        [sys.executable, "-c", RUNNER], input=json.dumps(code), env=env, cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=3 * GIVE_UP_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "Traceback" not in done.stdout, done.stdout


# ---- the shell, C, data --------------------------------------------------------------------------


@pytest.mark.parametrize("page", having("sh"), ids=name_of)
def test_shell_runs(
    page: Path, serve: Serve, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    write_files(page, tmp_path)
    skip_without(page, tmp_path)
    env = environment(tmp_path, serve().url)
    program = "\n".join(block.code for block in blocks(page, "sh"))
    programs = {"cc", "celery", "curl", "gunicorn", "openssl", "uvicorn"}
    for name in sorted(programs & set(re.findall(r"\w+", program))):
        if shutil.which(name, path=env["PATH"]) is None:
            pytest.skip(f"skipped: no {name}")
    if "pkg-config" in program:
        env |= request.getfixturevalue("c_library")
    run_shell(page, tmp_path, env)


@pytest.fixture(scope="module")
def c_library(installed: Path) -> dict[str, str]:
    """What finds the C library that `meson install` made."""
    (found,) = installed.rglob("millstream.pc")
    (library,) = installed.rglob("libmillstream.so")
    return {
        "PKG_CONFIG_PATH": str(found.parent),
        "PKG_CONFIG_SYSROOT_DIR": str(installed),
        "LD_LIBRARY_PATH": str(library.parent),
    }


@pytest.mark.parametrize("page", having("json"), ids=name_of)
def test_json_is_json(page: Path) -> None:
    for block in blocks(page, "json"):
        for line in block.code.splitlines():  # of a cassette, a value a line
            json.loads(line)


# ---- what the tests above must see ---------------------------------------------------------------


def is_run(page: Path, language: str, file: str | None) -> bool:
    """By one of the tests above; C, where the page's shell compiles it."""
    if language == "c":
        return any(file and file in block.code for block in blocks(page, "sh"))
    return language in ("python", "sh", "json") or (page == BULK and language == "py")


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=name_of)
def test_every_block_is_run_or_says_why_not(page: Path) -> None:
    for block in blocks(page):
        known = is_run(page, block.language, file_named(block))
        assert known or block.reason, (
            f"{page}:{block.line}: no test runs a block of {block.language!r}. Write it "
            "in python, sh, c or json, or say before it: <!-- not run: the reason -->"
        )
        assert not (block.reason and block.language in ("python", "c", "json")), page


def test_few_blocks_are_not_run() -> None:
    assert sum(block.reason is not None for page in PAGES for block in blocks(page)) <= 6


def test_readme_has_examples() -> None:
    assert blocks(ROOT / "README.md", "python")


# ---- names and pictures --------------------------------------------------------------------------


def test_pages_that_the_sources_name_are_there() -> None:
    listed = subprocess.run(
        ["git", "grep", "-noE", r"docs/[A-Za-z/_-]+\.(md|png)"], cwd=ROOT, text=True,
        capture_output=True, timeout=GIVE_UP_S, check=False,
    ).stdout  # fmt: skip
    if not listed:
        pytest.skip("skipped: not in a git repository")
    for place in listed.splitlines():
        file, line, name = place.split(":", 2)
        if "://" not in place:
            assert (ROOT / name).is_file(), f"{file}:{line}"


def test_the_states_of_a_stream_are_those_of_the_core() -> None:
    header = (ROOT / "src" / "net" / "transfer.h").read_text()
    page = (ROOT / "docs" / "internals" / "states.md").read_text()
    states = [name.lower() for name in re.findall(r"^  MILL__TRANSFER_(\w+),?", header, re.M)]
    assert re.findall(r"^\| `(\w+)` \|", page, re.M) == states
    picture = (ROOT / "docs" / "internals" / "states.svg").read_text()
    assert all(f">{state}</text>" in picture for state in states)
