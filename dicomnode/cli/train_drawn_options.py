"""The options that tasks of `dicomnode train` share whose patients are drawn: one name, one help text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

BackgroundsOption = Annotated[
    Path | None,
    typer.Option("--backgrounds", metavar="DIR", help="Real chest CTs as texture.", exists=True),
]
WorldsOption = Annotated[int, typer.Option("--worlds", help="Drawn patients to learn from.")]
PatientsOption = Annotated[int, typer.Option("--patients", help="Drawn patients to learn from.")]
ChestsOption = Annotated[int, typer.Option("--chests", help="Drawn patients to learn from.")]
CalibratedOption = Annotated[int, typer.Option("--calibrated", help="Drawn patients to calibrate on.")]
JudgedOption = Annotated[int, typer.Option("--judged", help="Drawn patients to judge on.")]
HeldOutOption = Annotated[
    int, typer.Option("--judged", help="Drawn patients to calibrate on, and as many to judge on.")
]
StepsOption = Annotated[int, typer.Option("--steps", help="Steps of the training.")]
BatchOption = Annotated[int, typer.Option("--batch", help="Patches, scans or films a step.")]
TreesOption = Annotated[int, typer.Option("--trees", help="Trees of a forest.")]
MinutesOption = Annotated[
    float | None,
    typer.Option("--minutes", help="Stop learning once so many are over; --resume goes on.", min=0.0),
]
DrawnOption = Annotated[int, typer.Option("--seed", help="Seed of all that is drawn.")]
KeptOption = Annotated[
    Path | None,
    typer.Option(
        "--run",
        metavar="DIR",
        help="Where what was drawn and measured is kept, and found again; default: OUT with .training.",
    ),
]
WorkersOption = Annotated[int, typer.Option("--workers", help="Processes that draw, each a core; 0: none.")]
ThreadsOption = Annotated[
    int, typer.Option("--threads", help="Threads of the CPU; with 1 it repeats to the last bit, 0: all.")
]
