"""examples/fastapi_chat.py, and its facts."""

from __future__ import annotations

from apps.facts import facts
from fastapi_chat import app

__all__ = ["app"]


@app.get("/facts")
async def tell() -> dict[str, int]:
    return facts()
