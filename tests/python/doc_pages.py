"""The pages of the documentation: their blocks of code, and a shell to run those of `sh` in."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import textwrap
from math import inf
from pathlib import Path
from typing import NamedTuple

from answers import GIVE_UP_S, free_port

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY", "CHANGELOG")),
    *sorted((ROOT / "docs").rglob("*.md")),
]

# A block that no test can run says why, in the line before it: <!-- not run: the reason -->
_BLOCK = re.compile(
    r"^(?P<fence>(?P<indent> *)```+)(?P<language>[^\n`]*)\n(?P<code>.*?)^(?P=fence)$", re.M | re.S
)
_REASON = re.compile(r"<!-- not run: (\S.*) -->\n *\Z")


class Block(NamedTuple):
    """A fenced block: where its code begins, what it is, and why it is not run, if it is not."""

    line: int
    language: str
    code: str
    reason: str | None


def blocks(page: Path, language: str | None = None) -> list[Block]:
    """All of a page, or those of a language; not what is for the site's builder, as `{toctree}`."""
    text = page.read_text()
    found = []
    for match in _BLOCK.finditer(text):
        why = _REASON.search(text[: match.start()])
        block = Block(
            text.count("\n", 0, match.start("code")),
            match["language"].strip(),
            textwrap.dedent(match["code"]),
            why[1] if why else None,
        )
        if not block.language.startswith("{") and language in (None, block.language):
            found.append(block)
    return found


def name_of(page: Path) -> str:
    """As it is called in the tests' output."""
    return str(page.relative_to(ROOT))


def file_named(block: Block) -> str | None:
    """A block that begins with the name of a file, in a comment, is that file."""
    match = re.match(r"(?:# |/\* )(\w+\.(?:py|c|h))\b", block.code)
    return match[1] if match else None


def write_files(page: Path, folder: Path) -> None:
    """The files that the page shows. Shown Python that is a file is imported in its turn."""
    for block in blocks(page):
        name = file_named(block)
        if name is not None:
            (folder / name).write_text(block.code)


def python_of(page: Path) -> list[tuple[int, str]]:
    """(line, code) of a page's Python, in its order."""
    found = []
    for block in blocks(page, "python"):
        file = file_named(block)
        found.append((block.line, f"from {Path(file).stem} import *" if file else block.code))
    return found


# ---- a process in which the mock server stands in for the provider -------------------------------

_STAND_IN = """
import functools, os
import millstream

given = {"base_url": os.environ["DOCS_MOCK_URL"], "api_key": "test"}
millstream.Client = functools.partial(millstream.Client, **given)
millstream.AsyncClient = functools.partial(millstream.AsyncClient, **given)
"""


def environment(folder: Path, url: str, **more: str) -> dict[str, str]:
    """Of programs in which a client that names no server is one of the mock server `url`."""
    (folder / "stand-in").mkdir()
    (folder / "stand-in" / "sitecustomize.py").write_text(_STAND_IN)
    paths = [str(folder / "stand-in"), str(folder), os.environ.get("PYTHONPATH", "")]
    path = [str(folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
    return {
        **os.environ,
        "DOCS_MOCK_URL": url,
        "PYTHONPATH": os.pathsep.join(paths),
        "PATH": os.pathsep.join(path),
        "PYTHONDONTWRITEBYTECODE": "1",
        "CELERY_BROKER_URL": "memory://",
        "HOME": str(folder),
        "BROWSER": "true",  # opens nothing
        **more,
    }


# ---- sh ------------------------------------------------------------------------------------------

# What would change the machine, or run for hours, is a stand-in that looks at its arguments.
_STAND_INS = {
    "bin/pip": r"""
import re, sys

project = open(ROOT + "/pyproject.toml").read()
section = re.search(r"optional-dependencies\]\n(.*?)\n\[", project, re.DOTALL)[1]
extras = re.findall(r"^(\w+) = ", section, re.MULTILINE)
assert sys.argv[1] == "install", sys.argv
for extra in re.findall(r"millstream\[(.*?)\]", " ".join(sys.argv)):
    assert extra in extras, extra
""",
    "dev": r"""
import re, sys

verbs = re.findall(r"^  ([a-z]+)\)$", open(ROOT + "/dev").read(), re.MULTILINE)
assert len(verbs) > 10 and sys.argv[1] in verbs, sys.argv
""",
}

# What serves until it is stopped goes to the background when it says that it is there.
_SERVES = re.compile(
    r"^(?:((?:gunicorn|uvicorn|celery|python -m millstream demo --web)\b.*)|(.*\S) &)$", re.M
)
_PRELUDE = """
set -e
served() {
  log=$(mktemp ./served.XXXXXX)
  "$@" >"$log" 2>&1 &
  until grep -Eq 'Listening at|running on|ready\\.|http://' "$log"; do
    kill -0 $! 2>/dev/null || { cat "$log"; exit 1; }
    sleep 0.05
  done
}
"""
_PORT = re.compile(r"(?<=127\.0\.0\.1:)\d{4}|(?<=--port )\d{4}")


def run_shell(page: Path, folder: Path, env: dict[str, str], before: float = inf) -> None:
    """The blocks of a page in `sh`, or those before that line, in their order, as one program."""
    found = [block for block in blocks(page, "sh") if not block.reason and block.line < before]
    if not found:
        return
    program = "\n".join(block.code for block in found)
    ports = {port: free_port() for port in {*_PORT.findall(program), "8484"}}
    program = _PORT.sub(lambda match: ports[match[0]], program)
    program = program.replace("demo --web", f"demo --web --port {ports['8484']}")
    program = _SERVES.sub(r"served \1\2", program)
    for name, script in _STAND_INS.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!{sys.executable}\nROOT = {str(ROOT)!r}{script}")
        path.chmod(0o755)
    (folder / ".curlrc").write_text("fail\n")
    output = folder / "output"
    with output.open("w") as out:
        shell = subprocess.Popen(
            ["sh", "-c", _PRELUDE + program], cwd=folder, env=env, stdin=subprocess.DEVNULL,
            stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip
        try:
            code = shell.wait(3 * GIVE_UP_S)
        finally:  # its servers too
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()
    assert code == 0, output.read_text()
