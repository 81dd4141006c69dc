"""examples/fastapi_chat.py, what the tests ask it, and the React page where one was built."""

from __future__ import annotations

import os

import fastapi
from fastapi.staticfiles import StaticFiles

from apps.facts import MESSAGES, facts
from fastapi_chat import app, client
from millstream import ui

__all__ = ["app"]


@app.get("/facts")
async def tell() -> dict[str, int]:
    return facts()


@app.post("/silent")
async def silent() -> fastapi.Response:
    stream = client.stream(model="m", messages=MESSAGES)
    return ui.starlette_response(ui.sse(stream, keep_alive=None))


if "REACT_PAGE" in os.environ:
    app.mount("/react", StaticFiles(directory=os.environ["REACT_PAGE"], html=True))
