"""The soak's server: a process of its own that answers /SEED/NUMBER/... as the plan of it says.

Prints its port. Ends with its standard input.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from typing import cast

from plan import FINISH, Plan, plan_of

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
ERROR_EVENT = b'data: {"error":{"message":"no more","code":"overloaded"}}\n\n'
BROKEN_EVENT = b'data: {"choices":[{]}\n\n'
BEHIND = {"whole": FINISH, "retried": FINISH, "provider": ERROR_EVENT, "broken": BROKEN_EVENT}


class Peer:
    """One connection."""

    def __init__(self, refused: set[str]) -> None:
        self._refused = refused

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer until either side has had enough."""
        try:
            while await self._answer(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has left
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        await reader.readexactly(int(head.lower().partition("content-length: ")[2].split()[0]))
        path = head.split()[1]
        _, seed, number, _ = path.split("/", 3)
        plan = plan_of(int(seed), int(number))
        if plan.ending == "mute":
            return False
        if plan.ending == "status" or (plan.ending == "retried" and self._refuses(path)):
            writer.write(_refusal(plan.status if plan.ending == "status" else 503))
            return True
        return await _stream(plan, reader, writer)

    def _refuses(self, path: str) -> bool:
        """Whether this is the first of the two times that it is asked for."""
        if path in self._refused:
            self._refused.remove(path)
            return False
        self._refused.add(path)
        return True


def _refusal(status: int) -> bytes:
    body = b'{"error":{"message":"no","code":"n"}}'
    return (
        b"HTTP/1.1 %d No\r\nContent-Type: application/json\r\nretry-after-ms: 1\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (status, len(body), body)
    )


async def _stream(plan: Plan, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    body = plan.events() + BEHIND.get(plan.ending, b"")
    framing = plan.framing if plan.ending in BEHIND else "chunked"
    fields = {
        "chunked": b"Transfer-Encoding: chunked\r\n\r\n",
        "length": b"Content-Length: %d\r\n\r\n" % len(body),
        "close": b"Connection: close\r\n\r\n",
    }
    writer.write(HEAD + fields[framing])
    begin = 0
    for end in sorted({*(cut for cut in plan.cuts if 0 < cut < len(body)), len(body)}):
        piece = body[begin:end]
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if framing == "chunked" else piece)
        await writer.drain()
        await asyncio.sleep(0)
        begin = end
    if plan.ending == "stall":
        await reader.read()
    if plan.ending == "reset":
        _reset(writer)
    if plan.ending in ("stall", "reset", "cut"):
        return False
    if framing == "chunked":
        writer.write(b"0\r\n\r\n")
    return framing != "close"


def _reset(writer: asyncio.StreamWriter) -> None:
    """Make the close a reset: what is on its way may be lost."""
    there = cast(socket.socket, writer.get_extra_info("socket"))
    there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def main() -> None:
    """Serve until standard input ends."""
    refused: set[str] = set()
    server = await asyncio.start_server(Peer(refused).serve, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()


asyncio.run(main())
