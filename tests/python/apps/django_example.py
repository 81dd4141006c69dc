"""examples/django_chat.py, and what the tests ask it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.urls import path

from apps.facts import MESSAGES, facts
from django_chat import application, client, urlpatterns
from millstream import ui

__all__ = ["application"]


async def tell(request: HttpRequest) -> JsonResponse:
    return JsonResponse(facts())


async def silent(request: HttpRequest) -> HttpResponseBase:
    stream = client.stream(model="m", messages=MESSAGES)
    return ui.django_response(ui.sse(stream, keep_alive=None))


urlpatterns += [path("facts", tell), path("silent", silent)]
