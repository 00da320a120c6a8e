"""`dicomnode register FIXED MOVING`: one series laid or bent over another one of the same patient."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, cast, get_args

import typer

from dicomnode import __version__
from dicomnode.cli.output import Bars, JsonOption, bars, print_json, print_table, result_console, short_uid
from dicomnode.cli.writing import require_writable, write_file
from dicomnode.faults import (
    EXIT_DONE,
    REGISTER_CHOICE,
    REGISTER_PATIENTS,
    REGISTER_REFUSED,
    USAGE,
    NodeError,
)

if TYPE_CHECKING:
    import numpy as np

    from dicomnode.analyse import Deformation
    from dicomnode.analyse.deformable import Kind
    from dicomnode.analyse.register import Registration
    from dicomnode.assemble import Stack
    from dicomnode.report import Laid, SpatialObject, SpatialOccasion
    from dicomnode.values import Source, Volume

EPILOG = (
    "EXIT STATUS: 0 registered, 1 the two do not match or --out cannot be written, 2 usage, 3 no volume "
    "found, 12 SimpleITK is missing."
)
_USE: Final = "Research and engineering. Not for clinical use."
_SALT: Final = b"dicomnode register"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Found:
    """Both volumes, how one lies over the other, and the moved one on the grid of the fixed one."""

    fixed: Volume
    moving: Volume
    map: Registration | Deformation
    moved: np.ndarray[Any, np.dtype[np.float32]]
    covered: float


def register(  # noqa: PLR0917  typer gives each by its name
    fixed: Annotated[Path, typer.Argument(metavar="FIXED", help="Folder of what stays.", exists=True)],
    moving: Annotated[Path, typer.Argument(metavar="MOVING", help="Folder of what is moved.", exists=True)],
    out: Annotated[
        Path, typer.Option("--out", help="Folder for the registration, the moved series, and a picture.")
    ],
    kind: Annotated[
        str, typer.Option("--kind", metavar="rigid|affine|deformable", help="What the map may do.")
    ] = "rigid",
    fixed_series: Annotated[
        str | None, typer.Option("--fixed-series", metavar="UID", help="Which series of FIXED.")
    ] = None,
    moving_series: Annotated[
        str | None, typer.Option("--moving-series", metavar="UID", help="Which series of MOVING.")
    ] = None,
    same_patient: Annotated[
        bool, typer.Option("--same-patient", help="They are of one patient, whatever their headers say.")
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """Lay a series over another one of the same patient: a prior, or another modality.

    Writes a DICOM Spatial Registration (or Deformable Spatial Registration), the moved series as derived
    images in the space of the fixed one, and a checkerboard of both. What does not match is refused.
    """
    from dicomnode.analyse.deformable import Kind

    if kind not in get_args(Kind):
        raise NodeError(USAGE, problem=f"--kind is one of {', '.join(get_args(Kind))}, not {kind!r}")
    require_writable(out)
    with bars(quiet=as_json) as progress:
        stacks = (
            _chosen(fixed, fixed_series, "fixed", progress),
            _chosen(moving, moving_series, "moving", progress),
        )
        _check_patient(*stacks, asserted=same_patient)
        found = _registered(*stacks, kind=cast("Kind", kind), progress=progress)
    document = _write(found, out)
    if as_json:
        print_json(document)
    else:
        _print(document)
    return EXIT_DONE


def _chosen(folder: Path, series_uid: str | None, which: str, progress: Bars) -> Stack:
    """Choose the volume of a folder: the only one, the named one, or the one with most slices."""
    from dicomnode.assemble import read_studies

    reading = read_studies([folder], progress)
    every = [stack for study in reading.studies for series in study.series for stack in series.stacks]
    stacks = volumes = [one for one in every if one.kind == "volume" and one.facts.refusal is None]
    if series_uid is not None:
        stacks = [one for one in volumes if one.facts.series_instance_uid == series_uid]
    if not stacks:
        refusals = [one.facts.refusal.text.rstrip(".") for one in every if one.facts.refusal is not None]
        reason = refusals[0] if refusals and series_uid is None else "no series there is a volume"
        if series_uid is not None:
            reason = f"no volume there is of the series {series_uid}; there are {_named(volumes)}"
        raise NodeError(REGISTER_CHOICE, path=folder, which=which, reason=reason)
    most = max(len(one.headers) for one in stacks)
    largest = [one for one in stacks if len(one.headers) == most]
    if len(largest) > 1:
        raise NodeError(
            REGISTER_CHOICE,
            path=folder,
            which=which,
            reason=f"{len(largest)} volumes have {most} slices each, those of {_named(largest)}",
        )
    return largest[0]


def _named(stacks: list[Stack]) -> str:
    """The series of volumes as --fixed-series takes them, with the numbers that `dicomnode try` lists."""
    numbers = {one.facts.series_instance_uid: one.facts.tags.get("SeriesNumber", "–") for one in stacks}
    return ", ".join(f"{uid} (number {number})" for uid, number in numbers.items()) or "none"


def _check_patient(fixed: Stack, moving: Stack, *, asserted: bool) -> None:
    from dicomnode.assemble import other_person

    refusal = other_person([fixed.headers[0], moving.headers[0]], "the two series")
    if refusal is not None and not asserted:
        raise NodeError(REGISTER_PATIENTS, reason=refusal.text.rstrip("."))


def _registered(fixed_stack: Stack, moving_stack: Stack, *, kind: Kind, progress: Bars) -> _Found:
    from dicomnode.analyse import lay_over, registered
    from dicomnode.assemble import load_volume

    fixed, moving = load_volume(fixed_stack, progress), load_volume(moving_stack, progress)
    found = registered(fixed, moving, kind, progress)
    if isinstance(found, str):
        raise NodeError(REGISTER_REFUSED, reason=found)
    outside = float(moving.voxels.min())
    moved, inside = lay_over(moving, found, fixed.grid, outside, progress)
    return _Found(fixed=fixed, moving=moving, map=found, moved=moved, covered=float(inside.mean()))


def _write(found: _Found, out: Path) -> dict[str, Any]:
    """Write the objects and the picture, and say what they are."""
    from dicomnode.report import (
        against_moved_images,
        checkerboard_png,
        make_moved_images,
        make_registration,
    )
    from dicomnode.values import DerivedImage

    fixed, moving = _source(found.fixed, "fixed"), _source(found.moving, "moving")
    laid, occasion = _laid(found.map), _occasion(found)
    image = DerivedImage(
        label="moved",
        description=f"Moved onto another series ({found.map.kind})",
        unit=found.moving.unit,
        values=found.moved,
        grid=found.fixed.grid,
        algorithm=f"register {found.map.kind}",
    )
    registration = make_registration(fixed, moving, laid, occasion)
    images = make_moved_images(fixed, moving, laid, image, occasion)
    path = out / f"reg-{registration.sop_instance_uid}.dcm"
    write_file(path, registration.content)
    for number, one in enumerate(images, start=1):
        write_file(out / "moved" / f"image-{number:04}.dcm", one.content)
    picture = out / "checkerboard.png"
    write_file(picture, checkerboard_png(found.fixed.voxels, found.moved, found.fixed.grid))
    why_not = None if images else against_moved_images(moving, image, occasion)
    return _document(found, {"registration": path, "picture": picture}, images, why_not)


def _source(volume: Volume, name: str) -> Source:
    from dicomnode.values import Source

    return Source(
        name=name,
        study_instance_uid=volume.study_instance_uid,
        series_instance_uid=volume.series_instance_uid,
        grid=volume.grid,
        frames=volume.frames,
        headers=volume.headers,
        repairs=volume.repairs,
    )


def _laid(found: Registration | Deformation) -> Laid:
    from dicomnode.analyse import Deformation
    from dicomnode.report import Laid

    if isinstance(found, Deformation):
        return Laid(
            kind="deformable",
            moved_lps=found.linear.moved_lps,
            words=found.words,
            grid=found.grid,
            field_lps_mm=found.field_lps_mm,
        )
    return Laid(kind=found.kind, moved_lps=found.moved_lps, words=found.words)


def _occasion(found: _Found) -> SpatialOccasion:
    """What the objects are made with; those of another time have other UIDs."""
    from dicomnode.report import SpatialOccasion
    from dicomnode.values import Provenance

    provenance = Provenance(
        engine="register",
        version=__version__,
        title=f"Registration of two series ({found.map.kind})",
        use=_USE,
        engine_digest=hashlib.sha256(f"register {__version__}".encode()).hexdigest(),
        runtime="SimpleITK",
        precision="fp64",
        device="CPU",
        node_version=__version__,
        details={"registration": found.map.words},
    )
    made_at = datetime.now(UTC).astimezone()
    return SpatialOccasion(provenance=provenance, made_at=made_at, salt=_SALT + made_at.isoformat().encode())


def _document(
    found: _Found, paths: dict[str, Path], images: tuple[SpatialObject, ...], why_not: str | None
) -> dict[str, Any]:
    from dicomnode.analyse import Deformation

    laid = found.map
    linear = laid.linear if isinstance(laid, Deformation) else laid
    bent = None
    if isinstance(laid, Deformation):
        bent = {
            "error_95_mm": round(laid.error_95_mm, 3),
            "largest_mm": round(laid.largest_mm, 3),
            "least_jacobian": round(laid.jacobians[0], 4),
            "most_jacobian": round(laid.jacobians[1], 4),
        }
    return {
        "schema": 1,
        "kind": laid.kind,
        "fixed_series": found.fixed.series_instance_uid,
        "moving_series": found.moving.series_instance_uid,
        "matrix_lps": [[float(one) for one in row] for row in linear.moved_lps],
        "error_mm": round(laid.error_mm, 3),
        "overlap": round(laid.overlap, 4),
        "mutual_information": round(laid.information, 4),
        "covered": round(found.covered, 4),
        "deformation": bent,
        "registration": str(paths["registration"]),
        "moved_images": len(images),
        "moved_folder": str(paths["registration"].parent / "moved") if images else None,
        "no_moved_images_because": why_not,
        "picture": str(paths["picture"]),
    }


def _print(document: dict[str, Any]) -> None:
    rows: list[tuple[str, object]] = [
        ("fixed series", short_uid(document["fixed_series"])),
        ("moving series", short_uid(document["moving_series"])),
        ("forth and back, mm", f"{document['error_mm']:.2f}"),
        ("overlap of the bodies", f"{100 * document['overlap']:.0f} %"),
        ("mutual information", f"{document['mutual_information']:.2f}"),
        ("of the fixed grid covered", f"{100 * document['covered']:.0f} %"),
    ]
    bent = document["deformation"]
    if bent is not None:
        rows.append(("bent by at most, mm", f"{bent['largest_mm']:.1f}"))
        rows.append(("volumes become", f"{bent['least_jacobian']:.2f} to {bent['most_jacobian']:.2f}"))
    rows += [(f"matrix, row {n}", _numbers(row)) for n, row in enumerate(document["matrix_lps"][:3], start=1)]
    rows += [("registration", document["registration"]), ("checkerboard", document["picture"])]
    moved = document["moved_folder"] or f"none, as {document['no_moved_images_because']}"
    rows.append(("moved series", moved))
    print_table(f"Registration, {document['kind']}", ("what", "value"), rows)
    result_console.print(
        "Look at the checkerboard before you rely on it. Not for clinical use.", markup=False
    )


def _numbers(row: list[float]) -> str:
    return "  ".join(f"{one:.5f}" for one in row[:3]) + f"  {row[3]:.3f} mm"


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("register", epilog=EPILOG)(register)
