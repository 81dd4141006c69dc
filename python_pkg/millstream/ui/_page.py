"""A page to begin with: a question, the answer as it grows, a stop button."""

from __future__ import annotations

from functools import cache
from importlib import resources

from ._frames import compact


def page(action: str) -> str:
    """The HTML of a small chat page that posts to `action`; nothing else is needed.

    It sends what `messages` takes and reads what `sse` and `ai_sdk` send. What the model says is
    shown as text.
    """
    return _html().replace("ACTION", compact(action))


@cache
def _html() -> str:
    return resources.files(__package__).joinpath("page.html").read_text("utf-8")
