"""From a request and a script to a reply: the parts to put on the wire, and how they end.

Thread: the server's loop only.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from itertools import chain, count, repeat
from urllib.parse import parse_qs

from ._anthropic import AnthropicMessages
from ._bedrock import BedrockConverse, BedrockInvoke
from ._cohere import CohereV1Chat, CohereV1Generate, CohereV2Chat
from ._format import Ask, Fault, Format, Refused, Stamp, choices_of, compact, encoded
from ._gemini import Gemini, GeminiJSONArray
from ._interactions import GeminiInteractions
from ._mistral import MistralChat
from ._models import MODELS, answer_of
from ._ollama import OllamaChat, OllamaGenerate
from ._openai_assistants import OpenAIAssistants
from ._openai_chat import OpenAIChat, openai_models
from ._openai_completions import OpenAICompletions
from ._openai_responses import OpenAIResponses
from ._openai_transcription import OpenAITranscription
from ._request import BadRequest, Request
from ._script import Answer, Cut, Error, Part, Raw, Replay, Script, Single, Then, steps_of

# The first that serves a request answers it; where none does, OpenAI's chat says so.
_OPENAI_CHAT = OpenAIChat()
FORMATS: tuple[Format, ...] = (
    MistralChat(),
    _OPENAI_CHAT,
    OpenAICompletions(),
    OpenAIResponses(),
    OpenAIAssistants(),
    OpenAITranscription(),
    AnthropicMessages(),
    Gemini(),
    GeminiJSONArray(),
    GeminiInteractions(),
    OllamaChat(),
    OllamaGenerate(),
    CohereV2Chat(),
    CohereV1Chat(),
    CohereV1Generate(),
    BedrockConverse(),
    BedrockInvoke(),
)

_JSON = "application/json"
_FAILURE = "The mock model failed, as its script says."
_EVENT = re.compile(rb".+?(?:\r\n\r\n|\n\n|\r\r|\Z)", re.DOTALL)
_DONE = re.compile(rb"(?:event: ?done\s+)?data: ?\[DONE\]\s*|event: ?message_stop\s.*", re.DOTALL)
_SIGNED = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/]*)/")
_PHRASES = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True)
class Reply:
    """`parts` go on the wire one after the other; `then` says what becomes of the connection."""

    parts: Iterator[Part]
    then: Then


def format_of(request: Request) -> Format:
    """The format in which a request is answered, its errors too."""
    return next((format_ for format_ in FORMATS if format_.serves(request)), _OPENAI_CHAT)


class Responder:
    """Finds the reply to each request; holds the place in the script and the count of answers."""

    def __init__(
        self, script: Script, pace: float, first: float, api_key: str | None, seed: int | None
    ) -> None:
        self._steps = steps_of(script)
        self._pace = pace
        self._first = first
        self._api_key = api_key
        self._seed = seed
        self._at = 0
        self._count = 0

    @staticmethod
    def refusal(why: BadRequest) -> bytes:
        """The answer to bytes that are no request; the connection cannot go on after it."""
        body = _OPENAI_CHAT.error(why.status, str(why))
        fields = {"Content-Type": _JSON, "Content-Length": str(len(body)), "Connection": "close"}
        return head_of(why.status, fields) + body

    def reply(self, request: Request) -> Reply:
        """The answer to `request`; whatever goes wrong in here becomes an HTTP error."""
        format_ = format_of(request)
        writer = Writer(request, Stamp(self._seed, self._count), format_)
        self._count += 1
        try:
            return self._reply(request, format_, writer)
        except Refused as why:
            return writer.error(Error(why.status, str(why)))
        except Exception as why:  # the user's function: it must not take the server down
            return writer.error(Error(500, f"The script raised {type(why).__name__}: {why}"))

    def _reply(self, request: Request, format_: Format, writer: Writer) -> Reply:
        if self._api_key is not None and self._api_key not in _keys(request):
            raise Refused("The API key is missing, or is not the one of this server.", 401)
        if request.method == "GET" and request.path.endswith("/models"):
            return writer.whole(200, {"Content-Type": _JSON}, openai_models(list(MODELS)))
        script = self._next_step(request)
        if isinstance(script, Raw):
            raw = script.parts
            return Reply(iter([raw] if isinstance(raw, bytes) else raw), script.then)
        if isinstance(script, Replay):
            return self._replay(script, format_, writer)
        if not isinstance(script, Error):
            ask = _read(request, format_)
            script = answer_of(ask) if script is None else script
            script = Answer(script) if isinstance(script, str) else script
            if isinstance(script, Answer):
                script = script if format_.many_choices else replace(script, choices=None)
                answer = self._answer_whole if not ask.stream else self._answer_stream
                return answer(script, ask, format_, writer)
        if isinstance(script, Error):
            return writer.error(script)
        raise TypeError(f"a script has no place for a {type(script).__name__}")

    def _next_step(self, request: Request) -> Single:
        step = self._steps[min(self._at, len(self._steps) - 1)]
        self._at += 1
        return step(request) if callable(step) else step

    def _answer_stream(self, answer: Answer, ask: Ask, format_: Format, writer: Writer) -> Reply:
        events = format_.stream(ask, answer, writer.stamp)
        if answer.fails:
            events = _failing(events, answer, format_)
        events = self._timed(answer, events)
        if format_.terminator and (answer.done or answer.finishes):
            events = chain(events, [format_.terminator])
        events = _first(events, answer.cut_after)
        if answer.comments and format_.comment:
            events = _commented(events, answer.comments, format_)
        fields = {"Content-Type": format_.content_type, "Cache-Control": "no-cache"}
        return writer.chunked(200, fields, events, _cut(answer))

    def _answer_whole(self, answer: Answer, ask: Ask, format_: Format, writer: Writer) -> Reply:
        if answer.fails:
            return writer.error(Error(500), _error(answer))
        fields = {"Content-Type": _JSON}
        content = format_.whole(ask, answer, writer.stamp)
        waits = chain([self._first if answer.first is None else answer.first], _waits(ask, answer))
        if answer.cut_after is None:
            return writer.whole(200, fields, content, waits)
        half = content[: len(content) // 2]
        return writer.chunked(200, fields, chain(waits, [half]), _cut(answer))

    def _replay(self, replay: Replay, format_: Format, writer: Writer) -> Reply:
        body = replay.recorded
        if replay.content_type.startswith("text/event-stream"):
            body = _edited(replay, format_)
        pieces = self._timed(replay, _pieces(body[: replay.cut_after], replay))
        fields = {"Content-Type": replay.content_type, **replay.headers}
        return writer.chunked(replay.status, fields, pieces, _cut(replay))

    def _timed(self, script: Answer | Replay, parts: Iterable[Part]) -> Iterator[Part]:
        """`parts` with the pauses before the first of the bytes and between any two of them."""
        pause = self._first if script.first is None else script.first
        pace = self._pace if script.pace is None else script.pace
        for part in parts:
            if isinstance(part, bytes):
                if pause:
                    yield pause
                pause = pace
            yield part


class Writer:
    """Puts an answer into HTTP in the way the request allows (RFC 9112, 6 and 9.3)."""

    def __init__(self, request: Request, stamp: Stamp, format_: Format) -> None:
        self.stamp = stamp
        self._request = request
        self._format = format_

    def whole(
        self, status: int, fields: Mapping[str, str], body: bytes, before: Iterable[Part] = ()
    ) -> Reply:
        """A body of known length, after the pauses and gates in `before`."""
        head = self._head(status, {**fields, "Content-Length": str(len(body))})
        keeps = self._request.keep_alive
        return Reply(chain(before, [head + body]), "keep" if keeps else "close")

    def chunked(
        self, status: int, fields: Mapping[str, str], parts: Iterator[Part], cut: Cut | None
    ) -> Reply:
        """A body that is sent as it comes; `cut` says how its end goes missing."""
        then: Then = "keep" if self._request.keep_alive and self._request.http11 else "close"
        if cut is not None and cut != "end":
            then = cut
        if self._request.http11:
            fields = {**fields, "Transfer-Encoding": "chunked"}
            parts = in_chunks(parts, ends=cut is None or cut == "end")
        return Reply(chain([self._head(status, fields)], parts), then)

    def error(self, error: Error, fault: Fault | None = None) -> Reply:
        """An HTTP error with the body it names, or the format's own around `fault`."""
        body, content_type = error.body, _JSON
        if body is None:
            message = error.message or _phrase(error.status)
            body = self._format.error(error.status, message if fault is None else fault)
        elif isinstance(body, str):
            kind = "html" if body.lstrip().startswith("<") else "plain"
            body, content_type = body.encode(), f"text/{kind}; charset=utf-8"
        elif not isinstance(body, bytes):
            body = encoded(compact(body))
        more = self._format.error_headers(error.status)
        return self.whole(
            error.status, {"Content-Type": content_type, **more, **error.headers}, body
        )

    def _head(self, status: int, fields: Mapping[str, str]) -> bytes:
        ends = {} if self._request.keep_alive else {"Connection": "close"}
        request_id = {self._format.request_id: self.stamp.id("req_", 24)}
        return head_of(status, {**request_id, **fields, **ends})


def _phrase(status: int) -> str:
    return _PHRASES.get(status, "Unknown")


def head_of(status: int, fields: Mapping[str, str]) -> bytes:
    """The status line and the headers; of a name given twice, in any case, the last one counts."""
    merged = {name.lower(): f"{name}: {value}\r\n" for name, value in fields.items()}
    return f"HTTP/1.1 {status} {_phrase(status)}\r\n{''.join(merged.values())}\r\n".encode(
        "latin-1"
    )


def in_chunks(parts: Iterable[Part], ends: bool) -> Iterator[Part]:
    """The chunked coding (RFC 9112, 7.1), one HTTP chunk for each bytes object."""
    for part in parts:
        if not isinstance(part, bytes):
            yield part
        elif part:  # an empty chunk would be the end
            yield b"%x\r\n%b\r\n" % (len(part), part)
    if ends:
        yield b"0\r\n\r\n"


def _keys(request: Request) -> list[str | None]:
    """The keys that a request shows, in any provider's way; of an AWS signature, its key's id."""
    authorization = request.headers.get("authorization", "")
    signed = _SIGNED.match(authorization)
    return [
        authorization[7:] if authorization.startswith("Bearer ") else None,
        signed[1] if signed else None,
        *(request.headers.get(name) for name in ("api-key", "x-api-key", "x-goog-api-key")),
        *parse_qs(request.query).get("key", []),
    ]


def _read(request: Request, format_: Format) -> Ask:
    if not format_.serves(request):
        raise Refused(f"Unknown path: {request.path}", 404)
    if request.method != "POST":
        raise Refused(f"Not allowed to {request.method} on {request.path}: use POST", 405)
    return format_.read(request)


def _cut(script: Answer | Replay) -> Cut | None:
    return None if script.cut_after is None else script.cut


def _error(script: Answer | Replay) -> Fault:
    return _FAILURE if script.error is None else script.error


def _first(parts: Iterator[Part], limit: int | None) -> Iterator[Part]:
    """The parts up to and with the bytes object number `limit`; None: all."""
    if limit is None:
        yield from parts
    elif limit > 0:
        for part in parts:
            yield part
            limit -= isinstance(part, bytes)
            if not limit:
                return


def _failing(parts: Iterator[Part], answer: Answer, format_: Format) -> Iterator[Part]:
    """The parts before the answer fails, and the error."""
    sent = 0
    for part in _first(parts, answer.error_after):
        yield part
        sent += isinstance(part, bytes)
    yield format_.error_event(_error(answer), sent)


def _commented(parts: Iterator[Part], every: int, format_: Format) -> Iterator[Part]:
    """The parts with a comment after every so many chunks; none after the terminator."""
    sent = 0
    for part in parts:
        yield part
        sent += isinstance(part, bytes)
        if isinstance(part, bytes) and sent % every == 0 and part != format_.terminator:
            yield format_.comment


def _waits(ask: Ask, answer: Answer) -> Iterator[Part]:
    """The pauses and gates that stand in the texts of an answer, for one that is sent whole."""
    for choice in choices_of(ask, answer):
        for text in (choice.reasoning, choice.text, choice.refusal):
            yield from (part for part in text if not isinstance(part, str))


def _edited(replay: Replay, format_: Format) -> bytes:
    """The recorded events with the comments, the error and the end that the script wants."""
    events: list[bytes] = _EVENT.findall(replay.recorded)
    done = events.pop() if events and _DONE.fullmatch(events[-1]) else None
    if replay.fails:
        events = events[: replay.error_after]
        events.append(format_.error_event(_error(replay), len(events)))
    if replay.comments and format_.comment:
        for at in range(len(events) // replay.comments, 0, -1):
            events.insert(at * replay.comments, format_.comment)
    if replay.done or (replay.done is None and done and not replay.fails):
        events.append(done or format_.terminator)
    return b"".join(events)


def _pieces(body: bytes, replay: Replay) -> Iterator[bytes]:
    """`body` in pieces of the sizes that the script wants."""
    whole = [len(body)]
    if isinstance(replay.sizes, int):
        sizes: Iterable[int] = repeat(replay.sizes)
    elif replay.sizes == "random":
        draw = random.Random(replay.seed)
        sizes = (draw.randint(1, 1 << draw.randrange(11)) for _ in count())
    else:
        sizes = chain(replay.sizes or (), whole)
    at = 0
    for size in sizes:
        if at >= len(body):
            return
        yield body[at : at + size]
        at += size
