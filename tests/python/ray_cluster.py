"""A Ray cluster of two nodes on this machine, and a job on it; and where Ray itself comes from.

Run without arguments it installs the dependency group `ray` into a virtual environment of its own,
outside the tree and kept between runs. `ray_cluster.py FOLDER URL ACTORS CONCURRENCY`, which runs
there, asks the server at URL what stands in FOLDER/in and writes FOLDER/out, both Parquet. It says
"ready" when the cluster is up; a line on its standard input kills its second node, and it says how
many actors were there. Its last line is "done".
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


def children(pid: int) -> list[int]:
    """All that descend from a process."""
    found = []
    for each in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(each.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue
        if parent == pid:
            found += [int(each.parent.name), *children(int(each.parent.name))]
    return found


def title(pid: int) -> str:
    """What a process calls itself."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def kill(node: object) -> int:
    """SIGKILL to all of a node's processes; how many of them were actors of `Generate`."""
    processes = node.all_processes["raylet"]  # type: ignore[attr-defined]
    raylets = [each.process.pid for each in processes]
    workers = [pid for raylet in raylets for pid in children(raylet)]
    actors = sum("MapWorker(MapBatches(Generate))" in title(pid) for pid in workers)
    for pid in [*raylets, *workers]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # the death of another was enough
    return actors


def job(folder: str, url: str, actors: str, concurrency: str) -> None:
    """See the module."""
    import ray
    from ray.cluster_utils import Cluster
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as Affinity

    import millstream.ray

    arguments = {
        "num_cpus": 4, "node_ip_address": "127.0.0.1", "include_dashboard": False,
        "object_store_memory": _STORE_BYTES, "_system_config": _HEALTH,
    }  # fmt: skip
    cluster = Cluster(initialize_head=True, head_node_args=arguments)
    del arguments["_system_config"]  # it is the head's
    second = cluster.add_node(**arguments)
    ray.init(address=cluster.address, log_to_driver=False)
    say("ready")

    def obey() -> None:
        if sys.stdin.readline():
            say(f"killed {kill(second)}")

    threading.Thread(target=obey, daemon=True).start()
    answers = ray.data.read_parquet(f"{folder}/in").map_batches(
        millstream.ray.Generate,
        fn_constructor_kwargs={
            "client": {"base_url": url, "api_key": "k"},
            "model": "mock-echo",
            "concurrency": int(concurrency),
        },
        compute=ray.data.ActorPoolStrategy(size=int(actors)),
        batch_size=int(concurrency),
        batch_format="pyarrow",
        scheduling_strategy=Affinity(second.node_id, soft=True),  # all where the kill is
    )
    answers.write_parquet(f"{folder}/out")
    ray.shutdown()
    cluster.shutdown()
    say("done")


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
