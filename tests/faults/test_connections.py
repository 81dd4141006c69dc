"""Faults 1 to 9 and 65: connections that break, and HTTP that is cut or bent."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

import millstream
from answers import DONE, LAST_CHUNK, chat, chunked, head, http_chunks
from closing import Closing, listening
from harness import AB, FINE, FINE_ANSWER, HEAD, Scene
from millstream import mock

END = http_chunks([chat("c", finish="stop") + DONE])
fin_or_rst = pytest.mark.parametrize("then", ["close", "reset"])


@pytest.mark.parametrize(
    "cut",
    [http_chunks([chat("c")])[:30], b"f", b"f\r\n", http_chunks([chat("c")])[:-1]],
    ids=["in an event", "in a chunk's size", "after it", "in its last line end"],
)
def test_fault_01_reset_in_the_middle_of_a_chunk(scene: Scene, cut: bytes) -> None:
    outcome = scene.meet(mock.Raw([HEAD, AB, cut], then="reset"), max_retries=3)
    outcome.is_error(millstream.StreamInterrupted, "abc" if len(cut) > 30 else "ab")
    assert outcome.retries == 0


@pytest.mark.parametrize(
    "before", [b"", AB, AB + b"f", AB + b"f\r\n", AB + http_chunks([chat("c")[:9]])], ids=len
)
def test_fault_02_end_without_the_last_chunk(scene: Scene, before: bytes) -> None:
    outcome = scene.meet(mock.Raw([HEAD, before]), max_retries=3)
    outcome.is_error(millstream.StreamInterrupted, "ab" if before else "")
    assert outcome.retries == 0


@fin_or_rst
@pytest.mark.parametrize(
    "sent", [b"HT", b"HTTP/1.1 20", b"HTTP/1.1 200 OK\r\n", HEAD[:-3]], ids=len
)
def test_fault_03_end_in_the_head(scene: Scene, sent: bytes, then: Any) -> None:
    outcome = scene.meet(mock.Raw(sent, then=then), max_retries=3)
    outcome.is_error(millstream.StreamInterrupted)
    assert outcome.retries == 0  # the server has begun to answer: it may have charged for it


@pytest.mark.parametrize("sent", [b"", b"H", b"HTTP/1.1 20"], ids=len)
def test_fault_03_end_in_the_head_over_a_unix_socket(
    scene: Scene, sent: bytes, tmp_path: Path
) -> None:
    path = str(tmp_path / "s")
    server = scene.serve(mock.Raw(sent), FINE_ANSWER, unix_socket=path)
    client = scene.client(server, unix_socket=path)
    error = millstream.StreamInterrupted if sent else millstream.ConnectError
    scene.read(scene.ask(client)).is_error(error)
    scene.is_answered(client)


@fin_or_rst
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=str)
@pytest.mark.parametrize("sent", [b"", b"H", b"HTTP/1.1 20", HEAD[:-3]], ids=len)
def test_fault_03_end_in_the_head_over_tls(
    scene: Scene, sent: bytes, version: ssl.TLSVersion, then: Any, signed_by_itself: Path
) -> None:
    """The same on a connection that is new and on one that is kept."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(signed_by_itself)
    tls.maximum_version = version
    kept = mock.Raw(chunked(chat("x", finish="stop"), DONE), then="keep")
    cut = mock.Raw(sent, then=then)
    server = scene.serve(cut, kept, cut, FINE_ANSWER, ssl_context=tls)
    client = scene.client(server, verify=str(signed_by_itself))
    error = millstream.StreamInterrupted if sent else millstream.ConnectError
    scene.read(scene.ask(client)).is_error(error)
    scene.read(scene.ask(client)).is_success("x")
    scene.read(scene.ask(client)).is_error(error)
    _, second, third = server.requests
    assert second.connection == third.connection
    scene.is_answered(client)


@fin_or_rst
def test_fault_03_end_in_the_first_line_on_a_kept_connection(scene: Scene, then: Any) -> None:
    kept = mock.Raw(chunked(chat("x", finish="stop"), DONE), then="keep")
    server = scene.serve(kept, mock.Raw(b"HTTP/1.1 20", then=then), FINE_ANSWER)
    client = scene.client(server, max_retries=3)
    scene.read(scene.ask(client)).is_success("x")
    scene.read(scene.ask(client)).is_error(millstream.StreamInterrupted)
    first, second = server.requests
    assert first.connection == second.connection
    scene.is_answered(client)


@fin_or_rst
def test_fault_04_a_body_shorter_than_its_length(scene: Scene, then: Any) -> None:
    answer = [head(Content_Length="1000"), chat("a") + chat("b")]
    scene.meet(mock.Raw(answer, then=then)).is_error(millstream.StreamInterrupted, "ab")


@pytest.mark.parametrize("framing", ["chunked", "length", "until the end"])
def test_fault_05_a_clean_end_without_a_terminator(scene: Scene, framing: str) -> None:
    def answer(body: bytes) -> mock.Raw:
        if framing == "chunked":
            return mock.Raw(HEAD + http_chunks([body]) + LAST_CHUNK)
        length = {"Content_Length": str(len(body))} if framing == "length" else {}
        return mock.Raw(head(Connection="close", **length) + body)

    before = scene.meet(answer(chat("a") + chat("b")))
    error = before.is_error(millstream.StreamInterrupted, "ab")
    assert "without its terminator" in str(error)
    scene.meet(answer(chat("a") + chat("b", finish="stop"))).is_success("ab")
    half = scene.meet(answer(chat("a", finish="stop") + chat("b", index=1)))
    half.is_error(millstream.StreamInterrupted, "ab")


@pytest.mark.parametrize("then", ["close", "reset", "hang"])
@pytest.mark.parametrize("tail", [b"", b"zzz\r\n", http_chunks([b"more"])], ids=repr)
def test_fault_06_what_comes_after_the_terminator(scene: Scene, tail: bytes, then: Any) -> None:
    scene.meet(mock.Raw(HEAD + AB + END + tail, then=then)).is_success("abc")


@pytest.mark.parametrize("size", [b"-5", b"xyz", b"f" * 17, b"\0", b" \t"], ids=repr)
def test_fault_07_a_chunk_size_that_is_none(scene: Scene, size: bytes) -> None:
    outcome = scene.meet(mock.Raw([HEAD, AB, size + b"\r\n" + b"data"]), max_retries=3)
    outcome.is_error(millstream.ProtocolError, "ab")


@fin_or_rst
def test_fault_08_no_byte_of_an_answer(scene: Scene, then: Any) -> None:
    scene.meet(mock.Raw(b"", then=then)).is_error(millstream.ConnectError, code="closed")
    tried = scene.meet(mock.Raw(b"", then=then), max_retries=1)
    tried.is_success(FINE)
    assert tried.retries == 1


@fin_or_rst
def test_fault_09_a_kept_connection_that_is_dead(scene: Scene, then: Any) -> None:
    """The request is read over the kept connection, which is then closed in silence."""
    kept = mock.Raw(chunked(chat("x", finish="stop"), DONE), then="keep")
    for retries in (0, 1):
        server = scene.serve(kept, mock.Raw(b"", then=then), FINE_ANSWER)
        client = scene.client(server, max_retries=retries)
        scene.read(scene.ask(client)).is_success("x")
        outcome = scene.read(scene.ask(client))
        if retries:
            outcome.is_success(FINE)
        else:
            outcome.is_error(millstream.ConnectError, code="closed")
        assert outcome.retries == retries == client.metrics()["retries"]
        assert len(server.requests) == 2 + retries
        assert server.requests[0].connection == server.requests[1].connection
        scene.is_answered(client)


def test_fault_09_each_request_meets_the_end_of_a_kept_connection(scene: Scene) -> None:
    """Every request but the first goes out on a connection that ends without an answer."""
    server, asked = Closing(waits=True), 6
    with listening(server) as url:
        client = scene.client(url, max_retries=1)
        reader = scene.reader()
        outcomes = [scene.read(scene.ask(client), reader) for _ in range(asked)]
        retries = client.metrics()["retries"]
    assert [outcome.text for outcome in outcomes] == ["x"] * asked
    assert [outcome.retries for outcome in outcomes] == [0] + [1] * (asked - 1)
    assert retries == asked - 1
    assert server.posts == asked + asked - 1


def test_fault_65_keep_alive_that_is_not_kept(scene: Scene) -> None:
    """Each of 300 answers promises to keep the connection, which is closed right after it."""
    server = Closing(waits=False)
    with listening(server) as url:
        client = scene.client(url, max_retries=2)
        reader = scene.reader()
        for _ in range(300):
            scene.read(scene.ask(client), reader).is_success("x")
        retries = client.metrics()["retries"]
    assert server.posts == 300 + retries
