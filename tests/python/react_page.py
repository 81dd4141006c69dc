"""The React page of tests/web/react: its packages, kept between runs, and its build.

Run as a program it installs the packages of the lock file by npm, outside the tree.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from components import CACHE, PLACES, program

SOURCE = Path(__file__).parents[1] / "web" / "react"
CI = os.environ.get("CI") == "true"


def _home() -> Path:
    lock = hashlib.sha256((SOURCE / "package-lock.json").read_bytes())
    return CACHE / f"react-{lock.hexdigest()[:12]}"


def _run(folder: Path, *command: str) -> None:
    path = os.pathsep.join(PLACES)
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True
    )
    if done.returncode:
        raise OSError(f"{' '.join(command)}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def install() -> None:
    """The packages, once for each lock file; about 55 MB."""
    home = _home()
    home.parent.mkdir(parents=True, exist_ok=True)
    with (home.parent / "react.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (home / "node_modules").exists():
            return
        making = home.with_suffix(".making")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir()
        for name in ("package.json", "package-lock.json"):
            shutil.copy(SOURCE / name, making)
        print(f"==> installing the packages of {SOURCE} in {home}, once", flush=True)
        _run(making, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
        making.rename(home)


def _with_sources(folder: Path) -> Path:
    """A copy of the page beside its packages; without those the test is skipped, or fails in CI."""
    program("node")
    program("npm")
    packages = _home() / "node_modules"
    if not packages.exists():
        why = "the page's npm packages are not installed; ./dev test does it where a network is"
        pytest.fail(why) if CI else pytest.skip(f"skipped: {why}")
    shutil.copytree(SOURCE, folder, dirs_exist_ok=True)
    (folder / "node_modules").symlink_to(packages)
    return folder


@pytest.fixture(scope="session")
def react_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's sources where node finds their packages."""
    return _with_sources(tmp_path_factory.mktemp("react"))


@pytest.fixture(scope="session")
def react_page(react_folder: Path) -> Path:
    """The folder of the built page."""
    _run(react_folder, "npm", "run", "build")
    return react_folder / "dist"


def main() -> int:
    """Install, and say where that failed; only CI takes it as a failure."""
    try:
        install()
    except OSError as error:
        print(f"==> no React page, its tests will be skipped: {error}", flush=True)
        return 1 if CI else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
