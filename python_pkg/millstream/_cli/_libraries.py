"""The C libraries that this process has loaded, asked by their own functions.

What `_core` was built against says little: which libcurl runs is the system's matter, or the
wheel's. They are found by their names in the process's memory map.
"""

from __future__ import annotations

import ctypes
import re
from pathlib import Path
from typing import NamedTuple

from .. import _core

_HTTP2, _THREADS, _ZLIB = 1 << 16, 1 << 7, 1 << 3  # CURL_VERSION_HTTP2, _ASYNCHDNS, _LIBZ
_NOW = 9  # CURLVERSION_TENTH: up to where the fields below go; an older one says so in `age`
_SEVENTH = 6  # since when there are cainfo and capath


class _Info(ctypes.Structure):
    """`curl_version_info_data` of curl/curl.h."""

    _fields_ = (
        ("age", ctypes.c_int),
        ("version", ctypes.c_char_p),
        ("version_num", ctypes.c_uint),
        ("host", ctypes.c_char_p),
        ("features", ctypes.c_int),
        ("ssl_version", ctypes.c_char_p),
        ("ssl_version_num", ctypes.c_long),
        ("libz_version", ctypes.c_char_p),
        ("protocols", ctypes.c_void_p),
        ("ares", ctypes.c_char_p),
        ("ares_num", ctypes.c_int),
        ("libidn", ctypes.c_char_p),
        ("iconv_ver_num", ctypes.c_int),
        ("libssh_version", ctypes.c_char_p),
        ("brotli_ver_num", ctypes.c_uint),
        ("brotli_version", ctypes.c_char_p),
        ("nghttp2_ver_num", ctypes.c_uint),
        ("nghttp2_version", ctypes.c_char_p),
        ("quic_version", ctypes.c_char_p),
        ("cainfo", ctypes.c_char_p),
        ("capath", ctypes.c_char_p),
    )


class Curl(NamedTuple):
    """What libcurl says about itself; None: it has none of it, or cannot say."""

    version: str
    number: tuple[int, int, int]
    tls: str | None
    http2: str | None
    zlib: str | None
    resolver: str
    ca_file: str | None
    ca_folder: str | None
    path: str | None


def _loaded(name: str) -> str | None:
    """The path of a library of that name in this process."""
    try:
        maps = Path("/proc/self/maps").read_text(errors="replace")
    except OSError:
        return None
    found = re.search(rf"(/\S*/{name}[-.\w]*\.so[.\d]*)$", maps, re.MULTILINE)
    return found[1] if found else None


def curl() -> Curl:
    """The libcurl that runs; where it is part of the extension, what its version text tells."""
    path = _loaded("libcurl")
    if path is None:
        return _by_text(_core.curl_version)
    ask = ctypes.CDLL(path).curl_version_info
    ask.restype = ctypes.POINTER(_Info)
    info = ask(ctypes.c_int(_NOW)).contents
    knows_store = info.age >= _SEVENTH
    nghttp2 = _text(info.nghttp2_version) if info.age >= 5 else None
    ares = _text(info.ares) if info.age >= 1 else None
    own = "a thread for each look-up" if info.features & _THREADS else "blocking look-ups"
    number = info.version_num
    return Curl(
        version=_text(info.version) or "",
        number=(number >> 16, number >> 8 & 255, number & 255),
        tls=_text(info.ssl_version),
        http2=(nghttp2 or "there") if info.features & _HTTP2 else None,
        zlib=_text(info.libz_version) if info.features & _ZLIB else None,
        resolver=f"c-ares {ares}" if ares else own,
        ca_file=_text(info.cainfo) if knows_store else None,
        ca_folder=_text(info.capath) if knows_store else None,
        path=path,
    )


def _by_text(said: str) -> Curl:
    parts = dict(part.split("/", 1) for part in said.split() if "/" in part)
    first, second, third = (int(number) for number in re.findall(r"\d+", parts["libcurl"])[:3])
    tls = next((name for name in parts if name.endswith(("SSL", "TLS"))), None)
    return Curl(
        version=parts["libcurl"],
        number=(first, second, third),
        tls=None if tls is None else f"{tls}/{parts[tls]}",
        http2=parts.get("nghttp2"),
        zlib=parts.get("zlib"),
        resolver=f"c-ares {parts['c-ares']}" if "c-ares" in parts else "not told",
        ca_file=None,
        ca_folder=None,
        path=None,
    )


def yajl() -> str:
    """The version of the yajl that runs."""
    path = _loaded("libyajl")
    if path is None:
        return "part of the extension"
    number = ctypes.CDLL(path).yajl_version()
    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"


def _text(value: bytes | None) -> str | None:
    return value.decode(errors="replace") if value else None
