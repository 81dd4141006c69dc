"""The pytest plugin, in pytest processes of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from textwrap import dedent

import pytest

from answers import GIVE_UP_S
from conftest import Serve
from millstream import mock, testing

ROOT = Path(__file__).parents[2]
KEY = "sk-live-77aa66bb55cc44"
MODULE = """
import os
import millstream
import pytest

def ask(server, text):
    client = millstream.Client(
        base_url=server.base_url, api_key=os.environ.get("KEY", "none"), max_retries=0)
    return client.stream(model="m", messages=[{"role": "user", "content": text}]).result().text

def test_one(cassette):
    print("recording:", cassette.recording)
    print("answer:", ask(cassette(os.environ["REAL"]), os.environ.get("QUESTION", "Hi")))
"""

Pytest = Callable[..., tuple[int, str]]


@pytest.fixture
def run_pytest(tmp_path: Path) -> Pytest:
    """Run pytest over a module `test_it.py` in `tmp_path`; the exit code, and what it printed."""

    def run(*arguments: str, module: str = MODULE, **env: str) -> tuple[int, str]:
        (tmp_path / "test_it.py").write_text(dedent(module))
        (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
        plugin = ["-p", "millstream._pytest_plugin", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *plugin, "-rA", *arguments], cwd=tmp_path,
            env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **env}, text=True,
            capture_output=True, timeout=2 * GIVE_UP_S, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    return run


def test_it_records_once_and_replays(serve: Serve, run_pytest: Pytest, tmp_path: Path) -> None:
    server = serve(["First.", "Second."], api_key=KEY)
    path = tmp_path / "cassettes" / "test_it" / "test_one.jsonl"
    code, out = run_pytest(REAL=server.url)
    assert code == 1
    assert "no cassette" in out
    assert "--record-mode=once" in out
    assert not path.exists()

    code, out = run_pytest("--record-mode=once", REAL=server.url, KEY=KEY)
    assert (code, "recording: True" in out, "answer: First." in out) == (0, True, True)
    assert KEY not in path.read_text()

    for mode in ("none", "once"):
        code, out = run_pytest(f"--record-mode={mode}", REAL="http://127.0.0.1:1/v1")
        assert (code, "recording: False" in out, "answer: First." in out) == (0, True, True)
    assert len(server.requests) == 1

    code, out = run_pytest("--record-mode=all", REAL=server.url, KEY=KEY)
    assert (code, "answer: Second." in out) == (0, True)
    assert "Second" in path.read_text()
    assert len(testing.read(path)) == 1


def test_a_miss_fails_the_test_that_swallows_it(
    serve: Serve, run_pytest: Pytest, tmp_path: Path
) -> None:
    server = serve("x")
    assert run_pytest("--record-mode=once", REAL=server.url)[0] == 0
    module = MODULE + (
        "\ndef test_one(cassette):\n"
        "    with pytest.raises(millstream.NotFound):\n"
        "        ask(cassette('http://127.0.0.1:1/v1'), 'Ho')\n"
    )
    code, out = run_pytest(module=module, REAL=server.url)
    assert code == 1
    assert 'was "Hi", and is "Ho" now' in out
    assert "--record-mode=all" in out


def test_each_test_and_each_server_has_its_cassette(
    serve: Serve, run_pytest: Pytest, tmp_path: Path
) -> None:
    module = MODULE + (
        "\nclass TestThings:\n"
        "    @pytest.mark.parametrize('word', ['a/b', 'c'])\n"
        "    def test_two(self, cassette, word):\n"
        "        first, second = cassette(os.environ['REAL']), cassette(os.environ['REAL'])\n"
        "        assert ask(first, word) == ask(second, word)\n"
    )
    server = serve(lambda request: mock.Answer(request.json()["messages"][0]["content"]))
    assert run_pytest("--record-mode=once", module=module, REAL=server.url)[0] == 0
    assert sorted(p.name for p in (tmp_path / "cassettes" / "test_it").iterdir()) == [
        "TestThings-test_two-a-b-2.jsonl", "TestThings-test_two-a-b.jsonl",
        "TestThings-test_two-c-2.jsonl", "TestThings-test_two-c.jsonl", "test_one.jsonl",
    ]  # fmt: skip
    assert run_pytest(module=module, REAL="http://127.0.0.1:1/v1")[0] == 0


def test_the_mock_as_a_fixture(run_pytest: Pytest) -> None:
    module = """
        import millstream
        import pytest

        servers = []

        def test_two_servers(millstream_mock):
            for text in ("One.", "Two."):
                servers.append(millstream_mock(text, api_key="k"))
                client = millstream.Client(base_url=servers[-1].url, api_key="k")
                messages = [{"role": "user", "content": "Hi"}]
                assert client.stream(model="m", messages=messages).result().text == text
            assert len(servers[0].requests) == 1

        def test_they_are_closed():
            client = millstream.Client(base_url=servers[0].url, max_retries=0)
            with pytest.raises(millstream.ConnectError):
                client.stream(model="m", messages=[]).result()
    """
    code, out = run_pytest(module=module)
    assert code == 0, out
    assert "2 passed" in out


def test_the_option_is_told_and_its_values_checked(run_pytest: Pytest) -> None:
    code, out = run_pytest("--help")
    assert code == 0
    assert "--record-mode={none,once,all}" in out
    assert run_pytest("--record-mode=some", REAL="x")[0] == 4


def test_beside_the_plugin_that_has_the_same_option(run_pytest: Pytest, tmp_path: Path) -> None:
    (tmp_path / "pytest_recording.py").write_text(
        "def pytest_addoption(parser):\n"
        "    parser.addoption('--record-mode', default=None,\n"
        "        choices=['once', 'new_episodes', 'none', 'all', 'rewrite'])\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    code, out = run_pytest("-p", "pytest_recording", REAL="http://h/v1", PYTHONPATH=path)
    assert code == 1
    assert "no cassette" in out


def test_the_example_of_the_docs(serve: Serve, run_pytest: Pytest, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "howto" / "testing.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (module,) = (block for block in blocks if "def test_" in block)
    (tmp_path / "conftest.py").write_text(
        "import os\n"
        "from millstream import _providers\n"
        '_providers.PROVIDERS["openai"].base_url = os.environ["REAL"]\n'  # its own is not here
    )
    before = "import millstream\nfrom millstream import mock\n"
    before += 'messages = [{"role": "user", "content": "Hi"}]\n'
    server = serve("Water turns the wheel.")
    code, out = run_pytest("--record-mode=once", module=before + module, REAL=server.url)
    assert code == 0, out
    code, out = run_pytest(module=before + module, REAL="http://127.0.0.1:1/v1")
    assert code == 0, out
    assert len(server.requests) == 1


def test_it_costs_a_run_nothing_that_does_not_use_it() -> None:
    program = "import sys, millstream._pytest_plugin; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    heavy = {"asyncio", "http.client", "millstream.mock", "millstream.testing", "ssl"}
    assert not heavy & {*done.stdout.split()}


def test_pytest_finds_it_by_its_entry_point() -> None:
    assert 'millstream = "millstream._pytest_plugin"' in (ROOT / "pyproject.toml").read_text()
    found = entry_points(group="pytest11", name="millstream")
    if not found:
        pytest.skip("skipped: millstream is not installed, only imported")
    (entry,) = found
    assert entry.load().cassette
