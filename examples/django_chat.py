"""A streaming chat page on Django's ASGI handler: `uvicorn django_chat:application`."""

import json
import os

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import path

import millstream
from millstream import ui

client = millstream.AsyncClient("openai", base_url=os.environ.get("OPENAI_BASE_URL"))


async def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(ui.page("/chat"))


async def chat(request: HttpRequest) -> HttpResponseBase:
    messages = ui.messages(json.loads(request.body))
    return ui.django_response(ui.sse(client.stream(model="gpt-5-mini", messages=messages)))


urlpatterns = [path("", page), path("chat", chat)]
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"])
application = get_asgi_application()
