"""A back end for the AI SDK's `useChat`, and a page, on FastAPI: `uvicorn fastapi_chat:app`."""

import os
from typing import Any

import fastapi
from fastapi.responses import HTMLResponse

import millstream
from millstream import ui

app = fastapi.FastAPI()
client = millstream.AsyncClient("openai", base_url=os.environ.get("OPENAI_BASE_URL"))


@app.get("/", response_class=HTMLResponse)
async def page() -> str:
    return ui.page("/api/chat")


@app.post("/api/chat")
async def chat(body: dict[str, Any]) -> fastapi.Response:
    stream = client.stream(model="gpt-5-mini", messages=ui.messages(body))
    return ui.starlette_response(ui.ai_sdk(stream))
