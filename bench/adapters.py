"""How each client reads a chat stream: one function a client, the way its own manual does it.

A function of SYNC takes the load server's base URL, sets the client up once, and returns a function
that starts a stream and gives an iterator of its texts; those of ASYNC give an async iterator. The
imports are inside, so that a process has only what it measures.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any

Texts = Callable[[], Iterator[str]]
AsyncTexts = Callable[[], AsyncIterator[str]]

MODEL = "m"
MESSAGES: Any = [{"role": "user", "content": "Hi"}]
BODY = {"model": MODEL, "messages": MESSAGES, "stream": True}
MANY = 20_000  # connections: more than any row asks for


def chat_url(base: str) -> str:
    """Where a client without an idea of providers sends its request."""
    return f"{base}/v1/chat/completions"


def text_of(data: str | bytes, loads: Callable[[Any], Any] = json.loads) -> str:
    """The delta's text of one event."""
    return loads(data)["choices"][0]["delta"].get("content") or ""


def texts_of_lines(lines: Iterable[bytes]) -> Iterator[str]:
    """What clients need that know lines, and nothing of events."""
    for line in lines:
        if line.startswith(b"data: "):
            if line.startswith(b"data: [DONE]"):
                return
            yield text_of(line[6:])


# ---- threads -------------------------------------------------------------------------------------


def millstream(base: str) -> Texts:
    """This project."""
    import millstream

    client = millstream.Client(base_url=f"{base}/v1", api_key="k")
    return lambda: map(attrgetter("text"), client.stream(model=MODEL, messages=MESSAGES))


def millstream_batches(base: str) -> Texts:
    """This project, all that is ready at a time."""
    import millstream

    client = millstream.Client(base_url=f"{base}/v1", api_key="k")

    def texts() -> Iterator[str]:
        for batch in client.stream(model=MODEL, messages=MESSAGES).batches():
            yield from map(attrgetter("text"), batch)

    return texts


def openai(base: str) -> Texts:
    """OpenAI's own client."""
    import openai

    client = openai.OpenAI(base_url=f"{base}/v1", api_key="k", max_retries=0)

    def texts() -> Iterator[str]:
        for chunk in client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True):
            yield chunk.choices[0].delta.content or ""

    return texts


def anthropic(base: str) -> Texts:
    """Anthropic's own client, with the events of its own format."""
    import anthropic

    client = anthropic.Anthropic(base_url=base, api_key="k", max_retries=0)

    def texts() -> Iterator[str]:
        stream = client.messages.create(model=MODEL, messages=MESSAGES, max_tokens=9, stream=True)
        for event in stream:
            if event.type == "content_block_delta" and event.delta.type == "text_delta":
                yield event.delta.text

    return texts


def httpx_sse(base: str) -> Texts:
    """httpx with httpx-sse, and json."""
    import httpx
    from httpx_sse import connect_sse

    client = httpx.Client(limits=httpx.Limits(max_connections=MANY), timeout=None)

    def texts() -> Iterator[str]:
        with connect_sse(client, "POST", chat_url(base), json=BODY) as source:
            for event in source.iter_sse():
                if event.data != "[DONE]":
                    yield text_of(event.data)

    return texts


def requests(base: str) -> Texts:
    """requests, and json."""
    import requests
    from requests.adapters import HTTPAdapter

    session = requests.Session()
    session.mount("http://", HTTPAdapter(pool_maxsize=MANY))

    def texts() -> Iterator[str]:
        with session.post(chat_url(base), json=BODY, stream=True) as response:
            yield from texts_of_lines(response.iter_lines())

    return texts


def niquests(base: str) -> Texts:
    """niquests, and json."""
    import niquests

    session = niquests.Session(pool_maxsize=MANY)

    def texts() -> Iterator[str]:
        with session.post(chat_url(base), json=BODY, stream=True) as response:
            yield from texts_of_lines(response.iter_lines())

    return texts


def curl_cffi(base: str) -> Texts:
    """curl_cffi, a session a thread, and json."""
    from curl_cffi import requests

    local = threading.local()  # a session streams from a few worker threads: too few for many

    def texts() -> Iterator[str]:
        if not hasattr(local, "session"):
            local.session = requests.Session()
        response = local.session.post(chat_url(base), json=BODY, stream=True)
        yield from texts_of_lines(response.iter_lines())
        response.close()

    return texts


def http_client(base: str) -> Texts:
    """The standard library, a connection a thread, and json."""
    import http.client

    host, _, path = base.removeprefix("http://").partition("/")
    local = threading.local()
    body = json.dumps(BODY)
    headers = {"Content-Type": "application/json"}

    def texts() -> Iterator[str]:
        if not hasattr(local, "connection"):
            local.connection = http.client.HTTPConnection(host)
        local.connection.request("POST", chat_url("/" + path), body, headers)
        response = local.connection.getresponse()
        yield from texts_of_lines(response)
        response.read()  # the end of the body: the connection can be used again

    return texts


def pycurl(base: str) -> Texts:
    """pycurl, a handle a thread, and orjson."""
    import orjson
    import pycurl

    body = json.dumps(BODY)
    local = threading.local()

    def easy() -> Any:
        if not hasattr(local, "easy"):
            local.easy = pycurl.Curl()
            local.easy.setopt(pycurl.URL, chat_url(base))
            local.easy.setopt(pycurl.POSTFIELDS, body)
            local.easy.setopt(pycurl.HTTPHEADER, ["Content-Type: application/json"])
        return local.easy

    def texts() -> Iterator[str]:
        pieces: list[str] = []
        rest = b""

        def on_body(body: bytes) -> None:
            nonlocal rest
            *lines, rest = (rest + body).split(b"\n")
            for line in lines:
                if line.startswith(b"data: ") and line != b"data: [DONE]":
                    pieces.append(text_of(line[6:], orjson.loads))

        easy().setopt(pycurl.WRITEFUNCTION, on_body)
        multi = pycurl.CurlMulti()
        multi.add_handle(easy())
        running = 1
        while running:
            _, running = multi.perform()
            yield from pieces
            pieces.clear()
            if running:
                multi.select(1.0)
        multi.remove_handle(easy())

    return texts


BAML = """
generator python {{
  output_type "python/pydantic"
  output_dir ".."
  version "{version}"
  default_client_mode "sync"
}}
client<llm> Server {{
  provider "openai-generic"
  options {{
    base_url "{url}"
    api_key "k"
    model "m"
  }}
}}
function Answer(text: string) -> string {{
  client Server
  prompt #"{{{{ text }}}}"#
}}
"""


def baml(base: str) -> Texts:
    """baml-py, by the client that its generator makes; each piece is the whole text so far."""
    os.environ["BAML_LOG"] = "off"
    folder = Path(tempfile.mkdtemp())
    version = importlib.metadata.version("baml-py")
    (folder / "baml_src").mkdir()
    source = folder / "baml_src" / "main.baml"
    source.write_text(BAML.format(version=version, url=f"{base}/v1"))
    generate = [str(Path(sys.executable).with_name("baml-cli")), "generate", "--from"]
    subprocess.run([*generate, str(folder / "baml_src")], check=True, capture_output=True)
    sys.path.insert(0, str(folder))
    from baml_client import b

    return lambda: iter(b.stream.Answer("Hi"))


SYNC: dict[str, Callable[[str], Texts]] = {
    "millstream": millstream,
    "millstream batches": millstream_batches,
    "openai": openai,
    "anthropic": anthropic,
    "httpx-sse + json": httpx_sse,
    "requests": requests,
    "niquests": niquests,
    "curl_cffi": curl_cffi,
    "pycurl + orjson": pycurl,
    "http.client": http_client,
    "baml-py": baml,
}


# ---- event loops ---------------------------------------------------------------------------------


def millstream_async(base: str) -> AsyncTexts:
    """This project."""
    import millstream

    client = millstream.AsyncClient(base_url=f"{base}/v1", api_key="k")
    return lambda: client.stream(model=MODEL, messages=MESSAGES).texts()


def openai_async(base: str) -> AsyncTexts:
    """OpenAI's own client."""
    import openai

    client = openai.AsyncOpenAI(base_url=f"{base}/v1", api_key="k", max_retries=0)

    async def texts() -> AsyncIterator[str]:
        stream = await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
        async for chunk in stream:
            yield chunk.choices[0].delta.content or ""

    return texts


def httpx_sse_async(base: str) -> AsyncTexts:
    """httpx with httpx-sse, and json."""
    import httpx
    from httpx_sse import aconnect_sse

    client = httpx.AsyncClient(limits=httpx.Limits(max_connections=MANY), timeout=None)

    async def texts() -> AsyncIterator[str]:
        async with aconnect_sse(client, "POST", chat_url(base), json=BODY) as source:
            async for event in source.aiter_sse():
                if event.data != "[DONE]":
                    yield text_of(event.data)

    return texts


def aiohttp(base: str) -> AsyncTexts:
    """aiohttp, and json."""
    import aiohttp

    session: aiohttp.ClientSession | None = None

    async def texts() -> AsyncIterator[str]:
        nonlocal session
        if session is None:  # it has to be made inside the loop
            session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout()
            )
        async with session.post(chat_url(base), json=BODY) as response:
            async for line in response.content:
                if line.startswith(b"data: ") and not line.startswith(b"data: [DONE]"):
                    yield text_of(line[6:])

    return texts


ASYNC: dict[str, Callable[[str], AsyncTexts]] = {
    "millstream": millstream_async,
    "openai": openai_async,
    "httpx-sse + json": httpx_sse_async,
    "aiohttp": aiohttp,
}
