"""The options that all tasks of `dicomnode train` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

DataOption = Annotated[
    list[Path] | None,
    typer.Option("--data", metavar="DIR", help="Folder of DICOM studies with their labels.", exists=True),
]
LabelsOption = Annotated[
    Path | None,
    typer.Option(
        "--labels", metavar="FILE.csv", help="Table of labels: a column of UIDs or files, the others labels."
    ),
]
LesionsOption = Annotated[
    Path | None,
    typer.Option(
        "--lesions",
        metavar="FILE.csv",
        help="Lesions, a row each: seriesuid, coordX, coordY, coordZ, diameter_mm; of pictures column, row.",
    ),
]
ColumnOption = Annotated[
    str, typer.Option("--column", help="Column of the table, or name of a concept in reports.")
]
OutOption = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="Folder of the engine; its last part is its name.")
]
RunOption = Annotated[
    Path | None,
    typer.Option("--run", metavar="DIR", help="Folder of the training itself; default: OUT with .training."),
]
SplitOption = Annotated[
    Path | None,
    typer.Option(
        "--split",
        metavar="FILE",
        help="Which patient is in which part, kept for good; default: split.json in the folder of --data.",
    ),
]
RecipeOption = Annotated[
    Path | None,
    typer.Option(
        "--recipe",
        metavar="NAME|FILE.toml",
        help="One that ships (`dicomnode train recipes`), or your own; the options come before it.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A key of the recipe, such as patch_kji=[64,96,96]."),
]
NetworkOption = Annotated[str | None, typer.Option("--network", help="Network; see docs/training.md.")]
EpochsOption = Annotated[int | None, typer.Option("--epochs", help="Epochs at most.")]
SeedOption = Annotated[int | None, typer.Option("--seed", help="Seed of all that is drawn.")]
FoldsOption = Annotated[
    int | None, typer.Option("--folds", help="Cross-validation with so many parts first.")
]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on with a training that was stopped.")]
ReplaceOption = Annotated[bool, typer.Option("--replace", help="Put it in the place of an engine.")]
InitOption = Annotated[
    Path | None,
    typer.Option(
        "--init",
        help="Begin from an engine folder of `train`, its weights.pt, or a file of torchvision's weights.",
    ),
]
CompareInitOption = Annotated[
    bool, typer.Option("--compare-init", help="Train without --init, too: the card has the figures of both.")
]
FreezeOption = Annotated[
    Literal["encoder", "all-but-head"] | None,
    typer.Option("--freeze", help="What of --init stays as it is: encoder or all-but-head."),
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
ThreadsOption = Annotated[
    int,
    typer.Option("--threads", help="Threads of the CPU; 0: all. With 1 a training repeats to the last bit."),
]
TitleOption = Annotated[str | None, typer.Option("--title", help="What people read of the engine.")]
VersionOption = Annotated[str, typer.Option("--version", help="Version of the engine.")]
PreviewOption = Annotated[
    Path | None,
    typer.Option(
        "--preview", metavar="FILE.png", help="Write what the network would see, and train nothing."
    ),
]
MachineLabelsOption = Annotated[
    bool, typer.Option("--machine-labels", help="Learn from what machines made and nobody verified, too.")
]
SearchOption = Annotated[
    int, typer.Option("--search", help="Try so many recipes first (Optuna), and train the best.", min=0)
]
