"""millstream.ray: batches of any form in, tables out; and a job on a real cluster of two nodes."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import millstream
import ray_cluster
from conftest import Serve
from millstream import mock

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

    def __init__(self, folder: Path, url: str, concurrency: int) -> None:
        # Ray's sockets have their paths from here, and those may not be long.
        self._temporary = tempfile.mkdtemp(prefix="r", dir="/tmp")
        os.mkdir(f"{self._temporary}/ray")
        self._errors = (folder / "errors").open("w+")
        words = [str(folder), url, str(concurrency)]
        self._process = subprocess.Popen(
            **in_ray(ray_cluster.__file__, *words, RAY_TMPDIR=self._temporary),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
            start_new_session=True,
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

    def wait(self, event: threading.Event) -> None:
        """Until it is so, or the job has ended."""
        while not event.wait(1):
            assert self._process.poll() is None, self._said()

    def kill_second_node(self) -> None:
        """SIGKILL to all its processes."""
        assert self._process.stdin is not None
        self._process.stdin.write("kill\n")
        self._process.stdin.flush()
        assert self.line() == "killed"

    def _said(self) -> str:
        self._errors.seek(0)
        return self._errors.read()[-2000:]

    def end(self) -> None:
        self._guard.cancel()
        self._process.kill()
        self._process.communicate()
        self._errors.close()
        while left := ray_cluster.having(ray_cluster.SESSION, self._process.pid):
            ray_cluster.kill(left)
        shutil.rmtree(self._temporary, ignore_errors=True)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    clusters: list[Cluster] = []

    def start(url: str, concurrency: int) -> Cluster:
        clusters.append(Cluster(tmp_path, url, concurrency))
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


class Nodes:
    """What the server does with the questions of each node.

    The first third is answered once both actors have all their streams open. From then on each
    question waits at its node's gate.
    """

    def __init__(self, n: int, concurrency: int) -> None:
        self._third, self._concurrency = n // 3, concurrency
        self.asked: dict[str, list[str]] = {"head": [], "second": []}
        self.held: dict[str, list[str]] = {"head": [], "second": []}
        self.begin = mock.Gate()
        self.gates = {"head": mock.Gate(), "second": mock.Gate()}
        self.full, self.middle = threading.Event(), threading.Event()

    def __call__(self, request: mock.Request) -> mock.Answer:
        """Thread: the server's."""
        node = request.headers["authorization"].removeprefix("Bearer ")
        question = request.json()["messages"][-1]["content"]
        self.asked[node].append(question)
        gate = self.begin
        if sum(map(len, self.asked.values())) > self._third:
            self.held[node].append(question)
            gate = self.gates[node]
        if all(len(asked) >= self._concurrency for asked in self.asked.values()):
            self.full.set()
        if all(self.held.values()):
            self.middle.set()
        return mock.Answer([gate, f"to {question}"])


def answers_of_a_killed_node(
    cluster: Callable[..., Cluster], serve: Serve, folder: Path, n: int, concurrency: int,
) -> int:  # fmt: skip
    """Run n requests and kill a node in the middle; how many requests were asked again.

    The node dies with streams open whose answers it never gets: another has to ask for them.
    """
    nodes = Nodes(n, concurrency)
    write_questions(folder, n, concurrency)
    job = cluster(serve(nodes).url, concurrency)
    job.wait(nodes.full)
    open_streams = {node: len(asked) for node, asked in nodes.asked.items()}
    assert open_streams == {"head": concurrency, "second": concurrency}
    nodes.begin.open()
    job.wait(nodes.middle)
    job.kill_second_node()
    nodes.gates["head"].open()
    assert job.line() == "done"
    expected = [f"{i}|to question {i}|None" for i in range(n)]
    assert sorted(read_answers(folder)) == sorted(expected)
    times = Counter(nodes.asked["head"] + nodes.asked["second"])
    again = {question for question, count in times.items() if count > 1}
    assert set(nodes.held["second"]) <= again <= set(nodes.asked["second"])
    return len(again)


def test_a_node_killed_in_the_middle_costs_no_answer(
    cluster: Callable[..., Cluster], serve: Serve, tmp_path: Path
) -> None:
    answers_of_a_killed_node(cluster, serve, tmp_path, 2_000, 100)


@pytest.mark.soak
def test_ten_thousand_requests_and_a_killed_node(
    cluster: Callable[..., Cluster], serve: Serve, tmp_path: Path
) -> None:
    again = answers_of_a_killed_node(cluster, serve, tmp_path, 10_000, 500)
    print(f"\n10,000 answers; {again} were asked for again")
