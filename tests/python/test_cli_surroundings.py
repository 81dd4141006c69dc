"""The command line where its surroundings are poor: streams closed, no network, odd terminals."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from answers import GIVE_UP_S
from command_line import COMMAND, OWN_TERMINAL, Terminal, environment, run, until_asleep
from conftest import API_KEY, Connect, Serve, Start
from listener import feed
from millstream import mock, testing
from test_cli_chat import STYLE, bodies, options
from test_cli_tools import installed

WORDS = "Words, as they come."


def shell(script: str, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """What `sh` makes of the script; in it `"$@"` is `millstream ARGUMENTS`."""
    given = {"env": environment(), "stdin": subprocess.DEVNULL, **more}
    return subprocess.run(
        ["sh", "-c", script, "sh", *COMMAND, *arguments], capture_output=True, text=True,
        timeout=GIVE_UP_S, check=False, **given,
    )  # fmt: skip


# ---- standard streams ----------------------------------------------------------------------------


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_an_empty_one(serve: Serve, closed: str) -> None:
    server = serve(WORDS)
    done = shell(f'"$@" {closed}', *options(server), "Hi")
    assert done.returncode == 0
    assert done.stdout == ("" if ">&- " in f"{closed} ".replace("2>&-", "") else WORDS + "\n")
    assert "Traceback" not in done.stderr
    assert shell(f'"$@" {closed}', *options(server)).returncode == 0
    assert [body["messages"][0]["content"] for body in bodies(server)] == ["Hi", ""]
    assert shell(f'"$@" {closed}', "doctor", "--json").stderr == ""


def test_a_closed_standard_input_ends_a_server() -> None:
    """It is not the next socket that is waited for."""
    done = shell('"$@" <&-', "mock", "--until-stdin-closes")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_disk_is_an_error_of_a_file(serve: Serve) -> None:
    for arguments in ([*options(serve(WORDS)), "-q", "Hi"], ["--help"], ["completion", "zsh"]):
        done = shell('"$@" >/dev/full', *arguments)
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert line.startswith("millstream: ")
        assert "No space left" in line


ALL = {
    "--help": ["--help"],
    "--version": ["--version"],
    "chat --help": ["chat", "--help"],
    "chat": ["chat", "-q", "-m", "m", "--base-url", "URL/v1", "Hi"],
    "chat --json": ["chat", "-q", "-m", "m", "--base-url", "URL/v1", "--json", "Hi"],
    "chat --raw": ["chat", "-q", "-m", "m", "--base-url", "URL/v1", "--raw", "Hi"],
    "events": ["events", "--no-reconnect", "FEED"],
    "record": ["record", "--to", "TO", "--upstream", "URL/v1"],
    "replay": ["replay", "/dev/null"],
    "bench": ["bench", "-n", "1", "-r", "1", "-m", "m", "--base-url", "URL/v1"],
    "bulk": ["bulk", "QUESTIONS", "-o", "-", "-m", "m", "--base-url", "URL/v1"],
    "doctor": ["doctor"],
    "demo": ["demo", "--pace", "0"],
    "completion": ["completion", "bash"],
}


def questions(folder: Path) -> str:
    """A file of one, for bulk."""
    path = folder / "questions"
    path.write_text('{"prompt": "Hi"}\n')
    return str(path)


@pytest.mark.parametrize("name", ALL)
def test_where_nobody_reads_from_the_beginning_it_is_141(
    serve: Serve, tmp_path: Path, name: str
) -> None:
    feeding = serve(feed(b"data: x\n\n"))
    places = {"URL/v1": serve(WORDS).url, "FEED": feeding.origin, "TO": str(tmp_path / "to")}
    places["QUESTIONS"] = questions(tmp_path)
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*COMMAND, *(places.get(word, word) for word in ALL[name])], stdout=writing,
            stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env=environment(), check=False,
            timeout=GIVE_UP_S,
        )  # fmt: skip
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


# ---- arguments -----------------------------------------------------------------------------------


def test_bytes_that_are_no_utf_8_are_asked_as_such(serve: Serve) -> None:
    server = serve(WORDS)
    words = [b"caf\xe9", "Grün".encode()]
    for env in ({}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}):
        arguments = [*map(os.fsencode, [*COMMAND, *options(server), "-s"]), words[0], *words]
        done = subprocess.run(
            arguments, env=environment(**env), stdin=subprocess.DEVNULL, capture_output=True,
            timeout=GIVE_UP_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        asked = bodies(server)[-1]["messages"]
        assert [message["content"] for message in asked] == ["caf\ufffd", "caf\ufffd Grün"]


def test_what_is_typed_in_another_encoding_does_not_end_the_conversation(serve: Serve) -> None:
    """readline leaves such bytes out; where there is none, they come."""
    server = serve("One.")
    no_readline = [*COMMAND[:2], "import sys; sys.modules['readline'] = None\n" + COMMAND[2]]
    with Terminal(
        *options(server), "--plain", command=no_readline, PYTHONIOENCODING="utf-8:strict"
    ) as terminal:
        terminal.until("> ")
        terminal.type_bytes(b"caf\xe9 x\n")
        terminal.until("One.")
        terminal.until("> ")
        terminal.type("\x04")
        assert terminal.end()[0] == 0
    assert bodies(server)[0]["messages"][0]["content"] == "caf\ufffd x"


@pytest.mark.parametrize("url", ["", "example.org/feed", "//example.org/feed"])
def test_an_address_that_is_none_is_2(url: str) -> None:
    """A path would be one of a server that there is not, asked for again and again."""
    code, out, err = run("events", url)
    assert (code, out) == (2, "")
    assert "http://" in err


def test_json_that_is_too_deep_is_a_text(serve: Serve) -> None:
    server = serve(WORDS)
    deep = "[" * 50_000
    assert run(*options(server), "-p", f"user={deep}", "Hi")[0] == 0
    assert bodies(server)[0]["user"] == deep


def test_a_speed_that_is_no_number_is_2() -> None:
    assert run("replay", "/dev/null", "--speed", "nan")[0] == 2
    assert run("demo", "--web", "--port", "65536")[0] == 2


@pytest.mark.parametrize("content", [b"\x7fELF\xd0\xff", b"[" * 100_000])
def test_what_is_far_from_a_cassette_names_its_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c"
    path.write_bytes(b"\n" + content)
    path.write_bytes(content + b"\n")
    with pytest.raises(testing.CassetteError, match="line 1"):
        testing.read(path)
    assert run("replay", str(path))[0] == 1


# ---- terminals -----------------------------------------------------------------------------------

SIZES = [(1, 1), (0, 0), (2, 5), (24, 3), (500, 500)]


@pytest.mark.parametrize("term", ["xterm", "vt100", "dumb", "unknown", "nonsense", ""])
def test_a_terminal_of_any_kind_and_size_gets_the_answer(serve: Serve, term: str) -> None:
    gate = mock.Gate()
    gate.open()
    answer = mock.Answer(["# One\n\n", "two ", gate, "three\n\n```\nfour\n```\n"], reasoning="Hm.")
    server = serve(answer)
    for size in SIZES:
        with Terminal(
            *options(server), "Hi", size=size, TERM=term, COLUMNS="", LINES=""
        ) as terminal:
            code, said = terminal.end()
        assert code == 0, said
        assert "Traceback" not in said
        letters = "".join(STYLE.sub("", said).split())
        assert "four" in letters or size[1] < 5  # of a narrow one some are cut off


def test_a_terminal_whose_kind_is_not_told(serve: Serve) -> None:
    command = ["env", "-u", "TERM", *COMMAND]
    with Terminal(*options(serve("**Hi**")), "-q", "Hi", command=command) as terminal:
        assert terminal.end() == (0, "**Hi**\n")


def test_megabytes_in_a_pipe_are_whole(serve: Serve) -> None:
    words = [f"{number} " * 5_000 for number in range(200)]
    code, out, _ = run(*options(serve(mock.Answer(words))), "Hi")
    assert code == 0
    assert out.rstrip() == "".join(words).rstrip()


# ---- Ctrl-C --------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["pipe", "terminal"])
def test_ctrl_c_ends_doctor(start: Start, tmp_path: Path, where: str) -> None:
    """It stands still where the CA store is a pipe into which nobody writes."""
    fifo = tmp_path / "store"
    os.mkfifo(fifo)
    if where == "terminal":
        with Terminal("doctor", SSL_CERT_FILE=str(fifo)) as terminal:
            terminal.until("yajl")
            terminal.until("\n")
            terminal.until_it_reads()
            terminal.type("\x03")
            code, err = terminal.end()
    else:
        process = start("doctor", env=environment(SSL_CERT_FILE=str(fifo)))
        assert process.stdout is not None
        while b" yajl " not in process.stdout.readline():
            pass
        until_asleep(process.pid)
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=GIVE_UP_S)
        code, err = process.returncode, said.decode()
        assert out == b""
    assert code == 130
    assert "Traceback" not in err
    assert "ca store" not in err


def test_ctrl_c_ends_the_demo_in_a_pipe(start: Start) -> None:
    process = start("demo", "--pace", "0.03", "--prompt", "word " * 100)
    assert process.stdout is not None
    assert process.stdout.read(1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=GIVE_UP_S)
    assert process.returncode == 130
    assert b"Traceback" not in err


def test_a_termination_leaves_the_terminal_as_it_was(serve: Serve) -> None:
    server = serve(mock.Answer(["first", mock.Gate()]))
    with Terminal(*options(server), "Hi") as terminal:
        terminal.until("first")
        terminal.send_signal(signal.SIGTERM)
        code, said = terminal.end()
    assert code == 143
    assert "\x1b[?25h" in said  # the cursor is there again
    assert "Traceback" not in said
    assert server.wait_disconnected()


# ---- a bad key -----------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["pipe", "terminal"])
def test_a_bad_key_of_the_bench_is_4(serve: Serve, where: str) -> None:
    server = serve(WORDS, api_key=API_KEY)
    arguments = ["bench", "-n", "1", "-r", "1", "-m", "m", "--base-url", server.url]
    wrong: Any = {"OPENAI_API_KEY": f"wrong-{API_KEY}"}
    if where == "pipe":
        code, out, err = run(*arguments, env=environment(**wrong))
        assert out == ""
    else:
        with Terminal(*arguments, **wrong) as terminal:
            code, err = terminal.end()
    assert code == 4
    assert "401" in err
    assert API_KEY not in err
    assert "Traceback" not in err


# ---- no network ----------------------------------------------------------------------------------

OFFLINE = {  # in a namespace whose loopback is down too
    "chat": (["chat", "-m", "m", "--api-key", "k", "Hi"], 3, "no connection"),
    "chat, an address": (
        ["chat", "-m", "m", "--base-url", "http://192.0.2.1/v1", "Hi"], 3, "no connection",
    ),
    "events": (["events", "--no-reconnect", "http://a.example/"], 3, "no connection"),
    "bench": (["bench", "-m", "m", "--base-url", "http://192.0.2.1/v1"], 3, "no connection"),
    "bulk": (
        ["bulk", "QUESTIONS", "-o", "TO", "-m", "m", "--base-url", "http://192.0.2.1/v1",
         "--max-retries", "0"], 3, "1 failed",
    ),
    "doctor": (["doctor"], 1, "a stream        over loopback: no connection"),
    "demo": (["demo"], 1, "no connection"),
    "mock": (["mock", "--until-stdin-closes"], 0, "http://127.0.0.1:"),
    "record": (
        ["record", "--to", "TO", "--upstream", "openai", "--until-stdin-closes"], 0,
        "http://127.0.0.1:",
    ),
    "replay": (["replay", "/dev/null", "--until-stdin-closes"], 0, "http://127.0.0.1:"),
    "completion": (["completion", "fish"], 0, "_MILLSTREAM_COMPLETE"),
}  # fmt: skip


@pytest.fixture(scope="module")
def without_network() -> list[str]:
    """What a command is put behind."""
    before = ["unshare", "--map-root-user", "--net"]
    if shutil.which("unshare") is None:
        pytest.skip("skipped: no unshare command")
    tried = subprocess.run([*before, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"skipped: no network namespace here: {tried.stderr.strip()}")
    return before


@pytest.mark.parametrize("name", OFFLINE)
@pytest.mark.parametrize("where", ["pipe", "terminal"])
def test_without_a_network(
    without_network: list[str], tmp_path: Path, name: str, where: str
) -> None:
    arguments, expected, said = OFFLINE[name]
    places = {"TO": str(tmp_path / "to"), "QUESTIONS": questions(tmp_path)}
    arguments = [places.get(word, word) for word in arguments]
    command = [*without_network, *COMMAND]
    if where == "pipe":
        done = subprocess.run(
            [*command, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            env=environment(), timeout=GIVE_UP_S, check=False,
        )  # fmt: skip
        code, told = done.returncode, done.stdout + done.stderr
        assert "\x1b" not in told
    else:
        with Terminal(*arguments, command=command) as terminal:
            terminal.type("\x04")  # for those that end with their input
            code, told = terminal.end()
    assert code == expected, told
    assert said in STYLE.sub("", told)
    assert "Traceback" not in told


def test_a_recorder_without_a_network_says_so_to_its_client(
    connect: Connect, without_network: list[str], tmp_path: Path
) -> None:
    """Both are inside, where loopback is up and nothing else."""
    program = (
        "ip link set lo up || exit 77\n"
        '"$@" record --to c --upstream openai --port 0 >url & recorder=$!\n'
        "until [ -s url ]; do :; done\n"
        '"$@" chat -m m --base-url "$(cat url)" Hi; code=$?\n'
        "kill -INT $recorder; wait $recorder; echo $code $?\n"
    )
    done = subprocess.run(
        [*without_network, "sh", "-c", program, "sh", *COMMAND], cwd=tmp_path, text=True,
        env=environment(), capture_output=True, timeout=GIVE_UP_S, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode != 0 and "ip" in done.stderr and not done.stdout:
        pytest.skip(f"skipped: no loopback to be had: {done.stderr.strip()}")
    assert done.stdout == "1 130\n", done.stderr
    assert "status 502" in done.stderr
    assert "api.openai.com" in done.stderr
    assert not (tmp_path / "c").exists()


# ---- completion, in the shells themselves --------------------------------------------------------


def completed(terminal: Terminal, typed: str, becomes: str) -> None:
    """What a tab makes of the line: it is then printed, not run."""
    terminal.until("ready> ")
    terminal.type(f"{typed}\t\x01printf '<%s>' \x05\n")
    words = "".join(f"<{word}>" for word in becomes.split())
    terminal.until(words)


def completes(terminal: Terminal) -> None:
    completed(terminal, "millstream rec", "millstream record")
    completed(terminal, "millstream chat --prov", "millstream chat --provider")
    completed(terminal, "millstream chat --provider anth", "millstream chat --provider anthropic")
    completed(terminal, "millstream completion f", "millstream completion fish")


def needs(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"skipped: no {program}")


def test_a_bash_completes(tmp_path: Path) -> None:
    needs("bash")
    script = tmp_path / "completion"
    script.write_text(run("completion", "bash")[1])
    start = tmp_path / "bashrc"
    start.write_text(f"source {script}\nPS1='ready> '\nbind 'set enable-bracketed-paste off'\n")
    with Terminal(
        "bash", "--rcfile", str(start), "-i", command=OWN_TERMINAL, PATH=installed(tmp_path),
        TERM="dumb",
    ) as terminal:  # fmt: skip
        completes(terminal)


def test_a_zsh_completes(tmp_path: Path) -> None:
    needs("zsh")
    functions = tmp_path / "functions"
    functions.mkdir()
    (functions / "_millstream").write_text(run("completion", "zsh")[1])
    (tmp_path / ".zshrc").write_text(
        f"fpath=({functions} $fpath)\nautoload -Uz compinit && compinit -u -D\n"
        "PS1='ready> '\nunset zle_bracketed_paste\nbindkey -e\n"
    )
    with Terminal(
        "zsh", "-d", "-i", command=OWN_TERMINAL, PATH=installed(tmp_path), ZDOTDIR=str(tmp_path),
        TERM="dumb",
    ) as terminal:  # fmt: skip
        completes(terminal)


def test_a_fish_completes(tmp_path: Path) -> None:
    needs("fish")
    folder = tmp_path / "fish" / "completions"
    folder.mkdir(parents=True)
    (folder / "millstream.fish").write_text(run("completion", "fish")[1])
    env = environment(
        PATH=installed(tmp_path), HOME=str(tmp_path), XDG_CONFIG_HOME=str(tmp_path),
        XDG_DATA_HOME=str(tmp_path / "data"),
    )  # fmt: skip

    def completed(line: str) -> list[str]:
        done = subprocess.run(
            ["fish", "-c", f"complete -C '{line}'"], env=env, capture_output=True, check=True,
            timeout=GIVE_UP_S, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return [found.partition("\t")[0] for found in done.stdout.splitlines()]

    assert completed("millstream re") == ["record", "replay"]
    assert completed("millstream chat --provider anth") == ["anthropic"]
    assert completed("millstream completion f") == ["fish"]
    assert "--reasoning" in completed("millstream chat --r")


def test_each_command_is_completed(tmp_path: Path) -> None:
    """By the words that the scripts ask with."""
    env = environment(
        COMP_WORDS="millstream ", COMP_CWORD="1", _MILLSTREAM_COMPLETE="bash_complete"
    )
    code, out, err = run(env=env)
    found = [line.partition(",")[2] for line in out.splitlines()]
    commands = {arguments[0] for arguments in ALL.values() if not arguments[0].startswith("-")}
    assert (code, err) == (0, "")
    assert {*found} == {*commands, "mock"}
    assert list(itertools.filterfalse(found.count, commands)) == []
