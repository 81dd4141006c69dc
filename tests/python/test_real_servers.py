"""What servers in use were seen to do that no document of a format tells.

Where each of it is tested, here unless another file is named:

keep-alive promised, the connection closed      ../faults/test_connections.py, test_fault_65_…
  the same, with the next request in flight     ../faults/test_connections.py, test_fault_09_…
raw U+2028, U+0085, U+FEFF; a text "data: [DONE]"  test_text_is_never_taken_for_framing
an emoji over several events                    test_an_emoji_over_several_events_is_one_character
  each of its bytes replaced by the server      test_what_a_server_replaced_stays_as_it_is
  each of its bytes sent as it is               test_bytes_that_are_no_character_alone
llama.cpp: responses without indexes            test_responses_without_indexes
llama.cpp: messages whose blocks overlap        test_messages_whose_blocks_overlap
LiteLLM: responses without event names          test_responses_without_event_names
  [DONE] in place of response.completed         test_done_alone_does_not_complete_a_response
an error object in a stream of status 200       test_an_error_inside_a_stream_of_status_200
  glued onto half an event                      test_an_error_glued_onto_half_an_event
  a clean end without the terminator            test_mock_formats.py, test_millstream_takes_no_cut_…
status 200 and an empty body                    test_an_empty_body_is_no_answer
status 200 and one JSON object                  test_one_object_in_place_of_a_stream
comments as pings, a bare colon                 test_comments_as_pings
"content": null                                 test_null_is_no_text
a role in every delta                           test_a_role_in_every_delta
whole tool calls in one chunk                   test_whole_tool_calls_in_one_chunk
error.code a number or a string                 test_an_errors_code_is_a_number_or_a_string
usage never sent                                test_usage_that_is_never_sent
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

import millstream
from answers import DONE, chat, event
from conftest import Ask, Connect, Serve
from millstream import mock

Read = Callable[..., millstream.Stream]


@pytest.fixture
def read(serve: Serve, connect: Connect) -> Read:
    """The stream of a body in a wire format."""

    def start(format: str, body: bytes, **options: Any) -> millstream.Stream:
        script = mock.Replay(body, **{"content_type": WIRES[format].content_type, **options})
        return connect(serve(script)).request("/x", json={}, format=format)

    return start


def raised_by(stream: millstream.Stream) -> millstream.Error:
    with pytest.raises(millstream.Error) as caught:
        stream.result()
    assert caught.value.message == stream.message
    return caught.value


# ---- one text in each format ---------------------------------------------------------------------


class Wire(NamedTuple):
    """A format's answer: its beginning, an event with a piece of text, the end."""

    begin: bytes
    piece: bytes  # with TEXT for the piece, a JSON string
    end: bytes
    content_type: str = "text/event-stream"
    finish: str = "stop"

    def body(self, *pieces: str, raw: bool = True) -> bytes:
        """The answer with those pieces; `raw`: only what JSON demands is escaped."""
        texts = [json.dumps(piece, ensure_ascii=not raw).encode() for piece in pieces]
        return self.of_json(*texts)

    def of_json(self, *texts: bytes) -> bytes:
        """The answer whose pieces are those JSON strings."""
        return self.begin + b"".join(self.piece.replace(b"TEXT", t) for t in texts) + self.end


def named(*events: dict[str, Any]) -> bytes:
    """Typed events with their names, as most servers send them."""
    return b"".join(b"event: %b\n" % e["type"].encode() + event(e) for e in events)


WIRES = {
    "openai-chat": Wire(
        chat(""),
        b'data: {"choices":[{"index":0,"delta":{"content":TEXT}}]}\n\n',
        chat(finish="stop") + DONE,
    ),
    "openai-completions": Wire(
        b"",
        b'data: {"choices":[{"index":0,"text":TEXT}]}\n\n',
        event({"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]}) + DONE,
    ),
    "openai-responses": Wire(
        named({"type": "response.created", "response": {"id": "resp_1"}}),
        b"event: response.output_text.delta\n"
        b'data: {"type":"response.output_text.delta","output_index":0,"delta":TEXT}\n\n',
        named({"type": "response.completed", "response": {"status": "completed"}}),
        finish="completed",
    ),
    "anthropic-messages": Wire(
        named(
            {"type": "message_start", "message": {"id": "msg_1", "role": "assistant"}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text"}},
        ),
        b"event: content_block_delta\n"
        b'data: {"type":"content_block_delta","index":0,'
        b'"delta":{"type":"text_delta","text":TEXT}}\n\n',
        named(
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
            {"type": "message_stop"},
        ),
        finish="end_turn",
    ),
    "gemini": Wire(
        b"",
        b'data: {"candidates":[{"content":{"parts":[{"text":TEXT}]}}]}\n\n',
        event({"candidates": [{"finishReason": "STOP"}]}),
        finish="STOP",
    ),
    "ollama-chat": Wire(
        b"",
        b'{"message":{"role":"assistant","content":TEXT},"done":false}\n',
        b'{"message":{"content":""},"done":true,"done_reason":"stop"}\n',
        "application/x-ndjson",
    ),
}

of_each_format = pytest.mark.parametrize("format", WIRES)
at_any_size = pytest.mark.parametrize("sizes", [None, 1], ids=["whole", "byte by byte"])


@of_each_format
@at_any_size
def test_text_is_never_taken_for_framing(read: Read, format: str, sizes: int | None) -> None:
    pieces = ["\ufeffa\u2028", "b\u2029\u0085", "\x0b\x0c\x1c\x1d\x1e", "data: [DONE]", "[DONE]"]
    pieces += ["\n\ndata: [DONE]\n\n", "event: error\ndata: {}\n\n", "\ufeffdata: ", "日本語 🎈"]
    stream = read(format, WIRES[format].body(*pieces), sizes=sizes)
    assert list(stream.texts()) == pieces
    assert stream.message.text == "".join(pieces)
    assert stream.message.finish_reason_raw == WIRES[format].finish


@of_each_format
@at_any_size
def test_an_emoji_over_several_events_is_one_character(
    read: Read, format: str, sizes: int | None
) -> None:
    """Two halves of a surrogate pair, each in an event of its own; then a half that stays alone."""
    body = WIRES[format].of_json(b'"a\\ud83c"', b'"\\udf88b"', b'"c\\ud83d"', b'"d"')
    stream = read(format, body, sizes=sizes)
    assert "".join(stream.texts()) == "a🎈bc\ufffdd"
    assert stream.message.text == "a🎈bc\ufffdd"


@of_each_format
def test_what_a_server_replaced_stays_as_it_is(read: Read, format: str) -> None:
    pieces = ["a", *["\ufffd"] * 4, "b"]
    for raw in (True, False):
        stream = read(format, WIRES[format].body(*pieces, raw=raw))
        assert list(stream.texts()) == pieces


@of_each_format
def test_bytes_that_are_no_character_alone(read: Read, format: str) -> None:
    """Nothing joins them: each event is text of its own. What stands around them is kept."""
    stream = read(format, WIRES[format].of_json(b'"a\xf0\x9f"', b'"\x8e\x88b"'))
    assert stream.result().text == "a\ufffd\ufffd\ufffdb"


# ---- llama.cpp and LiteLLM -----------------------------------------------------------------------


def item(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "status": "in_progress", **fields}


def call(name: str, arguments: str = "") -> dict[str, Any]:
    """A call as an item: it has no id, and deltas name it by its call's."""
    return item("function_call", arguments=arguments, call_id=f"fc_{name}", name=name)


def argued(name: str, piece: str) -> dict[str, Any]:
    kind = "response.function_call_arguments.delta"
    return {"type": kind, "item_id": f"fc_{name}", "delta": piece}


WITHOUT_INDEXES: list[dict[str, Any]] = [
    {"type": "response.created", "response": item("response", id="resp_1")},
    {"type": "response.in_progress", "response": item("response", id="resp_1")},
    {"type": "response.output_item.added", "item": item("reasoning", id="rs_1", content=[])},
    {"type": "response.reasoning_text.delta", "item_id": "rs_1", "delta": "Hm,"},
    {"type": "response.reasoning_text.delta", "item_id": "rs_1", "delta": " so."},
    {"type": "response.output_item.added", "item": item("message", id="msg_1", content=[])},
    {
        "type": "response.content_part.added",
        "item_id": "msg_1",
        "part": {"type": "output_text", "text": ""},
    },
    {"type": "response.output_text.delta", "item_id": "msg_1", "delta": "Let"},
    {"type": "response.output_text.delta", "item_id": "msg_1", "delta": " me see."},
    {"type": "response.output_item.added", "item": call("f")},
    argued("f", '{"city":'),
    argued("f", '"Paris"}'),
    {"type": "response.output_item.added", "item": call("g")},
    argued("g", '{"n":'),
    argued("g", "1}"),
    {"type": "response.output_text.done", "item_id": "msg_1", "text": "Let me see."},
    {
        "type": "response.content_part.done",
        "item_id": "msg_1",
        "part": {"type": "output_text", "text": "Let me see."},
    },
    {"type": "response.output_item.done", "item": item("message", id="msg_1")},
    {"type": "response.output_item.done", "item": call("f", '{"city":"Paris"}')},
    {"type": "response.output_item.done", "item": call("g", '{"n":1}')},
    {
        "type": "response.completed",
        "response": {
            "id": "resp_1",
            "model": "local",
            "status": "completed",
            "usage": {"input_tokens": 9, "output_tokens": 7, "total_tokens": 16},
        },
    },
]
CALLS = ((0, "fc_f", "f", '{"city":"Paris"}'), (1, "fc_g", "g", '{"n":1}'))


def assert_told(stream: millstream.Stream) -> None:
    """What the events above say; nothing twice, though it is sent twice."""
    pieces = [chunk.tool_call.arguments for chunk in stream if chunk.tool_call is not None]
    message = stream.message
    assert "".join(pieces) == '{"city":"Paris"}{"n":1}'
    assert (message.reasoning, message.text) == ("Hm, so.", "Let me see.")
    assert message.tool_calls == CALLS
    assert (message.id, message.model) == ("resp_1", "local")
    assert (message.finish_reason, message.finish_reason_raw) == ("tool_calls", "completed")
    assert message.usage is not None
    assert message.usage[:2] == (9, 7)


def test_responses_without_indexes(read: Read) -> None:
    assert_told(read("openai-responses", named(*WITHOUT_INDEXES)))


@at_any_size
@pytest.mark.parametrize("indexes", [True, False], ids=["indexes", "no indexes"])
def test_responses_without_event_names(read: Read, sizes: int | None, indexes: bool) -> None:
    places = {"msg_1": 1, "fc_f": 2, "fc_g": 3}
    events = [dict(each) for each in WITHOUT_INDEXES]
    for number, each in enumerate(events):
        thing = each.get("item", {})
        place = places.get(each.get("item_id") or thing.get("id") or thing.get("call_id"), 0)
        if indexes:
            each.update(output_index=place, content_index=0, sequence_number=number)
    body = b"".join(map(event, events)) + DONE
    assert_told(read("openai-responses", body, sizes=sizes))


def test_done_alone_does_not_complete_a_response(read: Read) -> None:
    """A proxy says [DONE] also where its back end went away."""
    body = b"".join(map(event, WITHOUT_INDEXES[:-1])) + DONE
    error = raised_by(read("openai-responses", body))
    assert type(error) is millstream.StreamInterrupted


def test_messages_whose_blocks_overlap(read: Read) -> None:
    def begins(index: int, **block: Any) -> dict[str, Any]:
        return {"type": "content_block_start", "index": index, "content_block": block}

    def says(index: int, **delta: Any) -> dict[str, Any]:
        return {"type": "content_block_delta", "index": index, "delta": delta}

    body = named(
        {
            "type": "message_start",
            "message": {"id": "msg_1", "model": "local", "usage": {"input_tokens": 9}},
        },
        begins(0, type="text", text=""),
        says(0, type="text_delta", text="Let"),
        begins(1, type="tool_use", id="t_f", name="f"),
        says(1, type="input_json_delta", partial_json='{"city":'),
        says(0, type="text_delta", text=" me see."),
        begins(2, type="tool_use", id="t_g", name="g"),
        says(2, type="input_json_delta", partial_json='{"n":'),
        says(1, type="input_json_delta", partial_json='"Paris"}'),
        says(2, type="input_json_delta", partial_json="1}"),
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_stop", "index": 1},
        {"type": "content_block_stop", "index": 2},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use", "stop_sequence": None},
            "usage": {"output_tokens": 7},
        },
        {"type": "message_stop"},
    )
    message = read("anthropic-messages", body).result()
    assert message.text == "Let me see."
    assert [(c.id, c.name, c.arguments) for c in message.tool_calls] == [
        ("t_f", "f", '{"city":"Paris"}'),
        ("t_g", "g", '{"n":1}'),
    ]
    assert message.finish_reason == "tool_calls"
    assert message.usage is not None
    assert message.usage[:2] == (9, 7)


# ---- a back end that fails -----------------------------------------------------------------------

SAID = b'"before"'
PLAIN_ERROR = b'data: {"error":{"message":"Dead.","code":500}}\n\n'
ERRORS = {
    "openai-chat": PLAIN_ERROR,
    "openai-completions": PLAIN_ERROR,
    "openai-responses": PLAIN_ERROR,
    "anthropic-messages": b"event: error\n"
    b'data: {"type":"error","error":{"type":"api_error","message":"Dead."}}\n\n',
    "gemini": b'data: {"error":{"code":500,"message":"Dead.","status":"INTERNAL"}}\n\n',
    "ollama-chat": b'{"error":"Dead."}\n',
}


@of_each_format
@pytest.mark.parametrize("goes_on", [False, True], ids=["and ends", "and ends as if nothing were"])
def test_an_error_inside_a_stream_of_status_200(read: Read, format: str, goes_on: bool) -> None:
    wire = WIRES[format]
    body = wire.of_json(SAID).removesuffix(wire.end) + ERRORS[format]
    error = raised_by(read(format, body + (wire.end if goes_on else b"")))
    assert isinstance(error, millstream.ProviderError)
    assert "Dead." in str(error)
    assert error.message is not None
    assert error.message.text == "before"


@of_each_format
@pytest.mark.parametrize("goes_on", [False, True], ids=["and ends", "and ends as if nothing were"])
def test_an_error_glued_onto_half_an_event(read: Read, format: str, goes_on: bool) -> None:
    wire = WIRES[format]
    half = wire.piece[: wire.piece.index(b"TEXT") + 3]
    body = wire.of_json(SAID).removesuffix(wire.end) + half + b'{"error":{"message":"Dead."}}\n\n'
    error = raised_by(read(format, body + (wire.end if goes_on else b"")))
    kinds = (millstream.ProviderError, millstream.ProtocolError, millstream.StreamInterrupted)
    assert isinstance(error, kinds)
    assert error.message is not None
    assert error.message.text == "before"


@of_each_format
def test_an_empty_body_is_no_answer(read: Read, format: str) -> None:
    error = raised_by(read(format, b""))
    assert type(error) is millstream.StreamInterrupted
    assert "before its first event" in str(error)


@pytest.mark.parametrize("format", [name for name in WIRES if name != "ollama-chat"])
def test_one_object_in_place_of_a_stream(read: Read, format: str) -> None:
    whole = b'{"id":"x","content":[{"type":"text","text":"Hi"}]}'
    error = raised_by(read(format, whole, content_type="application/json"))
    assert type(error) is millstream.ProtocolError
    assert (error.status, error.body) == (200, whole)
    said = b'{"type":"error","error":{"type":"t","message":"Too long.","code":400}}'
    error = raised_by(read(format, said, content_type="application/json"))
    assert isinstance(error, millstream.ProviderError)
    assert "Too long." in str(error)


# ---- odd chunks ----------------------------------------------------------------------------------


def delta(finish: str | None = None, **fields: Any) -> bytes:
    """A chat chunk with that delta."""
    return event({"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]})


@pytest.mark.parametrize("format", [name for name in WIRES if name != "ollama-chat"])
@at_any_size
@pytest.mark.parametrize("ping", [b":\n", b":\n\n", b": ping\r\n\r\n", b":\n:\n\n"], ids=repr)
def test_comments_as_pings(read: Read, format: str, ping: bytes, sizes: int | None) -> None:
    events = WIRES[format].body("a", "b").split(b"\n\n")
    body = ping + b"".join(each + b"\n\n" + ping for each in events if each)
    inside = body.replace(b"\ndata:", b"\n" + ping.split(b"\n\n")[0].strip() + b"\ndata:")
    for sent in (body, inside):
        stream = read(format, sent, sizes=sizes)
        assert list(stream.texts()) == ["a", "b"]


def test_null_is_no_text(ask: Ask) -> None:
    nothing = {"content": None, "reasoning_content": None, "refusal": None, "tool_calls": None}
    events = [delta(role="assistant", **nothing), delta(**{**nothing, "content": "a"})]
    stream = ask(mock.Replay(b"".join([*events, delta("stop", **nothing), DONE])))
    assert [c.type for c in stream if c.type != "other"] == ["text", "finish"]
    message = stream.message
    assert (message.text, message.reasoning, message.refusal) == ("a", "", "")
    assert message.tool_calls == ()


def test_a_role_in_every_delta(ask: Ask) -> None:
    events = [delta(role="assistant", content=piece) for piece in ("a", "b", "c")]
    message = ask(mock.Replay(b"".join([*events, delta("stop", role="assistant"), DONE]))).result()
    assert (message.role, message.text) == ("assistant", "abc")


@pytest.mark.parametrize("indexes", [True, False], ids=["with indexes", "without"])
def test_whole_tool_calls_in_one_chunk(ask: Ask, indexes: bool) -> None:
    calls: list[dict[str, Any]] = [
        {"id": "c_f", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
        {"id": "c_g", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]
    if indexes:
        calls = [{**each, "index": at} for at, each in enumerate(calls)]
    body = delta("tool_calls", role="assistant", content=None, tool_calls=calls) + DONE
    message = ask(mock.Replay(body)).result()
    assert message.tool_calls == ((0, "c_f", "f", '{"x":1}'), (1, "c_g", "g", "{}"))
    assert message.finish_reason == "tool_calls"


@pytest.mark.parametrize("code", [429, "429", "rate_limit_exceeded"], ids=repr)
def test_an_errors_code_is_a_number_or_a_string(ask: Ask, code: Any) -> None:
    said = event({"error": {"message": "Slow down.", "code": code}})
    error = raised_by(ask(mock.Replay(chat("a") + said)))
    assert isinstance(error, millstream.ProviderError)
    assert isinstance(error, millstream.RateLimited)
    assert error.status == 429
    assert isinstance(error.code, str)
    assert error.code.startswith(str(code)[:3])


@of_each_format
def test_usage_that_is_never_sent(read: Read, format: str) -> None:
    stream = read(format, WIRES[format].body("a"))
    assert all(chunk.usage is None for chunk in stream)
    assert stream.message.usage is None
