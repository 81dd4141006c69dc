"""What the faults' tests share: the scene, and the fixtures of tests/python."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conftest import (
    connect,
    listen,
    plain_environment,
    run,
    serve,
    signed_by_itself,
)
from harness import Scene, around_a_fault, warm_up

__all__ = ["connect", "listen", "plain_environment", "run", "serve", "signed_by_itself"]


@pytest.fixture(params=["sync", "async"])
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    """The scene of one fault, for a Client and, in a second run, for an AsyncClient."""
    warm_up()
    with around_a_fault(request.param) as scene:
        yield scene
