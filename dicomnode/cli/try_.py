"""`dicomnode try DIR`: assemble → analyse → report on files; nothing is sent, nothing is kept but --out."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dicomnode.cli.options import no_folder_because, threads
from dicomnode.cli.output import Bars, JsonOption, bars, console, print_json
from dicomnode.faults import (
    EXIT_DONE,
    EXIT_NOTHING,
    EXIT_PARTLY,
    FILE_NOT_WRITTEN,
    NO_INSTANCES,
    USAGE,
    NodeError,
)

if TYPE_CHECKING:
    from dicomnode.engine import EnginePackage
    from dicomnode.serve import FolderWalk, StudyWalk

EPILOG = (
    "EXIT STATUS: 0 analysed, 1 --out cannot be written, 2 usage, 3 no DICOM in DIR or no engine wants it, 4 "
    "some of the series that an engine wanted could not be analysed, 12 an engine failed."
)


def try_(
    paths: Annotated[list[Path], typer.Argument(metavar="DIR", help="Files or folders.", exists=True)],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the DICOM objects and pictures.")
    ] = None,
    engine: Annotated[
        list[str] | None, typer.Option("--engine", help="Engine to run; default: all shipped.")
    ] = None,
    engine_path: Annotated[
        list[Path] | None, typer.Option("--engine-path", help="Folder of an engine package of your own.")
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Try files without a node: which engine wants what, what it finds, what the objects would be."""
    from dicomnode.cli.findings import print_study

    if out is not None and (why_not := no_folder_because(out)) is not None:
        raise NodeError(FILE_NOT_WRITTEN, path=out, error=why_not)
    packages = _packages(engine or [], engine_path or [])
    with bars(quiet=as_json) as progress:
        walked = _walk(paths, packages, progress)
    if not walked.studies:
        raise NodeError(NO_INSTANCES, path=", ".join(map(str, paths)))
    documents: list[dict[str, Any]] = []
    for index, study in enumerate(walked.studies):
        set_aside = walked.set_aside if index == 0 else ()
        try:
            documents.append(_keep(study, set_aside, out))
        except OSError as error:
            raise NodeError(FILE_NOT_WRITTEN, path=out, error=error.strerror or error) from error
    if as_json:
        # One study is the usual case and the documented object; more of them stand in a list
        print_json(documents[0] if len(documents) == 1 else {"schema": 1, "studies": documents})
    else:
        for study, document in zip(walked.studies, documents, strict=True):
            print_study(study, document)
        if out is not None:
            console.print(f"Objects and pictures lie in {out}", markup=False)
    return _status(walked)


def _packages(names: list[str], folders: list[Path]) -> list[EnginePackage]:
    from dicomnode.engine import find_engine, list_engines, load_package

    own = [load_package(folder) for folder in folders]
    if names:
        known = {package.manifest.name: package for package in own}
        return [known[name] if name in known else find_engine(name) for name in names]
    packages = own or list_engines()
    if not packages:
        raise NodeError(USAGE, problem="There is no engine")
    return packages


def _walk(paths: list[Path], packages: list[EnginePackage], progress: Bars) -> FolderWalk:
    from dicomnode.report import ReportProfile
    from dicomnode.serve import Occasion, WalkPlan, walk

    # The salt is new each time, so that no object of a trial can be taken for one of an installation
    occasion = Occasion(study_version=1, made_at=datetime.now(UTC).astimezone(), salt=os.urandom(32))
    plan = WalkPlan(
        packages=packages,
        threads=threads(),
        profile=ReportProfile(kinds=("SEG", "SR"), series_number=9000),
        occasion=occasion,
        all_volumes=True,
    )
    return walk(paths, plan, progress)


def _keep(study: StudyWalk, set_aside: Any, out: Path | None) -> dict[str, Any]:
    from dicomnode.cli.documents import study_walk_document
    from dicomnode.cli.findings import write_overlays

    written: dict[str, Path] = {}
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        for result in study.results:
            for made in result.objects:
                path = out / f"{made.kind.lower()}-{made.sop_instance_uid}.dcm"
                path.write_bytes(made.content)
                written[made.sop_instance_uid] = path
            if result.volume is not None:
                write_overlays(result.volume, result.findings, out)
    return study_walk_document(study, set_aside, written)


def _status(walked: FolderWalk) -> int:
    if not any(study.results for study in walked.studies):
        return EXIT_NOTHING
    return EXIT_PARTLY if any(study.dispatch.dismissals for study in walked.studies) else EXIT_DONE


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("try", epilog=EPILOG)(try_)
