"""`dicomnode train lung-masks`: lungs that classical code cannot see are drawn, and a network learns them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dicomnode.cli.options import threads as usable_threads
from dicomnode.cli.output import JsonOption, bars, console, print_json, print_table
from dicomnode.cli.train_lungs import (
    BackgroundsOption,
    DrawnOption,
    MinutesOption,
    StepsOption,
    ThreadsOption,
    WorldsOption,
    start,
)
from dicomnode.cli.train_options import (
    DeviceOption,
    OutOption,
    ReplaceOption,
    ResumeOption,
    RunOption,
    TitleOption,
    VersionOption,
)
from dicomnode.cli.train_progress import duration
from dicomnode.faults import EXIT_DONE, EXIT_PARTLY, USAGE, NodeError

if TYPE_CHECKING:
    from dicomnode.learn.lungs.making import Trained
    from dicomnode.learn.lungs.order import Order
    from dicomnode.learn.planted.training import Row

EPILOG: Final = (
    "EXIT STATUS: 0 trained, 1 it failed, 2 usage, or a folder that is taken, 3 no scan of --backgrounds has "
    "lungs that are sure, 4 it was stopped by --minutes and goes on with --resume, or scans were left out, "
    "11 the disk is full, 12 the network cannot become an engine, or torch is not installed."
)
_SECONDS: Final = 60.0

JudgedOption = Annotated[int, typer.Option("--judged", help="Drawn patients to judge it on.")]
BatchOption = Annotated[int, typer.Option("--batch", help="Scans a step.")]


def lung_masks(  # noqa: PLR0917  typer gives each by its name
    out: OutOption,
    backgrounds: BackgroundsOption = None,
    worlds: WorldsOption = 80,
    judged: JudgedOption = 12,
    steps: StepsOption = 4_000,
    batch: BatchOption = 2,
    minutes: MinutesOption = None,
    seed: DrawnOption = 0,
    run: RunOption = None,
    resume: ResumeOption = False,
    replace: ReplaceOption = False,
    threads: ThreadsOption = 1,
    device: DeviceOption = "cpu",
    title: TitleOption = None,
    version: VersionOption = "1.0.0",
    as_json: JsonOption = False,
) -> int:
    """Learn to see lungs, also without air in them, from patients that are drawn: nobody labels anything.

    Collapse, consolidation and fluid are of phantoms; with --backgrounds also real scans are shown, as the
    node's own code sees their lungs where it is sure. The engine outlines lungs by that code, sees them again
    with the network, and says where the two differ. Killed, or stopped by --minutes, it goes on by the same
    command with --resume, to the same weights.
    """
    given = dict(locals())
    start(out, replace=replace, resume=resume)
    from dicomnode.learn.lungs.making import train_lung_masks

    order = _order(given)
    until = None if minutes is None else time.monotonic() + minutes * _SECONDS
    with bars(quiet=as_json) as progress:
        trained = train_lung_masks(
            order,
            stop=lambda: until is not None and time.monotonic() >= until,
            tell=_teller(order, time.monotonic, quiet=as_json),
            progress=progress,
        )
    document = _document(trained)
    if as_json:
        print_json(document)
    else:
        _print(document)
    return EXIT_PARTLY if document["stopped"] or document["left_out"] else EXIT_DONE


def _order(given: Mapping[str, Any]) -> Order:
    from dicomnode.device import cpu_device
    from dicomnode.learn.lungs.order import Order

    if given["threads"] < 0:
        raise NodeError(USAGE, problem=f"--threads {given['threads']} cannot be: it is 0 or more")
    asked = ("seed", "worlds", "judged", "steps", "batch", "backgrounds", "resume", "device", "version")
    try:
        return Order(
            out=given["out"],
            run=given["run"] or given["out"].with_name(f"{given['out'].name}.training"),
            title=given["title"] or "Lungs, seen twice",
            made_at=datetime.now(UTC),
            threads=given["threads"] or usable_threads(),
            machine=cpu_device().name,
            **{name: given[name] for name in asked},
        )
    except ValueError as error:
        raise NodeError(USAGE, problem=str(error).replace("Order.", "--")) from error


def _teller(order: Order, clock: Callable[[], float], *, quiet: bool) -> Callable[[Row], None]:
    """Return who tells of rows as they come: what is lost, and how long it will take."""
    last: list[tuple[int, float]] = []

    def tell(row: Row) -> None:
        now = clock()
        lost = ", ".join(f"{name} {value:.3f}" for name, value in row.lost.items())
        text = f"step {row.step} of {order.steps}: {lost}"
        if last and row.step > last[-1][0]:
            each = (now - last[-1][1]) / (row.step - last[-1][0])
            text += f"; {duration(each * (order.steps - row.step))} more"
        last[:] = [(row.step, now)]
        if not quiet:
            console.print(text, markup=False)

    return tell


def _document(trained: Trained) -> dict[str, Any]:
    """Return what `--json` prints."""
    order, table, package = trained.order, trained.table, trained.package
    figures = None
    if table is not None:
        figures = {
            "patients": len(table.patients),
            "lines": [
                {"name": name, "value": one.figure.value, "low": one.low, "high": one.high}
                for name, one in table.lines
            ],
            "without_lungs": {"images": len(table.nothing_ml), "most_ml": max(table.nothing_ml)},
        }
    return {
        "schema": 1,
        "task": "lung-masks",
        "folder": None if package is None else str(order.out),
        "digest": None if package is None else package.digest,
        "run": str(order.run),
        "seed": order.seed,
        "steps": order.steps,
        "step": trained.learned.step,
        "stopped": trained.learned.stopped,
        "worlds": order.worlds,
        "backgrounds": [{"series_instance_uid": uid, "digest": digest} for uid, digest in trained.real],
        "left_out": [{"code": one.code, "text": one.text} for one in trained.left_out],
        "lost": dict(trained.learned.rows[-1].lost) if trained.learned.rows else None,
        "figures": figures,
    }


def _print(document: Mapping[str, Any]) -> None:
    for one in document["left_out"]:
        console.print(f"{one['code']} {one['text']}", markup=False)
    if document["stopped"]:
        console.print(
            f"Stopped after step {document['step']} of {document['steps']}; the state is kept in "
            f"{document['run']}. Go on with the same command and --resume.",
            markup=False,
        )
        return
    figures = document["figures"]
    rows = [(one["name"], one["value"], one["low"], one["high"]) for one in figures["lines"]]
    title = f"The network alone, on {figures['patients']} held-out phantoms"
    print_table(title, ("figure", "value", "from", "to"), rows)
    without = figures["without_lungs"]
    console.print(
        f"In {without['images']} images without lungs it saw {without['most_ml']:.0f} ml at most.",
        markup=False,
    )
    console.print(f"The engine is in {document['folder']}; card.md there tells more.", markup=False)


def add_to(train: typer.Typer) -> None:
    """Add the task to `dicomnode train`."""
    train.command("lung-masks", epilog=EPILOG)(lung_masks)
