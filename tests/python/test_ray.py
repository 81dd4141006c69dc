"""millstream.ray: batches of any form in, tables out; and a job on a real cluster of two nodes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import millstream
import ray_cluster
from conftest import Serve

# What runs there is this very package, with the modules of the tests beside it.
PATHS = os.pathsep.join([str(Path(millstream.__file__).parents[1]), str(Path(__file__).parent)])
JOB_S = 300  # Ray takes seconds to begin; a busy machine takes many more


def in_ray(*arguments: str, **environment: str) -> dict[str, Any]:
    """How to start a program in the environment that has Ray."""
    if not ray_cluster.installed():
        pytest.skip("Ray is not there for this interpreter; ./dev test installs it for its own")
    env = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    given = {**ray_cluster.ENVIRONMENT, "PYTHONPATH": PATHS, **environment}
    python = str(ray_cluster.home() / "bin" / "python")
    return {"args": [python, *arguments], "env": {**env, **given}, "text": True}


class Cluster:
    """`ray_cluster.py` at work, and all that it starts."""

    def __init__(self, folder: Path, url: str, actors: int, concurrency: int) -> None:
        # Ray's sockets have their paths from here, and those may not be long.
        self._temporary = tempfile.mkdtemp(prefix="r", dir="/tmp")
        os.mkdir(f"{self._temporary}/ray")
        self._errors = (folder / "errors").open("w+")
        words = [str(folder), url, str(actors), str(concurrency)]
        self._process = subprocess.Popen(
            **in_ray(ray_cluster.__file__, *words, RAY_TMPDIR=self._temporary),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
        )  # fmt: skip
        self._guard = threading.Timer(JOB_S, self._process.kill)
        self._guard.start()

    def line(self) -> str:
        """What it says next. (What Ray prints stands between.)"""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(ray_cluster.MARK):
                return str(line).removeprefix(ray_cluster.MARK).rstrip("\n")
        return f"it ended: {self._said()}"

    def kill_a_node(self) -> int:
        """SIGKILL to all processes of one of the two; how many actors were among them."""
        assert self._process.stdin is not None
        self._process.stdin.write("kill\n")
        self._process.stdin.flush()
        word, _, actors = self.line().partition(" ")
        assert word == "killed", (word, actors)
        return int(actors)

    def _said(self) -> str:
        self._errors.seek(0)
        return self._errors.read()[-2000:]

    def end(self) -> None:
        self._guard.cancel()
        self._process.kill()
        self._process.communicate()
        self._errors.close()
        for path in Path("/proc").glob("[0-9]*"):  # of a job that failed
            pid = int(path.name)
            if self._temporary in ray_cluster.title(pid) and pid != os.getpid():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        shutil.rmtree(self._temporary, ignore_errors=True)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    clusters: list[Cluster] = []

    def start(url: str, **more: int) -> Cluster:
        clusters.append(Cluster(tmp_path, url, **more))
        return clusters[-1]

    yield start
    for each in clusters:
        each.end()


def parquet(program: str, folder: Path) -> str:
    """What a program prints that has pyarrow, and a folder."""
    prelude = "import sys\nimport pyarrow as pa, pyarrow.parquet as pq\nfolder = sys.argv[1]\n"
    done = subprocess.run(
        **in_ray("-c", prelude + program, str(folder)), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def write_questions(folder: Path, n: int, a_file: int) -> None:
    program = f"""
for first in range(0, {n}, {a_file}):
    ids = range(first, first + {a_file})
    table = pa.table({{"id": ids, "prompt": [f"question {{id}}" for id in ids]}})
    pq.write_table(table, f"{{folder}}/in/{{first:06}}.parquet")
"""
    (folder / "in").mkdir()
    parquet(program, folder)


def read_answers(folder: Path) -> list[str]:
    """Lines of id, text, kind of error."""
    program = """
rows = pq.read_table(f"{folder}/out").to_pylist()
for row in rows:
    print(row["id"], row["text"], row["error"] and row["error"]["type"], sep="|")
"""
    return parquet(program, folder).splitlines()


def test_batches_of_numpy_and_pandas() -> None:
    program = """
import asyncio, numpy, pandas
from millstream import mock
from millstream.ray import Generate

columns = {"prompt": ["a", "b"], "n": [[1], [2]]}
arrays = {name: numpy.array(values) for name, values in columns.items()}
frame = pandas.DataFrame(columns)
with mock.Server() as url:
    generate = Generate(client={"base_url": url, "api_key": "k"}, model="mock-echo")
    for batch in (arrays, frame):
        table = asyncio.run(generate(batch))
        assert table.select(["prompt", "n"]).to_pydict() == columns, table
        assert table.column("text").to_pylist() == ["a", "b"], table
    generate.close()
print("both")
"""
    done = subprocess.run(**in_ray("-c", program), capture_output=True, check=False, timeout=JOB_S)
    assert done.stdout == "both\n", done.stderr


def asked_and_answered(
    cluster: Callable[..., Cluster], serve: Serve, folder: Path, n: int, concurrency: int,
) -> tuple[int, int]:  # fmt: skip
    """Run n requests, kill a node in the middle, and look at what came out.

    How often the server was asked, and how many actors were killed.
    """
    server = serve(None)  # `mock-echo`: the answer names its question
    write_questions(folder, n, 100)
    job = cluster(server.url, actors=2, concurrency=concurrency)
    assert job.line() == "ready"
    assert server.wait_requests(n // 3, JOB_S)
    killed = job.kill_a_node()
    assert job.line() == "done"
    expected = [f"{i}|question {i}|None" for i in range(n)]
    assert sorted(read_answers(folder)) == sorted(expected)
    return len(server.requests), killed


def test_a_node_killed_in_the_middle_costs_no_answer(
    cluster: Callable[..., Cluster], serve: Serve, tmp_path: Path
) -> None:
    asked, killed = asked_and_answered(cluster, serve, tmp_path, 2_000, 100)
    assert killed >= 1
    assert 2_000 < asked < 4_000  # what was under way there, and what it had not given away yet


@pytest.mark.soak
def test_ten_thousand_requests_and_a_killed_node(
    cluster: Callable[..., Cluster], serve: Serve, tmp_path: Path
) -> None:
    asked, killed = asked_and_answered(cluster, serve, tmp_path, 10_000, 500)
    print(f"\n{asked} requests for 10,000 answers, {killed} actor killed")
    assert killed >= 1
    assert 10_000 < asked < 20_000
