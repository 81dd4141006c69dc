"""Faults 38 to 41: HTTP/2, where "auto" turns it on."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import Any

import pytest

h2 = pytest.importorskip("h2", reason="skipped: no h2")
from h2.errors import ErrorCodes  # noqa: E402
from hyperframe.frame import GoAwayFrame, PingFrame, SettingsFrame  # noqa: E402

import millstream  # noqa: E402
from answers import DONE, GIVE_UP_S, LAST_CHUNK, chat, http_chunks  # noqa: E402
from components import Authority, Site, nginx  # noqa: E402
from conftest import Listen  # noqa: E402
from h2server import Peer, answer, serving  # noqa: E402
from harness import FINE, FINE_ANSWER, HEAD, MIB, Scene, memory_within  # noqa: E402
from listener import say  # noqa: E402
from millstream import _core, mock  # noqa: E402

AB = chat("a") + chat("b")
END = chat("c", finish="stop") + DONE
FINE_H2 = answer(chat(FINE, finish="stop") + DONE)


def is_on() -> bool:
    found = re.search(r"libcurl/(\d+)\.(\d+)\.(\d+)", _core.curl_version)
    return found is not None and tuple(map(int, found.groups())) >= (8, 14, 1)


pytestmark = pytest.mark.skipif(
    not is_on(), reason=f'skipped: http2="auto" is HTTP/1.1 with {_core.curl_version.split()[0]}'
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def client_options(authority: Authority) -> dict[str, Any]:
    return {"verify": str(authority.ca)}


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> Path:
    return authority.issue("h2").both


def goaway(peer: Peer, error: ErrorCodes, last: int | None = None) -> None:
    known = peer.stream_id if last is None else last
    peer.frames(GoAwayFrame(0, last_stream_id=known, error_code=error))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("tls", [False, True], ids=["without TLS", "over TLS"])
def test_fault_51_streams_to_a_server_without_http2(
    scene: Scene, certificate: Path, client_options: dict[str, Any], tls: bool, host: str
) -> None:
    """None of them waits for another, though each would have taken HTTP/2."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    gate = mock.Gate()
    body: list[bytes | float | mock.Gate] = [
        http_chunks([AB]),
        gate,
        http_chunks([END]) + LAST_CHUNK,
    ]
    server = scene.serve(mock.Raw([HEAD, *body]), ssl_context=context if tls else None)
    client = scene.client(server.url.replace("127.0.0.1", host), **client_options)
    streams = [scene.ask(client) for _ in range(5)]
    assert server.wait_requests(5, GIVE_UP_S)
    gate.open()
    for stream in streams:
        scene.read(stream).is_success("abc")


def test_fault_51_streams_that_begin_at_once_share_a_connection(
    scene: Scene, certificate: Path, client_options: dict[str, Any]
) -> None:
    with serving(certificate, FINE_H2) as server:
        client = scene.client(server.url.replace("127.0.0.1", "localhost"), **client_options)
        for stream in [scene.ask(client) for _ in range(50)]:
            scene.read(stream).is_success(FINE)
    assert (server.requests, server.connections) == (50, 1)


def test_fault_51_a_connection_that_does_not_come_about_holds_up_its_stream_alone(
    scene: Scene, certificate: Path, client_options: dict[str, Any]
) -> None:
    with serving(certificate, FINE_H2, mute=1) as server:
        client = scene.client(server.url.replace("127.0.0.1", "localhost"), **client_options)
        first, *others = [scene.ask(client) for _ in range(5)]
        for stream in others:
            scene.read(stream).is_success(FINE)
        first.cancel()
    assert server.requests == 4


def test_fault_38_goaway_and_the_end(
    scene: Scene, certificate: Path, client_options: dict[str, Any]
) -> None:
    def script(peer: Peer) -> None:
        peer.head()
        peer.data(AB)
        goaway(peer, ErrorCodes.NO_ERROR)
        peer.data(END, end=True)

    with serving(certificate, script, FINE_H2) as server:
        client = scene.client(server.url, **client_options)
        scene.read(scene.ask(client)).is_success("abc")
        scene.is_answered(client)
    assert (server.requests, server.connections) == (2, 2)


def test_fault_38_nginx_says_goaway(scene: Scene, authority: Authority, tmp_path: Path) -> None:
    """nginx announces the end of a connection while its last answer is on its way."""
    upstream = scene.serve(FINE_ANSWER)
    cert = authority.issue("nginx")
    site = Site.over_tls(cert, upstream.origin, "http2", "keepalive_requests 1;")
    with nginx(tmp_path, [site]) as (port,):
        client = scene.client(f"https://localhost:{port}/v1", verify=str(authority.ca))
        for _ in range(5):
            scene.is_answered(client)


@pytest.mark.parametrize("error", [ErrorCodes.INTERNAL_ERROR, ErrorCodes.ENHANCE_YOUR_CALM])
def test_fault_39_goaway_with_an_error(
    scene: Scene, certificate: Path, client_options: dict[str, Any], error: ErrorCodes
) -> None:
    def script(peer: Peer) -> None:
        peer.head()
        peer.data(AB)
        goaway(peer, error)
        peer.close()

    with serving(certificate, script, FINE_H2) as server:
        client = scene.client(server.url, **client_options, max_retries=2)
        outcome = scene.read(scene.ask(client))
        outcome.is_error(millstream.StreamInterrupted, "ab")
        assert outcome.retries == 0
        scene.is_answered(client)
    assert server.requests == 2


@pytest.mark.parametrize("retries", [0, 1])
def test_fault_39_goaway_before_the_stream(
    scene: Scene, certificate: Path, client_options: dict[str, Any], retries: int
) -> None:
    """The server has not looked at the request: asked again, by us or by the caller, counted."""

    def script(peer: Peer) -> None:
        goaway(peer, ErrorCodes.INTERNAL_ERROR, last=0)
        peer.close()

    with serving(certificate, script, FINE_H2) as server:
        client = scene.client(server.url, **client_options, max_retries=retries)
        outcome = scene.read(scene.ask(client))
        if retries:
            outcome.is_success(FINE)
        else:
            assert isinstance(
                outcome.error, (millstream.ConnectError, millstream.StreamInterrupted)
            )
        assert outcome.retries == retries
        assert server.requests == 1 + retries
        scene.is_answered(client)


@pytest.mark.parametrize(
    "error", [ErrorCodes.NO_ERROR, ErrorCodes.CANCEL, ErrorCodes.INTERNAL_ERROR]
)
def test_fault_40_reset_of_a_stream(
    scene: Scene, certificate: Path, client_options: dict[str, Any], error: ErrorCodes
) -> None:
    """One stream of a connection is reset, the other goes on."""
    first: list[Peer] = []

    def begins(peer: Peer) -> None:
        first.append(peer)
        peer.head()
        peer.data(AB)

    def resets(peer: Peer) -> None:
        peer.head()
        peer.data(AB)
        peer.reset(error)
        first[0].data(END, end=True)

    with serving(certificate, begins, resets, FINE_H2) as server:
        client = scene.client(server.url, **client_options, max_retries=2)
        other = scene.ask(client)
        assert scene.next(other).text == "a"
        outcome = scene.read(scene.ask(client))
        outcome.is_error(millstream.StreamInterrupted, "ab")
        assert outcome.retries == 0
        assert scene.read(other).text == "bc"
        scene.is_answered(client)
    assert (server.requests, server.connections) == (3, 1)


@pytest.mark.parametrize("kind", ["PING", "SETTINGS"])
def test_fault_41_flood(
    scene: Scene, certificate: Path, client_options: dict[str, Any], kind: str
) -> None:
    """50,000 frames that want an answer each: the stream ends, one way or the other, in order."""
    frame = PingFrame(0, opaque_data=b"12345678") if kind == "PING" else SettingsFrame(0)

    def script(peer: Peer) -> None:
        peer.head()
        peer.data(AB)
        for _ in range(500):
            peer.frames(*[frame] * 100)
        peer.data(END, end=True)

    with serving(certificate, script, FINE_H2) as server, memory_within(32 * MIB):
        client = scene.client(server.url, **client_options)
        outcome = scene.read(scene.ask(client))
        if outcome.error is None:
            outcome.is_success("abc")
        else:
            kinds = (millstream.StreamInterrupted, millstream.ProtocolError)
            assert isinstance(outcome.error, kinds)
            assert outcome.text == "ab"
        scene.is_answered(client)


# ---- event sources -------------------------------------------------------------------------------

FIRST, SECOND = b"id: 1\ndata: a\n\n", b"data: b\n\n"


def nothing_more(peer: Peer) -> None:
    peer.head(204)
    peer.data(b"", end=True)


def test_fault_38_an_event_source_takes_the_end_for_clean(
    listen: Listen, certificate: Path, client_options: dict[str, Any]
) -> None:
    def script(peer: Peer) -> None:
        peer.head()
        peer.data(FIRST)
        goaway(peer, ErrorCodes.NO_ERROR)
        peer.data(SECOND, end=True)

    with serving(certificate, script, nothing_more) as server:
        listener = listen(server.url, client=client_options)
        assert listener.rest() == [say("a", "1"), say("b", "1")]
        assert listener.losses == [None]
    assert (server.requests, server.connections) == (2, 2)


@pytest.mark.parametrize("before", [b"", FIRST], ids=["before an event", "after one"])
@pytest.mark.parametrize("fault", ["39", "40", "40 with NO_ERROR"])
def test_fault_39_and_40_an_event_source_reconnects(
    listen: Listen, certificate: Path, client_options: dict[str, Any], fault: str, before: bytes
) -> None:
    """GOAWAY with an error, and RST_STREAM: a loss each, and the next request goes on behind it.

    libcurl does not tell a reset with NO_ERROR from the end, which may come anywhere here.
    """

    def script(peer: Peer) -> None:
        peer.head()
        peer.data(before + b"data: half")
        if fault == "39":
            goaway(peer, ErrorCodes.INTERNAL_ERROR)
            peer.close()
        else:
            code = ErrorCodes.NO_ERROR if "NO_ERROR" in fault else ErrorCodes.INTERNAL_ERROR
            peer.reset(code)

    with serving(certificate, script, answer(SECOND), nothing_more) as server:
        listener = listen(server.url, client=client_options)
        expected = [say("a", "1"), say("b", "1")] if before else [say("b")]
        assert listener.rest() == expected
        lost = None if "NO_ERROR" in fault else millstream.StreamInterrupted
        assert listener.losses == [lost, None]
    assert server.requests == 3


def test_fault_39_an_event_source_that_was_not_processed(
    listen: Listen, certificate: Path, client_options: dict[str, Any]
) -> None:
    def script(peer: Peer) -> None:
        goaway(peer, ErrorCodes.INTERNAL_ERROR, last=0)
        peer.close()

    with serving(certificate, script, answer(SECOND), nothing_more) as server:
        listener = listen(server.url, client=client_options)
        assert listener.rest() == [say("b")]
        assert listener.losses[0] in (millstream.ConnectError, millstream.StreamInterrupted)
        assert listener.losses[1:] == [None]
    assert server.requests == 3


@pytest.mark.parametrize("kind", ["PING", "SETTINGS"])
def test_fault_41_a_flood_over_an_event_source(
    listen: Listen, certificate: Path, client_options: dict[str, Any], kind: str
) -> None:
    """It ends the connection or it does not; the source goes on, in bounded memory."""
    frame = PingFrame(0, opaque_data=b"12345678") if kind == "PING" else SettingsFrame(0)

    def script(peer: Peer) -> None:
        peer.head()
        peer.data(FIRST)
        for _ in range(500):
            peer.frames(*[frame] * 100)
        peer.data(SECOND, end=True)

    with (
        serving(certificate, script, answer(SECOND), nothing_more) as server,
        memory_within(32 * MIB),
    ):
        listener = listen(server.url, client=client_options)
        assert listener.next() == say("a", "1")
        rest = listener.rest()
        assert rest in ([say("b", "1")], [say("b", "1")] * 2)
        assert listener.losses[-1] is None
