"""What the soak's server does for one stream, and its client: both derive it from a seed."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Literal, TypeAlias

Ending: TypeAlias = Literal[
    "whole", "cut", "reset", "stall", "status", "provider", "broken", "mute", "retried"
]
Leaving: TypeAlias = Literal["never", "cancel", "close", "drop", "timeout"]
Framing: TypeAlias = Literal["chunked", "length", "close"]

CHUNKS = 56  # that the server means to send, on the average; some are never read
ENDINGS: dict[Ending, int] = {
    "whole": 66, "cut": 8, "reset": 4, "stall": 2, "status": 4,
    "provider": 4, "broken": 4, "mute": 3, "retried": 5,
}  # fmt: skip
LEAVINGS: dict[Leaving, int] = {"never": 85, "cancel": 5, "close": 4, "drop": 4, "timeout": 2}
FRAMINGS: tuple[Framing, ...] = ("chunked", "length", "close")
ALPHABET = 'abcdefghij klmnop\nqrst "uvw\\xyz äöüß 漢字 🎉'
TEXT_EVENT = b'data: {"id":"i","model":"m","choices":[{"index":0,"delta":{"content":%b}}]}\n\n'
FINISH = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


@dataclass(frozen=True)
class Plan:
    """One stream. `texts` are the pieces that the server sends before the ending."""

    texts: tuple[str, ...]
    ending: Ending
    framing: Framing
    status: int
    cuts: tuple[int, ...]  # where the server ends a packet; an ending without FINISH: the last one
    leaving: Leaving
    leave_after: int  # chunks
    small_queue: bool

    @property
    def text(self) -> str:
        """All that the server has sent."""
        return "".join(self.texts)

    def events(self) -> bytes:
        """The body up to the ending."""
        return b"".join(TEXT_EVENT % json.dumps(text).encode() for text in self.texts)


def plan_of(seed: int, number: int) -> Plan:
    """The plan of one stream: the same for the same two numbers."""
    dice = random.Random(f"{seed}/{number}")
    count = dice.randint(1, 2 * CHUNKS - 1)
    letters = dice.choices(ALPHABET, k=1000)
    begins = [dice.randrange(980) for _ in range(count)]
    texts = tuple("".join(letters[at : at + 1 + at % 17]) for at in begins)
    return Plan(
        texts=texts,
        ending=dice.choices(list(ENDINGS), list(ENDINGS.values()))[0],
        framing=dice.choice(FRAMINGS),
        status=dice.choice((401, 429, 500, 503)),
        cuts=tuple(dice.randrange(100 * count) for _ in range(dice.randrange(6))),
        leaving=dice.choices(list(LEAVINGS), list(LEAVINGS.values()))[0],
        leave_after=dice.randrange(count),
        small_queue=dice.random() < 0.2,
    )
