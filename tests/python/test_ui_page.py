"""The page of `ui.page`, as the examples serve it, in Chromium."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from answers import GIVE_UP_S
from browser import Tabs
from conftest import Serve
from millstream import mock
from sites import Start
from sites import start_example as start_example

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.fixture(params=["flask", "fastapi", "django"])
def name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    for each in (name, "gunicorn" if name == "flask" else "uvicorn"):
        pytest.importorskip(each, reason=f"skipped: no {each}")
    return name


def open_page(tabs: Tabs, start_example: Start, name: str, upstream: mock.Server) -> Page:
    return tabs.open(f"http://127.0.0.1:{start_example(name, upstream).port}/")


def ask(page: Page, question: str) -> None:
    page.get_by_label("Question").fill(question)
    page.keyboard.press("Enter")


def test_an_answer_grows_as_text(tabs: Tabs, start_example: Start, serve: Serve, name: str) -> None:
    gate = mock.Gate()
    odd = "<script>throw 1</script> & <b>ü 🎈</b>\n\nend"
    upstream = serve([mock.Answer(["One", gate, f" two {odd}"]), "Three"])
    page = open_page(tabs, start_example, name, upstream)
    ask(page, "How many?")
    page.locator(".assistant", has_text=re.compile("^One$")).wait_for()
    gate.open()
    page.locator(".assistant", has_text="end").wait_for()
    assert page.locator(".assistant").inner_text() == f"One two {odd}"
    page.locator("#stop:disabled").wait_for()
    ask(page, "And now?")
    page.locator(".assistant", has_text="Three").wait_for()
    turns = [(turn["role"], turn["content"]) for turn in upstream.requests[1].json()["messages"]]
    assert turns == [
        ("user", "How many?"), ("assistant", f"One two {odd}"), ("user", "And now?"),
    ]  # fmt: skip


def test_stop_and_error(tabs: Tabs, start_example: Start, serve: Serve, name: str) -> None:
    upstream = serve([mock.Answer(["One", mock.Gate()]), mock.Error(400, "secret")])
    page = open_page(tabs, start_example, name, upstream)
    ask(page, "Go")
    page.locator(".assistant", has_text="One").wait_for()
    page.get_by_role("button", name="Stop").click()
    assert upstream.wait_disconnected(1, GIVE_UP_S)
    page.locator("#stop:disabled").wait_for()
    assert page.get_by_role("alert").count() == 0
    ask(page, "Again")
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert alert.inner_text() == "The model's server did not understand the question."
