"""A stream's whole life against a model of it: whatever is done, in whatever order."""

from __future__ import annotations

import gc
import itertools
import os
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import millstream
from answers import DONE, GIVE_UP_S, MESSAGES, chat, event, eventually, head
from conftest import timeout
from millstream import mock

Ending: TypeAlias = Literal["done", "cut", "error", "broken", "silence", "refused"]
State: TypeAlias = Literal["open", "closed", "cancelled", "told"]

ENDINGS: dict[Ending, tuple[bytes, type[BaseException]]] = {
    "done": (chat(finish="stop") + DONE, StopIteration),
    "cut": (b"", millstream.StreamInterrupted),
    "error": (event({"error": {"message": "m"}}), millstream.ProviderError),
    "broken": (b"data: {]\n\n", millstream.ProtocolError),
    "silence": (b"", millstream.Timeout),
    "refused": (b"", millstream.StatusError),
}
AT_MOST = 5  # streams


@dataclass
class Script:
    """What the server does for one stream."""

    ending: Ending
    texts: list[str]
    gates: list[mock.Gate] = field(default_factory=list)

    def answer(self) -> mock.Raw:
        if self.ending == "refused":
            return mock.Raw(head("503 No", Content_Length="0"))
        pieces = [chat(text) for text in self.texts] + [ENDINGS[self.ending][0]]
        if self.ending == "silence":  # at once: nothing that comes late is taken for silence
            return mock.Raw([head() + b"".join(pieces)], then="hang")
        parts: list[bytes | mock.Gate] = [head()]
        for gate, piece in zip(self.gates, pieces, strict=True):
            parts += [gate, piece]
        return mock.Raw(parts)


@dataclass
class Life:
    """One stream, and what the model knows of it."""

    script: Script
    stream: millstream.Stream
    sent: int = 0  # of the texts; all of them and the ending where it is one more
    taken: int = 0
    state: State = "open"

    @property
    def texts(self) -> list[str]:
        return self.script.texts

    @property
    def ready(self) -> bool:
        """Whether next() ends by itself."""
        return self.state != "open" or self.taken < self.sent

    def raises(self) -> type[BaseException] | None:
        """What next() raises now; None: it gives the next text."""
        if self.state in ("closed", "told"):
            return StopIteration
        if self.state == "cancelled":
            return millstream.Cancelled
        return ENDINGS[self.script.ending][1] if self.taken == len(self.texts) else None


class Streams:
    """The server of all machines, and what it does for each stream by the name of its model."""

    def __init__(self) -> None:
        self.scripts: dict[str, Script] = {"forked": Script("refused", [])}
        self.server = mock.Server(lambda request: self.scripts[request.json()["model"]].answer())
        self.server.start()


names = itertools.count()


class Machine(RuleBasedStateMachine):
    """Up to five streams of one client, and all that can be done with them."""

    streams: Streams

    def __init__(self) -> None:
        super().__init__()
        self.client = self.connect()
        self.lives: list[Life] = []

    def connect(self, **clocks: float) -> millstream.Client:
        url = self.streams.server.url
        return millstream.Client(
            base_url=url, api_key="k", max_retries=0, timeout=timeout(**clocks)
        )

    def pick(self, data: st.DataObject, *, ready: bool | None = None) -> Life | None:
        """One of the streams there are, if any fits."""
        fitting = [life for life in self.lives if ready is None or life.ready == ready]
        return data.draw(st.sampled_from(fitting)) if fitting else None

    # ---- beginning, and what the server does -----------------------------------------------------

    @precondition(lambda self: len(self.lives) < AT_MOST)
    @rule(count=st.integers(0, 4), ending=st.sampled_from(list(ENDINGS)))
    def start(self, count: int, ending: Ending) -> None:
        count = {"refused": 0, "silence": max(count, 1)}.get(ending, count)
        script = Script(ending, [f"{i};" for i in range(count)])
        all_at_once = ending in ("refused", "silence")
        if not all_at_once:
            script.gates = [mock.Gate() for _ in range(count + 1)]
        name = str(next(names))
        self.streams.scripts[name] = script
        client = self.connect(idle=0.05) if ending == "silence" else self.client
        stream = client.stream(model=name, messages=MESSAGES)
        self.lives.append(Life(script, stream, sent=count + 1 if all_at_once else 0))

    @rule(data=st.data())
    def send(self, data: st.DataObject) -> None:
        self.send_to(self.pick(data))

    def send_to(self, life: Life | None) -> None:
        if life and life.sent < len(life.script.gates):
            life.script.gates[life.sent].open()
            life.sent += 1

    # ---- reading ---------------------------------------------------------------------------------

    @rule(data=st.data())
    def take(self, data: st.DataObject) -> None:
        life = self.pick(data, ready=True)
        if life:
            self.check_next(life, life.raises())

    def check_next(self, life: Life, error: type[BaseException] | None) -> None:
        if error is None:
            assert next(life.stream).text == life.texts[life.taken]
            life.taken += 1
            return
        with pytest.raises(error):
            self.next_but_finish(life)
        life.state = "told"

    def next_but_finish(self, life: Life) -> None:
        chunk = next(life.stream)
        assert chunk.type == "finish", chunk
        next(life.stream)

    @rule(data=st.data())
    def take_batch(self, data: st.DataObject) -> None:
        life = self.pick(data, ready=True)
        if life is None or life.raises():
            return
        texts = [chunk.text for chunk in next(life.stream.batches()) if chunk.type == "text"]
        assert 1 <= len(texts) <= life.sent - life.taken
        assert texts == life.texts[life.taken : life.taken + len(texts)]
        life.taken += len(texts)

    @rule(data=st.data(), how=st.sampled_from(["send", "cancel", "close"]))
    def wait_in_next(self, data: st.DataObject, how: str) -> None:
        """A thread that waits wakes up by what another does."""
        life = self.pick(data, ready=False)
        if life is None:
            return
        waiting: Future[None] = Future()

        def wait() -> None:
            try:
                self.check_next(life, raises)
                waiting.set_result(None)
            except BaseException as error:
                waiting.set_exception(error)

        ends = {"send": None, "cancel": millstream.Cancelled, "close": StopIteration}
        raises = life.raises() if how == "send" else ends[how]
        thread = threading.Thread(target=wait)
        thread.start()
        if how == "send":
            self.send_to(life)
        else:
            getattr(life.stream, how)()
        waiting.result(GIVE_UP_S)
        thread.join()

    @rule(data=st.data())
    def wait(self, data: st.DataObject) -> None:
        life = self.pick(data)
        if life:
            assert life.stream.wait(GIVE_UP_S if life.ready else 0.0) == life.ready

    # ---- leaving ---------------------------------------------------------------------------------

    @rule(data=st.data(), how=st.sampled_from(["cancel", "close"]))
    def end(self, data: st.DataObject, how: str) -> None:
        life = self.pick(data)
        if life is None:
            return
        getattr(life.stream, how)()
        if life.state == "open":
            life.state = "cancelled" if how == "cancel" else "closed"
        elif life.state == "cancelled" and how == "close":
            life.state = "closed"

    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        life = self.pick(data)
        if life:
            self.lives.remove(life)

    @rule()
    def fork(self) -> None:
        """The child has none of the streams and can begin its own; the parent's go on."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: of threads and fork
            pid = os.fork()
        if pid == 0:
            os._exit(self.child())
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    def child(self) -> int:
        """0 where all is right."""
        try:
            for life in self.lives:
                if life.state != "told":
                    with pytest.raises(millstream.ForkedError):
                        next(life.stream)
            with pytest.raises(millstream.StatusError):
                self.client.stream(model="forked", messages=MESSAGES).result()
        except BaseException:
            return 1
        return 0

    # ---- what always holds -----------------------------------------------------------------------

    @invariant()
    def messages_are_what_was_taken(self) -> None:
        for life in self.lives:
            assert life.stream.message.text == "".join(life.texts[: life.taken])

    def teardown(self) -> None:
        self.lives.clear()
        gc.collect()  # what pytest.raises keeps
        assert eventually(lambda: self.client.metrics()["streams_open"] == 0)


@pytest.fixture
def streams() -> Iterator[Streams]:
    streams = Streams()
    yield streams
    streams.server.close()


def test_streams_behave_as_their_model(streams: Streams) -> None:
    Machine.streams = streams
    Machine.TestCase.settings = settings(
        max_examples=30, stateful_step_count=40, deadline=None, database=None
    )
    Machine.TestCase().runTest()
