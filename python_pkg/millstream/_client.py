"""Client: settings, and the requests made with them."""

from __future__ import annotations

import os

from . import _core, _providers, _route
from ._errors import MissingKey, Timeout
from ._stream import Stream
from ._types import Limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any, Literal

_HTTP2 = {"auto": 0, True: 1, False: 2}


class Client:
    """A provider's settings. Cheap, thread-safe, usable by any number of streams at a time.

    provider: "openai", also for every server that speaks its format (with `base_url`).
    base_url: where the server is, with its version path ("http://localhost:8080/v1").
    api_key: default: the provider's usual environment variable; needed only for its own server.
    headers: sent with every request.
    timeout: a `Timeout`, or a number: the total in seconds.
    max_retries: attempts beyond the first, made only before anything was handed out.
    proxy: a URL, "" for none; default: the usual environment variables.
    verify: True, False (no certificate check), or a CA file or folder.
    cert: a client certificate (PEM file), or (certificate, key).
    http2: "auto" (where the running libcurl can be trusted with it), True or False.
    unix_socket: path of a socket to connect to in place of the URL's host.
    limits: a `Limits`.
    compression: ask for a compressed answer (gzip, deflate).

    A wrong argument is a TypeError or ValueError that names it. Nothing is read, started or
    connected before the first request.
    """

    __slots__ = ("_key", "_provider", "_settings", "_stats", "_verify", "base_url", "headers")

    def __init__(
        self,
        provider: str = "openai",
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: Timeout | float | None = None,
        max_retries: int = 2,
        proxy: str | None = None,
        verify: bool | str | os.PathLike[str] = True,
        cert: str | tuple[str, str] | None = None,
        http2: bool | Literal["auto"] = "auto",
        unix_socket: str | None = None,
        limits: Limits | None = None,
        compression: bool = False,
    ) -> None:
        self._provider = _providers.find(provider)
        self.base_url = _base_url(base_url, self._provider)
        self._key = _key(api_key, base_url is None, self._provider)
        self.headers = _headers(headers)
        self._verify = _verify(verify)
        self._stats = _core.Stats()
        certificate, key = cert if isinstance(cert, tuple) and len(cert) == 2 else (cert, None)
        self._settings: dict[str, Any] = {
            "timeouts": _timeouts(timeout),
            "limits": _limits(limits),
            "max_retries": _retries(max_retries),
            "proxy": _optional_str("proxy", proxy),
            "unix_socket": _optional_str("unix_socket", unix_socket),
            "insecure": verify is False,
            "cert_file": _optional_str("cert", certificate),
            "key_file": _optional_str("cert", key),
            "http2": _http2(http2),
            "compression": _flag("compression", compression),
            "stats": self._stats,
        }

    def stream(self, *, model: str, messages: Sequence[Any], **params: Any) -> Stream:
        """Start a chat answer and return its `Stream` at once.

        `messages` and `params` go into the request's JSON as they are.
        """
        if not isinstance(model, str):
            raise TypeError(f"model: must be a str, not {type(model).__name__}")
        if isinstance(messages, (str, bytes)) or not hasattr(messages, "__iter__"):
            raise TypeError(
                'messages: must be a list of messages like {"role": "user", "content": "Hi"}, '
                f"not {type(messages).__name__}"
            )
        if params.get("stream", True) is not True:
            raise ValueError("stream: cannot be turned off here; use result() for a whole answer")
        if not isinstance(messages, list):
            messages = list(messages)
        return self.request(self._provider.path, json=self._provider.body(model, messages, params))

    def request(
        self,
        path: str,
        *,
        json: Any = None,
        method: str = "POST",
        format: str | None = None,
    ) -> Stream:
        """Send `json` as it is to `base_url + path` and return the answer's `Stream` at once.

        format: the wire format, one of `formats()`; default: the provider's.
        """
        if not isinstance(path, str):
            raise TypeError(f"path: must be a str, not {type(path).__name__}")
        if not isinstance(method, str):
            raise TypeError(f"method: must be a str, not {type(method).__name__}")
        url = self.base_url + path
        proxy, no_proxy = _route.proxy_for(url, self._settings["proxy"])
        ca_file, ca_dir = None, None
        if self._verify is not False and url[:8].lower() == "https://":
            ca_file, ca_dir = _route.trust_for(self._verify)
        settings: dict[str, Any] = {
            **self._settings,
            "proxy": proxy,
            "no_proxy": no_proxy,
            "ca_file": ca_file,
            "ca_dir": ca_dir,
        }
        return Stream(
            url=url,
            method=method.upper(),
            headers=self._request_headers(),
            body=None if json is None else _json_bytes(json),
            format=self._provider.format if format is None else _format(format),
            **settings,
        )

    def metrics(self) -> dict[str, Any]:
        """Counters of this client's streams; the names are those of `millstream.metrics()`."""
        return self._stats.read()

    def close(self) -> None:
        """Nothing is held open for a client; here for symmetry with other libraries."""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self._provider.name!r}, base_url={_without_password(self.base_url)!r})"

    def _request_headers(self) -> tuple[tuple[str, str], ...]:
        if self._key is None:
            return self.headers
        name, form = self._provider.key_header
        if any(given.lower() == name.lower() for given, _ in self.headers):
            return self.headers
        return (*self.headers, (name, form.format(self._key)))


# ---- arguments: each is checked here, and named in what is raised --------------------------------


def _optional_str(name: str, value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise TypeError(f"{name}: must be a str, not {type(value).__name__}")


def _flag(name: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise TypeError(f"{name}: must be True or False, not {value!r}")


def _base_url(given: str | None, provider: _providers.Provider) -> str:
    url = provider.base_url if given is None else given
    if not isinstance(url, str):
        raise TypeError(f"base_url: must be a str, not {type(url).__name__}")
    if url[:7].lower() != "http://" and url[:8].lower() != "https://":
        raise ValueError(
            f"base_url: must begin with http:// or https://, not {_without_password(url)!r}"
        )
    return url.rstrip("/")


def _key(given: str | None, own_server: bool, provider: _providers.Provider) -> str | None:
    if given is not None and not isinstance(given, str):
        raise TypeError(f"api_key: must be a str, not {type(given).__name__}")
    key = given or os.environ.get(provider.key_variable) or None
    if key is None and own_server:
        raise MissingKey(
            f"api_key: none was given; pass api_key=..., or set {provider.key_variable}"
        )
    return key


def _headers(given: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    pairs: Iterable[tuple[str, str]] = () if given is None else given.items()
    pairs = tuple(pairs)
    for name, value in pairs:
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"headers: names and values must be str ({name!r})")
    return pairs


def _timeouts(given: Timeout | float | None) -> tuple[int, int, int, int, bool]:
    if given is None:
        given = Timeout()
    elif isinstance(given, (int, float)) and not isinstance(given, bool):
        given = Timeout(total=given)
    elif not isinstance(given, Timeout):
        raise TypeError(f"timeout: must be a Timeout or seconds, not {given!r}")
    connect, first_chunk, idle, total = (
        0 if seconds is None else max(1, min(round(seconds * 1000), 1 << 53))
        for seconds in (given.connect, given.first_chunk, given.idle, given.total)
    )
    return connect, first_chunk, idle, total, given.idle_counts_comments


def _limits(given: Limits | None) -> tuple[int, int, int, int]:
    limits = Limits() if given is None else given
    if not isinstance(limits, Limits):
        raise TypeError(f"limits: must be a Limits, not {given!r}")
    return limits.event_bytes, limits.buffered_bytes, limits.header_bytes, limits.json_depth


def _retries(given: int) -> int:
    if isinstance(given, bool) or not isinstance(given, int):
        raise TypeError(f"max_retries: must be an int, not {given!r}")
    if not 0 <= given <= 100:
        raise ValueError(f"max_retries: must be between 0 and 100, not {given}")
    return given


def _verify(given: bool | str | os.PathLike[str]) -> bool | str:
    if isinstance(given, bool):
        return given
    try:
        path = os.fspath(given)
    except TypeError:
        path = None
    if not isinstance(path, str):
        raise TypeError(f"verify: must be True, False or the path of a CA file, not {given!r}")
    return path


def _http2(given: bool | Literal["auto"]) -> int:
    if isinstance(given, (bool, str)) and given in _HTTP2:
        return _HTTP2[given]
    raise ValueError(f'http2: must be "auto", True or False, not {given!r}')


def _format(given: str) -> str:
    if given not in _core.formats():
        raise ValueError(f"format: {given!r} is not one of {', '.join(_core.formats())}")
    return given


def _json_bytes(value: object) -> bytes:
    import json  # not needed to import the package

    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("json: a str holds a lone surrogate, which UTF-8 cannot carry") from error
    except (TypeError, ValueError) as error:
        raise type(error)(f"json: the request cannot be written as JSON: {error}") from None


def _without_password(url: str) -> str:
    """A URL as it may be shown: user information is left out."""
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return scheme + separator + host.rpartition("@")[2] + slash + path
