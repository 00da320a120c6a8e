"""`dicomnode train lung-anomaly`: a demonstration of anomaly detection, from lungs that are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dicomnode.cli.output import JsonOption, bars, console, print_table
from dicomnode.cli.train_drawn import finish, made_document, order_of, start, watch_of
from dicomnode.cli.train_drawn_options import DrawnOption, KeptOption, WorkersOption
from dicomnode.cli.train_options import OutOption, ReplaceOption, TitleOption, VersionOption
from dicomnode.faults import USAGE, NodeError

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


def lung_anomaly(  # noqa: PLR0917  typer gives each by its name
    out: OutOption,
    chests: ChestsOption = 16,
    usual: UsualOption = 12,
    parts: PartsOption = 16,
    seed: DrawnOption = 0,
    run: KeptOption = None,
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
    from dicomnode.learn.normal_lungs import NormalOrder, make_normal

    order = order_of(NormalOrder, given, TITLE)
    with bars(quiet=as_json) as progress:
        made = make_normal(order, watch_of(given, progress, 0))
    return finish(_document(made, order), _print, as_json=as_json)


def _start(out: Path, title: str | None, *, replace: bool) -> None:
    """Refuse at once what would be refused at the end."""
    from dicomnode.engine.manifest.consistency import DEMONSTRATION

    start(out, replace=replace, resume=False)
    if title is not None and not title.startswith(DEMONSTRATION):
        raise NodeError(USAGE, problem=f'--title {title!r} does not begin with "{DEMONSTRATION}"')


def _document(made: MadeNormal, order: NormalOrder) -> dict[str, Any]:
    """Return what `--json` prints."""
    return {
        **made_document(order, made.package.digest, order.asked),
        "demonstration": made.package.manifest.demonstration,
        "normal_scores": list(made.normals),
    }


def _print(document: Mapping[str, Any]) -> None:
    scores = document["normal_scores"]
    rows = [(len(scores), f"{scores[0]:.2f}", f"{scores[-1]:.2f}")]
    print_table("Scores of normal scans, each by the others", ("scans", "lowest", "highest"), rows)
    console.print(document["demonstration"], markup=False)


def add_to(train: typer.Typer) -> None:
    """Add the task to `dicomnode train`."""
    train.command("lung-anomaly", epilog=EPILOG)(lung_anomaly)
