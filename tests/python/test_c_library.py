"""The C library by itself: what `meson install` gives, and the C example built against it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import Serve
from millstream import mock

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"  # made by ./dev build
WORDS = "Water turns the wheel."


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `meson install` made."""
    if not (BUILD / "build.ninja").exists():
        pytest.skip("skipped: there is no build/; ./dev test makes it")
    assert shutil.which("meson")
    top = tmp_path_factory.mktemp("install")
    done = run("meson", "install", "-C", str(BUILD), "--no-rebuild", "--destdir", str(top))
    assert done.returncode == 0, done.stderr
    return top


def build(installed: Path, name: str) -> tuple[str, str]:
    """(program, library path): an example built with pkg-config against the installation."""
    (pc,) = installed.rglob("millstream.pc")
    flags = run(
        "pkg-config", "--cflags", "--libs", "millstream",
        PKG_CONFIG_PATH=str(pc.parent), PKG_CONFIG_SYSROOT_DIR=str(installed),
    )  # fmt: skip
    assert flags.returncode == 0, flags.stderr
    program = str(installed / name)
    source = str(ROOT / "examples" / f"{name}.c")
    compiler = os.environ.get("CC", "cc").split()
    built = run(*compiler, "-std=gnu11", "-Wall", source, *flags.stdout.split(), "-o", program)
    assert built.returncode == 0, built.stderr
    (library,) = installed.rglob("libmillstream.so")
    return program, str(library.parent)


@pytest.fixture(scope="module")
def example(installed: Path) -> tuple[str, str]:
    """Of stream.c."""
    return build(installed, "stream")


def test_growing_json_is_shown_change_by_change(installed: Path) -> None:
    program, libraries = build(installed, "partial")

    def changes(text: str) -> tuple[int, list[str], str]:
        done = subprocess.run(
            [program],
            input=text,
            env={**os.environ, "LD_LIBRARY_PATH": libraries},
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stdout.splitlines(), done.stderr

    text = 'Here: {"title": "Mill", "rows": [1, {"a": true,}]} Done.\n'
    shown = [
        "object",
        "  title: string",
        "  text Mill",
        "  end",
        "  rows: array",
        "    0: number 1",
        "    1: object",
        "      a: true",
        "repaired at byte 47: trailing_comma",
        "    end",
        "  end",
        "end",
    ]
    assert changes(text) == (0, shown, "")
    assert changes("nothing") == (1, [], "no JSON value in the text (at byte 7)\n")


def test_the_example_streams_an_answer(serve: Serve, example: tuple[str, str]) -> None:
    program, libraries = example
    server = serve(WORDS)
    done = run(program, server.url, "m", 'Say "hi"', LD_LIBRARY_PATH=libraries, OPENAI_API_KEY="k")
    assert done.returncode == 0, done.stderr
    answer, facts = done.stdout.split("\n-- ")
    assert answer == WORDS
    assert "chunks, the first after" in facts
    (request,) = server.requests
    assert request.json()["messages"] == [{"role": "user", "content": 'Say "hi"'}]
    assert request.headers["authorization"] == "Bearer k"


def test_the_example_says_what_went_wrong(serve: Serve, example: tuple[str, str]) -> None:
    program, libraries = example
    server = serve(mock.Error(401, message="no such key"))
    done = run(program, server.url, "m", "Hi", LD_LIBRARY_PATH=libraries)
    assert done.returncode == 1
    assert "401" in done.stderr
    assert "no such key" in done.stderr
    assert run(program, LD_LIBRARY_PATH=libraries).returncode == 2
