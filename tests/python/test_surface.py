"""The package's face: the names it exports, their docstrings, and the stubs of the extension."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

import millstream
from millstream import _core, testing, ui

EXPORTED = {
    "AsyncClient", "AsyncEventStream", "AsyncStream", "AuthenticationError", "BadRequest",
    "BulkResult", "Cancelled", "Change", "Choice", "Chunk", "Client", "Coercion", "Comment",
    "ConnectError", "Done", "Endpoint", "Error", "Event", "EventStream", "ForkedError",
    "Headers", "LimitExceeded", "Limits", "Message", "NotFound", "NotNull", "PartialCall",
    "PartialJSON", "PermissionDenied", "ProtocolError", "ProviderError", "RateLimited",
    "Repair", "Request", "Response", "ServerError", "State", "StatusError", "Stream",
    "StreamInterrupted", "Timeout", "Timing", "ToolCall", "Usage", "ValidationError",
    "WithState", "metrics", "wait",
}  # fmt: skip
STUBS = Path(millstream.__file__).with_name("_core.pyi")


def test_the_exported_names_are_these() -> None:
    assert set(millstream.__all__) == EXPORTED
    assert list(millstream.__all__) == sorted(millstream.__all__)
    public = {
        name
        for name, value in vars(millstream).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    # imported only when they are asked for
    lazy = {
        "AsyncClient", "AsyncEventStream", "AsyncStream", "BulkResult", "Change", "Coercion",
        "Done", "Endpoint", "NotNull",
        "PartialCall", "PartialJSON", "Repair", "State", "WithState",
    }  # fmt: skip
    assert public | lazy == EXPORTED | {"annotations", "TYPE_CHECKING"}


def test_the_names_of_ui_are_these() -> None:
    assert ui.__all__ == [
        "Events", "Replays", "ai_sdk", "asgi", "describe", "django_response", "flask_response",
        "messages", "page", "sse", "starlette_response", "wsgi",
    ]  # fmt: skip
    for name in ui.__all__:
        value = getattr(ui, name)
        assert value.__doc__
        assert not isinstance(value, type) or not documented(value)


def test_ui_brings_no_framework_and_comes_only_when_asked_for() -> None:
    program = (
        "import sys, millstream; assert 'millstream.ui' not in sys.modules\n"
        "import millstream.ui; print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    )
    assert not {"django", "flask", "fastapi", "starlette", "anyio"} & set(done.stdout.split())


def test_everything_exported_says_where_it_is_from() -> None:
    for name in EXPORTED:
        value = getattr(millstream, name)
        assert value.__name__ == name
        if isinstance(value, type):
            assert value.__module__.split(".")[0] == "millstream"


def documented(owner: type) -> list[str]:
    """The members of a class's own that a user sees."""
    return [
        f"{owner.__name__}.{name}"
        for name, member in vars(owner).items()
        if not name.startswith("_")
        and not isinstance(member, types.MemberDescriptorType)
        and (callable(member) or inspect.isdatadescriptor(member))
        and not member.__doc__
    ]


def test_everything_exported_has_a_docstring() -> None:
    assert millstream.__doc__
    missing = []
    for name in EXPORTED:
        value = getattr(millstream, name)
        if not value.__doc__:
            missing.append(name)
        if isinstance(value, type):
            for owner in value.__mro__:
                if owner.__module__.startswith("millstream") and not issubclass(owner, Exception):
                    missing += documented(owner)
    assert not missing


def test_what_testing_exports_has_docstrings() -> None:
    names = ["CassetteError", "Exchange", "Player", "Recorder", "read", "record", "replay"]
    assert testing.__all__ == names
    assert testing.__doc__
    for name in names:
        value = getattr(testing, name)
        assert value.__doc__, name
        assert not (isinstance(value, type) and documented(value))


@pytest.mark.parametrize("name", ["Client", "Limits", "Timeout", "Comment", "Event", "Headers"])
def test_signatures_can_be_read(name: str) -> None:
    assert inspect.signature(getattr(millstream, name)).parameters


def test_client_takes_only_the_provider_by_position() -> None:
    kinds = {p.name: p.kind for p in inspect.signature(millstream.Client).parameters.values()}
    assert kinds.pop("provider") is inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert set(kinds) >= {
        "base_url", "api_key", "headers", "timeout", "max_retries", "proxy", "verify", "cert",
        "http2", "unix_socket", "limits",
    }  # fmt: skip
    assert set(kinds.values()) == {inspect.Parameter.KEYWORD_ONLY}


def test_version_and_marker() -> None:
    assert millstream.__version__.count(".") == 2
    assert Path(millstream.__file__).with_name("py.typed").exists()


def test_ten_thousand_clients_start_nothing() -> None:
    program = (
        "import millstream, threading, os\n"
        "before = len(os.listdir('/proc/self/task')), len(os.listdir('/proc/self/fd'))\n"
        "clients = [millstream.Client(base_url='https://h') for _ in range(10_000)]\n"
        "after = len(os.listdir('/proc/self/task')), len(os.listdir('/proc/self/fd'))\n"
        "assert before == after, (before, after)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_import_brings_nothing_large() -> None:
    """The modules that cost more to import than the package itself are not needed for it."""
    program = "import sys, millstream; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path = {sys.path!r}; {program}"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    heavy = {"asyncio", "dataclasses", "email", "http", "inspect", "json", "re", "socket", "ssl",
             "threading", "typing", "urllib"}  # fmt: skip
    assert not heavy & set(done.stdout.split())


# ---- stubs ---------------------------------------------------------------------------------------


def stubbed() -> dict[str, Any]:
    """Names of the stub file: a set of members for a class, None for everything else."""
    names: dict[str, Any] = {}
    for node in ast.parse(STUBS.read_text()).body:
        if isinstance(node, ast.ClassDef):
            names[node.name] = {member_name(member) for member in node.body} - {None}
        elif isinstance(node, ast.FunctionDef):
            names[node.name] = None
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names[node.target.id] = None
    return {name: members for name, members in names.items() if not is_private(name)}


def member_name(node: ast.stmt) -> str | None:
    if isinstance(node, ast.FunctionDef):
        return node.name
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id
    return None


def is_private(name: str) -> bool:
    return name.startswith("_")


needs_stubs = pytest.mark.skipif(not STUBS.exists(), reason="skipped: no stubs are installed")


@needs_stubs
def test_the_stubs_name_what_the_extension_has() -> None:
    there = {name for name in vars(_core) if not name.startswith("_")}
    assert set(stubbed()) == there


@needs_stubs
def test_the_stubs_name_the_members_of_each_class() -> None:
    for name, members in stubbed().items():
        if members is None:
            continue
        there = {
            member
            for member in vars(getattr(_core, name))
            if not member.startswith("__")
            and member not in ("n_fields", "n_sequence_fields", "n_unnamed_fields")
        }
        assert {member for member in members if not member.startswith("__")} == there, name
