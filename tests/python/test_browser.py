"""The fixtures of browser.py: a page that goes wrong fails its test."""

from __future__ import annotations

import pytest

from browser import Tabs

THROWS = "data:text/html,<script>setTimeout(() => { throw new Error('broken') })</script>"
LOGS = "data:text/html,<script>console.error('broken')</script>"


@pytest.mark.parametrize("url", [THROWS, LOGS], ids=["throws", "logs"])
def test_a_page_that_goes_wrong_fails_the_test(tabs: Tabs, url: str) -> None:
    page = tabs.open()
    with page.context.expect_event("weberror" if "throw" in url else "console"):
        page.goto(url)
    with pytest.raises(AssertionError, match="broken"):
        tabs.close()
    tabs.allow("^Error: brok|^broken")


def test_a_page_that_works_does_not(tabs: Tabs) -> None:
    page = tabs.open("data:text/html,<p>fine<script>console.log('as well')</script>")
    assert page.inner_text("p") == "fine"
