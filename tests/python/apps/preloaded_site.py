"""The Flask application in a process that has streams before its workers are forked from it."""

from __future__ import annotations

import os

import millstream
from apps.flask_site import app, ask

__all__ = ["app"]

master = os.getpid()
at_start = ask("start").result().text
held = ask("held")
for chunk in held:  # up to where the upstream holds it back
    if chunk.text == " five":
        break


@app.get("/inherited")
def inherited() -> list[object]:
    try:
        outcome = repr(held.result())
    except millstream.ForkedError as error:
        outcome = type(error).__name__
    return [at_start, outcome, os.getpid() != master]
