"""An answer as both servers put it on the wire: its head, and its body in pieces."""

from __future__ import annotations

from collections.abc import Mapping

from ..mock._reply import head_of

LAST_CHUNK = b"0\r\n\r\n"


class Framing:
    """How a body says where it ends: by its length where a header names it, else chunked."""

    def __init__(self, method: str, status: int, headers: Mapping[str, str]) -> None:
        has_body = method != "HEAD" and status not in (204, 304)
        self._chunked = has_body and "content-length" not in headers

    def head(self, status: int, headers: Mapping[str, str], keeps: bool) -> bytes:
        """The status line and the headers. keeps: the connection is for further requests."""
        fields = dict(headers)
        if self._chunked:
            fields["transfer-encoding"] = "chunked"
        if not keeps:
            fields["connection"] = "close"
        return head_of(status, fields)

    def piece(self, content: bytes) -> bytes:
        """A piece of the body: one HTTP chunk (RFC 9112, 7.1)."""
        return b"%x\r\n%b\r\n" % (len(content), content) if self._chunked else content

    @property
    def last(self) -> bytes:
        """What tells that the body is whole."""
        return LAST_CHUNK if self._chunked else b""
