"""What the tests share: mock servers and clients that end with the test, the recorded streams."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import millstream
from answers import GIVE_UP_S, MESSAGES
from browser import chromium as chromium
from browser import tabs as tabs
from command_line import COMMAND, environment
from listener import Listener
from millstream import mock
from processes import Process, Run

SHARED = Path(__file__).parents[3] / "shared"
API_KEY = "sk-test-0b2c9d"

Serve = Callable[..., mock.Server]
Connect = Callable[..., millstream.Client]
Ask = Callable[..., millstream.Stream]
Start = Callable[..., "subprocess.Popen[bytes]"]
Listen = Callable[..., Listener]


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy, key or certificate of the machine's reaches a test."""
    for name in (
        "http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy",
        "NO_PROXY", "OPENAI_API_KEY", "SSL_CERT_FILE", "SSL_CERT_DIR", "NO_COLOR",
    ):  # fmt: skip
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start mock servers: `serve(script, **options)`; they are closed with the test."""
    servers: list[mock.Server] = []

    def start(script: mock.Script = None, **options: Any) -> mock.Server:
        servers.append(mock.Server(script, **options))
        servers[-1].start()
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def connect() -> Connect:
    """Make clients of a server or URL that never retry and never wait longer than a test may."""

    def make(to: mock.Server | str, **options: Any) -> millstream.Client:
        url = to if isinstance(to, str) else to.url
        given = {"api_key": API_KEY, "max_retries": 0, "timeout": timeout(), **options}
        return millstream.Client(base_url=url, **given)

    return make


@pytest.fixture
def ask(serve: Serve, connect: Connect) -> Ask:
    """The stream of one question to a new server with that script."""

    def start(script: mock.Script, **options: Any) -> millstream.Stream:
        return connect(serve(script), **options).stream(model="m", messages=MESSAGES)

    return start


@pytest.fixture
def run() -> Iterator[Run]:
    """Start processes: `run(server, script)`; those left at the end of the test are killed."""
    processes: list[Process] = []

    def start(server: mock.Server, script: str, before: str = "") -> Process:
        processes.append(Process(server, script, before))
        return processes[-1]

    yield start
    for process in processes:
        process.stop()


@pytest.fixture
def start() -> Iterator[Start]:
    """Start `millstream ARGUMENTS`; killed at the end of the test, or when it hangs."""
    processes: list[subprocess.Popen[bytes]] = []
    guards: list[threading.Timer] = []

    def begin(*arguments: str, command: Sequence[str] = COMMAND, **more: Any) -> Any:
        given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": environment(), **more}
        processes.append(subprocess.Popen([*command, *arguments], **given))
        guards.append(threading.Timer(GIVE_UP_S, processes[-1].kill))
        guards[-1].start()
        return processes[-1]

    yield begin
    for guard in guards:
        guard.cancel()
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture(params=["sync", "async"])
def listen(request: pytest.FixtureRequest) -> Iterator[Listen]:
    """Open event streams, of a Client and, in a second run, of an AsyncClient.

    `listen(server or URL, client={...}, **options of events())`; they end with the test.
    """
    listeners: list[Listener] = []

    def start(
        to: mock.Server | str, *, client: dict[str, Any] | None = None, **options: Any
    ) -> Listener:
        url = to if isinstance(to, str) else to.origin + "/events"
        given = {"base_url": url, "api_key": API_KEY, "timeout": timeout(), **(client or {})}
        listeners.append(Listener(request.param, url, given, **options))
        return listeners[-1]

    yield start
    while listeners:  # pytest keeps `start`, and so the list, beyond the fixtures of the session
        listeners.pop().end()


def self_signed(folder: Path, names: str) -> Path:
    """A certificate for these names that nobody else has signed, with its key in the same file."""
    if shutil.which("openssl") is None:
        pytest.skip("skipped: no openssl command to make a certificate with")
    pem = folder / "both.pem"
    key = pem.with_suffix(".key")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    subprocess.run(
        [*command.split(), "-addext", f"subjectAltName={names}", "-keyout", key, "-out", pem],
        check=True,
        capture_output=True,
    )
    pem.write_bytes(pem.read_bytes() + key.read_bytes())
    return pem


@pytest.fixture(scope="session")
def signed_by_itself(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost and 127.0.0.1."""
    return self_signed(tmp_path_factory.mktemp("tls"), "DNS:localhost,IP:127.0.0.1")


def timeout(**given: Any) -> millstream.Timeout:
    """Clocks that only a test gone wrong would see run out, but for those given."""
    clocks = dict.fromkeys(("connect", "first_chunk", "idle", "total"), GIVE_UP_S)
    return millstream.Timeout(**{**clocks, **given})
