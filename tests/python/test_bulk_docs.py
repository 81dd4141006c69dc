"""What docs/bulk.md shows beside its ordinary Python: the cluster's blocks and the command line."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import tempfile
from pathlib import Path

from command_line import environment, run
from conftest import Serve
from test_ray import in_ray

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "bulk.md").read_text()
FENCED = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.M | re.S)
BLOCKS = {
    re.findall(r"^import (\w+)", code, re.M)[0]: code for kind, code in FENCED if kind == "py"
}
JOB_S = 300


def run_block(name: str, before: str, after: str, url: str, folder: Path) -> None:
    """With a server in place of the provider's, and fewer actors than in the page."""
    if name == "dask":  # a bag's processes import what is pickled by name: threads share it
        before += "import dask\ndask.config.set(scheduler='threads')\n"
    stand_in = (
        "import functools, millstream\n"
        f"client = dict(base_url={url!r}, api_key='k')\n"
        "millstream.Client = functools.partial(millstream.Client, **client)\n"
    )
    program = f"{stand_in}{before}\n{BLOCKS[name]}\n{after}"
    # Ray's sockets have their paths from here, and those may not be long.
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as temporary:
        done = subprocess.run(
            **in_ray("-c", program, RAY_TMPDIR=temporary),
            cwd=folder, capture_output=True, check=False, timeout=JOB_S,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


def test_dask(serve: Serve, tmp_path: Path) -> None:
    server = serve("yes")
    run_block(
        "dask", "", "assert len(rows) == 100\nassert {row['text'] for row in rows} == {'yes'}",
        server.url, tmp_path,
    )  # fmt: skip
    assert len(server.requests) == 100


def test_command_lines(serve: Serve, tmp_path: Path) -> None:
    lines = [
        line for kind, block in FENCED if kind == "sh"
        for line in block.splitlines() if line.startswith("millstream bulk")
    ]  # fmt: skip
    assert lines
    requests = [{"id": f"q{n}", "prompt": f"{n}?"} for n in range(20)]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, requests)))
    url = serve("yes").url
    for line in lines:
        words = [*shlex.split(line)[1:], "--base-url", url]
        code, _, said = run(*words, cwd=tmp_path, env=environment(OPENAI_API_KEY="k"))
        assert code == 0, said
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert sorted(row["id"] for row in rows) == sorted(each["id"] for each in requests)


def test_the_page_has_both_recipes() -> None:
    assert set(BLOCKS) == {"ray", "dask"}


def test_ray(serve: Serve, tmp_path: Path) -> None:
    """The block as it is, but for the server's address and the number of actors."""
    server = serve("yes")
    before = (
        "import os, tempfile, pyarrow as pa, pyarrow.parquet as pq, ray\n"
        "os.mkdir('prompts')\n"
        "pq.write_table(pa.table({'prompt': ['a', 'b', 'c'] * 100}), 'prompts/0.parquet')\n"
        "ray.init(num_cpus=2, include_dashboard=False, _node_ip_address='127.0.0.1',\n"
        "    object_store_memory=100 << 20, log_to_driver=False)\n"
        "pool = ray.data.ActorPoolStrategy\n"
        "ray.data.ActorPoolStrategy = lambda size: pool(size=1)\n"
        "import millstream.ray\n"
        "class Generate(millstream.ray.Generate):\n"
        "    def __init__(self, **more):\n"
        "        super().__init__(client=client, **more)\n"
        "millstream.ray.Generate = Generate\n"
    )
    after = (
        "rows = pq.read_table('answers').to_pylist()\n"
        "assert [row['text'] for row in rows] == ['yes'] * 300\n"
        "ray.shutdown()\n"
    )
    run_block("ray", before, after, server.url, tmp_path)
    assert len(server.requests) == 300
