"""`dicomnode train view-check`: films of drawn patients, nobody labels them, and an engine comes out."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dicomnode.cli.options import threads as usable_threads
from dicomnode.cli.output import JsonOption, bars, console, print_json, print_table
from dicomnode.cli.train_options import (
    OutOption,
    ReplaceOption,
    ResumeOption,
    RunOption,
    TitleOption,
    VersionOption,
)
from dicomnode.cli.writing import require_writable
from dicomnode.faults import ENGINE_EXISTS, EXIT_DONE, USAGE, NodeError

if TYPE_CHECKING:
    from dicomnode.evaluate import Interval
    from dicomnode.learn.views.making import Trained
    from dicomnode.learn.views.order import Order
    from dicomnode.learn.views.training import Row

EPILOG: Final = (
    "EXIT STATUS: 0 trained, 1 it failed, 2 usage, or a folder that is taken, 11 the disk is full, 12 the "
    "network cannot become an engine, or torch is not installed."
)
_LONGEST_NAME: Final = 64

PatientsOption = Annotated[int, typer.Option("--patients", help="Drawn patients to learn from.")]
CalibratedOption = Annotated[
    int, typer.Option("--calibrated", help="Drawn patients to fit probabilities to.")
]
JudgedOption = Annotated[int, typer.Option("--judged", help="Drawn patients to judge on.")]
FilmsOption = Annotated[int, typer.Option("--films", help="Films of each patient of the last two.")]
StepsOption = Annotated[int, typer.Option("--steps", help="Steps of the training.")]
BatchOption = Annotated[int, typer.Option("--batch", help="Films a step.")]
DrawnOption = Annotated[int, typer.Option("--seed", help="Seed of all that is drawn.")]
ThreadsOption = Annotated[
    int, typer.Option("--threads", help="Threads of the CPU; with 1 it repeats to the last bit, 0: all.")
]


def view_check(  # noqa: PLR0917  typer gives each by its name
    out: OutOption,
    patients: PatientsOption = 64,
    calibrated: CalibratedOption = 24,
    judged: JudgedOption = 40,
    films: FilmsOption = 30,
    steps: StepsOption = 3_000,
    batch: BatchOption = 24,
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
    Killed, it goes on with --resume: patients that are drawn, and weights once they are learned, are kept.
    """
    given = dict(locals())
    _start(out, replace=replace, resume=resume)
    from dicomnode.learn.views.making import train_views
    from dicomnode.learn.views.training import Watch

    order = _order(given)
    with bars(quiet=as_json) as progress:
        tell = _told(order.steps, quiet=as_json)
        watch = Watch(tell=tell, clock=time.process_time, progress=progress)
        trained = train_views(order, watch)
    document = _document(trained)
    if as_json:
        print_json(document)
    else:
        _print(document)
    return EXIT_DONE


def _start(out: Path, *, replace: bool, resume: bool) -> None:
    """Refuse at once what would be refused after an hour."""
    from dicomnode.engine.manifest.read import MANIFEST_FILE
    from dicomnode.learn import require_training
    from dicomnode.settings.keys import NAME

    require_training()
    if not NAME.holds(out.name) or len(out.name) > _LONGEST_NAME:
        problem = f"--out ends in {out.name!r}, and the name of an engine has {NAME.expected}"
        raise NodeError(USAGE, problem=problem)
    if os.path.lexists(out):
        if not (replace or resume):
            raise NodeError(ENGINE_EXISTS, path=out, what="")
        if out.is_symlink() or not (out / MANIFEST_FILE).is_file():
            raise NodeError(ENGINE_EXISTS, path=out, what=", and is no engine that could be replaced")
    require_writable(out.parent)


def _order(given: Mapping[str, Any]) -> Order:
    from dicomnode.device import cpu_device
    from dicomnode.learn.views.order import Order

    if given["threads"] < 0:
        raise NodeError(USAGE, problem=f"--threads {given['threads']} cannot be: it is 0 or more")
    out: Path = given["out"]
    asked = ("seed", "patients", "calibrated", "judged", "films", "steps", "batch", "resume", "version")
    try:
        return Order(
            out=out,
            run=given["run"] or out.with_name(f"{out.name}.training"),
            title=given["title"] or "View check of chest radiographs",
            made_at=datetime.now(UTC),
            threads=given["threads"] or usable_threads(),
            machine=cpu_device().name,
            **{name: given[name] for name in asked},
        )
    except ValueError as error:
        raise NodeError(USAGE, problem=str(error).replace("Order.", "--")) from error


def _told(steps: int, *, quiet: bool) -> Any:
    def tell(row: Row) -> None:
        if not quiet:
            lost = " ".join(f"{one:.3f}" for one in row.lost)
            console.print(f"step {row.step} of {steps}: {lost}", markup=False)

    return tell


def _numbers(interval: Interval) -> dict[str, Any]:
    return {"value": interval.figure.value, "low": interval.low, "high": interval.high}


def _document(trained: Trained) -> dict[str, Any]:
    """Return what `--json` prints."""
    order, table = trained.order, trained.table
    return {
        "schema": 1,
        "task": "view-check",
        "folder": str(order.out),
        "digest": trained.package.digest,
        "run": str(order.run),
        "seed": order.seed,
        "patients": order.patients,
        "steps": order.steps,
        "temperatures": list(trained.temperatures),
        "figures": {
            "pictures": table.pictures,
            "patients": table.patients,
            "answers": [
                {
                    "name": line.name,
                    "asked": line.asked,
                    "there": line.there,
                    **{name.lower().replace(" ", "_"): _numbers(one) for name, one in line.figures.items()},
                }
                for line in table.lines
            ],
            "accuracy": {name: _numbers(one) for name, one in table.whole.items()},
            "confusion_of_view": [list(row) for row in table.confusion],
            "severity": {
                name: [
                    {"from_mm": low, "to_mm": high, "pictures": count, "called": called}
                    for low, high, count, called in found
                ]
                for name, found in table.severity.items()
            },
        },
    }


def _print(document: Mapping[str, Any]) -> None:
    figures = document["figures"]
    rows = [
        (one["name"], one["asked"], one["there"], *(one[name]["value"] for name in _SHOWN))
        for one in figures["answers"]
    ]
    print_table(
        f"On {figures['pictures']} films of {figures['patients']} held-out phantoms",
        ("answer", "of", "true of", "area", "sensitivity", "specificity", "ECE"),
        rows,
    )
    console.print(f"The engine is in {document['folder']}; card.md there tells more.", markup=False)


_SHOWN: Final = ("area_under_the_roc_curve", "sensitivity", "specificity", "ece")


def add_to(train: typer.Typer) -> None:
    """Add the task to `dicomnode train`."""
    train.command("view-check", epilog=EPILOG)(view_check)
