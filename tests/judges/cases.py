"""The fixture series of the judges: written as files, read by the node, with a finding of every kind on them.

A case is made once a process: every judge looks at the same objects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar, get_args

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.uid import ComputedRadiographyImageStorage

from dicomnode.assemble import load_picture, load_volume, read_studies
from dicomnode.report import ReportProfile, make_objects
from dicomnode.report.objects import Kind, ResultObject
from dicomnode.report.pages import SourcePixels
from dicomnode.values import Findings, Grid, Mask, Outcome, Region, RegionKind, Segment, Volume, derive_uid
from tests.fixtures.pictures import picture
from tests.judges.test_multi_frame_sources import enhanced
from tests.unit.report.fields.fields import MR, a_map, an_image
from tests.unit.report.kinds import KINDS as FINDINGS
from tests.unit.report.kinds import TYPED
from tests.unit.report.pages.paged import on_pictures
from tests.unit.report.real import source_of
from tests.unit.report.sources import SALT, Series, findings, lung_segments, not_analysed, part_10

Found = TypeVar("Found", Segment, Region)

ALL_KINDS: Final[tuple[Kind, ...]] = tuple(kind for kind in get_args(Kind) if kind != "KO")
WITHOUT_GEOMETRY: Final[tuple[Kind, ...]] = ("SR", "SC", "PDF")
ON_A_PICTURE: Final[tuple[Kind, ...]] = ("SR", "GSPS", "SC", "PDF", "KOS")

_JAPANESE = {
    "SpecificCharacterSet": ["", "ISO 2022 IR 87"],
    "PatientName": "Yamada^Tarou=山田　太郎=やまだ　たろう",  # the wide space is usual there
    "StudyDescription": "胸部　ＣＴ",
    "ReferringPhysicianName": "",
    "InstitutionName": "",
}
_WINDOW = {"WindowCenter": "-600", "WindowWidth": "700"}
# What no CT needs (types 2 and 3), and one that it should have and often has not
_SPARE = (
    *("PatientName", "PatientBirthDate", "PatientSex", "PatientAge", "PatientWeight", "IssuerOfPatientID"),
    *("StudyID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyDescription"),
    *("SeriesDate", "SeriesTime", "SeriesDescription", "AcquisitionDate", "AcquisitionTime", "ContentDate"),
    *("ContentTime", "Manufacturer", "ManufacturerModelName", "SoftwareVersions", "DeviceSerialNumber"),
    *("InstitutionName", "BodyPartExamined", "SliceThickness", "KVP", "PositionReferenceIndicator"),
    *("SpecificCharacterSet", "AcquisitionNumber", "SeriesNumber"),
)


def _without(ds: Dataset, k: int) -> None:
    for keyword in _SPARE:
        delattr(ds, keyword)


def _series(series: Series, missing: int | None = None) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        for k, ds in enumerate(series.datasets()):
            if k != missing:
                # As exact as can be: what a scanner rounds away, dcmqi holds against the results
                ds.ImagePositionPatient = [f"{one:.10g}" for one in series.affine[:3] @ (0, 0, k, 1)]
                (folder / f"{(k * 7) % 23:02}-{k:02}.dcm").write_bytes(part_10(ds))

    return write


def _film(folder: Path) -> None:
    values = np.full((60, 72), 100, dtype=np.uint16)
    values[20:31, 40:60] = 900
    tags = {"BitsStored": 12, "HighBit": 11, "ViewPosition": "PA", "PixelSpacing": [0.5, 0.4]}
    tags |= {"PatientOrientation": ["L", "F"], "BodyPartExamined": "CHEST", "BurnedInAnnotation": "NO"}
    tags |= {"WindowCenter": "500", "WindowWidth": "1000", "Manufacturer": "Maker"}
    ds = picture(ComputedRadiographyImageStorage, "CR", values, **tags)
    ds.save_as(folder / "film.dcm", enforce_file_format=True)


@dataclass(frozen=True)
class Fixture:
    """A source: how its files are written, what is found on it, and the kinds of object that come of that."""

    write: Callable[[Path], None]
    find: Callable[[Path], tuple[Findings, SourcePixels | None]]
    kinds: tuple[Kind, ...] = ALL_KINDS
    sheared: bool = False  # its grid is none that ITK knows
    bare: bool = False  # its headers are less than whole


# ── What is found ─────────────────────────────────────────────────────────────────────────────────
def apart(segments: tuple[Segment, ...], grid: Grid) -> tuple[Segment, ...]:
    """Lungs and a nodule that share no voxel, so that a label map can hold them; the axis on one slice."""
    lung, other, nodule = segments
    mask = lung.mask.to_array() & ~nodule.mask.to_array()
    x, y, z = (float(one) for one in grid.to_lps_mm(np.argwhere(mask)).mean(axis=0))
    volume = replace(lung.measurements[0], value=int(mask.sum()) * grid.voxel_mm3 / 1000)
    lung = replace(
        lung,
        mask=Mask.from_array(mask),
        centre_lps_mm=(x, y, z),
        measurements=(volume, *lung.measurements[1:]),
    )
    k, j, i = np.argwhere(nodule.mask.to_array())[0]
    ends = [tuple(float(one) for one in grid.to_lps_mm(at)) for at in ((k, j, i), (k, j + 3, i + 1))]
    return lung, other, replace(nodule, long_axis_lps_mm=(ends[0], ends[1]))


def _typed(found: tuple[Found, ...]) -> tuple[Found, ...]:
    """The last of them with the classes that a step for each lesion says of it."""
    return (*found[:-1], replace(found[-1], classes=TYPED))


def _spots(grid: Grid) -> tuple[Region, ...]:
    """A point and a box without outline."""
    (spot, _) = FINDINGS["points and boxes"][0].regions
    point = replace(spot, points_lps_mm=(_at(grid, 5, 7, 9),), tracking_uid=derive_uid(SALT, "point"))
    corners = np.sort([_at(grid, 4, 4.5, 5.5), _at(grid, 6, 9.5, 15.5)], axis=0)
    low, high = (tuple(float(one) for one in corner) for corner in corners)
    more = {"label": "nodule-3", "tracking_id": "Nodule 3", "tracking_uid": derive_uid(SALT, "box")}
    return point, replace(point, kind=RegionKind.BOX, points_lps_mm=(low, high), **more)


def _at(grid: Grid, k: float, j: float, i: float) -> tuple[float, float, float]:
    x, y, z = grid.to_lps_mm((k, j, i))
    return float(x), float(y), float(z)


def volume_in(folder: Path) -> Volume:
    ((series,),) = (study.series for study in read_studies([folder]).studies)
    (stack,) = series.stacks
    assert stack.facts.refusal is None, stack.facts.refusal
    return load_volume(stack)


def _everything(folder: Path) -> tuple[Findings, SourcePixels]:
    volume = volume_in(folder)
    grid = volume.grid
    found = findings(
        None,
        sources=(source_of(volume),),
        segments=_typed(apart(lung_segments(grid), grid)),
        regions=_typed(_spots(grid)),
        classifications=FINDINGS["a class"][0].classifications,
        measurements=FINDINGS["a regression"][0].measurements,
        maps=(a_map(grid),),
        images=(an_image(grid, volume.unit),),
    )
    return found, SourcePixels((volume,))


def _refused(series: Series, missing: int) -> Callable[[Path], tuple[Findings, None]]:
    def find(folder: Path) -> tuple[Findings, None]:
        ((read,),) = (study.series for study in read_studies([folder]).studies)
        (stack,) = read.stacks
        assert stack.facts.refusal is not None  # the node does not guess what the missing slice showed
        found = not_analysed(series)
        (source,) = found.sources
        frames = tuple(one for k, one in enumerate(source.frames) if k != missing)
        headers = tuple(one for k, one in enumerate(source.headers.encoded) if k != missing)
        return replace(
            found, sources=(replace(source, frames=frames, headers=replace(source.headers, encoded=headers)),)
        ), None

    return find


def _on_the_film(folder: Path) -> tuple[Findings, SourcePixels]:
    ((series,),) = (study.series for study in read_studies([folder]).studies)
    (stack,) = series.stacks
    film = load_picture(stack, display=True)
    mask = np.zeros(film.grid.shape_kji, dtype=bool)
    mask[0, 20:31, 40:60], mask[0, 30, 50:60] = True, False
    segment = replace(
        lung_segments(findings().sources[0].grid)[0],  # type: ignore[arg-type]
        mask=Mask.from_array(mask),
        laterality=None,
        centre_lps_mm=tuple(float(one) for one in film.grid.to_lps_mm(np.argwhere(mask)).mean(axis=0)),  # type: ignore[arg-type]
        measurements=(),
    )
    spot = replace(_spots(film.grid)[0], points_lps_mm=(_at(film.grid, 0, 25, 50),), laterality=None)
    found = on_pictures(
        (film,),
        outcome=Outcome.FINDINGS,
        segments=(segment,),
        regions=(spot,),
        classifications=FINDINGS["a class"][0].classifications,
    )
    return found, SourcePixels((film,))


_MISSING = 5
_CT: Final = Series()
FIXTURES: Final[Mapping[str, Fixture]] = MappingProxyType(
    {
        **{
            plane: Fixture(_series(Series(plane=plane)), _everything)
            for plane in ("axial", "oblique", "sagittal", "reversed")
        },
        "tilted": Fixture(_series(Series(plane="tilted")), _everything, sheared=True),
        "missing slice": Fixture(_series(_CT, _MISSING), _refused(_CT, _MISSING), WITHOUT_GEOMETRY),
        "anisotropic": Fixture(_series(Series(spacing_kji_mm=(5.0, 0.5, 1.25))), _everything),
        "multi-frame": Fixture(lambda folder: enhanced(folder, "oblique", legacy=False), _everything),
        "Japanese": Fixture(_series(Series(extra=_JAPANESE)), _everything),
        "Latin-1": Fixture(
            _series(Series(extra={"PatientName": "Müller-Öztürk\u00a0Nuñez^José Ñandú"})), _everything
        ),
        "minimal header": Fixture(_series(Series(edit=_without)), _everything, bare=True),
        "MR": Fixture(_series(Series(plane="sagittal", extra=MR | _WINDOW)), _everything),
        "CR": Fixture(_film, _on_the_film, ON_A_PICTURE),
    }
)


# ── A case ────────────────────────────────────────────────────────────────────────────────────────
@dataclass(eq=False)
class Case:
    """The objects made of a fixture with one profile of all kinds, as files."""

    name: str
    folder: Path
    fixture: Fixture
    findings: Findings
    pixels: SourcePixels | None
    objects: tuple[ResultObject, ...]
    source: list[Path]
    results: dict[Kind, list[Path]] = field(default_factory=dict)

    @cached_property
    def images(self) -> list[Dataset]:
        """The source, k ascending for one instance a slice."""
        by_uid = {str(ds.SOPInstanceUID): ds for ds in map(dcmread, self.source)}
        return [
            by_uid[one] for one in dict.fromkeys(f.sop_instance_uid for f in self.findings.sources[0].frames)
        ]

    @property
    def grid(self) -> Grid:
        grid = self.findings.sources[0].grid
        assert grid is not None
        return grid

    @property
    def frames(self) -> int:
        """Frames of each instance of the source."""
        return int(self.images[0].get("NumberOfFrames", 1))

    @property
    def paths(self) -> list[Path]:
        return [path for paths in self.results.values() for path in paths]

    @property
    def study(self) -> str:
        return self.findings.sources[0].study_instance_uid


def objects_of(found: Findings, pixels: SourcePixels | None) -> tuple[ResultObject, ...]:
    profile = ReportProfile(kinds=ALL_KINDS, viewer="cornerstone")
    return make_objects(found, profile, SALT, pixels=lambda: pixels)


def make_case(name: str, folder: Path) -> Case:
    fixture = FIXTURES[name]
    source, results = folder / "source", folder / "results"
    source.mkdir()
    results.mkdir()
    fixture.write(source)
    found, pixels = fixture.find(source)
    objects = objects_of(found, pixels)
    case = Case(name, folder, fixture, found, pixels, objects, sorted(source.iterdir()))
    for n, one in enumerate(objects):
        path = results / f"{one.kind}-{n:03}.dcm"
        path.write_bytes(one.content)
        case.results.setdefault(one.kind, []).append(path)
    return case
