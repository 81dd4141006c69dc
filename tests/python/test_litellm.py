"""The client against the LiteLLM proxy, a server that this project did not write."""

import http.client
import json
from collections.abc import Iterator
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest

import litellm_proxy
import millstream
from litellm_proxy import ANSWER, API_KEY, Proxy
from millstream import mock

MESSAGES = [{"role": "user", "content": "Hi"}]


# Of a model that it does not know the proxy asks a whole answer, and makes a stream of that.
KNOWN = "gpt-4o-mini"
WORDS = [f"word{number} " for number in range(20)]


class BackEnd:
    """The server behind the proxy: it says what the model's name says, or what a test gives it."""

    def __init__(self) -> None:
        self.says: mock.Answer | None = None
        self.server = mock.Server(lambda _: self.says)


@pytest.fixture(scope="module")
def server_behind() -> BackEnd:
    return BackEnd()


@pytest.fixture
def back_end(server_behind: BackEnd) -> Iterator[BackEnd]:
    yield server_behind
    server_behind.says = None


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, server_behind: BackEnd) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("litellm")
    try:
        with server_behind.server as url, litellm_proxy.running(folder, url) as proxy:
            yield proxy
    except litellm_proxy.Unavailable as reason:
        if litellm_proxy.CI:
            raise
        pytest.skip(str(reason))


@pytest.fixture
def client(proxy: Proxy) -> Iterator[millstream.Client]:
    with millstream.Client(base_url=proxy.base_url, api_key=API_KEY, max_retries=0) as client:
        yield client


@pytest.fixture(params=["openai", "anthropic", "openai-responses"])
def any_client(proxy: Proxy, request: pytest.FixtureRequest) -> Iterator[millstream.Client]:
    """One for each of /v1/chat/completions, /v1/messages and /v1/responses."""
    with millstream.Client(
        request.param, base_url=proxy.base_url, api_key=API_KEY, max_retries=0
    ) as client:
        yield client


def plain_stream(proxy: Proxy, model: str) -> list[str]:
    """The data lines of an answer, as the standard library reads them."""
    url = urlsplit(proxy.base_url)
    assert url.hostname is not None
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
    body = {"model": model, "messages": MESSAGES, "stream": True}
    headers = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"}
    try:
        connection.request("POST", f"{url.path}/chat/completions", json.dumps(body), headers)
        response = connection.getresponse()
        assert response.status == 200
        lines = response.read().decode().split("\n")
    finally:
        connection.close()
    return [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]


def test_the_proxy_streams_to_the_standard_library(proxy: Proxy) -> None:
    *chunks, last = plain_stream(proxy, "mock")
    assert last == "[DONE]"
    deltas: list[dict[str, Any]] = [json.loads(chunk)["choices"][0]["delta"] for chunk in chunks]
    pieces = [delta["content"] for delta in deltas if delta.get("content")]
    assert "".join(pieces) == ANSWER
    assert len(pieces) > 1


def test_a_mock_answer_arrives_whole(client: millstream.Client) -> None:
    with client.stream(model="mock", messages=MESSAGES) as stream:
        pieces = [chunk.text for chunk in stream if chunk.type == "text"]
    assert "".join(pieces) == ANSWER
    assert len(pieces) > 1
    assert stream.message.text == ANSWER
    assert stream.message.finish_reason == "stop"
    assert stream.response.status == 200
    assert stream.message.usage is not None
    assert (stream.message.usage.output_tokens or 0) > 0


def test_a_connection_serves_answer_after_answer(client: millstream.Client) -> None:
    for _ in range(5):
        assert "".join(client.stream(model="mock", messages=MESSAGES).texts()) == ANSWER


def test_many_answers_at_once(client: millstream.Client) -> None:
    streams = [client.stream(model="mock", messages=MESSAGES) for _ in range(20)]
    assert [stream.result().text for stream in streams] == [ANSWER] * 20


def test_a_rate_limit_is_named(client: millstream.Client) -> None:
    with pytest.raises(millstream.RateLimited) as caught:
        client.stream(model="rate-limited", messages=MESSAGES).result()
    assert caught.value.status == 429


def test_an_unknown_model_is_named(client: millstream.Client) -> None:
    with pytest.raises(millstream.BadRequest) as caught:
        client.stream(model="no-such-model", messages=MESSAGES).result()
    assert caught.value.status == 400
    assert "no-such-model" in str(caught.value)


def test_an_answer_can_be_left_early(client: millstream.Client) -> None:
    with client.stream(model="mock", messages=MESSAGES) as stream:
        for chunk in stream:
            if chunk.text:
                break
    assert client.stream(model="mock", messages=MESSAGES).result().text == ANSWER


def test_tool_calls_pass_through_the_proxy(client: millstream.Client) -> None:
    message = client.stream(model="upstream/mock-tools", messages=MESSAGES).result()
    (call,) = message.tool_calls
    assert call.name == "get_weather"
    assert isinstance(json.loads(call.arguments), dict)
    assert message.finish_reason == "tool_calls"


def test_reasoning_and_usage_pass_through_the_proxy(client: millstream.Client) -> None:
    message = client.stream(model="upstream/mock-reasoning", messages=MESSAGES).result()
    assert message.reasoning
    assert message.text
    assert message.usage is not None
    assert (message.usage.reasoning_tokens or 0) > 0


def test_a_back_end_that_fails_late_is_named_after_its_chunks(client: millstream.Client) -> None:
    pieces: list[str] = []
    with (
        client.stream(model="upstream/mock-stream-error", messages=MESSAGES) as stream,
        pytest.raises((millstream.ProviderError, millstream.ServerError)) as caught,
    ):
        pieces.extend(stream.texts())
    assert pieces
    assert "The model stopped" in str(caught.value)
    assert caught.value.message is not None
    assert caught.value.message.text == "".join(pieces)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, millstream.AuthenticationError),
        (429, millstream.RateLimited),
        (503, millstream.ServerError),
    ],
)
def test_a_back_end_that_refuses_is_named(
    client: millstream.Client, status: int, error: type[millstream.StatusError]
) -> None:
    with pytest.raises(error) as caught:
        client.stream(model=f"upstream/mock-error-{status}", messages=MESSAGES).result()
    assert caught.value.status == status


# ---- the three endpoints -------------------------------------------------------------------------


def test_an_answer_passes_through_every_endpoint(any_client: millstream.Client) -> None:
    message = any_client.stream(model="upstream/mock", messages=MESSAGES).result()
    assert message.text.startswith('You said: "Hi"')
    assert message.text.endswith(".")
    assert message.finish_reason == "stop"
    assert message.usage is not None
    assert (message.usage.input_tokens or 0) > 0
    assert (message.usage.output_tokens or 0) > 50


def test_tool_calls_pass_through_every_endpoint(any_client: millstream.Client) -> None:
    message = any_client.stream(model="upstream/mock-tools", messages=MESSAGES).result()
    (call,) = message.tool_calls
    assert call.id
    assert (call.name, json.loads(call.arguments)) == (
        "get_weather",
        {"city": "Paris", "unit": "celsius"},
    )
    assert message.finish_reason == "tool_calls"


def test_every_endpoint_streams(any_client: millstream.Client, back_end: BackEnd) -> None:
    """What came is there while the back end waits; no character of it is changed."""
    gate = mock.Gate()
    back_end.says = mock.Answer([*WORDS, gate, ANSWER], usage=mock.Usage(11, 7))
    with any_client.stream(model=f"upstream/{KNOWN}", messages=MESSAGES) as stream:
        assert next(stream.texts())
        gate.open()
        message = stream.result()
    assert message.text == "".join(WORDS) + ANSWER
    assert message.usage is not None
    assert message.usage[:2] == (11, 7)


FAILED = (millstream.StreamInterrupted, millstream.ProviderError)


@pytest.mark.parametrize("model", ["mock-cut", "mock-reset"])
def test_a_back_end_that_is_cut_at_once_is_never_a_success(
    any_client: millstream.Client, model: str
) -> None:
    """The proxy has heard of the end before it begins to answer: mostly it is a status 500."""
    with pytest.raises((*FAILED, millstream.ServerError)) as caught:
        any_client.stream(model=f"upstream/{model}", messages=MESSAGES).result()
    assert caught.value.message is not None
    assert caught.value.message.finish_reason is None


def cut_while_read(
    client: millstream.Client, back_end: BackEnd, cut: Literal["close", "reset", "end"]
) -> millstream.Stream:
    """A stream whose back end is cut after the client has some of the text."""
    gate = mock.Gate()
    back_end.says = mock.Answer([*WORDS[:10], gate, *WORDS[10:]], cut_after=15, cut=cut)
    stream = client.stream(model=f"upstream/{KNOWN}", messages=MESSAGES)
    assert next(stream.texts())
    gate.open()
    return stream


@pytest.mark.parametrize("cut", ["close", "reset"])
def test_a_back_end_that_is_cut_in_the_middle_is_never_a_success(
    any_client: millstream.Client, back_end: BackEnd, cut: Literal["close", "reset"]
) -> None:
    stream = cut_while_read(any_client, back_end, cut)
    with pytest.raises(FAILED) as caught:
        stream.result()
    assert caught.value.message == stream.message
    assert stream.message.text
    assert "".join(WORDS[:14]).startswith(stream.message.text)


@pytest.mark.parametrize("provider", ["anthropic", "openai-responses"])
def test_a_back_end_that_ends_without_its_terminator(
    proxy: Proxy, back_end: BackEnd, provider: str
) -> None:
    client = millstream.Client(provider, base_url=proxy.base_url, api_key=API_KEY, max_retries=0)
    stream = cut_while_read(client, back_end, "end")
    with pytest.raises(FAILED, match="before any terminal event"):
        stream.result()
    assert "".join(WORDS[:14]).startswith(stream.message.text)


def test_the_proxy_hides_a_missing_terminator_on_the_chat(
    client: millstream.Client, back_end: BackEnd
) -> None:
    """It makes up a chunk with finish_reason "stop" and [DONE]: on the wire the answer is whole."""
    stream = cut_while_read(client, back_end, "end")
    events = list(stream.events())
    assert events[-1].data == "[DONE]"
    finishes = [e.json()["choices"][0].get("finish_reason") for e in events[:-1]]
    assert "stop" in finishes
    assert stream.result().text == "".join(WORDS[:14])
