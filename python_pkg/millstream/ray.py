"""Ray Data: `Generate`, a class for `Dataset.map_batches` with one engine an actor. Extra `ray`.

::

    answers = ray.data.read_parquet("prompts").map_batches(
        millstream.ray.Generate,
        fn_constructor_kwargs={"model": "gpt-5-mini", "concurrency": 500},
        compute=ray.data.ActorPoolStrategy(size=8),
        batch_size=500,
        batch_format="pyarrow",
    )
    answers.write_parquet("answers")

Eight actors keep 8 × 500 streams open. Ray itself is not imported here.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Future
from contextlib import aclosing
from itertools import count
from typing import TYPE_CHECKING, Any

from ._async_client import AsyncClient

if TYPE_CHECKING:
    from ._bulk._rows import BulkResult

__all__ = ["Generate"]

_JOIN_S = 10


class Generate:
    """Asks the question of each row and puts the answer beside it.

    prompt: the column of questions, of the user's one message each.
    messages: the column of whole conversations, as lists or as their JSON; where there is one,
        `prompt` is not looked at.
    client: keyword arguments of `millstream.Client`, `provider` among them. A key that is left out
        is read from the environment of the actor's machine.
    concurrency: streams that an actor keeps open, over all the batches that Ray gives it.
    bulk: further arguments of `client.bulk`, such as `into`, or `requests_per_minute`, which is one
        actor's share.
    prefix: of the answers' columns, for data that has columns of such names.
    params: what all the requests have in common, such as `model`.

    A batch is a pyarrow table, a pandas one or a dict of numpy arrays. What comes back is a pyarrow
    table of its columns and of those of `BulkResult.row()`: "text", "usage", "error", …; "parsed"
    is JSON. A request that failed is a row with an "error"; nothing is raised for it.

    An actor has one client, one engine thread and one bulk job for its whole life: what it has
    learned of rate limits holds for the batches that follow, and inside a block of several
    batches the streams of one begin while the last of another still run. Between blocks, of which
    Ray gives an actor one at a time, they end first: make blocks of many batches.
    """

    def __init__(
        self,
        *,
        prompt: str = "prompt",
        messages: str = "messages",
        client: Mapping[str, Any] | None = None,
        concurrency: int = 100,
        bulk: Mapping[str, Any] | None = None,
        prefix: str = "",
        **params: Any,
    ) -> None:
        self._prompt, self._messages, self._prefix = prompt, messages, prefix
        self._params = params
        settings = {**(bulk or {}), "concurrency": concurrency}
        self._job = _Job(AsyncClient(**(client or {})), settings)

    async def __call__(self, batch: Any) -> Any:
        """The batch with its answers."""
        import pyarrow as pa

        table = _table(batch)
        answers = asyncio.wrap_future(self._job.ask(self._requests(table)))
        rows = [result.row() for result in await answers]
        for row in rows:
            row["parsed"] = None if row["parsed"] is None else json.dumps(row["parsed"])
        for name, type_ in _columns().items():
            title = self._prefix + name
            if title in table.column_names:
                raise ValueError(f"the data has a column {title!r} already: give a prefix=")
            table = table.append_column(title, [pa.array([row[name] for row in rows], type_)])
        return table

    def close(self) -> None:
        """End the actor's job; batches that are under way fail. An actor's end needs no close."""
        self._job.close()

    def _requests(self, table: Any) -> list[dict[str, Any]]:
        if self._messages in table.column_names:
            values = map(_conversation, table.column(self._messages).to_pylist())
            return [{**self._params, "messages": value} for value in values]
        if self._prompt in table.column_names:
            values = table.column(self._prompt).to_pylist()
            return [{**self._params, "prompt": value} for value in values]
        raise ValueError(f"the data has neither a column {self._prompt!r} nor {self._messages!r}")


# ---- one job for all batches ---------------------------------------------------------------------


class _Batch:
    """The results of a batch, which come in any order."""

    def __init__(self, size: int) -> None:
        self.future: Future[list[BulkResult]] = Future()
        self._results: dict[int, BulkResult] = {}
        self._size = size

    def add(self, at: int, result: BulkResult) -> None:
        """One of them; with the last one the batch is done."""
        self._results[at] = result
        if len(self._results) == self._size:
            self._end(self.future.set_result, [self._results[i] for i in range(self._size)])

    def fail(self, error: BaseException) -> None:
        """There will be no more."""
        self._end(self.future.set_exception, error)

    def _end(self, end: Callable[[Any], None], value: Any) -> None:
        if not self.future.done():  # who waited may have been cancelled
            end(value)


class _Job:
    """A bulk job that goes on for as long as there may be batches, in a loop of its own thread.

    Ray's loop is no place for it: Ray stops that loop while it waits for blocks.
    """

    def __init__(self, client: AsyncClient, settings: dict[str, Any]) -> None:
        self._client, self._settings = client, settings
        self._requests: asyncio.Queue[tuple[_Batch, int, dict[str, Any]]] = asyncio.Queue()
        self._under_way: dict[int, tuple[_Batch, int]] = {}
        self._over: BaseException | None = None
        self._loop = asyncio.new_event_loop()
        self._task = self._loop.create_task(self._work())
        self._thread = threading.Thread(target=self._run, name="millstream.ray", daemon=True)
        self._thread.start()

    def ask(self, requests: list[dict[str, Any]]) -> Future[list[BulkResult]]:
        """Thread: any."""
        batch = _Batch(len(requests))
        if requests:
            self._loop.call_soon_threadsafe(self._put, batch, requests)
        else:
            batch.future.set_result([])
        return batch.future

    def close(self) -> None:
        """Thread: any but the job's own."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._task.cancel)
            self._loop.call_soon_threadsafe(self._task.add_done_callback, self._stop)
            self._thread.join(_JOIN_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    def _stop(self, _: object) -> None:
        self._loop.stop()

    def _put(self, batch: _Batch, requests: list[dict[str, Any]]) -> None:
        if self._over is not None:
            batch.fail(self._over)
            return
        for at, request in enumerate(requests):
            self._requests.put_nowait((batch, at, request))

    async def _given(self) -> AsyncIterator[dict[str, Any]]:
        for index in count():
            batch, at, request = await self._requests.get()
            self._under_way[index] = batch, at
            yield request

    async def _work(self) -> None:
        try:
            job = self._client.bulk(self._given(), **self._settings)
            async with aclosing(job) as results:  # type: ignore[type-var]
                async for result in results:
                    batch, at = self._under_way.pop(result.index)
                    batch.add(at, result)
        except BaseException as error:  # a cancellation too: nobody may wait for ever
            self._over = error
            for batch, _ in self._under_way.values():
                batch.fail(error)
            while not self._requests.empty():
                self._requests.get_nowait()[0].fail(error)


# ---- tables --------------------------------------------------------------------------------------


def _table(batch: Any) -> Any:
    """A batch of any of Ray's formats as a pyarrow table."""
    import pyarrow as pa

    if isinstance(batch, pa.Table):
        return batch
    if isinstance(batch, Mapping):
        return pa.table({name: pa.array(_listed(values)) for name, values in batch.items()})
    return pa.Table.from_pandas(batch, preserve_index=False)


def _listed(values: Any) -> Any:
    """Arrays as lists, whatever they are inside of."""
    if hasattr(values, "tolist"):
        values = values.tolist()
    return [_listed(each) for each in values] if isinstance(values, list) else values


def _conversation(value: Any) -> Any:
    """A conversation of a column. Where one struct has a field, Arrow gives it to all: None."""
    return json.loads(value) if isinstance(value, str) else _said(value)


def _said(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _said(each) for name, each in value.items() if each is not None}
    return [_said(each) for each in value] if isinstance(value, list) else value


def _columns() -> dict[str, Any]:
    """Those of the answers with their types, which are the same where all of a batch are null."""
    import pyarrow as pa

    text, number, real = pa.string(), pa.int64(), pa.float64()
    names = "input_tokens", "output_tokens", "reasoning_tokens", "cached_tokens"
    call = {"id": text, "name": text, "arguments": text}
    error = {"type": text, "message": text, "status": number, "code": text, "request_id": text}
    return {
        "text": text,
        "reasoning": text,
        "refusal": text,
        "tool_calls": pa.list_(pa.struct(call)),
        "parsed": text,
        "finish_reason": text,
        "model": text,
        "usage": pa.struct(dict.fromkeys(names, number)),
        "cost": real,
        "error": pa.struct(error),
        "attempts": number,
        "endpoint": text,
        "first_chunk": real,
        "duration": real,
    }
