"""`dicomnode train lung-forest`: lung nodules without a network, by blobs, numbers of each, and trees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dicomnode.cli.output import JsonOption, bars
from dicomnode.cli.train_drawn import (
    finish,
    made_document,
    nodule_document,
    order_of,
    print_nodules,
    start,
    watch_of,
)
from dicomnode.cli.train_drawn_options import (
    DrawnOption,
    HeldOutOption,
    KeptOption,
    ThreadsOption,
    TreesOption,
    WorkersOption,
    WorldsOption,
)
from dicomnode.cli.train_options import OutOption, ReplaceOption, TitleOption, VersionOption

if TYPE_CHECKING:
    from dicomnode.learn.classical import ForestOrder, MadeForest

EPILOG: Final = (
    "EXIT STATUS: 0 trained, 1 it failed, or there was too little to learn from, 2 usage, or a folder that "
    "is taken, 11 the disk is full, 12 the forest cannot become an engine, or a package is not installed."
)

PlantingsOption = Annotated[
    int, typer.Option("--plantings", help="Sets of about twelve nodules that each of them is given in turn.")
]


def lung_forest(  # noqa: PLR0917  typer gives each by its name
    out: OutOption,
    worlds: WorldsOption = 60,
    plantings: PlantingsOption = 2,
    judged: HeldOutOption = 12,
    trees: TreesOption = 100,
    seed: DrawnOption = 0,
    run: KeptOption = None,
    replace: ReplaceOption = False,
    workers: WorkersOption = 0,
    threads: ThreadsOption = 1,
    title: TitleOption = None,
    version: VersionOption = "1.0.0",
    as_json: JsonOption = False,
) -> int:
    """Learn to find lung nodules without a network, from patients that are drawn: nobody labels anything.

    A filter gives places like a blob, the node measures each, and trees tell which is a nodule. Broken off,
    the same command uses again what it has drawn and measured; equal commands give equal trees.
    """
    given = dict(locals())
    start(out, replace=replace, resume=False)
    from dicomnode.learn.classical import ForestOrder, make_forest

    order = order_of(ForestOrder, given, "Lungs and nodule candidates, by a forest")
    with bars(quiet=as_json) as progress:
        made = make_forest(order, watch_of(given, progress, 0))
    return finish(_document(made, order), print_nodules, as_json=as_json)


def _document(made: MadeForest, order: ForestOrder) -> dict[str, Any]:
    """Return what `--json` prints."""
    return {
        **made_document(order, made.package.digest, ("worlds", "plantings", "trees")),
        "nodules": int(made.lessons.nodule.sum()),
        "others": int((~made.lessons.nodule).sum()),
        "figures": nodule_document(made.table) | {"ceiling": made.candidates.ceiling.value},
    }


def add_to(train: typer.Typer) -> None:
    """Add the task to `dicomnode train`."""
    train.command("lung-forest", epilog=EPILOG)(lung_forest)
