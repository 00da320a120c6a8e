"""`dicomnode try DIR`: assemble → analyse → report on files; nothing is sent, nothing is kept but --out."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, get_args

import typer

from dicomnode.cli.engine_named import named_engine, usual_settings
from dicomnode.cli.options import ConfigOption, config_path, threads
from dicomnode.cli.output import JsonOption, bars, console, print_json
from dicomnode.cli.try_picture import PreparedOption, require_png, write_prepared
from dicomnode.cli.writing import require_writable
from dicomnode.faults import EXIT_DONE, EXIT_NOTHING, EXIT_PARTLY, NO_INSTANCES, USAGE, NodeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dicomnode.engine import EnginePackage
    from dicomnode.serve import FolderWalk, StudyWalk, WalkPlan
    from dicomnode.settings import ObjectKind, Settings

_USUAL: Final = "lung-ct"  # the engine that `dicomnode init` configures

EPILOG = (
    "EXIT STATUS: 0 analysed, 1 --out or --prepared cannot be written, 2 usage, 3 no DICOM in DIR or no "
    "engine wants it, 4 some of the series that an engine wanted could not be analysed, 10 configuration, 12 "
    "an engine failed."
)


def try_(  # noqa: PLR0917  typer gives each by its name
    paths: Annotated[list[Path], typer.Argument(metavar="DIR", help="Files or folders.", exists=True)],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the DICOM objects and pictures.")
    ] = None,
    engine: Annotated[
        list[str] | None,
        typer.Option(
            "--engine",
            help="Engine to run, again for more; default: those of the configuration, else lung-ct.",
        ),
    ] = None,
    engine_path: Annotated[
        list[Path] | None, typer.Option("--engine-path", help="Folder of an engine package of your own.")
    ] = None,
    objects: Annotated[
        str,
        typer.Option(
            "--objects",
            metavar="KIND,…",
            help="Kinds of objects to make: SEG, LABELMAP, SR, GSPS, SC, PM, RTSTRUCT, PDF, KOS, IMAGES.",
        ),
    ] = "SEG,SR",
    prepared: PreparedOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Try files without a node: which engine wants what, what it finds, what the objects would be.

    With a configuration, engines run as the node would run them: on its runtimes, plans and records. Without
    one, and with no engine named, lung-ct runs alone, as in a configuration that `dicomnode init` writes. The
    other engines that ship are listed below, with whether they would take the images; demonstrations run by
    name alone.
    """
    from dicomnode.serve import walk

    _require_places(out, prepared)
    kinds = _kinds(objects)
    settings = usual_settings(config)
    named = _packages(engine or [], engine_path or [], settings)
    packages = named or [named_engine(_USUAL, None, settings)]
    if settings is not None and not as_json:
        console.print(f"Engines run as {config_path(config)} says.", markup=False)
    with bars(quiet=as_json) as progress:
        plan = _plan(packages, settings, kinds)
        walked = walk(paths, plan, progress)
    if not walked.studies:
        raise NodeError(NO_INSTANCES, path=", ".join(map(str, paths)))
    documents = _kept(walked, out)
    if prepared is not None:  # last: what was found is written by then, whatever becomes of the sheet
        with bars(quiet=as_json) as progress:
            write_prepared(prepared, walked, plan.decoding, progress)
    if as_json:
        # One study is the usual case and the documented object; more of them stand in a list
        print_json(documents[0] if len(documents) == 1 else {"schema": 1, "studies": documents})
        return _status(walked)
    _show(walked, documents, [] if named else packages)
    if out is not None and out.is_dir():
        console.print(f"Objects and pictures lie in {out}", markup=False)
    return _status(walked)


def _require_places(out: Path | None, prepared: Path | None) -> None:
    """Tell before the work where nothing can be written. Raises NodeError: FILE_NOT_WRITTEN, USAGE."""
    if out is not None:
        require_writable(out)
    if prepared is not None:
        require_png(prepared)


def _packages(names: list[str], folders: list[Path], settings: Settings | None) -> list[EnginePackage]:
    """Load the engines that are named, by the command or by the configuration; none where none is."""
    from dicomnode.engine import configured_engine, load_package

    own = [load_package(folder) for folder in folders]
    if names:
        known = {package.manifest.name: package for package in own}
        return [known[name] if name in known else named_engine(name, None, settings) for name in names]
    wanted = [] if own or settings is None else [one for one in settings.engine if one.mode != "off"]
    return own or [configured_engine(one) for one in wanted]


def _kinds(objects: str) -> tuple[ObjectKind, ...]:
    """Read the kinds of objects that are wanted. Raises NodeError(USAGE)."""
    from dicomnode.settings import ObjectKind

    known: tuple[ObjectKind, ...] = get_args(ObjectKind)
    words = [word.strip().upper() for word in objects.split(",")]
    wanted = tuple(kind for kind in known if kind in words)
    wrong = [word for word in words if word not in known]
    if wrong or not wanted:
        problem = f"--objects takes {', '.join(known)}, not {', '.join(wrong) or 'nothing'!r}"
        raise NodeError(USAGE, problem=problem)
    return wanted


def _plan(
    packages: list[EnginePackage], settings: Settings | None, kinds: tuple[ObjectKind, ...]
) -> WalkPlan:
    from dicomnode.assemble import DecoderLimits
    from dicomnode.engine import wish_of
    from dicomnode.report import ReportProfile
    from dicomnode.serve import Occasion, WalkPlan, decoder_limits

    # The salt is new each time, so that no object of a trial can be taken for one of an installation
    occasion = Occasion(study_version=1, made_at=datetime.now(UTC).astimezone(), salt=os.urandom(32))
    names = [package.manifest.name for package in packages]
    return WalkPlan(
        packages=packages,
        threads=(settings.analyse.threads if settings is not None else 0) or threads(),
        profile=ReportProfile(kinds=kinds, series_number=9000),
        occasion=occasion,
        wishes={} if settings is None else {name: wish_of(settings, name) for name in names},
        decoding=DecoderLimits() if settings is None else decoder_limits(settings.assemble),
        all_volumes=True,
    )


def _show(walked: FolderWalk, documents: Sequence[dict[str, Any]], unasked: Sequence[EnginePackage]) -> None:
    """Print the studies; below them, where engines ran unasked, those that did not."""
    from dicomnode.cli.findings import print_study
    from dicomnode.cli.try_offered import print_offered

    for study, document in zip(walked.studies, documents, strict=True):
        print_study(study, document)
    if unasked:
        print_offered(walked, unasked)


def _kept(walked: FolderWalk, out: Path | None) -> list[dict[str, Any]]:
    """Write the objects of each study; what was set aside stands with the first."""
    return [
        _keep(study, walked.set_aside if index == 0 else (), out)
        for index, study in enumerate(walked.studies)
    ]


def _keep(study: StudyWalk, set_aside: Any, out: Path | None) -> dict[str, Any]:
    from dicomnode.cli.documents import study_walk_document
    from dicomnode.cli.findings import write_results

    written = {} if out is None else write_results(study.results, out).objects
    return study_walk_document(study, set_aside, written)


def _status(walked: FolderWalk) -> int:
    if not any(study.results for study in walked.studies):
        return EXIT_NOTHING
    return EXIT_PARTLY if any(study.dispatch.dismissals for study in walked.studies) else EXIT_DONE


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("try", epilog=EPILOG)(try_)
