"""The stream: its iterators, its end by either side, what it tells, and backpressure."""

from __future__ import annotations

import gc
import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import millstream
from answers import DONE, MESSAGES, Task, chat, chunked, event, eventually, head, http_chunks
from conftest import Ask, Connect, Serve
from millstream import mock

WORDS = ["One", " two", " three", " four", " five"]
TEXT = "".join(WORDS)


def held_back(*before: str | mock.Gate) -> tuple[mock.Answer, mock.Gate]:
    """An answer whose last word waits for the gate."""
    gate = mock.Gate()
    return mock.Answer([*(before or WORDS), gate, " end"]), gate


# ---- iterating -----------------------------------------------------------------------------------


def test_a_for_loop_gives_every_chunk_and_then_stops(ask: Ask) -> None:
    stream = ask(mock.Answer(WORDS))
    chunks = list(stream)
    assert [chunk.text for chunk in chunks if chunk.text] == WORDS
    assert [chunk.type for chunk in chunks] == ["other", *["text"] * 5, "finish", "usage"]
    assert list(stream) == []
    assert next(stream, None) is None


def test_a_chunk_is_there_before_the_next_is_sent(ask: Ask) -> None:
    gates = [mock.Gate() for _ in WORDS]
    paced = [part for pair in zip(WORDS, gates, strict=True) for part in pair]
    texts = ask(mock.Answer(paced)).texts()
    for word, gate in zip(WORDS, gates, strict=True):
        assert next(texts) == word
        gate.open()
    assert list(texts) == []


def test_texts_are_only_the_pieces_of_text(ask: Ask) -> None:
    stream = ask(mock.Answer(WORDS, reasoning="Hm.", tool_calls=[mock.ToolCall("f")]))
    assert list(stream.texts()) == WORDS


@pytest.mark.parametrize("pace", [0.0, 0.002])
def test_batches_hold_all_chunks_once_and_are_never_empty(ask: Ask, pace: float) -> None:
    batches = list(ask(mock.Answer(WORDS * 20, pace=pace)).batches())
    assert all(batches)
    assert [chunk.text for batch in batches for chunk in batch if chunk.text] == WORDS * 20


def test_a_batch_holds_all_that_is_ready(serve: Serve, connect: Connect) -> None:
    client = connect(serve(mock.Answer(WORDS * 20)))
    stream = client.stream(model="m", messages=MESSAGES)
    assert eventually(lambda: client.metrics()["streams_ok"] == 1)
    (batch,) = stream.batches()
    assert len(batch) == client.metrics()["chunks"] == 103


def test_a_batch_ends_before_an_error_which_comes_next(serve: Serve, connect: Connect) -> None:
    client = connect(serve(mock.Answer(WORDS, cut_after=4)))
    batches = client.stream(model="m", messages=MESSAGES).batches()
    assert eventually(lambda: client.metrics()["streams_failed"] == 1)
    assert [chunk.text for chunk in next(batches)] == ["", *WORDS[:3]]
    with pytest.raises(millstream.StreamInterrupted):
        next(batches)
    assert next(batches, None) is None


def test_events_are_all_that_came_with_the_terminator(ask: Ask) -> None:
    events = [chat("Hi"), b"event: note\nid: 7\ndata: {}\n\n", b": ping\n\n", chat(finish="stop")]
    stream = ask(mock.Raw(chunked(*events, DONE)))
    came = list(stream.events())
    assert [(e.type, e.id) for e in came] == [
        ("message", ""),
        ("note", "7"),
        ("message", "7"),
        ("message", "7"),
    ]
    assert came[0].json()["choices"][0]["delta"] == {"content": "Hi"}
    assert came[3].data == "[DONE]"
    assert list(stream.events()) == []


def test_events_and_chunks_may_take_turns(ask: Ask) -> None:
    stream = ask(mock.Answer(WORDS))
    assert next(stream).type == "other"
    assert next(stream.events()).json()["choices"][0]["delta"]["content"] == WORDS[0]
    assert next(stream).text == WORDS[1]
    assert stream.result().text == TEXT


def test_two_threads_share_one_stream_chunk_by_chunk(ask: Ask) -> None:
    numbers = [f"{n} " for n in range(2000)]
    stream = ask(mock.Answer(numbers, pace=0.0001))
    start = threading.Barrier(2)

    def take() -> list[str]:
        start.wait()
        return [chunk.text for chunk in stream if chunk.text]

    first, second = Task(take), Task(take)
    parts = first.result(), second.result()
    assert sorted(parts[0] + parts[1], key=int) == numbers
    for part in parts:
        assert part == sorted(part, key=int)
    assert stream.message.text == "".join(numbers)


def test_threads_that_share_a_stream_see_its_error_once(ask: Ask) -> None:
    stream = ask(mock.Answer(WORDS * 50, cut_after=200, pace=0.0005))
    errors: list[millstream.Error] = []

    def take() -> None:
        try:
            for _ in stream:
                pass
        except millstream.Error as error:
            errors.append(error)

    for task in [Task(take) for _ in range(4)]:
        task.result()
    assert [type(error) for error in errors] == [millstream.StreamInterrupted]


def test_a_hundred_streams_run_before_the_first_is_read(serve: Serve, connect: Connect) -> None:
    server = serve(lambda request: mock.Answer(request.json()["model"]))
    client = connect(server)
    streams = [client.stream(model=f"m{n}", messages=MESSAGES) for n in range(100)]
    assert eventually(lambda: client.metrics()["streams_ok"] == 100)
    assert len(server.requests) == 100
    assert [stream.result().text for stream in streams] == [f"m{n}" for n in range(100)]


# ---- ending early --------------------------------------------------------------------------------


def test_break_in_a_with_block_frees_the_connection(serve: Serve, connect: Connect) -> None:
    script, _ = held_back()
    server = serve([script, "again"])
    client = connect(server)
    with client.stream(model="m", messages=MESSAGES) as stream:
        for chunk in stream:
            if chunk.text == WORDS[2]:
                break
    assert server.wait_disconnected(1)
    assert list(stream) == []
    assert stream.message.text == "".join(WORDS[:3])
    assert client.stream(model="m", messages=MESSAGES).result().text == "again"


def test_break_out_of_a_loop_over_a_nameless_stream_frees_the_connection(
    serve: Serve, connect: Connect
) -> None:
    script, _ = held_back()
    server = serve(script)
    for chunk in connect(server).stream(model="m", messages=MESSAGES):
        if chunk.text == WORDS[2]:
            break
    assert server.wait_disconnected(1)


def test_an_exception_in_a_with_block_frees_the_connection(serve: Serve, connect: Connect) -> None:
    script, _ = held_back()
    server = serve(script)

    def use() -> None:
        with connect(server).stream(model="m", messages=MESSAGES) as stream:
            raise ZeroDivisionError(next(stream))

    with pytest.raises(ZeroDivisionError):
        use()
    assert server.wait_disconnected(1)


def test_dropping_the_last_reference_cancels(serve: Serve, connect: Connect) -> None:
    script, _ = held_back()
    server = serve(script)
    client = connect(server)
    stream = client.stream(model="m", messages=MESSAGES)
    next(stream)
    del stream
    gc.collect()
    assert server.wait_disconnected(1)
    assert eventually(lambda: client.metrics()["streams_cancelled"] == 1)
    assert client.metrics()["streams_open"] == 0


def test_a_stream_dropped_at_once_does_no_harm(serve: Serve, connect: Connect) -> None:
    client = connect(serve("Hello"))
    for _ in range(50):
        client.stream(model="m", messages=MESSAGES)
    assert eventually(lambda: ended(client) == 50)
    assert client.metrics()["streams_open"] == 0
    assert client.stream(model="m", messages=MESSAGES).result().text == "Hello"


def ended(client: millstream.Client) -> int:
    metrics = client.metrics()
    return sum(int(metrics[f"streams_{how}"]) for how in ("ok", "failed", "cancelled"))


def test_an_iterator_keeps_its_stream_alive(ask: Ask) -> None:
    for iterator in (stream_of(ask).texts(), stream_of(ask).batches(), stream_of(ask).events()):
        gc.collect()
        assert list(iterator)


def stream_of(ask: Ask) -> millstream.Stream:
    return ask(mock.Answer(WORDS))


def test_cancel_wakes_a_thread_that_waits(serve: Serve, connect: Connect) -> None:
    script, gate = held_back()
    server = serve(script)
    stream = connect(server).stream(model="m", messages=MESSAGES)
    seen: list[str] = []
    waits = threading.Event()

    def take() -> None:
        for chunk in stream:
            seen.append(chunk.text)
            if chunk.text == WORDS[-1]:
                waits.set()

    task = Task(take)
    assert waits.wait(20)
    assert gate.wait_reached()
    stream.cancel()
    with pytest.raises(millstream.Cancelled) as caught:
        task.result()
    assert "".join(seen) == TEXT
    assert caught.value.message is not None
    assert caught.value.message.text == TEXT
    assert list(stream) == []
    assert server.wait_disconnected(1)


def test_close_ends_the_iteration_of_another_thread(serve: Serve, connect: Connect) -> None:
    script, gate = held_back()
    server = serve(script)
    stream = connect(server).stream(model="m", messages=MESSAGES)
    task = Task(lambda: [chunk.text for chunk in stream])
    assert gate.wait_reached()
    stream.close()
    assert TEXT.startswith("".join(task.result()))
    assert server.wait_disconnected(1)


@pytest.mark.parametrize("waiters", [2, 8])
def test_cancel_wakes_every_thread_and_one_raises(ask: Ask, waiters: int) -> None:
    script, gate = held_back()
    stream = ask(script)
    while next(stream).text != WORDS[-1]:
        pass
    tasks = [Task(lambda: list(stream)) for _ in range(waiters)]
    assert gate.wait_reached()
    stream.cancel()
    outcomes = [outcome(task.result) for task in tasks]
    assert outcomes.count(millstream.Cancelled) == 1
    assert outcomes.count(None) == waiters - 1


def outcome(function: Callable[[], object]) -> type[BaseException] | None:
    try:
        function()
    except BaseException as error:
        return type(error)
    return None


WAITS: dict[str, Callable[[millstream.Stream], object]] = {
    "next": next,
    "events": lambda stream: next(stream.events()),
    "batches": lambda stream: next(stream.batches()),
    "texts": lambda stream: next(stream.texts()),
    "result": lambda stream: stream.result(),
    "response": lambda stream: stream.response,
}


@pytest.mark.parametrize("wait", WAITS)
def test_cancel_ends_every_way_to_wait(ask: Ask, wait: str) -> None:
    gate = mock.Gate()
    stream = ask(mock.Raw([gate]))
    task = Task(lambda: WAITS[wait](stream))
    assert gate.wait_reached()
    stream.cancel()
    with pytest.raises(millstream.Cancelled, match="cancel"):
        task.result()


def test_cancel_before_the_first_chunk_is_taken_drops_what_is_there(
    serve: Serve, connect: Connect
) -> None:
    client = connect(serve("Hello"))
    stream = client.stream(model="m", messages=MESSAGES)
    assert eventually(lambda: client.metrics()["streams_ok"] == 1)
    stream.cancel()
    with pytest.raises(millstream.Cancelled):
        next(stream)
    assert list(stream) == []


def test_cancel_is_idempotent_and_harmless_after_the_end(ask: Ask) -> None:
    stream = ask(mock.Answer(WORDS))
    message = stream.result()
    for _ in range(3):
        stream.cancel()
        stream.close()
    assert list(stream) == []
    assert stream.message == stream.result() == message
    with stream as same:
        assert same is stream
        assert list(same) == []


def test_cancel_twice_raises_once(ask: Ask) -> None:
    stream = ask(held_back()[0])
    stream.cancel()
    stream.cancel()
    with pytest.raises(millstream.Cancelled):
        next(stream)
    stream.cancel()
    assert list(stream) == []


def test_many_threads_cancel_at_once(ask: Ask) -> None:
    for _ in range(20):
        stream = ask(held_back()[0])
        taker = Task(lambda stream=stream: list(stream))  # type: ignore[misc]
        for task in [Task(stream.cancel) for _ in range(4)]:
            task.result()
        with pytest.raises(millstream.Cancelled):
            taker.result()


# ---- message and result --------------------------------------------------------------------------


def test_the_message_grows_with_the_chunks_taken(ask: Ask) -> None:
    stream = ask(mock.Answer(WORDS))
    assert stream.message.text == ""
    assert stream.message.finish_reason is None
    text = ""
    for chunk in stream:
        text += chunk.text
        assert stream.message.text == text
    message = stream.message
    assert (message.text, message.role, message.model) == (TEXT, "assistant", "m")
    assert (message.finish_reason, message.finish_reason_raw) == ("stop", "stop")
    assert message.id is not None
    assert message.id.startswith("chatcmpl-")
    assert (message.reasoning, message.refusal, message.tool_calls) == ("", "", ())


def test_result_waits_for_the_end_any_number_of_times(ask: Ask) -> None:
    stream = ask(mock.Answer(WORDS, usage=mock.Usage(7, 5, reasoning_tokens=2, cached_tokens=3)))
    message = stream.result()
    assert message.text == TEXT
    assert message.usage is not None
    assert message.usage[:4] == (7, 5, 2, 3)
    assert message.usage.raw["total_tokens"] == 12
    assert stream.result() == message
    assert list(stream) == []


def test_result_after_a_part_was_iterated_is_the_whole(ask: Ask) -> None:
    stream = ask(mock.Answer(WORDS))
    for chunk in stream:
        if chunk.text == WORDS[1]:
            break
    assert stream.result().text == TEXT


def test_result_raises_what_ended_the_stream_again_and_again(ask: Ask) -> None:
    stream = ask(mock.Answer(WORDS, cut_after=3))
    for _ in range(3):
        with pytest.raises(millstream.StreamInterrupted) as caught:
            stream.result()
        assert caught.value.message is not None
        assert caught.value.message.text == "".join(WORDS[:2])
    assert list(stream) == []


def test_result_raises_after_the_iteration_did(ask: Ask) -> None:
    stream = ask(mock.Answer(WORDS, cut_after=3))
    with pytest.raises(millstream.StreamInterrupted):
        list(stream)
    with pytest.raises(millstream.StreamInterrupted):
        stream.result()


@pytest.mark.parametrize(
    ("word", "normal"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_calls", "tool_calls"),
        ("function_call", "tool_calls"),
        ("content_filter", "content_filter"),
        ("tired", "other"),
    ],
)
def test_the_finish_reason_is_normalised_beside_the_word(ask: Ask, word: str, normal: str) -> None:
    stream = ask(mock.Answer("x", finish_reason=word))
    (finish,) = (chunk for chunk in stream if chunk.type == "finish")
    assert (finish.finish_reason, finish.finish_reason_raw) == (normal, word)
    assert (stream.message.finish_reason, stream.message.finish_reason_raw) == (normal, word)


def test_choices_are_kept_apart(ask: Ask) -> None:
    stream = ask(
        mock.Answer("Yes, I do", choices=["No", mock.Answer("Why?", finish_reason="length")])
    )
    texts = ["", "", ""]
    for chunk in stream:
        texts[chunk.choice] += chunk.text
    assert texts == ["Yes, I do", "No", "Why?"]
    message = stream.message
    assert [(c.index, c.text, c.finish_reason) for c in message.choices] == [
        (0, "Yes, I do", "stop"),
        (1, "No", "stop"),
        (2, "Why?", "length"),
    ]
    assert message.text == "Yes, I do"


def test_tool_calls_come_in_fragments_and_are_put_together(ask: Ask) -> None:
    calls = [
        mock.ToolCall("get_weather", '{"city": "Paris"}', id="call_1"),
        mock.ToolCall("now", "{}", id="call_2"),
    ]
    stream = ask(mock.Answer(tool_calls=calls))
    fragments = [chunk.tool_call for chunk in stream if chunk.tool_call is not None]
    assert [(f.index, f.id, f.name) for f in fragments if f.id] == [
        (0, "call_1", "get_weather"),
        (1, "call_2", "now"),
    ]
    assert {(f.id, f.name) for f in fragments[1:] if f.index == 0} == {("", "")}
    assert len([f for f in fragments if f.index == 0]) > 2
    for index, call in enumerate(calls):
        assert "".join(f.arguments for f in fragments if f.index == index) == call.arguments
    assert stream.message.tool_calls == (
        (0, "call_1", "get_weather", '{"city": "Paris"}'),
        (1, "call_2", "now", "{}"),
    )
    assert stream.message.finish_reason == "tool_calls"


def test_the_last_usage_counts_and_each_is_a_chunk(ask: Ask) -> None:
    def usage(given: int, output: int) -> dict[str, Any]:
        return {"usage": {"prompt_tokens": given, "completion_tokens": output}}

    events = [chat("a", **usage(9, 1)), chat("b", finish="stop", **usage(9, 2))]
    stream = ask(mock.Raw(chunked(*events, event({"choices": [], **usage(9, 3)}), DONE)))
    chunks = list(stream)
    assert [c.type for c in chunks] == ["text", "usage", "text", "finish", "usage", "usage"]
    counts = [c.usage.output_tokens for c in chunks if c.usage is not None]
    assert counts == [1, 2, 3]
    assert stream.message.usage is not None
    assert stream.message.usage[:4] == (9, 3, None, None)
    assert stream.message.usage.raw == {"prompt_tokens": 9, "completion_tokens": 3}


def test_reasoning_and_refusal_are_apart_from_the_text(ask: Ask) -> None:
    stream = ask(mock.Answer("Four.", reasoning="2 + 2", refusal="Not five."))
    said = {"text": "", "reasoning": "", "refusal": ""}
    for chunk in stream:
        for name in said:
            said[name] += getattr(chunk, name)
        if chunk.type in said:
            assert [name for name in said if getattr(chunk, name)] == [chunk.type]
    assert said == {"text": "Four.", "reasoning": "2 + 2", "refusal": "Not five."}
    message = stream.message
    assert (message.text, message.reasoning, message.refusal) == tuple(said.values())


def test_text_is_kept_character_for_character(ask: Ask) -> None:
    odd = "a\u2028b\u2029c\u0085d\ufeffe\x0bf data: [DONE]\n\ng 🎈 日本 \x00 \\u0041"
    stream = ask(mock.Raw(chunked(chat(odd, finish="stop"), DONE)))
    assert stream.result().text == odd


# ---- response and timing -------------------------------------------------------------------------


def test_the_response_waits_for_the_head(ask: Ask) -> None:
    gate = mock.Gate()
    answer = chunked(chat("x", finish="stop"), DONE, X_Request_Id="req-7", X_Two="a")
    answer = answer.replace(b"X-Two: a\r\n", b"X-Two: a\r\nx-two:  b \r\n")
    stream = ask(mock.Raw([gate, answer]))
    task = Task(lambda: stream.response)
    assert gate.wait_reached()
    assert task.running
    gate.open()
    response = task.result()
    assert (response.status, response.http_version, response.request_id) == (200, "1.1", "req-7")
    headers = response.headers
    assert headers["content-TYPE"] == headers["Content-Type"] == "text/event-stream"
    assert headers["X-TWO"] == "a, b"
    assert headers.get_all("x-Two") == ["a", "b"]
    assert headers.get_all("absent") == []
    assert "x-request-id" in headers
    assert "absent" not in headers
    assert headers.get("absent") is None
    assert sorted(name.lower() for name in headers) == [
        "content-type",
        "transfer-encoding",
        "x-request-id",
        "x-two",
    ]
    assert len(headers) == 4
    with pytest.raises(KeyError):
        headers["absent"]
    assert stream.result().text == "x"
    assert stream.response.headers == headers


def test_the_response_of_an_error_answer_is_there_too(ask: Ask) -> None:
    stream = ask(mock.Error(404, headers={"X-Request-Id": "req-8"}))
    assert stream.response.status == 404
    assert stream.response.request_id == "req-8"
    with pytest.raises(millstream.NotFound) as caught:
        list(stream)
    assert caught.value.request_id == "req-8"


def test_the_response_without_an_answer_raises_what_happened(ask: Ask) -> None:
    stream = ask(mock.Raw(b""))
    for _ in range(2):
        with pytest.raises(millstream.ConnectError):
            _ = stream.response


def test_the_response_takes_no_chunk(ask: Ask) -> None:
    stream = ask(mock.Answer(WORDS))
    assert stream.response.status == 200
    assert "".join(stream.texts()) == TEXT


def test_timing_is_none_before_and_ordered_after(ask: Ask) -> None:
    before_head, before_chunk, before_end = mock.Gate(), mock.Gate(), mock.Gate()
    stream = ask(
        mock.Raw(
            [
                before_head,
                head(Transfer_Encoding="chunked"),
                before_chunk,
                http_chunks([chat("x", finish="stop")]),
                before_end,
                http_chunks([DONE]) + b"0\r\n\r\n",
            ]
        )
    )
    assert before_head.wait_reached()
    timing = stream.timing
    assert timing.connect is not None
    assert timing[1:] == (None, None, None, 0, 0)
    before_head.open()
    assert stream.response.status == 200
    timing = stream.timing
    assert timing.first_byte is not None
    assert timing[2:] == (None, None, 0, 0)
    before_chunk.open()
    assert next(stream).text == "x"
    assert eventually(lambda: stream.timing.chunks == 2)
    timing = stream.timing
    assert timing.first_chunk is not None
    assert timing.total is None
    before_end.open()
    assert stream.result().text == "x"
    timing = stream.timing
    assert None not in timing
    assert timing.connect is not None
    assert timing.first_byte is not None
    assert timing.first_chunk is not None
    assert timing.total is not None
    assert 0 < timing.connect <= timing.first_byte <= timing.first_chunk <= timing.total
    assert (timing.chunks, timing.retries) == (2, 0)
    assert stream.timing == timing


def test_wait_says_whether_next_would_block(ask: Ask) -> None:
    gate = mock.Gate()
    stream = ask(mock.Raw([gate, chunked(chat("x", finish="stop"), DONE)]))
    assert gate.wait_reached()
    assert stream.wait(0) is False
    assert stream.wait(timeout=0.05) is False
    gate.open()
    assert stream.wait() is True
    assert stream.wait(0) is True
    assert next(stream).text == "x"
    list(stream)
    assert stream.wait() is True


@pytest.mark.parametrize(
    ("timeout", "error"),
    [(-1, ValueError), (float("nan"), ValueError), ("1", TypeError), ([], TypeError)],
)
def test_wait_refuses_what_is_no_time(ask: Ask, timeout: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        ask("x").wait(timeout)


# ---- metrics -------------------------------------------------------------------------------------

COUNTERS = {
    "streams_started", "streams_open", "streams_ok", "streams_failed", "streams_cancelled",
    "retries", "connections", "chunks", "events", "bytes_received", "bytes_sent", "wakeups",
    "pauses", "gil_takes",
}  # fmt: skip
SECONDS = {"first_chunk_total", "inter_chunk_total", "gil_wait_total", "gil_hold_total"}
HISTOGRAMS = {"first_chunk_seconds", "inter_chunk_seconds", "gil_hold_seconds"}


def test_metrics_have_these_names_and_types() -> None:
    client = millstream.Client(base_url="http://127.0.0.1:1")
    names = COUNTERS | SECONDS | HISTOGRAMS
    assert client.metrics().keys() == names
    assert millstream.metrics().keys() == names | {"engine_cpu_total"}
    for metrics in (client.metrics(), millstream.metrics()):
        assert all(type(metrics[name]) is int for name in COUNTERS)
        assert all(type(metrics[name]) is float for name in SECONDS)
        for name in HISTOGRAMS:
            assert all(type(bound) is float and count > 0 for bound, count in metrics[name].items())
    assert not any(client.metrics().values())


def test_metrics_count_exactly(serve: Serve, connect: Connect) -> None:
    body = [chat("a"), chat("b", finish="stop"), DONE]
    server = serve([mock.Raw(chunked(*body), then="keep"), mock.Answer(WORDS, cut_after=3), "x"])
    client = connect(server)
    before = millstream.metrics()

    client.stream(model="m", messages=MESSAGES).result()
    metrics = client.metrics()
    expected = {
        "streams_started": 1,
        "streams_open": 0,
        "streams_ok": 1,
        "streams_failed": 0,
        "streams_cancelled": 0,
        "retries": 0,
        "connections": 1,
        "chunks": 3,
        "events": 3,
        "bytes_received": len(b"".join(body)),
        "bytes_sent": len(server.requests[0].body),
        "pauses": 0,
    }
    assert {name: metrics[name] for name in expected} == expected
    assert sum(metrics["first_chunk_seconds"].values()) == 1

    with pytest.raises(millstream.StreamInterrupted):
        client.stream(model="m", messages=MESSAGES).result()
    metrics = client.metrics()
    expected |= {"streams_started": 2, "streams_failed": 1, "chunks": 6, "events": 6}
    expected["bytes_sent"] += len(server.requests[1].body)
    del expected["bytes_received"]
    assert {name: metrics[name] for name in expected} == expected

    client.stream(model="m", messages=MESSAGES).cancel()
    assert eventually(lambda: ended(client) == 3)
    metrics = client.metrics()
    assert metrics["streams_started"] == 3
    assert metrics["streams_open"] == 0
    assert metrics["streams_failed"] == 1

    after = millstream.metrics()
    for name in COUNTERS - {"streams_open"}:
        assert after[name] - before[name] >= metrics[name], name


def test_clients_are_counted_apart(serve: Serve, connect: Connect) -> None:
    server = serve("Hello")
    one, other = connect(server), connect(server)
    one.stream(model="m", messages=MESSAGES).result()
    assert one.metrics()["streams_ok"] == 1
    assert other.metrics()["streams_started"] == 0


# ---- connections ---------------------------------------------------------------------------------


def test_a_connection_is_used_again_after_the_terminator(serve: Serve, connect: Connect) -> None:
    server = serve(mock.Raw(chunked(chat("x", finish="stop"), DONE), then="keep"))
    client = connect(server)
    for _ in range(20):
        assert client.stream(model="m", messages=MESSAGES).result().text == "x"
    assert server.connections.opened == 1
    assert [request.connection for request in server.requests] == [0] * 20
    assert client.metrics()["connections"] == 1


def test_clients_share_their_connections(serve: Serve, connect: Connect) -> None:
    server = serve(mock.Raw(chunked(chat("x", finish="stop"), DONE), then="keep"))
    for _ in range(5):
        connect(server).stream(model="m", messages=MESSAGES).result()
    assert server.connections.opened == 1


def test_a_unix_socket_can_be_the_way(tmp_path: Any, serve: Serve, connect: Connect) -> None:
    path = str(tmp_path / "s")
    server = serve("Hello", unix_socket=path)
    client = connect(server, unix_socket=path)
    assert client.stream(model="m", messages=MESSAGES).result().text == "Hello"


# ---- backpressure --------------------------------------------------------------------------------

PIECE = "x" * 65536
PIECES = 1024  # 64 MiB, more than the kernel's socket buffers take


class Flood:
    """64 MiB of chat chunks; counts what the socket took."""

    def __init__(self) -> None:
        self.sent = 0

    def parts(self) -> Iterator[bytes]:
        piece = http_chunks([chat(PIECE)])
        yield head(Transfer_Encoding="chunked")
        for _ in range(PIECES):
            self.sent += 1
            yield piece
        yield http_chunks([chat(finish="stop"), DONE]) + b"0\r\n\r\n"


def test_a_consumer_that_does_not_read_holds_back_only_its_own_server(
    serve: Serve, connect: Connect
) -> None:
    flood = Flood()
    limits = millstream.Limits(buffered_bytes=100_000)
    slow = connect(serve(lambda _: mock.Raw(flood.parts())), limits=limits)
    stream = slow.stream(model="m", messages=MESSAGES)
    assert eventually(lambda: slow.metrics()["pauses"] == 1)
    received = slow.metrics()["bytes_received"]
    assert received <= 100_000 + 2 * len(PIECE)

    # Meanwhile another answer of the same size comes through the same engine.
    other = connect(serve(mock.Raw(Flood().parts())))
    assert len(other.stream(model="m", messages=MESSAGES).result().text) == PIECES * len(PIECE)

    assert slow.metrics()["pauses"] == 1
    assert slow.metrics()["bytes_received"] == received
    assert flood.sent < PIECES

    chunks = [chunk.text for chunk in stream if chunk.text]
    assert chunks == [PIECE] * PIECES
    assert flood.sent == PIECES
    assert slow.metrics()["pauses"] > 1


def test_an_event_larger_than_the_buffer_passes(ask: Ask) -> None:
    large = "y" * 1_000_000
    limits = millstream.Limits(buffered_bytes=1024)
    stream = ask(mock.Raw(chunked(chat("a"), chat(large), chat("b", "stop"), DONE)), limits=limits)
    assert [chunk.text for chunk in stream if chunk.text] == ["a", large, "b"]


def test_a_tiny_buffer_loses_nothing(serve: Serve, connect: Connect) -> None:
    words = [f"{n} " for n in range(1000)]
    client = connect(serve(mock.Answer(words)), limits=millstream.Limits(buffered_bytes=1))
    stream = client.stream(model="m", messages=MESSAGES)
    assert list(stream.texts()) == words
    assert client.metrics()["pauses"] > 100


def test_a_paused_stream_can_be_cancelled(serve: Serve, connect: Connect) -> None:
    server = serve(lambda _: mock.Raw(Flood().parts()))
    client = connect(server, limits=millstream.Limits(buffered_bytes=1))
    stream = client.stream(model="m", messages=MESSAGES)
    assert eventually(lambda: client.metrics()["pauses"] == 1)
    stream.close()
    assert server.wait_disconnected(1)
    assert eventually(lambda: client.metrics()["streams_open"] == 0)


# ---- chunks and events ---------------------------------------------------------------------------


def one_chunk(ask: Ask, *events: bytes) -> millstream.Chunk:
    return next(iter(ask(mock.Raw(chunked(*events)))))


def test_a_chunk_tells_its_event(ask: Ask) -> None:
    sent = chat("Hä")
    chunk = one_chunk(ask, b"id: 3\nevent: delta\n" + sent)
    assert chunk.raw == sent.removeprefix(b"data: ").rstrip(b"\n")
    assert chunk.json()["choices"][0]["delta"]["content"] == "Hä"
    assert chunk.event == millstream.Event("delta", chunk.raw.decode(), "3")
    assert chunk.event.raw == chunk.raw
    assert chunk.event.json() == chunk.json()


def test_the_deltas_of_one_event_are_chunks_of_the_same_event(ask: Ask) -> None:
    first, second, other = itertools.islice(
        ask(mock.Raw(chunked(chat("Hi", finish="stop"), chat("x")))), 3
    )
    assert (first.type, first.text, first.finish_reason) == ("text", "Hi", None)
    assert (second.type, second.text, second.finish_reason) == ("finish", "", "stop")
    assert first.event is second.event
    assert first.raw == second.raw
    assert first.json() == second.json()
    assert other.event != first.event


def test_an_event_without_a_known_delta_is_a_chunk_of_its_own_kind(ask: Ask) -> None:
    chunk = one_chunk(ask, event({"object": "prompt.progress", "done": 0.5}))
    assert chunk.type == "other"
    assert chunk.json() == {"object": "prompt.progress", "done": 0.5}


def test_a_chunk_says_only_what_it_is(ask: Ask) -> None:
    chunk = one_chunk(ask, chat("Hi"))
    assert (chunk.type, str(chunk), chunk.choice) == ("text", "Hi", 0)
    assert (chunk.reasoning, chunk.refusal) == ("", "")
    assert (chunk.tool_call, chunk.usage) == (None, None)
    assert (chunk.finish_reason, chunk.finish_reason_raw) == (None, None)


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (chat("a'b"), """Chunk(type='text', choice=0, text="a'b")"""),
        (chat(index=2, finish="stop"), "Chunk(type='finish', choice=2, finish_reason_raw='stop')"),
        (event({"choices": [], "usage": {"prompt_tokens": 1}}), "Chunk(type='usage', choice=0, us"),
        (event({"a": 1}), "Chunk(type='other', choice=0, raw=b'{\"a\":1}')"),
    ],
)
def test_the_repr_of_a_chunk_says_what_it_is(ask: Ask, sent: bytes, shown: str) -> None:
    assert repr(one_chunk(ask, sent)).startswith(shown)


def test_a_chunk_cannot_be_changed_or_made(ask: Ask) -> None:
    chunk = one_chunk(ask, chat("Hi"))
    for name in ("text", "type", "choice", "more"):
        with pytest.raises(AttributeError):
            setattr(chunk, name, "x")
        with pytest.raises(AttributeError):
            delattr(chunk, name)
    with pytest.raises(TypeError):
        millstream.Chunk()
    with pytest.raises(TypeError):
        type("Sub", (millstream.Chunk,), {})
    with pytest.raises(TypeError):
        millstream.Chunk.more = 1  # type: ignore[attr-defined]


def test_chunks_outlive_their_stream(ask: Ask) -> None:
    chunks = list(ask(mock.Answer(WORDS)))
    gc.collect()
    assert "".join(chunk.text for chunk in chunks) == TEXT
    assert chunks[1].event.json() == chunks[1].json()


def test_events_compare_by_value_and_show_themselves() -> None:
    event_ = millstream.Event("note", "d", "7")
    assert event_ == millstream.Event(type="note", data="d", id="7")
    assert hash(event_) == hash(millstream.Event("note", "d", "7"))
    for other in (
        millstream.Event("note", "d", "8"),
        millstream.Event("note", "e", "7"),
        millstream.Event("n", "oted", "7"),
        "note",
    ):
        assert event_ != other
    assert repr(event_) == "Event(type='note', data='d', id='7')"
    assert millstream.Event() == millstream.Event("message", "", "")
    assert millstream.Event(data="{}").json() == {}
    assert millstream.Event(data="ä").raw == b"\xc3\xa4"
    with pytest.raises(AttributeError):
        event_.data = "x"  # type: ignore[misc]
    with pytest.raises(TypeError):
        event_ < event_  # type: ignore[operator]  # noqa: B015


def test_invalid_utf8_becomes_replacement_characters(ask: Ask) -> None:
    body = b'data: {"choices":[{"index":0,"delta":{"content":"a\xffb\xe2\x82"}}]}\n\n'
    chunk = one_chunk(ask, body)
    assert chunk.text == "a\ufffdb\ufffd"
    assert b"\xff" in chunk.raw


def test_messages_and_their_parts_are_plain_tuples(ask: Ask) -> None:
    message = ask(mock.Answer("Hi", tool_calls=[mock.ToolCall("f")])).result()
    assert isinstance(message, tuple)
    assert type(message.choices[0]) is millstream.Choice
    assert type(message.tool_calls[0]) is millstream.ToolCall
    assert type(message.usage) is millstream.Usage
    with pytest.raises(AttributeError):
        message.text = "x"  # type: ignore[misc]
