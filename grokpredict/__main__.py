"""The program: ``grokpredict``, or ``python -m grokpredict``."""

from __future__ import annotations

import sys


def run() -> None:
    """Run the command line; an interrupt is one line from the first import on."""
    try:
        from grokpredict.cli import main
    except KeyboardInterrupt:
        sys.stderr.write("Error: interrupted\n")
        sys.exit(130)
    main()


if __name__ == "__main__":
    run()
