"""Web servers in processes of their own, for tests that stand in front of them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import pytest

from answers import GIVE_UP_S
from millstream import mock

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"


class Site:
    """A server process in a session of its own, on a port that the kernel chose."""

    def __init__(
        self, log: Path, command: Callable[[int], Sequence[str]], env: Mapping[str, str]
    ) -> None:
        self._log = log
        # It listens before the server runs: whoever connects waits until it does.
        with socket.create_server(("127.0.0.1", 0), backlog=256) as listener, log.open("w") as out:
            self.port: int = listener.getsockname()[1]
            self._popen = subprocess.Popen(
                [sys.executable, "-W", "ignore:This process", "-m", *command(listener.fileno())],
                cwd=log.parent,
                env={
                    **os.environ,
                    **env,
                    "PYTHONPATH": os.pathsep.join(
                        [str(HERE), str(EXAMPLES), os.environ.get("PYTHONPATH", "")]
                    ),
                    "PYTHONDONTWRITEBYTECODE": "1",
                },
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                pass_fds=[listener.fileno()],
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def end(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end as an operator does; its exit code."""
        self._popen.send_signal(number)
        return self._popen.wait(GIVE_UP_S)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):  # all of its processes have ended
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()
        print(self.log)


# ---- the examples --------------------------------------------------------------------------------

GUNICORN = ["gunicorn", "--no-control-socket", "--worker-tmp-dir", "."]
EXAMPLE_SERVERS = {
    "flask": [*GUNICORN, "-k", "gthread", "--threads", "40", "apps.flask_example:app"],
    "flask on gevent": [*GUNICORN, "-k", "gevent", "apps.flask_example:app"],
    "fastapi": ["uvicorn", "--timeout-graceful-shutdown", "1", "apps.fastapi_example:app"],
    "kept": ["uvicorn", "--timeout-graceful-shutdown", "1", "apps.kept_site:app"],
    "django": ["uvicorn", "--timeout-graceful-shutdown", "1", "apps.django_example:application"],
}  # fmt: skip

Start = Callable[..., Site]


def _command(name: str, fd: int) -> list[str]:
    program, *options = EXAMPLE_SERVERS[name]
    bind = ["--bind", f"fd://{fd}"] if program == "gunicorn" else ["--fd", str(fd)]
    return [program, *bind, *options]


@pytest.fixture
def start_example(tmp_path: Path) -> Iterator[Start]:
    """Start an example on its server: `start_example("flask", upstream)`; killed with the test."""
    sites: list[Site] = []

    def go(name: str, upstream: mock.Server, **env: str) -> Site:
        env = {"OPENAI_BASE_URL": upstream.url, "OPENAI_API_KEY": "k", **env}
        sites.append(Site(tmp_path / f"{name}.log", partial(_command, name), env))
        return sites[-1]

    yield go
    for site in sites:
        site.kill()


def ends_well(site: Site) -> None:
    """It ends when asked to, and has logged nothing that went wrong."""
    assert site.end() in (0, -signal.SIGTERM)  # uvicorn ends by the signal itself
    for trouble in ("Traceback", "ignored", "ERROR", "Warning"):
        assert trouble not in site.log
