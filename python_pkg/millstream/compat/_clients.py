"""What the clients of both SDKs share: their settings, and the requests made with them.

A request goes out by a `millstream.Client` or `AsyncClient`, which costs next to nothing to make:
one with a timeout or headers of its own has its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, overload
from urllib.parse import urlencode

import millstream

from ._errors import HTTPResponse, Names
from ._lazy import NOT_GIVEN, Json, Model, Union, is_omitted, plain
from ._streams import AsyncStream, Dialect, Stream

_ClientT = TypeVar("_ClientT", bound="BaseClient")
_SyncT = TypeVar("_SyncT", bound="SyncClient")
_AsyncT = TypeVar("_AsyncT", bound="AsyncClient")

_ENGINE = ("cert", "compression", "http2", "limits", "proxy", "unix_socket", "verify")
_SHARED = ("api_key", "base_url", "timeout", "max_retries", "default_headers", "default_query")
_CALL = ("extra_headers", "extra_query", "extra_body", "timeout")
_TIMEOUT = 600.0  # seconds, as in the SDKs
_CONNECT = 5.0


class Ask:
    """Where a question goes, and how its answer is read."""

    __slots__ = ("dialect", "format", "kind", "path")

    def __init__(self, path: str, format: str, dialect: Dialect, kind: Union) -> None:
        self.path = path
        self.format = format
        self.dialect = dialect
        self.kind = kind


class BaseClient:
    """Settings, by the SDK's names.

    timeout: seconds for connecting and for each pause of the server; or what has `connect` and
        `read`, as httpx.Timeout; or a `millstream.Timeout`. None: no limit.
    engine: more arguments of `millstream.Client`: proxy, verify, cert, http2, unix_socket, limits.
    """

    _provider: ClassVar[str]
    _names: ClassVar[Names]
    _offers: ClassVar[str]
    _own: ClassVar[tuple[str, ...]]
    """Arguments beside those of this class, kept as attributes."""

    def __init__(
        self,
        *,
        api_key: Any,
        base_url: Any,
        timeout: Any,
        max_retries: int,
        default_headers: Mapping[str, Any] | None,
        default_query: Mapping[str, Any] | None,
        engine: Mapping[str, Any],
    ) -> None:
        for name in engine:
            if name not in _ENGINE:
                raise TypeError(
                    f"{name}: {type(self).__name__} of millstream.compat has no such argument; "
                    f"for the engine there are {', '.join(_ENGINE)}"
                )
        self.api_key = api_key
        self.base_url = str(base_url).rstrip("/")
        self.timeout = timeout
        self.max_retries = max_retries
        self.default_headers = dict(default_headers or {})
        self.default_query = dict(default_query or {})
        self._arguments = dict(engine)
        self._engine = self._made(None if callable(api_key) else api_key, {}, timeout)

    @property
    def millstream(self) -> Any:
        """The engine's client: `request()` for what this class does not offer, `metrics()`."""
        return self._engine

    def with_options(self: _ClientT, **changed: Any) -> _ClientT:
        """A client with other settings; `default_headers` and `default_query` add to these."""
        given = {name: getattr(self, name) for name in (*_SHARED, *self._own)}
        for name in ("default_headers", "default_query"):
            given[name] = {**given[name], **(changed.pop(name, None) or {})}
        return type(self)(**{**given, **self._arguments, **changed})

    copy = with_options

    def __getattr__(self, name: str) -> Any:
        raise not_offered(self, name, self._offers)

    def _kind(self) -> Any:
        """The engine's class of client."""
        raise NotImplementedError

    def _headers(self) -> Json:
        """Of every request, beside the key."""
        return {}

    def _made(self, key: str | None, headers: Mapping[str, Any], timeout: Any) -> Any:
        """An engine's client with these."""
        return self._kind()(
            self._provider,
            base_url=self.base_url,
            api_key=key,
            headers=_given({**self._headers(), **self.default_headers, **headers}),
            timeout=_timeout(timeout),
            max_retries=self.max_retries,
            **self._arguments,
        )

    def _start(self, ask: Ask, key: Any, arguments: Mapping[str, Any]) -> Any:
        """The engine's stream of a call. Its options are arguments as the others are."""
        call = {name: value for name, value in arguments.items() if not is_omitted(value)}
        headers, query, more = (call.pop(name, None) or {} for name in _CALL[:3])
        timeout = call.pop("timeout", NOT_GIVEN)
        engine = self._engine
        if headers or not is_omitted(timeout) or callable(self.api_key):
            engine = self._made(key, headers, self.timeout if is_omitted(timeout) else timeout)
        fields = urlencode(_given({**self.default_query, **query}), doseq=True)
        return engine.request(
            ask.path + ("?" if fields else "") + fields,
            json={**plain(call), **plain(more)},
            format=ask.format if call.get("stream") else "json",
        )


class SyncClient(BaseClient):
    """A client that waits."""

    def _kind(self) -> Any:
        return millstream.Client

    def ask(self, ask: Ask, arguments: Mapping[str, Any]) -> Any:
        """A Stream, or the object of a plain answer."""
        engine: millstream.Stream | None = None
        try:
            key = self.api_key() if callable(self.api_key) else self.api_key
            engine = self._start(ask, key, arguments)
            answer = HTTPResponse(engine.response)
            if arguments.get("stream") and answer.status_code < 300:
                return Stream(engine, ask.dialect, answer)
            return _whole([*engine.events()], ask.kind, answer)
        except millstream.Error as error:
            head = None if engine is None else self._head(engine)
            raise self._names.translate(error, head) from error

    def _head(self, engine: millstream.Stream) -> HTTPResponse | None:
        try:
            return HTTPResponse(engine.response)
        except millstream.Error:
            return None

    def close(self) -> None:
        """Nothing is held open for a client."""

    def __enter__(self: _SyncT) -> _SyncT:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class AsyncClient(BaseClient):
    """A client for event loops."""

    def _kind(self) -> Any:
        return millstream.AsyncClient  # imports asyncio, which others need not pay for

    async def ask(self, ask: Ask, arguments: Mapping[str, Any]) -> Any:
        """An AsyncStream, or the object of a plain answer."""
        engine: millstream.AsyncStream | None = None
        try:
            key = self.api_key() if callable(self.api_key) else self.api_key
            engine = self._start(ask, await key if hasattr(key, "__await__") else key, arguments)
            answer = HTTPResponse(await engine.response)
            if arguments.get("stream") and answer.status_code < 300:
                return AsyncStream(engine, ask.dialect, answer)
            return _whole([event async for event in engine.events()], ask.kind, answer)
        except millstream.Error as error:
            head = None if engine is None else await self._head(engine)
            raise self._names.translate(error, head) from error

    async def _head(self, engine: millstream.AsyncStream) -> HTTPResponse | None:
        try:
            return HTTPResponse(await engine.response)
        except millstream.Error:
            return None

    async def close(self) -> None:
        """Nothing is held open for a client."""

    async def __aenter__(self: _AsyncT) -> _AsyncT:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()


class Resource:
    """Calls of one kind, such as `client.chat.completions`."""

    _offers: ClassVar[str]

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        raise not_offered(self, name, self._offers)


class Creates(Resource):
    """`create()`, of which each SDK and kind of answer has one."""

    _offers = "create()"
    _ask: ClassVar[Ask]

    if TYPE_CHECKING:

        @overload
        def create(self, *, stream: Literal[True], **params: Any) -> Stream: ...
        @overload
        def create(self, *, stream: Literal[False] | None = None, **params: Any) -> Model: ...

    def create(self, **params: Any) -> Any:
        """Ask: with `stream=True` a `Stream` of what comes, else the whole answer.

        params: those of the API, which go into the request's JSON as they are; `extra_headers`,
            `extra_query`, `extra_body`, `timeout`.
        """
        return self._client.ask(self._ask, params)


class AsyncCreates(Resource):
    """`Creates` for event loops."""

    _offers = "create()"
    _ask: ClassVar[Ask]

    if TYPE_CHECKING:

        @overload
        async def create(self, *, stream: Literal[True], **params: Any) -> AsyncStream: ...
        @overload
        async def create(self, *, stream: Literal[False] | None = None, **params: Any) -> Model: ...

    async def create(self, **params: Any) -> Any:
        """Ask; see `Creates.create`."""
        return await self._client.ask(self._ask, params)


def not_offered(where: object, name: str, offers: str) -> AttributeError:
    """What is raised for what the SDK has and this has not."""
    cls = type(where)
    return AttributeError(
        f"{cls.__name__} of {cls.__module__} has no {name!r}: it offers {offers}. For the rest use "
        'the SDK beside it, or client.millstream.request(path, json=..., format="json")'
    )


def _whole(events: Sequence[millstream.Event], kind: Union, head: HTTPResponse) -> Model:
    """The object of a plain answer."""
    try:
        (value,) = (event.json() for event in events)
        model = kind(value)
    except ValueError:  # more than one, none, or broken
        model = None
    if not isinstance(model, Model):
        raise millstream.ProtocolError("the server's answer is not a JSON object")
    model._request_id = head.request_id
    return model


def _given(values: Mapping[str, Any]) -> Json:
    """Without those that are to be left out."""
    return {
        name: value for name, value in values.items() if value is not None and not is_omitted(value)
    }


def _timeout(given: Any) -> millstream.Timeout:
    """The engine's clocks for a timeout of the SDKs."""
    if isinstance(given, millstream.Timeout):
        return given
    if is_omitted(given):
        connect, read = _CONNECT, _TIMEOUT
    elif hasattr(given, "read"):
        connect, read = given.connect, given.read
    else:
        connect = read = given
    return millstream.Timeout(
        connect=connect, first_chunk=read, idle=read, idle_counts_comments=True
    )
