"""The commands around a service: mock, record, replay, bench, doctor, demo, completion."""

from __future__ import annotations

import http.client
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import millstream
from answers import GIVE_UP_S, MESSAGES, free_port
from command_line import COMMAND, Terminal, environment, run
from conftest import API_KEY, Connect, Serve, Start
from millstream import mock, testing
from test_cli_chat import chat, refused

ESCAPE = "\x1b"


@pytest.fixture
def recorded(serve: Serve, connect: Connect, tmp_path: Path) -> Path:
    """A cassette with one question, "Hi", and its answer."""
    path = tmp_path / "one.jsonl"
    with testing.record(path, upstream=serve("Written down.").url) as recorder:
        ask(connect(recorder.base_url))
    return path


def ask(client: millstream.Client) -> str:
    text: str = client.stream(model="m", messages=MESSAGES).result().text
    return text


def url_of(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    url = process.stdout.readline().decode().strip()
    assert url.startswith("http://127.0.0.1:"), url
    return url


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """The exit code, and what was said on standard error."""
    out, err = process.communicate(timeout=GIVE_UP_S)
    assert out == b""
    return process.returncode, err.decode()


def servers(serve: Serve, recorded: Path, tmp_path: Path) -> dict[str, list[str]]:
    """A command line for each of the commands that serve until they are stopped."""
    to = str(tmp_path / "to.jsonl")
    return {
        "mock": ["mock", "--text", "Written down."],
        "record": ["record", "--to", to, "--upstream", serve("Written down.").url],
        "replay": ["replay", str(recorded)],
    }


each_server = pytest.mark.parametrize("name", ["mock", "record", "replay"])


# ---- the servers ---------------------------------------------------------------------------------


@each_server
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, None])
def test_a_server_prints_its_url_and_serves_until_it_is_stopped(
    serve: Serve, connect: Connect, start: Start, recorded: Path, tmp_path: Path, name: str,
    stop: Any,
) -> None:  # fmt: skip
    arguments = servers(serve, recorded, tmp_path)[name]
    more = ["--until-stdin-closes"] if stop is None else []
    process = start(*arguments, *more, stdin=subprocess.PIPE)
    assert ask(connect(url_of(process))) == "Written down."
    if stop is not None:
        process.send_signal(stop)
        assert process.wait(GIVE_UP_S) == (130 if stop == signal.SIGINT else 0)
    code, err = ended(process)
    assert code == (130 if stop == signal.SIGINT else 0)
    assert "Traceback" not in err


@each_server
def test_a_server_in_a_terminal(
    serve: Serve, connect: Connect, recorded: Path, tmp_path: Path, name: str
) -> None:
    with Terminal(*servers(serve, recorded, tmp_path)[name]) as terminal:
        terminal.until("http://127.0.0.1:")
        terminal.until("/v1\n")
        terminal.type("\x03")
        code, rest = terminal.end()
    assert code == 130
    assert "Traceback" not in rest


@each_server
def test_a_port_that_is_taken_is_1(serve: Serve, recorded: Path, tmp_path: Path, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, out, err = run(*servers(serve, recorded, tmp_path)[name], "--port", port)
    assert (code, out) == (1, "")
    assert "in use" in err
    assert "Traceback" not in err


def test_a_scenario_for_the_mock(connect: Connect, start: Start, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from millstream import mock\nscript = [mock.Error(429), mock.Answer('Then.', pace=0)]\n"
    )
    client = connect(url_of(start("mock", "--script", str(script))))
    with pytest.raises(millstream.RateLimited):
        ask(client)
    assert ask(client) == "Then."
    with pytest.raises(millstream.ServerError):
        ask(connect(url_of(start("mock", "--error", "503"))))


def test_wrong_arguments_are_2(tmp_path: Path) -> None:
    empty = tmp_path / "empty.py"
    empty.write_text("")
    for arguments in (
        ["mock", "--port", "x"],
        ["mock", "--error", "99"],
        ["mock", "--script", str(empty)],
        ["record"],
        ["record", "--to", "c", "--upstream", "nobody"],
        ["replay", str(tmp_path / "none")],
        ["replay", str(empty), "--speed", "-1"],
        ["bench", "--streams", "0"],
        ["bench", "--base-url", "http://h"],
        ["demo", "--pace", "x"],
        ["completion", "tcsh"],
    ):
        code, out, err = run(*arguments)
        assert (code, out) == (2, ""), arguments
        assert "sage: millstream" in err
        assert "Traceback" not in err


def test_what_was_recorded_is_replayed_and_a_miss_is_told(
    serve: Serve, start: Start, tmp_path: Path
) -> None:
    path = tmp_path / "cassettes" / "c.jsonl"
    real = serve(["As it was.", mock.Error(401)], api_key=API_KEY)
    recorder = start("record", "--to", str(path), "--upstream", real.url)
    url = url_of(recorder)
    assert chat(url, "--api-key", API_KEY, "one")[:2] == (0, "As it was.\n")
    assert chat(url, "--api-key", "wrong-" + API_KEY, "two")[0] == 4
    recorder.send_signal(signal.SIGINT)
    code, err = ended(recorder)
    assert code == 130
    said = err.strip().splitlines()
    assert re.fullmatch(
        r"POST /v1/chat/completions 200, \d+ pieces, \d+ bytes in [\d.]+ s, complete", said[0]
    )
    assert " 401, " in said[1]
    assert API_KEY not in path.read_text() + err

    player = start("replay", str(path), "--speed", "0", "--repeat")
    url = url_of(player)
    assert chat(url, "--api-key", "another", "one")[:2] == (0, "As it was.\n")
    assert chat(url, "--api-key", "another", "two")[0] == 4
    assert chat(url, "one")[:2] == (0, "As it was.\n")
    code, _, err = chat(url, "three")
    assert code == 1
    assert '"three" now' in err
    player.send_signal(signal.SIGINT)
    code, err = ended(player)
    assert code == 130
    assert '"three" now' in err


def test_recording_without_a_network(start: Start, tmp_path: Path) -> None:
    recorder = start("record", "--to", str(tmp_path / "c"), "--upstream", refused())
    code, _, err = chat(url_of(recorder), "-q", "Hi")
    assert code == 1
    assert "refused" in err
    recorder.send_signal(signal.SIGINT)
    assert ended(recorder)[0] == 130
    assert not (tmp_path / "c").exists()


def test_ctrl_c_keeps_what_was_recorded_so_far(
    serve: Serve, connect: Connect, start: Start, tmp_path: Path
) -> None:
    real = serve(mock.Answer(["so far", mock.Gate()]))
    recorder = start("record", "--to", str(tmp_path / "c"), "--upstream", real.url)
    stream = connect(url_of(recorder)).stream(model="m", messages=MESSAGES)
    assert next(stream.texts()) == "so far"
    recorder.send_signal(signal.SIGINT)
    assert ended(recorder)[0] == 130
    (exchange,) = testing.read(tmp_path / "c")
    assert exchange.end == "left"
    assert b"so far" in exchange.body


def test_a_file_that_is_no_cassette_is_1(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("data: x\n")
    code, out, err = run("replay", str(tmp_path / "c"))
    assert (code, out) == (1, "")
    assert "line 1" in err


# ---- bench ---------------------------------------------------------------------------------------

SMALL = ["bench", "--streams", "2", "--rounds", "1"]


def test_bench_against_the_mock() -> None:
    code, out, err = run(*SMALL, "--json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert found["chunks"] > 1000
    assert found["chunks_per_second"] == pytest.approx(found["chunks"] / found["seconds"])
    assert 0 < found["engine_cpu_per_chunk"] < found["cpu_per_chunk"] < found["seconds"]
    assert 0 < found["first_chunk_p50"] <= found["first_chunk_p99"] <= found["seconds"]
    assert 0 < found["gil_held_per_chunk"] < found["cpu_per_chunk"]
    assert found["gil_takes_per_chunk"] > 0


@pytest.mark.parametrize("where", ["pipe", "terminal"])
def test_bench_against_a_server(serve: Serve, where: str) -> None:
    server = serve("a b c", api_key=API_KEY)
    given = [*SMALL, "--base-url", server.url, "--model", "m"]
    env: Any = {"OPENAI_API_KEY": API_KEY}
    if where == "pipe":
        code, out, err = run(*given, env=environment(**env))
        assert (err, ESCAPE in out) == ("", False)
    else:
        with Terminal(*given, **env) as terminal:
            code, out = terminal.end()
        assert "\x1b[2mchunks" in out
    assert code == 0
    assert "chunks a second" in out
    assert len(server.requests) == 3  # one to warm up, and one of each stream
    code, out, err = run(*given, env=environment(OPENAI_API_KEY="wrong"))
    assert (code, out) == (4, "")
    assert "401" in err


def test_bench_without_a_network() -> None:
    code, out, err = run(*SMALL, "--base-url", refused(), "--model", "m")
    assert (code, out) == (3, "")
    assert "Traceback" not in err


@pytest.mark.parametrize("where", ["pipe", "terminal"])
def test_ctrl_c_ends_the_bench_and_its_streams(serve: Serve, start: Start, where: str) -> None:
    gate = mock.Gate()
    script: Any = ["warm", mock.Answer(["a", gate])]
    server = serve(script)
    given = [*SMALL, "--base-url", server.url, "--model", "m"]
    if where == "pipe":
        process = start(*given)
        assert server.wait_requests(3, GIVE_UP_S)
        process.send_signal(signal.SIGINT)
        code, err = ended(process)
    else:
        with Terminal(*given) as terminal:
            assert server.wait_requests(3, GIVE_UP_S)
            terminal.type("\x03")
            code, err = terminal.end()
    assert code == 130
    assert "Traceback" not in err
    assert server.wait_disconnected(2)


# ---- doctor --------------------------------------------------------------------------------------


def findings(**more: Any) -> tuple[int, dict[str, dict[str, str]]]:
    """The exit code of `doctor --json`, and its findings by their names."""
    code, out, err = run("doctor", "--json", **more)
    assert err == ""
    lines = [json.loads(line) for line in out.splitlines()]
    return code, {line["name"]: line for line in lines}


NAMES = [
    "millstream", "python", "libcurl", "tls", "http2", "zlib", "yajl", "ca store", "resolver",
    "open files", "event loops", "typed answers", "proxies", "keys", "a stream",
]  # fmt: skip


@pytest.fixture
def store(tmp_path: Path, signed_by_itself: Path) -> Path:
    """A CA store with one certificate."""
    path = tmp_path / "store.pem"
    pem = signed_by_itself.read_text()
    path.write_text(pem[: pem.index("-----END CERTIFICATE-----")] + "-----END CERTIFICATE-----\n")
    return path


def test_doctor_finds_what_is_here(store: Path) -> None:
    code, found = findings(env=environment(SSL_CERT_FILE=str(store)))
    assert code == 0
    assert list(found) == NAMES
    assert millstream.__version__ in found["millstream"]["found"]
    libcurl = millstream._core.curl_version.split()[0].removeprefix("libcurl/")
    assert found["libcurl"]["found"].startswith(libcurl)
    assert found["tls"]["state"] == "ok"
    assert re.fullmatch(r"2\.\d+\.\d+", found["yajl"]["found"])
    assert found["ca store"]["found"] == f"{store}, 1 certificate (by SSL_CERT_FILE)"
    assert "trio" in found["event loops"]["found"]
    assert found["a stream"]["state"] == "ok"
    new = tuple(map(int, re.findall(r"\d+", libcurl)[:3])) >= (8, 14, 1)
    assert found["http2"]["state"] == ("ok" if new else "warn")
    for finding in found.values():
        assert finding["advice"] or finding["state"] == "ok"


@pytest.mark.parametrize("where", ["pipe", "terminal"])
def test_doctor_says_the_same_in_lines(where: str, store: Path) -> None:
    env: Any = {"SSL_CERT_FILE": str(store), "OPENAI_API_KEY": "sk-s3cret"}
    env |= {"https_proxy": "http://user:s3cret@proxy.example:3128"}
    if where == "pipe":
        code, out, err = run("doctor", env=environment(**env))
        assert (err, ESCAPE in out) == ("", False)
    else:
        with Terminal("doctor", **env) as terminal:
            code, out = terminal.end()
        assert "\x1b[32mok" in out
        out = re.sub(r"\x1b\[\d+m", "", out)
        with Terminal("doctor", NO_COLOR="1", **env) as terminal:
            assert ESCAPE not in terminal.end()[1]
    assert code == 0
    assert [line[8:24].strip() for line in out.splitlines() if line[:1] in "owm"] == NAMES
    assert "OPENAI_API_KEY" in out
    assert "proxy.example" in out
    assert "s3cret" not in out


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
@pytest.mark.parametrize("what", ["not there", "empty"])
def test_doctor_without_the_store_that_is_named(tmp_path: Path, variable: str, what: str) -> None:
    place = tmp_path / "store"
    if what == "empty":
        place.mkdir() if variable == "SSL_CERT_DIR" else place.write_text("")
    code, found = findings(env=environment(**{variable: str(place)}))
    assert code == 1
    assert found["ca store"]["state"] == "missing"
    assert str(place) in found["ca store"]["found"]
    assert f"unset {variable}" in found["ca store"]["advice"]
    assert [name for name in found if found[name]["state"] == "missing"] == ["ca store"]


def test_doctor_where_one_of_two_is_there(tmp_path: Path, store: Path) -> None:
    """A file that is not there is an error, a folder is not: so it is for libcurl."""
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.copy(store, folder / "0a1b2c3d.0")
    gone = str(tmp_path / "gone")
    env = environment(SSL_CERT_FILE=str(store), SSL_CERT_DIR=gone)
    assert findings(env=env)[1]["ca store"]["state"] == "warn"
    env = environment(SSL_CERT_FILE=gone, SSL_CERT_DIR=str(folder))
    assert findings(env=env)[1]["ca store"]["state"] == "missing"
    env = environment(SSL_CERT_DIR=str(folder))
    code, found = findings(env=env)
    assert (code, found["ca store"]["state"]) == (0, "ok")


def test_doctor_on_a_machine_without_a_store(tmp_path: Path) -> None:
    hidden = "for place in /etc/ssl /usr/lib/ssl /etc/pki; do [ ! -d $place ] || "
    hidden += 'mount -t tmpfs none $place || exit 77; done; exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", hidden, "sh"]
    (tmp_path / "certifi.py").write_text("raise ImportError\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    try:
        done = subprocess.run(
            [*command, *COMMAND, "doctor", "--json"], env=environment(PYTHONPATH=path),
            capture_output=True, timeout=GIVE_UP_S, check=False, text=True,
        )  # fmt: skip
    except FileNotFoundError:
        pytest.skip("skipped: no unshare command")
    if not done.stdout and done.returncode in (1, 77):
        pytest.skip(f"skipped: no mount namespace here: {done.stderr.strip()}")
    found = {line["name"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert (done.returncode, done.stderr) == (1, "")
    assert found["ca store"]["state"] == "missing"
    assert "ca-certificates" in found["ca store"]["advice"]
    assert found["a stream"]["state"] == "ok"


def test_doctor_sees_few_files_and_no_resolver() -> None:
    few = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, {hard_limit()}))\n"
    command = [*COMMAND[:2], few + COMMAND[2]]
    done = subprocess.run(
        [*command, "doctor"], capture_output=True, timeout=GIVE_UP_S, check=False, text=True
    )
    assert re.search(r"^warn    open files +256, .*\n +→ .*ulimit -n", done.stdout, re.MULTILINE)


def hard_limit() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def test_doctor_in_a_pipe_that_closes(start: Start) -> None:
    process = start("doctor")
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"ok ")
    process.stdout.close()
    code = process.wait(GIVE_UP_S)
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert code in (0, 1, 141)  # what it had to say may have gone out before


# ---- demo, completion ----------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["pipe", "terminal"])
def test_the_demo(where: str) -> None:
    if where == "pipe":
        code, out, _ = run("demo", "--pace", "0", "--prompt", "And you?")
        assert ESCAPE not in out
    else:
        with Terminal("demo", "--pace", "0", "--prompt", "And you?") as terminal:
            code, out = terminal.end()
    assert code == 0
    assert 'You said: "And you?"' in out


def test_ctrl_c_ends_the_demo() -> None:
    with Terminal("demo", "--pace", "0.03", "--prompt", "word " * 100) as terminal:
        terminal.until("You said")
        terminal.type("\x03")
        code, rest = terminal.end()
    assert code == 130
    assert "Traceback" not in rest


def test_the_completion_of_each_shell() -> None:
    for shell in ("bash", "zsh", "fish"):
        code, out, _ = run("completion", shell)
        assert code == 0
        assert "_MILLSTREAM_COMPLETE" in out


def installed(folder: Path) -> str:
    """A PATH on which there is the command `millstream`, in `folder`."""
    command = folder / "millstream"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m millstream "$@"\n')
    command.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def test_bash_completes_by_the_script(tmp_path: Path) -> None:
    if shutil.which("bash") is None:
        pytest.skip("skipped: no bash")
    script = run("completion", "bash")[1]
    program = script + (
        '\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _millstream_completion millstream\n'
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    env = environment(PATH=installed(tmp_path))

    def completed(*words: str) -> list[str]:
        done = subprocess.run(
            ["bash", "-c", program, "bash", *words], env=env, capture_output=True, check=True,
            timeout=GIVE_UP_S, text=True,
        )  # fmt: skip
        return done.stdout.split()

    assert completed("millstream", "re") == ["record", "replay"]
    assert completed("millstream", "chat", "--provider", "anth") == ["anthropic"]
    assert "--reasoning" in completed("millstream", "chat", "--r")


def test_the_url_of_a_recorder_has_the_path_of_the_real_one(start: Start, tmp_path: Path) -> None:
    recorder = start("record", "--to", str(tmp_path / "c"), "--upstream", refused() + "/deep/")
    url = url_of(recorder)
    assert urlsplit(url).path == "/v1/deep"
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=GIVE_UP_S)
    connection.request("GET", "/")
    assert connection.getresponse().status == 502
    connection.close()


# ---- docs/reference/cli.md -----------------------------------------------------------------------

# A server that is begun in the background is waited for; all end with the shell.
BEGIN = """
set -e
servers=
trap 'kill $servers' EXIT
begun() {
  servers="$servers $!"
  port=$2
  "$1" -c "
import socket, sys, time
end = time.monotonic() + 30
while True:
    try:
        sys.exit(socket.create_connection(('127.0.0.1', $port)).close())
    except OSError:
        if time.monotonic() > end: raise
        time.sleep(0.02)
"
}
"""


def test_what_the_page_shows_runs(serve: Serve, tmp_path: Path, store: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "cli.md").read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) > 5
    ports = {port: free_port() for port in ("8089", "8090", "8091", "11434")}
    program = re.sub("|".join(ports), lambda match: ports[match[0]], "\n".join(blocks))
    wait = rf"\1 begun {sys.executable} \2"
    program = re.sub(r"(--port (\d+).*&)$", wait, program, flags=re.MULTILINE)
    if shutil.which("jq") is None:
        program = re.sub(r"\| jq .*", "| cat", program)
    for program_, does in (("git", "echo a log"), ("pip", 'test "$*" = "install millstream[cli]"')):
        (tmp_path / program_).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / program_).chmod(0o755)
    (tmp_path / "notes.txt").write_text("Notes.\n")
    model, ollama = serve(), serve("From elsewhere.", port=int(ports["11434"]))
    feed = serve(mock.Replay(b"id: 7\ndata: news\n\n"))
    env = environment(
        PATH=installed(tmp_path), HOME=str(tmp_path), MILLSTREAM_BASE_URL=model.url,
        FEED=f"{feed.origin}/feed", SSL_CERT_FILE=str(store),
    )  # fmt: skip
    done = subprocess.run(
        ["sh", "-c", BEGIN + program], cwd=tmp_path, env=env, capture_output=True, text=True,
        timeout=3 * GIVE_UP_S, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for said in ("beside a stream?", "It turns.", "news", "From elsewhere.", "chunks a second"):
        assert said in done.stdout
    assert (len(feed.requests), len(ollama.requests)) == (4, 1)
    assert (tmp_path / "again.txt").read_text() == (tmp_path / "live.txt").read_text() != ""
    assert "_MILLSTREAM_COMPLETE" in "".join(
        path.read_text() for path in tmp_path.rglob("completions/millstream")
    )
