"""Every recorded chat stream, over a real socket: whole, byte by byte, and cut at random."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import millstream
from answers import LAST_CHUNK, MESSAGES, head, http_chunks, total
from conftest import SHARED, Connect, Serve
from millstream import mock

SMALL_BYTES = 4096  # up to here each byte is a write of its own
SEEDS = range(3)

Facts = dict[str, Any]


def recordings() -> list[dict[str, Any]]:
    manifest = SHARED / "streams" / "manifest.json"
    if not manifest.exists():
        return []
    return [entry for entry in json.loads(manifest.read_bytes()) if entry["api"] == "openai-chat"]


RECORDINGS = recordings()

pytestmark = pytest.mark.skipif(
    not RECORDINGS, reason="skipped: no recorded streams beside the project"
)


# ---- ways to serve a body ------------------------------------------------------------------------


def whole(body: bytes) -> mock.Script:
    return mock.Replay(body)


def byte_by_byte(body: bytes) -> mock.Script:
    """One HTTP chunk a byte: the client's parser gets them one by one, however TCP joins them."""
    if len(body) <= SMALL_BYTES:
        return mock.Replay(body, sizes=1)
    bytes_alone = http_chunks(body[at : at + 1] for at in range(len(body)))
    return mock.Raw(head(Transfer_Encoding="chunked") + bytes_alone + LAST_CHUNK, then="keep")


def at_random(seed: int) -> Callable[[bytes], mock.Script]:
    return lambda body: mock.Replay(body, sizes="random", seed=seed)


WAYS = {
    "whole": whole,
    "byte by byte": byte_by_byte,
    **{f"at random {seed}": at_random(seed) for seed in SEEDS},
}


# ---- what came -----------------------------------------------------------------------------------


def joined_chunks(stream: millstream.Stream) -> Facts:
    """The facts as a program that only iterates puts them together."""
    facts: Facts = {"text": "", "reasoning": "", "refusal": "", "finish": None, "usage": None}
    calls: dict[int, dict[str, str]] = {}
    try:
        for chunk in stream:
            if chunk.usage is not None:
                facts["usage"] = tokens(chunk.usage)
            if chunk.choice:
                continue
            for name in ("text", "reasoning", "refusal"):
                facts[name] += getattr(chunk, name)
            facts["finish"] = chunk.finish_reason_raw or facts["finish"]
            if chunk.tool_call is not None:
                call = calls.setdefault(chunk.tool_call.index, {"name": "", "arguments": ""})
                call["name"] += chunk.tool_call.name
                call["arguments"] += chunk.tool_call.arguments
        facts["error"] = None
    except millstream.ProviderError as error:
        facts["error"] = error
    facts["tool_calls"] = [calls[index] for index in sorted(calls)]
    return facts


def whole_message(stream: millstream.Stream) -> Facts:
    """The facts as the stream's message has them."""
    error = None
    try:
        message: millstream.Message | None = stream.result()
    except millstream.ProviderError as raised:
        error, message = raised, raised.message
    assert message is not None
    assert message == stream.message
    return {
        "text": message.text,
        "reasoning": message.reasoning,
        "refusal": message.refusal,
        "finish": message.finish_reason_raw,
        "usage": None if message.usage is None else tokens(message.usage),
        "tool_calls": [{"name": c.name, "arguments": c.arguments} for c in message.tool_calls],
        "error": error,
    }


def raw_events(stream: millstream.Stream) -> Facts:
    events: list[tuple[str, str, str]] = []
    error = None
    try:
        events.extend((event.type, event.data, event.id) for event in stream.events())
    except millstream.ProviderError as raised:
        error = raised
    return {"events": events, "n_events": len(events), "error": error}


def tokens(usage: millstream.Usage) -> dict[str, int | None]:
    return {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}


VIEWS = {"chunks": joined_chunks, "message": whole_message, "events": raw_events}


# ---- the tests -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def check() -> ModuleType:
    """The recordings' own judge."""
    path = SHARED / "streams" / "check_streams.py"
    spec = importlib.util.spec_from_file_location("check_streams", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("entry", RECORDINGS, ids=lambda entry: Path(entry["file"]).stem)
def test_a_recording_gives_the_facts_of_its_manifest(
    check: ModuleType, serve: Serve, connect: Connect, entry: dict[str, Any], way: str
) -> None:
    body = (SHARED / "streams" / entry["file"]).read_bytes()
    client = connect(serve(WAYS[way](body)))
    for name, view in VIEWS.items():
        facts = view(client.stream(model="m", messages=MESSAGES))
        bad, _ = check.compare(entry["expected"], facts)
        assert not bad, f"{name}: {bad}"


@pytest.mark.parametrize(
    "entry",
    [entry for entry in RECORDINGS if entry["expected"]["error"]],
    ids=lambda entry: Path(entry["file"]).stem,
)
def test_a_recorded_error_is_named_after_its_chunks(
    serve: Serve, connect: Connect, entry: dict[str, Any]
) -> None:
    said = entry["expected"]["error"]
    client = connect(serve(mock.Replay(SHARED / "streams" / entry["file"])))
    stream = client.stream(model="m", messages=MESSAGES)
    with pytest.raises(millstream.BadRequest) as caught:
        stream.result()
    assert isinstance(caught.value, millstream.ProviderError)
    assert said["message"] in str(caught.value)
    assert caught.value.status == 400
    assert caught.value.code == str(said["code"])
    assert caught.value.message == stream.message
    assert list(stream) == []


def test_all_recordings_of_the_format_are_here() -> None:
    assert len(RECORDINGS) == 75
    assert len({entry["provider"] for entry in RECORDINGS}) == 16


def test_byte_by_byte_reaches_the_parser_byte_by_byte(serve: Serve, connect: Connect) -> None:
    """Each piece of a body that gave chunks counts once: here no two events share a piece."""
    events = [
        b'data: {"choices":[{"index":0,"delta":{"content":"%d"}}]}\n\n' % n for n in range(99)
    ]
    body = b"".join([*events, b"data: [DONE]\n\n"])
    assert len(body) > SMALL_BYTES
    client = connect(serve(byte_by_byte(body)))
    client.stream(model="m", messages=MESSAGES).result()
    assert total(client.metrics()["inter_chunk_seconds"]) == 98
