"""millstream.ray.Generate by itself: what goes in, what comes out, one job for all batches."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from answers import GIVE_UP_S
from conftest import API_KEY, Serve
from millstream import mock
from millstream.ray import Generate

pa = pytest.importorskip("pyarrow", reason="no pyarrow for this interpreter")

Make = Callable[..., Generate]


@pytest.fixture
def generate() -> Iterator[Make]:
    """Make them, of a server; they are closed with the test."""
    made: list[Generate] = []

    def make(server: mock.Server, **more: Any) -> Generate:
        client = {"base_url": server.url, "api_key": API_KEY, **more.pop("client", {})}
        made.append(Generate(client=client, model="mock-echo", **more))
        return made[-1]

    yield make
    for each in made:
        each.close()


def answered(generate: Generate, *batches: Any) -> list[Any]:
    """The tables of batches that are under way at the same time."""

    async def main() -> list[Any]:
        work = asyncio.gather(*(generate(batch) for batch in batches))
        return list(await asyncio.wait_for(work, GIVE_UP_S))

    return asyncio.run(main())


def test_answers_stand_beside_their_questions(serve: Serve, generate: Make) -> None:
    table = pa.table({"id": [7, 8, 9], "prompt": ["a", "b", "c"], "more": [[1], [], None]})
    (out,) = answered(generate(serve()), table)
    assert out.column("id").to_pylist() == [7, 8, 9]
    assert out.column("more").to_pylist() == [[1], [], None]
    assert out.column("text").to_pylist() == ["a", "b", "c"]
    assert out.column("error").to_pylist() == [None] * 3
    assert all(usage["output_tokens"] for usage in out.column("usage").to_pylist())


def test_the_types_are_the_same_whatever_the_values(serve: Serve, generate: Make) -> None:
    fails = mock.Error(400, "no")
    (fine,) = answered(generate(serve()), pa.table({"prompt": ["a"]}))
    (failed,) = answered(generate(serve(fails)), pa.table({"prompt": ["a"]}))
    (none,) = answered(generate(serve()), pa.table({"prompt": pa.array([], pa.string())}))
    assert fine.schema == failed.schema == none.schema


def test_a_request_that_failed_is_a_row(serve: Serve, generate: Make) -> None:
    def script(request: mock.Request) -> Any:
        return mock.Error(400, "not this") if b"bad" in request.body else "fine"

    (out,) = answered(generate(serve(script)), pa.table({"prompt": ["good", "bad"]}))
    assert out.column("text").to_pylist() == ["fine", ""]
    first, second = out.column("error").to_pylist()
    assert first is None
    assert (second["type"], second["status"]) == ("BadRequest", 400)


def test_conversations(serve: Serve, generate: Make) -> None:
    server = serve("yes")
    one = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hi"}]
    two = [{"role": "user", "content": "Ho", "name": "Ada"}]  # Arrow gives all a name: null
    as_text = {"messages": [json.dumps(one)], "prompt": ["not this"]}
    answered(generate(server), pa.table({"messages": [one, two]}), pa.table(as_text))
    sent = [request.json()["messages"] for request in server.requests]
    assert sorted(map(json.dumps, sent)) == sorted(map(json.dumps, [one, two, one]))


def test_answers_of_a_type(serve: Serve, generate: Make) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    from millstream._structured._schema import Schema

    made = generate(serve('{"n": 3}'), bulk={"into": Schema.of_json(schema)})
    (out,) = answered(made, pa.table({"prompt": ["a"]}))
    assert out.column("parsed").to_pylist() == ['{"n": 3}']


def test_all_batches_share_one_job_and_its_concurrency(serve: Serve, generate: Make) -> None:
    gate = mock.Gate()
    server = serve(mock.Answer(["a", gate, "b"]))
    batches = [pa.table({"prompt": ["?"] * 4})] * 3
    opened: list[int] = []

    async def main() -> list[Any]:
        made = generate(server, concurrency=6)
        work = asyncio.gather(*(made(batch) for batch in batches))
        filled = await asyncio.to_thread(server.wait_requests, 6, GIVE_UP_S)
        await asyncio.sleep(0)
        opened.append(len(server.requests) if filled else 0)
        gate.open()
        return list(await asyncio.wait_for(work, GIVE_UP_S))

    tables = asyncio.run(main())
    assert opened == [6]
    assert [table.column("text").to_pylist() for table in tables] == [["ab"] * 4] * 3


def test_columns_of_the_same_name_need_a_prefix(serve: Serve, generate: Make) -> None:
    batch = pa.table({"prompt": ["a"], "text": ["mine"]})
    with pytest.raises(ValueError, match="'text' already: give a prefix="):
        answered(generate(serve()), batch)
    (out,) = answered(generate(serve(), prefix="answer_"), batch)
    assert out.column("text").to_pylist() == ["mine"]
    assert out.column("answer_text").to_pylist() == ["a"]


def test_data_without_questions_is_refused(serve: Serve, generate: Make) -> None:
    with pytest.raises(ValueError, match="neither a column 'prompt' nor 'messages'"):
        answered(generate(serve()), pa.table({"question": ["a"]}))


def test_a_wrong_setting_is_told_to_all_batches(serve: Serve, generate: Make) -> None:
    made = generate(serve(), concurrency=0)
    for _ in range(2):
        with pytest.raises(ValueError, match="concurrency"):
            answered(made, pa.table({"prompt": ["a"]}))


def test_close_ends_batches_that_are_under_way(serve: Serve, generate: Make) -> None:
    server = serve(mock.Answer(["a", mock.Gate()]))
    made = generate(server)

    async def main() -> None:
        work = asyncio.ensure_future(made(pa.table({"prompt": ["?"]})))
        assert await asyncio.to_thread(server.wait_requests, 1, GIVE_UP_S)
        await asyncio.to_thread(made.close)
        with pytest.raises((asyncio.CancelledError, RuntimeError)):
            await asyncio.wait_for(work, GIVE_UP_S)

    asyncio.run(main())
