"""examples/django_chat.py, and its facts."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.urls import path

from apps.facts import facts
from django_chat import application, urlpatterns

__all__ = ["application"]


async def tell(request: HttpRequest) -> JsonResponse:
    return JsonResponse(facts())


urlpatterns.append(path("facts", tell))
