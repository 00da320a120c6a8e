"""`dicomnode train lung-nodules`: patients are drawn, nobody labels them, and an engine comes out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dicomnode.cli.output import JsonOption, bars
from dicomnode.cli.train_drawn import (
    course_document,
    finish,
    nodule_document,
    order_of,
    print_nodules,
    real_document,
    start,
    watch_of,
)
from dicomnode.cli.train_drawn_options import (
    BackgroundsOption,
    BatchOption,
    DrawnOption,
    HeldOutOption,
    MinutesOption,
    StepsOption,
    ThreadsOption,
    WorkersOption,
    WorldsOption,
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
from dicomnode.faults import USAGE, NodeError

if TYPE_CHECKING:
    from dicomnode.learn.planted.making import Trained

EPILOG: Final = (
    "EXIT STATUS: 0 trained, 1 it failed, 2 usage, or a folder that is taken, 3 no scan of --backgrounds can "
    "be planted into, 4 it was stopped by --minutes and goes on with --resume, or scans were left out, 11 "
    "the disk is full, 12 the network cannot become an engine, or torch is not installed."
)

IgnoreOption = Annotated[
    Path | None,
    typer.Option(
        "--ignore",
        metavar="FILE.csv",
        help="What is known in them: seriesuid, coordX, coordY, coordZ, diameter_mm.",
        exists=True,
    ),
]
MineOption = Annotated[
    bool, typer.Option("--mine/--no-mine", help="Look for mistakes on the way, and learn from them.")
]


def lung_nodules(  # noqa: PLR0917  typer gives each by its name
    out: OutOption,
    backgrounds: BackgroundsOption = None,
    ignore: IgnoreOption = None,
    worlds: WorldsOption = 80,
    judged: HeldOutOption = 12,
    steps: StepsOption = 20_000,
    batch: BatchOption = 6,
    mine: MineOption = True,
    minutes: MinutesOption = None,
    seed: DrawnOption = 0,
    run: RunOption = None,
    resume: ResumeOption = False,
    replace: ReplaceOption = False,
    workers: WorkersOption = 1,
    threads: ThreadsOption = 1,
    device: DeviceOption = "cpu",
    title: TitleOption = None,
    version: VersionOption = "1.0.0",
    as_json: JsonOption = False,
) -> int:
    """Learn to find lung nodules in chest CT from patients that are drawn: nobody labels anything.

    Nodules are planted while it learns, into phantoms and, with --backgrounds, into real scans whose lungs
    the node is sure of. The engine is that of lung-ct with another network. Killed, or stopped by --minutes,
    it goes on by the same command with --resume, to the same weights.
    """
    given = dict(locals())
    start(out, replace=replace, resume=resume)
    from dicomnode.learn.planted.making import train_lungs
    from dicomnode.learn.planted.order import Order

    if ignore is not None and backgrounds is None:
        problem = "--ignore tells what is in the scans of --backgrounds, and there are none"
        raise NodeError(USAGE, problem=problem)
    order = order_of(Order, given, "Lungs and nodule candidates")
    with bars(quiet=as_json) as progress:
        trained = train_lungs(order, watch_of(given, progress, order.steps, (order.batch, "patches")))
    return finish(_document(trained), print_nodules, as_json=as_json)


def _document(trained: Trained) -> dict[str, Any]:
    """Return what `--json` prints."""
    table, package = trained.table, trained.package
    digest = None if package is None else package.digest
    figures = None
    if table is not None:
        found = table.volumes
        errors = None if found is None else {one: getattr(found, one) for one in _VOLUMES}
        figures = nodule_document(table) | {"volume_error_percent": errors}
    return {
        **course_document(trained.order, trained.learned, digest, ("steps", "worlds")),
        **real_document(trained.real, trained.left_out),
        "figures": figures,
    }


_VOLUMES: Final = ("count", "low", "median", "high")


def add_to(train: typer.Typer) -> None:
    """Add the task to `dicomnode train`."""
    train.command("lung-nodules", epilog=EPILOG)(lung_nodules)
