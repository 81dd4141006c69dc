"""The AI SDK of Vercel against `ui.ai_sdk`: its own schema, and its `useChat` in Chromium."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from answers import GIVE_UP_S
from browser import Tabs
from conftest import Connect, Serve
from millstream import mock, ui
from react_page import react_folder as react_folder
from react_page import react_page as react_page
from sites import Start, ends_well
from sites import start_example as start_example

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytest.importorskip("fastapi", reason="skipped: no fastapi")
pytest.importorskip("uvicorn", reason="skipped: no uvicorn")

ODD = 'a "b" \\ \n\t\u2028\u2029 </script> \x00\x1f é 日本 🎈 \ud83c'

ANSWERS = {
    "text": mock.Answer("Some text."),
    "reasoning": mock.Answer("Four.", reasoning="Two and two."),
    "refusal": mock.Answer(refusal="No."),
    "odd text": mock.Answer([ODD]),
    "two calls": mock.Answer("I look.", tool_calls=[mock.ToolCall("rain", {"city": "Ulm"}),
                                                    mock.ToolCall("wind", "")]),
    "a call that is no JSON": mock.Answer(tool_calls=[mock.ToolCall("rain", '{"city": Ulm')]),
    "a call with NaN": mock.Answer(tool_calls=[mock.ToolCall("rain", '{"city": NaN}')]),
    "length": mock.Answer("Cut", finish_reason="length"),
    "filtered": mock.Answer("Cut", finish_reason="content_filter"),
    "another end": mock.Answer("Cut", finish_reason="odd"),
    "an error inside": mock.Answer("Begun", error="broken", error_after=1),
    "an error at once": mock.Error(500),
    "cut": mock.Answer("Some text.", cut_after=1),
    "two choices": mock.Answer("One", choices=["Two"]),
}  # fmt: skip


def lines(*bodies: ui.Events) -> bytes:
    return b"".join(piece for body in bodies for piece in body)


def test_every_part_is_of_the_schema(serve: Serve, connect: Connect, react_folder: Path) -> None:
    bodies = b""
    for answer in ANSWERS.values():
        stream = connect(serve(answer)).stream(
            model="m", messages=[{"role": "user", "content": "Hi"}]
        )
        bodies += lines(ui.ai_sdk(stream, message_id="m1", data={"sources": [{"title": "T"}]}))
    stopped = connect(serve(mock.Answer([mock.Gate()]))).stream(
        model="m", messages=[{"role": "user", "content": "Hi"}]
    )
    events = ui.ai_sdk(stopped)
    bodies += next(events)
    stopped.cancel()
    bodies += lines(events)
    kinds = set(re.findall(rb'^data: \{"type":"([^"]+)"', bodies, re.M))
    assert kinds == {
        b"start", b"start-step", b"data-sources", b"text-start", b"text-delta", b"text-end",
        b"reasoning-start", b"reasoning-delta", b"reasoning-end", b"tool-input-start",
        b"tool-input-delta", b"tool-input-available", b"tool-input-error", b"error", b"abort",
        b"finish-step", b"finish",
    }  # fmt: skip
    says = validate(react_folder, bodies)
    assert says == [f"{bodies.count(b'data: {')} parts"]


def test_the_schema_refuses_what_is_wrong(react_folder: Path) -> None:
    wrong = b'data: {"type":"text-delta","id":1,"delta":"x"}\n\n'
    assert validate(react_folder, wrong) == ['{"type":"text-delta","id":1,"delta":"x"}', "1 parts"]


def validate(folder: Path, body: bytes) -> list[str]:
    node = shutil.which("node")
    assert node is not None
    done = subprocess.run(
        [node, "validate.mjs"], cwd=folder, input=body, capture_output=True, timeout=GIVE_UP_S
    )
    assert not done.returncode, done.stderr.decode()
    return done.stdout.decode().splitlines()


# ---- useChat in Chromium -------------------------------------------------------------------------

Chat = Callable[[mock.Script], "Page"]


@pytest.fixture
def chat(
    tabs: Tabs, serve: Serve, start_example: Start, react_page: Path
) -> Callable[[mock.Server], Page]:
    """The React page in front of the FastAPI example, in front of this upstream."""

    def go(upstream: mock.Server) -> Page:
        site = start_example("fastapi", upstream, REACT_PAGE=str(react_page))
        return tabs.open(f"http://127.0.0.1:{site.port}/react/")

    return go


def ask(page: Page, question: str) -> None:
    page.get_by_label("Question").fill(question)
    page.get_by_role("button", name="Send").click()


def test_text_reasoning_and_a_tool_call_appear(
    chat: Callable[[mock.Server], Page], serve: Serve
) -> None:
    """Each while the upstream holds the rest back, so it is streamed and not told at the end."""
    thinks, talks, calls = mock.Gate(), mock.Gate(), mock.Gate()
    first = mock.Answer(
        ["Let me", talks, " look."],
        reasoning=["Rain", thinks, " or not?"],
        tool_calls=[mock.ToolCall("rain", {"city": "Ulm"}, id="call_1")],
    )
    upstream = serve([first, mock.Answer(["It ", calls, "rains: </script><b>yes</b>"])])
    page = chat(upstream)
    ask(page, "Rain in Ulm?")
    answer = page.locator(".assistant")
    answer.locator(".reasoning", has_text=re.compile("^Rain$")).wait_for()
    thinks.open()
    answer.locator(".reasoning", has_text="Rain or not?").wait_for()
    answer.locator(".text.streaming", has_text=re.compile("^Let me$")).wait_for()
    talks.open()
    answer.locator(".text.done", has_text="Let me look.").wait_for()
    call = answer.locator(".tool[data-state=input-available]")
    call.wait_for()
    assert call.inner_text().split() == ["rain", '{"city":"Ulm"}']

    page.get_by_role("button", name="Run the tool").click()
    answer.locator('.tool[data-state=output-available]:has-text("true")').wait_for()
    ask(page, "And now?")
    answer.last.locator(".text.streaming").wait_for()
    calls.open()
    text = answer.last.locator(".text.done")
    text.wait_for()
    assert text.inner_text() == "It rains: </script><b>yes</b>"
    page.locator("output", has_text="ready").wait_for()
    assert "output_tokens" in answer.last.locator(".metadata").inner_text()

    sent = upstream.requests[1].json()["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool", "user"]
    assert sent[1]["tool_calls"][0]["function"]["name"] == "rain"
    assert json.loads(sent[2]["content"]) == {"rain": True}


def test_stop_ends_the_upstream(chat: Callable[[mock.Server], Page], serve: Serve) -> None:
    gate = mock.Gate()
    upstream = serve(mock.Answer(["Begun", gate, " and ended"]))
    page = chat(upstream)
    ask(page, "Go")
    page.locator(".assistant .text.streaming").wait_for()
    assert upstream.connections == (1, 1, 0)
    page.get_by_role("button", name="Stop").click()
    assert upstream.wait_disconnected(1, GIVE_UP_S)
    page.locator("output", has_text="ready").wait_for()
    assert page.locator(".assistant .text").inner_text() == "Begun"
    assert page.get_by_role("alert").count() == 0


def test_an_error_is_told(chat: Callable[[mock.Server], Page], serve: Serve) -> None:
    page = chat(serve(mock.Answer("Begun", error="key sk-123 is broken", error_after=1)))
    ask(page, "Go")
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert alert.inner_text() == "The model's server has a fault. Try again later."
    page.locator("output", has_text="error").wait_for()


def test_a_reload_shows_the_answer_that_goes_on(
    tabs: Tabs, serve: Serve, start_example: Start, react_page: Path
) -> None:
    first, second = mock.Gate(), mock.Gate()
    upstream = serve(mock.Answer(["One", first, " two", second, " three"]))
    site = start_example("kept", upstream, REACT_PAGE=str(react_page))
    page = tabs.open(f"http://127.0.0.1:{site.port}/react/?resume")
    page.locator("output", has_text="ready").wait_for()  # there is no answer to go on with: 204
    ask(page, "Go")
    text = page.locator(".assistant .text")
    page.locator(".assistant .text.streaming", has_text="One").wait_for()
    page.reload()
    page.locator(".assistant .text.streaming", has_text="One").wait_for()
    first.open()
    page.locator(".assistant .text.streaming", has_text="One two").wait_for()
    other = page.context.new_page()
    other.goto(page.url)
    other.locator(".assistant .text.streaming", has_text="One two").wait_for()
    second.open()
    for each in (page, other):
        each.locator(".assistant .text.done", has_text="One two three").wait_for()
        each.locator("output", has_text="ready").wait_for()
    assert text.count() == 1
    assert upstream.connections == (1, upstream.connections.open, 0)
    ends_well(site)


def test_the_stop_button_of_an_answer_that_is_kept(
    tabs: Tabs, serve: Serve, start_example: Start, react_page: Path
) -> None:
    upstream = serve(mock.Answer(["One", mock.Gate()]))
    site = start_example("kept", upstream, REACT_PAGE=str(react_page))
    page = tabs.open(f"http://127.0.0.1:{site.port}/react/?resume")
    ask(page, "Go")
    page.locator(".assistant .text.streaming", has_text="One").wait_for()
    answer = page.evaluate("fetch('/api/chat/one', {method: 'DELETE'}).then(r => r.json())")
    assert answer == {"stopped": True}
    assert upstream.wait_disconnected(1, GIVE_UP_S)
    page.locator("output", has_text="ready").wait_for()
