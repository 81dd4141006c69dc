"""The options of the commands that ask models: which provider, where, by which key, for what."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import click

from .. import Client, Error
from .._providers import PROVIDERS

_F = TypeVar("_F", bound=Callable[..., Any])


def _pairs(
    context: click.Context, parameter: click.Parameter, lines: tuple[str, ...]
) -> dict[str, str]:
    pairs = {}
    for line in lines:
        name, equals, value = line.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{line!r} is not of the form NAME=VALUE")
        pairs[name] = value
    return pairs


def _params(
    context: click.Context, parameter: click.Parameter, lines: tuple[str, ...]
) -> dict[str, Any]:
    given = _pairs(context, parameter, lines)
    for name in {"model", "messages", "system"} & {*given}:
        raise click.BadParameter(f"{name!r} has its own place, not here")
    return {name: _value(text) for name, text in given.items()}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _complete_provider(context: click.Context, parameter: click.Parameter, begin: str) -> list[str]:
    return [name for name in sorted(PROVIDERS) if name.startswith(begin)]


def of_client(*option_names: str, model_required: bool) -> Callable[[_F], _F]:
    """Decorate a command with them: provider, base_url, model, api_key, system, params, options.

    option_names: how the last one is called.
    """
    options = (
        click.option(
            "-P",
            "--provider",
            envvar="MILLSTREAM_PROVIDER",
            show_envvar=True,
            default="openai",
            show_default=True,
            shell_complete=_complete_provider,
            help="A provider's name.",
        ),
        click.option(
            "--base-url",
            envvar="MILLSTREAM_BASE_URL",
            show_envvar=True,
            metavar="URL",
            help="Another server, with its version path.",
        ),
        click.option(
            "-m",
            "--model",
            envvar="MILLSTREAM_MODEL",
            show_envvar=True,
            required=model_required,
            help="The model's name.",
        ),
        click.option(
            "--api-key",
            envvar="MILLSTREAM_API_KEY",
            show_envvar=True,
            metavar="KEY",
            help="Default: the provider's own variable, which other users cannot see.",
        ),
        click.option(
            "-s", "--system", metavar="TEXT", help="Instructions before the conversation."
        ),
        click.option(
            "-p",
            "--param",
            "params",
            multiple=True,
            metavar="NAME=VALUE",
            callback=_params,
            help="What else is asked: temperature=0.2, max_tokens=500, or any field of the "
            "provider's, as JSON.",
        ),
        click.option(
            *option_names,
            "options",
            multiple=True,
            metavar="NAME=VALUE",
            callback=_pairs,
            help="What the provider's address needs: region=eu-west-1.",
        ),
    )

    def decorate(function: _F) -> _F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def client_of(
    provider: str,
    base_url: str | None,
    api_key: str | None,
    options: dict[str, str],
    timeout: float | None,
) -> Client:
    """The client that they describe; what they cannot describe is a wrong argument."""
    try:
        return Client(
            provider, base_url=base_url, api_key=api_key, timeout=timeout,
            options=options or None,  # type: ignore[arg-type]  # checked there
        )  # fmt: skip
    except (ValueError, TypeError) as error:
        if isinstance(error, Error):
            raise
        raise click.UsageError(str(error)) from None
