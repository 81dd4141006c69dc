"""examples/flask_chat.py, and its facts."""

from __future__ import annotations

from apps.facts import facts
from flask_chat import app

__all__ = ["app"]

app.get("/facts")(facts)
