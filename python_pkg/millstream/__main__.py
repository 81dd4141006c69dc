"""`python -m millstream`: the command line, as the `millstream` script runs it."""

from ._cli import main

if __name__ == "__main__":
    main()
