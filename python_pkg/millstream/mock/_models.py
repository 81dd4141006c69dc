"""The models of a server without a script: what the request's model name makes it answer."""

from __future__ import annotations

import re
from collections.abc import Callable

from ._format import Ask
from ._script import Answer, Error, Single, ToolCall

_TEXT = (
    "A water mill asks little of its stream. The wheel takes what comes, turn by turn, and the "
    "stones below it grind at their own pace. Nothing is held back longer than it must be, and "
    "nothing is lost: what flows in as a current leaves as flour. On quiet days you can hear every "
    "single drop."
)


def _default(ask: Ask) -> Answer:
    return Answer(f'You said: "{ask.prompt}" {_TEXT}' if ask.prompt else _TEXT)


def _tools(ask: Ask) -> Answer:
    names = ask.tools or ["get_weather"]
    return Answer(
        tool_calls=[ToolCall(name, {"city": "Paris", "unit": "celsius"}) for name in names]
    )


MODELS: dict[str, Callable[[Ask], Single]] = {
    "mock": _default,
    "mock-echo": lambda ask: Answer(ask.prompt),
    "mock-long": lambda ask: Answer(" ".join([_TEXT] * 40)),
    "mock-slow": lambda ask: Answer(_TEXT, first=0.5, pace=0.1),
    "mock-reasoning": lambda ask: Answer("Four.", reasoning="Two and two: that makes four."),
    "mock-refusal": lambda ask: Answer(refusal="I cannot help with that."),
    "mock-tools": _tools,
    "mock-length": lambda ask: Answer("This answer was cut short by its", finish_reason="length"),
    "mock-stream-error": lambda ask: Answer(_TEXT, error="The model stopped.", error_after=10),
    "mock-cut": lambda ask: Answer(_TEXT, cut_after=10),
    "mock-reset": lambda ask: Answer(_TEXT, cut_after=10, cut="reset"),
    "mock-hang": lambda ask: Answer(_TEXT, cut_after=10, cut="hang"),
}


def answer_of(ask: Ask) -> Single:
    """What the model `ask.model` answers; an unknown name is as good as `mock`."""
    status = re.fullmatch(r"mock-error-([45]\d\d)", ask.model)
    if status:
        code = int(status[1])
        headers = {"Retry-After": "1"} if code in (429, 503) else {}
        return Error(code, f"This model always answers {code}.", headers=headers)
    return MODELS.get(ask.model, _default)(ask)
