"""OpenAI's transcription: `POST …/audio/transcriptions` with a form, unnamed server-sent events,
the last of them `transcript.text.done`. Text only."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ._format import (
    Ask,
    Fault,
    Format,
    Stamp,
    ask_for,
    compact,
    data,
    encoded,
    told,
    usage_of,
)
from ._openai_chat import openai_error, openai_error_event
from ._request import Request
from ._script import Answer, Part, joined

_FIELD = rb'\r\nContent-Disposition: form-data; name="?%b"?\r\n(?:[^\r\n]+\r\n)*\r\n(.*?)\r\n--'


class OpenAITranscription(Format):
    """An answer is the transcript. There is no finish reason."""

    name = "openai-transcription"

    def serves(self, request: Request) -> bool:
        return request.path.endswith("/audio/transcriptions")

    def read(self, request: Request) -> Ask:
        model = _field(request, b"model") or "mock"
        said = [("user", _field(request, b"prompt"))]
        return ask_for(model, said, stream=_field(request, b"stream").lower() == "true")

    def stream(self, ask: Ask, answer: Answer, stamp: Stamp) -> Iterator[Part]:
        for text in (answer.text, answer.refusal):
            yield from told(
                text, lambda token: data({"type": "transcript.text.delta", "delta": token})
            )
        if answer.finishes:
            yield data({"type": "transcript.text.done", **_transcript(ask, answer)})

    def whole(self, ask: Ask, answer: Answer, stamp: Stamp) -> bytes:
        return encoded(compact(_transcript(ask, answer)))

    def error(self, status: int, error: Fault) -> bytes:
        return openai_error(status, error)

    def error_event(self, error: Fault, number: int) -> bytes:
        return openai_error_event(error)


def _field(request: Request, name: bytes) -> str:
    """A field of a form (RFC 7578); empty where there is none."""
    match = re.search(_FIELD % name, b"\r\n" + request.body, re.DOTALL | re.IGNORECASE)
    return match[1].decode("utf-8", "replace") if match else ""


def _transcript(ask: Ask, answer: Answer) -> dict[str, object]:
    transcript: dict[str, object] = {"text": joined(answer.text) + joined(answer.refusal)}
    usage = usage_of(ask, answer)
    if usage:
        transcript["usage"] = {
            "type": "tokens",
            "total_tokens": usage.input_tokens + usage.output_tokens,
            "input_tokens": usage.input_tokens,
            "input_token_details": {"text_tokens": 0, "audio_tokens": usage.input_tokens},
            "output_tokens": usage.output_tokens,
        }
    return transcript
