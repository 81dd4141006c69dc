"""`millstream doctor`: what is here, what is missing, and how to get it."""

from __future__ import annotations

import json
import os
import platform
import re
import resource
import socket
import sys
import sysconfig
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import click

from .. import Client, Error, Timeout, __version__, _route, mock
from .._providers import PROVIDERS
from .._types import without_password
from . import _libraries
from ._commands import ERROR, put, styled

State: TypeAlias = Literal["ok", "warn", "missing"]

_HTTP2_FROM = (8, 14, 1)
_FEW_FILES = 4096
_COLOURS = {"ok": "green", "warn": "yellow", "missing": "red"}
_PROXIES = ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy")
_LOOPS = ("uvloop", "trio", "gevent")
_TYPED = ("pydantic", "msgspec")


class Finding(NamedTuple):
    """One line: what was looked at, how it stands, what was found, and what to do about it."""

    name: str
    state: State
    found: str
    advice: str = ""


def _python() -> Iterator[Finding]:
    gil = "without a GIL" if sysconfig.get_config_var("Py_GIL_DISABLED") else "with a GIL"
    found = f"{platform.python_implementation()} {platform.python_version()}, {gil}"
    yield Finding("millstream", "ok", f"{__version__} in {Path(__file__).parents[1]}")
    yield Finding("python", "ok", f"{found}, {platform.platform()}")


def _core_libraries() -> Iterator[Finding]:
    curl = _libraries.curl()
    place = curl.path or "part of the extension"
    yield Finding("libcurl", "ok", f"{curl.version} ({place})")
    yield _needed("tls", curl.tls, "a libcurl with TLS: apt install libcurl4")
    if curl.http2 is None:
        yield Finding("http2", "warn", "none: HTTP/1.1 for all", "a libcurl with nghttp2")
    elif curl.number < _HTTP2_FROM:
        wanted = ".".join(map(str, _HTTP2_FROM))
        yield Finding(
            "http2",
            "warn",
            f"nghttp2 {curl.http2}, not used: HTTP/2 of libcurl {curl.version} has faults",
            f"libcurl {wanted} or later (Debian 12: bookworm-backports); http2=True takes the risk",
        )
    else:
        yield Finding("http2", "ok", f"nghttp2 {curl.http2}")
    if curl.zlib is None:
        yield Finding("zlib", "warn", "none: compression=True asks for nothing")
    else:
        yield Finding("zlib", "ok", curl.zlib)
    yield Finding("yajl", "ok", _libraries.yajl())


def _needed(name: str, found: str | None, advice: str) -> Finding:
    return Finding(name, "ok", found) if found else Finding(name, "missing", "none", advice)


# ---- certificates --------------------------------------------------------------------------------

_HASHED = re.compile(r"[0-9a-f]{8}\.\d+")
_NOT_THERE = "is not there, or may not be read"
_EMPTY = "holds no certificate that OpenSSL would find"
_GET_A_STORE = (
    "apt install ca-certificates (dnf, apk: the same name), or pip install certifi, or name a file "
    "by SSL_CERT_FILE or verify="
)


def _ca_store() -> Iterator[Finding]:
    file, folder = _route.trust_for(True)
    named = [name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)]
    whence = f" (by {' and '.join(named)})" if named else ""
    if file is None and folder is None:
        curl = _libraries.curl()
        file, folder = curl.ca_file, curl.ca_folder
        whence = " (libcurl's built-in place)"
    counts = [(place, _certificates(place)) for place in (file, folder) if place]
    good = [f"{place}, {_many(count, 'certificate')}" for place, count in counts if count]
    bad = [
        f"{place} {_NOT_THERE if count is None else _EMPTY}" for place, count in counts if not count
    ]
    if good and not any(place == file for place, count in counts if not count):
        state: State = "warn" if bad and named else "ok"
        yield Finding("ca store", state, "; ".join(good + (bad if named else [])) + whence)
    else:  # a file that is not there is an error of libcurl's, whatever the folder holds
        said = "; ".join(bad) or "none"
        advice = f"unset {' and '.join(named)}, or {_GET_A_STORE}" if named else _GET_A_STORE
        yield Finding("ca store", "missing", said + whence, advice)


def _certificates(place: str) -> int | None:
    """How many certificates a file or folder holds; None where it cannot be read."""
    path = Path(place)
    try:
        if path.is_dir():  # OpenSSL finds those there by the hashes of their names
            return sum(1 for each in path.iterdir() if _HASHED.fullmatch(each.name))
        return path.read_bytes().count(b"-----BEGIN ")
    except OSError:
        return None


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


# ---- the machine ---------------------------------------------------------------------------------


def _resolver() -> Iterator[Finding]:
    try:
        socket.getaddrinfo("localhost", None)
    except OSError as error:
        yield Finding("resolver", "warn", f"localhost has no address: {error}", "see /etc/hosts")
        return
    servers = _nameservers()
    found = f"{_libraries.curl().resolver}; name servers: {', '.join(servers) or 'none'}"
    if servers:
        yield Finding("resolver", "ok", found)
    else:
        advice = "a nameserver line in /etc/resolv.conf, unless all names are in /etc/hosts"
        yield Finding("resolver", "warn", found, advice)


def _nameservers() -> list[str]:
    try:
        lines = Path("/etc/resolv.conf").read_text(errors="replace").splitlines()
    except OSError:
        return []
    fields = [line.split() for line in lines]
    return [each[1] for each in fields if len(each) > 1 and each[0] == "nameserver"]


def _files() -> Iterator[Finding]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = f"{_limit(soft)}, at most {_limit(hard)}"
    if soft != resource.RLIM_INFINITY and soft < _FEW_FILES:
        advice = f"for more than some {soft // 2} connections at a time: ulimit -n {_limit(hard)}"
        yield Finding("open files", "warn", found, advice)
    else:
        yield Finding("open files", "ok", found)


def _limit(number: int) -> str:
    return "unlimited" if number == resource.RLIM_INFINITY else str(number)


def _surroundings() -> Iterator[Finding]:
    loops = [f"{name} {_installed(name) or 'not installed'}" for name in _LOOPS]
    yield Finding("event loops", "ok", ", ".join(["asyncio", *loops]))
    typed = [f"{name} {_installed(name) or 'not installed'}" for name in _TYPED]
    yield Finding("typed answers", "ok", ", ".join(["dataclasses", *typed]))
    proxies = [
        f"{name}={without_password(os.environ[name])}" for name in _PROXIES if os.environ.get(name)
    ]
    yield Finding("proxies", "ok", ", ".join(proxies) or "none")
    variables = {name for each in PROVIDERS.values() for name in each.key_variables}
    keys = sorted(name for name in variables if os.environ.get(name))
    yield Finding("keys", "ok", ", ".join(keys) or "none in the environment")


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _stream() -> Iterator[Finding]:
    """A whole answer over a real socket: engine, parser, and what is between."""
    try:
        with mock.Server("It turns.") as url:
            client = Client(base_url=url, proxy="", timeout=Timeout(connect=10, total=30))
            stream = client.stream(model="m", messages=[{"role": "user", "content": "Hi"}])
            stream.result()
    except (Error, OSError) as error:
        advice = "a firewall or sandbox on 127.0.0.1?"
        yield Finding("a stream", "missing", f"over loopback: {error}", advice)
        return
    timing = stream.timing
    yield Finding("a stream", "ok", f"over loopback: {timing.chunks} chunks, complete")


_CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    _python, _core_libraries, _ca_store, _resolver, _files, _surroundings, _stream,
)  # fmt: skip


def _as_text(finding: Finding) -> str:
    state = f"{finding.state:8}"
    if styled(sys.stdout):
        state = click.style(state, fg=_COLOURS[finding.state])
    advice = f"\n{'':24}→ {finding.advice}" if finding.advice else ""
    return f"{state}{finding.name:16}{finding.found}{advice}\n"


def _as_json(finding: Finding) -> str:
    return json.dumps(finding._asdict(), ensure_ascii=False) + "\n"


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each finding.")
def command(as_json: bool) -> int:
    """Tell what is here, what is missing, and how to get it.

    A line each: ok, warn (it works, but not with all), missing (something will not work). Nothing
    is asked of the network, and no key is shown. The exit code is 1 where something is missing.
    """
    worst = 0
    for check in _CHECKS:
        for finding in check():
            put(_as_json(finding) if as_json else _as_text(finding))
            worst = max(worst, ERROR if finding.state == "missing" else 0)
    return worst
