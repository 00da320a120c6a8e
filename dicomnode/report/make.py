"""From Findings to finished objects: the one door of the writers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final, TypeVar

import structlog
from pydicom import Dataset

from dicomnode.faults import REPORT_FAILED, NodeError
from dicomnode.report.fields.derived_images import build_derived_images
from dicomnode.report.fields.left_out import MOST_IMAGES
from dicomnode.report.fields.parametric_maps import build_parametric_maps
from dicomnode.report.guard.images import check_images
from dicomnode.report.guard.maps import check_maps
from dicomnode.report.guard.presentation_states import check_presentation_state
from dicomnode.report.guard.reports import check_report
from dicomnode.report.guard.segmentations import check_labelmap, check_segmentation
from dicomnode.report.guard.structure_sets import check_structure_set
from dicomnode.report.heading.headers import read_heading
from dicomnode.report.heading.identity import Imprint, apply_identity, to_bytes
from dicomnode.report.objects import EarlierReport, Kind, ReportProfile, ResultObject
from dicomnode.report.outlines.pixel_window import lacks_window, with_window_of
from dicomnode.report.outlines.presentation_states import build_presentation_states, greys_to_draw_on
from dicomnode.report.outlines.source_greys import SourceGreys
from dicomnode.report.outlines.structure_set import build_structure_set
from dicomnode.report.outlines.whereabouts import of_outlines
from dicomnode.report.pages.captures import build_captures
from dicomnode.report.pages.document import build_document
from dicomnode.report.pages.pixels import SourcePixels
from dicomnode.report.possible import Possible, check_something_is_made, possible
from dicomnode.report.segmentation.binary import build_segmentation
from dicomnode.report.segmentation.encoding import LongDataset
from dicomnode.report.segmentation.labelmap import build_labelmap
from dicomnode.report.selections.key_objects import build_key_objects
from dicomnode.report.sr.report import Beside, build_report
from dicomnode.report.uids import ResultUids
from dicomnode.store.foreign import strict
from dicomnode.store.persons import NO_RENAMING, Renaming
from dicomnode.values import Findings

_log = structlog.get_logger("dicomnode.report")
_Made = TypeVar("_Made")

PixelsOf = Callable[[], SourcePixels | None]

# Series Number of each kind, counted from that of the profile. A rejection note is far behind.
_PLACE: Final[Mapping[Kind, int]] = MappingProxyType(
    {
        "SEG": 0,
        "SR": 1,
        "LABELMAP": 2,
        "GSPS": 3,
        "SC": 4,
        "PM": 5,
        "RTSTRUCT": 6,
        "PDF": 7,
        "KOS": 8,
        "IMAGES": 20,  # and on, one for each derived image
    }
)


def _no_pixels() -> SourcePixels | None:
    return None


def make_objects(
    findings: Findings,
    profile: ReportProfile,
    salt: bytes,
    renaming: Renaming = NO_RENAMING,
    replaces: tuple[EarlierReport, ...] = (),
    pixels: PixelsOf = _no_pixels,
) -> tuple[ResultObject, ...]:
    """Make the objects that a profile wants of some Findings; the same call always gives the same bytes.

    A segmentation is made where there are segments, a report always ("nothing found" and "not analysed" are
    results too). What the source does not allow is replaced by the next best, where the profile wants that.
    Segmentations, outlines, maps and derived images are read back by code that did not write them, and
    compared with the Findings.
    renaming: what messages told of the patient, which takes the place of what the headers say. replaces:
    reports that the new one takes the place of, which names them. pixels: gives what was looked at, for pages
    with pictures, and for outlines on images that bring no window; called at most once, and only for these.
    Raises NodeError: SOURCES_DISAGREE, SOURCE_HEADER_WRONG, GEOMETRY_GUARD, REPORT_FAILED, NOTHING_MADE.
    """
    heading = read_heading(findings, profile.assumed_character_set, renaming)
    if heading.notes:
        _log.warning(
            "header.left_out", study=findings.sources[0].study_instance_uid, notes=list(heading.notes)
        )
    imprint = Imprint(findings, heading, salt, profile.for_a_look, replaces)
    makes = possible(findings, profile)
    run = _Run(imprint, profile, pixels, heading.told_id, makes)
    for kind, write in _WRITERS.items():
        if kind in makes.kinds:
            write(run)
    if not run.objects:
        check_something_is_made(findings, profile, makes)
    return tuple(run.objects)


class _Run:
    """What was made of some Findings so far: data sets by kind, and the objects that they became."""

    def __init__(
        self,
        imprint: Imprint,
        profile: ReportProfile,
        pixels: PixelsOf,
        patient_id: str | None,
        makes: Possible,
    ) -> None:
        self.imprint, self.profile, self.makes = imprint, profile, makes
        self.patient_id = patient_id  # that a message told
        self.made: dict[Kind, tuple[Dataset, ...]] = {}
        self.objects: list[ResultObject] = []
        self._pixels_of = pixels
        self._pixels: tuple[SourcePixels | None] | None = None

    @property
    def pixels(self) -> SourcePixels | None:
        """What was looked at; None where it is not at hand any more."""
        if self._pixels is None:
            self._pixels = (self._pixels_of(),)
        return self._pixels[0]

    def of(self, *kinds: Kind) -> tuple[Dataset, ...]:
        """What was made of these kinds."""
        return tuple(one for kind in kinds for one in self.made.get(kind, ()))

    def series(self, kind: Kind, about: str, further: int = 0) -> tuple[ResultUids, int]:
        """UIDs and Series Number of a series. about: what shapes its bytes beside the Findings."""
        number = self.profile.series_number + _PLACE[kind] + further
        mark = ", for a look" if self.imprint.for_a_look else ""
        findings, salt = self.imprint.findings, self.imprint.salt
        return ResultUids.of(findings, salt, kind, f"{about}, series {number}{mark}"), number

    def keep(self, kind: Kind, uids: ResultUids, build: Callable[[], Iterable[Dataset]]) -> list[bytes]:
        """Build the instances of a series, give them their identity, and keep them; give their bytes.

        One after the other: of an object that is built, pixels and bytes are there at once.
        """
        contents = []
        instances = iter(_written(kind, build))
        while (one := _written(kind, lambda: next(instances, None))) is not None:
            apply_identity(one, self.imprint, uids, kind)
            self.made[kind] = (*self.made.get(kind, ()), one)
            self.objects.append(_object(kind, one))
            contents.append(self.objects[-1].content)
            if isinstance(one, LongDataset):
                one.tail = ()  # its pixels stand in the bytes; others only refer to it
        return contents


def _write_segmentation(run: _Run) -> None:
    imprint, profile = run.imprint, run.profile
    # A picture has no Frame of Reference that a segmentation could lie in: its report tells of outlines
    if not imprint.findings.segments or imprint.findings.sources[0].plane is not None:
        return
    most = f", {profile.frames_max} frames at most" if profile.frames_max else ""
    uids, number = run.series("SEG", f"BINARY{most}{_empty_frames(profile)}")
    contents = run.keep(
        "SEG",
        uids,
        lambda: build_segmentation(
            imprint, uids, number, frames_max=profile.frames_max, empty_frames=profile.empty_frames
        ),
    )
    check_segmentation(
        contents, imprint.findings, empty_frames=profile.empty_frames, patient_id=run.patient_id
    )


def _write_labelmap(run: _Run) -> None:
    empty = run.profile.empty_frames
    uids, number = run.series("LABELMAP", f"LABELMAP{_empty_frames(run.profile)}")
    build = lambda: build_labelmap(run.imprint, uids, number, empty_frames=empty)  # noqa: E731
    for content in run.keep("LABELMAP", uids, build):
        check_labelmap(content, run.imprint.findings, empty_frames=empty, patient_id=run.patient_id)


def _write_presentation_states(run: _Run) -> None:
    imprint = run.imprint
    greys = _written("GSPS", lambda: greys_to_draw_on(imprint.findings))
    if greys is not None and lacks_window(imprint, greys):
        greys = _in_a_window(run, greys)
    window = f", in {greys.of_pixels}" if greys is not None and greys.of_pixels else ""
    uids, number = run.series("GSPS", f"outlines{window}")
    for content in run.keep("GSPS", uids, lambda: build_presentation_states(imprint, uids, number, greys)):
        check_presentation_state(content, run.imprint.findings, patient_id=run.patient_id)


def _in_a_window(run: _Run, greys: SourceGreys) -> SourceGreys:
    pixels = run.pixels
    if pixels is None:
        return greys
    return _written("GSPS", lambda: with_window_of(greys, pixels, run.imprint.findings))


def _write_maps(run: _Run) -> None:
    uids, number = run.series("PM", "float")
    contents = run.keep("PM", uids, lambda: build_parametric_maps(run.imprint, uids, number))
    check_maps(contents, run.imprint.findings, patient_id=run.patient_id)


def _write_structure_set(run: _Run) -> None:
    uids, number = run.series("RTSTRUCT", "contours")
    for content in run.keep("RTSTRUCT", uids, lambda: build_structure_set(run.imprint, uids, number)):
        check_structure_set(content, run.imprint.findings, patient_id=run.patient_id)


def _write_images(run: _Run) -> None:
    for further, image in enumerate(run.imprint.findings.images[:MOST_IMAGES]):
        uids, number = run.series("IMAGES", f"derived image {image.label}", further)
        build = lambda: build_derived_images(run.imprint, uids, number, image)  # noqa: B023, E731  called now
        if contents := run.keep("IMAGES", uids, build):
            check_images(contents, run.imprint.findings, image, patient_id=run.patient_id)


def _write_captures(run: _Run) -> None:
    uids, number = run.series("SC", _with_pictures(run))
    run.keep("SC", uids, lambda: build_captures(run.imprint, uids, number, run.pixels))


def _write_report(run: _Run) -> None:
    imprint, profile = run.imprint, run.profile
    segmentations = run.of("SEG")
    # Not the label map: it has the segments of the segmentation, and readers of reports do not know its class
    companions = run.of("GSPS", "RTSTRUCT", "PM", "IMAGES", "SC")
    about = ["TID 1500", *(f"segmentation {one.SOPInstanceUID}" for one in segmentations)]
    about += [f"beside {one.SOPInstanceUID}" for one in companions]
    about += [f"replaces {one.sop_instance_uid}" for one in imprint.replaces]
    about += ["in patient space"] if profile.spatial == "3d" else []
    about += [f"for {profile.viewer}"] if profile.viewer else []
    told = of_outlines(imprint.findings, run.makes.impossible, _shown_by(run))
    uids, number = run.series("SR", ", ".join((*about, *told)))
    beside = Beside(segmentations=segmentations, companions=companions, told=told)
    for content in run.keep("SR", uids, lambda: [build_report(imprint, uids, number, profile, beside)]):
        check_report(content, imprint.findings, patient_id=run.patient_id)


def _shown_by(run: _Run) -> list[Kind]:
    """Kinds of objects that hold outlines; pages, which have no more than one view, of pictures alone."""
    kinds: list[Kind] = [kind for kind in ("SEG", "LABELMAP", "RTSTRUCT", "GSPS") if run.made.get(kind)]
    pages: list[Kind] = [kind for kind in ("SC", "PDF") if kind in run.makes.kinds]
    flat = run.imprint.findings.sources[0].plane is not None
    return kinds + (pages if flat and pages and run.pixels is not None else [])


def _write_document(run: _Run) -> None:
    reports = run.of("SR")
    beside = "".join(f", beside {one.SOPInstanceUID}" for one in reports)
    uids, number = run.series("PDF", f"{_with_pictures(run)}{beside}")
    run.keep("PDF", uids, lambda: build_document(run.imprint, uids, number, run.pixels, reports))


def _write_key_objects(run: _Run) -> None:
    others = run.of("SEG", "SR", "GSPS", "SC", "PDF")
    about = "".join(f", {one.SOPInstanceUID}" for one in others)
    uids, number = run.series("KOS", f"of interest{about}")
    run.keep("KOS", uids, lambda: build_key_objects(run.imprint, uids, number, others))


# In this order: a report names what stands beside it, a document the report, a selection all of them
_WRITERS: Final[Mapping[Kind, Callable[[_Run], None]]] = MappingProxyType(
    {
        "SEG": _write_segmentation,
        "LABELMAP": _write_labelmap,
        "GSPS": _write_presentation_states,
        "RTSTRUCT": _write_structure_set,
        "PM": _write_maps,
        "IMAGES": _write_images,
        "SC": _write_captures,
        "SR": _write_report,
        "PDF": _write_document,
        "KOS": _write_key_objects,
    }
)


def _empty_frames(profile: ReportProfile) -> str:
    return ", empty frames" if profile.empty_frames else ""


def _with_pictures(run: _Run) -> str:
    return "text alone" if run.pixels is None else "pictures"


def _written(kind: Kind, build: Callable[[], _Made]) -> _Made:
    try:
        with strict():  # a warning of the writer is a fault of ours: nothing doubtful is sent
            return build()
    except (AttributeError, KeyError, TypeError, ValueError, UserWarning) as error:
        # highdicom refuses with these. It has seen stubs only, so its words hold nothing of the patient.
        raise NodeError(REPORT_FAILED, kind=kind, error=f"{type(error).__name__}: {error}") from error


def _object(kind: Kind, result: Dataset) -> ResultObject:
    return ResultObject(
        kind=kind,
        sop_class_uid=str(result.SOPClassUID),
        sop_instance_uid=str(result.SOPInstanceUID),
        series_instance_uid=str(result.SeriesInstanceUID),
        content=to_bytes(result),
    )
