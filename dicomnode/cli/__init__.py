"""The command `dicomnode`: one module a verb, an operator's tool."""

from __future__ import annotations

import sys

_INTERRUPTED = 130  # faults.EXIT_INTERRUPTED, which may not be loaded yet

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit; Ctrl-C ends it without a traceback from its first import on."""
    try:
        from dicomnode.cli.app import main as run

        run(arguments)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(_INTERRUPTED)
