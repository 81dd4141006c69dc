"""Two small tools that a model may be offered: they need nothing, and reach nothing.

Errors: what is wrong with a call is told as its result, for the model is to see it.
"""

from __future__ import annotations

import datetime
import json
import random
import zoneinfo
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..params import Tool

_MOST_DICE = 100
_MOST_SIDES = 1000


class Result(NamedTuple):
    """What a call gave: text for the model, and whether it failed."""

    content: str
    failed: bool


def current_time(time_zone: str = "UTC") -> str:
    """The time in a zone of the tz database, to the minute."""
    try:  # UTC is known without a database of zones, too
        zone = datetime.timezone.utc if time_zone == "UTC" else zoneinfo.ZoneInfo(time_zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"no time zone {time_zone!r} is known here") from error
    return datetime.datetime.now(zone).strftime("%A, %d %B %Y, %H:%M %Z")


def roll_dice(count: int = 1, sides: int = 6) -> str:
    """The numbers of some dice."""
    if not (1 <= count <= _MOST_DICE and 2 <= sides <= _MOST_SIDES):
        raise ValueError(f"at most {_MOST_DICE} dice of 2 to {_MOST_SIDES} sides")
    return ", ".join(str(random.randint(1, sides)) for _ in range(count))


_FUNCTIONS: dict[str, Callable[..., str]] = {"current_time": current_time, "roll_dice": roll_dice}

TOOLS: list[Tool] = [
    {
        "name": "current_time",
        "description": "The date and time of day in a time zone.",
        "parameters": {
            "type": "object",
            "properties": {"time_zone": {"type": "string", "description": "as Europe/Berlin"}},
            "required": ["time_zone"],
        },
    },
    {
        "name": "roll_dice",
        "description": "Roll some dice.",
        "parameters": {
            "type": "object",
            "properties": {"count": {"type": "integer"}, "sides": {"type": "integer"}},
        },
    },
]


def run(name: str, arguments: str) -> Result:
    """Call a tool with its arguments as JSON text."""
    function = _FUNCTIONS.get(name)
    if function is None:
        return Result(f"there is no tool {name!r}", failed=True)
    try:
        given: Any = json.loads(arguments or "{}")
        return Result(function(**given), failed=False)
    except (TypeError, ValueError) as error:
        return Result(f"{type(error).__name__}: {error}", failed=True)
