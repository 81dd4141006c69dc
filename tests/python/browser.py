"""Chromium for tests: Debian's own, driven by Playwright; what a page logs as an error fails them.

The fixtures `chromium` and `tabs` are conftest.py's, for all tests. Playwright runs an event loop
in the thread that uses it, in which nothing else can call `asyncio.run`: so Chromium lives as long
as a module of tests, and those in it that need a loop of their own take another thread.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from answers import GIVE_UP_S
from components import program

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, WebError


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A Chromium that runs as long as the module's tests; without one they are skipped."""
    reason = "skipped: no playwright for this interpreter"
    api = pytest.importorskip("playwright.sync_api", reason=reason)
    path = program("chromium")
    options = ["--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=options)
        yield browser
        browser.close()


class Tabs:
    """The pages of one test, and what went wrong in them."""

    def __init__(self, chromium: Browser) -> None:
        self._chromium = chromium
        self._contexts: list[BrowserContext] = []
        self._faults: list[str] = []
        self._allowed: list[str] = []

    def open(self, url: str | None = None, **options: Any) -> Page:
        """A tab in a browser of its own: no cookie, cache or storage of another's.

        options: of Playwright's `new_context`, such as `color_scheme` or `viewport`. A second tab
        of the same browser is `tab.context.new_page()`.
        """
        context = self._chromium.new_context(**options)
        context.set_default_timeout(GIVE_UP_S * 1000)
        context.on("console", self._on_console)
        context.on("weberror", self._on_error)
        self._contexts.append(context)
        page = context.new_page()
        if url is not None:
            page.goto(url)
        return page

    def allow(self, pattern: str) -> None:
        """What is logged as an error and matches this is part of the test."""
        self._allowed.append(pattern)

    def close(self) -> None:
        """Close all; fails where a page threw or logged an error that is not allowed."""
        for context in self._contexts:
            context.close()
        faults = [
            fault
            for fault in self._faults
            if not any(re.search(pattern, fault) for pattern in self._allowed)
        ]
        assert not faults, faults

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "assert"):
            self._faults.append(message.text)

    def _on_error(self, error: WebError) -> None:
        self._faults.append(str(error.error))


@pytest.fixture
def tabs(chromium: Browser) -> Iterator[Tabs]:
    """Opens pages: `tabs.open(url)`; they are closed with the test."""
    tabs = Tabs(chromium)
    yield tabs
    tabs.close()
