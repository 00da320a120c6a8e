"""Asking before something is done to many studies: counts are shown, and their number is typed."""

from __future__ import annotations

import sys

import typer

from dicomnode.cli.output import console
from dicomnode.faults import USAGE, NodeError


def require_consent(what: str, count: int, given: int | None, option: str) -> None:
    """Ask twice on a terminal; elsewhere the number of studies must have been given, as it is now.

    what: what is done, as "take back 12 objects of 3 studies". given: by `option`.
    Raises NodeError(USAGE) and typer.Abort: nothing is done then.
    """
    if given is not None:
        if given != count:
            raise NodeError(
                USAGE, problem=f"{option} says {given}, and {count} are concerned: nothing is done"
            )
        return
    if not (sys.stdin.isatty() and console.is_terminal):
        problem = f"This would {what}. Nothing is done without being asked: add {option} {count}"
        raise NodeError(USAGE, problem=problem)
    typer.confirm(f"This will {what}. Go on?", abort=True, err=True)
    if typer.prompt("Type the number of studies", type=int, err=True) != count:
        raise NodeError(USAGE, problem=f"{count} are concerned: nothing is done")
