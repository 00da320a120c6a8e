"""`dicomnode train anomaly`: normal studies in, an engine that points at what is not normal out."""

from __future__ import annotations

from typing import Annotated

import typer

from dicomnode.cli.options import ConfigOption
from dicomnode.cli.output import JsonOption
from dicomnode.cli.train import EPILOG, asked_of, start, train_task
from dicomnode.cli.train_feedback import FeedbackOption
from dicomnode.cli.train_options import (
    DataOption,
    DeviceOption,
    EpochsOption,
    FoldsOption,
    FreezeOption,
    InitOption,
    LabelsOption,
    MachineLabelsOption,
    NetworkOption,
    OutOption,
    PreviewOption,
    RecipeOption,
    ReplaceOption,
    ResumeOption,
    RunOption,
    SearchOption,
    SeedOption,
    SetOption,
    SplitOption,
    ThreadsOption,
    TitleOption,
    VersionOption,
)


def add_to(train: typer.Typer) -> None:
    """Add the task to `dicomnode train`."""
    train.command("anomaly", epilog=EPILOG)(anomaly)


def anomaly(  # noqa: PLR0917  typer gives each by its name
    out: OutOption,
    column: Annotated[
        str | None,
        typer.Option("--column", help="Column of the table, or concept of reports: what is normal."),
    ] = None,
    normal: Annotated[
        str | None,
        typer.Option("--normal", help="The label that means normal; else 0, no, normal and the like."),
    ] = None,
    data: DataOption = None,
    from_feedback: FeedbackOption = False,
    labels: LabelsOption = None,
    run: RunOption = None,
    split: SplitOption = None,
    recipe: RecipeOption = None,
    sets: SetOption = None,
    network: NetworkOption = None,
    epochs: EpochsOption = None,
    seed: SeedOption = None,
    folds: FoldsOption = None,
    resume: ResumeOption = False,
    replace: ReplaceOption = False,
    init: InitOption = None,
    freeze: FreezeOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = 0,
    title: TitleOption = None,
    version: VersionOption = "1.0.0",
    preview: PreviewOption = None,
    search: SearchOption = 0,
    machine_labels: MachineLabelsOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Learn what is normal, and give a score and a map of what is not (autoencoder, vae).

    Needs: normal studies of at least four patients; others are used to judge it alone. Without --column a
    study is normal where no lesion is outlined in it. The threshold is set on normal patients whom the
    network has not seen.
    """
    asked = asked_of(locals())
    start(asked)
    from dicomnode.learn import AnomalyJob

    return train_task("anomaly", asked, lambda how, known: AnomalyJob.of(how, known, column, normal))
