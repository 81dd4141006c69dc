"""A Flask application that hands a model's answer on to the browser as it comes."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator

import flask

import millstream

app = flask.Flask(__name__)
client = millstream.Client(base_url=os.environ["UPSTREAM"], api_key="k", max_retries=0)


def ask(question: str) -> millstream.Stream:
    return client.stream(model="m", messages=[{"role": "user", "content": question}])


@app.get("/ask/<question>")
def answer(question: str) -> flask.Response:
    def body() -> Iterator[str]:
        # The server closes this generator when the browser has gone, and so the stream.
        with ask(question) as stream:
            yield from stream.texts()

    return flask.Response(body(), mimetype="text/plain", headers={"Worker": str(os.getpid())})


@app.get("/worker")
def worker() -> dict[str, object]:
    """Who serves this: the tests ask it beside what they stream."""
    return {
        "pid": os.getpid(),
        "thread": threading.get_native_id(),
        "waits in": "hub" if "millstream._gevent" in sys.modules else "thread",
        "open": client.metrics()["streams_open"],
    }
