"""The mock model server in each wire format: read by the format's own rules, by the official
clients, and by millstream."""

from __future__ import annotations

import http.client
import json
import struct
import zlib
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, cast
from urllib.parse import urlsplit

import pytest

import millstream
from conftest import API_KEY, Connect, Serve
from millstream import mock
from millstream._providers import PROVIDERS
from millstream.mock._reply import FORMATS, Responder

QUESTION = "How are you?"
TEXT = "Hällo, “wörld”! 😀\n"
CALLS = [mock.ToolCall("f", {"x": [1, "ä"]}, id="call_1"), mock.ToolCall("g")]
SAID = mock.Answer(
    TEXT, reasoning="Hm, so.", tool_calls=CALLS, usage=mock.Usage(7, 5, 2, cached_tokens=3)
)
Record: TypeAlias = tuple[str, Any]  # an event's type, and its JSON or text


# ---- the framings --------------------------------------------------------------------------------


def sse(body: bytes) -> list[Record]:
    """Server-sent events; what is not closed by an empty line is no event."""
    blocks = body.decode().replace("\r\n", "\n").split("\n\n")[:-1]
    return [event for event in map(one_event, blocks) if event]


def one_event(block: str) -> Record | None:
    fields = [line.partition(": ") for line in block.split("\n")]
    kind = "".join(value for name, _, value in fields if name == "event")
    data = [value for name, _, value in fields if name == "data"]
    if not data:
        return None
    return kind, json.loads(data[0]) if data[0].startswith("{") else data[0]


def ndjson(body: bytes) -> list[Record]:
    return [("", json.loads(line)) for line in body.split(b"\n")[:-1]]


def json_array(body: bytes) -> list[Record]:
    whole = body if body.rstrip().endswith(b"]") else body + b"]"
    return [("", item) for item in json.loads(whole)] if body else []


def frames(body: bytes) -> list[Record]:
    """AWS event stream; both checksums are checked. Of `invoke`, what is in the chunks."""
    records: list[Record] = []
    while len(body) >= 16:
        size, head_size, head_crc = struct.unpack(">III", body[:12])
        assert head_crc == zlib.crc32(body[:8])
        (crc,) = struct.unpack(">I", body[size - 4 : size])
        assert crc == zlib.crc32(body[: size - 4])
        headers = frame_headers(body[12 : 12 + head_size])
        assert headers[":content-type"] == "application/json"
        value = json.loads(body[12 + head_size : size - 4])
        if "bytes" in value:
            value = json.loads(b64decode(value["bytes"]))
        records.append((headers.get(":event-type") or headers[":exception-type"], value))
        assert headers[":message-type"] == ("event" if ":event-type" in headers else "exception")
        body = body[size:]
    assert body == b""
    return records


def frame_headers(data: bytes) -> dict[str, str]:
    headers = {}
    while data:
        name, data = data[1 : 1 + data[0]], data[1 + data[0] :]
        kind, size = struct.unpack(">BH", data[:3])
        assert kind == 7
        headers[name.decode()], data = data[3 : 3 + size].decode(), data[3 + size :]
    return headers


# ---- what a stream says, by each format's own rules ----------------------------------------------


@dataclass
class Told:
    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    calls: list[list[Any]] = field(default_factory=list)  # id, name, arguments as text
    finish: str | None = None
    usage: tuple[int, int] | None = None
    ended: bool = False

    def open_call(self, call_id: str | None, name: str, arguments: object = "") -> None:
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        self.calls.append([call_id, name, text])


def openai_chat(told: Told, kind: str, value: Any) -> None:
    if value == "[DONE]":
        told.ended = True
        return
    assert kind == ""
    assert value["object"] == "chat.completion.chunk"
    for choice in value["choices"]:
        delta = choice["delta"]
        told.text += delta.get("content") or ""
        told.reasoning += delta.get("reasoning_content") or ""
        told.refusal += delta.get("refusal") or ""
        openai_calls(told, delta.get("tool_calls", []))
        told.finish = choice["finish_reason"] or told.finish
    openai_usage(told, value.get("usage"))


def openai_calls(told: Told, fragments: Sequence[Any]) -> None:
    for fragment in fragments:
        function = fragment["function"]
        if "id" in fragment:
            assert (fragment["index"], fragment["type"]) == (len(told.calls), "function")
            told.open_call(fragment["id"], function["name"])
        told.calls[fragment["index"]][2] += function["arguments"]


def openai_usage(told: Told, usage: Any) -> None:
    if usage:
        told.usage = usage["prompt_tokens"], usage["completion_tokens"]
        assert usage["total_tokens"] == sum(told.usage)


def mistral_chat(told: Told, kind: str, value: Any) -> None:
    parts = [] if value == "[DONE]" else value["choices"][0]["delta"].get("content")
    if isinstance(parts, list) and parts:
        (part,) = parts
        assert part["type"] == "thinking"
        told.reasoning += "".join(inner["text"] for inner in part["thinking"])
        value["choices"][0]["delta"]["content"] = ""
    openai_chat(told, kind, value)


def openai_completions(told: Told, kind: str, value: Any) -> None:
    if value == "[DONE]":
        told.ended = True
        return
    assert value["object"] == "text_completion"
    for choice in value["choices"]:
        told.text += choice["text"]
        told.finish = choice["finish_reason"] or told.finish
    openai_usage(told, value.get("usage"))


def openai_responses(told: Told, kind: str, value: Any) -> None:
    assert kind == value["type"]
    if kind == "response.output_text.delta":
        told.text += value["delta"]
    elif kind == "response.refusal.delta":
        told.refusal += value["delta"]
    elif kind == "response.reasoning_summary_text.delta":
        told.reasoning += value["delta"]
    elif kind == "response.output_item.added" and value["item"]["type"] == "function_call":
        told.open_call(value["item"]["call_id"], value["item"]["name"])
    elif kind == "response.function_call_arguments.delta":
        told.calls[-1][2] += value["delta"]
    elif kind in ("response.completed", "response.incomplete"):
        response = value["response"]
        details = response["incomplete_details"]
        told.ended, told.finish = True, details["reason"] if details else response["status"]
        usage = response["usage"]
        told.usage = (usage["input_tokens"], usage["output_tokens"]) if usage else None


def openai_assistants(told: Told, kind: str, value: Any) -> None:
    if value == "[DONE]":
        assert kind == "done"
        told.ended = True
    elif kind == "thread.message.delta":
        told.text += "".join(part["text"]["value"] for part in value["delta"]["content"])
    elif kind == "thread.run.step.delta":
        openai_calls(told, value["delta"]["step_details"]["tool_calls"])
    elif kind.startswith("thread.run.") and value["status"] not in ("queued", "in_progress"):
        assert kind == f"thread.run.{value['status']}"
        told.finish = value["status"]
        action = value["required_action"] or {"submit_tool_outputs": {"tool_calls": []}}
        waiting = action["submit_tool_outputs"]["tool_calls"]
        assert [[c["id"], *c["function"].values()] for c in waiting] == told.calls
        openai_usage(told, value["usage"])


def openai_transcription(told: Told, kind: str, value: Any) -> None:
    if value["type"] == "transcript.text.delta":
        told.text += value["delta"]
    else:
        assert (value["type"], value["text"]) == ("transcript.text.done", told.text)
        told.ended = True
        usage = value.get("usage")
        told.usage = (usage["input_tokens"], usage["output_tokens"]) if usage else None


def anthropic_messages(told: Told, kind: str, value: Any) -> None:
    assert kind in (value["type"], "chunk")
    usage = value.get("usage") or value.get("message", {}).get("usage")
    if usage:
        told.usage = usage["input_tokens"], usage["output_tokens"]
    if value["type"] == "content_block_start" and value["content_block"]["type"] == "tool_use":
        told.open_call(value["content_block"]["id"], value["content_block"]["name"])
    elif value["type"] == "content_block_delta":
        delta = value["delta"]
        told.text += delta.get("text", "")
        told.reasoning += delta.get("thinking", "")
        if delta["type"] == "input_json_delta":
            told.calls[-1][2] += delta["partial_json"]
    elif value["type"] == "message_delta":
        told.finish = value["delta"]["stop_reason"]
    told.ended = value["type"] == "message_stop"


def gemini(told: Told, kind: str, value: Any) -> None:
    for candidate in value["candidates"]:
        for part in candidate["content"]["parts"]:
            if "functionCall" in part:
                call = part["functionCall"]
                told.open_call(call["id"], call["name"], call["args"])
            elif part.get("thought"):
                told.reasoning += part["text"]
            else:
                told.text += part["text"]
        told.finish = candidate.get("finishReason")
    usage = value.get("usageMetadata")
    if usage:
        told.usage = usage["promptTokenCount"], usage.get("candidatesTokenCount", 0)
    told.ended = told.finish is not None


def gemini_interactions(told: Told, kind: str, value: Any) -> None:
    if value == "[DONE]":
        assert kind == "done"
        told.ended = True
        return
    assert kind == value["event_type"]
    delta = value.get("delta", {"type": None})
    if delta["type"] == "text":
        told.text += delta["text"]
    elif delta["type"] == "thought_summary":
        told.reasoning += delta["content"]["text"]
    elif delta["type"] == "arguments_delta":
        told.calls[-1][2] += delta["arguments"]
    elif kind == "step.start" and value["step"]["type"] == "function_call":
        told.open_call(value["step"]["id"], value["step"]["name"])
    elif kind == "interaction.completed":
        told.finish = value["interaction"]["status"]
        usage = value["interaction"].get("usage")
        if usage:
            told.usage = usage["total_input_tokens"], usage["total_output_tokens"]


def ollama(told: Told, kind: str, value: Any) -> None:
    message = value.get("message", value)
    told.text += message.get("content", message.get("response", ""))
    told.reasoning += message.get("thinking", "")
    for call in message.get("tool_calls", []):
        told.open_call(call["id"], call["function"]["name"], call["function"]["arguments"])
    told.ended, told.finish = value["done"], value.get("done_reason")
    if "eval_count" in value:
        told.usage = value["prompt_eval_count"], value["eval_count"]


def cohere_v2(told: Told, kind: str, value: Any) -> None:
    if value == "[DONE]":
        told.ended = True
        return
    assert kind == value["type"]
    message = value.get("delta", {}).get("message", {})
    if kind == "content-delta":
        told.text += message["content"].get("text", "")
        told.reasoning += message["content"].get("thinking", "")
    elif kind == "tool-call-start":
        call = message["tool_calls"]
        told.open_call(call["id"], call["function"]["name"])
    elif kind == "tool-call-delta":
        told.calls[value["index"]][2] += message["tool_calls"]["function"]["arguments"]
    elif kind == "message-end":
        told.finish = value["delta"]["finish_reason"]
        usage = value["delta"].get("usage")
        if usage:
            told.usage = usage["tokens"]["input_tokens"], usage["tokens"]["output_tokens"]


def cohere_v1(told: Told, kind: str, value: Any) -> None:
    if value["event_type"] == "text-generation":
        told.text += value["text"]
    for call in value.get("tool_calls", []):
        told.open_call(None, call["name"], call["parameters"])
    told.ended = value["is_finished"]
    if told.ended:
        told.finish = value["finish_reason"]
        counts = value["response"]["meta"].get("tokens")
        told.usage = (counts["input_tokens"], counts["output_tokens"]) if counts else None


def bedrock_converse(told: Told, kind: str, value: Any) -> None:
    delta = value.get("delta", {})
    told.text += delta.get("text", "")
    told.reasoning += delta.get("reasoningContent", {}).get("text", "")
    if kind == "contentBlockStart":
        tool = value["start"]["toolUse"]
        told.open_call(tool["toolUseId"], tool["name"])
    elif "toolUse" in delta:
        told.calls[-1][2] += delta["toolUse"]["input"]
    elif kind == "messageStop":
        told.ended, told.finish = True, value["stopReason"]
    elif kind == "metadata":
        told.usage = value["usage"]["inputTokens"], value["usage"]["outputTokens"]


# ---- the table -----------------------------------------------------------------------------------


def messages(model: str, stream: bool) -> Any:
    function = {"name": "look", "parameters": {}}
    return {
        "model": model,
        "messages": [{"role": "user", "content": QUESTION}],
        "tools": [{"type": "function", "function": function}],
        "stream": stream,
    }


def openai_body(model: str, stream: bool) -> Any:
    options = {"stream_options": {"include_usage": True}} if stream else {}
    return {**messages(model, stream), **options}


def completion_body(model: str, stream: bool) -> Any:
    options = {"stream_options": {"include_usage": True}} if stream else {}
    return {"model": model, "prompt": QUESTION, "stream": stream, **options}


def input_body(model: str, stream: bool) -> Any:
    content = [{"type": "input_text", "text": QUESTION}]
    given = [{"role": "user", "content": content}]
    tools = [{"type": "function", "name": "look"}]
    return {"model": model, "input": given, "tools": tools, "stream": stream}


def assistants_body(model: str, stream: bool) -> Any:
    asked = messages(model, stream)
    return {**asked, "thread": {"messages": asked.pop("messages")}}


def transcription_body(model: str, stream: bool) -> Any:
    fields = {"model": model, "prompt": QUESTION, "stream": str(stream).lower(), "file": "\0\r\n-"}
    part = '--xyz\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
    return "".join(part.format(*field) for field in fields.items()) + "--xyz--\r\n"


def anthropic_body(model: str, stream: bool) -> Any:
    return {**messages(model, stream), "tools": [{"name": "look"}], "max_tokens": 9}


def gemini_body(model: str, stream: bool) -> Any:
    contents = [{"role": "user", "parts": [{"text": QUESTION}]}]
    return {"contents": contents, "tools": [{"functionDeclarations": [{"name": "look"}]}]}


def prompt_body(model: str, stream: bool) -> Any:
    return {"model": model, "prompt": QUESTION, "stream": stream}


def v1_body(model: str, stream: bool) -> Any:
    return {"model": model, "message": QUESTION, "tools": [{"name": "look"}], "stream": stream}


def converse_body(model: str, stream: bool) -> Any:
    said = [{"role": "user", "content": [{"text": QUESTION}]}]
    return {"messages": said, "toolConfig": {"tools": [{"toolSpec": {"name": "look"}}]}}


Finish: TypeAlias = Literal["stop", "length", "tool_calls", "refusal"]


@dataclass(frozen=True)
class Wire:
    """A wire format: how it is asked and read, and what it can say. `finishes`: its words for
    `stop`, `length`, `tool_calls` and a refusal. `answer`: where the whole answer holds its text,
    and its error body its message."""

    name: str
    path: str
    body: Callable[[str, bool], Any]
    framing: Callable[[bytes], list[Record]]
    read: Callable[[Told, str, Any], None]
    finishes: tuple[str | None, str | None, str | None, str | None]
    answer: tuple[str, str]
    whole_path: str | None = None
    says: str = "reasoning tools"
    content_type: str = "text/event-stream"

    def at(self, model: str, stream: bool = True) -> str:
        return (self.path if stream else self.whole_path or self.path).format(model=model)

    def bytes(self, model: str, stream: bool) -> bytes:
        body = self.body(model, stream)
        return (body if isinstance(body, str) else json.dumps(body)).encode()

    def finish(self, reason: Finish) -> str | None:
        return self.finishes[("stop", "length", "tool_calls", "refusal").index(reason)]


CHAT = ("stop", "length", "tool_calls", "stop")
CLAUDE = ("end_turn", "max_tokens", "tool_use", "refusal")
NOVA = ("end_turn", "max_tokens", "tool_use", "content_filtered")
GEMINI = ("STOP", "MAX_TOKENS", "STOP", "SAFETY")
STATUS = ("completed", "incomplete", "requires_action", "completed")
COHERE = ("COMPLETE", "MAX_TOKENS", "TOOL_CALL", "ERROR_TOXIC")
LLAMA = ("stop", "length", "stop", "stop")
RUN = "/v1/threads/runs"
GENERATE = "/v1beta/models/{model}:generateContent"
STREAM = "/v1beta/models/{model}:streamGenerateContent"
FRAMES = "application/vnd.amazon.eventstream"
LINES = "application/x-ndjson"
V1_LINES = "application/stream+json"
IN_CHOICES = "choices.0.message.content"
IN_ERROR = "error.message"

# fmt: off
WIRES = [
    Wire("openai-chat", "/v1/chat/completions", openai_body, sse, openai_chat,
         CHAT, (IN_CHOICES, IN_ERROR), says="reasoning tools refusal choices"),
    Wire("mistral-chat", "/mistral/v1/chat/completions", messages, sse, mistral_chat,
         CHAT, (IN_CHOICES, "message")),
    Wire("openai-completions", "/v1/completions", completion_body, sse, openai_completions,
         ("stop", "length", "stop", "content_filter"), ("choices.0.text", IN_ERROR), says=""),
    Wire("openai-responses", "/v1/responses", input_body, sse, openai_responses,
         ("completed", "max_output_tokens", "completed", "completed"),
         ("output.0.content.0.text", IN_ERROR), says="reasoning tools refusal"),
    Wire("openai-assistants", RUN, assistants_body, sse, openai_assistants,
         (*STATUS[:3], "incomplete"), ("", IN_ERROR), says="tools"),
    Wire("openai-transcription", "/v1/audio/transcriptions", transcription_body, sse,
         openai_transcription, (None, None, None, None), ("text", IN_ERROR), says=""),
    Wire("anthropic-messages", "/v1/messages", anthropic_body, sse, anthropic_messages,
         CLAUDE, ("content.0.text", IN_ERROR)),
    Wire("gemini", STREAM + "?alt=sse", gemini_body, sse, gemini,
         GEMINI, ("candidates.0.content.parts.0.text", IN_ERROR), GENERATE),
    Wire("gemini-json-array", STREAM, gemini_body, json_array, gemini,
         GEMINI, ("candidates.0.content.parts.0.text", "0.error.message"), GENERATE,
         content_type="application/json"),
    Wire("gemini-interactions", "/v1beta/interactions", input_body, sse, gemini_interactions,
         STATUS, ("steps.0.content.0.text", IN_ERROR)),
    Wire("ollama-chat", "/api/chat", messages, ndjson, ollama,
         LLAMA, ("message.content", "error"), content_type=LINES),
    Wire("ollama-generate", "/api/generate", prompt_body, ndjson, ollama,
         LLAMA, ("response", "error"), says="reasoning", content_type=LINES),
    Wire("cohere-v2-chat", "/v2/chat", messages, sse, cohere_v2,
         COHERE, ("message.content.0.text", "message")),
    Wire("cohere-v1-chat", "/v1/chat", v1_body, ndjson, cohere_v1,
         ("COMPLETE", "MAX_TOKENS", "COMPLETE", "ERROR_TOXIC"), ("text", "message"),
         says="tools", content_type=V1_LINES),
    Wire("cohere-v1-generate", "/v1/generate", prompt_body, ndjson, cohere_v1,
         ("COMPLETE", "MAX_TOKENS", "COMPLETE", "ERROR_TOXIC"),
         ("generations.0.text", "message"), says="", content_type=V1_LINES),
    Wire("bedrock-converse", "/model/{model}/converse-stream", converse_body, frames,
         bedrock_converse, NOVA, ("output.message.content.0.text", "message"),
         "/model/{model}/converse", content_type=FRAMES),
    Wire("bedrock-invoke", "/model/{model}/invoke-with-response-stream", anthropic_body, frames,
         anthropic_messages, CLAUDE, ("content.0.text", "message"),
         "/model/{model}/invoke", content_type=FRAMES),
]
# fmt: on

of_each_format = pytest.mark.parametrize("wire", WIRES, ids=[wire.name for wire in WIRES])


def wire_of(name: str) -> Wire:
    return next(wire for wire in WIRES if wire.name == name)


@dataclass
class Answered:
    status: int
    headers: dict[str, str]
    body: bytes


def ask(
    server: mock.Server,
    wire: Wire,
    model: str = "m",
    stream: bool = True,
    headers: dict[str, str] | None = None,
    path: str | None = None,
) -> Answered:
    """One request; what came of an answer that was cut."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=20)
    try:
        to = wire.at(model, stream) if path is None else path
        connection.request("POST", to, wire.bytes(model, stream), headers or {})
        response = connection.getresponse()
        try:
            body = response.read()
        except http.client.IncompleteRead as cut:
            body = cut.partial
        named = {name.lower(): value for name, value in response.getheaders()}
        return Answered(response.status, named, body)
    finally:
        connection.close()


def told_by(wire: Wire, body: bytes) -> Told:
    told = Told()
    for kind, value in wire.framing(body):
        wire.read(told, kind, value)
    return told


def dug(value: Any, path: str) -> Any:
    for step in path.split("."):
        value = value[int(step) if step.isdigit() else step]
    return value


# ---- what is said --------------------------------------------------------------------------------


def test_the_table_has_every_format() -> None:
    assert sorted(wire.name for wire in WIRES) == sorted(format_.name for format_ in FORMATS)
    assert mock.__doc__ is not None
    assert all(f"`{wire.name}`" in mock.__doc__ for wire in WIRES)


@of_each_format
def test_one_script_says_the_same_in_every_format(serve: Serve, wire: Wire) -> None:
    answered = ask(serve(SAID), wire)
    assert answered.status == 200
    assert answered.headers["content-type"].split(";")[0] == wire.content_type
    told = told_by(wire, answered.body)
    assert told.text == TEXT
    assert told.reasoning == ("Hm, so." if "reasoning" in wire.says else "")
    calls = [(name, json.loads(arguments or "{}")) for _, name, arguments in told.calls]
    tools = "tools" in wire.says
    assert calls == ([("f", {"x": [1, "ä"]}), ("g", {})] if tools else [])
    if tools and wire.name != "cohere-v1-chat":
        assert told.calls[0][0] == "call_1"
        assert told.calls[1][0]
    assert told.usage == (7, 5)
    assert told.finish == wire.finish("tool_calls" if tools else "stop")
    assert told.ended


@of_each_format
def test_each_token_is_an_event_of_its_own(serve: Serve, wire: Wire) -> None:
    server = serve(mock.Answer(["Hel", "lo", "\ud83d", "\ude00"]))
    records = wire.framing(ask(server, wire).body)
    pieces = []
    for kind, value in records:
        told = Told()
        try:
            wire.read(told, kind, value)
        except AssertionError:  # the transcript's end repeats it all
            assert wire.name == "openai-transcription"
        pieces.append(told.text)
    assert [piece for piece in pieces if piece] == ["Hel", "lo", "\ud83d", "\ude00"]


@of_each_format
@pytest.mark.parametrize("reason", ["stop", "length", "odd"])
def test_the_finish_reason_is_in_the_formats_words(
    serve: Serve, wire: Wire, reason: Literal["stop", "length", "odd"]
) -> None:
    told = told_by(wire, ask(serve(mock.Answer("x", finish_reason=reason)), wire).body)
    if reason != "odd":
        assert told.finish == wire.finish(reason)
    elif wire.name not in ("openai-responses", "openai-transcription"):
        assert told.finish == "odd"


@of_each_format
def test_a_refusal(serve: Serve, wire: Wire) -> None:
    told = told_by(wire, ask(serve(mock.Answer(refusal="No, never.")), wire).body)
    own = "refusal" in wire.says
    assert (told.text, told.refusal) == (("", "No, never.") if own else ("No, never.", ""))
    assert told.finish == wire.finish("refusal")


@of_each_format
def test_an_empty_answer_ends_well(serve: Serve, wire: Wire) -> None:
    told = told_by(wire, ask(serve(""), wire).body)
    assert (told.text, told.finish, told.ended) == ("", wire.finish("stop"), True)


@of_each_format
def test_usage_is_counted_or_left_out(serve: Serve, wire: Wire) -> None:
    server = serve(["one two", mock.Answer("one two", usage=False)])
    assert told_by(wire, ask(server, wire).body).usage == (4, 2)
    silent = ask(server, wire)
    assert told_by(wire, silent.body).usage is None
    assert b"usage" not in silent.body.replace(b'"usage":null', b"")


@of_each_format
def test_a_request_that_does_not_stream_gets_one_object(serve: Serve, wire: Wire) -> None:
    server = serve([TEXT, SAID])
    answered = ask(server, wire, stream=False)
    assert answered.headers["content-type"].split(";")[0] == "application/json"
    whole = json.loads(answered.body)
    if wire.answer[0]:
        assert dug(whole, wire.answer[0]) == TEXT
    full = ask(server, wire, stream=False).body.decode()
    assert ("Hm, so." in full) == ("reasoning" in wire.says)
    assert ('"call_1"' in full) == ("tools" in wire.says and wire.name != "cohere-v1-chat")
    finish = wire.finish("tool_calls" if "tools" in wire.says else "stop")
    assert finish is None or f'"{finish}"' in full


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        (
            "anthropic-messages",
            "message_start content_block_start ping content_block_delta content_block_delta "
            "content_block_stop content_block_start content_block_delta content_block_stop "
            "content_block_start content_block_delta content_block_stop message_delta message_stop",
        ),
        (
            "openai-responses",
            "response.created response.in_progress response.output_item.added "
            "response.reasoning_summary_part.added response.reasoning_summary_text.delta "
            "response.reasoning_summary_text.done response.reasoning_summary_part.done "
            "response.output_item.done response.output_item.added response.content_part.added "
            "response.output_text.delta response.output_text.done response.content_part.done "
            "response.output_item.done response.output_item.added "
            "response.function_call_arguments.delta response.function_call_arguments.done "
            "response.output_item.done response.completed",
        ),
        (
            "openai-assistants",
            "thread.run.created thread.run.queued thread.run.in_progress thread.message.created "
            "thread.message.delta thread.message.completed thread.run.step.created "
            "thread.run.step.delta thread.run.step.delta thread.run.requires_action done",
        ),
        (
            "gemini-interactions",
            "interaction.created interaction.status_update step.start step.delta step.delta "
            "step.stop step.start step.delta step.stop step.start step.delta step.stop "
            "interaction.completed done",
        ),
        (
            "cohere-v2-chat",
            "message-start content-start content-delta content-end content-start content-delta "
            "content-end tool-call-start tool-call-delta tool-call-end message-end ",
        ),
        (
            "bedrock-converse",
            "messageStart contentBlockDelta contentBlockDelta contentBlockStop contentBlockDelta "
            "contentBlockStop contentBlockStart contentBlockDelta contentBlockStop messageStop "
            "metadata",
        ),
    ],
)
def test_the_events_come_in_the_formats_order(serve: Serve, name: str, kinds: str) -> None:
    wire = wire_of(name)
    empty = mock.ToolCall("f", "" if name == "anthropic-messages" else "1")
    script = mock.Answer("text", reasoning="thought", tool_calls=[empty])
    assert " ".join(kind for kind, _ in wire.framing(ask(serve(script), wire).body)) == kinds


def test_anthropic_sends_empty_arguments_as_nothing(serve: Serve) -> None:
    wire = wire_of("anthropic-messages")
    told = told_by(wire, ask(serve(mock.Answer(tool_calls=[mock.ToolCall("f")])), wire).body)
    assert [call[1:] for call in told.calls] == [["f", ""]]


def test_gemini_counts_thoughts_apart(serve: Serve) -> None:
    wire = wire_of("gemini")
    records = sse(ask(serve(mock.Answer("one two", reasoning="a b c")), wire).body)
    usage = records[-1][1]["usageMetadata"]
    assert (usage["candidatesTokenCount"], usage["thoughtsTokenCount"]) == (2, 3)
    assert usage["totalTokenCount"] == 4 + 2 + 3
    assert "candidatesTokenCount" not in records[0][1]["usageMetadata"]


def test_ollama_streams_unless_told_otherwise(serve: Serve) -> None:
    body = json.dumps({"model": "m", "prompt": QUESTION}).encode()
    assert len(ndjson(post(serve("a b"), "/api/generate", body, {}).body)) == 3


def test_ollama_generate_has_no_tool_calls(serve: Serve) -> None:
    wire = wire_of("ollama-generate")
    *lines, _ = ndjson(ask(serve(SAID), wire).body)
    assert all(value["response"] or value["thinking"] for _, value in lines)


def test_a_field_of_a_form_may_have_several_lines(serve: Serve) -> None:
    wire = wire_of("openai-transcription")
    body = wire.bytes("mock-echo", True).replace(QUESTION.encode(), b"one\r\ntwo")
    assert told_by(wire, post(serve(), wire.path, body, {}).body).text == "one\r\ntwo"


@of_each_format
def test_the_request_is_understood(serve: Serve, wire: Wire) -> None:
    server = serve()
    assert told_by(wire, ask(server, wire, "mock-echo").body).text == QUESTION
    if "tools" in wire.says:
        told = told_by(wire, ask(server, wire, "mock-tools").body)
        assert [name for _, name, _ in told.calls] == ["look"]
    assert ask(server, wire, "mock-error-503").status == 503
    assert QUESTION in ask(server, wire, "mock-echo", stream=False).body.decode() or (
        wire.name == "openai-assistants"  # its whole answer is the run, without a text
    )


@of_each_format
def test_several_choices_where_there_can_be(serve: Serve, wire: Wire) -> None:
    server = serve(mock.Answer("one", choices=["two"]))
    records = wire.framing(ask(server, wire).body)
    has_more = wire.name in (
        "openai-chat", "mistral-chat", "openai-completions", "gemini", "gemini-json-array",
        "cohere-v1-generate",
    )  # fmt: skip
    assert ('"two"' in json.dumps(records)) == has_more
    assert told_by(wire, ask(server, wire).body).usage == (4, 1 + has_more)
    if wire.name in ("openai-chat", "mistral-chat", "openai-completions"):
        assert len([1 for _, value in records[:-1] if value.get("usage")]) == 1


@of_each_format
def test_a_seed_fixes_every_byte(serve: Serve, wire: Wire) -> None:
    bodies = [ask(serve(SAID, seed=seed), wire).body for seed in (1, 1, 2)]
    assert bodies[0] == bodies[1]
    has_ids = wire.name not in ("openai-transcription", "ollama-generate")
    assert (bodies[0] != bodies[2]) == has_ids


@of_each_format
def test_whatever_stands_before_the_path(serve: Serve, wire: Wire) -> None:
    server = serve("x")
    assert told_by(wire, ask(server, wire, path="/some/prefix" + wire.at("m")).body).text == "x"


# ---- what goes wrong -----------------------------------------------------------------------------


@of_each_format
def test_an_http_error_is_the_formats_own(serve: Serve, wire: Wire) -> None:
    own = {"message": "Mine.", "type": "odd"}
    server = serve([mock.Error(429, "Slow down."), mock.Error(400, body=b"{}"), mock.Error(502)])
    answered = ask(server, wire)
    assert (answered.status, answered.headers["content-type"]) == (429, "application/json")
    assert dug(json.loads(answered.body), wire.answer[1]) == "Slow down."
    assert ask(server, wire).body == b"{}"
    assert dug(json.loads(ask(server, wire).body), wire.answer[1]) == "Bad Gateway"
    server = serve(mock.Answer("x", error=own))
    answered = ask(server, wire, stream=False)
    assert answered.status == 500
    assert '"Mine."' in answered.body.decode()


@of_each_format
def test_a_request_that_is_wrong(serve: Serve, wire: Wire) -> None:
    server = serve("x", api_key="k")
    answered = ask(server, wire)
    assert answered.status == 401
    assert "API key" in dug(json.loads(answered.body), wire.answer[1])
    if wire.name != "openai-transcription":  # anything is a form
        wrong = [b"[]", b"{", b"{}", b'{"model":1,"messages":{},"contents":[1]}']
        for body in wrong[: 2 if wire.name == "openai-assistants" else None]:
            answered = post(server, wire.at("m"), body, {"Authorization": "Bearer k"})
            assert answered.status == 400, body
            assert dug(json.loads(answered.body), wire.answer[1])


def post(server: mock.Server, path: str, body: bytes, headers: dict[str, str]) -> Answered:
    wire = Wire("", path, lambda *_: body.decode(), sse, openai_chat, CHAT, ("", ""))
    return ask(server, wire, headers=headers)


@of_each_format
@pytest.mark.parametrize("after", [None, 0, 2])
def test_an_error_inside_the_stream(serve: Serve, wire: Wire, after: int | None) -> None:
    own = {"message": "Mine.", "type": "odd"}
    answers = [mock.Answer("one two", error=e, error_after=after) for e in ("oops", own)]
    server = serve(cast("Any", answers))
    first = wire.framing(ask(server, wire).body)
    kind, value = first[-1]
    assert '"oops"' in json.dumps(value)
    if wire.framing is sse and kind:
        assert kind in ("error", "message-end")
    if wire.framing is frames:
        assert kind == "internalServerException"
    assert after is None or len(first) == after + 1
    if wire.name == "gemini-json-array":
        assert len(json.loads(ask(serve(answers[0]), wire).body)) == len(first)
    told = Told()
    for record in first[:-1]:
        wire.read(told, *record)
    assert (told.finish, told.ended) == (None, False)
    second = wire.framing(ask(server, wire).body)
    assert '"Mine."' in json.dumps(second[-1])
    assert wire.framing is not frames or second[-1][0] == "odd"


@of_each_format
@pytest.mark.parametrize("cut", ["close", "end"])
def test_an_answer_is_cut_after_so_many_chunks(
    serve: Serve, wire: Wire, cut: Literal["close", "end"]
) -> None:
    whole = wire.framing(ask(serve("a b c"), wire).body)
    for after in range(4):
        script = mock.Answer("a b c", cut_after=after, cut=cut)
        records = wire.framing(ask(serve(script), wire).body)
        assert records == whole[:after]


@of_each_format
def test_a_stream_without_its_terminator(serve: Serve, wire: Wire) -> None:
    told = told_by(wire, ask(serve(mock.Answer("a b", done=False)), wire).body)
    assert told.text == "a b"
    if wire.name == "gemini-json-array":  # the bracket is its terminator
        assert not ask(serve(mock.Answer("a", done=False)), wire).body.rstrip().endswith(b"]")
    else:
        assert not told.ended
    finishes_before_it = (
        "openai-chat", "mistral-chat", "openai-completions", "openai-assistants",
        "anthropic-messages", "bedrock-invoke",
    )  # fmt: skip
    assert (told.finish is None) == (wire.name not in finishes_before_it)


@of_each_format
def test_comments_where_the_format_has_them(serve: Serve, wire: Wire) -> None:
    script = mock.Answer("a b c d", comments=1)
    plain, commented = ask(serve("a b c d"), wire).body, ask(serve(script), wire).body
    assert (commented != plain) == (wire.framing is sse)
    pings = [("ping", {"type": "ping"})]
    records = [record for record in wire.framing(commented) if record not in pings]
    assert records == [record for record in wire.framing(plain) if record not in pings]


@of_each_format
def test_pauses_stand_between_the_tokens(wire: Wire) -> None:
    path, _, query = wire.at("m").partition("?")
    request = mock.Request("POST", path, query, {}, wire.bytes("m", True), b"", 0, 0.0, True)
    gate = mock.Gate()
    for name in ("text", "reasoning", "refusal"):
        if name != "text" and name not in wire.says:
            continue
        script = mock.Answer(**cast("Any", {name: ["before", 9.0, gate, "after"]}))
        parts = list(Responder(script, 0, 0, None, 0).reply(request).parts)
        at = parts.index(9.0)
        assert parts[at + 1] is gate
        assert seen(wire, parts[:at], "before")
        assert not seen(wire, parts[:at], "after")
        assert seen(wire, parts[at:], "after")


def seen(wire: Wire, parts: Sequence[object], word: str) -> bool:
    """Whether a chunked body, of which some HTTP chunks were not sent, says a word."""
    sent = [part for part in parts if isinstance(part, bytes)]
    chunks = [part.partition(b"\r\n")[2][:-2] for part in sent if b"HTTP/1.1 200" not in part]
    if wire.name == "bedrock-invoke":
        return any(word in str(frames(chunk)) for chunk in chunks if chunk)
    return any(word.encode() in chunk for chunk in chunks)


def test_a_recorded_stream_is_edited_in_its_formats_words(serve: Serve) -> None:
    wire = wire_of("anthropic-messages")
    recorded = ask(serve("a b"), wire).body
    stop = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    assert recorded.endswith(stop)
    cut = ask(serve(mock.Replay(recorded, done=False)), wire).body
    assert cut == recorded.removesuffix(stop)
    assert ask(serve(mock.Replay(cut, done=True)), wire).body == recorded
    failed = ask(serve(mock.Replay(recorded, error="oops", error_after=3)), wire).body
    assert [kind for kind, _ in sse(failed)[2:]] == ["ping", "error"]


# ---- where the server is -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        ("Authorization", "Bearer k"),
        ("api-key", "k"),
        ("x-api-key", "k"),
        ("x-goog-api-key", "k"),
        ("Authorization", "AWS4-HMAC-SHA256 Credential=k/20250101/eu-west-1/bedrock/aws4_request"),
    ],
)
def test_a_key_in_any_providers_header(serve: Serve, header: tuple[str, str]) -> None:
    server = serve("x", api_key="k")
    assert ask(server, wire_of("openai-chat"), headers=dict([header])).status == 200
    wrong = header[1].replace("k/", "wrong/") if "/" in header[1] else f"{header[1]}x"
    assert ask(server, wire_of("openai-chat"), headers={header[0]: wrong}).status == 401


def test_a_key_in_the_query(serve: Serve) -> None:
    server = serve("x", api_key="k")
    path = "/v1beta/models/m:generateContent"
    assert ask(server, wire_of("gemini"), stream=False, path=f"{path}?key=k").status == 200
    assert ask(server, wire_of("gemini"), stream=False, path=f"{path}?key=x").status == 401


def test_the_base_urls(serve: Serve) -> None:
    server = serve("x")
    assert server.url == f"{server.origin}/v1"
    assert server.base_url("openai") == server.url
    assert server.base_url("cohere") == f"{server.origin}/v2"
    assert server.base_url("ollama") == server.origin
    assert server.base_url("mistral") == f"{server.origin}/mistral/v1"
    assert urlsplit(server.origin).path == ""


def test_a_model_in_the_path_is_decoded(serve: Serve) -> None:
    server = serve()
    for wire in WIRES:
        if "{model}" in wire.path:
            path = wire.at("mock%2Derror%2D404")
            assert ask(server, wire, path=path).status == 404


def test_a_bedrock_error_is_named_in_a_header(serve: Serve) -> None:
    server = serve([mock.Error(429), mock.Error(500), mock.Error(418, headers={"X": "y"})])
    wire = wire_of("bedrock-converse")
    names = [ask(server, wire).headers["x-amzn-errortype"] for _ in range(3)]
    assert names == ["ThrottlingException", "InternalServerException", "InternalServerException"]


# ---- millstream ----------------------------------------------------------------------------------

Read: TypeAlias = Callable[[Wire, mock.Script], millstream.Stream]


@pytest.fixture
def read(serve: Serve, connect: Connect) -> Read:
    """The answer to one request in a format, read by millstream."""

    def start(wire: Wire, script: mock.Script) -> millstream.Stream:
        if wire.name == "openai-transcription" and not isinstance(script, mock.Error):
            # Its requests are forms, which request() does not send.
            script = mock.Replay(ask(serve(script), wire).body)
        client = connect(serve(script).origin)
        return client.request(wire.at("m"), json=wire.body("m", True), format=wire.name)

    return start


@of_each_format
def test_millstream_reads_the_same(serve: Serve, read: Read, wire: Wire) -> None:
    told = told_by(wire, ask(serve(SAID), wire).body)
    message = read(wire, SAID).result()
    assert (message.text, message.reasoning) == (told.text, told.reasoning)
    if wire.name != "gemini-interactions":  # where function calls stay in the events
        calls = [(c.id or None, c.name, json.loads(c.arguments)) for c in message.tool_calls]
        assert calls == [(i, name, json.loads(text or "{}")) for i, name, text in told.calls]
    assert message.finish_reason_raw == told.finish
    assert message.usage is not None
    assert (message.usage.input_tokens, message.usage.output_tokens) == told.usage


@of_each_format
@pytest.mark.parametrize("reason", ["stop", "length"])
def test_millstream_knows_the_finish_reason(read: Read, wire: Wire, reason: str) -> None:
    message = read(wire, mock.Answer("x", finish_reason=reason)).result()
    assert message.finish_reason == (None if wire.name == "openai-transcription" else reason)


@of_each_format
def test_millstream_raises_an_error_inside_the_stream(read: Read, wire: Wire) -> None:
    with pytest.raises(millstream.ProviderError, match="oops") as raised:
        read(wire, mock.Answer("a b", error="oops")).result()
    assert raised.value.message is not None
    assert raised.value.message.text == "a b"


@of_each_format
@pytest.mark.parametrize("cut", ["close", "end"])
def test_millstream_takes_no_cut_stream_for_a_whole_one(
    read: Read, wire: Wire, cut: Literal["close", "end"]
) -> None:
    with pytest.raises(millstream.StreamInterrupted) as raised:
        read(wire, mock.Answer("a b c d e f", cut_after=4, cut=cut)).result()
    assert raised.value.message is not None
    assert raised.value.message.text in ("", "a", "a b", "a b c", "a b c d")


@of_each_format
def test_millstream_raises_an_http_error(read: Read, wire: Wire) -> None:
    with pytest.raises(millstream.RateLimited, match="Slow down"):
        read(wire, mock.Error(429, "Slow down.")).result()


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
def test_each_provider_finds_its_format(serve: Serve, provider: str) -> None:
    server = serve(api_key=API_KEY)
    client = millstream.Client(
        provider, base_url=server.base_url(provider), api_key=API_KEY, max_retries=0
    )
    said = [{"role": "user", "content": QUESTION}]
    assert client.stream(model="mock-echo", messages=said).result().text == QUESTION
    assert client.stream(model="mock-reasoning", messages=said).result().text == "Four."


# ---- the official clients ------------------------------------------------------------------------


def official(name: str) -> Any:
    """A provider's own client library; it is no dependency of the project."""
    return pytest.importorskip(name, reason=f"skipped: {name} is not installed")


def calls_of(calls: Sequence[tuple[Any, Any, Any]]) -> list[tuple[Any, ...]]:
    """The calls with their arguments as values, without the id that the server gave."""
    read = [json.loads(a or "{}") if isinstance(a, str) else a for _, _, a in calls]
    return [(calls[0][0], calls[0][1], read[0]), (calls[1][1], read[1])]


EXPECTED_CALLS = [("call_1", "f", {"x": [1, "ä"]}), ("g", {})]


def test_openai_reads_the_chat(serve: Serve) -> None:
    server = serve([SAID, SAID, mock.Answer("a b", error="oops"), mock.Error(429, "Slow down.")])
    openai = official("openai")
    given = {"model": "m", "messages": [{"role": "user", "content": QUESTION}]}
    with openai.OpenAI(base_url=server.url, api_key="k", max_retries=0) as client:
        with client.chat.completions.stream(**given) as stream:
            message = stream.get_final_completion().choices[0].message
        whole = client.chat.completions.create(**given).choices[0].message
        for said in (message, whole):
            assert said.content == TEXT
            calls = [(c.id, c.function.name, c.function.arguments) for c in said.tool_calls]
            assert calls_of(calls) == EXPECTED_CALLS
        with pytest.raises(openai.APIError, match="oops"):
            list(client.chat.completions.create(**given, stream=True))
        with pytest.raises(openai.RateLimitError, match="Slow down"):
            client.chat.completions.create(**given)


def test_openai_reads_the_responses(serve: Serve) -> None:
    cut_short = mock.Answer("one", finish_reason="length")
    errors = [mock.Answer(["a", 0.0, " b"], error=e) for e in ("oops", {"message": "oops"})]
    server = serve([SAID, SAID, cut_short, *errors])
    openai = official("openai")
    given = {"model": "m", "input": QUESTION}
    with openai.OpenAI(base_url=server.url, api_key="k", max_retries=0) as client:
        with client.responses.stream(**given) as stream:
            numbers = [event.sequence_number for event in stream]
            streamed = stream.get_final_response()
        assert numbers == list(range(len(numbers)))
        for response in (streamed, client.responses.create(**given)):
            reasoning, message, *calls = response.output
            assert reasoning.summary[0].text == "Hm, so."
            assert message.content[0].text == response.output_text == TEXT
            assert calls_of([(c.call_id, c.name, c.arguments) for c in calls]) == EXPECTED_CALLS
            assert (response.usage.input_tokens, response.usage.output_tokens) == (7, 5)
            assert response.usage.input_tokens_details.cached_tokens == 3
        response = client.responses.create(**given)
        assert response.incomplete_details.reason == "max_output_tokens"
        *events, last = client.responses.create(**given, stream=True)
        assert (last.type, last.message) == ("error", "oops")
        assert last.sequence_number == len(events)
        with pytest.raises(openai.APIError, match="oops"):
            list(client.responses.create(**given, stream=True))


def test_openai_reads_completions_and_transcripts(serve: Serve) -> None:
    openai = official("openai")
    with openai.OpenAI(base_url=serve(SAID).url, api_key="k", max_retries=0) as client:
        chunks = client.completions.create(model="m", prompt=QUESTION, stream=True)
        assert "".join(chunk.choices[0].text for chunk in chunks) == TEXT
        assert client.completions.create(model="m", prompt=QUESTION).choices[0].text == TEXT
        audio = {"model": "m", "file": ("a.wav", b"RIFF")}
        *_, done = client.audio.transcriptions.create(**audio, stream=True)
        assert (done.type, done.text) == ("transcript.text.done", TEXT)
        assert client.audio.transcriptions.create(**audio).text == TEXT


def test_anthropic_reads_the_messages(serve: Serve) -> None:
    server = serve([SAID, SAID, mock.Answer("a b", error="oops"), mock.Error(529, "Too much.")])
    anthropic = official("anthropic")
    given = {"model": "m", "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 9}
    with anthropic.Anthropic(base_url=server.origin, api_key="k", max_retries=0) as client:
        with client.messages.stream(**given) as stream:
            streamed = stream.get_final_message()
        for message in (streamed, client.messages.create(**given)):
            thinking, text, *calls = message.content
            assert (thinking.thinking, text.text) == ("Hm, so.", TEXT)
            assert thinking.signature
            assert calls_of([(c.id, c.name, c.input) for c in calls]) == EXPECTED_CALLS
            assert message.stop_reason == "tool_use"
            assert (message.usage.input_tokens, message.usage.output_tokens) == (7, 5)
            assert message._request_id.startswith("req_") if message is not streamed else True
        with (
            pytest.raises(anthropic.APIStatusError, match="oops"),
            client.messages.stream(**given) as stream,
        ):
            stream.get_final_message()
        with pytest.raises(anthropic.APIStatusError, match="Too much"):
            client.messages.create(**given)


@pytest.fixture
def bedrock(serve: Serve) -> Iterator[Callable[[mock.Script], Any]]:
    """Botocore's client of a new server with that script."""
    botocore = official("botocore.session")
    config = official("botocore.config").Config(retries={"total_max_attempts": 1})
    keys = {"aws_access_key_id": "k", "aws_secret_access_key": "s", "region_name": "eu-west-1"}

    clients = []

    def client(script: mock.Script) -> Any:
        given = {"endpoint_url": serve(script, api_key="k").base_url("bedrock"), **keys}
        made = botocore.Session().create_client("bedrock-runtime", config=config, **given)
        clients.append(made)
        return made

    yield client
    for made in clients:
        made.close()


def test_botocore_reads_converse(bedrock: Callable[[mock.Script], Any]) -> None:
    limited = mock.Error(429, "Slow down.")
    client = bedrock([SAID, SAID, mock.Answer("a", error="oops"), limited])
    said = [{"role": "user", "content": [{"text": QUESTION}]}]
    given = {"modelId": "vendor.model-v1:0", "messages": said}
    events = list(client.converse_stream(**given)["stream"])
    deltas = [e["contentBlockDelta"]["delta"] for e in events if "contentBlockDelta" in e]
    assert "".join(d.get("text", "") for d in deltas) == TEXT
    assert "".join(d.get("reasoningContent", {}).get("text", "") for d in deltas) == "Hm, so."
    starts = [e["contentBlockStart"]["start"] for e in events if "contentBlockStart" in e]
    assert [start["toolUse"]["name"] for start in starts] == ["f", "g"]
    assert events[-2] == {"messageStop": {"stopReason": "tool_use"}}
    assert events[-1]["metadata"]["usage"]["outputTokens"] == 5
    message = client.converse(**given)["output"]["message"]
    thought, text, *calls = message["content"]
    assert thought["reasoningContent"]["reasoningText"]["text"] == "Hm, so."
    assert text["text"] == TEXT
    tools = [call["toolUse"] for call in calls]
    assert calls_of([(t["toolUseId"], t["name"], t["input"]) for t in tools]) == EXPECTED_CALLS
    error = official("botocore.exceptions").EventStreamError
    stream = client.converse_stream(**given)["stream"]
    with closing(stream), pytest.raises(error, match="oops"):
        list(stream)
    with pytest.raises(client.exceptions.ThrottlingException, match="Slow down"):
        client.converse(**given)


def test_botocore_reads_invoke(bedrock: Callable[[mock.Script], Any]) -> None:
    client = bedrock(SAID)
    given = {"modelId": "m", "body": json.dumps(anthropic_body("m", True))}
    chunks = list(client.invoke_model_with_response_stream(**given)["body"])
    told = Told()
    for chunk in chunks:
        anthropic_messages(told, "chunk", json.loads(chunk["chunk"]["bytes"]))
    assert (told.text, told.ended, told.usage) == (TEXT, True, (7, 5))
    whole = json.loads(client.invoke_model(**given)["body"].read())
    assert whole["content"][1]["text"] == TEXT
