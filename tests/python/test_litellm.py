"""The client against the LiteLLM proxy, a server that this project did not write."""

import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

import litellm_proxy
import millstream
from litellm_proxy import ANSWER, API_KEY, Proxy
from millstream import mock

MESSAGES = [{"role": "user", "content": "Hi"}]


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("litellm")
    try:
        with mock.Server() as upstream, litellm_proxy.running(folder, upstream) as proxy:
            yield proxy
    except litellm_proxy.Unavailable as reason:
        if litellm_proxy.CI:
            raise
        pytest.skip(str(reason))


@pytest.fixture
def client(proxy: Proxy) -> Iterator[millstream.Client]:
    with millstream.Client(base_url=proxy.base_url, api_key=API_KEY, max_retries=0) as client:
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
