"""A Starlette application that hands a model's answer on to the browser as it comes."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

import millstream

client = millstream.AsyncClient(base_url=os.environ["UPSTREAM"], api_key="k", max_retries=0)


async def answer(request: Request) -> StreamingResponse:
    question = request.path_params["question"]

    async def body() -> AsyncIterator[str]:
        # Starlette cancels the task that runs this when the browser has gone.
        messages = [{"role": "user", "content": question}]
        async with client.stream(model="m", messages=messages) as stream:
            async for text in stream.texts():
                yield text

    return StreamingResponse(body(), media_type="text/plain")


app = Starlette(routes=[Route("/ask/{question}", answer)])
