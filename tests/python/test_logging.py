"""The log: off unless the logger "millstream" has a level; what it tells then, and no secrets."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

import millstream
from answers import DONE, chat, chunked
from conftest import Connect, Serve
from millstream import mock

AT_ONCE = {"retry-after-ms": "0"}
SECRET = "sk-secret-5d20aa"
PROMPT = [{"role": "user", "content": "the prompt, which nobody reads"}]
ANSWER = "the answer, neither"


def raw(**headers: str) -> mock.Raw:
    events = (chat(ANSWER), chat(finish="stop"), DONE)
    return mock.Raw(chunked(*events, Connection="close", **headers))


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG, "millstream"):
        yield caplog


def ask(client: millstream.Client) -> None:
    try:
        client.stream(model="m", messages=PROMPT).result()
    except millstream.Error:
        pass


def lines(log: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in log.records]


def test_an_answer_is_told_at_debug(
    serve: Serve, connect: Connect, log: pytest.LogCaptureFixture
) -> None:
    server = serve(raw(X_Request_Id="req-77"))
    ask(connect(server))
    assert {record.name for record in log.records} == {"millstream"}
    assert [level for level, _ in lines(log)] == ["DEBUG"] * 4
    request, head, first, end = (text.split(" ", 1)[1] for _, text in lines(log))
    assert request.startswith(f"POST {server.url}/chat/completions model=m headers={{")
    assert head.startswith("200 HTTP/1.1 after 0.")
    assert "request id req-77" in head
    assert first.startswith("first chunk after ")
    assert end.startswith("ok after ")
    assert end.endswith("chunks, request id req-77")
    assert len({vars(record)["millstream_call"] for record in log.records}) == 1
    assert vars(log.records[-1])["request_id"] == "req-77"


def test_retries_are_information_and_failures_warnings(
    serve: Serve, connect: Connect, log: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("millstream").setLevel(logging.INFO)
    script = [
        mock.Error(503, headers=AT_ONCE),
        mock.Error(429, headers={"x-request-id": "req-9"}),
    ]
    ask(connect(serve(script), max_retries=1, timeout=20))
    (info, retry), (warning, failure) = lines(log)
    assert (info, warning) == ("INFO", "WARNING")
    assert "retry 1 in 0.000 s: ServerError 503 after 0." in retry
    assert "failed after 0." in failure
    assert failure.partition(": ")[2].startswith("RateLimited 429")
    assert "request id req-9" in failure


def test_no_line_holds_a_secret_a_prompt_or_an_answer(
    serve: Serve, connect: Connect, log: pytest.LogCaptureFixture
) -> None:
    echo = mock.Error(401, f"Incorrect API key provided: {SECRET}")
    cookie = raw(Set_Cookie=f"id={SECRET}")
    server = serve([cookie, echo, mock.Answer(ANSWER, cut_after=1)])
    for _ in range(3):
        ask(
            connect(
                server.url.replace("//", f"//user:{SECRET}@"),
                api_key=None,
                headers={"Authorization": f"Bearer {SECRET}", "X-Api-Key": SECRET},
            )
        )
    assert len(log.records) == 3 * 4 - 1
    told = "".join(repr(vars(record)) + record.getMessage() for record in log.records)
    assert "Bearer ***" in told
    assert "'X-Api-Key': '***'" in told
    for word in (SECRET, "prompt", "answer,"):
        assert word not in told


def test_a_server_writes_no_line_of_its_own(
    serve: Serve, connect: Connect, log: pytest.LogCaptureFixture
) -> None:
    code = "a\nWARNING: all is well\x1b[2J\u2028\x9b"
    error = {"error": {"message": "m", "code": code}}
    body = json.dumps(error).encode()
    answer = mock.Replay(body, status=400, headers={"Content-Type": "application/json"})
    ask(connect(serve(answer), max_retries=0))
    level, line = lines(log)[-1]
    assert level == "WARNING"
    assert line.endswith(r"BadRequest 400 a WARNING: all is well [2J\u2028\x9b")
    assert all(text.isprintable() for _, text in lines(log))


def test_it_is_off_while_only_the_root_has_a_level(
    serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        stream = connect(serve("a")).stream(model="m", messages=PROMPT)
        stream.result()
    assert type(stream) is millstream.Stream
    assert not [record for record in caplog.records if record.name == "millstream"]


def test_without_it_logging_is_not_imported() -> None:
    program = (
        "import sys, millstream\n"
        "client = millstream.Client(base_url='http://127.0.0.1:1', api_key='k', max_retries=0)\n"
        "stream = client.stream(model='m', messages=[])\n"
        "stream.close()\n"
        "assert 'logging' not in sys.modules and 'millstream.hooks' not in sys.modules\n"
    )
    isolated = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path = {sys.path!r}; {program}"]
    subprocess.run(isolated, check=True, timeout=60)
