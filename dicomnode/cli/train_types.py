"""`dicomnode train lung-types`: an engine that finds nodules learns to say of which type each is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dicomnode.cli.output import JsonOption, bars, print_table
from dicomnode.cli.train_drawn import (
    figure_lines,
    finish,
    made_document,
    order_of,
    print_lines,
    start,
    watch_of,
)
from dicomnode.cli.train_drawn_options import (
    ChestsOption,
    DrawnOption,
    HeldOutOption,
    KeptOption,
    TreesOption,
    WorkersOption,
)
from dicomnode.cli.train_options import OutOption, ReplaceOption, TitleOption

if TYPE_CHECKING:
    from dicomnode.learn.types import MadeTypes, TypesOrder

EPILOG: Final = (
    "EXIT STATUS: 0 trained, 1 it failed, or there was too little to learn from, 2 usage, or a folder that "
    "is taken, 11 the disk is full, 12 the engine finds nothing with an outline, cannot be read or written, "
    "or a package is not installed."
)

EngineOption = Annotated[
    Path,
    typer.Option("--engine", metavar="DIR", help="Folder of the engine that finds the nodules.", exists=True),
]
VersionOption = Annotated[
    str | None, typer.Option("--version", help="Version of the new engine; default: that of the given one.")
]
SureOption = Annotated[
    float, typer.Option("--sure", help="Probability from which a type is said; below it, none is.")
]


def lung_types(  # noqa: PLR0917  typer gives each by its name
    engine: EngineOption,
    out: OutOption,
    chests: ChestsOption = 60,
    judged: HeldOutOption = 20,
    trees: TreesOption = 100,
    sure: SureOption = 0.6,
    seed: DrawnOption = 0,
    run: KeptOption = None,
    replace: ReplaceOption = False,
    workers: WorkersOption = 0,
    title: TitleOption = None,
    version: VersionOption = None,
    as_json: JsonOption = False,
) -> int:
    """Learn the type of nodules: solid, part-solid, ground glass, calcified, cavity.

    The given engine looks at drawn chests, whose nodules are known; trees learn from what it measures of each
    nodule that it finds. The new engine is the given one with types. Broken off, the same command uses again
    what was looked at; equal commands give equal trees. Nobody labels anything.
    """
    given = dict(locals()) | {"version": version or ""}
    start(out, replace=replace, resume=False)
    from dicomnode.learn.types import TypesOrder, make_types

    order = order_of(TypesOrder, given, "")
    with bars(quiet=as_json) as progress:
        made = make_types(order, watch_of(given, progress, 0))
    return finish(_document(made, order), _print, as_json=as_json)


def _document(made: MadeTypes, order: TypesOrder) -> dict[str, Any]:
    """Return what `--json` prints."""
    from dicomnode.learn.types.chests import KINDS

    table = made.table
    return {
        **made_document(order, made.package.digest, ("chests", "trees")),
        "learned_from": {kind: int((made.lessons.types == n).sum()) for n, kind in enumerate(KINDS)},
        "calibrated": made.softmax.fitted,
        "figures": {
            "chests": table.patients,
            "sure": table.sure,
            "types": [*KINDS, "not sure"],
            "answers": {kind: table.answers[n].tolist() for n, kind in enumerate(KINDS)},
            "planted": dict(zip(KINDS, table.planted, strict=True)),
            "lines": figure_lines(table.lines),
            "on_no_nodule": {"found": table.alarms, "given_a_type": table.alarms_typed},
        },
    }


def _print(figures: Mapping[str, Any]) -> None:
    rows = [(kind, count, *figures["answers"][kind]) for kind, count in figures["planted"].items()]
    print_table(
        f"What was said of the nodules that were found in {figures['chests']} held-out chests",
        ("true type", "planted", *figures["types"]),
        rows,
    )
    print_lines("", figures["lines"])


def add_to(train: typer.Typer) -> None:
    """Add the task to `dicomnode train`."""
    train.command("lung-types", epilog=EPILOG)(lung_types)
