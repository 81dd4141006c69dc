"""A FastAPI application whose answers outlive a reload of a useChat page: docs/howto/chat-ui.md."""

from __future__ import annotations

import os
from typing import Any

import fastapi
from fastapi.staticfiles import StaticFiles

import millstream
from millstream import ui

app = fastapi.FastAPI()
client = millstream.AsyncClient(base_url=os.environ["OPENAI_BASE_URL"], api_key="k")
answers = ui.Replays()


@app.post("/api/chat")
async def begin(body: dict[str, Any]) -> fastapi.Response:
    stream = client.stream(model="m", messages=ui.messages(body))
    return ui.starlette_response(answers.add(body["id"], ui.ai_sdk(stream)))


@app.get("/api/chat/{id}/stream")
async def go_on(id: str) -> fastapi.Response:
    return ui.starlette_response(answers.resume(id))


@app.delete("/api/chat/{id}")
def stop(id: str) -> dict[str, bool]:
    """On another thread than the readers' loop."""
    return {"stopped": answers.cancel(id)}


app.mount("/react", StaticFiles(directory=os.environ["REACT_PAGE"], html=True))
