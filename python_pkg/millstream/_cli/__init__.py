"""The command line, an extra: it alone needs `click`. The demonstration works without.

Exit codes: 0 done, 1 an error, 2 wrong arguments or no click, 130 Ctrl-C, 141 whoever read the
output has gone.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command that the arguments name, and exit."""
    try:
        import click  # noqa: F401
    except ModuleNotFoundError:
        if sys.argv[1:2] == ["demo"]:
            from ..demo import main as demo

            sys.exit(demo(sys.argv[2:]))
        print("millstream: the command line needs: pip install millstream[cli]", file=sys.stderr)
        sys.exit(2)
    from ._commands import run

    sys.exit(run())
