"""`millstream chat`: in a pipe and in a terminal, once and in a conversation."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from answers import GIVE_UP_S, eventually
from command_line import Terminal, environment, run
from conftest import API_KEY, Serve, Start
from millstream import mock
from millstream._cli._show import whole_blocks

ESCAPE = "\x1b"
STYLE = re.compile(r"\x1b\[[\d;]*m")

Chat = Callable[..., tuple[int, str, str]]


def options(server: mock.Server | str, model: str = "m") -> list[str]:
    url = server if isinstance(server, str) else server.url
    return ["chat", "--base-url", url, "--model", model]


def chat(server: mock.Server | str, *arguments: str, **more: Any) -> tuple[int, str, str]:
    return run(*options(server), *arguments, **more)


def bodies(server: mock.Server) -> list[Any]:
    return [request.json() for request in server.requests]


def refused() -> str:
    """A URL where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return f"http://127.0.0.1:{closed.getsockname()[1]}/v1"


# ---- in a pipe -----------------------------------------------------------------------------------


def test_the_answer_alone_is_on_standard_output(serve: Serve) -> None:
    server = serve(mock.Answer("**Hi** there. \x1b[1m", usage=mock.Usage(3, 4)))
    code, out, err = chat(server, "Say", "hi")
    assert (code, out) == (0, "**Hi** there. \x1b[1m\n")
    assert re.fullmatch(
        r"m · stop · 3 tokens in, 4 out · first chunk after [\d.]+ s · [\d.]+ s\n", err
    )
    assert chat(server, "-q", "Say hi")[2] == ""
    assert bodies(server)[0]["messages"] == [{"role": "user", "content": "Say hi"}]


def test_the_question_may_come_by_a_pipe(serve: Serve) -> None:
    server = serve("Yes.")
    chat(server, input="Grüße\nline two\n".encode())
    chat(server, "Explain:", "-", input=b"\xff\n")
    questions = [body["messages"][0]["content"] for body in bodies(server)]
    assert questions == ["Grüße\nline two", "Explain: \N{REPLACEMENT CHARACTER}"]


def test_what_is_given_is_asked(serve: Serve) -> None:
    server = serve("x", api_key=API_KEY)
    code, _, err = chat(
        server, "--api-key", API_KEY, "--system", "Be brief.", "-p", "temperature=0.5", "-p",
        "max_tokens=7", "-p", 'metadata={"a": [1]}', "-p", "user=me", "Hi",
    )  # fmt: skip
    assert code == 0, err
    (body,) = bodies(server)
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    given = {name: body[name] for name in ("temperature", "max_tokens", "metadata", "user")}
    assert given == {"temperature": 0.5, "max_tokens": 7, "metadata": {"a": [1]}, "user": "me"}


def test_any_provider_and_its_key_by_the_environment(serve: Serve) -> None:
    server = serve("From a dialect.", api_key=API_KEY)
    for name, variable in (("anthropic", "ANTHROPIC_API_KEY"), ("gemini", "GOOGLE_API_KEY")):
        env = environment(
            MILLSTREAM_PROVIDER=name, MILLSTREAM_MODEL="m",
            MILLSTREAM_BASE_URL=server.base_url(name), **{variable: API_KEY},
        )  # fmt: skip
        assert run("chat", "Hi", env=env)[:2] == (0, "From a dialect.\n")
    url = server.base_url("bedrock")
    keys = ["-o", "region=eu-west-1", "-o", f"aws_access_key_id={API_KEY}",
            "-o", "aws_secret_access_key=s"]  # fmt: skip
    found = run("chat", "-P", "bedrock", "--base-url", url, "-m", "m", *keys, "Hi")
    assert found[:2] == (0, "From a dialect.\n")


def test_a_line_of_json_for_each_chunk(serve: Serve) -> None:
    call = mock.ToolCall("look", {"a": 1}, id="c1")
    answer = mock.Answer("a b", reasoning="Hm.", tool_calls=[call], usage=mock.Usage(1, 2))
    code, out, _ = chat(serve(answer), "--json", "Hi")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert {"type": "text", "text": "a"} in lines
    assert {"type": "text", "text": " b"} in lines
    assert "".join(line.get("reasoning", "") for line in lines) == "Hm."
    calls = [line["tool_call"] for line in lines if line["type"] == "tool_call"]
    assert (calls[0]["id"], calls[0]["name"]) == ("c1", "look")
    assert json.loads("".join(call["arguments"] for call in calls)) == {"a": 1}
    (finish,) = (line for line in lines if line["type"] == "finish")
    assert finish["finish_reason"] == "tool_calls"
    (usage,) = (line["usage"] for line in lines if line["type"] == "usage")
    assert (usage["input_tokens"], usage["output_tokens"]) == (1, 2)


def test_the_events_as_they_came(serve: Serve) -> None:
    code, out, _ = chat(serve("a b"), "--raw", "Hi")
    assert code == 0
    assert out.startswith('data: {"id":"chatcmpl-')
    assert out.endswith("data: [DONE]\n\n")


def test_what_is_not_text(serve: Serve) -> None:
    """Reasoning and tool calls are told beside the answer, a refusal is the answer."""
    call = mock.ToolCall("look", {"a": 1})
    server = serve([mock.Answer("Yes.", reasoning="Hm, so."), mock.Answer(tool_calls=[call]),
                    mock.Answer(refusal="No."), mock.Answer("Yes.", reasoning="Hm.")])  # fmt: skip
    code, out, err = chat(server, "--reasoning", "-q", "Hi")
    assert (code, out, err) == (0, "Yes.\n", "Hm, so.\n")
    assert chat(server, "-q", "Hi") == (0, "", 'calls look({"a": 1})\n')
    assert chat(server, "-q", "Hi") == (0, "No.\n", "")
    assert chat(server, "-q", "Hi") == (0, "Yes.\n", "")


@pytest.mark.parametrize("form", [[], ["--json"], ["--raw"]])
def test_a_piece_is_there_before_the_next(serve: Serve, start: Start, form: list[str]) -> None:
    gate = mock.Gate()
    server = serve(mock.Answer(["first\n", gate, "second"]))
    process = start(*options(server), *form, "Hi", stdin=subprocess.DEVNULL)
    assert process.stdout is not None
    while b"first" not in process.stdout.readline():
        pass
    gate.open()
    assert b"second" in process.communicate(timeout=GIVE_UP_S)[0]


# ---- how it ends ---------------------------------------------------------------------------------

ENDS = {
    "bad key": (mock.Error(401), 4, "401"),
    "forbidden": (mock.Error(403), 4, "403"),
    "too many": (mock.Error(429, headers={"Retry-After": "3600"}), 5, "429"),
    "no such model": (mock.Error(404), 1, "404"),
    "error in the stream": (mock.Answer("a b", error="oops"), 1, "oops"),
    "cut": (mock.Answer("a b c", cut_after=3), 1, "broke before the end"),
    "too late": (mock.Answer(["a", mock.Gate()]), 6, "time"),
}


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("where", ["pipe", "terminal"])
def test_each_end_has_its_exit_code(serve: Serve, name: str, where: str) -> None:
    script, expected, said = ENDS[name]
    limit = ["--timeout", "1"] if name == "too late" else []
    came = "a b" if name in ("error in the stream", "cut") else ""
    arguments = [*options(serve(script)), "--api-key", API_KEY, *limit, "Hi"]
    if where == "pipe":
        code, out, err = run(*arguments)
        assert out == (f"{came}\n" if came else "") or name == "too late"
    else:
        with Terminal(*arguments) as terminal:
            code, err = terminal.end()
        assert came in STYLE.sub("", err)
    assert code == expected, err
    assert said in err
    assert "millstream: " in err
    assert "Traceback" not in err
    assert API_KEY not in err


@pytest.mark.parametrize("where", ["pipe", "terminal"])
def test_no_network_is_3(where: str) -> None:
    if where == "pipe":
        code, out, err = chat(refused(), "-q", "Hi")
        assert out == ""
    else:
        with Terminal(*options(refused()), "Hi") as terminal:
            code, err = terminal.end()
    assert code == 3
    assert "no connection" in err
    assert "Traceback" not in err


def test_a_key_that_is_missing_is_4() -> None:
    code, out, err = run("chat", "-m", "m", "Hi")
    assert (code, out) == (4, "")
    assert "OPENAI_API_KEY" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["chat", "Hi"],
        ["chat", "-m", "m", "-P", "nobody", "Hi"],
        ["chat", "-m", "m", "--base-url", "ftp://h", "Hi"],
        ["chat", "-m", "m", "-p", "temperature", "Hi"],
        ["chat", "-m", "m", "-p", "model=x", "Hi"],
        ["chat", "-m", "m", "-o", "planet=mars", "Hi"],
        ["chat", "-m", "m", "--base-url", "http://h", "-p", "stop=5", "-P", "anthropic", "Hi"],
        ["chat", "-m", "m", "--timeout", "0", "Hi"],
    ],
)
def test_wrong_arguments_are_2(arguments: list[str]) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert "Usage: millstream chat" in err
    assert "Traceback" not in err


def test_ctrl_c_in_a_pipe(serve: Serve, start: Start) -> None:
    server = serve(mock.Answer(["first\n", mock.Gate()]))
    process = start(*options(server), "Hi", stdin=subprocess.DEVNULL)
    assert process.stdout is not None
    assert process.stdout.readline() == b"first\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=GIVE_UP_S)
    assert (process.returncode, out.strip(), err.strip()) == (130, b"", b"")
    assert server.wait_disconnected()


def test_ctrl_c_in_a_terminal(serve: Serve) -> None:
    server = serve(mock.Answer(["first", mock.Gate()]))
    with Terminal(*options(server), "Hi") as terminal:
        terminal.until("first")
        terminal.type("\x03")
        code, rest = terminal.end()
    assert code == 130
    assert "Traceback" not in rest
    assert "\x1b[?25h" in rest  # the cursor is there again
    assert server.wait_disconnected()


def test_a_closed_pipe_is_141(serve: Serve, start: Start) -> None:
    gate = mock.Gate()
    server = serve(mock.Answer(["first\n", gate, *["more"] * 50, mock.Gate()]))
    process = start(*options(server), "Hi", stdin=subprocess.DEVNULL)
    assert process.stdout is not None
    assert process.stdout.readline() == b"first\n"
    process.stdout.close()
    gate.open()
    assert process.wait(GIVE_UP_S) == 141
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert server.wait_disconnected()


# ---- in a terminal -------------------------------------------------------------------------------

PAGE = "# Title\n\nSome **bold** text\n\n```python\nx = 1\n\ny = 2\n```\n\nThe end."


def test_markdown_grows_on_a_terminal(serve: Serve) -> None:
    gate = mock.Gate()
    server = serve(mock.Answer([PAGE[:30], gate, PAGE[30:]]))
    with Terminal(*options(server), "Hi") as terminal:
        terminal.until("Title")
        terminal.until("Some")
        gate.open()
        code, rest = terminal.end()
    assert code == 0
    assert "\x1b[1mbold" in rest
    assert "```" not in STYLE.sub("", rest)
    assert "The end." in rest
    assert rest.count("tokens in") == 1


def test_no_colour_where_none_is_wanted(serve: Serve) -> None:
    server = serve(mock.Answer(PAGE, reasoning="Hm."))
    with Terminal(*options(server), "--reasoning", "Hi", NO_COLOR="1") as terminal:
        code, said = terminal.end()
    assert (code, STYLE.findall(said)) == (0, [])
    assert "bold" in said
    with Terminal(*options(server), "--reasoning", "Hi", TERM="dumb") as terminal:
        code, said = terminal.end()
    assert (code, ESCAPE in said) == (0, False)
    assert "**bold**" in said
    assert ESCAPE not in "".join(chat(server, "--reasoning", "Hi")[1:])


def test_plain_text_on_a_terminal(serve: Serve) -> None:
    with Terminal(*options(serve(PAGE)), "--plain", "-q", "Hi") as terminal:
        assert terminal.end() == (0, PAGE + "\n")


@pytest.mark.parametrize("form", [[], ["--plain"], ["--raw"]])
def test_a_server_does_not_command_the_terminal(serve: Serve, form: list[str]) -> None:
    bad = "\x1b]0;owned\x07 \x1b[2J \x9b31m"
    server = serve(mock.Answer([bad], reasoning=[bad], tool_calls=[mock.ToolCall(bad, "{}")]))
    with Terminal(*options(server), "--reasoning", *form, "Hi") as terminal:
        code, said = terminal.end()
    assert code == 0
    assert "owned" in said
    for command in ("\x1b]", "\x1b[2J", "\x9b", "\x07"):
        assert command not in said


def test_reasoning_is_folded_or_shown(serve: Serve) -> None:
    gate = mock.Gate()
    answer = mock.Answer("So.\n\nAnd so.", reasoning=["one two three", gate])
    with Terminal(*options(serve(answer)), "Hi") as terminal:
        terminal.until("thought for")
        gate.open()
        code, said = terminal.end()
    assert code == 0
    assert re.search(r"thought for [\d.]+ s, 3 words", said)
    assert said.rindex("thought for") < said.rindex("So.") < said.rindex("And so.")
    assert "one two three" not in said
    with Terminal(*options(serve(answer)), "--reasoning", "Hi") as terminal:
        terminal.until("one two three")
        assert terminal.end()[0] == 0


# ---- a conversation ------------------------------------------------------------------------------


def test_a_conversation_remembers(serve: Serve) -> None:
    server = serve(["One.", "Two."])
    with Terminal(*options(server), "--plain") as terminal:
        terminal.until("> ")
        terminal.type("first\n")
        terminal.until("One.")
        terminal.until("> ")
        terminal.type("\n")
        terminal.until("> ")
        terminal.type("second\n")
        terminal.until("Two.")
        terminal.until("> ")
        terminal.type("\x04")
        assert terminal.end()[0] == 0
    said = [(m["role"], m["content"]) for m in bodies(server)[1]["messages"]]
    assert said == [("user", "first"), ("assistant", "One."), ("user", "second")]


def test_ctrl_c_stops_the_answer_and_then_the_conversation(serve: Serve) -> None:
    server = serve([mock.Answer(["begins", mock.Gate()]), "Two."])
    with Terminal(*options(server)) as terminal:
        terminal.until("> ")
        terminal.type("first\n")
        terminal.until("begins")
        terminal.type("\x03")
        terminal.until("stopped")
        assert server.wait_disconnected()
        terminal.until("> ")
        terminal.type("second\n")
        terminal.until("Two.")
        terminal.until("> ")
        terminal.until_it_reads()
        terminal.type("\x03")
        code, rest = terminal.end()
    assert code == 130
    assert "Traceback" not in rest
    (message,) = bodies(server)[1]["messages"]
    assert message["content"] == "second"


def test_an_error_is_told_and_the_conversation_goes_on(serve: Serve) -> None:
    server = serve([mock.Error(401), "Yes.", mock.Error(403)])
    with Terminal(*options(server), "--plain") as terminal:
        for said in ("401", "Yes.", "403"):
            terminal.until("> ")
            terminal.type("question\n")
            terminal.until(said)
        terminal.until("> ")
        terminal.type("\x04")
        assert terminal.end()[0] == 4  # of the last question
    assert len(bodies(server)[2]["messages"]) == 3


def test_a_question_is_wanted_where_nobody_can_be_asked(start: Start) -> None:
    ours, theirs = os.openpty()
    try:
        process = start(*options("http://h/v1"), stdin=theirs)
        out, err = process.communicate(timeout=GIVE_UP_S)
    finally:
        os.close(ours)
        os.close(theirs)
    assert (process.returncode, out) == (2, b"")
    assert b"PROMPT" in err


# ---- Markdown in blocks --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("a\nb", ""),
        ("a\n\n", ""),
        ("a\n\nb", "a"),
        ("a\n\nb\n\nc", "a\n\nb"),
        ("- a\n\n- b\n\n  more\n\nend", "- a\n\n- b\n\n  more"),
        ("1. a\n\n2. b", ""),
        ("a\n\n    code", ""),
        ("```\na\n\nb", ""),
        ("```\na\n\nb\n```\n\nc", "```\na\n\nb\n```"),
        ("~~~~\n```\n\n~~~\n\n~~~~\n\nc", "~~~~\n```\n\n~~~\n\n~~~~"),
        ("``` a\n\n``` b\n\nc", ""),
    ],
)
def test_what_can_change_no_more(text: str, whole: str) -> None:
    assert whole_blocks(text)[0] == whole
    assert "".join(whole_blocks(text)).replace("\n", "") == text.replace("\n", "")


def test_a_long_block_is_drawn_as_far_as_the_terminal_goes(serve: Serve) -> None:
    gate = mock.Gate()
    lines = [f"line {number}\n" for number in range(200)]
    server = serve(mock.Answer(["```\n", *lines, gate, "```\n"]))
    with Terminal(*options(server), "Hi") as terminal:
        terminal.until("line 199")  # its end, while it grows
        gate.open()
        code, rest = terminal.end()
    assert code == 0
    assert "line 0" in rest
    assert eventually(lambda: server.connections.open == 0)


def test_no_file_is_written(serve: Serve, tmp_path: Path) -> None:
    assert chat(serve("x"), "Hi", cwd=tmp_path)[0] == 0
    assert list(tmp_path.iterdir()) == []
