"""Faults 45 to 48, 50, 52, 55, 56, 58 and 60, in real processes against a server in this one."""

from __future__ import annotations

import signal
import socket
import struct
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from answers import eventually, head
from conftest import Serve
from harness import preloaded
from millstream import mock
from processes import Run

WORDS = ["One", " two", " three", " four", " five"]
TEXT = "".join(WORDS)
EXIT_S = 10  # the promise is one second; a machine under load gets some more


@pytest.fixture
def gate() -> mock.Gate:
    return mock.Gate()


@pytest.fixture
def held(serve: Serve, gate: mock.Gate) -> mock.Server:
    """The first answer's last word waits for the gate; the others come whole."""
    return serve([mock.Answer([*WORDS, gate, " end"]), mock.Answer(WORDS)])


# ---- signals -------------------------------------------------------------------------------------


def test_fault_46_ctrl_c_interrupts_the_wait_and_the_stream_goes_on(
    run: Run, held: mock.Server, gate: mock.Gate
) -> None:
    process = run(
        held,
        """
        stream = ask()
        text = until_five(stream)
        say("waiting")
        try:
            next(stream)
        except KeyboardInterrupt:
            say("interrupted")
        say(text + texts(stream))
        """,
    )
    assert process.line() == "waiting"
    assert eventually(process.asleep)
    process.kill(signal.SIGINT)
    assert process.line() == "interrupted"
    gate.open()
    assert process.end() == (0, TEXT + " end", "")


def test_fault_46_a_handler_that_returns_loses_nothing(
    run: Run, held: mock.Server, gate: mock.Gate
) -> None:
    process = run(
        held,
        """
        signal.signal(signal.SIGUSR1, lambda *_: say("handled"))
        stream = ask()
        text = until_five(stream)
        say("waiting")
        say(text + texts(stream))
        """,
    )
    assert process.line() == "waiting"
    for _ in range(3):
        assert eventually(process.asleep)
        process.kill(signal.SIGUSR1)
        assert process.line() == "handled"
    gate.open()
    assert process.end() == (0, TEXT + " end", "")


def test_fault_52_a_thousand_alarms_a_second_lose_nothing(run: Run, serve: Serve) -> None:
    pieces = [f"{n} " for n in range(600)]
    process = run(
        serve(mock.Answer(pieces, pace=0.001)),
        """
        ticks = []
        signal.signal(signal.SIGALRM, lambda *_: ticks.append(1))
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        text = texts(ask())
        signal.setitimer(signal.ITIMER_REAL, 0)
        say(text if ticks else "no alarm")
        """,
    )
    assert process.end() == (0, "".join(pieces), "")


ASYNC = """
import asyncio

async def texts_of(stream):
    return "".join([chunk.text async for chunk in stream])

def async_client():
    return millstream.AsyncClient(base_url=sys.argv[1], api_key="k", max_retries=0)
"""


def test_fault_46_ctrl_c_while_a_loop_waits(run: Run, held: mock.Server, gate: mock.Gate) -> None:
    process = run(
        held,
        ASYNC
        + dedent("""
        async def main():
            stream = ask(async_client())
            while (await anext(stream)).text != " five":
                pass
            say("waiting")
            await anext(stream)

        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            say("interrupted")
        say(asyncio.run(texts_of(ask(async_client()))))
        """),
    )
    assert process.line() == "waiting"
    assert eventually(process.asleep)
    process.kill(signal.SIGINT)
    assert process.end() == (0, f"interrupted\n{TEXT}", "")
    assert held.connections.disconnected == 1


def test_fault_52_a_thousand_alarms_a_second_in_a_loop(run: Run, serve: Serve) -> None:
    pieces = [f"{n} " for n in range(600)]
    process = run(
        serve(mock.Answer(pieces, pace=0.001)),
        ASYNC
        + dedent("""
        ticks = []
        signal.signal(signal.SIGALRM, lambda *_: ticks.append(1))
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        text = asyncio.run(texts_of(ask(async_client())))
        signal.setitimer(signal.ITIMER_REAL, 0)
        say(text if ticks else "no alarm")
        """),
    )
    assert process.end() == (0, "".join(pieces), "")


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_fault_56_sigpipe_at_its_default(run: Run, serve: Serve, kind: str) -> None:
    """The server resets the connection while a large request is being written."""
    ways = {
        "sync": "texts(to.stream(model='m', messages=large))",
        "async": "asyncio.run(texts_of(async_client().stream(model='m', messages=large)))",
    }
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        process = run(
            serve("not asked"),
            ASYNC
            + dedent(f"""
            sys.argv[1] = {url!r}
            client = millstream.Client(base_url=sys.argv[1], api_key="k", max_retries=0)
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            to = client
            large = [{{"role": "user", "content": "x" * 20_000_000}}]
            say(*{{name_of(lambda: {ways[kind]}) for _ in range(5)}})
            """),
        )
        for _ in range(5):
            connection = listener.accept()[0]
            connection.recv(1000)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        assert process.end() == (0, "ConnectError", "")


# ---- a system that refuses -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_fault_58_no_thread_can_be_made(
    run: Run, serve: Serve, shim: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first request needs the engine's thread. It is refused twice, and then it is not."""
    monkeypatch.setenv("LD_PRELOAD", preloaded(shim))
    monkeypatch.setenv("FAIL_THREADS", "2")
    to = {"sync": "client", "async": "async_client()"}[kind]
    process = run(
        serve(mock.Answer(WORDS)),
        ASYNC
        + dedent(f"""
        for _ in range(2):
            try:
                ask({to})
            except Exception as error:
                say(type(error).__name__, error)
        say(texts(ask()))
        """),
    )
    code, out, err = process.end()
    refused, again, text = out.splitlines()
    assert (code, text, err) == (0, TEXT, "")
    assert refused == again
    assert "thread" in refused


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_fault_50_the_wall_clock_jumps(
    run: Run, serve: Serve, shim: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day to and fro at every look at it; retries, clocks and kept connections do not care."""
    monkeypatch.setenv("LD_PRELOAD", preloaded(shim))
    monkeypatch.setenv("JUMPS", "1")
    read = {"sync": "texts(ask(to))", "async": "asyncio.run(texts_of(ask(to)))"}[kind]
    down = mock.Error(503, headers={"Retry-After": "0"})
    slow = mock.Answer(WORDS, pace=0.01)
    hangs = mock.Answer(WORDS, cut_after=3, cut="hang")
    process = run(
        serve([slow, down, slow, hangs]),
        ASYNC
        + dedent(f"""
        import time
        assert abs(time.time() - time.time()) > 10_000  # it does jump
        kind = millstream.Client if {kind!r} == "sync" else millstream.AsyncClient
        clocks = millstream.Timeout(connect=20, first_chunk=20, idle=20, total=20)
        to = kind(base_url=sys.argv[1], api_key="k", max_retries=1, timeout=clocks)
        say({read})
        say({read})
        clocks = millstream.Timeout(idle=0.2)
        to = kind(base_url=sys.argv[1], api_key="k", timeout=clocks)
        say(name_of(lambda: {read}))
        """),
    )
    assert process.end() == (0, f"{TEXT}\n{TEXT}\nTimeout", "")


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_fault_48_each_allocation_of_python_fails_once(run: Run, serve: Serve, kind: str) -> None:
    """The Nth allocation from the request on fails, for every N, and nothing is wrong after it.

    Of an AsyncClient the request alone: asyncio's own loop does not outlive a failed allocation.
    The core's allocations are failed one by one in tests/c/test_engine.c.
    """
    pytest.importorskip("_testcapi", reason="skipped: no _testcapi in this Python")
    process = run(
        serve(mock.Answer(WORDS)),
        ASYNC
        + dedent(f"""
        import _testcapi, traceback
        kind = millstream.Client if {kind!r} == "sync" else millstream.AsyncClient
        to = kind(base_url=sys.argv[1], api_key="k", max_retries=0)

        def read(stream):
            if {kind!r} == "sync":
                return texts(stream)
            _testcapi.remove_mem_hooks()
            return asyncio.run(texts_of(stream))

        def name_of_failure(error):
            # Python's own os.environ raises SystemError where an allocation fails in a look-up.
            last = traceback.extract_tb(error.__traceback__)[-1].filename
            return type(error).__name__ if "millstream" in last else "MemoryError"

        failures, wrong = set(), []
        read(ask(to))
        for n in range(1, {3000 if kind == "sync" else 600}):
            _testcapi.set_nomemory(n, n + 1)
            try:
                text, failed = read(ask(to)), None
            except (Exception, KeyboardInterrupt) as error:
                text, failed = None, error
            finally:
                _testcapi.remove_mem_hooks()
            if failed is not None:
                failures.add(name_of_failure(failed))
            elif text != {TEXT!r}:
                wrong.append(n)
        say(*failures, wrong, read(ask(to)) == {TEXT!r})
        """),
    )
    code, out, _ = process.end()  # what fails in a destructor is told on stderr
    assert (code, out) == (0, "MemoryError [] True")


# ---- fork ----------------------------------------------------------------------------------------

CHILD = """
def in_child():
    say(*[name_of(f) for f in (
        lambda: next(stream), lambda: stream.wait(1), lambda: stream.wait(),
        lambda: stream.response, lambda: stream.result(), lambda: next(stream.events()),
    )])
    say(stream.message.text)
    say(texts(ask()))
"""
FORKED = "ForkedError " * 5 + "StopIteration"


def test_fault_45_a_fork_in_the_middle_of_a_stream(
    run: Run, held: mock.Server, gate: mock.Gate
) -> None:
    process = run(
        held,
        CHILD
        + dedent("""
        stream = ask()
        text = until_five(stream)
        child = os.fork()
        if not child:
            in_child()
            del stream
            sys.exit(5)
        say(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        say(text + texts(stream))
        """),
    )
    assert [process.line() for _ in range(4)] == [FORKED, TEXT, TEXT, "5"]
    gate.open()
    assert process.end() == (0, TEXT + " end", "")


def test_fault_45_a_fork_while_another_thread_waits_on_the_stream(
    run: Run, held: mock.Server, gate: mock.Gate
) -> None:
    process = run(
        held,
        CHILD
        + dedent("""
        stream = ask()
        text = until_five(stream)
        reader = threading.Thread(target=lambda: say(text + texts(stream)))
        reader.start()
        sys.stdin.readline()  # the test has seen the reader asleep
        child = os.fork()
        if not child:
            in_child()
            stream.cancel()
            stream.close()
            os._exit(0)
        say(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        reader.join()
        """),
    )
    assert eventually(lambda: process.threads() == [*"SSS"])
    process.tell("fork")
    assert [process.line() for _ in range(4)] == [FORKED, TEXT, TEXT, "0"]
    gate.open()
    assert process.end() == (0, TEXT + " end", "")


def test_fault_45_a_child_may_drop_all_it_inherited(run: Run, serve: Serve) -> None:
    gate = mock.Gate()
    process = run(
        serve(mock.Answer([*WORDS, gate, " end"])),
        """
        streams = [ask() for _ in range(20)]
        read = [until_five(stream) for stream in streams]
        child = os.fork()
        if not child:
            streams.pop().cancel()
            streams.pop().close()
            streams.clear()
            del client
            sys.exit(0)
        say(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        for text, stream in zip(read, streams):
            say(text + texts(stream))
        """,
    )
    assert process.line() == "0"
    gate.open()
    assert process.end() == (0, "\n".join([TEXT + " end"] * 20), "")


def test_fault_45_a_child_may_drop_async_streams_that_were_waited_for(
    run: Run, held: mock.Server, gate: mock.Gate
) -> None:
    process = run(
        held,
        """
        import asyncio, select
        from millstream import _hub

        async def fork_here(stream):
            async with stream:
                task = asyncio.ensure_future(stream.result())
                while not stream.message.text.endswith("five"):
                    await asyncio.sleep(0)
                say("waiting")
                select.select([_hub.current()], [], [])  # its wake-up is on its way
                child = os.fork()
                if not child:
                    task.get_coro().close()
                    os._exit(0)
                say(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
                say((await task).text)

        async def main():
            async with millstream.AsyncClient(base_url=sys.argv[1], api_key="k") as client:
                await fork_here(ask(client))

        asyncio.run(main())
        """,
    )
    assert process.line() == "waiting"
    gate.open()
    assert process.end() == (0, f"0\n{TEXT} end", "")


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_fault_45_event_sources(run: Run, serve: Serve, kind: str) -> None:
    """The child's inherited one is dead, its own works; the parent's goes on, reconnecting too."""
    gate = mock.Gate()

    def answers(request: mock.Request) -> mock.Raw:
        last = request.headers.get("last-event-id")
        if request.path.endswith("/child"):
            return mock.Raw([head(), b"data: own\n\n"])
        rest = b"id: 2\ndata: again\n\n" if last else b"id: 1\ndata: first\n\n"
        return mock.Raw([head(), rest, gate])

    process = run(
        serve(answers),
        ASYNC
        + dedent(f"""
        sync = {kind == "sync"!r}
        states = []

        async def anext_of(stream):
            return await anext(stream)

        loop = asyncio.new_event_loop()

        def take(stream):
            event = next(stream) if sync else loop.run_until_complete(anext_of(stream))
            return event.data

        def open_at(path):
            one = client if sync else millstream.AsyncClient(base_url=sys.argv[1], api_key="k")
            return one.events(sys.argv[1] + path, initial_retry=0, on_state=lambda state, error:
                              states.append((state, type(error).__name__)))

        stream = open_at("/parent")
        say(take(stream))
        child = os.fork()
        if not child:
            loop = asyncio.new_event_loop()
            say(*[name_of(f) for f in (lambda: take(stream), lambda: stream.restart())])
            say(take(open_at("/child")))
            sys.stdout.flush()
            os._exit(0)
        say(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        say(take(stream), states)
        stream.cancel()
        """),
    )
    assert process.line() == "first"
    assert process.line().startswith("ForkedError ")
    assert [process.line() for _ in range(2)] == ["own", "0"]
    gate.open()
    states = [("open", "NoneType"), ("connecting", "NoneType"), ("open", "NoneType")]
    code, out, err = process.end()
    assert (code, out, err) == (0, f"again {states}", "")


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_fault_45_multiprocessing(
    run: Run, held: mock.Server, gate: mock.Gate, method: str, tmp_path: Path
) -> None:
    worker = "import millstream\n" + dedent("""
        def read(url):
            client = millstream.Client(base_url=url, api_key="k", max_retries=0)
            return client.stream(model="m", messages=[]).result().text
        """)
    (tmp_path / "worker.py").write_text(worker)
    process = run(
        held,
        f"""
        sys.path.insert(0, {str(tmp_path)!r})
        import multiprocessing, worker
        stream = ask()
        text = until_five(stream)
        with multiprocessing.get_context({method!r}).Pool(2) as pool:
            for answer in pool.map(worker.read, sys.argv[1:] * 4):
                say(answer)
            pool.close()
            pool.join()
        say(text + texts(stream))
        """,
    )
    assert [process.line() for _ in range(4)] == [TEXT] * 4
    gate.open()
    assert process.end() == (0, TEXT + " end", "")


LIST = """
import os, socket
for name in os.listdir("/proc/self/fd"):
    try:
        kind = os.readlink("/proc/self/fd/" + name)
        if kind.startswith("socket:"):
            kind = socket.socket(fileno=int(name)).family.name
        if not kind.startswith("pipe:"):  # stdout is a new one each time
            print(kind)
    except FileNotFoundError:
        pass  # of the listing itself
"""


def test_fault_60_a_program_inherits_no_descriptor(run: Run, held: mock.Server) -> None:
    process = run(
        held,
        f"""
        import subprocess

        def inherited():
            program = [sys.executable, "-c", {LIST!r}]
            return subprocess.check_output(program, close_fds=False, text=True).split("\\n")

        before = inherited()
        stream = ask()
        reader = threading.Thread(target=lambda: texts(stream), daemon=True)
        until_five(stream)
        reader.start()
        sys.stdin.readline()
        say(*set(inherited()) - set(before))
        """,
    )
    assert eventually(lambda: process.threads() == [*"SSS"])
    process.tell("list")
    assert process.line() == ""
    assert process.end() == (0, "", "")


def test_fault_45_a_fork_that_no_hook_saw(run: Run, held: mock.Server, gate: mock.Gate) -> None:
    """Code in C may fork by itself: the child starts an engine of its own all the same."""
    process = run(
        held,
        """
        import ctypes

        stream = ask()
        text = until_five(stream)
        pid = ctypes.PyDLL(None).fork()
        if pid == 0:
            say(texts(ask()))
            say(name_of(lambda: next(stream)))
            os._exit(0)
        os.waitpid(pid, 0)
        say("child is over")
        say(text + texts(stream))
        """,
    )
    assert process.line() == TEXT
    assert process.line() == "ForkedError"
    assert process.line() == "child is over"
    gate.open()
    assert process.end() == (0, TEXT + " end", "")


def test_fault_45_wait_for_the_parents_streams(
    run: Run, held: mock.Server, gate: mock.Gate
) -> None:
    process = run(
        held,
        """
        stream = ask()
        text = until_five(stream)
        pid = os.fork()
        if pid == 0:
            say(name_of(lambda: millstream.wait([ask(), stream])))
            os._exit(0)
        os.waitpid(pid, 0)
        say(text + texts(stream))
        """,
    )
    assert process.line() == "ForkedError"
    gate.open()
    assert process.end() == (0, TEXT + " end", "")


# ---- exit ----------------------------------------------------------------------------------------

LAST_WORDS = {
    "pass": 0,
    "sys.exit(3)": 3,
    "os._exit(4)": 4,
    "raise ValueError('mine')": 1,
}


@pytest.mark.parametrize("last", LAST_WORDS)
@pytest.mark.parametrize("state", ["live", "daemon in next", "daemon that reads"])
def test_fault_47_exit_with_streams(run: Run, serve: Serve, last: str, state: str) -> None:
    endless = [f"{n} " for n in range(100_000)]
    words: list[str | float | mock.Gate] = (
        [*endless] if state == "daemon that reads" else [*WORDS, mock.Gate(), " end"]
    )
    server = serve(mock.Answer(words, pace=0.001 if state == "daemon that reads" else 0))
    starts = {
        "live": "until_five(streams[0])",
        "daemon in next": "threads[0].start(); sys.stdin.readline()",
        "daemon that reads": "threads[0].start(); first.wait()",
    }
    process = run(
        server,
        f"""
        streams = [ask(), ask()]
        first = threading.Event()

        def read():
            for chunk in streams[0]:
                first.set()

        threads = [threading.Thread(target=read, daemon=True)]
        {starts[state]}
        {last}
        """,
    )
    if state == "daemon in next":
        assert eventually(lambda: process.threads() == [*"SSS"])
        process.tell("end")
    code, out, err = process.end(EXIT_S)
    assert (code, out) == (LAST_WORDS[last], "")
    lines = err.splitlines()
    assert lines[-1:] == (["ValueError: mine"] if code == 1 else [])
    assert "Thread" not in err
    assert "ignored" not in err


def test_fault_47_exit_wakes_a_thread_that_waits(run: Run, serve: Serve) -> None:
    process = run(
        serve(mock.Answer([*WORDS, mock.Gate(), " end"])),
        """
        def read(stream):
            say(until_five(stream))
            say(name_of(lambda: next(stream)))
            say(name_of(ask))

        threading.Thread(target=read, args=[ask()]).start()
        sys.stdin.readline()
        """,
    )
    assert process.line() == TEXT
    assert eventually(lambda: process.threads() == [*"SSS"])
    process.tell("end")
    assert process.end(EXIT_S) == (0, "Cancelled\nCancelled", "")


def test_fault_47_exit_after_a_loop_with_live_streams(run: Run, serve: Serve) -> None:
    process = run(
        serve(mock.Answer([*WORDS, mock.Gate(), " end"])),
        """
        import asyncio
        kept = []

        async def main():
            client = millstream.AsyncClient(base_url=sys.argv[1], api_key="k")
            kept.extend(ask(client) for _ in range(3))
            asyncio.ensure_future(kept[0].result())
            async for chunk in kept[1]:
                if chunk.text == " five":
                    break

        asyncio.run(main())
        say("over")
        """,
    )
    assert process.end(EXIT_S) == (0, "over", "")


# ---- subinterpreters -----------------------------------------------------------------------------


@pytest.mark.skipif(sys.version_info < (3, 12), reason="no interpreters with a GIL of their own")
def test_fault_55_a_subinterpreter(run: Run, held: mock.Server, gate: mock.Gate) -> None:
    process = run(
        held,
        """
        import textwrap
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        stream = ask()
        text = until_five(stream)
        inner = interpreters.create()
        failure = interpreters.run_string(inner, textwrap.dedent(f'''
            import millstream
            client = millstream.Client(base_url={sys.argv[1]!r}, api_key="k", max_retries=0)
            print(client.stream(model="m", messages=[]).result().text, flush=True)
            '''))
        interpreters.destroy(inner)
        say(failure)
        say(text + texts(stream))
        """,
    )
    assert [process.line(), process.line()] == [TEXT, "None"]
    gate.open()
    assert process.end() == (0, TEXT + " end", "")
