"""`dicomnode train multitask`: one network that outlines, tells classes and estimates numbers at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from dicomnode.cli.train import EPILOG, Asked, task, train_task, unit_of

if TYPE_CHECKING:
    from dicomnode.values import Code


def add_to(train: typer.Typer) -> None:
    """Add the task to `dicomnode train`."""
    train.command("multitask", epilog=EPILOG)(multitask)


@task
def multitask(
    asked: Asked,
    structure: Annotated[
        list[str] | None, typer.Option("--structure", help="Name of what is outlined; several may be given.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option("--column", help="Column of the table, or concept of reports: classes; several may be."),
    ] = None,
    number: Annotated[
        list[str] | None,
        typer.Option(
            "--number",
            metavar="COLUMN=UNIT",
            help="Column of numbers, with its unit in UCUM: age=a; 1 for a number without.",
        ),
    ] = None,
) -> int:
    """Learn to answer several questions with one network: outlines, classes and numbers.

    Needs: two questions at least; studies with SEG or RTSTRUCT of the structures, a table (--labels) with the
    columns, or reports (SR), of at least three patients. Studies may know some of the answers only: what is
    not known teaches nothing. Findings that do not exclude each other are a column each.
    """
    from dicomnode.learn import MultitaskJob, WantedAnswers

    wanted = WantedAnswers(structures=structure or (), columns=column or (), numbers=_numbers(number or ()))
    return train_task("multitask", asked, lambda how, known: MultitaskJob.of(how, known, wanted))


def _numbers(texts: Sequence[str]) -> list[tuple[str, Code]]:
    """Read COLUMN=UNIT; without a unit it is a number without. Raises NodeError(USAGE)."""
    parts = [text.rpartition("=") if "=" in text else (text, "=", "1") for text in texts]
    return [(column, unit_of("--number", unit)) for column, _, unit in parts]
