"""Where gevent has patched the process, a wait is the greenlet's and not the thread's."""

from __future__ import annotations

import importlib.util

import pytest

from conftest import Serve
from millstream import mock
from processes import Process, Run

WORDS = ["One", " two", " three"]
TEXT = "".join(WORDS)

PATCHED = """
import warnings
warnings.simplefilter("error")
from gevent import monkey
monkey.patch_all()
import gevent
from gevent.event import Event
warnings.filterwarnings("ignore", message="This process")
"""

if importlib.util.find_spec("gevent") is None:
    pytest.skip("no gevent for this Python", allow_module_level=True)


def start(run: Run, server: mock.Server, script: str) -> Process:
    return run(server, script, before=PATCHED)


@pytest.fixture
def gate() -> mock.Gate:
    return mock.Gate()


@pytest.fixture
def held(serve: Serve, gate: mock.Gate) -> mock.Server:
    return serve(mock.Answer([*WORDS, gate, " end"]))


def test_other_greenlets_run_while_one_waits(run: Run, held: mock.Server, gate: mock.Gate) -> None:
    process = start(
        run,
        held,
        """
        stream = ask()
        reader = gevent.spawn(texts, stream)
        say("running")
        say(threading.current_thread() is threading.main_thread(), sys.stdin.readline().strip())
        say(reader.get())
        """,
    )
    assert process.line() == "running"
    assert gate.wait_reached()
    process.tell("told")
    assert process.line() == "True told"
    gate.open()
    assert process.end() == (0, TEXT + " end", "")


def test_the_main_greenlet_waits_too(run: Run, held: mock.Server, gate: mock.Gate) -> None:
    """With nothing else to run: the hub must not take it for a deadlock."""
    process = start(run, held, 'say("asked")\nsay(texts(ask()))')
    assert process.line() == "asked"
    assert gate.wait_reached()
    gate.open()
    assert process.end() == (0, TEXT + " end", "")


def test_many_greenlets_on_one_thread(run: Run, serve: Serve) -> None:
    words = [f"{n} " for n in range(20)]
    process = start(
        run,
        serve(mock.Answer(words, pace=0.002)),
        """
        readers = [gevent.spawn(texts, ask()) for _ in range(100)]
        answers = {reader.get() for reader in readers}
        native = len(os.listdir("/proc/self/task"))
        say(*answers)
        say(native, client.metrics()["streams_ok"])
        """,
    )
    assert process.line() == "".join(words)
    assert process.line() == "2 100"  # the program's thread and the engine's
    assert process.end() == (0, "", "")


def test_every_kind_of_wait(run: Run, held: mock.Server, gate: mock.Gate) -> None:
    process = start(
        run,
        held,
        """
        streams = [ask() for _ in range(4)]
        for stream in streams:
            assert stream.response.status == 200
            while not stream.message.text.endswith(" three"):
                next(stream)
        say(streams[0].wait(0.01), millstream.wait(streams, 0.01))
        jobs = [
            gevent.spawn(lambda: streams[0].wait()),
            gevent.spawn(lambda: millstream.wait(streams) != []),
            gevent.spawn(lambda: streams[1].result().text),
            gevent.spawn(lambda: "".join(c.text for b in streams[2].batches() for c in b)),
            gevent.spawn(lambda: len([e for e in streams[3].events()]) > 0),
        ]
        gevent.sleep(0)  # they all begin to wait
        say("waiting")
        sys.stdin.readline()
        say(*(job.get() for job in jobs))
        """,
    )
    assert process.line() == "False []"
    assert process.line() == "waiting"
    gate.open()
    process.tell("go")
    assert process.line() == f"True True {TEXT} end  end True"
    assert process.end() == (0, "", "")


def test_two_greenlets_on_one_stream(run: Run, held: mock.Server, gate: mock.Gate) -> None:
    process = start(
        run,
        held,
        """
        stream = ask()
        def read():
            return [chunk.text for chunk in stream if chunk.text]
        jobs = [gevent.spawn(read) for _ in range(2)]
        say("reading")
        sys.stdin.readline()
        say(*sorted(text.strip() for job in jobs for text in job.get()))
        """,
    )
    assert process.line() == "reading"
    assert gate.wait_reached()
    gate.open()
    process.tell("go")
    assert process.end() == (0, "One end three two", "")


@pytest.mark.parametrize("order", ["chunk, head", "head, chunk"])
def test_the_head_and_a_chunk_are_waited_for_at_once(run: Run, serve: Serve, order: str) -> None:
    """The head ends one of the waits only; the other goes on, and lets the hub run."""
    head, body = mock.Gate(), mock.Gate()
    line = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    process = start(
        run,
        serve(mock.Raw([head, line, body])),
        f"""
        stream = ask()
        def chunk():
            return name_of(lambda: next(stream))
        def head():
            say(stream.response.status)
        jobs = [gevent.spawn(job) for job in ({order})]
        gevent.sleep(0)  # both wait
        say("waiting")
        gevent.joinall(jobs)
        say(*(job.value for job in jobs if job.value))
        """,
    )
    assert process.line() == "waiting"
    head.open()
    assert process.line() == "200"
    body.open()
    assert process.end() == (0, "StreamInterrupted", "")


@pytest.mark.parametrize("end", ["cancel", "kill", "timeout"])
def test_a_waiting_greenlet_is_ended(
    run: Run, held: mock.Server, gate: mock.Gate, end: str
) -> None:
    """By the stream, by gevent, by gevent's time-out; the stream's socket is given back."""
    process = start(
        run,
        held,
        f"""
        stream = ask()
        until = gevent.Timeout(0.05)
        def read():
            if {end == "timeout"}:
                with until:
                    return texts(stream)
            return texts(stream)
        job = gevent.spawn(lambda: name_of(read))
        while not stream.message.text.endswith(" three"):
            gevent.sleep(0.001)
        if {end == "cancel"}:
            stream.cancel()
        elif {end == "kill"}:
            job.kill()
        say(job.get())
        stream.close()
        sys.stdin.readline()
        """,
    )
    assert gate.wait_reached()
    expected = {"cancel": "Cancelled", "kill": "GreenletExit", "timeout": "Timeout"}
    assert process.line() == expected[end]
    assert held.wait_disconnected(1)
    process.tell("go")
    assert process.end() == (0, "", "")


def test_native_threads_beside_greenlets(run: Run, held: mock.Server, gate: mock.Gate) -> None:
    """gevent's own pool has real threads, each with a hub of its own."""
    process = start(
        run,
        held,
        """
        pool = gevent.get_hub().threadpool
        jobs = [pool.spawn(texts, ask()) for _ in range(3)]
        mine = gevent.spawn(texts, ask())
        say("reading")
        sys.stdin.readline()
        say(*{job.get() for job in [*jobs, mine]})
        """,
    )
    assert process.line() == "reading"
    assert gate.wait_reached()
    process.tell("go")
    gate.open()
    assert process.end() == (0, TEXT + " end", "")


def test_a_fork_while_a_greenlet_waits(run: Run, held: mock.Server, gate: mock.Gate) -> None:
    process = start(
        run,
        held,
        """
        stream = ask()
        reader = gevent.spawn(lambda: name_of(lambda: say(texts(stream))))
        while not stream.message.text.endswith(" three"):
            gevent.sleep(0.001)
        pid = os.fork()
        if pid == 0:
            say("child", reader.get())
            own = ask()
            while not own.message.text.endswith(" three"):
                next(own)
            say("child", own.message.text)
            sys.stdout.flush()
            os._exit(0)
        os.waitpid(pid, 0)
        say("child is over")
        say(reader.get())
        """,
    )
    assert process.line() == "child ForkedError"
    assert process.line() == f"child {TEXT}"
    assert process.line() == "child is over"
    gate.open()
    assert process.end() == (0, f"{TEXT} end\nnothing", "")


def test_unpatched_gevent_changes_nothing(run: Run, held: mock.Server, gate: mock.Gate) -> None:
    process = run(
        held,
        """
        import gevent.monkey
        job = threading.Thread(target=lambda: say(texts(ask())))
        job.start()
        sys.stdin.readline()
        job.join()
        """,
    )
    process.tell("go")
    gate.open()
    assert process.end() == (0, TEXT + " end", "")


def test_a_browser_that_leaves_ends_its_greenlets_events(
    run: Run, held: mock.Server, gate: mock.Gate
) -> None:
    """Of an answer of its own, and of one that another greenlet reads too."""
    process = start(
        run,
        held,
        """
        import socket
        from millstream import ui

        def read(events, got, seen):
            for piece in events:
                got.append(piece)
                if b"three" in piece:
                    seen.set()

        browser, server = socket.socketpair()
        replays = ui.Replays()
        alone = ui.sse(ask(), keep_alive=None)
        first = replays.add("k", ui.sse(ask(), keep_alive=None))
        second = replays.resume("k")
        for events in (alone, second):
            events.watch({"gunicorn.socket": server})
        got = [[], [], []]
        seen = [Event(), Event(), Event()]
        readers = [gevent.spawn(read, *each) for each in zip((first, second, alone), got, seen)]
        for event in seen:
            event.wait()
        browser.close()
        gevent.joinall(readers[1:])
        say("two have left")
        gevent.joinall(readers)
        server.close()
        say(b"done" in b"".join(got[0]), b"done" in b"".join(got[1]), b"done" in b"".join(got[2]))
        """,
    )
    assert process.line() == "two have left"
    assert held.wait_disconnected(1)
    gate.open()
    assert process.line() == "True False False"
    code, _, err = process.end()
    assert (code, err) == (0, "")
