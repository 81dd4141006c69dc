"""What a chunk costs through millstream.compat and through the official SDKs.

    python bench/compat.py            # needs the SDKs: pip install openai anthropic

CPU time of the whole process (all threads) for one stream without pauses of 20,000 chunks, each of
which is looked at as chat programs do. The server is another process. Both read the same bytes, in
turns; the median of the rounds is printed, in microseconds a chunk, and the ratio.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from types import ModuleType

CHUNKS = 20_000
ROUNDS = 5
QUESTION = [{"role": "user", "content": "Hi"}]

SERVER = f"""
import sys
from millstream import mock
answer = mock.Answer(["word "] * {CHUNKS})
server = mock.Server(answer, pace=None)
server.start()
print(server.origin, flush=True)
sys.stdin.read()
"""


def chat(module: ModuleType, origin: str) -> int:
    """Chat completions: the text of each chunk."""
    client = module.OpenAI(base_url=f"{origin}/v1", api_key="k")
    length = 0
    for chunk in client.chat.completions.create(model="m", messages=QUESTION, stream=True):
        if chunk.choices:
            length += len(chunk.choices[0].delta.content or "")
    return length


def untouched(module: ModuleType, origin: str) -> int:
    """Chat completions: the chunks are only counted, as where they are passed on."""
    client = module.OpenAI(base_url=f"{origin}/v1", api_key="k")
    stream = client.chat.completions.create(model="m", messages=QUESTION, stream=True)
    return sum(1 for _ in stream)


def responses(module: ModuleType, origin: str) -> int:
    """Responses: the deltas of the text."""
    client = module.OpenAI(base_url=f"{origin}/v1", api_key="k")
    length = 0
    for event in client.responses.create(model="m", input="Hi", stream=True):
        if event.type == "response.output_text.delta":
            length += len(event.delta)
    return length


def messages(module: ModuleType, origin: str) -> int:
    """Messages by the helper, which adds up the message: its text."""
    client = module.Anthropic(base_url=origin, api_key="k")
    with client.messages.stream(model="m", messages=QUESTION, max_tokens=9) as stream:
        return sum(len(text) for text in stream.text_stream)


def cost(read: Callable[[ModuleType, str], int], module: ModuleType, origin: str) -> float:
    """CPU microseconds a chunk."""
    begin = time.process_time()
    count = read(module, origin)
    spent = time.process_time() - begin
    assert count >= CHUNKS
    return spent / CHUNKS * 1e6


def main() -> None:
    """Print a line a way of reading."""
    import anthropic
    import openai

    from millstream.compat import anthropic as our_anthropic
    from millstream.compat import openai as our_openai

    pairs: list[tuple[Callable[[ModuleType, str], int], ModuleType, ModuleType]] = [
        (chat, our_openai, openai),
        (untouched, our_openai, openai),
        (responses, our_openai, openai),
        (messages, our_anthropic, anthropic),
    ]
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        origin = server.stdout.readline().strip()
        for read, ours, theirs in pairs:
            rounds = [(cost(read, ours, origin), cost(read, theirs, origin)) for _ in range(ROUNDS)]
            own, other = (statistics.median(each) for each in zip(*rounds, strict=True))
            ratio = statistics.median(theirs / ours for ours, theirs in rounds)
            print(
                f"{read.__name__:10} compat {own:6.2f} µs  SDK {other:7.2f} µs  ratio {ratio:5.1f}"
            )
        server.terminate()


if __name__ == "__main__":
    main()
