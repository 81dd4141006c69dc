"""The LiteLLM proxy as a server that this project did not write.

Run as a program it installs the proxy into a virtual environment of its own, outside the tree and
kept between runs; `running()` starts one from there.
"""

import contextlib
import fcntl
import json
import os
import re
import subprocess
import sys
import threading
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

REQUIREMENT = "litellm[proxy]>=1.100,<1.107"
API_KEY = "sk-for-this-machine-only"
ANSWER = "Streams run uphill here: grüße, 日本語, 🎈, \u2028 and data: [DONE] too."
START_TIMEOUT_S = 120
STOP_TIMEOUT_S = 20

CI = os.environ.get("CI") == "true"


class Unavailable(Exception):
    """The proxy cannot be had on this machine; the text says why."""


@dataclass(frozen=True)
class Proxy:
    """A running proxy.

    `base_url` ends in `/v1`. The models: `mock` streams `ANSWER`, `rate-limited` answers 429, and
    `upstream/NAME` asks the OpenAI-compatible server that `running()` was given for NAME.
    """

    base_url: str
    log: Path


_VERSION = re.sub(r"[^0-9.]+", "-", REQUIREMENT).strip("-")


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "millstream"


def _home() -> Path:
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return _cache() / f"litellm-{_VERSION}-python-{python}"


def _ready_mark() -> Path:
    return _home() / "installed"


def _installed_home() -> Path | None:
    """Where the proxy is, whatever Python's it is: it runs in a process of its own."""
    marks = sorted(_cache().glob(f"litellm-{_VERSION}-python-*/installed"))
    return marks[0].parent if marks else None


def install() -> None:
    """Make the virtual environment, once; it holds about 750 MB."""
    home = _home()
    home.mkdir(parents=True, exist_ok=True)
    with (home.parent / "litellm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _ready_mark().exists():
            return
        print(f"==> installing {REQUIREMENT} in {home}, once", flush=True)
        venv.create(home, with_pip=True, clear=True)
        command = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", REQUIREMENT]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Unavailable(f"pip could not install {REQUIREMENT}:\n{done.stderr.strip()}")
        _ready_mark().touch()


def _config() -> dict[str, object]:
    def model(name: str, to: str, **params: str) -> dict[str, object]:
        return {"model_name": name, "litellm_params": {"model": to, "api_key": "none", **params}}

    return {
        "model_list": [
            model("mock", "openai/mock", mock_response=ANSWER),
            model("rate-limited", "openai/mock", mock_response="litellm.RateLimitError"),
            model("upstream/*", "openai/*", api_base="os.environ/MILLSTREAM_UPSTREAM"),
        ],
        "litellm_settings": {"telemetry": False, "num_retries": 0},
        "router_settings": {"num_retries": 0},
        "general_settings": {"master_key": API_KEY},
    }


def _as_yaml(value: object) -> str:
    # JSON is YAML, but for surrogate escapes, and for U+2028, a line break there.
    return json.dumps(value, ensure_ascii=False).replace("\u2028", r"\u2028")


def _environment(home: Path, upstream: str) -> dict[str, str]:
    # Nothing of the caller's: a key or a proxy setting would change what is tested.
    return {
        "PATH": f"{home / 'bin'}:/usr/bin:/bin",
        "HOME": str(home),
        "PYTHONUNBUFFERED": "1",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_TELEMETRY": "False",
        "MILLSTREAM_UPSTREAM": upstream,
    }


class _Log:
    """Copies the proxy's output into a file and finds the line that gives its address."""

    def __init__(self, stream: IO[str], path: Path) -> None:
        self.address: str | None = None
        self.settled = threading.Event()  # the address is known, or will never be
        self._stream = stream
        self._path = path
        self._thread = threading.Thread(target=self._copy, daemon=True)
        self._thread.start()

    def _copy(self) -> None:
        with self._path.open("w") as log, self._stream:
            for line in self._stream:
                log.write(line)
                log.flush()
                if found := re.search(r"Uvicorn running on (http://[^ ]+)", line):
                    self.address = found[1]
                    self.settled.set()
        self.settled.set()

    def join(self) -> None:
        self._thread.join(STOP_TIMEOUT_S)


@contextlib.contextmanager
def running(folder: Path, upstream: str = "http://127.0.0.1:1/v1") -> Iterator[Proxy]:
    """Run a proxy whose files are in `folder`, on a port that the system chose.

    Raises `Unavailable` where it is not installed, `RuntimeError` with the end of its log where it
    does not start.
    """
    home = _installed_home()
    if home is None:
        raise Unavailable("LiteLLM is not installed; ./dev test installs it where a network is")
    config = folder / "config.yaml"
    config.write_text(_as_yaml(_config()))
    log_path = folder / "litellm.log"
    program = str(home / "bin" / "litellm")
    command = [program, "--config", str(config), "--host", "127.0.0.1", "--port", "0"]
    process = subprocess.Popen(
        command,
        env=_environment(home, upstream),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
    )
    assert process.stdout is not None
    log = _Log(process.stdout, log_path)
    try:
        log.settled.wait(START_TIMEOUT_S)
        if log.address is None:
            raise RuntimeError(f"LiteLLM did not start:\n{log_path.read_text()[-4000:]}")
        yield Proxy(f"{log.address}/v1", log_path)
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.join()


def main() -> int:
    """Install, and say on the terminal where that failed; only CI takes it as a failure."""
    try:
        install()
    except (Unavailable, OSError, subprocess.CalledProcessError) as error:
        print(f"==> no LiteLLM, its tests will be skipped: {error}", flush=True)
        return 1 if CI else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
