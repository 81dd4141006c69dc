"""`millstream bulk`, killed again and again: nothing is lost, nothing that is there is asked."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from answers import eventually
from conftest import API_KEY, Serve
from millstream import mock

KILLS = 10
CONCURRENCY = 200
WAIT_S = 120.0


class Asked:
    """The questions that the server saw, in order."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def __call__(self, request: mock.Request) -> str:
        question = request.json()["messages"][-1]["content"]
        self.ids.append(question)
        return f"answer to {question}"


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[bytes]]]:
    """All are killed at the end."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.kill()
        process.wait()


def whole_lines(path: Path) -> list[str]:
    """The ids of the lines that are there whole."""
    if not path.exists():
        return []
    *lines, _ = path.read_bytes().split(b"\n")
    return [json.loads(line)["id"] for line in lines]


def command(url: str, folder: Path) -> list[str]:
    words = f"--base-url {url} -m m -c {CONCURRENCY} -q"
    files = [str(folder / "in.jsonl"), "-o", str(folder / "out.jsonl")]
    return [sys.executable, "-m", "millstream", "bulk", *files, *words.split()]


def ended(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is not None


def killed_and_finished(
    serve: Serve, folder: Path, n: int, seed: int, processes: list[subprocess.Popen[bytes]]
) -> tuple[list[str], list[str]]:
    """Run to the end what is killed at moments by `seed`; the ids asked, and those in the file."""
    pytest.importorskip("click")
    asked, moments = Asked(), random.Random(seed)
    server = serve(asked)
    lines = (json.dumps({"id": f"q{i}", "prompt": f"q{i}"}) for i in range(n))
    (folder / "in.jsonl").write_text("\n".join(lines) + "\n")
    out = folder / "out.jsonl"
    env = {**os.environ, "OPENAI_API_KEY": API_KEY}

    def reached(count: int) -> bool:
        return len(asked.ids) >= count or ended(processes[-1])

    for _ in range(KILLS):
        before, there = len(asked.ids), set(whole_lines(out))
        until = before + moments.randrange(1, n // KILLS * 9 // 10)
        processes.append(subprocess.Popen(command(server.url, folder), env=env))
        assert eventually(partial(reached, until))
        assert not ended(processes[-1]), "it ended by itself"
        processes[-1].kill()
        processes[-1].wait()
        # What it had sent may still be read.
        assert server.wait_until(lambda: server.connections.open == 0, WAIT_S)
        assert not there.intersection(asked.ids[before:]), "asked again"
    before, there = len(asked.ids), set(whole_lines(out))
    assert there
    assert len(there) < n
    done = subprocess.run(
        command(server.url, folder), env=env, check=False, capture_output=True, timeout=WAIT_S
    )
    assert done.returncode == 0, done.stderr
    assert not there.intersection(asked.ids[before:]), "asked again"
    return asked.ids, whole_lines(out)


@pytest.mark.parametrize(
    "n", [4_000, pytest.param(20_000, marks=pytest.mark.soak)], ids=["short", "whole"]
)
def test_ten_kills_lose_nothing_and_ask_nothing_twice(
    n: int, serve: Serve, tmp_path: Path, processes: list[subprocess.Popen[bytes]]
) -> None:
    seed = int(os.environ.get("BULK_SEED") or random.randrange(1 << 30))
    print(f"BULK_SEED={seed} goes the same way again")
    asked, written = killed_and_finished(serve, tmp_path, n, seed, processes)
    assert Counter(written) == Counter(f"q{i}" for i in range(n))
    assert set(asked) == set(written)
    assert len(asked) - n <= KILLS * CONCURRENCY  # only what was in flight
