"""The shared vectors through `client.events()` over a socket: whole, at every split, and prompt."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

import millstream
from answers import LAST_CHUNK, head, http_chunks
from conftest import API_KEY, SHARED, Connect, Serve, timeout
from millstream import mock

FILE = SHARED / "sse-vectors.json"
CHUNKED = head(Transfer_Encoding="chunked")
SHORT = 400  # of a longer vector only some splits are tried
ALL_S = 300

pytestmark = pytest.mark.skipif(not FILE.exists(), reason="skipped: no ../shared/sse-vectors.json")


def joined(parts: list[list[Any]]) -> str:
    return "".join(text * times for text, times in parts)


class Vector:
    """One vector: its bytes, and what it must give."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.name: str = given["name"]
        self.input = self._input(given)
        self.initial: str = given.get("initial_last_event_id", "")
        any_of = given.get("any", [])
        self.expected: dict[str, Any] = {
            "events": [
                (e["type"], e["data"] if "data" in e else joined(e["data_parts"]), e["id"])
                for e in given["events"]
            ],
            "last_event_id": given["last_event_id"],
            "retry": None if given["retry"] is None else given["retry"] / 1000,
            "comments": given.get("comments"),
        }
        self.left_open = {*any_of, *(["comments"] if "comments" not in given else [])}

    @staticmethod
    def _input(given: dict[str, Any]) -> bytes:
        if "input_hex" in given:
            return bytes.fromhex(given["input_hex"])
        text = given["input"] if "input" in given else joined(given["input_parts"])
        return str(text).encode()

    def splits(self) -> Iterator[list[bytes]]:
        """The input cut in two at each place; of a long one at some, and in pieces of 1,021."""
        size = len(self.input)
        places = range(1, size)
        if size > SHORT:
            ends = range(max(1, size - 16), size)
            places = [*range(1, 17), size // 2, *ends]  # type: ignore[assignment]
            yield [self.input[at : at + 1021] for at in range(0, size, 1021)]
        for at in places:
            yield [self.input[:at], self.input[at:]]

    def check(self, came: dict[str, Any], how: object) -> None:
        """Compare what came with what must; `how` is shown where they differ."""
        for name, value in self.expected.items():
            if name not in self.left_open:
                assert came[name] == value, (self.name, how, name)


def vectors() -> list[Vector]:
    return [Vector(given) for given in json.loads(FILE.read_bytes())] if FILE.exists() else []


def answer(pieces: list[bytes]) -> mock.Raw:
    """A whole response that libcurl hands on in these pieces: each is an HTTP chunk."""
    return mock.Raw(CHUNKED + http_chunks(filter(None, pieces)) + LAST_CHUNK, then="keep")


def summary(items: list[Any], stream: Any, initial_retry: float) -> dict[str, Any]:
    """What came, in a vector's terms."""
    events = [item for item in items if isinstance(item, millstream.Event)]
    return {
        "events": [(event.type, event.data, event.id) for event in events],
        "comments": [item.text for item in items if isinstance(item, millstream.Comment)],
        "last_event_id": stream.last_event_id,
        "retry": None if stream.retry == initial_retry else stream.retry,
    }


UNTOUCHED_S = 7.75  # a retry that no vector has
OPTIONS: dict[str, Any] = {"reconnect": False, "comments": True, "initial_retry": UNTOUCHED_S}


def read_sync(url: str, vector: Vector) -> dict[str, Any]:
    client = millstream.Client(base_url=url, api_key=API_KEY, timeout=timeout())
    stream = client.events(url, last_event_id=vector.initial, **OPTIONS)
    return summary(list(stream), stream, UNTOUCHED_S)


async def read_async(url: str, vector: Vector) -> dict[str, Any]:
    client = millstream.AsyncClient(base_url=url, api_key=API_KEY, timeout=timeout())
    stream = client.events(url, last_event_id=vector.initial, **OPTIONS)
    return summary([item async for item in stream], stream, UNTOUCHED_S)


@pytest.fixture
def now(serve: Serve) -> tuple[str, Callable[[list[bytes]], None]]:
    """A server's URL, and the function that says in which pieces its next answer comes."""
    pieces: list[list[bytes]] = []
    server = serve(lambda request: answer(pieces[-1]))
    return server.origin + "/events", pieces.append


Now = tuple[str, Callable[[list[bytes]], None]]


@pytest.mark.parametrize("vector", vectors(), ids=lambda vector: vector.name)
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_whole_and_byte_by_byte(now: Now, vector: Vector, kind: str) -> None:
    url, set_pieces = now
    ways = [[vector.input]]
    if len(vector.input) <= 50_000:
        ways.append([bytes([byte]) for byte in vector.input])
    for pieces in ways:
        set_pieces(pieces)
        came = read_sync(url, vector) if kind == "sync" else bounded(read_async(url, vector))
        vector.check(came, f"in {len(pieces)}")


def bounded(work: Awaitable[Any]) -> Any:
    """Run it in a loop of its own that may not hang."""

    async def main() -> Any:
        return await asyncio.wait_for(work, ALL_S)

    return asyncio.run(main())


def test_every_split_sync(now: Now) -> None:
    url, set_pieces = now
    for vector in vectors():
        for pieces in vector.splits():
            set_pieces(pieces)
            vector.check(read_sync(url, vector), pieces)


def test_every_split_async(now: Now) -> None:
    url, set_pieces = now

    async def main() -> None:
        for vector in vectors():
            for pieces in vector.splits():
                set_pieces(pieces)
                vector.check(await read_async(url, vector), pieces)

    bounded(main())


# ---- prompt --------------------------------------------------------------------------------------


def ends(data: bytes) -> list[int]:
    """Where each event ends, by a plain reading of the standard: behind the byte that makes a
    blank line, which may be a CR whose LF is still to come."""
    found: list[int] = []
    line, has_data, after_cr = b"", False, False
    begin = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    for at, byte in enumerate(data[begin:], begin):
        if byte == 0x0A and after_cr:
            after_cr = False
            continue
        after_cr = byte == 0x0D
        if byte not in (0x0A, 0x0D):
            line += bytes([byte])
            continue
        if not line and has_data:
            found.append(at + 1)
        has_data = bool(line) and (has_data or line.partition(b":")[0] == b"data")
        line = b""
    return found


def test_every_event_comes_with_its_last_byte(serve: Serve, connect: Connect) -> None:
    gates: dict[str, list[mock.Gate]] = {}
    known = {vector.name: vector for vector in vectors() if len(vector.input) <= 25_000}

    def paced(request: mock.Request) -> mock.Raw:
        name = request.path.removeprefix("/")
        parts: list[bytes | mock.Gate] = [head()]
        data, before = known[name].input, 0
        for at, gate in zip(ends(data), gates[name], strict=True):
            parts += [data[before:at], gate]
            before = at
        return mock.Raw([*parts, data[before:]])

    server = serve(paced)
    client = connect(server)
    checked = 0
    for name, vector in known.items():
        gates[name] = [mock.Gate() for _ in vector.expected["events"]]
        url = f"{server.origin}/{name}"
        stream = client.events(url, reconnect=False, last_event_id=vector.initial)
        # What is behind each gate is sent only when the event before it was handed out.
        for gate, expected in zip(gates[name], vector.expected["events"], strict=True):
            event = next(stream)
            assert isinstance(event, millstream.Event)
            assert (event.type, event.data, event.id) == expected, name
            gate.open()
            checked += 1
        assert list(stream) == [], name
    assert checked > 200
