"""`dicomnode train view-check`: films of drawn patients, nobody labels them, and an engine comes out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dicomnode.cli.output import JsonOption, bars, print_table
from dicomnode.cli.train_drawn import course_document, figure, finish, order_of, start, watch_of
from dicomnode.cli.train_drawn_options import (
    BatchOption,
    CalibratedOption,
    DrawnOption,
    JudgedOption,
    MinutesOption,
    PatientsOption,
    StepsOption,
    ThreadsOption,
)
from dicomnode.cli.train_options import (
    OutOption,
    ReplaceOption,
    ResumeOption,
    RunOption,
    TitleOption,
    VersionOption,
)

if TYPE_CHECKING:
    from dicomnode.learn.views.judging import Table
    from dicomnode.learn.views.making import Trained

EPILOG: Final = (
    "EXIT STATUS: 0 trained, 1 it failed, 2 usage, or a folder that is taken, 4 it was stopped by --minutes "
    "and goes on with --resume, 11 the disk is full, 12 the network cannot become an engine, or torch is not "
    "installed."
)
_SHOWN: Final = ("area_under_the_roc_curve", "sensitivity", "specificity", "ece")

FilmsOption = Annotated[int, typer.Option("--films", help="Films of each patient of the last two.")]


def view_check(  # noqa: PLR0917  typer gives each by its name
    out: OutOption,
    patients: PatientsOption = 64,
    calibrated: CalibratedOption = 24,
    judged: JudgedOption = 40,
    films: FilmsOption = 30,
    steps: StepsOption = 3_000,
    batch: BatchOption = 24,
    minutes: MinutesOption = None,
    seed: DrawnOption = 0,
    run: RunOption = None,
    resume: ResumeOption = False,
    replace: ReplaceOption = False,
    threads: ThreadsOption = 1,
    title: TitleOption = None,
    version: VersionOption = "1.0.0",
    as_json: JsonOption = False,
) -> int:
    """Learn to tell how a chest radiograph lies, from films of patients that are drawn.

    View, quarter turns, mirroring, inversion, and what of the lungs is cut off: nobody labels anything.
    Killed, or stopped by --minutes, it goes on by the same command with --resume, to the same weights.
    """
    given = dict(locals())
    start(out, replace=replace, resume=resume)
    from dicomnode.learn.views.making import train_views
    from dicomnode.learn.views.order import Order

    order = order_of(Order, given, "View check of chest radiographs")
    with bars(quiet=as_json) as progress:
        trained = train_views(order, watch_of(given, progress, order.steps, (order.batch, "films")))
    return finish(_document(trained), _print, as_json=as_json)


def _document(trained: Trained) -> dict[str, Any]:
    """Return what `--json` prints."""
    package, table = trained.package, trained.table
    digest = None if package is None else package.digest
    return {
        **course_document(trained.order, trained.learned, digest, ("patients", "steps")),
        "temperatures": list(trained.temperatures),
        "figures": None if table is None else _figures(table),
    }


def _figures(table: Table) -> dict[str, Any]:
    return {
        "pictures": table.pictures,
        "patients": table.patients,
        "answers": [
            {
                "name": line.name,
                "asked": line.asked,
                "there": line.there,
                **{name.lower().replace(" ", "_"): figure(one) for name, one in line.figures.items()},
            }
            for line in table.lines
        ],
        "accuracy": {name: figure(one) for name, one in table.whole.items()},
        "confusion_of_view": [list(row) for row in table.confusion],
        "severity": {
            name: [
                {"from_mm": low, "to_mm": high, "pictures": count, "called": called}
                for low, high, count, called in found
            ]
            for name, found in table.severity.items()
        },
    }


def _print(figures: Mapping[str, Any]) -> None:
    rows = [
        (one["name"], one["asked"], one["there"], *(one[name]["value"] for name in _SHOWN))
        for one in figures["answers"]
    ]
    print_table(
        f"On {figures['pictures']} films of {figures['patients']} held-out phantoms",
        ("answer", "of", "true of", "area", "sensitivity", "specificity", "ECE"),
        rows,
    )


def add_to(train: typer.Typer) -> None:
    """Add the task to `dicomnode train`."""
    train.command("view-check", epilog=EPILOG)(view_check)
