"""millstream.compat beside the official SDKs, fed the same bytes: the same fields of all objects.

The bytes are all recorded streams of the three formats, and answers of the mock server.
"""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import millstream
import sdk_fields
from answers import DONE, chat, event
from conftest import API_KEY, SHARED, Serve
from millstream import mock
from millstream.compat import anthropic as our_anthropic
from millstream.compat import openai as our_openai
from millstream.compat._anthropic_stream import complete_part

anthropic = pytest.importorskip("anthropic", reason="skipped: anthropic is not installed")
openai = pytest.importorskip("openai", reason="skipped: openai is not installed")

# The tables are those of one version: another's further fields are not looked for.
SAME_VERSIONS = all(
    f" {module.__name__} {module.__version__}." in (sdk_fields.path_of(module.__name__).read_text())
    for module in (openai, anthropic)
)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text)[:3])


for _sdk in (openai, anthropic):
    _table = sdk_fields.path_of(_sdk.__name__).read_text()
    _followed = re.search(rf" {_sdk.__name__} (\d+\.\d+\.\d+)\.", _table)
    assert _followed is not None
    if _version(_sdk.__version__) < _version(_followed[1]):
        pytest.skip(
            f"skipped: {_sdk.__name__} {_sdk.__version__} is older than {_followed[1]}, which "
            "millstream.compat follows",
            allow_module_level=True,
        )

CHAT, RESPONSES, MESSAGES = "openai-chat", "openai-responses", "anthropic-messages"
QUESTION: dict[str, dict[str, Any]] = {
    CHAT: {"model": "m", "messages": [{"role": "user", "content": "Hi"}]},
    RESPONSES: {"model": "m", "input": "Hi"},
    MESSAGES: {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9},
}
THEIRS: dict[str, ModuleType] = {CHAT: openai, RESPONSES: openai, MESSAGES: anthropic}
OURS: dict[str, ModuleType] = {CHAT: our_openai, RESPONSES: our_openai, MESSAGES: our_anthropic}


def client_of(module: ModuleType, server: mock.Server, asynchronous: bool = False) -> Any:
    """The client of an SDK, or of ours in its place."""
    name = "OpenAI" if hasattr(module, "OpenAI") else "Anthropic"
    url = server.url if name == "OpenAI" else server.origin
    cls = getattr(module, "Async" * asynchronous + name)
    return cls(base_url=url, api_key=API_KEY, max_retries=0)


def calls_of(client: Any, format: str) -> Any:
    """What has create()."""
    if format == CHAT:
        return client.chat.completions
    return client.responses if format == RESPONSES else client.messages


class Told:
    """What a stream handed out, and what it raised."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.error: Any = None


def streamed(module: ModuleType, server: mock.Server, format: str, **more: Any) -> Told:
    told = Told()
    with client_of(module, server) as client:
        try:
            params = {**QUESTION[format], **more}
            with calls_of(client, format).create(**params, stream=True) as stream:
                for item in stream:
                    told.items.append(item)
        except Exception as error:
            told.error = error
    return told


def streamed_async(module: ModuleType, server: mock.Server, format: str, **more: Any) -> Told:
    told = Told()

    async def read() -> None:
        async with client_of(module, server, True) as client:
            try:
                params = {**QUESTION[format], **more}
                async with await calls_of(client, format).create(**params, stream=True) as stream:
                    async for item in stream:
                        told.items.append(item)
            except Exception as error:
                told.error = error

    asyncio.run(read())
    return told


WAYS = {"sync": streamed, "async": streamed_async}


# ---- the comparison ------------------------------------------------------------------------------


def differences(ours: Any, theirs: Any, where: str) -> Iterator[str]:
    """Where our object differs from the SDK's: each field, known or not, by attribute."""
    if hasattr(theirs, "model_fields_set"):
        for name in (*type(theirs).model_fields, *(theirs.model_extra or {})):
            value = getattr(theirs, name)
            try:
                own = getattr(ours, name)
            except AttributeError as error:
                if value is not None or SAME_VERSIONS:
                    yield f"{where}.{name}: {error}"
                continue
            yield from differences(own, value, f"{where}.{name}")
    elif isinstance(theirs, list):
        if not isinstance(ours, list) or len(ours) != len(theirs):
            yield f"{where}: {ours!r} for {theirs!r}"
            return
        for at, (own, value) in enumerate(zip(ours, theirs, strict=True)):
            yield from differences(own, value, f"{where}[{at}]")
    elif (
        type(ours) is not type(theirs) and {type(ours), type(theirs)} != {int, float}
    ) or ours != theirs:
        yield f"{where}: {ours!r} for {theirs!r}"


def check_alike(ours: Any, theirs: Any, where: str = "") -> None:
    faults = list(differences(ours, theirs, where))
    assert faults == []
    assert ours.to_dict() == theirs.to_dict(warnings=False)
    assert ours.model_dump(exclude_none=True) == theirs.model_dump(
        exclude_none=True, warnings=False
    )
    assert ours.model_fields_set == theirs.model_fields_set | set(theirs.model_extra or ())
    if SAME_VERSIONS:
        assert ours.model_dump() == theirs.model_dump(warnings=False)
        told = theirs.model_dump_json(warnings=False)
        assert json.loads(ours.model_dump_json()) == json.loads(told)


def check_same_items(ours: Told, theirs: Told) -> None:
    assert len(ours.items) == len(theirs.items)
    for at, (own, item) in enumerate(zip(ours.items, theirs.items, strict=True)):
        check_alike(own, item, f"[{at}]")


def check_same_error(ours: Any, theirs: Any) -> None:
    assert (ours is None) == (theirs is None), (ours, theirs)
    if theirs is None:
        return
    assert type(theirs).__name__ in [cls.__name__ for cls in type(ours).__mro__]
    assert ours.body == theirs.body
    if theirs.body is not None:
        assert ours.message == theirs.message
        assert str(ours) == str(theirs)


def recordings() -> list[dict[str, Any]]:
    manifest = SHARED / "streams" / "manifest.json"
    if not manifest.exists():
        return []
    return [entry for entry in json.loads(manifest.read_bytes()) if entry["api"] in QUESTION]


RECORDED = recordings()
with_recordings = pytest.mark.skipif(
    not RECORDED, reason="skipped: no recorded streams beside the project"
)
each_recording = pytest.mark.parametrize("entry", RECORDED, ids=lambda entry: entry["file"])


def replay(serve: Serve, entry: dict[str, Any]) -> mock.Server:
    return serve(mock.Replay(SHARED / "streams" / entry["file"]))


@with_recordings
@each_recording
def test_a_recording_gives_the_sdks_objects(serve: Serve, entry: dict[str, Any]) -> None:
    server, format = replay(serve, entry), entry["api"]
    theirs = streamed(THEIRS[format], server, format)
    for way in WAYS.values():
        ours = way(OURS[format], server, format)
        check_same_items(ours, theirs)
        check_same_error(ours.error, theirs.error)
        assert ours.items or entry["expected"]["error"]


@with_recordings
def test_all_recordings_are_here() -> None:
    apis = [entry["api"] for entry in RECORDED]
    assert [apis.count(api) for api in QUESTION] == [75, 35, 24]


# ---- client.messages.stream() --------------------------------------------------------------------


def helped(module: ModuleType, server: mock.Server) -> Any:
    """(event, message so far as a dict) of each event, then the final message."""
    with (
        client_of(module, server) as client,
        client.messages.stream(**QUESTION[MESSAGES]) as stream,
    ):
        events = [
            (event, stream.current_message_snapshot.to_dict(warnings=False)) for event in stream
        ]
        return events, stream.get_final_message()


async def helped_async(server: mock.Server) -> Any:
    async with (
        client_of(our_anthropic, server, True) as client,
        client.messages.stream(**QUESTION[MESSAGES]) as stream,
    ):
        events = [
            (event, stream.current_message_snapshot.to_dict(warnings=False))
            async for event in stream
        ]
        return events, await stream.get_final_message()


ANTHROPIC = [entry for entry in RECORDED if entry["api"] == MESSAGES]


@with_recordings
@pytest.mark.parametrize("entry", ANTHROPIC, ids=lambda entry: entry["file"])
def test_the_message_helper_derives_the_sdks_events(serve: Serve, entry: dict[str, Any]) -> None:
    server = replay(serve, entry)
    try:
        theirs, final = helped(anthropic, server)
    except anthropic.APIError as error:
        with pytest.raises(our_anthropic.APIError) as caught:
            helped(our_anthropic, server)
        check_same_error(caught.value, error)
        with pytest.raises(our_anthropic.APIError) as caught:
            asyncio.run(helped_async(server))
        check_same_error(caught.value, error)
        return
    for ours, own_final in (helped(our_anthropic, server), asyncio.run(helped_async(server))):
        assert [event.type for event, _ in ours] == [event.type for event, _ in theirs]
        for at, ((own, own_so_far), (each, so_far)) in enumerate(zip(ours, theirs, strict=True)):
            check_alike(own, each, f"[{at}]")
            assert own_so_far == so_far
        check_alike(own_final, final)


@with_recordings
@pytest.mark.parametrize("entry", ANTHROPIC, ids=lambda entry: entry["file"])
def test_the_message_helper_gives_text(serve: Serve, entry: dict[str, Any]) -> None:
    def read(module: ModuleType) -> tuple[list[str], str | None]:
        with (
            client_of(module, server) as client,
            client.messages.stream(**QUESTION[MESSAGES]) as stream,
        ):
            texts = list(stream.text_stream)
            try:
                return texts, stream.get_final_text()
            except RuntimeError:
                return texts, None

    async def read_async() -> tuple[list[str], str | None]:
        async with (
            client_of(our_anthropic, server, True) as client,
            client.messages.stream(**QUESTION[MESSAGES]) as stream,
        ):
            texts = [text async for text in stream.text_stream]
            try:
                return texts, await stream.get_final_text()
            except RuntimeError:
                return texts, None

    if entry["expected"]["error"]:
        pytest.skip("skipped: an error has no text")
    server = replay(serve, entry)
    assert read(our_anthropic) == asyncio.run(read_async()) == read(anthropic)


def test_a_snapshot_is_of_its_time(serve: Serve) -> None:
    """... also where it is looked at later, when the message has grown on."""
    call = mock.ToolCall("f", {"a": "b", "c": 1})
    server = serve(mock.Answer("one two three", tool_calls=[call]))
    with client_of(anthropic, server) as client:
        with client.messages.stream(**QUESTION[MESSAGES]) as stream:
            theirs = [json.loads(each.model_dump_json()) for each in stream]
        with client_of(our_anthropic, server).messages.stream(**QUESTION[MESSAGES]) as stream:
            ours = list(stream)
    grown = [each for each in theirs if each["type"] in ("text", "input_json")]
    assert [e.model_dump() for e in ours if e.type in ("text", "input_json")] == grown
    assert len(grown) > 4


JSON = (
    '{"a": "b\\"c", "n": [1, -2.5e+3, true, null, {"d": {}}], "e": {"x": "\\u00e9"}, "": []}',
    '[1, [2, "x"], {"a": false}]',
    '"text"', "12", " {} ",
)  # fmt: skip


@pytest.mark.parametrize("text", JSON)
def test_json_that_is_cut_has_its_complete_part(text: str) -> None:
    jiter = pytest.importorskip("jiter", reason="skipped: jiter is not installed")
    for end in range(1, len(text) + 1):
        try:
            wanted = jiter.from_json(text[:end].encode(), partial_mode=True)
        except ValueError:  # nothing is complete yet
            with pytest.raises(ValueError, match="Expecting value"):
                complete_part(text[:end])
        else:
            assert complete_part(text[:end]) == wanted, text[:end]


# ---- plain answers -------------------------------------------------------------------------------

ANSWERS = {
    "text": mock.Answer("grüße, 日本語, 🎈", usage=mock.Usage(11, 7)),
    "calls": mock.Answer("Let me see.", tool_calls=[mock.ToolCall("f", {"a": [1, {}]})]),
    "reasoning": mock.Answer("Four.", reasoning="Two and two."),
    "refusal": mock.Answer(refusal="No."),
    "length": mock.Answer("a", finish_reason="length"),
}


def whole_answer(serve: Serve, format: str, answer: mock.Answer) -> bytes:
    """The bytes of a plain answer, in which the mock server counts ids."""
    server = serve(answer)
    path = {CHAT: "/chat/completions", RESPONSES: "/responses", MESSAGES: "/messages"}[format]
    client = millstream.Client(base_url=server.url, api_key=API_KEY)
    (event,) = client.request(path, json=QUESTION[format], format="json").events()
    return event.raw


@pytest.mark.parametrize("case", ANSWERS)
@pytest.mark.parametrize("format", QUESTION)
def test_a_plain_answer_gives_the_sdks_object(serve: Serve, format: str, case: str) -> None:
    body = whole_answer(serve, format, ANSWERS[case])
    names = {CHAT: "x-request-id", RESPONSES: "x-request-id", MESSAGES: "request-id"}
    script = mock.Replay(body, content_type="application/json", headers={names[format]: "req_1"})
    server = serve(script)

    async def ask() -> Any:
        async with client_of(OURS[format], server, True) as client:
            return await calls_of(client, format).create(**QUESTION[format])

    with client_of(THEIRS[format], server) as client:
        theirs = calls_of(client, format).create(**QUESTION[format])
    with client_of(OURS[format], server) as client:
        ours = calls_of(client, format).create(**QUESTION[format], stream=False)
    for own in (ours, asyncio.run(ask())):
        check_alike(own, theirs)
        assert own._request_id == theirs._request_id == "req_1"
        if format == RESPONSES:
            assert own.output_text == theirs.output_text


@pytest.mark.parametrize("body", [b"[]", b"[{}, {}]", b'{"a" 1}', b"[1]", b'{"id": "x"', b""])
def test_a_plain_answer_that_is_no_object_raises(serve: Serve, body: bytes) -> None:
    server = serve(mock.Replay(body, content_type="application/json"))
    with client_of(our_openai, server) as client, pytest.raises(our_openai.APIError) as caught:
        client.chat.completions.create(**QUESTION[CHAT])
    assert isinstance(caught.value, (millstream.ProtocolError, millstream.StreamInterrupted))


# ---- errors --------------------------------------------------------------------------------------

STATUSES = {
    400: millstream.BadRequest,
    401: millstream.AuthenticationError,
    403: millstream.PermissionDenied,
    404: millstream.NotFound,
    409: millstream.StatusError,
    422: millstream.BadRequest,
    429: millstream.RateLimited,
    500: millstream.ServerError,
    503: millstream.ServerError,
    418: millstream.StatusError,
}


def raised_by(module: ModuleType, server: mock.Server, format: str, **params: Any) -> Any:
    with client_of(module, server) as client, pytest.raises(Exception) as caught:  # noqa: PT011
        calls_of(client, format).create(**QUESTION[format], **params)
    return caught.value


async def raised_async(module: ModuleType, server: mock.Server, format: str, **params: Any) -> Any:
    async with client_of(module, server, True) as client:
        with pytest.raises(Exception) as caught:  # noqa: PT011
            await calls_of(client, format).create(**QUESTION[format], **params)
    return caught.value


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("format", QUESTION)
def test_a_status_raises_both_errors(serve: Serve, format: str, status: int, stream: bool) -> None:
    server = serve(mock.Error(status, "No more.", headers={"retry-after": "7", "x-own": "o"}))
    theirs = raised_by(THEIRS[format], server, format, stream=stream)
    for ours in (
        raised_by(OURS[format], server, format, stream=stream),
        asyncio.run(raised_async(OURS[format], server, format, stream=stream)),
    ):
        check_same_error(ours, theirs)
        assert STATUSES[status] in type(ours).__mro__
        assert STATUSES[status] in type(ours.__cause__).__mro__
        assert ours.status_code == theirs.status_code == ours.response.status_code == status
        assert ours.request_id is not None
        assert ours.response.headers["X-Own"] == theirs.response.headers["X-Own"] == "o"
        assert ours.retry_after == 7
        if format == CHAT:
            assert (ours.code, ours.type, ours.param) == (theirs.code, theirs.type, theirs.param)


@pytest.mark.parametrize("format", QUESTION)
def test_an_error_that_is_no_json_keeps_its_text(serve: Serve, format: str) -> None:
    server = serve(mock.Error(502, body="<html>Bad gateway</html>"))
    theirs = raised_by(THEIRS[format], server, format)
    ours = raised_by(OURS[format], server, format)
    check_same_error(ours, theirs)
    assert ours.body == "<html>Bad gateway</html>"


def test_an_error_inside_a_chat_comes_after_its_chunks(serve: Serve) -> None:
    chunk = {"id": "c", "choices": [{"index": 0, "delta": {"content": "x"}}]}
    error = {"error": {"message": "Slow down.", "code": "rate_limit_exceeded", "type": "requests"}}
    server = serve(mock.Replay(event(chunk) + event(error)))
    theirs = streamed(openai, server, CHAT)
    for way in WAYS.values():
        ours = way(our_openai, server, CHAT)
        check_same_items(ours, theirs)
        check_same_error(ours.error, theirs.error)
        assert ours.error.body == error["error"]
        assert isinstance(ours.error, our_openai.RateLimitError)
        assert isinstance(ours.error, millstream.RateLimited)
        assert isinstance(ours.error, millstream.ProviderError)


def test_an_error_inside_a_message_comes_after_its_events(serve: Serve) -> None:
    server = serve(mock.Answer("a b c d", error_after=3, error="Too many."))
    theirs = streamed(anthropic, server, MESSAGES)
    for way in WAYS.values():
        ours = way(our_anthropic, server, MESSAGES)
        assert len(ours.items) == len(theirs.items) > 0
        check_same_error(ours.error, theirs.error)
        assert isinstance(ours.error, millstream.ProviderError)


@pytest.mark.parametrize("type", ["error", "response.failed"])
def test_an_error_that_is_an_event_is_handed_out(serve: Serve, type: str) -> None:
    error = {"code": "server_error", "message": "m"}
    response = {"status": "failed", "error": error, "output": []}
    last: dict[str, Any] = {"response": response} if type == "response.failed" else error
    begun = {"status": "in_progress", "output": []}
    events = [{"type": "response.created", "response": begun}, {"type": type, **last}]
    body = b"".join(b"event: %s\n" % str(each["type"]).encode() + event(each) for each in events)
    server = serve(mock.Replay(body))
    theirs = streamed(openai, server, RESPONSES)
    for way in WAYS.values():
        ours = way(our_openai, server, RESPONSES)
        check_same_items(ours, theirs)
        assert ours.error is theirs.error is None
        assert ours.items[-1].type == type


@pytest.mark.parametrize("format", QUESTION)
def test_a_connection_that_breaks_raises_behind_what_came(serve: Serve, format: str) -> None:
    server = serve(mock.Answer("a b c d", cut_after=4))
    theirs = streamed(THEIRS[format], server, format)
    for way in WAYS.values():
        ours = way(OURS[format], server, format)
        assert len(ours.items) == len(theirs.items) > 0
        assert theirs.error is not None  # httpx's own in places
        assert isinstance(ours.error, OURS[format].APIConnectionError)
        assert isinstance(ours.error, millstream.StreamInterrupted)
        cause: Any = ours.error.__cause__
        assert cause.message is not None  # the partial Message


@pytest.mark.parametrize("format", QUESTION)
def test_no_connection_raises_both_errors(serve: Serve, format: str) -> None:
    server = serve("x")
    server.close()
    ours = raised_by(OURS[format], server, format)
    check_same_error(ours, raised_by(THEIRS[format], server, format))
    check_same_error(ours, asyncio.run(raised_async(OURS[format], server, format)))
    assert isinstance(ours, millstream.ConnectError)
    assert isinstance(ours, OURS[format].APIConnectionError)


@pytest.mark.parametrize("timeout", [0.2, SimpleNamespace(connect=9, read=0.2)])
@pytest.mark.parametrize("format", QUESTION)
def test_a_silent_server_raises_a_timeout(serve: Serve, format: str, timeout: Any) -> None:
    server = serve(mock.Answer("a b c d", cut_after=4, cut="hang"))
    ours = streamed(OURS[format], server, format, timeout=timeout)
    assert ours.items
    assert isinstance(ours.error, OURS[format].APITimeoutError)
    assert isinstance(ours.error, OURS[format].APIConnectionError)
    assert isinstance(ours.error, millstream.Timeout)
    assert ours.error.phase == "idle"


# ---- requests ------------------------------------------------------------------------------------

OPTIONS: dict[str, Any] = {
    "extra_headers": {"X-Call": "c", "X-Both": "call"},
    "extra_query": {"page": 2},
    "extra_body": {"beyond": {"a": [1]}},
    "metadata": {"user_id": "u"},
}
SETTINGS: dict[str, Any] = {
    "default_headers": {"X-Client": "é", "X-Both": "client"},
    "default_query": {"api-version": "1"},
}
OWN = {
    "OpenAI": {"organization": "org-1", "project": "proj-1"},
    "Anthropic": {"auth_token": "token-1"},
}


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("format", QUESTION)
def test_the_server_is_asked_as_by_the_sdk(serve: Serve, format: str, stream: bool) -> None:
    server = serve("Hi!")
    for module in (OURS[format], THEIRS[format]):
        own = OWN["OpenAI" if hasattr(module, "OpenAI") else "Anthropic"]
        settings = {**SETTINGS, "default_headers": {"X-Client": "e", "X-Both": "client"}}
        client = client_of(module, server).with_options(**settings, **own)
        params = {**QUESTION[format], **OPTIONS, "stream": stream}
        if module is OURS[format]:
            params["top_p"] = module.NOT_GIVEN
        with client:
            answer = calls_of(client, format).create(**params)
            if stream:
                list(answer)
    ours, theirs = server.requests
    assert (ours.method, ours.path, ours.query) == (theirs.method, theirs.path, theirs.query)
    assert ours.json() == theirs.json() | {"stream": stream}
    for name in (
        "authorization", "x-api-key", "openai-organization", "openai-project",
        "content-type", "x-client", "x-both", "x-call",
    ):  # fmt: skip
        assert ours.headers.get(name) == theirs.headers.get(name), name
    assert ours.headers["x-both"] == "call"


def test_objects_of_an_answer_go_into_the_next_question(serve: Serve) -> None:
    server = serve(mock.Answer("a", tool_calls=[mock.ToolCall("f", {"x": 1}, id="call_1")]))
    for module in (our_openai, openai):
        with client_of(module, server) as client:
            said = client.chat.completions.create(**QUESTION[CHAT]).choices[0].message
            client.chat.completions.create(model="m", messages=[*QUESTION[CHAT]["messages"], said])
    for module in (our_anthropic, anthropic):
        with client_of(module, server) as client:
            content = client.messages.create(**QUESTION[MESSAGES]).content
            turn = {"role": "assistant", "content": content}
            client.messages.create(**{**QUESTION[MESSAGES], "messages": [turn]})
    bodies = [request.json() for request in server.requests[1::2]]
    for body in bodies[:2]:
        for call in body["messages"][1]["tool_calls"]:
            call.pop("id")  # counted by the server
    for body in bodies[2:]:
        for block in body["messages"][0]["content"]:
            block.pop("id", None)
    assert bodies[0] == bodies[1]
    assert bodies[2] == bodies[3]


def test_the_openai_environment(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve("Hi!")
    monkeypatch.setenv("OPENAI_API_KEY", "key-e")
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-e")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-e")
    our_openai.OpenAI().chat.completions.create(**QUESTION[CHAT])
    (request,) = server.requests
    assert request.headers["authorization"] == "Bearer key-e"
    assert request.headers["openai-organization"] == "org-e"
    assert request.headers["openai-project"] == "proj-e"


def test_the_anthropic_environment(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve("Hi!")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.origin)
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "token-e")
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    our_anthropic.Anthropic().messages.create(**QUESTION[MESSAGES])
    monkeypatch.setenv("ANTHROPIC_API_KEY", "key-e")
    our_anthropic.Anthropic().messages.create(**QUESTION[MESSAGES])
    our_anthropic.Anthropic(auth_token="token-a").messages.create(**QUESTION[MESSAGES])
    keys = [(r.headers.get("x-api-key"), r.headers.get("authorization")) for r in server.requests]
    assert keys == [(None, "Bearer token-e"), ("key-e", None), (None, "Bearer token-a")]


def test_a_key_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(our_openai.OpenAIError, match="OPENAI_API_KEY"):
        our_openai.OpenAI()
    with pytest.raises(our_anthropic.AnthropicError, match="ANTHROPIC_API_KEY"):
        our_anthropic.Anthropic().messages.create(**QUESTION[MESSAGES])


def test_a_key_may_be_a_function(serve: Serve) -> None:
    server = serve("Hi!")
    keys = iter(["one", "two"])
    client = our_openai.OpenAI(base_url=server.url, api_key=lambda: next(keys))
    client.responses.create(**QUESTION[RESPONSES])
    client.responses.create(**QUESTION[RESPONSES])

    async def key() -> str:
        return "three"

    async def ask() -> None:
        async with our_openai.AsyncOpenAI(base_url=server.url, api_key=key) as client:
            await client.responses.create(**QUESTION[RESPONSES])

    asyncio.run(ask())
    told = [request.headers["authorization"] for request in server.requests]
    assert told == ["Bearer one", "Bearer two", "Bearer three"]


def test_retries_are_those_of_the_client(serve: Serve) -> None:
    server = serve([mock.Error(500), mock.Error(500), "Hi!"])
    client = our_openai.OpenAI(base_url=server.url, api_key=API_KEY, max_retries=0)
    with pytest.raises(our_openai.InternalServerError):
        client.chat.completions.create(**QUESTION[CHAT])
    said = client.with_options(max_retries=1).chat.completions.create(**QUESTION[CHAT])
    assert said.choices[0].message.content == "Hi!"


# ---- the objects ---------------------------------------------------------------------------------


def chunk_of(serve: Serve, *events: bytes) -> Any:
    told = streamed(our_openai, serve(mock.Replay(b"".join(events) + DONE)), CHAT)
    assert told.error is None
    return told.items[0]


def test_nothing_is_parsed_before_an_attribute_is_touched(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[object] = []
    loads = json.loads

    def counted(text: Any, **more: Any) -> Any:
        parsed.append(text)
        return loads(text, **more)

    monkeypatch.setattr(json, "loads", counted)
    told = streamed(our_openai, serve(mock.Replay(chat("x") + chat("y", "stop") + DONE)), CHAT)
    assert len(told.items) == 2
    assert parsed == []
    assert told.items[1].choices[0].delta.content == "y"
    assert told.items[1].id == "chatcmpl-1"
    assert len(parsed) == 1


def test_what_an_object_can_do(serve: Serve) -> None:
    more: dict[str, Any] = {"x_more": {"a": 1}, "usage": None}
    body = chat("x", **more)
    chunk, same = chunk_of(serve, body), chunk_of(serve, body)
    other = chunk_of(serve, chat("y"))
    assert chunk == same
    assert chunk != other
    assert chunk.choices == same.choices
    assert chunk.choices[0] != chunk
    assert "usage" in chunk
    assert "x_more" in chunk
    assert "system_fingerprint" not in chunk
    assert chunk.system_fingerprint is None
    assert chunk.get("x_more") == chunk.x_more == chunk.model_extra["x_more"] == {"a": 1}
    assert chunk.get("system_fingerprint", "none") == chunk.get("nothing", "none") == "none"
    assert repr(chunk.choices[0].delta).startswith("ChoiceDelta(")
    assert "content='x'" in repr(chunk)
    assert dict(chunk)["id"] == "chatcmpl-1"
    assert "choices" in dir(chunk)
    with pytest.raises(AttributeError, match="'ChatCompletionChunk' object has no attribute 'tex'"):
        chunk.tex  # noqa: B018
    for again in (copy.copy(chunk), copy.deepcopy(chunk), pickle.loads(pickle.dumps(chunk))):
        assert again == chunk
        assert again.choices[0].delta.content == "x"
    chunk.choices[0].delta.content = "z"
    assert chunk.model_dump()["choices"][0]["delta"]["content"] == "z"
    assert chunk.model_dump(include={"id"}) == {"id": "chatcmpl-1"}
    assert "choices" not in chunk.model_dump(exclude={"choices"})
    assert json.loads(chunk.to_json())["choices"][0]["delta"] == {"content": "z"}


def test_a_message_that_grew_can_be_kept(serve: Serve) -> None:
    _, final = helped(
        our_anthropic, serve(mock.Answer("a b", tool_calls=[mock.ToolCall("f", {"x": 1})]))
    )
    again = pickle.loads(pickle.dumps(final))
    assert again == final
    assert again.content[1].input == {"x": 1}


def test_a_time_is_a_datetime(serve: Serve) -> None:
    body = {"type": "message", "container": {"id": "c", "expires_at": "2026-01-02T03:04:05Z"}}
    server = serve(mock.Replay(json.dumps(body).encode(), content_type="application/json"))
    ours, theirs = (
        client_of(module, server).messages.create(**QUESTION[MESSAGES])
        for module in (our_anthropic, anthropic)
    )
    check_alike(ours, theirs)
    assert ours.container.expires_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


# ---- what is not offered -------------------------------------------------------------------------


def test_what_is_not_offered_says_so() -> None:
    client = our_openai.OpenAI(api_key="k")
    for where, name in (
        (client, "embeddings"),
        (client, "beta"),
        (client.chat.completions, "with_raw_response"),
        (our_openai.AsyncOpenAI(api_key="k"), "files"),
        (our_anthropic.Anthropic(api_key="k").messages, "batches"),
    ):
        with pytest.raises(AttributeError, match=f"has no '{name}'.*client.millstream.request"):
            getattr(where, name)
    with pytest.raises(TypeError, match=r"http_client: .*proxy"):
        our_openai.OpenAI(api_key="k", http_client=object())
    with pytest.raises(TypeError, match="output_format"):
        our_anthropic.Anthropic(api_key="k").messages.stream(output_format=int)


def test_the_way_out_is_the_same_client(serve: Serve) -> None:
    server = serve(
        mock.Replay(b'{"data": [{"embedding": [0.5]}]}', content_type="application/json")
    )
    client = our_openai.OpenAI(base_url=server.url, api_key=API_KEY)
    (answer,) = client.millstream.request(
        "/embeddings", json={"input": "x"}, format="json"
    ).events()
    assert answer.json()["data"][0]["embedding"] == [0.5]
    assert server.requests[0].headers["authorization"] == f"Bearer {API_KEY}"


def test_a_stream_nobody_has_is_cancelled(serve: Serve) -> None:
    gate = mock.Gate()
    for module, format in ((our_openai, CHAT), (our_anthropic, MESSAGES)):
        server = serve(mock.Answer(["a", "b", gate, "c"]))
        stream = calls_of(client_of(module, server), format).create(**QUESTION[format], stream=True)
        next(stream)
        del stream  # without the garbage collector
        assert server.wait_disconnected(timeout=30)


def test_the_tables_are_those_of_the_sdks() -> None:
    if not SAME_VERSIONS:
        pytest.skip("skipped: the installed SDKs are of other versions than the tables")
    for sdk, text in sdk_fields.tables().items():
        assert sdk_fields.path_of(sdk).read_text() == text


def test_the_import_costs_neither_an_sdk_nor_asyncio() -> None:
    program = (
        "import sys, millstream.compat.openai, millstream.compat.anthropic;"
        "print(*{'openai', 'anthropic', 'httpx', 'pydantic', 'asyncio'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "\n"
