"""Reasoning that its provider signed: told as it comes, kept with the message, given back."""

from __future__ import annotations

import base64
import copy
import json
import pickle
import struct
import zlib
from typing import Any

import pytest

import millstream
from answers import MESSAGES
from conftest import API_KEY, Connect, Serve, timeout
from millstream import mock


def sse(*events: dict[str, Any]) -> bytes:
    return b"".join(b"data: %s\n\n" % json.dumps(event).encode() for event in events)


def frame(kind: str, event: dict[str, Any]) -> bytes:
    """A message of an AWS event stream."""
    headers = b"".join(
        struct.pack(">B", len(name)) + name + struct.pack(">BH", 7, len(value)) + value
        for name, value in ((b":event-type", kind.encode()), (b":message-type", b"event"))
    )
    payload = json.dumps(event).encode()
    head = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    head += struct.pack(">I", zlib.crc32(head))
    body = head + headers + payload
    return body + struct.pack(">I", zlib.crc32(body))


def anthropic(kind: str, index: int, **fields: Any) -> dict[str, Any]:
    name = "content_block" if kind == "start" else "delta"
    return {"type": f"content_block_{kind}", "index": index, name: fields}


def gemini(*parts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": [*parts], "role": "model"}, **fields}]}


def responses(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", **fields}


def reasoning_item(content: str) -> dict[str, Any]:
    return {"id": "rs_1", "type": "reasoning", "encrypted_content": content, "summary": []}


def detail(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": "", "reasoning_details": [fields]}}]}


REDACTED = base64.b64encode(b"withheld").decode()

# An answer "So." after the reasoning "Hm.", with its signatures in the order they come.
SIGNED: dict[str, tuple[bytes, list[str]]] = {
    "anthropic-messages": (
        sse(
            anthropic("start", 0, type="thinking", thinking="", signature=""),
            anthropic("delta", 0, type="thinking_delta", thinking="Hm."),
            anthropic("delta", 0, type="signature_delta", signature="first"),
            anthropic("start", 1, type="redacted_thinking", data="second"),
            anthropic("start", 2, type="text", text=""),
            anthropic("delta", 2, type="text_delta", text="So."),
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
            {"type": "message_stop"},
        ),
        ["first", "second"],
    ),
    "gemini": (
        sse(
            gemini({"text": "Hm.", "thought": True}),
            gemini({"thoughtSignature": "first", "text": "So."}),
            gemini({"text": "", "thoughtSignature": "second"}, finishReason="STOP"),
        ),
        ["first", "second"],
    ),
    "gemini-interactions": (
        sse(
            {"event_type": "step.start", "index": 0, "step": {"type": "thought"}},
            {
                "event_type": "step.delta",
                "delta": {"type": "thought_summary", "content": {"type": "text", "text": "Hm."}},
            },
            {
                "event_type": "step.delta",
                "delta": {"type": "thought_signature", "signature": "only"},
            },
            {"event_type": "step.delta", "delta": {"type": "text", "text": "So."}},
            {"event_type": "interaction.completed", "interaction": {"status": "completed"}},
        ),
        ["only"],
    ),
    "openai-responses": (
        sse(
            responses("output_item.added", item=reasoning_item("not yet")),
            responses("reasoning_summary_text.delta", delta="Hm."),
            responses("output_item.done", item=reasoning_item("only")),
            responses("output_text.delta", delta="So."),
            responses("completed", response={"status": "completed"}),
        ),
        ["only"],
    ),
    "openai-chat": (
        sse(
            detail(type="reasoning.text", text="Hm."),
            detail(type="reasoning.text", signature="first"),
            detail(type="reasoning.encrypted", data="second"),
            {"choices": [{"index": 0, "delta": {"content": "So."}, "finish_reason": "stop"}]},
        )
        + b"data: [DONE]\n\n",
        ["first", "second"],
    ),
    "bedrock-converse": (
        frame("contentBlockDelta", {"delta": {"reasoningContent": {"text": "Hm."}}})
        + frame("contentBlockDelta", {"delta": {"reasoningContent": {"signature": "first"}}})
        + frame("contentBlockDelta", {"delta": {"reasoningContent": {"redactedContent": REDACTED}}})
        + frame("contentBlockDelta", {"delta": {"text": "So."}})
        + frame("messageStop", {"stopReason": "end_turn"}),
        ["first", REDACTED],
    ),
}
MEDIA_TYPES = {"bedrock-converse": "application/vnd.amazon.eventstream"}


@pytest.mark.parametrize("format", SIGNED)
def test_signatures_come_as_chunks_and_the_last_stays(
    serve: Serve, connect: Connect, format: str
) -> None:
    body, signatures = SIGNED[format]
    media_type = MEDIA_TYPES.get(format, "text/event-stream")
    client = connect(serve(mock.Replay(body, content_type=media_type)))
    with client.request("/x", json={}, format=format) as stream:
        chunks = list(stream)
    assert [chunk.signature for chunk in chunks if chunk.signature] == signatures
    assert {chunk.type for chunk in chunks if chunk.signature} == {"reasoning"}
    assert "".join(chunk.reasoning for chunk in chunks) == "Hm."
    assert "".join(chunk.text for chunk in chunks) == "So."
    message = stream.message
    assert (message.reasoning, message.text) == ("Hm.", "So.")
    assert message.signature == message.choices[0].signature == signatures[-1]
    assert message.format == format


def test_a_chunk_without_text_shows_its_signature(serve: Serve, connect: Connect) -> None:
    body, _ = SIGNED["anthropic-messages"]
    client = connect(serve(mock.Replay(body)))
    chunks = list(client.request("/x", json={}, format="anthropic-messages"))
    shown = [repr(chunk) for chunk in chunks if chunk.type == "reasoning"]
    assert shown == [
        "Chunk(type='reasoning', choice=0, reasoning='Hm.')",
        "Chunk(type='reasoning', choice=0, signature='first')",
        "Chunk(type='reasoning', choice=0, signature='second')",
    ]


def test_a_message_keeps_its_places_and_its_copies(serve: Serve, connect: Connect) -> None:
    """The signature stands behind what was there before it; the format is no item at all."""
    plain = connect(serve("Hello")).stream(model="m", messages=MESSAGES).result()
    assert (plain.signature, plain.format) == (None, "openai-chat")
    assert (plain.choices[0].signature, len(plain.choices[0])) == (None, 8)
    assert (len(plain), plain[3], plain[10], plain[11]) == (12, "Hello", plain.choices, None)
    for copied in (copy.deepcopy(plain), pickle.loads(pickle.dumps(plain))):
        assert copied == plain
        assert copied.format == "openai-chat"


def test_a_conversation_goes_on_with_what_was_signed(serve: Serve) -> None:
    answer = mock.Answer("I look.", reasoning="Hm.", tool_calls=[mock.ToolCall("f", id="c1")])
    server = serve(answer)
    client = millstream.Client(
        "anthropic", base_url=server.url, api_key=API_KEY, max_retries=0, timeout=timeout()
    )
    message = client.stream(model="m", messages=MESSAGES).result()
    assert message.signature
    result = {"role": "tool", "tool_call_id": "c1", "content": "rain"}
    client.stream(model="m", messages=[*MESSAGES, message, result]).result()
    asked = server.requests[-1].json()["messages"]
    assert asked[1]["content"][0] == {
        "type": "thinking",
        "thinking": "Hm.",
        "signature": message.signature,
    }
    assert [block["type"] for block in asked[1]["content"]] == ["thinking", "text", "tool_use"]
