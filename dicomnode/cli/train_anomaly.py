"""`dicomnode train anomaly`: normal studies in, an engine that points at what is not normal out."""

from __future__ import annotations

from typing import Annotated

import typer

from dicomnode.cli.train import EPILOG, Asked, task, train_task


def add_to(train: typer.Typer) -> None:
    """Add the task to `dicomnode train`."""
    train.command("anomaly", epilog=EPILOG)(anomaly)


@task
def anomaly(
    asked: Asked,
    column: Annotated[
        str | None,
        typer.Option("--column", help="Column of the table, or concept of reports: what is normal."),
    ] = None,
    normal: Annotated[
        str | None,
        typer.Option("--normal", help="The label that means normal; else 0, no, normal and the like."),
    ] = None,
) -> int:
    """Learn what is normal, and give a score and a map of what is not (autoencoder, vae).

    Needs: normal studies of at least four patients; others are used to judge it alone. Without --column a
    study is normal where no lesion is outlined in it. The threshold is set on normal patients whom the
    network has not seen.
    """
    from dicomnode.learn import AnomalyJob

    return train_task("anomaly", asked, lambda how, known: AnomalyJob.of(how, known, column, normal))
