"""`dicomnode engine export NAME --triton FOLDER`: the networks of an engine for an inference server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dicomnode.cli.engine_named import named_engine, usual_settings
from dicomnode.cli.options import ConfigOption
from dicomnode.cli.output import JsonOption, print_json
from dicomnode.faults import EXIT_DONE

EPILOG = (
    "EXIT STATUS: 0 done, 1 the folder cannot be written, 2 usage, 12 the engine is missing, or its networks "
    "are not those of its engine.toml."
)


def export(
    name: Annotated[str, typer.Argument(help="Name of the engine.")],
    triton: Annotated[
        Path,
        typer.Option("--triton", metavar="FOLDER", help="Model repository of a Triton Inference Server."),
    ],
    path: Annotated[
        Path | None, typer.Option("--path", help="Its folder, if it is not a shipped one.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Write the networks of an engine into a model repository; other models and versions there stay."""
    from dicomnode.engine.export import export_to_triton

    folders = export_to_triton(named_engine(name, path, usual_settings(config)), triton)
    if as_json:
        print_json({"schema": 1, "engine": name, "models": [str(folder) for folder in folders]})
        return EXIT_DONE
    for folder in folders:
        typer.echo(str(folder))
    if not folders:
        typer.echo(f"{name} has no networks: nothing to export.")
    return EXIT_DONE


def add_to(app: typer.Typer) -> None:
    """Give `dicomnode engine` this verb."""
    app.command("export", epilog=EPILOG)(export)
