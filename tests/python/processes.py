"""A Python process of its own that a test talks to line by line, against a server in this one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

from answers import GIVE_UP_S
from millstream import mock

# Since 3.12 os.fork() warns in every process that has threads.
QUIET = ["-W", "ignore:This process"]

PRELUDE = """
import os, signal, sys, threading
import millstream

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
client = millstream.Client(base_url=sys.argv[1], api_key="k", max_retries=0)

def ask(to=client):
    return to.stream(model="m", messages=[{"role": "user", "content": "Hi"}])

def say(*words):
    print(*words, flush=True)

def texts(stream):
    return "".join(chunk.text for chunk in stream)

def until_five(stream):
    return "".join(iter(lambda: next(stream).text, " five")) + " five"

def name_of(function):
    try:
        function()
    except BaseException as error:
        return type(error).__name__
    return "nothing"
"""


class Process:
    """A Python of its own that runs a script after `before` and `PRELUDE`.

    It is killed when it hangs.
    """

    def __init__(self, server: mock.Server, script: str, before: str = "") -> None:
        program = before + PRELUDE + dedent(script)
        self._popen = subprocess.Popen(
            [sys.executable, *QUIET, "-c", program, server.url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # so that its children are killed with it
        )
        self._guard = threading.Timer(GIVE_UP_S, self._kill_group)
        self._guard.daemon = True
        self._guard.start()

    def line(self) -> str:
        assert self._popen.stdout is not None
        return self._popen.stdout.readline().rstrip("\n")

    def kill(self, number: int) -> None:
        self._popen.send_signal(number)

    def asleep(self) -> bool:
        """Whether the main thread sleeps in a system call."""
        stat = Path(f"/proc/{self._popen.pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] == "S"

    def threads(self) -> list[str]:
        """The states of all threads: the main one, ours, the script's."""
        try:
            stats = [
                path.read_text() for path in Path(f"/proc/{self._popen.pid}/task").glob("*/stat")
            ]
        except OSError:  # one ended meanwhile
            return []
        return [stat.rpartition(")")[2].split()[0] for stat in stats]

    def tell(self, line: str) -> None:
        assert self._popen.stdin is not None
        self._popen.stdin.write(line + "\n")
        self._popen.stdin.flush()

    def end(self, within: float = GIVE_UP_S) -> tuple[int, str, str]:
        """Exit code and what is left of stdout and stderr."""
        try:
            out, err = self._popen.communicate(timeout=within)
        finally:
            self.stop()
        return self._popen.returncode, out.rstrip("\n"), err

    def stop(self) -> None:
        self._guard.cancel()
        self._kill_group()
        self._popen.communicate()

    def _kill_group(self) -> None:
        try:
            os.killpg(self._popen.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # all have ended


Run = Callable[..., Process]
