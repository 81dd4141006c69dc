"""Keys and passwords go to their server, and are shown nowhere else.

What values and exceptions show of them is in test_errors.py, where redirects take them in
test_events_redirects.py, memory that is freed in tests/c/test_secrets.c.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import pickle
import ssl
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import millstream
from answers import GIVE_UP_S, MESSAGES
from conftest import Serve, timeout
from millstream import mock

SECRET = "sk-secret-77b1c0"
PACKAGE = os.path.dirname(millstream.__file__)

# ---- variables of tracebacks ---------------------------------------------------------------------


def variables_of(error: BaseException) -> list[dict[str, str] | None]:
    """What tools that show a traceback's variables show of our frames."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    frames = [frame for frame in shown.stack if frame.filename.startswith(PACKAGE)]
    return [frame.locals for frame in frames]


def with_secrets(server: mock.Server, bad: bool = False) -> dict[str, Any]:
    """Settings of a client that has them everywhere; `bad`: and a header that is refused."""
    return {
        "base_url": server.url.replace("//", f"//user:{SECRET}@"),
        "headers": {
            "Authorization": f"Bearer {SECRET}",
            "X-Api-Key": SECRET,
            "X-Word": "a\n" if bad else "a",
        },
        "proxy": server.origin.replace("//", f"//user:{SECRET}@"),
        "max_retries": 0,
        "timeout": timeout(),
    }


def refused_by_the_core(server: mock.Server) -> None:
    client = millstream.Client(**with_secrets(server, bad=True))
    client.stream(model="m", messages=MESSAGES)


def refused_events(server: mock.Server) -> None:
    client = millstream.Client(**with_secrets(server, bad=True))
    client.events(client.base_url + "/events")


def refused_key(server: mock.Server) -> None:
    client = millstream.Client(base_url=server.url, api_key=SECRET, headers={"X-Bad": "a\r\nb"})
    client.stream(model="m", messages=MESSAGES)


def failed_answer(server: mock.Server) -> None:
    with millstream.Client(**with_secrets(server)).stream(model="m", messages=MESSAGES) as stream:
        stream.result()


def failed_async_answer(server: mock.Server) -> None:
    async def main() -> None:
        client = millstream.AsyncClient(**with_secrets(server))
        await client.stream(model="m", messages=MESSAGES).result()

    asyncio.run(main())


def failed_events(server: mock.Server) -> None:
    client = millstream.Client(**with_secrets(server))
    for _ in client.events(client.base_url + "/events", reconnect=False):
        pass


def refused_with_hooks(server: mock.Server) -> None:
    client = millstream.Client(**with_secrets(server, bad=True), on_event=repr)
    client.stream(model="m", messages=MESSAGES)


def failed_with_hooks(server: mock.Server) -> None:
    client = millstream.Client(**with_secrets(server), on_event=repr)
    client.stream(model="m", messages=MESSAGES).result()


@pytest.mark.parametrize(
    "run",
    [
        refused_by_the_core, refused_events, refused_key, failed_answer, failed_async_answer,
        failed_events, refused_with_hooks, failed_with_hooks,
    ],
)  # fmt: skip
def test_no_variable_of_a_traceback_shows_one(
    serve: Serve, run: Callable[[mock.Server], None]
) -> None:
    server = serve(mock.Error(401))
    with pytest.raises((millstream.Error, ValueError)) as caught:
        run(server)
    error = caught.value
    assert isinstance(error, ValueError) == run.__name__.startswith("refused")
    ours = variables_of(error)
    assert bool(ours) == (run is not failed_events)  # of the core there are no frames
    assert SECRET not in repr(ours)
    assert SECRET not in repr(error) + str(error) + repr(vars(error))


def test_headers_of_a_client_show_none_and_hold_them(serve: Serve) -> None:
    server = serve("x")
    client = millstream.Client(**{**with_secrets(server), "proxy": None})
    assert SECRET not in repr(client.headers)
    assert dict(client.headers)["X-Api-Key"] == SECRET
    client.stream(model="m", messages=MESSAGES).result()
    assert server.requests[0].headers["authorization"] == f"Bearer {SECRET}"
    assert server.requests[0].headers["x-api-key"] == SECRET


# ---- logs, files and counters --------------------------------------------------------------------


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.NOTSET):
        yield caplog


@pytest.mark.parametrize("https", [False, True], ids=["http", "https"])
def test_nothing_is_logged_or_printed(
    https: bool,
    signed_by_itself: Path,
    serve: Serve,
    everything_logged: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """By a client; asyncio's own word on its loop is not ours."""
    tls = None
    if https:  # libcurl tells more then
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(signed_by_itself)
    answers = [mock.Answer("a b", cut_after=1), mock.Error(401), mock.Answer("x")]
    server = serve(answers, ssl_context=tls)
    options = {**with_secrets(server), "proxy": None, "verify": str(signed_by_itself)}
    for _ in range(3):
        client = millstream.Client(**options)
        with contextlib.suppress(millstream.Error):
            client.stream(model="m", messages=MESSAGES).result()
        del client
        gc.collect()
    names = {record.name.partition(".")[0] for record in everything_logged.records}
    assert names <= {"asyncio"}
    assert capfd.readouterr() == ("", "")


def test_counters_hold_numbers_alone(serve: Serve) -> None:
    client = millstream.Client(base_url=serve("x").url, api_key=SECRET)
    client.stream(model="m", messages=MESSAGES).result()
    for metrics in (client.metrics(), millstream.metrics()):
        assert SECRET not in repr(metrics)


def test_the_mock_prints_its_address_and_writes_no_file(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "millstream.mock", "--api-key", SECRET, "--until-stdin-closes"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        cwd=tmp_path, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        for key in (SECRET, f"{SECRET}-and-more"):
            client = millstream.Client(base_url=url, api_key=key, max_retries=0, timeout=timeout())
            stream = client.stream(model="m", messages=MESSAGES)
            if key == SECRET:
                stream.result()
            else:
                with pytest.raises(millstream.AuthenticationError) as caught:
                    stream.result()
                assert SECRET not in repr(caught.value) + repr(vars(caught.value))
        out, err = process.communicate(timeout=GIVE_UP_S)
    finally:
        process.kill()
        process.wait()
    assert (out, err) == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_a_request_that_the_mock_has_read_shows_none(serve: Serve) -> None:
    server = serve("x")
    client = millstream.Client(base_url=server.url, api_key=SECRET)
    client.stream(model="m", messages=MESSAGES).result()
    assert SECRET in server.requests[0].headers["authorization"]
    assert SECRET not in repr(server.requests)


# ---- keys that nobody gave -----------------------------------------------------------------------


def test_no_netrc_is_read(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text(f"machine 127.0.0.1 login me password {SECRET}\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    server = serve("x")
    millstream.Client(base_url=server.url).stream(model="m", messages=MESSAGES).result()
    assert "authorization" not in server.requests[0].headers


def test_a_proxys_password_goes_to_the_proxy_alone(serve: Serve) -> None:
    proxy, server = serve("by the proxy"), serve("directly")
    url = proxy.origin.replace("//", f"//user:{SECRET}@")
    proxied = millstream.Client(base_url="http://host.invalid/v1", proxy=url, api_key="k")
    direct = millstream.Client(base_url=server.url, api_key="k")
    for client in (proxied, direct):
        client.stream(model="m", messages=MESSAGES).result()
    assert proxy.requests[0].headers["proxy-authorization"].startswith("Basic ")
    assert "proxy-authorization" not in server.requests[0].headers


# ---- what can be carried away --------------------------------------------------------------------


def test_no_client_or_stream_is_pickled(serve: Serve) -> None:
    """A pickle would hold the key."""
    client = millstream.Client(base_url=serve("x").url, api_key=SECRET)
    stream = client.stream(model="m", messages=MESSAGES)
    stream.result()
    for value in (client, stream):
        with pytest.raises(TypeError):
            pickle.dumps(value, protocol=2)
