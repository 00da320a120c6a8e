"""`dicomnode train lung-masks`: lungs that classical code cannot see are drawn, and a network learns them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import typer

from dicomnode.cli.output import JsonOption, bars, console, print_table
from dicomnode.cli.train_drawn import (
    course_document,
    figure,
    finish,
    order_of,
    real_document,
    start,
    watch_of,
)
from dicomnode.cli.train_drawn_options import (
    BackgroundsOption,
    BatchOption,
    DrawnOption,
    JudgedOption,
    MinutesOption,
    StepsOption,
    ThreadsOption,
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

if TYPE_CHECKING:
    from dicomnode.learn.lungs.making import Trained

EPILOG: Final = (
    "EXIT STATUS: 0 trained, 1 it failed, 2 usage, or a folder that is taken, 3 no scan of --backgrounds has "
    "lungs that are sure, 4 it was stopped by --minutes and goes on with --resume, or scans were left out, "
    "11 the disk is full, 12 the network cannot become an engine, or torch is not installed."
)


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
    with the network, takes dense lung in that the network alone sees, and says where the two differ
    (lungs_compared in the place of lungs_checked only says so). Killed, or stopped by --minutes, it goes on
    by the same command with --resume, to the same weights.
    """
    given = dict(locals())
    start(out, replace=replace, resume=resume)
    from dicomnode.learn.lungs.making import train_lung_masks
    from dicomnode.learn.lungs.order import Order

    order = order_of(Order, given, "Lungs, seen twice")
    with bars(quiet=as_json) as progress:
        trained = train_lung_masks(order, watch_of(given, progress, order.steps))
    return finish(_document(trained), _print, as_json=as_json)


def _document(trained: Trained) -> dict[str, Any]:
    """Return what `--json` prints."""
    table, package = trained.table, trained.package
    digest = None if package is None else package.digest
    figures = None
    if table is not None:
        figures = {
            "patients": len(table.patients),
            "lines": [{"name": name, **figure(one)} for name, one in table.lines],
            "without_lungs": {"images": len(table.nothing_ml), "most_ml": max(table.nothing_ml)},
        }
    return {
        **course_document(trained.order, trained.learned, digest, ("steps", "worlds")),
        **real_document(trained.real, trained.left_out),
        "figures": figures,
    }


def _print(figures: Mapping[str, Any]) -> None:
    rows = [(one["name"], one["value"], one["low"], one["high"]) for one in figures["lines"]]
    title = f"The network alone, on {figures['patients']} held-out phantoms"
    print_table(title, ("figure", "value", "from", "to"), rows)
    without = figures["without_lungs"]
    console.print(
        f"In {without['images']} images without lungs it saw {without['most_ml']:.0f} ml at most.",
        markup=False,
    )


def add_to(train: typer.Typer) -> None:
    """Add the task to `dicomnode train`."""
    train.command("lung-masks", epilog=EPILOG)(lung_masks)
