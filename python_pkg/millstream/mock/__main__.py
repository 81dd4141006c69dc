"""`python -m millstream.mock`: the mock model server from a shell."""

from __future__ import annotations

import argparse
import os
import runpy
import select
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Any

from . import Answer, Error, Replay, Script, Server

_EPILOG = """\
exit codes: 0 stopped by SIGTERM or the end of standard input; {interrupted} by SIGINT; 1 cannot
listen, or cannot read a file; 2 wrong arguments. The only line on standard output is the URL, which
is OpenAI's base URL; without its /v1 it is the server's origin, for other providers' clients."""


def _parser(prog: str, interrupted: int) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="A model server for tests: prints its base URL, and answers until stopped. "
        "Without --text, --replay, --error or --script the request's model name says what is "
        "answered.",
        epilog=_EPILOG.format(interrupted=interrupted),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument(
        "--pace", type=float, default=0.0, metavar="SECONDS", help="between chunks (%(default)s)"
    )
    parser.add_argument(
        "--first", type=float, default=0.0, metavar="SECONDS", help="before the first chunk"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--text", help="answer every request with this text")
    what.add_argument("--replay", metavar="FILE", help="answer with the bytes of a recorded stream")
    what.add_argument("--error", type=int, metavar="STATUS", help="answer with this HTTP error")
    what.add_argument(
        "--script",
        metavar="FILE",
        help="a Python file that defines `script`, for mock.Server",
    )
    parser.add_argument(
        "--pieces", type=_pieces, metavar="N|random", help="bytes a piece of --replay (all at once)"
    )
    parser.add_argument("--api-key", metavar="KEY", help="demand this key")
    parser.add_argument(
        "--until-stdin-closes",
        action="store_true",
        help="stop when standard input ends: a parent that dies leaves no server behind",
    )
    return parser


def _pieces(text: str) -> str | int:
    if text == "random":
        return text
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number of bytes nor 'random'")
    return int(text)


def _script(options: argparse.Namespace) -> Script:
    if options.script is not None:
        script: Script = _defined_by(options.script)
        return script
    if options.error is not None:
        return Error(options.error)
    if options.replay is not None:
        return Replay(options.replay, sizes=options.pieces)
    return None if options.text is None else Answer(options.text)


def _defined_by(file: str) -> Any:
    names = runpy.run_path(file)
    if "script" not in names:
        raise ValueError(f"{file} defines no `script`")
    return names["script"]


def wait(until_stdin_closes: bool) -> None:
    """Until the handler of a signal raises, or standard input ends.

    A signal may come just before the wait: it leaves a byte, so that it is not slept over.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        try:
            watched = [ours.fileno(), *([0] if until_stdin_closes else [])]
            while True:
                ready = select.select(watched, [], [])[0]
                if ours.fileno() in ready:
                    ours.recv(4096)
                if 0 in ready and not os.read(0, 65536):
                    return
        finally:
            signal.set_wakeup_fd(-1)


def main(
    arguments: Sequence[str] | None = None,
    prog: str = "python -m millstream.mock",
    interrupted: int = 0,
) -> int:
    """Runs the command, whose name is `prog`; returns its exit code, `interrupted` by SIGINT."""
    parser = _parser(prog, interrupted)
    options = parser.parse_args(arguments)
    if options.pieces is not None and options.replay is None:
        parser.error("--pieces needs --replay")
    signal.signal(signal.SIGINT, lambda *_: sys.exit(interrupted))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        server = Server(
            _script(options),
            pace=options.pace,
            first=options.first,
            api_key=options.api_key,
            host=options.host,
            port=options.port,
        )
        with server as url:
            print(url, flush=True)
            wait(options.until_stdin_closes)
    except (ValueError, TypeError) as why:
        parser.error(str(why))
    except OSError as why:
        print(f"{parser.prog}: {why}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
