"""What a token of a growing JSON answer costs, and how that grows with the answer.

    python bench/partial.py [PEER...]

CPU time (process_time) of one 4-byte token, the value taken after each, at the end of answers of
10 KB, 160 KB and 1 MB: `millstream.PartialJSON`, as it is and into a pydantic model, beside

- jiter's partial mode, and pydantic's `from_json(allow_partial=...)`, the same code;
- that with all of the model's fields optional and validated at each token, as instructor does it;
- openai's own stream of a chat answer with a `response_format`, which hands the text to jiter;
- partial-json-parser;
- baml-py's `parse_stream`, of a client that its `baml-cli` generates here.

They all parse the whole text again at each token. Who is not installed is left out:
`pip install baml-py jiter openai partial-json-parser pydantic`. All see the same answers, one after
the other; the median of the rounds is printed, and the ratio of the largest cost to the smallest.
A dash: not measured, for the size before took longer than a second a token.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import millstream

SIZES = {"10 KB": 10_000, "160 KB": 160_000, "1 MB": 1_000_000}
TOKEN_BYTES = 4
ROUNDS = 7
ROUNDS_S = 10  # of one answer and parser: no further round after this
SLOW_S = 1  # a token: a larger answer is not measured
# Of the answer's last bytes: enough tokens for the clock, few beside the size.
MEASURED_BYTES = 8_000
MEASURED_BYTES_OF_PEERS = 80

SENTENCE = "The mill turns, the water \u201cfalls\u201d, and so on.\n"

Feed = Callable[[str], float]
"""Seconds a token at the end of a text."""


# ---- answers -------------------------------------------------------------------------------------


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


def is_records(text: str) -> bool:
    """Which of the two models the answer is of."""
    return text.startswith('{"items"')


def model_of(text: str, optional: bool = False) -> Any:
    """The pydantic model of an answer."""
    import pydantic

    def make(name: str, /, **fields: Any) -> Any:
        given = {
            key: (kind | None, None) if optional else (kind, ...) for key, kind in fields.items()
        }
        return pydantic.create_model(name, **given)

    if not is_records(text):
        return make("Article", title=str, text=str)
    row = make("Row", id=int, name=str, tags=list[str], price=float, ok=bool)
    return make("Rows", items=list[row])


def tokens(text: str) -> Iterator[str]:
    """The text in pieces of four characters, as a model sends them."""
    for at in range(0, len(text), TOKEN_BYTES):
        yield text[at : at + TOKEN_BYTES]


# ---- parsers -------------------------------------------------------------------------------------


def feed_model(text: str) -> float:
    """millstream, into a pydantic model."""
    return feed_millstream(text, model_of(text))


def feed_millstream(text: str, into: type | None = None) -> float:
    """millstream, JSON as it is."""
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


def parse_again(text: str, parse: Callable[[Any], object], measured: int, data: bool) -> float:
    """Who takes the text so far, as bytes or str."""
    whole: Any = text.encode() if data else text
    ends = range(len(whole) - measured, len(whole), TOKEN_BYTES)
    start = time.process_time()
    for end in ends:
        parse(whole[:end])
    return (time.process_time() - start) / len(ends)


def peer_jiter() -> Feed:
    """jiter."""
    import jiter

    def parse(data: bytes) -> object:
        return jiter.from_json(data, partial_mode="trailing-strings")

    return lambda text: parse_again(text, parse, MEASURED_BYTES_OF_PEERS, True)


def peer_pydantic() -> Feed:
    """pydantic's from_json."""
    from pydantic_core import from_json

    def parse(data: bytes) -> object:
        return from_json(data, allow_partial="trailing-strings")

    return lambda text: parse_again(text, parse, MEASURED_BYTES_OF_PEERS, True)


def peer_optional_model() -> Feed:
    """The model with all fields optional, validated at each token."""
    from pydantic_core import from_json

    def feed(text: str) -> float:
        model = model_of(text, optional=True)

        def parse(data: bytes) -> object:
            return model.model_validate(from_json(data, allow_partial="trailing-strings"))

        return parse_again(text, parse, MEASURED_BYTES_OF_PEERS, True)

    return feed


def peer_partial_json_parser() -> Feed:
    """partial-json-parser."""
    from partial_json_parser import loads

    return lambda text: parse_again(text, loads, 2 * TOKEN_BYTES, False)


def peer_openai() -> Feed:
    """openai: the state behind `client.chat.completions.stream(response_format=...)`."""
    from openai.lib.streaming.chat import ChatCompletionStreamState
    from openai.types.chat import ChatCompletionChunk

    def chunk(piece: str) -> Any:
        choice = {"index": 0, "delta": {"role": "assistant", "content": piece}}
        return ChatCompletionChunk.model_validate(
            {
                "id": "1",
                "object": "chat.completion.chunk",
                "created": 1,
                "model": "m",
                "choices": [choice],
            }
        )

    def feed(text: str) -> float:
        state = ChatCompletionStreamState(response_format=model_of(text))
        state.handle_chunk(chunk(text[:-MEASURED_BYTES_OF_PEERS]))
        chunks = [chunk(piece) for piece in tokens(text[-MEASURED_BYTES_OF_PEERS:])]
        start = time.process_time()
        for each in chunks:
            state.handle_chunk(each)
        seconds = time.process_time() - start
        parsed = state.current_completion_snapshot.choices[0].message.parsed
        assert parsed == json.loads(text)
        return seconds / len(chunks)

    return feed


BAML = """
client<llm> Mock {
  provider openai
  options {
    model "mock"
    api_key "none"
  }
}
class Article {
  title string
  text string
}
class Row {
  id int
  name string
  tags string[]
  price float
  ok bool
}
class Rows {
  items Row[]
}
function ReadArticle(text: string) -> Article {
  client Mock
  prompt #"{{ text }} {{ ctx.output_format }}"#
}
function ReadRows(text: string) -> Rows {
  client Mock
  prompt #"{{ text }} {{ ctx.output_format }}"#
}
generator python {
  output_type "python/pydantic"
  output_dir "../made"
  version "VERSION"
  default_client_mode sync
}
"""


def peer_baml() -> Feed:
    """baml-py."""
    version = importlib.metadata.version("baml-py")  # ImportError where it is not installed
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "baml_src")
        source.mkdir()
        (source / "main.baml").write_text(BAML.replace("VERSION", version))
        tool = Path(sys.executable).with_name("baml-cli")
        subprocess.run([tool, "generate"], cwd=folder, check=True, capture_output=True)
        sys.path.insert(0, os.path.join(folder, "made"))
        parser = importlib.import_module("baml_client").b.parse_stream

    def feed(text: str) -> float:
        parse = parser.ReadRows if is_records(text) else parser.ReadArticle
        return parse_again(text, parse, TOKEN_BYTES, False)

    return feed


PEERS: dict[str, Callable[[], Feed]] = {
    "millstream": lambda: feed_millstream,
    "millstream, pydantic": lambda: feed_model,
    "jiter": peer_jiter,
    "from_json of pydantic": peer_pydantic,
    "from_json, all optional": peer_optional_model,
    "openai": peer_openai,
    "partial-json-parser": peer_partial_json_parser,
    "baml-py": peer_baml,
}


# ---- the measurement -----------------------------------------------------------------------------


def cost_of(feed: Feed, text: str) -> float:
    """Seconds a token: the median of the rounds."""
    costs: list[float] = []
    end = time.monotonic() + ROUNDS_S
    while not costs or (len(costs) < ROUNDS and time.monotonic() < end):
        costs.append(feed(text))
    return statistics.median(costs)


def measure(feed: Feed, make: Callable[[int], str]) -> list[float]:
    """Seconds a token at each of the sizes, up to the first that is slow."""
    costs: list[float] = []
    for size in SIZES.values():
        if not costs or costs[-1] < SLOW_S:
            costs.append(cost_of(feed, make(size)))
    return costs


def main() -> None:
    """Print one line a kind of answer and parser."""
    peers: dict[str, Feed] = {}
    for name in sys.argv[1:] or PEERS:
        with contextlib.suppress(ImportError):
            peers[name] = PEERS[name]()
    print(f"{'us a token':38}", *(f"{name:>11}" for name in SIZES), "    ratio", flush=True)
    for answer, make in ANSWERS.items():
        for name, feed in peers.items():
            costs = measure(feed, make)
            shown = [f"{cost * 1e6:11.2f}" for cost in costs]
            shown += [f"{'-':>11}"] * (len(SIZES) - len(costs))
            row = f"{answer + ', ' + name:38} {' '.join(shown)}"
            print(row, f"{max(costs) / min(costs):9.2f}", flush=True)


if __name__ == "__main__":
    main()
