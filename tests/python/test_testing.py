"""millstream.testing: what was recorded is replayed as it was, and no secret is on the cassette."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import http.client
import json
import re
import shutil
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

import pytest

import millstream
import millstream.params
from answers import DONE, GIVE_UP_S, LAST_CHUNK, MESSAGES, chat, eventually, head, http_chunks
from conftest import Connect, Serve, timeout
from millstream import mock, testing
from millstream.testing import _cassette, _record
from millstream.testing._replay import _parts
from millstream.testing._secrets import Secrets
from test_mock_formats import SAID, WIRES, Wire, ask, of_each_format

KEY = "sk-live-5d1f0a7c93b24e"
COOKIE = "c00kie-9f8e7d6c5b"
PASSWORD = "hunter2-hunter2"

Tape = Callable[..., testing.Recorder]


@pytest.fixture
def cassette(tmp_path: Path) -> Path:
    return tmp_path / "cassettes" / "one.jsonl"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer counts as left because the machine is busy; tests that leave one say so."""
    monkeypatch.setattr(_record, "_GRACE_S", GIVE_UP_S)


@pytest.fixture
def impatient(patient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_record, "_GRACE_S", 0.01)


@pytest.fixture
def tape(cassette: Path) -> Iterator[Tape]:
    """Record a server: `with tape(server)`; what is open at the end of the test is closed."""
    recorders: list[testing.Recorder] = []

    def start(server: mock.Server | str, **options: Any) -> testing.Recorder:
        upstream = server if isinstance(server, str) else server.url
        recorders.append(testing.record(cassette, upstream=upstream, **options))
        return recorders[-1]

    yield start
    for recorder in recorders:
        recorder.close()


def origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def said(chunk: millstream.Chunk) -> tuple[Any, ...]:
    """All that a chunk says."""
    usage = None if chunk.usage is None else (*chunk.usage,)
    return (
        chunk.type, chunk.text, chunk.reasoning, chunk.refusal, chunk.signature, chunk.choice,
        chunk.tool_call, chunk.finish_reason_raw, usage, chunk.raw, chunk.event.type,
    )  # fmt: skip


def all_of(cassette: Path) -> bytes:
    """The file, and what stands in its base64, and in that of a frame."""
    texts = [cassette.read_bytes()]
    for exchange in testing.read(cassette):
        texts.append(exchange.body)
        for word in exchange.body.split(b'"'):
            try:
                texts.append(base64.b64decode(word, validate=True))
            except ValueError:
                continue
    return b"\n".join(texts)


def answer(stream: millstream.Stream) -> list[tuple[Any, ...]]:
    return [said(chunk) for chunk in stream]


def question(client: millstream.Client, text: str = "Hi") -> millstream.Stream:
    return client.stream(model="m", messages=[{"role": "user", "content": text}])


# ---- each wire format ----------------------------------------------------------------------------


def echo(request: mock.Request) -> mock.Answer:
    """An answer that tells the key to all the world."""
    key = request.headers.get("authorization", "").removeprefix("Bearer ")
    return mock.Answer(["You said ", f"{key}.", " Bye."], reasoning="Hm.", usage=mock.Usage(7, 5))


def asks(client: millstream.Client, wire: Wire, **more: Any) -> millstream.Stream:
    body = wire.body("m", True)
    given = {**body, **more} if isinstance(body, dict) else body
    mark = "&" if "?" in wire.at("m") else "?"
    return client.request(f"{wire.at('m')}{mark}key={KEY}", json=given, format=wire.name)


@of_each_format
def test_a_cassette_of_each_format_gives_the_same_chunks(
    serve: Serve, connect: Connect, tape: Tape, cassette: Path, wire: Wire
) -> None:
    script: mock.Script = SAID
    if wire.name == "openai-transcription":  # its requests are forms, which request() does not send
        script = mock.Replay(ask(serve(SAID), wire).body)
    direct = answer(asks(connect(serve(script).origin, api_key=KEY), wire))
    with tape(serve(script)) as recorder:
        recorded = answer(asks(connect(origin_of(recorder.base_url), api_key=KEY), wire))
    with testing.replay(cassette, speed=None) as player:
        replayed = answer(asks(connect(player.origin, api_key="another key"), wire))
        assert player.unused == []
    assert recorded == direct
    assert replayed == direct
    assert KEY.encode() not in all_of(cassette)


@of_each_format
def test_the_pieces_are_those_of_the_wire(
    serve: Serve, tape: Tape, cassette: Path, wire: Wire
) -> None:
    server = serve(SAID)
    whole = ask(server, wire)
    with tape(serve(SAID)) as recorder:
        address = urlsplit(recorder.base_url).netloc
        connection = http.client.HTTPConnection(address, timeout=GIVE_UP_S)
        connection.request("POST", wire.at("m"), wire.bytes("m", True), {"x-api-key": KEY})
        response = connection.getresponse()
        handed_on = response.read()
        connection.close()
    (exchange,) = testing.read(cassette)
    assert exchange.body == handed_on == whole.body
    assert len(exchange.pieces) > 5  # a chunk of the server's each
    assert exchange.end == "complete"
    times = [exchange.head_at, *(seconds for seconds, _ in exchange.pieces), exchange.end_at]
    assert times == sorted(times)
    assert exchange.headers["content-type"] == response.headers["content-type"]


@of_each_format
def test_a_key_in_an_answer_is_masked_and_all_lengths_stay_true(
    serve: Serve, connect: Connect, tape: Tape, cassette: Path, wire: Wire
) -> None:
    script: mock.Script = echo
    if wire.name == "openai-transcription":
        told = mock.Answer(["You said ", f"{KEY}.", " Bye."])
        script = mock.Replay(ask(serve(told), wire).body)
    with tape(serve(script)) as recorder:
        live = asks(connect(recorder.origin, api_key=KEY), wire).result()
    with testing.replay(cassette, speed=None) as player:
        replayed = asks(connect(player.origin), wire).result()
    assert live.text == f"You said {KEY}. Bye."
    assert replayed.text == f"You said {'*' * len(KEY)}. Bye."
    assert replayed.usage is not None
    assert live.usage is not None
    assert replayed.usage[:4] == live.usage[:4]
    assert KEY.encode() not in all_of(cassette)


def test_a_document_that_is_no_stream_is_replayed(
    serve: Serve, connect: Connect, tape: Tape, cassette: Path
) -> None:
    def told(to: str) -> list[str]:
        client = connect(to, api_key=KEY)
        return [event.data for event in client.request("/ask", json={}, format="json").events()]

    document = '{"id": "r-1", "output": ["a", {"b": 1.5}]}'
    script = mock.Replay(document.encode(), headers={"Content-Type": "application/json"})
    with tape(serve(script)) as recorder:
        assert told(recorder.origin) == [document]
    with testing.replay(cassette, speed=None) as player:
        assert told(player.origin) == [document]


def test_every_format_is_among_them() -> None:
    named = {wire.name for wire in WIRES}
    assert named | {"events", "json"} == {*millstream._core.formats()}


# ---- secrets -------------------------------------------------------------------------------------


def test_no_secret_of_any_place_is_written(
    serve: Serve, connect: Connect, tape: Tape, cassette: Path
) -> None:
    fresh = "sk-proj-fresh0123456789abcdef"
    server = serve(
        mock.Replay(
            chat(f"{fresh} and {PASSWORD}") + chat(finish="stop") + DONE,
            headers={"Set-Cookie": f"session={COOKIE}", "X-Auth-Token": PASSWORD, "X-Echo": KEY,
                     "x-ratelimit-remaining-tokens": "1000"},
        )
    )  # fmt: skip
    url = server.url.replace("//", f"//user:{PASSWORD}@")
    secrets = {
        "api_key": f"other-{KEY}", "clientSecret": "a client's, with \"marks\"",
        "access_token": "tok-123456", "nested": [{"password": PASSWORD}],
        "text": f'{{"api_key": "inner-{COOKIE}"}} Bearer abcdefghijklmnopqrstuv '
        "AKIAIOSFODNN7EXAMPLE AIzaSyA1234567890abcdefghijklmnopqrstuv",
    }  # fmt: skip
    headers = {"Cookie": f"session={COOKIE}", "X-Goog-Api-Key": KEY, "X-Word": "kept"}
    with tape(url) as recorder:
        client = connect(recorder.base_url, api_key=KEY, headers=headers)
        body = {"messages": MESSAGES, "max_tokens": 5, "key": "kept", "token": "kept", **secrets}
        client.request(f"/chat/completions?key={KEY}&a=1&sig=s1gnature", json=body).result()
    text = all_of(cassette).decode(errors="replace")
    for secret in (KEY, COOKIE, PASSWORD, fresh, "client's", "tok-123456", "s1gnature", "AKIAIOS",
                   "AIzaSy", "abcdefghijklmnopqrstuv", "user:"):  # fmt: skip
        assert secret not in text, secret
    (exchange,) = testing.read(cassette)
    assert exchange.request["query"] == "key=***&a=1&sig=***"
    kept = exchange.request["body"]["json"]
    assert (kept["max_tokens"], kept["key"], kept["token"]) == (5, "kept", "kept")
    assert kept["clientSecret"] == "***"
    assert exchange.request_headers["authorization"] == "Bearer ***"
    assert exchange.request_headers["x-word"] == "kept"
    assert exchange.headers["x-ratelimit-remaining-tokens"] == "1000"


def request_of(
    body: bytes = b"", headers: Mapping[str, str] | None = None, query: str = ""
) -> mock.Request:
    return mock.Request("POST", "/v1/a", query, headers or {}, body, b"", 0, 0.0, True)


AWKWARD = 'ab/cd\\+ef=gh"ij&kl é \U0001f511 m=='


@pytest.mark.parametrize(
    "write",
    [
        lambda key: key,
        lambda key: json.dumps(key),
        lambda key: json.dumps(key).replace("/", r"\/").replace("=", r"\u003d"),
        lambda key: json.dumps(json.dumps({"said": key})),
        lambda key: json.dumps(json.dumps(key).replace("/", r"\/").replace("&", r"\u0026")),
        lambda key: quote(key, safe=""),
        lambda key: quote_plus(key).lower(),
        lambda key: quote(key, safe="/="),
    ],
)
def test_a_secret_is_found_however_it_is_written(write: Any) -> None:
    secrets = Secrets(request_of(query=f"key={quote_plus(AWKWARD)}"))
    told = f"you said {write(AWKWARD)}, did you?"
    found = secrets.starred(told.encode()).decode()
    assert len(found.encode()) == len(told.encode())
    assert re.fullmatch(r'you said [*\\"{}: said]+, did you\?', found)
    assert "ab" not in found
    assert "kl" not in found


def test_what_is_packed_is_kept_as_its_hash() -> None:
    packed = gzip.compress(json.dumps({"text": KEY}).encode())
    request = request_of(packed, {"authorization": f"Bearer {KEY}", "content-encoding": "gzip"})
    kept = _cassette.asked(request, Secrets(request))["body"]
    assert kept == {"sha256": hashlib.sha256(packed).hexdigest(), "bytes": len(packed)}


def test_a_key_over_two_pieces_is_found(
    serve: Serve, connect: Connect, tape: Tape, cassette: Path
) -> None:
    body = chat(f"a {KEY} b") + chat(finish="stop") + DONE
    half = body.index(KEY.encode()) + 5
    gate = mock.Gate()
    begin = head(Transfer_Encoding="chunked") + http_chunks([body[:half]])
    raw: list[bytes | mock.Gate] = [begin, gate, http_chunks([body[half:]]), LAST_CHUNK]
    with tape(serve(mock.Raw(raw))) as recorder:
        stream = question(connect(recorder.base_url, api_key=KEY))
        gate.open()
        stream.result()
    (exchange,) = testing.read(cassette)
    assert [len(piece) for _, piece in exchange.pieces] == [half, len(body) - half]
    assert exchange.body == body.replace(KEY.encode(), b"*" * len(KEY))


def test_an_aws_signature_is_masked_and_reaches_the_server(
    serve: Serve, connect: Connect, tape: Tape, cassette: Path
) -> None:
    access, secret, session = "AKIDEXAMPLE0123456789", "wJalr/secret+key", "session-t0ken/abc=="
    server = serve("Signed.", api_key=access)
    options: millstream.params.Options = {
        "region": "eu-west-1", "aws_access_key_id": access, "aws_secret_access_key": secret,
        "aws_session_token": session,
    }  # fmt: skip

    def ask_it(origin: str) -> list[tuple[Any, ...]]:
        # Signed is the name of the real server: so the other one is its client's proxy.
        client = millstream.Client(
            "bedrock", base_url="http://bedrock-runtime.eu-west-1.amazonaws.com", proxy=origin,
            options=options, max_retries=0, timeout=timeout(),
        )  # fmt: skip
        return answer(question(client))

    with tape(server.base_url("bedrock")) as recorder:
        live = ask_it(recorder.origin)
    with testing.replay(cassette, speed=None) as player:
        assert ask_it(player.origin) == live
    (request,) = server.requests
    assert request.path == "/model/m/converse-stream"
    signature = request.headers["authorization"].rpartition("Signature=")[2]
    for hidden in (access, secret, session, signature):
        assert hidden.encode() not in all_of(cassette)
    (exchange,) = testing.read(cassette)
    assert exchange.request_headers["authorization"] == "AWS4-HMAC-SHA256 ***"


@pytest.mark.parametrize("wire", [w for w in WIRES if w.content_type.endswith("eventstream")])
def test_a_frame_cut_off_is_recorded_as_it_came(
    serve: Serve, connect: Connect, tape: Tape, cassette: Path, wire: Wire
) -> None:
    body = ask(serve(SAID), wire).body[:-5]
    script = mock.Replay(body, content_type=wire.content_type)
    with tape(serve(script)) as recorder, pytest.raises(millstream.StreamInterrupted):
        asks(connect(recorder.origin), wire).result()
    assert testing.read(cassette)[0].body == body


# ---- time ----------------------------------------------------------------------------------------


def arrivals(url: str, connect: Connect) -> list[float]:
    """When each text came, in seconds since the request."""
    begin = time.monotonic()
    stream = question(connect(url))
    return [time.monotonic() - begin for chunk in stream if chunk.type == "text"]


def test_the_pauses_are_recorded_and_replayed(
    serve: Serve, connect: Connect, tape: Tape, cassette: Path
) -> None:
    """They are at least as long as they should be; how much longer is the machine's matter."""
    with tape(serve(mock.Answer(["a", 0.2, "b"], first=0.1))) as recorder:
        question(connect(recorder.base_url)).result()
    (exchange,) = testing.read(cassette)
    (b,) = (seconds for seconds, piece in exchange.pieces if b'"content":"b"' in piece)
    assert b > 0.29
    with testing.replay(cassette) as player:
        assert arrivals(player.base_url, connect)[1] > b * 0.99
    with testing.replay(cassette, speed=0.5) as player:
        assert arrivals(player.base_url, connect)[1] > 2 * b * 0.99


@pytest.mark.parametrize("speed", [0.1, 1.0, 1000.0, 0, None])
def test_any_speed(speed: float | None, tmp_path: Path) -> None:
    (tmp_path / "c").write_text(GOOD)
    (exchange,) = testing.read(tmp_path / "c")
    request = mock.Request("GET", "/v1/x", "", {}, b"", b"", 0, 0.0, True)
    parts = [*_parts(exchange, request, speed)]
    pauses = [part for part in parts if isinstance(part, float)]
    assert (
        pauses == [pytest.approx(pause / speed) for pause in (0, 0.1, 0.1)] if speed else not pauses
    )
    assert [part for part in parts if isinstance(part, bytes)][1:] == [
        b"2\r\n\xc3\xa9\r\n",
        LAST_CHUNK,
    ]


def test_a_speed_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "c").write_text(GOOD)
    with pytest.raises(ValueError, match="speed"):
        testing.replay(tmp_path / "c", speed=-1)


def test_what_came_is_handed_on_at_once(serve: Serve, connect: Connect, tape: Tape) -> None:
    gate = mock.Gate()
    with tape(serve(mock.Answer(["first", gate, " second"]))) as recorder:
        stream = question(connect(recorder.base_url))
        assert next(stream.texts()) == "first"
        gate.open()
        assert stream.result().text == "first second"


# ---- how an answer ends --------------------------------------------------------------------------


@pytest.mark.parametrize("cut", ["close", "reset"])
def test_an_answer_that_was_cut_is_replayed_cut(
    serve: Serve, connect: Connect, tape: Tape, cassette: Path, cut: Any
) -> None:
    texts = []
    with tape(serve(mock.Answer("a b c d e", cut_after=3, cut=cut))) as recorder:
        with pytest.raises(millstream.StreamInterrupted) as live:
            question(connect(recorder.base_url)).result()
        texts.append(live.value.message)
    with testing.replay(cassette, speed=None) as player:
        with pytest.raises(millstream.StreamInterrupted) as again:
            question(connect(player.base_url)).result()
        texts.append(again.value.message)
    assert testing.read(cassette)[0].end == "cut"
    assert texts[0] == texts[1]


@pytest.mark.parametrize("name", ["length", "close"])
def test_a_body_without_chunks(
    serve: Serve, connect: Connect, tape: Tape, cassette: Path, name: str
) -> None:
    """Of known length, and up to the end of the connection, where nobody can tell a cut."""
    body = chat("x") + chat(finish="stop") + DONE
    length = {"Content_Length": str(len(body))} if name == "length" else {}
    parts = [mock.Raw([head(**length), body]), mock.Raw([head(**length), body[:-20]])]
    with tape(serve(parts)) as recorder:
        assert question(connect(recorder.base_url)).result().text == "x"
        with pytest.raises(millstream.StreamInterrupted):
            question(connect(recorder.base_url)).result()
    ends = [exchange.end for exchange in testing.read(cassette)]
    assert ends == (["complete", "cut"] if length else ["complete", "complete"])
    with testing.replay(cassette, speed=None) as player:
        assert question(connect(player.base_url)).result().text == "x"
        with pytest.raises(millstream.StreamInterrupted):
            question(connect(player.base_url)).result()


def test_an_http_error_is_replayed(
    serve: Serve, connect: Connect, tape: Tape, cassette: Path
) -> None:
    told = []
    with tape(serve(mock.Error(429, "Slow down.", headers={"Retry-After": "7"}))) as recorder:
        with pytest.raises(millstream.RateLimited) as live:
            question(connect(recorder.base_url)).result()
        told.append((str(live.value), live.value.retry_after, live.value.request_id))
    with testing.replay(cassette, speed=None) as player:
        with pytest.raises(millstream.RateLimited) as again:
            question(connect(player.base_url)).result()
        told.append((str(again.value), again.value.retry_after, again.value.request_id))
    assert told[0] == told[1]
    assert told[0][1] == 7


@pytest.mark.usefixtures("impatient")
def test_a_client_that_leaves_frees_the_real_server(
    serve: Serve, connect: Connect, tape: Tape, cassette: Path
) -> None:
    server = serve(mock.Answer(["a", " b", mock.Gate()]))
    with tape(server) as recorder:
        stream = question(connect(recorder.base_url))
        assert next(stream.texts()) == "a"
        stream.close()
        assert server.wait_disconnected()
        assert eventually(cassette.exists)
    (exchange,) = testing.read(cassette)
    assert exchange.end == "left"
    with testing.replay(cassette, speed=None) as player:
        stream = question(connect(player.base_url))
        texts = stream.texts()
        assert [next(texts), next(texts)] == ["a", " b"]
        assert not stream.wait(0.05)  # more is not known
        stream.close()


@pytest.mark.usefixtures("impatient")
def test_closing_writes_what_goes_on(
    serve: Serve, connect: Connect, tape: Tape, cassette: Path
) -> None:
    server = serve(mock.Answer(["a", mock.Gate()]))
    recorder = tape(server)
    recorder.start()
    stream = question(connect(recorder.base_url))
    assert next(stream.texts()) == "a"
    recorder.close()
    recorder.close()
    (exchange,) = testing.read(cassette)
    assert exchange.end == "left"
    assert server.wait_disconnected()
    with pytest.raises(millstream.Error):
        stream.result()
    assert not [t for t in threading.enumerate() if t.name.startswith("millstream-exchange")]


def test_a_client_that_goes_at_the_terminator_has_a_whole_answer(
    serve: Serve, tape: Tape, cassette: Path
) -> None:
    """Some close the connection with the last event, before HTTP's own end has come."""
    gate = mock.Gate()
    body = chat("x") + chat(finish="stop") + DONE
    server = serve(
        mock.Raw([head(Transfer_Encoding="chunked"), http_chunks([body]), gate, LAST_CHUNK])
    )
    with tape(server) as recorder:
        with socket.create_connection(tuple_of(recorder.origin)) as client:
            client.sendall(b"GET /v1/x HTTP/1.1\r\nHost: h\r\n\r\n")
            got = b""
            while DONE not in got:
                got += client.recv(65536)
        assert not server.wait_disconnected(timeout=0.2)
        gate.open()
        assert eventually(cassette.exists)
    assert testing.read(cassette)[0].end == "complete"


def tuple_of(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


# ---- the real server -----------------------------------------------------------------------------


def test_over_tls_with_its_own_certificate(
    serve: Serve, connect: Connect, tape: Tape, cassette: Path, signed_by_itself: Path
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(signed_by_itself)
    server = serve("Secret.", ssl_context=context)
    with tape(server, verify=str(signed_by_itself)) as recorder:
        assert question(connect(recorder.base_url)).result().text == "Secret."
    with tape(server, verify=False, append=True) as recorder:
        assert question(connect(recorder.base_url)).result().text == "Secret."
    distrust = pytest.raises(millstream.ServerError, match=r"(?i)certificate")
    with tape(server, append=True) as recorder, distrust:
        question(connect(recorder.base_url)).result()
    assert len(testing.read(cassette)) == 2
    assert testing.read(cassette)[0].upstream == server.url


def test_no_server_is_a_502_that_says_so(connect: Connect, tape: Tape, cassette: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    told = pytest.raises(millstream.ServerError, match=f"127.0.0.1:{port}")
    with tape(f"http://127.0.0.1:{port}/v1") as recorder, told as raised:
        question(connect(recorder.base_url)).result()
    assert raised.value.status == 502
    assert not cassette.exists()


def test_what_is_sent_on(serve: Serve, tape: Tape) -> None:
    server = serve("x")
    with tape(server) as recorder:
        connection = http.client.HTTPConnection(urlsplit(recorder.origin).netloc)
        body = b'{"messages": [{"role": "user", "content": "Hi"}]}'
        pieces = iter([body[:10], body[10:]])
        headers = {"Authorization": f"Bearer {KEY}", "Accept-Encoding": "gzip", "X-Own": "1"}
        connection.request("POST", "/v1/chat/completions?q=1", pieces, headers, encode_chunked=True)
        assert connection.getresponse().read()
        connection.close()
    (request,) = server.requests
    assert (request.method, request.path, request.query) == ("POST", "/v1/chat/completions", "q=1")
    assert request.body == body
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["host"] == urlsplit(server.url).netloc
    assert request.headers["x-own"] == "1"


def test_a_cassette_that_cannot_be_written_is_told(
    serve: Serve, connect: Connect, tape: Tape, cassette: Path
) -> None:
    recorder = tape(serve("x"))
    recorder.start()
    cassette.parent.write_text("no folder")
    with contextlib.suppress(millstream.StreamInterrupted):  # as far as HTTP goes it is cut
        question(connect(recorder.base_url)).result()
    with pytest.raises(OSError, match="cassettes"):
        recorder.close()
    recorder.close()


def test_a_header_that_http_cannot_carry(serve: Serve, tape: Tape, cassette: Path) -> None:
    with (
        tape(serve("x")) as recorder,
        socket.create_connection(tuple_of(recorder.origin)) as client,
    ):
        client.settimeout(GIVE_UP_S)
        client.sendall(b"GET /v1/x HTTP/1.1\r\nHost: h\r\nX-Bad: a\rb\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 502 ")
    assert not cassette.exists()


@pytest.mark.parametrize("coding", ["gzip", "br"])
def test_an_answer_in_a_coding_that_was_not_asked_for(
    serve: Serve, connect: Connect, tape: Tape, cassette: Path, coding: str
) -> None:
    body = chat("x") + chat(finish="stop") + DONE
    raw = head(Content_Encoding=coding) + gzip.compress(body)
    with tape(serve(mock.Raw(raw))) as recorder:
        stream = question(connect(recorder.base_url))
        if coding == "gzip":
            assert stream.result().text == "x"
        else:
            with pytest.raises(millstream.ServerError, match="'br' cannot be recorded"):
                stream.result()
    assert cassette.exists() == (coding == "gzip")
    if coding == "gzip":
        assert testing.read(cassette)[0].body == body


def test_a_provider_by_its_name_and_what_is_no_upstream(cassette: Path) -> None:
    assert testing.record(cassette, upstream="ollama")._upstream.given == "http://localhost:11434"
    for wrong in ("nobody", "ftp://h/", "http://"):
        with pytest.raises(ValueError, match=r"provider|upstream"):
            testing.record(cassette, upstream=wrong)


# ---- matching ------------------------------------------------------------------------------------


@pytest.fixture
def recorded(serve: Serve, connect: Connect, tape: Tape, cassette: Path) -> Path:
    """A cassette with the answers to "one", "two", "one"."""
    with tape(serve(["1", "2", "1 again"])) as recorder:
        for text in ("one", "two", "one"):
            question(connect(recorder.base_url), text).result()
    return cassette


def test_requests_are_matched_by_what_they_say_in_order(recorded: Path, connect: Connect) -> None:
    with testing.replay(recorded, speed=None) as player:
        client = connect(player.base_url, api_key="another")
        assert question(client, "two").result().text == "2"
        assert len(player.unused) == 2
        assert question(client, "one").result().text == "1"
        assert question(client, "one").result().text == "1 again"
        assert player.unused == []
        with pytest.raises(millstream.NotFound, match="more often than it was recorded"):
            question(client, "one").result()


def test_repeated_as_often_as_asked(recorded: Path, connect: Connect) -> None:
    with testing.replay(recorded, speed=None, repeat=True) as player:
        texts = [question(connect(player.base_url), "one").result().text for _ in range(4)]
    assert texts == ["1", "1 again", "1 again", "1 again"]


def test_the_order_and_the_writing_of_json_do_not_matter(recorded: Path) -> None:
    asked = testing.read(recorded)[0].request["body"]["json"]
    body = json.dumps(dict(reversed(asked.items())), indent=3).encode()
    with testing.replay(recorded, speed=None) as player:
        connection = http.client.HTTPConnection(urlsplit(player.origin).netloc)
        connection.request("POST", "/v1/chat/completions", body)
        assert connection.getresponse().status == 200
        connection.close()


def test_a_miss_names_what_differs(recorded: Path, connect: Connect) -> None:
    told: list[str] = []
    with testing.replay(recorded, speed=None, on_miss=told.append) as player:
        client = connect(player.base_url)
        with pytest.raises(millstream.NotFound) as raised:
            client.stream(
                model="m2", messages=[{"role": "user", "content": "one"}], stop="x"
            ).result()
        text = str(raised.value)
        assert 'body.json.model was "m", and is "m2" now' in text
        assert 'body.json.stop was not recorded, and is now "x"' in text
        with pytest.raises(millstream.NotFound, match="path was"):
            client.request("/elsewhere", json={}).result()
        assert player.misses == told
        assert len(told) == 2
        assert len(player.unused) == 3


def test_a_long_body_is_kept_as_its_hash(
    serve: Serve, connect: Connect, tape: Tape, cassette: Path
) -> None:
    long = "word " * 20_000
    with tape(serve("x")) as recorder:
        question(connect(recorder.base_url), long).result()
    assert cassette.stat().st_size < 10_000
    with testing.replay(cassette, speed=None) as player:
        assert question(connect(player.base_url), long).result().text == "x"
        with pytest.raises(millstream.NotFound, match="sha256"):
            question(connect(player.base_url), long + "!").result()


# ---- the file ------------------------------------------------------------------------------------


def test_a_new_recording_replaces_the_file_or_goes_on(
    serve: Serve, connect: Connect, tape: Tape, cassette: Path
) -> None:
    server = serve("x")
    for append, count in ((False, 1), (True, 2), (False, 1)):
        with tape(server, append=append) as recorder:
            question(connect(recorder.base_url)).result()
        assert len(testing.read(cassette)) == count
    shutil.copy(cassette, two := cassette.with_name("two"))
    two.write_bytes(cassette.read_bytes() * 2)
    assert len(testing.read(two)) == 2


def test_any_bytes_come_back(serve: Serve, tape: Tape, cassette: Path) -> None:
    body = bytes(range(256)) * 3 + "\u2028\x85\r\n😀".encode()
    with tape(serve(mock.Replay(body, sizes=7))) as recorder:
        for player in (recorder.origin,):
            connection = http.client.HTTPConnection(urlsplit(player).netloc)
            connection.request("GET", "/v1/bytes")
            assert connection.getresponse().read() == body
            connection.close()
    with testing.replay(cassette, speed=None) as again:
        connection = http.client.HTTPConnection(urlsplit(again.origin).netloc)
        connection.request("GET", "/v1/bytes")
        assert connection.getresponse().read() == body
        connection.close()


GOOD = (
    '{"cassette": 1, "upstream": "http://h/v1", "method": "GET", "path": "/v1/x", "query": "",'
    ' "body": null, "request_headers": {}, "status": 200, "headers": {}, "at": 0}\n'
    '{"at": 0.1, "text": "é"}\n'
    '{"at": 0.2, "end": "complete"}\n'
)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (GOOD.replace('"cassette": 1', '"cassette": 2'), "line 1: a cassette of version 2"),
        (GOOD.replace('"complete"', '"broken"'), "line 3: no known end"),
        (GOOD.replace('"text"', '"words"'), "line 2: no 'base64'"),
        (GOOD.replace('"text": "é"', '"base64": "!"'), "line 2: "),
        (GOOD + "data: x\n", "line 4: "),
        (GOOD + "[1, 2]\n", "line 4: "),
        (GOOD + '{"at": 1, "text": "x"}\n', "line 4: an exchange begins"),
        (GOOD.rpartition("{")[0] + GOOD, "line 3: the exchange before"),
        (GOOD.rpartition("{")[0], "line 2: the last exchange has no end"),
        (GOOD.replace('"status": 200, ', ""), "line 3: no 'status'"),
    ],
)
def test_what_is_no_cassette_says_where(tmp_path: Path, text: str, where: str) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text(GOOD)
    (exchange,) = testing.read(path)
    assert (exchange.body, exchange.end_at) == ("é".encode(), 0.2)
    path.write_text(text)
    with pytest.raises(testing.CassetteError, match=where):
        testing.replay(path)
    with pytest.raises(FileNotFoundError):
        testing.replay(tmp_path / "none")
