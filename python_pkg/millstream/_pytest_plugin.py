"""The pytest plugin: the fixtures `cassette` and `millstream_mock`, the option `--record-mode`.

pytest finds it by its entry point; `-p no:millstream` turns it off. Every run of pytest imports it,
where millstream is installed: what it needs is imported with its first use.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

if TYPE_CHECKING:
    from . import mock
    from .testing import Player, Recorder

    MockServer: TypeAlias = Callable[..., mock.Server]

_HELP = """\
none: replay, nothing is asked of the network (default); once: record what has no cassette yet; \
all: record anew"""
_LONGEST_NAME = 100


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--record-mode`, unless the plugin that has the same option brings it."""
    if find_spec("pytest_recording") is None:
        parser.getgroup("millstream").addoption(
            "--record-mode", choices=["none", "once", "all"], default="none", help=_HELP
        )


class Cassettes:
    """The fixture `cassette`: called with the real server, it gives one to ask in its place.

    path: the cassette of this test, `cassettes/MODULE/TEST.jsonl` beside the module.
    recording: whether the real server is asked.
    """

    def __init__(self, folder: Path, name: str, mode: str, stack: ExitStack) -> None:
        self._folder = folder
        self._name = name
        self._mode = mode
        self._stack = stack
        self._count = 0
        self._players: list[Player] = []

    @property
    def path(self) -> Path:
        """The cassette of the next call: a test may need several, one for each server."""
        number = f"-{self._count + 1}" if self._count else ""
        return self._folder / f"{self._name}{number}.jsonl"

    @property
    def recording(self) -> bool:
        """Whether the next call records."""
        return self._mode == "all" or (self._mode == "once" and not self.path.exists())

    def __call__(self, upstream: str, **options: Any) -> Recorder | Player:
        """A server in the place of `upstream`, a base URL or a provider's name; it is closed with
        the test. Its `base_url` is for the client. options: those of `record()`."""
        from .testing import record, replay

        path, recording = self.path, self.recording
        if not recording and not path.exists():
            pytest.fail(f"no cassette {path}; --record-mode=once records it", pytrace=False)
        self._count += 1
        if recording:
            return self._stack.enter_context(record(path, upstream=upstream, **options))
        player = self._stack.enter_context(replay(path, speed=None))
        self._players.append(player)
        return player

    def misses(self) -> list[str]:
        """What was asked and is on no cassette."""
        return [miss for player in self._players for miss in player.misses]


@pytest.fixture
def cassette(request: pytest.FixtureRequest) -> Iterator[Cassettes]:
    """Records a real server's answers, and replays them: `cassette("openai").base_url`.

    Which of both, says `--record-mode`. A request that is not on the cassette fails the test.
    """
    folder = request.path.parent / "cassettes" / request.path.stem
    mode = request.config.getoption("--record-mode") or "none"
    with ExitStack() as stack:
        cassettes = Cassettes(folder, _file_name(request.node), mode, stack)
        yield cassettes
    misses = cassettes.misses()
    if misses:
        pytest.fail("\n".join(misses) + "\n--record-mode=all records anew", pytrace=False)


def _file_name(node: pytest.Item) -> str:
    """The test's name with its class and parameters, as a file may be called."""
    inside = node.nodeid.partition("::")[2] or node.name
    return re.sub(r"[^\w.-]+", "-", inside).strip("-")[:_LONGEST_NAME]


@pytest.fixture
def millstream_mock() -> Iterator[MockServer]:
    """Starts model servers: `millstream_mock("Hello!").url`; they are closed with the test.

    The arguments are those of `millstream.mock.Server`, and so is what it gives.
    """
    from . import mock

    with ExitStack() as stack:

        def start(script: mock.Script = None, **options: Any) -> mock.Server:
            server = mock.Server(script, **options)
            stack.enter_context(server)
            return server

        yield start
