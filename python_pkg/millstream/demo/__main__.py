"""`python -m millstream.demo`: the same as `python -m millstream demo`."""

import sys

from . import main

if __name__ == "__main__":
    sys.exit(main())
