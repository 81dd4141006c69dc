"""`millstream ARGUMENTS` in processes of its own: in a pipe, and in a terminal to type at."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from answers import GIVE_UP_S, eventually

# A shell without job control starts background programs with SIGINT ignored, and so all of theirs.
# In a terminal it must be this process's own, so that Ctrl-C reaches it.
_PROGRAM = """
import fcntl, os, runpy, signal, sys, termios
signal.signal(signal.SIGINT, signal.default_int_handler)
if os.isatty(0) and os.getsid(0) == os.getpid():
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
sys.argv[0] = "millstream"
runpy.run_module("millstream", run_name="__main__")
"""
COMMAND = [sys.executable, "-c", _PROGRAM]

# What another program is put behind, so that the terminal is its own too.
OWN_TERMINAL = [
    sys.executable, "-c",
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    "os.execvp(sys.argv[1], sys.argv[1:])",
]  # fmt: skip


def environment(**more: str) -> dict[str, str]:
    """Output is written at once by the command itself, not because somebody asked Python to."""
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24", **more}
    env.pop("PYTHONUNBUFFERED", None)
    return env


def run(*arguments: str, **more: Any) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of `millstream ARGUMENTS`."""
    given = {"env": environment(), "stdin": subprocess.DEVNULL, **more}
    if "input" in given:
        del given["stdin"]
    done = subprocess.run(
        [*COMMAND, *arguments], capture_output=True, timeout=GIVE_UP_S, check=False, **given
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def until_asleep(pid: int) -> None:
    """Wait until the main thread of a process sleeps.

    Python looks for signals before it waits for a key or a file, and once woken: a Ctrl-C in
    between, which no hand is quick enough for, is told with the next key.
    """
    stat = Path(f"/proc/{pid}/stat")
    assert eventually(lambda: stat.read_text().rpartition(")")[2].split()[0] == "S")


class Terminal:
    """`millstream ARGUMENTS` where all three streams are a terminal, of which it is the only user.

    command: what is run in the place of `millstream`. A context manager; the process is killed at
    its end, or when it hangs.
    """

    def __init__(
        self,
        *arguments: str,
        command: Sequence[str] = COMMAND,
        size: tuple[int, int] = (24, 80),
        **env: str,
    ) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        self._process = subprocess.Popen(
            [*command, *arguments], stdin=theirs, stdout=theirs,
            stderr=theirs, env=environment(**env), start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._guard = threading.Timer(GIVE_UP_S, self._process.kill)
        self._guard.start()
        self.said = ""

    def _read(self) -> bool:
        try:
            more = os.read(self._ours, 65536)
        except OSError:  # Linux: the other side was closed
            return False
        self.said += self._decoder.decode(more).replace("\r\n", "\n")
        return bool(more)

    def until(self, text: str) -> None:
        """Wait until it has said `text` behind what was waited for before."""
        while text not in self.said:
            assert self._read(), f"it ended without {text!r}: {self.said!r}"
        self.said = self.said.partition(text)[2]

    def until_it_reads(self) -> None:
        """Wait until its main thread sleeps, as at a prompt."""
        until_asleep(self._process.pid)

    def type(self, text: str) -> None:
        """What somebody types, control characters too."""
        self.type_bytes(text.encode())

    def type_bytes(self, typed: bytes) -> None:
        """The same of what is no UTF-8."""
        os.write(self._ours, typed)

    def send_signal(self, number: int) -> None:
        """As another process would."""
        self._process.send_signal(number)

    def end(self) -> tuple[int, str]:
        """Wait for its end; the exit code, and what it had still said."""
        while self._read():
            pass
        return self._process.wait(), self.said

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *error: object) -> None:
        self._guard.cancel()
        self._process.kill()
        self._process.wait()
        os.close(self._ours)
