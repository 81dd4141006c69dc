"""Servers in use as parts of a test: nginx, tinyproxy, microsocks, toxiproxy, a CA of the test's.

Each runs as a process of the test's own on a port that the kernel chose, and is stopped by its
process id. Where a program is not installed its tests are skipped, and fail with CI=true.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from answers import GIVE_UP_S, eventually

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "millstream"
PLACES = [*os.environ.get("PATH", "").split(os.pathsep), "/usr/sbin", str(CACHE / "bin")]


def program(name: str) -> str:
    """Where a program is; without it the test is skipped, in CI it fails."""
    found = shutil.which(name, path=os.pathsep.join(PLACES))
    if found is None and os.environ.get("CI") == "true":
        pytest.fail(f"{name} is not installed; ./dev test installs it")
    if found is None:
        pytest.skip(f"skipped: {name} is not installed; ./dev test installs it")
    return found


@contextmanager
def running(
    command: Sequence[str], folder: Path, **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """A process with its output in a log, which is shown where the test fails."""
    log = folder / (Path(command[0]).name + ".log")
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out, **options
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(GIVE_UP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        print(log.read_text(errors="replace")[-4000:])


def listening_port(process: subprocess.Popen[bytes]) -> int:
    """The TCP port on which a process listens, as soon as it does."""
    found: list[int] = []

    def look() -> bool:
        assert process.poll() is None, "it has ended"
        found.extend(_ports(process.pid))
        return bool(found)

    assert eventually(look)
    return found[0]


def _ports(pid: int) -> Iterator[int]:
    try:
        links = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
        tables = [Path(f"/proc/{pid}/net/{name}").read_text() for name in ("tcp", "tcp6")]
    except OSError:  # a descriptor was closed meanwhile
        return
    for line in "".join(tables).splitlines():
        fields = line.split()
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in links:  # LISTEN
            yield int(fields[1].rpartition(":")[2], 16)


# ---- certificates --------------------------------------------------------------------------------


class Certificate(NamedTuple):
    """Files in PEM; `both` holds certificate and key."""

    cert: Path
    key: Path
    both: Path


class Authority:
    """A certificate authority that nobody trusts but those who are given `ca`."""

    def __init__(self, folder: Path) -> None:
        self._openssl = program("openssl")
        self._folder = folder
        self.ca = folder / "ca.pem"
        self._run("req -x509 -days 2 -subj /CN=test-ca -keyout ca.key -out ca.pem", new_key=True)

    def _run(self, command: str, new_key: bool = False) -> None:
        key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes" if new_key else ""
        whole = [self._openssl, *command.split(), *key.split()]
        subprocess.run(whole, cwd=self._folder, check=True, capture_output=True)

    def issue(
        self, name: str, names: str = "DNS:localhost,IP:127.0.0.1", days: int = 2
    ) -> Certificate:
        """A certificate for these names; with negative days it has expired."""
        (self._folder / f"{name}.ext").write_text(f"subjectAltName={names}\n")
        self._run(f"req -subj /CN=test -keyout {name}.key -out {name}.csr", new_key=True)
        self._run(
            f"x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days {days} "
            f"-extfile {name}.ext -out {name}.pem"
        )
        cert, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        both = self._folder / f"{name}.both"
        both.write_bytes(cert.read_bytes() + key.read_bytes())
        return Certificate(cert, key, both)


# ---- nginx ---------------------------------------------------------------------------------------

NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 256; }}
http {{
  access_log off;
  keepalive_timeout 0;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  {servers}
}}
"""

NGINX_SERVER = """
  server {{
    listen 127.0.0.1:{port} {listen};
    {options}
    location / {{
      proxy_pass {upstream};
      proxy_http_version 1.1;
      proxy_buffering off;
    }}
  }}
"""


class Site(NamedTuple):
    """A server of nginx: how it listens, what else it is told, and whom it asks."""

    listen: str
    options: str
    upstream: str

    @classmethod
    def over_tls(cls, cert: Certificate, upstream: str, listen: str = "", more: str = "") -> Site:
        options = f"ssl_certificate {cert.cert}; ssl_certificate_key {cert.key}; {more}"
        return cls(f"ssl {listen}", options, upstream)


@contextmanager
def nginx(folder: Path, sites: Sequence[Site]) -> Iterator[list[int]]:
    """The ports of these sites. nginx takes over sockets that listen already."""
    command = program("nginx")
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in sites]
        for listener in listeners:
            listener.setblocking(False)  # as nginx expects of what it inherits
        ports = [listener.getsockname()[1] for listener in listeners]
        servers = [
            NGINX_SERVER.format(port=port, **site._asdict())
            for port, site in zip(ports, sites, strict=True)
        ]
        config = folder / "nginx.conf"
        config.write_text(NGINX.format(folder=folder, servers="".join(servers)))
        fds = [listener.fileno() for listener in listeners]
        stack.enter_context(
            running(
                [command, "-c", str(config), "-p", str(folder)],
                folder,
                pass_fds=fds,
                env={**os.environ, "NGINX": "".join(f"{fd};" for fd in fds)},
            )
        )
        yield ports


# ---- proxies -------------------------------------------------------------------------------------

TINYPROXY = """
Port {port}
Listen 127.0.0.1
Allow 127.0.0.1
BasicAuth {user} {password}
Timeout 60
MaxClients 50
LogLevel Critical
"""


def _unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@contextmanager
def tinyproxy(folder: Path, user: str, password: str) -> Iterator[tuple[int, Callable[[], None]]]:
    """The port of an HTTP proxy that wants this password, and what kills it.

    It takes no port 0: the port is one that was free a moment ago.
    """
    config = folder / "tinyproxy.conf"
    config.write_text(TINYPROXY.format(port=_unused_port(), user=user, password=password))
    command = [program("tinyproxy"), "-d", "-c", str(config)]
    with running(command, folder) as process:
        yield listening_port(process), process.kill


@contextmanager
def microsocks(folder: Path, user: str, password: str) -> Iterator[tuple[int, Callable[[], None]]]:
    """The port of a SOCKS5 proxy that wants this password, and what kills it."""
    command = [program("microsocks"), "-i", "127.0.0.1", "-p", "0", "-u", user, "-P", password]
    with running(command, folder) as process:
        yield listening_port(process), process.kill


class Toxiproxy:
    """A TCP proxy that spoils what goes through it."""

    def __init__(self, port: int) -> None:
        self._api = f"http://127.0.0.1:{port}"
        self._count = 0

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        data = json.dumps(body).encode()
        request = urllib.request.Request(self._api + path, data, {"User-Agent": "test"})
        with urllib.request.urlopen(request, timeout=GIVE_UP_S) as answer:
            return json.load(answer)

    def before(self, origin: str, kind: str, **attributes: int) -> str:
        """The URL of a way to that server on which answers meet this toxic."""
        self._count += 1
        name, upstream = f"way-{self._count}", origin.removeprefix("http://")
        made = self._post("/proxies", {"name": name, "listen": "127.0.0.1:0", "upstream": upstream})
        toxic = {"type": kind, "stream": "downstream", "attributes": attributes}
        self._post(f"/proxies/{name}/toxics", toxic)
        return f"http://{made['listen']}/v1"


@contextmanager
def toxiproxy(folder: Path) -> Iterator[Toxiproxy]:
    command = [program("toxiproxy-server"), "-host", "127.0.0.1", "-port", "0"]
    with running(command, folder) as process:
        yield Toxiproxy(listening_port(process))
