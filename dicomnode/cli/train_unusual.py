"""`dicomnode train lung-anomaly`: a demonstration of anomaly detection, from lungs that are drawn."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dicomnode.cli.output import JsonOption, bars, console, print_json, print_table
from dicomnode.cli.train_drawn import DrawnOption, WorkersOption, start
from dicomnode.cli.train_options import OutOption, ReplaceOption, TitleOption, VersionOption
from dicomnode.faults import EXIT_DONE, USAGE, NodeError

if TYPE_CHECKING:
    from dicomnode.learn.normal_lungs import MadeNormal, NormalOrder

EPILOG: Final = (
    "EXIT STATUS: 0 trained, 1 it failed, or lungs were found in too few chests, 2 usage, or a folder that "
    "is taken, 11 the disk is full, 12 the network cannot become an engine, or a package is not installed."
)
TITLE: Final = "Demonstration: how unlike drawn normal lungs"

ChestsOption = Annotated[
    int, typer.Option("--chests", help="Drawn chests without disease to learn what is usual from.")
]
UsualOption = Annotated[
    int, typer.Option("--usual", help="Other such chests, which say how far normal scans reach.")
]
PartsOption = Annotated[int, typer.Option("--parts", help="Gaussians of the mixture.")]
RunOption = Annotated[
    Path | None, typer.Option("--run", metavar="DIR", help="Where scans are kept, and found again.")
]


def lung_anomaly(  # noqa: PLR0917  typer gives each by its name
    out: OutOption,
    chests: ChestsOption = 16,
    usual: UsualOption = 12,
    parts: PartsOption = 16,
    seed: DrawnOption = 0,
    run: RunOption = None,
    replace: ReplaceOption = False,
    workers: WorkersOption = 0,
    title: TitleOption = None,
    version: VersionOption = "1.0.0",
    as_json: JsonOption = False,
) -> int:
    """Learn how lungs look that are drawn without disease: a demonstration, as real lungs look otherwise.

    Filters measure each place of the lungs, and a mixture of Gaussians says how likely that is. On a site's
    own normal scans learn with `dicomnode train anomaly`. Broken off, the same command uses again what it has
    drawn; equal commands give equal engines.
    """
    given = dict(locals())
    _start(out, title, replace=replace)
    from dicomnode.learn.normal_lungs import make_normal

    order = _order(given)
    with bars(quiet=as_json) as progress:
        made = make_normal(order, progress)
    document = _document(made, order)
    if as_json:
        print_json(document)
    else:
        _print(document)
    return EXIT_DONE


def _start(out: Path, title: str | None, *, replace: bool) -> None:
    """Refuse at once what would be refused at the end."""
    from dicomnode.engine.manifest.consistency import DEMONSTRATION

    start(out, replace=replace, resume=False)
    if title is not None and not title.startswith(DEMONSTRATION):
        raise NodeError(USAGE, problem=f'--title {title!r} does not begin with "{DEMONSTRATION}"')


def _order(given: dict[str, Any]) -> NormalOrder:
    from dicomnode.device import cpu_device
    from dicomnode.learn.normal_lungs import NormalOrder

    out: Path = given["out"]
    asked = ("chests", "usual", "parts", "seed", "workers", "version")
    try:
        return NormalOrder(
            out=out,
            run=given["run"] or out.with_name(f"{out.name}.training"),
            title=given["title"] or TITLE,
            made_at=datetime.now(UTC),
            machine=cpu_device().name,
            **{name: given[name] for name in asked},
        )
    except ValueError as error:
        raise NodeError(USAGE, problem=str(error).replace("NormalOrder.", "--")) from error


def _document(made: MadeNormal, order: NormalOrder) -> dict[str, Any]:
    """Return what `--json` prints."""
    return {
        "schema": 1,
        "task": "lung-anomaly",
        "demonstration": made.package.manifest.demonstration,
        "folder": str(order.out),
        "digest": made.package.digest,
        "run": str(order.run),
        "seed": order.seed,
        "chests": order.chests,
        "usual": order.usual,
        "parts": order.parts,
        "normal_scores": list(made.normals),
    }


def _print(document: dict[str, Any]) -> None:
    scores = document["normal_scores"]
    rows = [(len(scores), f"{scores[0]:.2f}", f"{scores[-1]:.2f}")]
    print_table("Scores of normal scans, each by the others", ("scans", "lowest", "highest"), rows)
    console.print(f"The engine is in {document['folder']}; card.md there tells more.", markup=False)
    console.print(document["demonstration"], markup=False)


def add_to(train: typer.Typer) -> None:
    """Add the task to `dicomnode train`."""
    train.command("lung-anomaly", epilog=EPILOG)(lung_anomaly)
