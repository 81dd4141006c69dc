"""Faults 36 and 37, and some others by way of nginx and toxiproxy: TLS, proxies, bad networks."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import millstream
from answers import DONE, chat, head, http_chunks
from components import Authority, Site, Toxiproxy, microsocks, nginx, tinyproxy, toxiproxy
from harness import AB, FINE_ANSWER, HEAD, Scene, patient, whole
from millstream import mock

PASSWORD = "s3cret-9d1f"
END = chat("c", finish="stop") + DONE


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def shows_no_password(error: BaseException | None) -> None:
    while error is not None:
        assert PASSWORD not in f"{error} {error!r} {vars(error)}"
        error = error.__cause__ or error.__context__


# ---- TLS -----------------------------------------------------------------------------------------


def test_fault_36_certificates(scene: Scene, authority: Authority, tmp_path: Path) -> None:
    """nginx with one certificate that is right and three that are not."""
    upstream = scene.serve(FINE_ANSWER)
    others = Authority(tmp_path)
    sites = {
        "": authority.issue("right"),
        "expired": authority.issue("expired", days=-1),
        "certificate|host": authority.issue("elsewhere", "DNS:elsewhere.example"),
        "self.signed|issuer|verify": others.issue("unknown"),
    }
    over_tls = [Site.over_tls(cert, upstream.origin) for cert in sites.values()]
    with nginx(tmp_path, over_tls) as ports:
        for words, port in zip(sites, ports, strict=True):
            url = f"https://localhost:{port}/v1"
            client = scene.client(url, verify=str(authority.ca), max_retries=2, http2=False)
            if not words:
                scene.is_answered(client)
                continue
            outcome = scene.read(scene.ask(client))
            error = outcome.is_error(millstream.ConnectError, code="tls")
            assert any(word in str(error).lower() for word in words.split("|"))
            assert outcome.retries == 0  # it would fail the same way
            unchecked = scene.client(url, verify=False, http2=False)
            scene.is_answered(unchecked)
    assert len(upstream.requests) == 4


def test_fault_36_tls_1_0(scene: Scene, authority: Authority, tmp_path: Path) -> None:
    upstream = scene.serve(FINE_ANSWER)
    old = "ssl_protocols TLSv1; ssl_ciphers ALL:@SECLEVEL=0;"
    site = Site.over_tls(authority.issue("old"), upstream.origin, more=old)
    with nginx(tmp_path, [site]) as (port,):
        url = f"https://localhost:{port}/v1"
        outcome = scene.read(scene.ask(url, verify=str(authority.ca)))
    error = outcome.is_error(millstream.ConnectError, code="tls")
    assert any(word in str(error) for word in ("protocol", "version")), error
    assert upstream.requests == []


@pytest.mark.parametrize("content", [None, "This is no certificate."])
def test_fault_36_a_ca_file_that_is_none(
    scene: Scene, authority: Authority, tmp_path: Path, content: str | None
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(authority.issue("right").both)
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    server = scene.serve(FINE_ANSWER, ssl_context=tls)
    outcome = scene.read(scene.ask(server, verify=str(file), max_retries=3))
    error = outcome.is_error(millstream.ConnectError, code="tls")
    assert "`verify`" in str(error)
    assert outcome.retries == 0
    assert server.requests == []


# ---- nginx in between ----------------------------------------------------------------------------


@pytest.mark.parametrize("then", ["close", "reset"])
def test_fault_02_the_back_end_of_nginx_dies(scene: Scene, tmp_path: Path, then: Any) -> None:
    """nginx passes on what came and closes without the last chunk."""
    gate = mock.Gate()
    upstream = scene.serve(mock.Raw([HEAD, AB, gate], then=then), FINE_ANSWER)
    with nginx(tmp_path, [Site("", "", upstream.origin)]) as (port,):
        client = scene.client(f"http://127.0.0.1:{port}/v1")
        stream = scene.ask(client)
        assert [scene.next(stream).text for _ in range(2)] == ["a", "b"]  # not buffered
        gate.open()
        scene.read(stream).is_error(millstream.StreamInterrupted)
        assert stream.message.text == "ab"
        scene.is_answered(client)


def test_fault_13_nginx_without_its_back_end(scene: Scene, tmp_path: Path) -> None:
    with nginx(tmp_path, [Site("", "", "http://127.0.0.1:1")]) as (port,):
        outcome = scene.read(scene.ask(f"http://127.0.0.1:{port}/v1"))
    error = outcome.is_error(millstream.ServerError, status=502)
    assert b"502 Bad Gateway" in (error.body or b"")


# ---- proxies -------------------------------------------------------------------------------------

PROXIES: dict[str, Callable[..., Any]] = {"http": tinyproxy, "socks5h": microsocks}


@pytest.mark.parametrize("scheme", PROXIES)
def test_fault_37_proxies(scene: Scene, tmp_path: Path, scheme: str, authority: Authority) -> None:
    """With the right password, with a wrong one, and when it dies in the middle of an answer."""
    gate = mock.Gate()
    end = http_chunks([END]) + b"0\r\n\r\n"
    upstream = scene.serve(FINE_ANSWER, mock.Raw([HEAD, AB, gate, end]))
    with PROXIES[scheme](tmp_path, "user", PASSWORD) as (port, kill):
        way = f"{scheme}://user:{PASSWORD}@127.0.0.1:{port}"
        client = scene.client(upstream, proxy=way)
        scene.is_answered(client)
        wrong, none = way.replace("@", "x@"), f"{scheme}://127.0.0.1:{port}"
        refused: list[tuple[str, mock.Server | str]] = [
            (none, upstream), (none, "https://x.invalid"), (wrong, "https://x.invalid"),
        ]  # fmt: skip
        for proxy, to in refused:
            # A proxy that closes on a request that it has not read may reset its own answer away:
            # then another attempt gets it. That a 407 itself is not retried is shown below.
            error = scene.read(scene.ask(to, proxy=proxy, max_retries=2)).is_error(
                millstream.ConnectError, code="proxy"
            )
            assert "proxy" in str(error)
            shows_no_password(error)
        # Also for this one, which may go out on a connection that the proxy is about to close.
        stream = scene.ask(upstream, proxy=way, max_retries=2)
        assert [scene.next(stream).text for _ in range(2)] == ["a", "b"]
        kill()
        scene.read(stream).is_error(millstream.StreamInterrupted)
    gone = scene.read(scene.ask(client)).error
    assert isinstance(gone, millstream.ConnectError)
    shows_no_password(gone)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_fault_37_a_proxy_that_answers_407(scene: Scene, scheme: str) -> None:
    refusal = head("407 Proxy Authentication Required", Content_Length="0", Connection="close")
    proxy = scene.serve(mock.Raw(refusal))
    way = proxy.origin.replace("//", f"//user:{PASSWORD}@")
    outcome = scene.read(scene.ask(f"{scheme}://host.invalid/v1", proxy=way, max_retries=2))
    error = outcome.is_error(millstream.ConnectError, code="proxy")
    assert "407" in str(error)
    shows_no_password(error)
    assert outcome.retries == 0


def test_fault_37_a_proxy_behind_tls(scene: Scene, authority: Authority) -> None:
    """The proxy's certificate is checked as the server's is."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(authority.issue("proxy").both)
    proxy = scene.serve(FINE_ANSWER, ssl_context=tls)
    way = proxy.origin
    for verify, trusted in [(str(authority.ca), True), (False, True), (True, False)]:
        client = scene.client("http://host.invalid/v1", proxy=way, verify=verify)
        if trusted:
            scene.is_answered(client)
        else:
            outcome = scene.read(scene.ask(client))
            outcome.is_error(millstream.ConnectError, code="tls")


# ---- bad networks --------------------------------------------------------------------------------


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Toxiproxy]:
    with toxiproxy(tmp_path) as network:
        yield network


def test_fault_01_a_network_that_resets(scene: Scene, network: Toxiproxy) -> None:
    server = scene.serve(mock.Raw([HEAD, AB], then="hang"))
    way = network.before(server.origin, "reset_peer", timeout=300)
    error = scene.read(scene.ask(way)).error
    assert isinstance(error, (millstream.StreamInterrupted, millstream.ConnectError))


def test_fault_02_a_network_that_ends_in_the_middle(scene: Scene, network: Toxiproxy) -> None:
    server = scene.serve(whole(chat("x" * 1000), END))
    way = network.before(server.origin, "limit_data", bytes=len(HEAD) + 600)
    scene.read(scene.ask(way)).is_error(millstream.StreamInterrupted)


def test_fault_25_a_network_of_single_bytes(scene: Scene, network: Toxiproxy) -> None:
    server = scene.serve(whole(chat("grüße, 日本語, 🎈"), END))
    way = network.before(server.origin, "slicer", average_size=2, size_variation=1, delay=10)
    scene.read(scene.ask(way)).is_success("grüße, 日本語, 🎈c")


def test_fault_30_a_network_that_stands_still(scene: Scene, network: Toxiproxy) -> None:
    server = scene.serve(FINE_ANSWER)
    way = network.before(server.origin, "latency", latency=20_000)
    outcome = scene.read(scene.ask(way, timeout=patient(first_chunk=0.25)))
    outcome.is_error(millstream.Timeout, phase="first_chunk")


def test_fault_53_a_narrow_network(scene: Scene, network: Toxiproxy) -> None:
    """40 KB at 100 KB/s: all of it comes."""
    server = scene.serve(whole(*(chat("x" * 100) for _ in range(200)), END))
    way = network.before(server.origin, "bandwidth", rate=100)
    scene.read(scene.ask(way)).is_success("x" * 20_000 + "c")
