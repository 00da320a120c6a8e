"""`dicomnode init`: write a commented dicomnode.toml, or print the peer's side of the configuration."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dicomnode.cli.options import config_path
from dicomnode.cli.output import console
from dicomnode.faults import FILE_NOT_WRITTEN, USAGE, NodeError

EPILOG = (
    "EXIT STATUS: 0 done, 1 the file cannot be written, 2 it exists already, 10 the configuration named by "
    "--config is wrong."
)


class PeerKind(StrEnum):
    """Archives whose side of the configuration can be printed."""

    ORTHANC = "orthanc"
    DCM4CHEE = "dcm4chee"


def init(
    config: Annotated[Path, typer.Option("--config", "-c", help="File to write.")] = Path("dicomnode.toml"),
    peer: Annotated[
        PeerKind | None,
        typer.Option(
            "--for", help="Print what the archive needs (entry and auto-routing rule); write nothing."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that exists.")] = False,
) -> None:
    """Write a commented configuration; with --for, print the archive's side of it."""
    from dicomnode.settings import Settings, load_settings, peer_side, template

    if peer is not None:
        path = config_path(config if config.exists() else None)
        settings = load_settings(path) if path.exists() else Settings()
        typer.echo(peer_side(peer.value, settings))
        return
    if os.path.lexists(config) and not force:
        raise NodeError(USAGE, problem=f"{config} exists already; --force writes over it")
    try:
        config.write_text(template(), encoding="utf-8")
    except OSError as error:
        raise NodeError(FILE_NOT_WRITTEN, path=config, error=error.strerror or error) from error
    console.print(f"Wrote {config}. Next:", markup=False)
    console.print("  1. set [[sender]] and [[destination]] in it", markup=False)
    console.print(f"  2. dicomnode check --config {config} --probe", markup=False)
    console.print(f"  3. dicomnode serve --config {config}", markup=False)
    console.print(
        "dicomnode init --for orthanc, or dcm4chee, prints what to set at the archive.", markup=False
    )


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog=EPILOG)(init)
