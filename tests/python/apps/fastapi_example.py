"""examples/fastapi_chat.py, its facts, and the React page where one was built."""

from __future__ import annotations

import os

from fastapi.staticfiles import StaticFiles

from apps.facts import facts
from fastapi_chat import app

__all__ = ["app"]


@app.get("/facts")
async def tell() -> dict[str, int]:
    return facts()


if "REACT_PAGE" in os.environ:
    app.mount("/react", StaticFiles(directory=os.environ["REACT_PAGE"], html=True))
