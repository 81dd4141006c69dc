"""What the faults' tests share: the scene, and the fixtures of tests/python."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import (
    connect,
    listen,
    plain_environment,
    run,
    serve,
    signed_by_itself,
)
from harness import Held, Scene, around_a_fault, warm_up

__all__ = ["connect", "listen", "plain_environment", "run", "serve", "signed_by_itself"]


@pytest.fixture(scope="session", autouse=True)
def nothing_stays() -> Iterator[None]:
    """In the end the connections that were kept are gone too."""
    warm_up()
    held = Held()
    yield
    held.nothing_at_all_is_left()


@pytest.fixture(params=["sync", "async"])
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    """The scene of one fault, for a Client and, in a second run, for an AsyncClient."""
    warm_up()
    with around_a_fault(request.param) as scene:
        yield scene


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library to preload, see shim.c."""
    if "LD_PRELOAD" in os.environ:
        pytest.skip("skipped: a sanitizer, which looks at the clock itself, is preloaded")
    compiler = os.environ.get("CC", "cc").split()
    if shutil.which(compiler[0]) is None:
        pytest.skip("skipped: no C compiler")
    library = tmp_path_factory.mktemp("shim") / "shim.so"
    source = Path(__file__).parent / "parts" / "shim.c"
    command = [*compiler, "-shared", "-fPIC", str(source), "-o", str(library), "-ldl"]
    subprocess.run(command, check=True)
    return library
