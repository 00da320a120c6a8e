"""`dicomnode explain ENGINE DIR`: where an engine that was trained here saw what spoke for a class."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dicomnode.cli.engine_named import named_engine, usual_settings
from dicomnode.cli.options import ConfigOption, threads
from dicomnode.cli.output import Bars, JsonOption, bars, console, print_json, print_table
from dicomnode.cli.writing import require_writable, write_file
from dicomnode.faults import (
    EXIT_DONE,
    EXIT_PARTLY,
    FILE_UNREADABLE,
    NO_INSTANCES,
    NOTHING_EXPLAINED,
    PREPARATION_FAILED,
    USAGE,
    NodeError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dicomnode.assemble import StudyFiles
    from dicomnode.engine import EnginePackage
    from dicomnode.evaluate.running import Answer
    from dicomnode.learn.explain import Explanation, Method, TrainedNetwork
    from dicomnode.settings import Settings
    from dicomnode.values import Picture, Volume

EPILOG = (
    "EXIT STATUS: 0 explained, 1 --out cannot be written, 2 usage, 3 no DICOM in DIR or no study that could "
    "be explained, 4 some could not, 10 configuration, 12 the engine cannot be explained."
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Asked:
    """What is asked for of each study."""

    package: EnginePackage
    trained: TrainedNetwork
    method: Method
    name: str | None
    out: Path
    salt: bytes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Told:
    """A study explained, or why not. files: what was written, by kind."""

    study_instance_uid: str
    explanation: Explanation | None = None
    files: tuple[tuple[str, Path], ...] = ()
    reason: str = ""


def explain(  # noqa: PLR0917  typer gives each by its name
    engine: Annotated[str, typer.Argument(help="Name of an engine, or folder of a package.")],
    paths: Annotated[list[Path], typer.Argument(metavar="DIR", help="Files or folders.", exists=True)],
    out: Annotated[Path, typer.Option("--out", help="Folder for the DICOM objects and pictures.")],
    method: Annotated[
        str,
        typer.Option("--method", metavar="METHOD", help="cam, grad-cam or integrated-gradients."),
    ] = "grad-cam",
    class_: Annotated[
        str | None,
        typer.Option("--class", metavar="NAME", help="Class to explain; default: the likeliest output."),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Explain what a classifier says of studies: a heat map as Parametric Map, on pages, and as a picture.

    For engines that `dicomnode train classify` made, with the weights that lie in their folder. Nothing is
    sent. A map shows what the network heeded; it is no outline, and no proof that the answer is right.
    """
    from dicomnode.assemble import read_studies
    from dicomnode.engine import load_package
    from dicomnode.learn.explain import METHODS, read_network

    if method not in METHODS:
        raise NodeError(USAGE, problem=f"--method takes {', '.join(METHODS)}, not {method!r}")
    require_writable(out)
    settings = usual_settings(config)
    folder = Path(engine)
    package = load_package(folder) if folder.is_dir() else named_engine(engine, None, settings)
    trained = read_network(package)
    if class_ is not None:
        trained.channel_of(class_)
    asked = _Asked(
        package=package,
        trained=trained,
        method=method,
        name=class_,
        out=out,
        salt=os.urandom(32),  # no object of a look can be taken for one of an installation
    )
    with bars(quiet=as_json) as progress:
        studies = read_studies(paths, progress).studies
        if not studies:
            raise NodeError(NO_INSTANCES, path=", ".join(map(str, paths)))
        told = list(_explained(studies, asked, settings, progress))
    if not any(one.explanation for one in told):
        reason = told[0].reason.rstrip(".")
        where = ", ".join(map(str, paths))
        raise NodeError(NOTHING_EXPLAINED, path=where, engine=package.manifest.name, reason=reason)
    if as_json:
        print_json(_document(asked, told))
    else:
        _print(asked, told)
    return EXIT_DONE if all(one.explanation for one in told) else EXIT_PARTLY


def _explained(
    studies: Sequence[StudyFiles], asked: _Asked, settings: Settings | None, progress: Bars
) -> Iterator[_Told]:
    """Run the engine as the node would, then explain each answer."""
    from dicomnode.assemble import DecoderLimits
    from dicomnode.engine import RuntimeWish, wish_of
    from dicomnode.serve import Answering, AnsweringPlan, Occasion, decoder_limits

    plan = AnsweringPlan(
        threads=(settings.analyse.threads if settings is not None else 0) or threads(),
        occasion=Occasion(study_version=1, made_at=datetime.now(UTC).astimezone(), salt=asked.salt),
        wish=RuntimeWish() if settings is None else wish_of(settings, asked.package.manifest.name),
        decoding=DecoderLimits() if settings is None else decoder_limits(settings.assemble),
    )
    with Answering(asked.package, plan) as answering:
        for number, study in enumerate(studies):
            progress("explaining", number, len(studies))
            for answer in answering(study, progress):
                yield _one(study.study_instance_uid, answer, asked)
        progress("explaining", len(studies), len(studies))


def _one(uid: str, answer: Answer, asked: _Asked) -> _Told:
    """Explain an answer; what fails of one study is told, what fails of all is raised."""
    from dicomnode.learn.explain import explain as explained
    from dicomnode.values import Refusal

    if answer.stack is None or answer.findings is None or not answer.findings.classifications:
        return _Told(study_instance_uid=uid, reason=answer.reason or "the engine said nothing of a class")
    stack = answer.stack
    try:
        from dicomnode.assemble import load_picture, load_volume

        flat = stack.kind != "volume"
        images: Volume | Picture = load_picture(stack) if flat else load_volume(stack)
        found = explained(asked.package, asked.trained, images, answer.findings, (asked.method, asked.name))
        # People see a picture as its own window shows it
        shown = load_picture(stack, display=True) if flat else images
    except NodeError as error:
        if error.fault not in {FILE_UNREADABLE, PREPARATION_FAILED}:
            raise
        return _Told(study_instance_uid=uid, reason=error.refusal.text)
    if isinstance(found, Refusal):
        return _Told(study_instance_uid=uid, reason=found.text)
    return _Told(study_instance_uid=uid, explanation=found, files=_write(found, shown, asked))


def _write(found: Explanation, images: Volume | Picture, asked: _Asked) -> tuple[tuple[str, Path], ...]:
    """Write the objects and the picture, each whole or not at all. Raises NodeError(FILE_NOT_WRITTEN)."""
    from dicomnode.report import ReportProfile, SourcePixels, heat_png, make_objects

    profile = ReportProfile(kinds=("PM", "SC"), series_number=9000)
    objects = make_objects(found.findings, profile, asked.salt, pixels=lambda: SourcePixels((images,)))
    written: list[tuple[str, Path]] = []
    for one in objects:
        path = asked.out / f"{one.kind.lower()}-{one.sop_instance_uid}.dcm"
        write_file(path, one.content)
        written.append((one.kind, path))
    series = found.findings.sources[0].series_instance_uid
    name = re.sub(r"[^A-Za-z0-9.-]+", "-", f"{found.map.label}-{series}")
    path = asked.out / f"{name}.png"
    write_file(path, heat_png(images, found.findings, found.map))
    return (*written, ("picture", path))


# ── what is told ──


def _document(asked: _Asked, told: Sequence[_Told]) -> dict[str, Any]:
    return {
        "schema": 1,
        "engine": asked.package.manifest.name,
        "version": asked.package.manifest.version,
        "method": asked.method,
        "studies": [_study(one) for one in told],
    }


def _study(one: _Told) -> dict[str, Any]:
    found = one.explanation
    if found is None:
        return {"study_instance_uid": one.study_instance_uid, "reason": one.reason}
    parts = found.attribution
    return {
        "study_instance_uid": one.study_instance_uid,
        "series_instance_uid": found.findings.sources[0].series_instance_uid,
        "class": found.name,
        "probability": found.probability,
        "evidence": parts.evidence,
        "sum_of_parts": parts.sum_of_parts,
        "difference_to_baseline": parts.difference,
        "shape_kji": list(found.map.grid.shape_kji),
        "maximum_at": {"space": _space(found), "xyz": list(_maximum(found))},
        "files": [{"kind": kind, "path": str(path)} for kind, path in one.files],
    }


def _maximum(found: Explanation) -> tuple[float, ...]:
    import numpy as np

    at = np.unravel_index(int(found.map.values.argmax()), found.map.values.shape)
    return tuple(float(one) for one in found.map.grid.to_lps_mm([int(n) for n in at]))


def _space(found: Explanation) -> str:
    """Where numbers of a place stand: in the patient, or on a picture."""
    plane = found.findings.sources[0].plane
    if plane is None:
        return "LPS mm"
    return "picture pixels" if plane.spacing_ji_mm is None else "picture mm"


def _print(asked: _Asked, told: Sequence[_Told]) -> None:
    rows = []
    for one in told:
        found = one.explanation
        if found is None:
            rows.append((one.study_instance_uid, "", "", one.reason))
            continue
        where = f"{', '.join(f'{place:.1f}' for place in _maximum(found))} ({_space(found)})"
        rows.append((one.study_instance_uid, found.name, f"{100 * found.probability:.1f} %", where))
    title = f"{asked.package.manifest.name} {asked.package.manifest.version}, {asked.method}"
    print_table(title, ("study", "class", "probability", "maximum at x, y, z"), rows)
    console.print("A map shows what the network heeded. It is no outline, and no proof.", markup=False)
    console.print(f"Objects and pictures lie in {asked.out}", markup=False)


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("explain", epilog=EPILOG)(explain)
