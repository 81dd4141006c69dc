"""Instruction counts of the core's own work, held to those that are kept.

    python bench/instructions.py BUILD [--update]

BUILD is a release build with -Dbench=true. Each piece of work of instructions.c runs under
callgrind twice; both runs must give the same count. A count more than 3 % above the kept one fails;
one that is below asks for the kept one to be brought up to date, which `--update` does. Counts are
those of one compiler, C library and yajl: where these are others than the kept counts were made
with, that is said, and is a failure in CI only.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

KEPT = Path(__file__).with_suffix(".json")
RUNS = 2
RISE = 0.03
CI = os.environ.get("CI") == "true"


def output(*command: str) -> str:
    """What a command prints, errors included; its failure is ours."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def tools(build: Path) -> dict[str, str]:
    """What a count depends on besides the source."""
    info = json.loads((build / "meson-info" / "intro-compilers.json").read_text())
    return {
        "compiler": info["host"]["c"]["full_version"],
        "libc": output("getconf", "GNU_LIBC_VERSION").strip(),
        "yajl": output("pkg-config", "--modversion", "yajl").strip(),
        "valgrind": output("valgrind", "--version").strip(),
    }


def count(program: Path, work: str) -> int:
    """The instructions inside counted(), for all events."""
    with tempfile.TemporaryDirectory() as folder:
        printed = output(
            *("env", "-i"),  # the environment's size moves the stack
            *("valgrind", "--tool=callgrind", "--toggle-collect=counted"),
            f"--callgrind-out-file={folder}/out",
            *(str(program), work),
        )
    found = re.search(r"Collected : (\d+)", printed)
    if found is None or found[1] == "0":
        raise SystemExit(f"callgrind counted nothing of {work}:\n{printed}")
    return int(found[1])


def count_all(build: Path) -> dict[str, int]:
    """Instructions an event of each piece of work, rounded; the runs were the same to the last."""
    program = build / "bench" / "instructions"
    events = {work: int(n) for work, n in map(str.split, output(str(program)).splitlines())}
    jobs = [work for work in events for _ in range(RUNS)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        counts = list(pool.map(lambda work: count(program, work), jobs))
    for work in events:
        runs = {n for job, n in zip(jobs, counts, strict=True) if job == work}
        if len(runs) != 1:
            raise SystemExit(f"{work}: the runs differ: {sorted(runs)}")
    return {work: round(n / events[work]) for work, n in zip(jobs, counts, strict=True)}


def verdict(now: int, kept: int | None) -> str:
    """What a count means beside the kept one."""
    if kept is None:
        return "not kept yet: --update"
    if now > kept * (1 + RISE):
        return "TOO MANY"
    if now < kept:
        return "fewer: --update"
    return "ok"


def compare(counts: dict[str, int], kept: dict[str, Any]) -> bool:
    """Print the table; false where a count rose too far or is missing."""
    good = True
    print(f"{'instructions an event':24} {'kept':>8} {'now':>8}")
    for work, now in counts.items():
        before = kept.get(work)
        word = verdict(now, before)
        good = good and before is not None and word != "TOO MANY"
        change = "" if before is None else f"{now / before - 1:+7.1%}"
        print(f"{work:24} {before or '-':>8} {now:>8} {change}  {word}")
    return good


def main(build: Path, update: bool) -> int:
    """Count, and compare or keep."""
    counts, with_what = count_all(build), tools(build)
    if update:
        KEPT.write_text(json.dumps({"tools": with_what, "counts": counts}, indent=2) + "\n")
        print(f"kept in {KEPT}")
        return 0
    kept = json.loads(KEPT.read_text())
    good = compare(counts, kept["counts"])
    if kept["tools"] != with_what:
        print(f"not comparable: kept with {kept['tools']}, counted with {with_what}")
        return 1 if CI else 0
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), "--update" in sys.argv[2:]))
