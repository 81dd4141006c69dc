"""examples/flask_chat.py, its facts, and an answer that writes nothing while it is silent."""

from __future__ import annotations

import flask

from apps.facts import MESSAGES, facts
from flask_chat import app, client
from millstream import ui

__all__ = ["app"]

app.get("/facts")(facts)


@app.post("/silent")
def silent() -> flask.Response:
    stream = client.stream(model="m", messages=MESSAGES)
    return ui.flask_response(ui.sse(stream, keep_alive=None))
