"""The command line, an extra: it alone needs `click` and `rich`. The demonstration works without.

Its exit codes are those of `_commands`; without the extra it is 2.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec


def main() -> None:
    """Run the command that the arguments name, and exit."""
    _open_what_is_closed()
    if not (find_spec("click") and find_spec("rich")):
        if sys.argv[1:2] == ["demo"]:
            from ..demo import main as demo

            sys.exit(demo(sys.argv[2:]))
        print("millstream: the command line needs: pip install millstream[cli]", file=sys.stderr)
        sys.exit(2)
    from ._commands import run

    sys.exit(run())


def _open_what_is_closed() -> None:
    """Of a standard stream that is closed (`>&-`) Python makes None, and a socket its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115
