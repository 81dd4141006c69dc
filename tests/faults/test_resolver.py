"""Faults 34 and 35: names that do not resolve or hang, and addresses that do not answer."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

import millstream
from answers import GIVE_UP_S, head
from conftest import Listen, Serve
from harness import FINE_ANSWER, Scene, patient, preloaded
from listener import data_of
from millstream import mock

# While a hundred streams wait for the name, another one is answered; then all are cancelled.
SCRIPT = """
    import os, sys, time
    import millstream

    url, messages = sys.argv[1], [{"role": "user", "content": "Hi"}]
    slow = millstream.Client(base_url="http://a.hang/v1", api_key="k", max_retries=0)
    quick = millstream.Client(base_url=url, api_key="k", max_retries=0)
    streams = [slow.stream(model="m", messages=messages) for _ in range(100)]
    answers = [quick.stream(model="m", messages=messages).result().text for _ in range(20)]
    print(len(set(answers)), answers[0], len(os.listdir("/proc/self/task")), flush=True)
    for stream in streams[:50]:
        stream.cancel()
    print(quick.stream(model="m", messages=messages).result().text, flush=True)
    sys.stdin.readline()  # the parent has let the look-ups go
    errors = set()
    for stream in streams[50:]:
        try:
            stream.result()
        except millstream.ConnectError as error:
            errors.add(error.code)
    print(errors, flush=True)
"""


def test_fault_34_a_name_that_does_not_resolve(scene: Scene) -> None:
    client = scene.client("http://no-such-host.invalid/v1")
    streams = [scene.ask(client) for _ in range(5)]
    for stream in streams:
        error = scene.read(stream).is_error(millstream.ConnectError, code="dns")
        assert "check its spelling" in str(error)


def test_fault_34_a_hanging_look_up_stops_nobody_else(serve: Serve, shim: Path) -> None:
    server = serve(mock.Answer("Water."))
    hang, let_go = os.pipe()
    environment = {**os.environ, "LD_PRELOAD": preloaded(shim), "HANG_FD": str(hang)}
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), server.url],
        env=environment, pass_fds=[hang], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.close(hang)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        different, answer, threads = process.stdout.readline().split()
        assert (different, answer) == ("1", "Water.")
        # The main thread, the engine, and one look-up for the hundred streams.
        assert int(threads) <= 4
        assert process.stdout.readline() == "Water.\n"
        os.close(let_go)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "{'dns'}\n"
        assert process.wait(GIVE_UP_S) == 0
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


@contextlib.contextmanager
def black_hole() -> Iterator[int]:
    """A port of ::1 whose backlog is full: the kernel drops every further attempt to connect."""
    with contextlib.ExitStack() as stack:
        try:
            hole = socket.create_server(("::1", 0), family=socket.AF_INET6, backlog=0)
        except OSError:
            pytest.skip("skipped: no IPv6 on this machine's loopback")
        stack.enter_context(hole)
        for _ in range(3):
            filler = stack.enter_context(socket.socket(socket.AF_INET6))
            filler.setblocking(False)
            filler.connect_ex(hole.getsockname())
        yield hole.getsockname()[1]


def test_fault_35_an_ipv6_black_hole(scene: Scene) -> None:
    """localhost has an address of each family; only the one of IPv4 answers."""
    with black_hole() as port:
        server = scene.serve(FINE_ANSWER, port=port)
        client = scene.client(f"http://localhost:{port}/v1", timeout=patient(connect=5))
        scene.is_answered(client)
        assert server.connections.opened == 1
        alone = scene.read(scene.ask(f"http://[::1]:{port}/v1", timeout=patient(connect=0.25)))
        alone.is_error(millstream.Timeout, phase="connect")


def test_fault_35_an_event_source_connects_by_ipv4(serve: Serve, listen: Listen) -> None:
    """Each of its connections; and where there is no other way, each is a Timeout."""
    with black_hole() as port:
        server = serve(mock.Raw([head(), b"data: x\n\n"]), port=port)
        clocks = patient(connect=5)
        listener = listen(f"http://localhost:{port}/events", client={"timeout": clocks})
        assert [data_of(item) for item in listener.take(3)] == ["x"] * 3
        assert listener.losses == [None] * 2
        assert server.connections.opened >= 3
        clocks = patient(connect=0.25)
        alone = listen(f"http://[::1]:{port}/events", client={"timeout": clocks})
        alone.waits_for_state("connecting")
        late = alone.states[0][1]
        assert isinstance(late, millstream.Timeout)
        assert late.phase == "connect"
