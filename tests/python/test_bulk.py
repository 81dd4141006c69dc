"""Bulk jobs from Python: what comes out, in which order, what is asked again, and where."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import millstream
from answers import Task, chat, eventually, head, http_chunks
from conftest import API_KEY, Connect, Serve
from millstream import AsyncClient, BulkResult, Endpoint, mock
from millstream._bulk import _async, _sync
from millstream._bulk._job import Job
from millstream._bulk._rows import Ids

Ask = Callable[..., list[BulkResult]]


def question(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


def said(request: mock.Request) -> str:
    """The question of a request."""
    content: str = request.json()["messages"][-1]["content"]
    return content


def by_question(**answers: Any) -> Callable[[mock.Request], Any]:
    """A script: the answer to each question; the question itself where none is given."""
    return lambda request: answers.get(said(request), said(request))


def job_of(client: millstream.Client, concurrency: int) -> Job:
    return Job(
        client, concurrency=concurrency, ordered=False, requests_per_minute=None,
        tokens_per_minute=None, endpoints=None, into=None, max_retries=0, prices=None,
    )  # fmt: skip


async def gather(client: AsyncClient, requests: Any, **options: Any) -> list[BulkResult]:
    return [result async for result in client.bulk(requests, **options)]


@pytest.fixture(params=["sync", "asyncio", "trio"])
def bulk(request: pytest.FixtureRequest) -> Ask:
    """All results of a job at a server, in a thread or in an event loop."""

    def run(to: mock.Server, requests: Iterable[Any], **options: Any) -> list[BulkResult]:
        if request.param == "sync":
            client = millstream.Client(base_url=to.url, api_key=API_KEY)
            return list(client.bulk(requests, **options))
        job = gather(AsyncClient(base_url=to.url, api_key=API_KEY), requests, **options)
        if request.param == "asyncio":
            return asyncio.run(job)
        trio = pytest.importorskip("trio")

        async def main() -> list[BulkResult]:
            return await job

        found: list[BulkResult] = trio.run(main)
        return found

    return run


# ---- what comes out ------------------------------------------------------------------------------


def test_each_request_has_one_result(serve: Serve, bulk: Ask) -> None:
    server = serve(by_question())
    results = bulk(server, (question(str(n), id=f"q{n}") for n in range(300)), concurrency=40)
    assert sorted(each.index for each in results) == list(range(300))
    for each in results:
        assert (each.text, each.id, each.error) == (str(each.index), f"q{each.index}", None)
        assert each.attempts == 1
        assert each.finish_reason == "stop"
        assert each.endpoint == server.url
        assert each.usage is not None
        assert each.first_chunk is not None
        assert each.duration is not None
        assert each.duration >= each.first_chunk > 0
        assert each.chunks >= 1
    assert len(server.requests) == 300


def test_in_order_whoever_is_ready_first(serve: Serve, bulk: Ask) -> None:
    gate = mock.Gate()
    answered = itertools.count()

    def script(request: mock.Request) -> Any:
        if said(request) == "0":
            return mock.Answer([gate, "late"])
        if next(answered) == 8:  # those that may run ahead did
            gate.open()
        return said(request)

    results = bulk(
        serve(script), [question(str(n)) for n in range(50)], concurrency=5, ordered=True
    )
    assert [each.index for each in results] == list(range(50))
    assert results[0].text == "late"


def test_an_error_is_a_row_and_not_the_end(serve: Serve, bulk: Ask) -> None:
    server = serve(
        by_question(
            bad=mock.Error(400), cut=mock.Answer("half of it", cut_after=2), no=mock.Error(500)
        )
    )
    requests: list[Any] = [
        question("bad"), question("cut"), question("no"), question("good"), {"model": "m"}, 5,
        question("x", id="same"), question("y", id="same"), question("x", id=1.5),
        question("x", tools="none"),
    ]  # fmt: skip
    results = {each.index: each for each in bulk(server, requests, max_retries=1)}
    kinds = {n: type(each.error).__name__ for n, each in results.items() if each.error}
    assert kinds == {
        0: "BadRequest", 1: "StreamInterrupted", 2: "ServerError", 4: "BadRequest",
        5: "BadRequest", 7: "BadRequest", 8: "BadRequest", 9: "BadRequest",
    }  # fmt: skip
    assert [results[n].attempts for n in (0, 1, 2, 3, 4)] == [1, 2, 2, 1, 0]
    assert results[3].text == "good"
    assert results[1].text  # what had come
    assert results[1].text != "half of it"
    assert "messages: is missing" in str(results[4].error)
    assert results[7].error is not None
    assert results[7].error.code == "duplicate_id"
    assert results[6].error is None


def test_the_forms_of_a_request(serve: Serve, bulk: Ask) -> None:
    server = serve(by_question())
    body = {"model": "of-body", "messages": [{"role": "user", "content": "b"}], "stream": False}
    line = {"custom_id": "x-1", "method": "POST", "url": "/v1/chat/completions", "body": body}
    other = {**line, "custom_id": "x-2", "url": "/v1/embeddings"}
    results = {
        each.index: each
        for each in bulk(
            server, ["p", {"prompt": "q", "model": "m"}, line, other],
            endpoints=[Endpoint()],
        )
    }  # fmt: skip
    assert [results[n].id for n in range(4)] == ["0", "1", "x-1", "x-2"]
    assert "model: is missing" in str(results[0].error)
    assert results[1].text == "q"
    assert results[2].text == "b"
    assert "url" in str(results[3].error)
    sent = [request.json() for request in server.requests]
    assert {each["model"] for each in sent} == {"m", "of-body"}
    assert all(each["stream"] is True for each in sent)


def test_a_str_is_a_question_where_the_endpoint_knows_the_model(serve: Serve, bulk: Ask) -> None:
    (result,) = bulk(serve(by_question()), ["Hi"], endpoints=[Endpoint(model="m")])
    assert (result.text, result.error) == ("Hi", None)


@dataclass
class City:
    name: str
    people: int


def test_answers_are_parsed(serve: Serve, bulk: Ask) -> None:
    server = serve(by_question(a='{"name": "Ulm", "people": 3}', b='{"name": 1}'))
    results = bulk(server, [question("a"), question("b")], into=City, ordered=True)
    assert results[0].parsed == City("Ulm", 3)
    assert results[0].row()["parsed"] == {"name": "Ulm", "people": 3}
    assert isinstance(results[1].error, millstream.ValidationError)
    assert results[1].parsed is None
    assert results[1].text == '{"name": 1}'


def test_a_result_as_a_row(serve: Serve, bulk: Ask) -> None:
    answer = mock.Answer("Hi", usage=mock.Usage(1000, 500), tool_calls=[mock.ToolCall("f", "{}")])
    (result,) = bulk(serve(answer), [question("x")], prices=(2.0, 10.0))
    assert result.cost == pytest.approx(0.007)
    row = result.row()
    assert row["usage"]["input_tokens"] == 1000
    assert row["tool_calls"][0]["name"] == "f"
    assert row["cost"] == result.cost
    assert row["error"] is None
    with pytest.raises(AttributeError):
        result.id = "other"  # type: ignore[misc]


def test_on_result_is_called_before(serve: Serve, bulk: Ask) -> None:
    seen: list[int] = []
    results = bulk(serve("x"), [question("q")] * 20, on_result=lambda each: seen.append(each.index))
    assert seen == [each.index for each in results]


def test_what_on_result_returns_is_awaited(serve: Serve) -> None:
    seen: list[str] = []

    async def keep(result: BulkResult) -> None:
        await asyncio.sleep(0)
        seen.append(result.id)

    client = AsyncClient(base_url=serve("x").url, api_key=API_KEY)
    results = asyncio.run(gather(client, [question("q")] * 3, on_result=keep))
    assert len(results) == len(seen) == 3


# ---- what is pulled, and what is let go ----------------------------------------------------------


@pytest.mark.parametrize("ordered", [False, True])
def test_requests_are_pulled_when_there_is_room(
    serve: Serve, connect: Connect, ordered: bool
) -> None:
    pulled = 0

    def requests() -> Iterator[Any]:
        nonlocal pulled
        for n in itertools.count():
            pulled = n + 1
            yield question(str(n))

    results = connect(serve("x")).bulk(requests(), concurrency=10, ordered=ordered)
    most = 0
    for count, _ in enumerate(itertools.islice(results, 500), 1):
        most = max(most, pulled - count)
    results.close()  # type: ignore[attr-defined]
    assert most <= 10 * (5 if ordered else 2)


def test_what_a_client_keeps_from_its_streams_is_not_a_jobs(serve: Serve, connect: Connect) -> None:
    """A job tries again by itself, also where the client's last request is to be sent again."""
    server = serve([mock.Answer("yes"), mock.Error(503)])
    client = connect(server, max_retries=3)
    assert client.stream(model="m", messages=[{"role": "user", "content": "?"}]).result().text
    (result,) = client.bulk([question("?")], max_retries=0)
    assert isinstance(result.error, millstream.ServerError)
    assert len(server.requests) == 2


def test_leaving_ends_all_streams(serve: Serve, connect: Connect) -> None:
    gate = mock.Gate()
    server = serve(lambda request: "x" if said(request) == "19" else mock.Answer([gate]))
    client = connect(server, timeout=None)
    job = job_of(client, concurrency=20)
    results = _sync.run(job, (question(str(n)) for n in range(20)), None)
    assert next(results).index == 19
    held = [*job._active]  # so that not their loss ends them
    assert len(held) == client.metrics()["streams_open"] == 19
    results.close()  # type: ignore[attr-defined]
    assert eventually(lambda: client.metrics()["streams_open"] == 0)


def test_a_task_that_is_cancelled_ends_all_streams(serve: Serve) -> None:
    gate = mock.Gate()
    client = AsyncClient(base_url=serve(mock.Answer([gate])).url, api_key=API_KEY)

    async def main() -> None:
        task = asyncio.ensure_future(gather(client, [question("q")] * 20, concurrency=20))
        while client.metrics()["streams_open"] < 20:
            await asyncio.sleep(0.001)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert eventually(lambda: client.metrics()["streams_open"] == 0)


def test_the_loop_sleeps_while_results_are_not_taken(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streams that are ready are noted once, however long nobody asks for the next result."""
    rings = 0
    ring = _async._Bell.ring

    def counted(bell: _async._Bell) -> None:
        nonlocal rings
        rings += 1
        ring(bell)

    monkeypatch.setattr(_async._Bell, "ring", counted)

    async def main() -> None:
        client = AsyncClient(base_url=serve("yes").url, api_key=API_KEY)
        results = client.bulk([question(str(n)) for n in range(10)], concurrency=10)
        await anext(results)
        while client.metrics()["streams_open"]:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        before = rings
        for _ in range(50):
            await asyncio.sleep(0)
        assert rings - before <= 1
        assert len([each async for each in results]) == 9

    asyncio.run(main())


def test_a_source_that_fails_ends_the_job(serve: Serve, bulk: Ask) -> None:
    def requests() -> Iterator[Any]:
        yield question("a")
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="disk"):
        bulk(serve("x"), requests())


def test_an_async_source_holds_nothing_back(serve: Serve) -> None:
    """A result is there while the next request is awaited."""
    client = AsyncClient(base_url=serve(by_question()).url, api_key=API_KEY)

    async def main() -> list[str]:
        answered = asyncio.Event()

        async def requests() -> AsyncIterator[Any]:
            yield question("a")
            await answered.wait()
            yield question("b")

        found = []
        async for result in client.bulk(requests()):
            found.append(result.text)
            answered.set()
        return found

    assert asyncio.run(main()) == ["a", "b"]


def test_an_async_source_that_fails_ends_the_job(serve: Serve) -> None:
    async def requests() -> AsyncIterator[Any]:
        yield question("a")
        raise OSError("the disk is gone")

    client = AsyncClient(base_url=serve("x").url, api_key=API_KEY)
    with pytest.raises(OSError, match="disk"):
        asyncio.run(gather(client, requests()))


# ---- rates ---------------------------------------------------------------------------------------


def test_what_a_rate_limit_refused_is_asked_again_without_being_counted(
    serve: Serve, bulk: Ask
) -> None:
    asked: Counter[str] = Counter()

    def script(request: mock.Request) -> Any:
        asked[said(request)] += 1
        return mock.Error(429) if asked[said(request)] == 1 and said(request) < "5" else "x"

    results = bulk(
        serve(script), [question(str(n)) for n in range(10)], concurrency=10, max_retries=0
    )
    assert [each.error for each in results] == [None] * 10
    assert {each.attempts for each in results} == {1}
    assert asked["0"] == 2


def test_a_quota_that_is_used_up_is_not_waited_for(serve: Serve, bulk: Ask) -> None:
    body = {"error": {"message": "no money", "code": "insufficient_quota"}}
    (result,) = bulk(serve(mock.Error(429, body=body)), [question("q")])
    assert isinstance(result.error, millstream.RateLimited)


@pytest.mark.parametrize("tells", [False, True])
def test_a_limit_is_read_from_the_head_of_an_answer_that_goes_on(
    serve: Serve, connect: Connect, tells: bool
) -> None:
    gate = mock.Gate()
    limits = {"x_ratelimit_remaining_requests": "60", "x_ratelimit_reset_requests": "60s"}
    begun = head(Transfer_Encoding="chunked", **(limits if tells else {}))
    server = serve(mock.Raw([begun + http_chunks([chat("a")]), gate]))
    job = job_of(connect(server), concurrency=50)
    limiter = job._targets[0].limiter
    results = _sync.run(job, (question(str(n)) for n in itertools.count()), None)
    first = Task(lambda: next(results))
    if tells:
        assert eventually(lambda: limiter.rate < 5)
    else:
        assert eventually(lambda: len(job._active) == 50)
        assert limiter.rate >= 200
    gate.open()
    assert isinstance(first.result().error, millstream.StreamInterrupted)


def test_requests_a_minute_are_kept(serve: Serve, bulk: Ask) -> None:
    server = serve("x")
    began = time.monotonic()
    bulk(server, [question("q")] * 6, requests_per_minute=1200)
    # 20 a second: five gaps of 50 ms, of which a loop that is late may catch up 20
    assert max(request.arrived for request in server.requests) - began >= 0.22


# ---- endpoints -----------------------------------------------------------------------------------


def test_weights(serve: Serve, bulk: Ask) -> None:
    one, three = serve("x"), serve("x")
    endpoints = [Endpoint(base_url=one.url), Endpoint(base_url=three.url, weight=3)]
    results = bulk(one, [question("q")] * 80, endpoints=endpoints, concurrency=4)
    assert Counter(each.endpoint for each in results) == {one.url: 20, three.url: 60}


@pytest.mark.parametrize("failure", [500, 401])
def test_where_one_endpoint_fails_others_are_asked(serve: Serve, bulk: Ask, failure: int) -> None:
    bad, good = serve(mock.Error(failure)), serve("x")
    endpoints = [Endpoint(base_url=bad.url), Endpoint(base_url=good.url, api_key="other")]
    results = bulk(good, [question("q")] * 40, endpoints=endpoints, concurrency=4)
    assert [each.error for each in results] == [None] * 40
    assert {each.endpoint for each in results} == {good.url}
    assert 1 <= len(bad.requests) < 20  # it rests
    keys = {request.headers["authorization"] for request in good.requests}
    assert keys == {"Bearer other"}


def test_a_server_that_is_gone_is_not_the_end(serve: Serve, bulk: Ask) -> None:
    gone = serve("x")
    gone.close()
    good = serve("x")
    endpoints = [Endpoint(base_url=gone.url), Endpoint(base_url=good.url)]
    results = bulk(good, [question("q")] * 20, endpoints=endpoints)
    assert [each.error for each in results] == [None] * 20


def test_where_all_endpoints_refuse_the_error_is_told(serve: Serve, bulk: Ask) -> None:
    servers = [serve(mock.Error(401)), serve(mock.Error(401))]
    endpoints = [Endpoint(base_url=server.url) for server in servers]
    (result,) = bulk(servers[0], [question("q")], endpoints=endpoints)
    assert isinstance(result.error, millstream.AuthenticationError)
    assert [len(server.requests) for server in servers] == [1, 1]


def test_an_endpoint_of_another_provider(serve: Serve, bulk: Ask) -> None:
    server = serve("Bonjour")
    other = millstream.Client("anthropic", base_url=server.base_url("anthropic"), api_key="k")
    (result,) = bulk(server, [question("q")], endpoints=[Endpoint(client=other, model="claude")])
    assert result.text == "Bonjour"
    assert server.requests[0].json()["model"] == "claude"


def test_no_key_is_shown() -> None:
    endpoint = Endpoint(base_url="http://user:secret@host/v1", api_key="sk-secret")
    assert "secret" not in repr(endpoint)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"concurrency": 0}, "concurrency"), ({"concurrency": True}, "concurrency"),
        ({"max_retries": -1}, "max_retries"), ({"requests_per_minute": 0}, "requests_per_minute"),
        ({"tokens_per_minute": "1"}, "tokens_per_minute"), ({"endpoints": []}, "endpoints"),
        ({"endpoints": ["http://x"]}, "endpoints"),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_named(connect: Connect, options: Any, named: str) -> None:
    with pytest.raises((TypeError, ValueError), match=named):
        connect("http://127.0.0.1:9/v1").bulk([], **options)


# ---- how it is done ------------------------------------------------------------------------------


def test_no_thread_is_started_and_one_wake_up_is_enough_for_a_stream(
    serve: Serve, connect: Connect
) -> None:
    client = connect(serve(None))
    threads: set[int] = set()
    requests = [question("q", model="mock-long")] * 4
    results = []
    for result in client.bulk(requests, concurrency=4):
        threads.add(threading.active_count())
        results.append(result)
    assert threads == {threading.active_count()}
    chunks = sum(each.chunks for each in results)
    assert chunks > 4000
    # 64 KiB are buffered: some wake-ups a stream, where a chunk each would be thousands
    assert client.metrics()["wakeups"] < chunks / 20


def test_hooks_are_told(serve: Serve, connect: Connect, bulk: Ask) -> None:
    events: list[Any] = []
    client = connect(serve(by_question(bad=mock.Error(400))), on_event=events.append)
    list(client.bulk([question("good"), question("bad")], ordered=True, concurrency=1))
    kinds = [type(event).__name__ for event in events]
    assert kinds == [
        "RequestEvent", "HeadersEvent", "FirstChunkEvent", "EndEvent",
        "RequestEvent", "HeadersEvent", "EndEvent",
    ]  # fmt: skip
    assert [event.outcome for event in events if hasattr(event, "outcome")] == ["ok", "failed"]


@given(st.lists(st.text(max_size=3)))
@settings(deadline=None)
def test_ids_are_a_set(names: list[str]) -> None:
    ids, known = Ids(), set[str]()
    for name in names:
        assert ids.add(name) is (name not in known)
        known.add(name)
        assert name in ids
    assert len(ids) == len(known)
    assert "not there" not in ids


def test_many_ids() -> None:
    ids = Ids()
    assert all(ids.add(str(n)) for n in range(5000))
    assert not any(ids.add(str(n)) for n in range(5000))
    assert all(str(n) not in ids for n in range(5000, 6000))
