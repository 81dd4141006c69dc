"""The official SDKs, fed the same bytes, and millstream: the same text, tool calls and usage.

The bytes are recorded streams of real servers, and answers of the mock server.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

import millstream
from conftest import API_KEY, SHARED, Connect, Serve
from millstream import mock

anthropic = pytest.importorskip("anthropic", reason="skipped: anthropic is not installed")
openai = pytest.importorskip("openai", reason="skipped: openai is not installed")

QUESTION = [{"role": "user", "content": "Hi"}]
CHAT, RESPONSES, MESSAGES = "openai-chat", "openai-responses", "anthropic-messages"


class Told(NamedTuple):
    """What an answer said; arguments as values, for the SDKs differ in the blanks they keep."""

    text: str
    calls: list[tuple[str, Any]]
    usage: tuple[int | None, int | None] | None


def arguments(text: str) -> Any:
    return json.loads(text or "{}")


# ---- the readers ---------------------------------------------------------------------------------


def by_openai_chat(server: mock.Server) -> Told:
    usage = None
    with (
        openai.OpenAI(base_url=server.url, api_key=API_KEY, max_retries=0) as client,
        client.chat.completions.stream(
            model="m", messages=QUESTION, stream_options={"include_usage": True}
        ) as stream,
    ):
        for event in stream:
            if event.type == "chunk" and event.chunk.usage is not None:
                usage = (event.chunk.usage.prompt_tokens, event.chunk.usage.completion_tokens)
            elif event.type == "chunk" and (groq := event.chunk.model_extra.get("x_groq")):
                told = groq.get("usage")
                usage = (told["prompt_tokens"], told["completion_tokens"]) if told else usage
        said = stream.current_completion_snapshot  # the final one is not to be had of "length"
    message = said.choices[0].message
    return Told(
        message.content or "",
        [(c.function.name, arguments(c.function.arguments)) for c in message.tool_calls or []],
        usage,
    )


def by_openai_responses(server: mock.Server) -> Told:
    with openai.OpenAI(base_url=server.url, api_key=API_KEY, max_retries=0) as client:
        last = None
        for event in client.responses.create(model="m", input="Hi", stream=True):
            last = getattr(event, "response", last)
    assert last is not None
    calls = [item for item in last.output if item.type == "function_call"]
    return Told(
        last.output_text,
        [(item.name, arguments(item.arguments)) for item in calls],
        last.usage and (last.usage.input_tokens, last.usage.output_tokens),
    )


def by_anthropic(server: mock.Server) -> Told:
    with (
        anthropic.Anthropic(base_url=server.origin, api_key=API_KEY, max_retries=0) as client,
        client.messages.stream(model="m", messages=QUESTION, max_tokens=9) as stream,
    ):
        said = stream.get_final_message()
    return Told(
        "".join(block.text for block in said.content if block.type == "text"),
        [(block.name, block.input) for block in said.content if block.type == "tool_use"],
        (said.usage.input_tokens, said.usage.output_tokens),
    )


SDKS: dict[str, Callable[[mock.Server], Told]] = {
    CHAT: by_openai_chat,
    RESPONSES: by_openai_responses,
    MESSAGES: by_anthropic,
}
PROVIDERS = {CHAT: "openai", RESPONSES: "openai-responses", MESSAGES: "anthropic"}


def by_millstream(client: millstream.Client) -> Told:
    message = client.stream(model="m", messages=QUESTION).result()
    usage = message.usage
    return Told(
        message.text,
        [(call.name, arguments(call.arguments)) for call in message.tool_calls],
        None if usage is None else (usage.input_tokens, usage.output_tokens),
    )


def agree(serve: Serve, connect: Connect, format: str, script: mock.Script) -> Told:
    """What both read, when it is the same."""
    server = serve(script)
    client = connect(server.base_url(PROVIDERS[format]), provider=PROVIDERS[format])
    ours, theirs = by_millstream(client), SDKS[format](server)
    assert ours == theirs
    return ours


# ---- recorded streams ----------------------------------------------------------------------------


def recordings() -> list[dict[str, Any]]:
    """The whole ones in the formats that the SDKs read; of an error they tell no message."""
    manifest = SHARED / "streams" / "manifest.json"
    if not manifest.exists():
        return []
    entries: list[dict[str, Any]] = json.loads(manifest.read_bytes())
    return [
        entry
        for entry in entries
        if entry["api"] in SDKS
        and entry["expected"]["terminal_seen"]
        and not entry["expected"]["error"]
    ]


RECORDED = recordings()


@pytest.mark.skipif(not RECORDED, reason="skipped: no recorded streams beside the project")
@pytest.mark.parametrize("entry", RECORDED, ids=lambda entry: entry["file"])
def test_a_recording_is_read_alike(serve: Serve, connect: Connect, entry: dict[str, Any]) -> None:
    script = mock.Replay(SHARED / "streams" / entry["file"])
    agree(serve, connect, entry["api"], script)


# ---- scripted answers ----------------------------------------------------------------------------

CALLS = [
    mock.ToolCall("get_weather", {"city": "Zürich", "days": [1, 2]}, id="call_1"),
    mock.ToolCall("now", {}, id="call_2"),
]
USAGE = mock.Usage(11, 7)
ANSWERS = {
    "text": mock.Answer("grüße, 日本語, 🎈, \u2028 and data: [DONE] too", usage=USAGE),
    "a call": mock.Answer(tool_calls=CALLS[:1], usage=USAGE),
    "text and calls": mock.Answer("Let me see.", tool_calls=CALLS, usage=USAGE),
    "reasoning": mock.Answer("Four.", reasoning="Two and two.", usage=USAGE),
    "nothing": mock.Answer("", usage=USAGE),
    "pings": mock.Answer("a b c", comments=1, usage=USAGE),
}


@pytest.mark.parametrize("format", SDKS)
@pytest.mark.parametrize("case", ANSWERS)
def test_an_answer_is_read_alike(serve: Serve, connect: Connect, format: str, case: str) -> None:
    answer = ANSWERS[case]
    told = agree(serve, connect, format, answer)
    assert told.text == answer.text
    assert told.calls == [(call.name, call.arguments) for call in answer.tool_calls]
    assert told.usage == (11, 7)
