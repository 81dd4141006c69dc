"""The demonstration's chat page for tests: its server in a real process, and a hand on the page."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from answers import GIVE_UP_S

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

COMMAND = [sys.executable, "-m", "millstream", "demo", "--web", "--port", "0"]


class Demo:
    """`millstream demo --web` on a free port; killed when it hangs."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._guard = threading.Timer(4 * GIVE_UP_S, self.process.kill)
        self._guard.daemon = True
        self._guard.start()
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        self.url = line.split()[5]

    def end(self, number: int) -> tuple[int, str]:
        """Send a signal; exit code and standard error."""
        self.process.send_signal(number)
        _, err = self.process.communicate(timeout=GIVE_UP_S)
        return self.process.returncode, err

    def stop(self) -> None:
        self._guard.cancel()
        self.process.kill()
        self.process.communicate()


@contextmanager
def demo(*arguments: str) -> Iterator[Demo]:
    """A chat page's server that ends with the block."""
    running = Demo(*arguments)
    try:
        yield running
    finally:
        running.stop()


class Chat:
    """The page as somebody who uses it sees it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.question = page.get_by_label("Message", exact=True)
        self.answers = page.locator(".answer")
        self.stop = page.get_by_role("button", name="Stop the answer")
        self.send = page.get_by_role("button", name="Send")
        self.announcements = page.locator("#announcements")

    def ask(self, text: str) -> None:
        self.question.fill(text)
        self.question.press("Enter")

    @property
    def answer(self) -> Locator:
        """The text of the last answer."""
        return self.answers.last

    @property
    def strip(self) -> Locator:
        return self.page.locator("#strip")
