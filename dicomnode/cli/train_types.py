"""`dicomnode train lung-types`: an engine that finds nodules learns to say of which type each is."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dicomnode.cli.output import JsonOption, bars, console, print_json, print_table
from dicomnode.cli.train_options import OutOption, ReplaceOption, TitleOption
from dicomnode.cli.writing import require_writable
from dicomnode.faults import ENGINE_EXISTS, EXIT_DONE, USAGE, NodeError

if TYPE_CHECKING:
    from dicomnode.learn.types import MadeTypes, TypesOrder

EPILOG: Final = (
    "EXIT STATUS: 0 trained, 1 it failed, or there was too little to learn from, 2 usage, or a folder that "
    "is taken, 11 the disk is full, 12 the engine finds nothing with an outline, cannot be read or written, "
    "or a package is not installed."
)
_LONGEST_NAME: Final = 64

EngineOption = Annotated[
    Path,
    typer.Option("--engine", metavar="DIR", help="Folder of the engine that finds the nodules.", exists=True),
]
ChestsOption = Annotated[int, typer.Option("--chests", help="Drawn patients to learn from.")]
JudgedOption = Annotated[
    int, typer.Option("--judged", help="Drawn patients to fit probabilities on, and as many to judge on.")
]
TreesOption = Annotated[int, typer.Option("--trees", help="Trees of the forest.")]
SureOption = Annotated[
    float, typer.Option("--sure", help="Probability from which a type is said; below it, none is.")
]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of all that is drawn.")]
RunOption = Annotated[
    Path | None,
    typer.Option("--run", metavar="DIR", help="Where what the engine found is kept, and found again."),
]
WorkersOption = Annotated[
    int, typer.Option("--workers", help="Processes that draw and look, each a core; 0: none.")
]
VersionOption = Annotated[
    str | None, typer.Option("--version", help="Version of the new engine; default: that of the given one.")
]


def lung_types(  # noqa: PLR0917  typer gives each by its name
    engine: EngineOption,
    out: OutOption,
    chests: ChestsOption = 60,
    judged: JudgedOption = 20,
    trees: TreesOption = 100,
    sure: SureOption = 0.6,
    seed: SeedOption = 0,
    run: RunOption = None,
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
    given = dict(locals())
    _start(out, replace=replace)
    from dicomnode.learn.types import make_types

    order = _order(given)
    with bars(quiet=as_json) as progress:
        made = make_types(order, progress)
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


def _order(given: dict[str, Any]) -> TypesOrder:
    from dicomnode.device import cpu_device
    from dicomnode.learn.types import TypesOrder

    out: Path = given["out"]
    asked = ("engine", "chests", "judged", "trees", "sure", "seed", "workers", "version", "title")
    try:
        return TypesOrder(
            out=out,
            run=given["run"] or out.with_name(f"{out.name}.training"),
            made_at=datetime.now(UTC),
            machine=cpu_device().name,
            **{name: given[name] for name in asked},
        )
    except ValueError as error:
        raise NodeError(USAGE, problem=str(error).replace("TypesOrder.", "--")) from error


def _document(made: MadeTypes, order: TypesOrder) -> dict[str, Any]:
    """Return what `--json` prints."""
    from dicomnode.learn.types.chests import KINDS

    table = made.table
    return {
        "schema": 1,
        "task": "lung-types",
        "folder": str(order.out),
        "digest": made.package.digest,
        "run": str(order.run),
        "seed": order.seed,
        "chests": order.chests,
        "trees": order.trees,
        "learned_from": {kind: int((made.lessons.types == n).sum()) for n, kind in enumerate(KINDS)},
        "calibrated": made.softmax.fitted,
        "figures": {
            "chests": table.patients,
            "sure": table.sure,
            "types": [*KINDS, "not sure"],
            "answers": {kind: table.answers[n].tolist() for n, kind in enumerate(KINDS)},
            "planted": dict(zip(KINDS, table.planted, strict=True)),
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
            "on_no_nodule": {"found": table.alarms, "given_a_type": table.alarms_typed},
        },
    }


def _print(document: dict[str, Any]) -> None:
    figures = document["figures"]
    rows = [(kind, figures["planted"][kind], *figures["answers"][kind]) for kind in document["learned_from"]]
    print_table(
        f"What was said of the nodules that were found in {figures['chests']} held-out chests",
        ("true type", "planted", *figures["types"]),
        rows,
    )
    lines = [(one["name"], one["of"], one["value"], one["low"], one["high"]) for one in figures["lines"]]
    print_table("", ("share", "of", "value", "from", "to"), lines)
    console.print(f"The engine is in {document['folder']}; card.md there tells more.", markup=False)


def add_to(train: typer.Typer) -> None:
    """Add the task to `dicomnode train`."""
    train.command("lung-types", epilog=EPILOG)(lung_types)
