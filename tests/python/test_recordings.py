"""Every recorded stream of every provider, over a real socket.

Whole, byte by byte and cut at random it gives what its manifest says; cut off before its finish
reason it is never taken for a whole one. `./dev test -s -k table` prints a row a recording.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import random
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
CUTS = 4  # a recording
CONTENT_TYPES = {
    "sse": "text/event-stream",
    "ndjson": "application/x-ndjson",
    "eventstream": "application/vnd.amazon.eventstream",
    "json-array": "application/json",
}
EVENTS_ONLY = {"mcp", "watsonx", "replicate"}  # what their events say is not ours to know
# A guardrail blocked the question: one event, and neither a finish reason nor a terminator.
UNFINISHED = {"bedrock/bedrock-invoke--test-guardrail-invoke-stream.bin"}

Facts = dict[str, Any]


def recordings() -> list[dict[str, Any]]:
    manifest = SHARED / "streams" / "manifest.json"
    if not manifest.exists():
        return []
    entries: list[dict[str, Any]] = json.loads(manifest.read_bytes())
    for entry in entries:
        finish = entry["expected"].get("finish")
        if finish is not None:  # a number in one of them
            entry["expected"]["finish"] = str(finish)
    return entries


RECORDINGS = recordings()

pytestmark = pytest.mark.skipif(
    not RECORDINGS, reason="skipped: no recorded streams beside the project"
)


# ---- ways to serve a body ------------------------------------------------------------------------


def whole(body: bytes, content_type: str) -> mock.Script:
    return mock.Replay(body, content_type=content_type)


def byte_by_byte(body: bytes, content_type: str) -> mock.Script:
    """One HTTP chunk a byte: the client's parser gets them one by one, however TCP joins them."""
    if len(body) <= SMALL_BYTES:
        return mock.Replay(body, content_type=content_type, sizes=1)
    bytes_alone = http_chunks(body[at : at + 1] for at in range(len(body)))
    fields = head(Transfer_Encoding="chunked", Content_Type=content_type)
    return mock.Raw(fields + bytes_alone + LAST_CHUNK, then="keep")


def at_random(seed: int) -> Callable[[bytes, str], mock.Script]:
    return lambda body, content_type: mock.Replay(
        body, content_type=content_type, sizes="random", seed=seed
    )


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
            if chunk.usage is not None:  # some tell the numbers in two events
                told = {name: n for name, n in tokens(chunk.usage).items() if n is not None}
                facts["usage"] = {**(facts["usage"] or tokens(chunk.usage)), **told}
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
    events: list[millstream.Event] = []
    error = None
    try:
        events.extend(stream.events())
    except millstream.ProviderError as raised:
        error = raised
    return {"events": events, "n_events": len(events), "error": error}


def events_md5(framing: str, events: list[millstream.Event]) -> str:
    """The hash that the manifest has of the events, by its README's rule for the framing."""
    if framing == "sse":
        texts = ["\x1f".join((event.type, event.data, event.id)) for event in events]
        joined = "\x1e".join(texts).encode()
    elif framing == "ndjson":
        joined = b"\n".join(event.raw.strip() for event in events)
    elif framing == "eventstream":
        joined = b"\x1e".join(event.raw for event in events)
    else:
        array = [event.json() for event in events]
        joined = json.dumps(array, sort_keys=True, separators=(",", ":")).encode()
    return hashlib.md5(joined).hexdigest()


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


def name_of(entry: dict[str, Any]) -> str:
    return Path(entry["file"]).stem


def start(client: millstream.Client, entry: dict[str, Any]) -> millstream.Stream:
    """The answer as a client of that wire format reads it."""
    api = entry["api"]
    return client.request("/any", json={}, format="events" if api in EVENTS_ONLY else api)


def faults_of(check: ModuleType, client: millstream.Client, entry: dict[str, Any]) -> list[str]:
    """Where what came differs from the manifest; each view reads the answer anew."""
    faults = []
    for name, view in VIEWS.items():
        if name != "events" and entry["api"] in EVENTS_ONLY:
            continue
        try:
            facts = view(start(client, entry))
        except millstream.StreamInterrupted as raised:
            if entry["file"] not in UNFINISHED:
                faults.append(f"{name}: {raised!r}")
            continue
        events = facts.pop("events", None)
        md5 = entry["expected"].get("events_md5")
        if events is not None and md5 and events_md5(entry["framing"], events) != md5:
            faults.append(f"{name}: the events differ")
        if entry["api"] in EVENTS_ONLY:
            facts.pop("error")
        bad, _ = check.compare(entry["expected"], facts)
        faults += [f"{name}: {fault}" for fault in bad]
    return faults


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("entry", RECORDINGS, ids=name_of)
def test_a_recording_gives_the_facts_of_its_manifest(
    check: ModuleType, serve: Serve, connect: Connect, entry: dict[str, Any], way: str
) -> None:
    body = (SHARED / "streams" / entry["file"]).read_bytes()
    server = serve(WAYS[way](body, CONTENT_TYPES[entry["framing"]]))
    assert faults_of(check, connect(server), entry) == []


def test_the_table_of_recordings(check: ModuleType, serve: Serve, connect: Connect) -> None:
    failed = 0
    for entry in RECORDINGS:
        body = (SHARED / "streams" / entry["file"]).read_bytes()
        server = serve(whole(body, CONTENT_TYPES[entry["framing"]]))
        faults = faults_of(check, connect(server), entry)
        server.close()
        failed += bool(faults)
        expected = entry["expected"]
        print(
            f"{'ok' if not faults else 'FAIL':4} {entry['provider']:13} {entry['api']:20} "
            f"{expected['n_events']:5} events {expected.get('text_len', 0):6} characters "
            f"{len(expected.get('tool_calls', []))} calls  {name_of(entry)} {'; '.join(faults)}"
        )
    print(f"{len(RECORDINGS) - failed} of {len(RECORDINGS)} recordings")
    assert not failed


def before_the_finish(client: millstream.Client, entry: dict[str, Any], body: bytes) -> int:
    """The offset of the last byte of the event that says why the answer ended, or that it did."""
    last, stream = b"", start(client, entry)
    try:
        for chunk in stream:
            last = chunk.raw
            if chunk.type == "finish":
                break
    except millstream.Error:
        pass  # an error event: the last chunk came before it
    at = body.find(last)
    assert at > 0
    return at + len(last) - 1


@pytest.mark.parametrize("how", ["end", "close"])
@pytest.mark.parametrize(
    "entry", [entry for entry in RECORDINGS if entry["api"] not in EVENTS_ONLY], ids=name_of
)
def test_a_recording_that_is_cut_off_is_never_whole(
    serve: Serve, connect: Connect, entry: dict[str, Any], how: str
) -> None:
    body = (SHARED / "streams" / entry["file"]).read_bytes()
    content_type = CONTENT_TYPES[entry["framing"]]
    client = connect(serve(whole(body, content_type)))
    end = before_the_finish(client, entry, body)
    text = joined_chunks(start(client, entry))["text"] if entry["file"] not in UNFINISHED else None
    chance = random.Random(entry["file"])
    for cut in sorted(chance.randrange(1, end) for _ in range(CUTS)):
        if how == "end":
            script = mock.Replay(body[:cut], content_type=content_type)
        else:
            script = mock.Replay(body, content_type=content_type, cut_after=cut, cut="close")
        stream = start(connect(serve(script)), entry)
        with pytest.raises(millstream.StreamInterrupted) as caught:
            stream.result()
        assert caught.value.message == stream.message
        assert text is None or text.startswith(stream.message.text)


@pytest.mark.parametrize(
    "entry",
    [entry for entry in RECORDINGS if entry["api"] == "openai-chat" and entry["expected"]["error"]],
    ids=name_of,
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


def test_all_recordings_are_here() -> None:
    assert len(RECORDINGS) == 237
    chat = [entry for entry in RECORDINGS if entry["api"] == "openai-chat"]
    assert len(chat) == 75
    assert len({entry["provider"] for entry in chat}) == 16


def test_byte_by_byte_reaches_the_parser_byte_by_byte(serve: Serve, connect: Connect) -> None:
    """Each piece of a body that gave chunks counts once: here no two events share a piece."""
    events = [
        b'data: {"choices":[{"index":0,"delta":{"content":"%d"}}]}\n\n' % n for n in range(99)
    ]
    body = b"".join([*events, b"data: [DONE]\n\n"])
    assert len(body) > SMALL_BYTES
    client = connect(serve(byte_by_byte(body, CONTENT_TYPES["sse"])))
    client.stream(model="m", messages=MESSAGES).result()
    assert total(client.metrics()["inter_chunk_seconds"]) == 98
