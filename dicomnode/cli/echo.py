"""`dicomnode echo AE@HOST:PORT`: C-ECHO to a peer."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from dicomnode.cli.options import checked_ae_title, parse_peer
from dicomnode.cli.output import JsonOption, print_json

EPILOG = "EXIT STATUS: 0 the peer answers, 2 usage, 13 it does not."


def echo(
    peer: Annotated[str, typer.Argument(metavar="AE@HOST:PORT", help="The peer.")],
    calling_ae: Annotated[str, typer.Option("--calling-ae", help="AE title to call with.")] = "DICOMNODE",
    as_json: JsonOption = False,
) -> None:
    """Ask a peer whether it answers (Verification, C-ECHO)."""
    from dicomnode.net import echo as send_echo

    target = parse_peer(peer)
    checked_ae_title(calling_ae)
    began = time.perf_counter()
    send_echo(target, calling_ae)
    took_ms = (time.perf_counter() - began) * 1000
    if as_json:
        print_json({"schema": 1, "peer": peer, "answers": True, "ms": round(took_ms, 1)})
    else:
        typer.echo(f"{peer} answers ({took_ms:.0f} ms).")


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog=EPILOG)(echo)
