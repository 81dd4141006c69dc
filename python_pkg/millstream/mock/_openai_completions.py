"""OpenAI's legacy completions: `POST …/completions`, unnamed server-sent events, `[DONE]`."""

from __future__ import annotations

from collections.abc import Iterator

from ._format import (
    Ask,
    Fault,
    Format,
    Stamp,
    ask_for,
    choices_of,
    compact,
    count_in,
    data,
    encoded,
    finish_of,
    in_turns,
    json_object,
    string_in,
    text_of,
    told,
    usage_of,
)
from ._openai_chat import openai_error, openai_error_event, openai_usage, usage_wanted
from ._request import Request
from ._script import Answer, Gate, Part, joined


class OpenAICompletions(Format):
    """Text only: of an answer the text and the refusal are said, nothing else."""

    name = "openai-completions"
    terminator = b"data: [DONE]\n\n"
    many_choices = True

    def serves(self, request: Request) -> bool:
        return request.path.endswith("/completions")

    def read(self, request: Request) -> Ask:
        body = json_object(request)
        return ask_for(
            string_in(body, "model"),
            [("user", text_of(body.get("prompt")))],
            stream=body.get("stream") is True,
            include_usage=usage_wanted(body),
            choices=count_in(body, "n"),
        )

    def stream(self, ask: Ask, answer: Answer, stamp: Stamp) -> Iterator[Part]:
        opening = _opening(ask, stamp)
        asked = ask.include_usage and answer.usage is not False
        for index, piece in in_turns([_pieces(choice) for choice in choices_of(ask, answer)]):
            if isinstance(piece, tuple):
                usage = {"usage": None} if asked else {}
                yield data({**opening, "choices": [_choice(index, *piece)], **usage})
            else:
                yield piece
        spent = usage_of(ask, answer)
        if asked and spent and not answer.fails:
            yield data({**opening, "choices": [], "usage": openai_usage(spent)})

    def whole(self, ask: Ask, answer: Answer, stamp: Stamp) -> bytes:
        choices = [
            _choice(index, joined(choice.text) + joined(choice.refusal), _finish(choice))
            for index, choice in enumerate(choices_of(ask, answer))
        ]
        usage = usage_of(ask, answer)
        stated = {"usage": openai_usage(usage)} if usage else {}
        return encoded(compact({**_opening(ask, stamp), "choices": choices, **stated}))

    def error(self, status: int, error: Fault) -> bytes:
        return openai_error(status, error)

    def error_event(self, error: Fault, number: int) -> bytes:
        return openai_error_event(error)


def _opening(ask: Ask, stamp: Stamp) -> dict[str, object]:
    return {
        "id": stamp.id("cmpl-"),
        "object": "text_completion",
        "created": stamp.created,
        "model": ask.model,
    }


def _pieces(choice: Answer) -> Iterator[tuple[str, str | None] | float | Gate]:
    """The pieces of a choice's text, each with its finish reason."""
    for text in (choice.text, choice.refusal):
        yield from told(text, lambda token: (token, None))
    if not choice.fails:
        yield "", _finish(choice)


def _choice(index: int, text: str, finish: str | None) -> dict[str, object]:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish}


def _finish(choice: Answer) -> str:
    return finish_of(choice, {"tool_calls": "stop"})
