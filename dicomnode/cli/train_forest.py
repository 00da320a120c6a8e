"""`dicomnode train lung-forest`: lung nodules without a network, by blobs, numbers of each, and trees."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dicomnode.cli.output import JsonOption, bars, console, print_json, print_table
from dicomnode.cli.train_options import OutOption, ReplaceOption, TitleOption, VersionOption
from dicomnode.cli.writing import require_writable
from dicomnode.faults import ENGINE_EXISTS, EXIT_DONE, USAGE, NodeError

if TYPE_CHECKING:
    from dicomnode.learn.classical import ForestOrder, MadeForest

EPILOG: Final = (
    "EXIT STATUS: 0 trained, 1 it failed, or there was too little to learn from, 2 usage, or a folder that "
    "is taken, 11 the disk is full, 12 the forest cannot become an engine, or a package is not installed."
)
_LONGEST_NAME: Final = 64

WorldsOption = Annotated[int, typer.Option("--worlds", help="Drawn patients to learn from.")]
PlantingsOption = Annotated[
    int, typer.Option("--plantings", help="Sets of about twelve nodules that each of them is given in turn.")
]
JudgedOption = Annotated[
    int, typer.Option("--judged", help="Drawn patients to set the threshold on, and as many to judge on.")
]
TreesOption = Annotated[int, typer.Option("--trees", help="Trees of the forest.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of all that is drawn.")]
RunOption = Annotated[
    Path | None,
    typer.Option("--run", metavar="DIR", help="Where patients and rows are kept, and found again."),
]
WorkersOption = Annotated[int, typer.Option("--workers", help="Processes that draw, each a core; 0: none.")]


def lung_forest(  # noqa: PLR0917  typer gives each by its name
    out: OutOption,
    worlds: WorldsOption = 60,
    plantings: PlantingsOption = 2,
    judged: JudgedOption = 12,
    trees: TreesOption = 100,
    seed: SeedOption = 0,
    run: RunOption = None,
    replace: ReplaceOption = False,
    workers: WorkersOption = 0,
    title: TitleOption = None,
    version: VersionOption = "1.0.0",
    as_json: JsonOption = False,
) -> int:
    """Learn to find lung nodules without a network, from patients that are drawn: nobody labels anything.

    A filter gives places like a blob, the node measures each, and trees tell which is a nodule. Broken off,
    the same command uses again what it has drawn and measured; equal commands give equal trees.
    """
    given = dict(locals())
    _start(out, replace=replace)
    from dicomnode.learn.classical import make_forest

    order = _order(given)
    with bars(quiet=as_json) as progress:
        made = make_forest(order, progress)
    document = _document(made, order)
    if as_json:
        print_json(document)
    else:
        _print(document)
    return EXIT_DONE


def _start(out: Path, *, replace: bool) -> None:
    """Refuse at once what would be refused at the end."""
    from dicomnode.engine.manifest.read import MANIFEST_FILE
    from dicomnode.learn import require_training
    from dicomnode.settings.keys import NAME

    require_training()
    if not NAME.holds(out.name) or len(out.name) > _LONGEST_NAME:
        problem = f"--out ends in {out.name!r}, and the name of an engine has {NAME.expected}"
        raise NodeError(USAGE, problem=problem)
    if out.is_symlink() or out.exists():
        if not replace:
            raise NodeError(ENGINE_EXISTS, path=out, what="")
        if out.is_symlink() or not (out / MANIFEST_FILE).is_file():
            raise NodeError(ENGINE_EXISTS, path=out, what=", and is no engine that could be replaced")
    require_writable(out.parent)


def _order(given: dict[str, Any]) -> ForestOrder:
    from dicomnode.device import cpu_device
    from dicomnode.learn.classical import ForestOrder

    out: Path = given["out"]
    asked = ("worlds", "plantings", "judged", "trees", "seed", "workers", "version")
    try:
        return ForestOrder(
            out=out,
            run=given["run"] or out.with_name(f"{out.name}.training"),
            title=given["title"] or "Lungs and nodule candidates, by a forest",
            made_at=datetime.now(UTC),
            machine=cpu_device().name,
            **{name: given[name] for name in asked},
        )
    except ValueError as error:
        raise NodeError(USAGE, problem=str(error).replace("ForestOrder.", "--")) from error


def _document(made: MadeForest, order: ForestOrder) -> dict[str, Any]:
    """Return what `--json` prints."""
    table = made.table
    return {
        "schema": 1,
        "task": "lung-forest",
        "folder": str(order.out),
        "digest": made.package.digest,
        "run": str(order.run),
        "seed": order.seed,
        "worlds": order.worlds,
        "plantings": order.plantings,
        "trees": order.trees,
        "nodules": int(made.lessons.nodule.sum()),
        "others": int((~made.lessons.nodule).sum()),
        "figures": {
            "scans": table.scans,
            "nodules": table.nodules,
            "threshold": table.threshold,
            "lines": [
                {
                    "name": one.name,
                    "value": one.interval.figure.value,
                    "of": one.interval.figure.whole,
                    "low": one.interval.low,
                    "high": one.interval.high,
                }
                for one in table.lines
            ],
            "froc": [{"false_alarms": rate, "sensitivity": figure.value} for rate, figure in table.rates],
            "ceiling": made.candidates.ceiling.value,
        },
    }


def _print(document: dict[str, Any]) -> None:
    figures = document["figures"]
    rows = [(one["name"], one["of"], one["value"], one["low"], one["high"]) for one in figures["lines"]]
    print_table(
        f"On {figures['scans']} held-out phantoms, threshold {figures['threshold']:g}",
        ("figure", "of", "value", "from", "to"),
        rows,
    )
    told = [(f"{one['false_alarms']:g}", one["sensitivity"]) for one in figures["froc"]]
    print_table("", ("false alarms a scan", "sensitivity"), told)
    console.print(f"The engine is in {document['folder']}; card.md there tells more.", markup=False)


def add_to(train: typer.Typer) -> None:
    """Add the task to `dicomnode train`."""
    train.command("lung-forest", epilog=EPILOG)(lung_forest)
