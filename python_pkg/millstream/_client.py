"""Client: settings, and the requests made with them."""

from __future__ import annotations

import os

from . import _core, _hooks, _providers, _route
from ._errors import Timeout
from ._events import EventStream
from ._stream import Stream
from ._types import Hidden, Limits, Request, hidden, is_secret, shown_url, without_password

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any, Generic, Literal, TypeAlias, TypeVar

    from ._bulk._rows import BulkResult, Endpoint
    from ._core import Message
    from ._errors import Error
    from .hooks import OnEvent
    from .params import Options, Tool, ToolChoice

    Pairs: TypeAlias = tuple[tuple[str, str], ...]
    OnState: TypeAlias = Callable[[Literal["connecting", "open", "closed"], Error | None], object]
    StreamT = TypeVar("StreamT", bound=_core.BaseStream)
    EventStreamT = TypeVar("EventStreamT", bound=_core.BaseEventStream)
else:
    StreamT = EventStreamT = object

    class Generic:
        """Stands in for typing's, which costs as much to import as the whole package."""

        def __class_getitem__(cls, _: object) -> object:
            return cls


_HTTP2 = {"auto": 0, True: 1, False: 2}


class BaseClient(Generic[StreamT, EventStreamT]):
    """A provider's settings. Cheap, thread-safe, usable by any number of streams at a time.

    provider: a name of docs/reference/providers.md: "openai", "anthropic", "gemini", "bedrock", …;
        "openai" also for every server that speaks its format (with `base_url`).
    base_url: where the server is, with its version path ("http://localhost:8080/v1").
    api_key: default: the provider's usual environment variable; needed only for its own server:
        AuthenticationError, a ValueError too, where it is missing.
    options: what else the provider's own server needs, such as {"region": "eu-west-1"}; see
        `millstream.params.Options`. Default: the usual environment variables.
    headers: sent with every request; one given here replaces ours, and the key. CR, LF and NUL are
        a ValueError.
    timeout: a `Timeout`, or a number: the total in seconds.
    max_retries: attempts beyond the first, made only before anything was handed out.
    proxy: a URL, "" for none; default: the usual environment variables.
    verify: True, False (no certificate check), or a CA file or folder.
    cert: a client certificate (PEM file), or (certificate, key).
    http2: "auto" (where the running libcurl is 8.14.1 or later), True or False. Streams of a host
        share a connection; those that begin at once wait until it stands, a second at most.
    unix_socket: path of a socket to connect to in place of the URL's host; each request has a
        connection of its own.
    limits: a `Limits`.
    compression: ask for a compressed answer (gzip, deflate); so does an Accept-Encoding among
        `headers`. Any other coding of the answer is a ProtocolError.
    on_event: called with each `millstream.hooks` event of the streams of `stream()` and
        `request()`, by what starts, reads or ends them; or a list of such. See
        docs/howto/monitoring.md.

    A wrong argument is a TypeError or ValueError that names it. Nothing is read, started or
    connected before the first request.
    """

    _stream_type: type[StreamT]
    _event_stream_type: type[EventStreamT]

    __slots__ = (
        "_auth", "_hooks", "_kept", "_options", "_own", "_place", "_provider", "_settings",
        "_stats", "_verify", "_way", "base_url", "headers",
    )  # fmt: skip

    def __init__(
        self,
        provider: str = "openai",
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        options: Options | None = None,
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
        on_event: OnEvent | Sequence[OnEvent] | None = None,
    ) -> None:
        self._provider = _providers.find(provider)
        self.headers = _headers(headers)
        self._hooks = _hooks.checked(on_event)
        self._own = base_url is None
        self._options = self._provider.settle(_options(options))
        place = self._provider.place(self._options) if base_url is None else base_url
        self.base_url = _base_url(place)
        self._auth = self._how_it_is_let_in(_optional_text("api_key", api_key), _options(options))
        self._verify = _verify(verify)
        self._stats = _core.Stats()
        self._keep_nothing()
        certificate, key = cert if isinstance(cert, tuple) and len(cert) == 2 else (cert, None)
        self._settings: dict[str, Any] = {
            "timeouts": _timeouts(timeout),
            "limits": _limits(limits),
            "max_retries": _count("max_retries", max_retries),
            "proxy": None if proxy is None else Hidden(_text("proxy", proxy)),
            "unix_socket": _optional_text("unix_socket", unix_socket),
            "insecure": verify is False,
            "cert_file": _optional_text("cert", certificate),
            "key_file": _optional_text("cert", key),
            "http2": _http2(http2),
            "compression": _flag("compression", compression),
            "stats": self._stats,
        }

    def stream(
        self,
        *,
        model: str,
        messages: Sequence[Mapping[str, Any] | Message],
        system: str | Sequence[Any] | None = None,
        tools: Sequence[Tool | Mapping[str, Any]] | None = None,
        tool_choice: ToolChoice | Mapping[str, Any] | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        stop: str | Sequence[str] | None = None,
        into: Any = None,
        **params: Any,
    ) -> StreamT:
        """Start a chat answer and return its stream at once.

        The named arguments are put into the provider's own form; `millstream.params` says what
        they may hold. `params` go into the request's JSON as they are, and so does a message, part
        or tool that is in the provider's form already.

        messages: {"role": "system" | "user" | "assistant" | "tool", "content": str or parts};
            parts: {"type": "text", "text"}, {"type": "image", "url"} or {"type": "image", "data",
            "media_type"}; an assistant's "tool_calls": `ToolCall`s or {"id", "name", "arguments"};
            a tool's result: {"role": "tool", "tool_call_id", "content"}. A `Message` of a stream
            is the assistant's turn that it was.
        system: instructions before the conversation.
        tools: {"name", "description", "parameters": JSON schema}.
        tool_choice: "auto", "none", "required" or {"name": ...}.
        max_tokens: of the answer; for anthropic, which demands one, 4096 unless given.
        temperature, top_p, stop: as the provider defines them; stop: a str or a list.
        into: the type that the answer is to be of, an object: its JSON schema goes into the
            provider's own field, and `stream.partials()` reads it. See docs/howto/structured.md.

        What the provider cannot take is a ValueError that names it.
        """
        arguments = {
            "model": model, "messages": messages, "system": system, "tools": tools,
            "tool_choice": tool_choice, "max_tokens": max_tokens, "temperature": temperature,
            "top_p": top_p, "stop": stop, "into": into,
        }  # fmt: skip
        method, url, headers, body, _ = self._question(**arguments, params=params)
        settings = self._settings_for(url)
        settings |= {
            "method": method, "headers": headers, "body": body, "format": self._provider.format
        }  # fmt: skip
        stream = self._open(settings, arguments, params)
        if into is not None:
            stream._into = into  # type: ignore[attr-defined]
        return stream

    def request_for(
        self,
        *,
        model: str,
        messages: Sequence[Mapping[str, Any] | Message],
        system: str | Sequence[Any] | None = None,
        tools: Sequence[Tool | Mapping[str, Any]] | None = None,
        tool_choice: ToolChoice | Mapping[str, Any] | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        stop: str | Sequence[str] | None = None,
        into: Any = None,
        **params: Any,
    ) -> Request:
        """What `stream()` with these arguments would send, with keys and passwords masked.

        Nothing is sent. The engine adds Host, Accept, User-Agent and Content-Length.
        """
        return Request(
            *self._question(
                model=model, messages=messages, system=system, tools=tools,
                tool_choice=tool_choice, max_tokens=max_tokens, temperature=temperature,
                top_p=top_p, stop=stop, into=into, params=params,
            )
        )  # fmt: skip

    def request(
        self,
        path: str,
        *,
        json: Any = None,
        method: str = "POST",
        format: str | None = None,
    ) -> StreamT:
        """Send `json` as it is to `base_url + path` and return the answer's stream at once.

        format: the wire format, one of `formats()`; default: the provider's.
        """
        format = self._provider.format if format is None else _format(format)
        method, url, headers, body, _ = self._compose(path, json, method)
        settings = self._settings_for(url)
        settings |= {"method": method, "headers": headers, "body": body, "format": format}
        return self._open(settings, json if isinstance(json, dict) else {}, {})

    def events(
        self,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        body: bytes | str | None = None,
        last_event_id: str | None = None,
        reconnect: bool = True,
        initial_retry: float = 3.0,
        max_retry: float = 30.0,
        max_redirects: int = 10,
        comments: bool = False,
        on_state: OnState | None = None,
    ) -> EventStreamT:
        """Connect to a source of server-sent events and return its stream at once.

        The WHATWG EventSource client, for any method: a connection that is lost is followed by
        another with the last event id, redirects are followed, a 204 ends the stream.

        url: absolute, or a path behind `base_url`. To another origin go no key, no certificate and
            none of the client's headers that hold a secret; the same goes for redirects.
        headers: sent beside the client's; one given here replaces it.
        json, body: what is sent, again with each connection; a str is UTF-8, and `body` has no
            Content-Type of its own.
        last_event_id: to go on from; without line break or NUL.
        reconnect: False: the end of the body is the end, a fault raises.
        initial_retry: seconds to wait before reconnecting at most, until the server says how long
            by `retry`; 0: none. What a server asks for is also the least, up to a day.
        max_retry: what it grows to while connections give no event, doubling each time.
        max_redirects: of one connection: 301, 302, 303, 307, 308 as the Fetch standard says. Every
            connection begins at `url`.
        comments: hand out `Comment`s too.
        on_state: called with "open" and None when a connection stands; with "connecting" when it is
            lost or none was had, and what a stream that does not reconnect would have raised (None
            where its body had just ended); with "closed" at the end. It is called by what iterates,
            in order with the events.

        Of the client's time limits `first_chunk` is for the answer's head, `idle` runs from there,
        fed by events and comments, and `total` is for all. `max_retries` does not count. While the
        consumer is behind nothing more is read, and no connection is begun.
        """
        url = self._address(url)
        own = _route.origin(url) == _route.origin(self.base_url)
        method = _text("method", method).upper()
        content = _content(json, body)
        given = _headers(headers)
        settings = self._settings_for(url, any_scheme=True)
        if not own:
            settings["cert_file"] = settings["key_file"] = None
        settings["source"] = (
            _flag("reconnect", reconnect),
            _milliseconds("initial_retry", initial_retry),
            _milliseconds("max_retry", max_retry),
            _count("max_redirects", max_redirects),
            _flag("comments", comments),
            _optional_text("last_event_id", last_event_id),
        )
        on_state = _callable("on_state", on_state)
        stream = self._event_stream_type(
            **settings,
            method=method,
            headers=self._event_headers(given, json, method, url, content, own),
            body=content,
            format="events",
        )
        stream._on_state = on_state
        return stream

    def metrics(self) -> dict[str, Any]:
        """Counters of this client's streams; the names are those of `millstream.metrics()`."""
        return self._stats.read()

    def __repr__(self) -> str:
        url = without_password(self.base_url)
        return f"{type(self).__name__}({self._provider.name!r}, base_url={url!r})"

    def _open(
        self, settings: dict[str, Any], arguments: dict[str, Any], params: dict[str, Any]
    ) -> StreamT:
        hooks = _hooks.of_stream(self._hooks)
        if hooks:
            return self._open_watched(hooks, settings, {**arguments, **params})
        return self._stream_type(**settings)

    def _open_watched(
        self, hooks: tuple[OnEvent, ...], settings: dict[str, Any], known: dict[str, Any]
    ) -> StreamT:
        from ._watch import Watch

        model = known.get("model")
        watch = Watch(
            hooks,
            provider=self._provider.name,
            format=settings["format"],
            model=model if isinstance(model, str) else None,
            method=settings["method"],
            url=shown_url(settings["url"]),
            arguments=known,
        )
        settings["headers"] = _beside(settings["headers"], watch.request(settings["headers"]))
        try:
            stream = self._watched_type()(**settings)
        except Exception as error:
            watch.refused(error)
            raise
        stream._watch = watch  # type: ignore[attr-defined]
        return stream

    def _watched_type(self) -> type[StreamT]:
        raise NotImplementedError

    def _for_bulk(
        self, base_url: str | None, api_key: str | None, buffered_bytes: int
    ) -> BaseClient[StreamT, EventStreamT]:
        """The same, elsewhere or with another key, for a job that tries again by itself."""
        other: BaseClient[StreamT, EventStreamT] = object.__new__(type(self))
        for name in BaseClient.__slots__:
            setattr(other, name, getattr(self, name))
        event, buffered, *rest = self._settings["limits"]
        limits = (event, min(buffered, buffered_bytes), *rest)
        other._settings = {**self._settings, "limits": limits, "max_retries": 0}
        other._keep_nothing()
        if base_url is not None:
            other.base_url, other._own = _base_url(base_url), False
        if base_url is not None or api_key is not None:
            other._auth = other._how_it_is_let_in(_optional_text("api_key", api_key), {})
        return other

    def _keep_nothing(self) -> None:
        """Of what requests have in common, which follows from the settings."""
        self._kept: dict[bool, tuple[Pairs, Pairs]] = {}  # by whether there is a body
        # Of the last request: base URL, path and URL; URL, way to its server, and settings.
        self._place: tuple[str, str, str] = "", "", ""
        self._way: tuple[str, tuple[str, str], dict[str, Any]] = "", ("", ""), {}

    def _how_it_is_let_in(
        self, api_key: str | None, options: Mapping[str, str]
    ) -> _providers.KeyHeader | _providers.Aws | None:
        """Nothing where a header of the caller's does it."""
        names = {name.lower() for name, _ in self.headers}
        if api_key is None and names & {"authorization", self._provider.key_header[0].lower()}:
            return None
        return self._provider.auth(api_key, options, self._options, self._own)

    def _question(self, **arguments: Any) -> tuple[str, str, Pairs, bytes | None, Any]:
        """Method, URL, headers, body and the body's JSON of a question."""
        path, json = self._provider.question(arguments, self._options, self._own)
        return self._compose(path, json, "POST")

    def _compose(
        self, path: str, json: Any, method: str
    ) -> tuple[str, str, Pairs, bytes | None, Any]:
        url = self._url_of(path)
        method = _text("method", method).upper()
        body = None if json is None else _json_bytes(json)
        headers = self._headers_of(method, url, body)
        return method, url, headers, body, json

    def _url_of(self, path: str) -> str:
        base_url, last_path, url = self._place
        if base_url is not self.base_url or last_path != path:
            url = Hidden(self.base_url + _text("path", path))
            self._place = self.base_url, path, url
        return url

    def _headers_of(self, method: str, url: str, body: bytes | None) -> Pairs:
        """The client's, the provider's and what lets a request in; mostly made once for all."""
        kept = self._kept.get(body is not None)
        if kept is not None and kept[0] is self.headers:
            return kept[1]
        headers = self.headers
        for name, value in (("Content-Type", "application/json"), *self._provider.headers):
            given = any(name.lower() == each.lower() for each, _ in headers)
            if not given and (body is not None or name != "Content-Type"):
                headers = (*headers, (name, value))
        if self._auth is not None:
            added = self._auth.pairs(method, url, headers, body or b"")
            headers = (*headers, *_checked(added))
        if self._auth is None or self._auth.lasts:
            self._kept[body is not None] = self.headers, headers
        return headers

    def _address(self, url: str) -> str:
        url = Hidden(_text("url", url))
        if url[:7].lower() == "http://" or url[:8].lower() == "https://":
            return url
        if "://" in url.partition("?")[0]:
            raise ValueError("url: must begin with http:// or https://, or be a path")
        return Hidden(self.base_url + ("/" if url and url[0] not in "/?" else "") + url)

    def _event_headers(
        self, given: Pairs, json: Any, method: str, url: str, content: bytes | None, own: bool
    ) -> Pairs:
        """`given` and the client's; of those only what any server may see where it is not `own`."""
        of_client = (*self.headers, *self._provider.headers) if own else _public(self.headers)
        headers = _beside(given, of_client)
        if json is not None:
            headers = _beside(headers, (("Content-Type", "application/json"),))
        names = {name.lower() for name, _ in given}
        if own and self._auth is not None and "authorization" not in names:
            key = self._auth.pairs(method, url, headers, content or b"")
            headers = (*headers, *_checked(key))
        return headers

    def _settings_for(self, url: str, any_scheme: bool = False) -> dict[str, Any]:
        """The settings of a request to `url`, which redirects may take to another scheme."""
        way = proxy, no_proxy = _route.proxy_for(url, self._settings["proxy"])
        last_url, last_way, settings = self._way
        if last_url is url and last_way == way:
            return settings.copy()
        ca_file, ca_dir = None, None
        over_tls = any_scheme or "https://" in (url[:8].lower(), proxy[:8].lower())
        if self._verify is not False and over_tls:
            ca_file, ca_dir = _route.trust_for(self._verify)
        settings = {
            **self._settings,
            "url": url,
            "proxy": Hidden(_text("proxy", proxy)),
            "no_proxy": no_proxy,
            "ca_file": ca_file,
            "ca_dir": ca_dir,
            "source": None,
        }
        if not over_tls:  # what is trusted may be another file at any time
            self._way = url, way, settings
        return settings.copy()


class Client(BaseClient[Stream, EventStream]):
    __doc__ = BaseClient.__doc__
    __slots__ = ()
    _stream_type = Stream
    _event_stream_type = EventStream

    def _watched_type(self) -> type[Stream]:
        from ._watch import WatchedStream  # costs an import only where there are hooks

        return WatchedStream

    def bulk(
        self,
        requests: Iterable[Any],
        *,
        concurrency: int = 100,
        ordered: bool = False,
        on_result: Callable[[BulkResult], object] | None = None,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        endpoints: Sequence[Endpoint] | None = None,
        into: Any = None,
        max_retries: int = 4,
        prices: tuple[float, float] | None = None,
    ) -> Iterator[BulkResult]:
        """Ask many requests, so many at a time, and hand out a `BulkResult` for each.

        One thread serves them all, the one that iterates; between results it waits for the
        network, or for `next(requests)`. Nothing begins before the first `next()`; what ends the
        iteration (`break` and the loss of the generator, Ctrl-C) cancels all that is under way.

        requests: mappings of the arguments of `stream()`, each with an "id" of its own where it is
            to have one (default: its place, as text); a str stands for a question of the user's.
            Lines of an OpenAI batch file are taken too. They are pulled one by one, when there is
            room: memory does not grow with their number.
        concurrency: streams at a time.
        ordered: hand out in the order of the requests, not as they are done.
        on_result: called with each result before it is handed out.
        requests_per_minute, tokens_per_minute: of the whole job. What a server refuses by 429, and
            what it tells by `Retry-After` and rate-limit headers, is learned in any case.
        endpoints: several keys or servers, by weight; where one fails, others are asked.
        into: the type of all the answers: `result.parsed`. See `stream()`.
        max_retries: of a request, behind failures that may pass. What a rate limit refuses is sent
            again without being counted.
        prices: of a million tokens, input and output: `result.cost`.

        What goes wrong with a request is its result's `error`. See docs/bulk.md.
        """
        from ._bulk import _job, _sync

        job = _job.Job(
            self, concurrency=concurrency, ordered=ordered,
            requests_per_minute=requests_per_minute, tokens_per_minute=tokens_per_minute,
            endpoints=endpoints, into=into, max_retries=max_retries, prices=prices,
        )  # fmt: skip
        return _sync.run(job, requests, on_result)

    def close(self) -> None:
        """Nothing is held open for a client; here for symmetry with other libraries."""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


# ---- arguments: each is checked here, and named in what is raised --------------------------------


def _text(name: str, value: object) -> str:
    """A str that UTF-8 and C can carry. What is raised does not show it: it may be a secret."""
    if not isinstance(value, str):
        raise TypeError(f"{name}: must be a str, not {type(value).__name__}")
    if "\0" in value or value.encode(errors="replace").decode() != value:
        raise ValueError(f"{name}: holds NUL or a lone surrogate")
    return value


def _optional_text(name: str, value: object) -> str | None:
    return None if value is None else _text(name, value)


def _flag(name: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise TypeError(f"{name}: must be True or False, not {value!r}")


def _base_url(url: object) -> str:
    url = _text("base_url", url)
    if url[:7].lower() != "http://" and url[:8].lower() != "https://":
        shown = "" if "@" in url else f", not {url!r}"  # what is before it may be a password
        raise ValueError(f"base_url: must begin with http:// or https://{shown}")
    return Hidden(url.rstrip("/"))


def _options(given: object) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise TypeError(f"options: must be a dict, not {type(given).__name__}")
    return given


def _headers(given: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    if given is None:
        return ()
    if not hasattr(given, "items"):
        raise TypeError(f"headers: must be a mapping, not {type(given).__name__}")
    return tuple(
        (_text("headers: a name", name), hidden(name, _text(f"headers: {name!r}", value)))
        for name, value in given.items()
    )


def _checked(key: Pairs) -> Pairs:
    return tuple((name, Hidden(_text("api_key", value))) for name, value in key)


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


def _beside(given: Pairs, others: Pairs) -> Pairs:
    """`given` and of the others those that it does not name."""
    names = {name.lower() for name, _ in given}
    return (*given, *(pair for pair in others if pair[0].lower() not in names))


def _public(headers: Pairs) -> Pairs:
    """Without those that hold a secret, or are about one server."""
    return tuple(
        (name, value)
        for name, value in headers
        if name.lower() != "host" and not is_secret(name, value)
    )


def _count(name: str, given: int) -> int:
    if isinstance(given, bool) or not isinstance(given, int):
        raise TypeError(f"{name}: must be an int, not {given!r}")
    if not 0 <= given <= 100:
        raise ValueError(f"{name}: must be between 0 and 100, not {given}")
    return given


def _milliseconds(name: str, given: float) -> int:
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        raise TypeError(f"{name}: must be a number of seconds, not {given!r}")
    if not given >= 0:
        raise ValueError(f"{name}: must not be negative, in seconds")
    return max(1, round(min(given * 1000, 1 << 53))) if given else 0


def _callable(name: str, given: OnState | None) -> OnState | None:
    if given is None or callable(given):
        return given
    raise TypeError(f"{name}: must be callable, not {given!r}")


def _content(json: object, body: object) -> bytes | None:
    if json is not None and body is not None:
        raise ValueError("body: json is given too; only one of them can be sent")
    if json is not None:
        return _json_bytes(json)
    if isinstance(body, str):
        return _text("body", body).encode()
    if body is None or isinstance(body, bytes):
        return body
    raise TypeError(f"body: must be bytes or str, not {type(body).__name__}")


def _verify(given: bool | str | os.PathLike[str]) -> bool | str:
    if isinstance(given, bool):
        return given
    try:
        path = os.fspath(given)
    except TypeError:
        path = None
    if not isinstance(path, str):
        raise TypeError(f"verify: must be True, False or the path of a CA file, not {given!r}")
    return _text("verify", path)


def _http2(given: bool | Literal["auto"]) -> int:
    if isinstance(given, (bool, str)) and given in _HTTP2:
        return _HTTP2[given]
    raise ValueError(f'http2: must be "auto", True or False, not {given!r}')


def _format(given: str) -> str:
    if given not in _core.formats():
        raise ValueError(f"format: {given!r} is not one of {', '.join(_core.formats())}")
    return given


_encode: Callable[[object], str] | None = None


def _json_bytes(value: object) -> bytes:
    global _encode
    if _encode is None:
        import json  # not needed to import the package

        _encode = json.JSONEncoder(
            ensure_ascii=False, allow_nan=False, separators=(",", ":")
        ).encode
    try:
        return _encode(value).encode()
    except UnicodeEncodeError as error:
        raise ValueError("json: a str holds a lone surrogate, which UTF-8 cannot carry") from error
    except (TypeError, ValueError) as error:
        raise type(error)(f"json: the request cannot be written as JSON: {error}") from None
