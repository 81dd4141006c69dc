"""A Ray cluster of two nodes on this machine, and a job on it; and where Ray itself comes from.

Run without arguments it installs the dependency group `ray` into a virtual environment of its own,
outside the tree and kept between runs. `ray_cluster.py FOLDER URL CONCURRENCY`, which runs there,
asks the server at URL what stands in FOLDER/in and writes FOLDER/out, both Parquet. Each node has
one actor, whose key is the node's name: "head" or "second". A line on its standard input kills the
second node, and it says "killed". Its last line is "done".
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MARK = "job: "  # before its lines, which stand between Ray's own
CI = os.environ.get("CI") == "true"

# Nothing goes to the network, nor is anything reached from there; a dead node is soon missed.
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # which means: addresses are those of the loopback
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
}
_HEALTH = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 1000,
    "health_check_failure_threshold": 10,  # a machine that is busy is not dead
}
_STORE_BYTES = 100 << 20
_BLOCKS = 20


# ---- the environment -----------------------------------------------------------------------------


def home() -> Path:
    """Where it is, for this interpreter."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "millstream"
    kind = "" if getattr(sys, "_is_gil_enabled", lambda: True)() else "t"
    return cache / f"ray-python-{sys.version_info.major}.{sys.version_info.minor}{kind}"


def installed() -> bool:
    """Whether it is there, whole, with what pyproject.toml asks for now."""
    mark = home() / "installed"
    return mark.exists() and mark.read_text() == _wanted()


def _wanted() -> str:
    lines = (ROOT / "pyproject.toml").read_text().split("\nray = [\n")
    return lines[-1].split("\n]")[0]


def install() -> None:
    """Make it, once; it holds about 700 MB."""
    home().parent.mkdir(parents=True, exist_ok=True)
    with (home().parent / "ray.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if installed():
            return
        print(f"==> installing Ray in {home()}, once", flush=True)
        venv.create(home(), with_pip=True, clear=True)
        for what in (["pip>=25.1"], ["--group", f"{ROOT}/pyproject.toml:ray"]):
            command = [str(home() / "bin" / "python"), "-m", "pip", "install", "--quiet", *what]
            subprocess.run(command, check=True, capture_output=True, text=True)
        (home() / "installed").write_text(_wanted())


# ---- the job -------------------------------------------------------------------------------------


STATE, PARENT, SESSION = 0, 1, 3  # fields of /proc/PID/stat after the name


def having(field: int, value: int) -> list[int]:
    """The processes that run and whose PARENT or SESSION that is."""
    found = []
    for each in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = each.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if fields[STATE] != "Z" and int(fields[field]) == value:
            found.append(int(each.parent.name))
    return found


def kill(pids: list[int]) -> None:
    """SIGKILL to all of them."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # the death of another was enough


def kill_node(node: object) -> None:
    """SIGKILL to all of a node's processes."""
    processes = node.all_processes["raylet"]  # type: ignore[attr-defined]
    raylets = [each.process.pid for each in processes]
    workers = [pid for raylet in raylets for pid in having(PARENT, raylet)]
    kill([*raylets, *workers])


def job(folder: str, url: str, concurrency: str) -> None:
    """See the module."""
    import ray
    from ray.cluster_utils import Cluster
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as Affinity

    import millstream.ray

    arguments = {
        "num_cpus": 4, "node_ip_address": "127.0.0.1", "include_dashboard": False,
        "object_store_memory": _STORE_BYTES,
    }  # fmt: skip
    cluster = Cluster()
    head = cluster.add_node(**arguments, **_node("head", 2), _system_config=_HEALTH)
    second = cluster.add_node(**arguments, **_node("second", 1))
    ray.init(address=cluster.address, log_to_driver=False)
    # One of the head's two places is taken until the other node dies: so each has one actor first.
    takes = ray.remote(num_cpus=0, resources={"place": 1})(_Taken)
    taken = takes.options(scheduling_strategy=Affinity(head.node_id, soft=False)).remote()
    ray.get(taken.ready.remote())

    def obey() -> None:
        if sys.stdin.readline():
            kill_node(second)
            ray.kill(taken)
            say("killed")

    threading.Thread(target=obey, daemon=True).start()
    waits = millstream.Timeout(first_chunk=None, idle=None)  # for as long as the test wants
    # Small files are read as one block, and a block has one actor.
    questions = ray.data.read_parquet(f"{folder}/in").repartition(_BLOCKS)
    answers = questions.map_batches(
        millstream.ray.Generate,
        fn_constructor_kwargs={
            "client": {"base_url": url, "timeout": waits},  # the key: of the environment
            "model": "m",
            "concurrency": int(concurrency),
        },
        compute=ray.data.ActorPoolStrategy(size=2),
        batch_size=int(concurrency),
        batch_format="pyarrow",
        resources={"place": 1},
    )
    answers.write_parquet(f"{folder}/out")
    ray.shutdown()
    cluster.shutdown()
    say("done")


class _Taken:
    """An actor that takes a place."""

    def ready(self) -> None:
        """It has it."""


def _node(name: str, places: int) -> dict[str, Any]:
    return {"env_vars": {"OPENAI_API_KEY": name}, "resources": {"place": places}}


def say(text: str) -> None:
    """A line for the test."""
    print(f"\n{MARK}{text}", flush=True)


def main() -> int:
    """Only CI takes it as a failure that Ray cannot be had."""
    if sys.argv[1:]:
        job(*sys.argv[1:])
        return 0
    try:
        install()
    except (OSError, subprocess.CalledProcessError) as error:
        why = getattr(error, "stderr", None) or error
        print(f"==> no Ray, its tests will be skipped: {why}", flush=True)
        return 1 if CI else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
