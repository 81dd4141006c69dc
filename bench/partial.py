"""What a token of a growing JSON answer costs, and how that grows with the answer.

    python bench/partial.py

CPU time (process_time) of one 4-byte token, value read after each, at the end of answers of 10 KB,
160 KB and 1 MB: `millstream.PartialJSON`, as it is and into a pydantic model, beside jiter's
partial mode (`pip install jiter`), which parses the whole text again at each token. All see the
same answers, one after the other; the median of the rounds is printed, and the ratio of the largest
answer to the smallest.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator

import millstream

try:
    import jiter
except ImportError:
    jiter = None
try:
    import pydantic
except ImportError:
    pydantic = None

SIZES = {"10 KB": 10_000, "160 KB": 160_000, "1 MB": 1_000_000}
TOKEN_BYTES = 4
ROUNDS = 7
# Of the answer's last bytes: enough tokens for the clock, few beside the size.
MEASURED_BYTES = 8_000
MEASURED_BYTES_OF_JITER = 80

SENTENCE = "The mill turns, the water \u201cfalls\u201d, and so on.\n"


def one_string(size: int) -> str:
    """An answer that is nearly all one string."""
    return json.dumps({"title": "Mills", "text": SENTENCE * (size // 50)}, ensure_ascii=False)


def ascii_string(size: int) -> str:
    """The same in ASCII, with escapes."""
    return json.dumps({"title": "Mills", "text": SENTENCE * (size // 59)})


def records(size: int) -> str:
    """A list of small objects."""
    row = {"id": 12345, "name": "water wheel", "tags": ["old", "wood"], "price": 12.5, "ok": True}
    return json.dumps({"items": [row] * (size // 91)})


ANSWERS = {"one string": one_string, "ASCII, escapes": ascii_string, "objects": records}


def tokens(text: str) -> Iterator[str]:
    """The text in pieces of four characters, as a model sends them."""
    for at in range(0, len(text), TOKEN_BYTES):
        yield text[at : at + TOKEN_BYTES]


def model_of(text: str) -> type:
    """The pydantic model of an answer."""
    if not text.startswith('{"items"'):
        return pydantic.create_model("Article", title=(str, ...), text=(str, ...))
    fields = {"id": int, "name": str, "tags": list[str], "price": float, "ok": bool}
    row = pydantic.create_model("Row", **{name: (kind, ...) for name, kind in fields.items()})
    return pydantic.create_model("Rows", items=(list[row], ...))


def feed_model(text: str) -> float:
    """Seconds a token at the end of the text, into a pydantic model."""
    return feed_millstream(text, model_of(text))


def feed_millstream(text: str, into: type | None = None) -> float:
    """Seconds a token at the end of the text."""
    partial = millstream.PartialJSON(into)
    for piece in tokens(text[:-MEASURED_BYTES]):
        partial.feed(piece)
        partial.value  # noqa: B018 # reading it is what is measured
    pieces = list(tokens(text[-MEASURED_BYTES:]))
    start = time.process_time()
    for piece in pieces:
        partial.feed(piece)
        partial.value  # noqa: B018
    return (time.process_time() - start) / len(pieces)


def feed_jiter(text: str) -> float:
    """The same of jiter: the bytes so far, parsed again."""
    data = text.encode()
    ends = range(len(data) - MEASURED_BYTES_OF_JITER, len(data), TOKEN_BYTES)
    start = time.process_time()
    for end in ends:
        jiter.from_json(data[:end], partial_mode="trailing-strings")
    return (time.process_time() - start) / len(ends)


def measure(feed: Callable[[str], float], make: Callable[[int], str]) -> list[float]:
    """Microseconds a token at each of the sizes."""
    texts = [make(size) for size in SIZES.values()]
    rounds = [[feed(text) for text in texts] for _ in range(ROUNDS)]
    return [statistics.median(column) * 1e6 for column in zip(*rounds, strict=True)]


def main() -> None:
    """Print one line a kind of answer and parser."""
    peers: dict[str, Callable[[str], float]] = {"millstream": feed_millstream}
    if pydantic is not None:
        peers["millstream, pydantic"] = feed_model
    if jiter is not None:
        peers["jiter"] = feed_jiter
    print(f"{'us a token':38}", *(f"{name:>9}" for name in SIZES), "    ratio")
    for answer, make in ANSWERS.items():
        for peer, feed in peers.items():
            costs = measure(feed, make)
            numbers = " ".join(f"{cost:9.2f}" for cost in costs)
            print(f"{answer + ', ' + peer:38} {numbers} {max(costs) / min(costs):9.2f}")


if __name__ == "__main__":
    main()
