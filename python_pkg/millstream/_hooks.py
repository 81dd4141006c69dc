"""Which hooks a stream has. Nothing of it costs a stream that has none."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .hooks import OnEvent

# Of all clients of the process: what `millstream.otel.instrument()` without a client adds.
of_process: tuple[OnEvent, ...] = ()


def checked(on_event: object) -> tuple[OnEvent, ...]:
    """The argument `on_event`: a callable, or several."""
    if on_event is None:
        return ()
    many = isinstance(on_event, (list, tuple)) and not callable(on_event)
    given: tuple[OnEvent, ...] = tuple(on_event) if many else (on_event,)  # type: ignore[arg-type, assignment]
    for hook in given:
        if not callable(hook):
            raise TypeError(f"on_event: must be callable, not {hook!r}")
        if _is_async(hook):
            raise TypeError("on_event: must not be async: it is called, and nobody would await it")
    return given


def _is_async(hook: OnEvent) -> bool:
    from inspect import iscoroutinefunction

    return iscoroutinefunction(hook) or iscoroutinefunction(getattr(type(hook), "__call__", None))  # noqa: B004


def of_stream(of_client: tuple[OnEvent, ...]) -> tuple[OnEvent, ...]:
    """The hooks of a stream that starts now, the log among them where it is on."""
    return (*of_client, *of_process, *_log())


def _log() -> tuple[OnEvent, ...]:
    """The log is on when the logger "millstream" has a level of its own."""
    logging = sys.modules.get("logging")  # who has not imported it has set no level
    if logging is None:
        return ()
    logger = logging.Logger.manager.loggerDict.get("millstream")
    if not getattr(logger, "level", 0):
        return ()
    from ._log import log

    return (log,)
