"""`dicomnode train features`: labelled studies, or outlined lesions, become a table of features."""

from __future__ import annotations

import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dicomnode.cli.options import ConfigOption
from dicomnode.cli.options import threads as usable_threads
from dicomnode.cli.output import Bars, JsonOption, bars, console, print_json, print_table
from dicomnode.cli.train_feedback import DataAsked, FeedbackOption, read_data
from dicomnode.cli.train_options import DataOption
from dicomnode.cli.writing import require_writable
from dicomnode.faults import EXIT_DONE, EXIT_PARTLY, NO_FEATURES, USAGE, NodeError

if TYPE_CHECKING:
    from dicomnode.engine import EnginePackage
    from dicomnode.evaluate.data import LabelledData
    from dicomnode.learn.features import Gathered, LesionPlan

EPILOG: Final = (
    "EXIT STATUS: 0 written, 1 --out cannot be written, 2 usage or labels that are wrong, 3 no study gives a "
    "row, 4 written, and some studies or lesions gave no row, 10 configuration, 12 the engine failed."
)
_SHOWN: Final = 8  # reasons a table


def features(  # noqa: PLR0917  typer gives each by its name
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The table: .csv or .json.")],
    data: DataOption = None,
    from_feedback: FeedbackOption = False,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", metavar="FILE.csv", help="Labels of studies, which come along."),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option("--engine", help="Engine that gives features of each study; without one, of lesions."),
    ] = None,
    engine_path: Annotated[
        Path | None, typer.Option("--engine-path", metavar="DIR", help="Folder of such an engine.")
    ] = None,
    of: Annotated[
        list[str] | None,
        typer.Option(
            "--of", metavar="WORD", help="Lesions: segments of this label, meaning or code; else all."
        ),
    ] = None,
    spacing_mm: Annotated[
        float,
        typer.Option(
            "--spacing-mm", help="Lesions: sides of the voxels they are measured on; 0: as they are."
        ),
    ] = 1.0,
    bin_width: Annotated[
        float, typer.Option("--bin-width", help="Lesions: of grey levels, in the unit of the images.")
    ] = 25.0,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Make a table of features: a row a study or a lesion that an engine finds, or an outlined lesion.

    Of an engine (--engine) the row is what it gives in service: numbers of a network, or radiomics of what it
    outlines; where its features are of each lesion a column says whether something known lies there.
    Of lesions (SEG, RTSTRUCT) it is radiomics: intensity, shape, texture, edges. Nobody is named in it.
    """
    from dicomnode.learn.features import write_table

    asked = DataAsked.of(locals())
    require_writable(out.parent)
    plan = _plan(
        out, of or [], spacing_mm, bin_width, by_engine=engine is not None or engine_path is not None
    )
    package = named_package(engine, engine_path, config)
    with bars(quiet=as_json) as progress:
        read, heard = read_data(asked, progress, quiet=as_json)
        made = _made(read, plan, package, config, progress)
    _require_rows(made, asked.where)
    write_table(made.table, out)
    if as_json:
        print_json(_document(made, out) | {"feedback": heard})
    else:
        _print(made, out)
    return EXIT_PARTLY if made.left_out or (heard and heard["left_out"]) else EXIT_DONE


def _require_rows(made: Gathered, where: str) -> None:
    """Raise NodeError(NO_FEATURES) with the commonest reason, where there is no row."""
    if not made.table.rows:
        reasons = Counter(one.reason for one in made.left_out).most_common(1)
        raise NodeError(NO_FEATURES, data=where, reason=reasons[0][0] if reasons else "nothing is outlined")


def _plan(out: Path, of: list[str], spacing_mm: float, bin_width: float, *, by_engine: bool) -> LesionPlan:
    """Read the options of lesions. Raises NodeError(USAGE)."""
    if out.suffix.lower() not in {".csv", ".json"}:
        raise NodeError(USAGE, problem=f"--out ends in .csv or .json, not {out.name!r}")
    if of and by_engine:
        raise NodeError(USAGE, problem="--of is of lesions, and an engine says itself what it measures")
    if not 0 <= spacing_mm <= 100 or not 0 < bin_width < float("inf"):
        raise NodeError(USAGE, problem="--spacing-mm is 0 to 100, --bin-width is above 0")
    from dicomnode.learn.features import LesionPlan

    return LesionPlan(of=tuple(of), spacing_mm=spacing_mm or None, bin_width=bin_width)


def named_package(name: str | None, path: Path | None, config: Path | None) -> EnginePackage | None:
    """Load the engine that is named, or lies in a folder; None where neither is given. Raises NodeError."""
    from dicomnode.cli.engine_named import named_engine, usual_settings
    from dicomnode.engine import load_package

    if path is not None:
        return load_package(path)
    return None if name is None else named_engine(name, None, usual_settings(config))


def _made(
    read: LabelledData, plan: LesionPlan, package: EnginePackage | None, config: Path | None, progress: Bars
) -> Gathered:
    from dicomnode.learn.features import rows_by_engine, rows_of_lesions

    if package is None:
        return rows_of_lesions(read.studies, plan, progress)
    from dicomnode.cli.engine_named import usual_settings
    from dicomnode.engine import RuntimeWish, wish_of
    from dicomnode.serve import Answering, AnsweringPlan, Occasion

    settings = usual_settings(config)
    wish = RuntimeWish() if settings is None else wish_of(settings, package.manifest.name)
    # Nothing of the findings but numbers is kept: a salt of no installation
    occasion = Occasion(study_version=1, made_at=datetime.now(UTC).astimezone(), salt=os.urandom(32))
    answering = AnsweringPlan(threads=usable_threads(), occasion=occasion, wish=wish)
    with Answering(package, answering) as answerer:
        return rows_by_engine(read.studies, answerer, progress)


def _document(made: Gathered, out: Path) -> dict[str, Any]:
    table = made.table
    return {
        "schema": 1,
        "file": str(out),
        "source": table.source,
        "rows": len(table.rows),
        "patients": len(set(table.patients)),
        "of_lesions": table.of_lesions,
        "features": [
            {"name": name, "unit": unit} for name, unit in zip(table.names, table.units, strict=True)
        ],
        "labels": list(table.labels),
        "left_out": [
            {
                "study_instance_uid": one.study_instance_uid,
                "lesion": one.lesion or None,
                "reason": one.reason,
            }
            for one in made.left_out
        ],
    }


def _print(made: Gathered, out: Path) -> None:
    table = made.table
    what = "lesions" if table.of_lesions else "studies"
    rows = [
        ("rows", f"{len(table.rows)} {what} of {len(set(table.patients))} patients"),
        ("features", f"{len(table.names)}: {', '.join(table.names[:4])} …"),
        ("labels", ", ".join(table.labels) or "none"),
        ("made by", table.source),
    ]
    print_table(f"Features in {out}", ("table", ""), rows)
    if made.left_out:
        counted = Counter(one.reason for one in made.left_out).most_common(_SHOWN)
        print_table("Left out", ("cases", "because"), [(str(many), reason) for reason, many in counted])
    typer.echo("Next: train heads on them, such as")
    console.print(f"  dicomnode train heads {out} --label COLUMN --out engines/NAME", markup=False)


def add_to(app: typer.Typer) -> None:
    """Give `dicomnode train` its commands on features."""
    from dicomnode.cli.train_heads import EPILOG as OF_HEADS
    from dicomnode.cli.train_heads import heads

    app.command("features", epilog=EPILOG)(features)
    app.command("heads", epilog=OF_HEADS)(heads)
