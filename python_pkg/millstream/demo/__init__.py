"""The demonstration: an answer streamed into the terminal, or a chat page in the browser.

    python -m millstream demo [--prompt TEXT] [--pace SECONDS]
    python -m millstream demo --web [--provider NAME] [--model NAME] [--port PORT] ...

The terminal needs no other package; the page needs `pip install millstream[web]`.
"""

from __future__ import annotations

import argparse
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_PROMPT = "Why is a mill beside a stream?"
_PORT = 8484
_INTERRUPTED = 128 + 2  # as a shell shows a program that SIGINT ended

_EPILOG = """\
Without --provider and --base-url the mock server that is part of the package answers. A key is
taken from the provider's environment variable, such as OPENAI_API_KEY.
Exit codes: 0 done, also by Ctrl-C where a page is served; 1 an error, 2 wrong arguments or a
package is missing, 130 Ctrl-C."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="millstream demo",
        description="Streams an answer into the terminal, or (--web) serves a chat page.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--web", action="store_true", help="serve a chat page")
    parser.add_argument(
        "--pace", type=float, default=0.03, help="of the mock: seconds between chunks (%(default)s)"
    )
    terminal = parser.add_argument_group("in the terminal")
    terminal.add_argument("--prompt", default=_PROMPT, help="what is asked")
    page = parser.add_argument_group("with --web")
    page.add_argument("--provider", metavar="NAME", help="see docs/reference/providers.md")
    page.add_argument("--base-url", metavar="URL", help="of any server; its provider: openai")
    page.add_argument("--model", metavar="NAME", help="needed with a provider or base URL")
    page.add_argument("--tools", action="store_true", help="offer a provider's model two tools")
    page.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    page.add_argument(
        "--port", type=int, default=_PORT, help="%(default)s; 0 takes a free one", metavar="PORT"
    )
    page.add_argument("--open", action="store_true", help="open the page in a browser")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demonstration; return the exit code."""
    parser = _parser()
    options = parser.parse_args(argv)
    if not options.pace >= 0:
        parser.error("--pace must be 0 or more seconds")
    if not 0 <= options.port <= 65535:
        parser.error("--port must be 0 to 65535")
    if (options.provider or options.base_url) and not options.model:
        parser.error("--model is needed: which of the provider's models?")
    if options.web:
        return _serve(options)
    from ._terminal import show

    try:
        return show(options.prompt, options.pace)
    except KeyboardInterrupt:
        return _INTERRUPTED


def _serve(options: argparse.Namespace) -> int:
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ModuleNotFoundError:
        print("demo: the chat page needs: pip install millstream[web]", file=sys.stderr)
        return 2
    from ._web import serve

    return serve(options)
