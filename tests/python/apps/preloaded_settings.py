"""gunicorn's settings for the preloaded site: its master reads on when the workers are gone."""

from __future__ import annotations


def on_exit(server: object) -> None:
    from apps.preloaded_site import held

    print("held in the master:", held.result().text, flush=True)
