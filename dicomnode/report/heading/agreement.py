"""The identity gate: all instances that a result is made of are of one patient, one study and one geometry.

highdicom takes the patient from the first instance and does not look at the others, so a slice of another
patient within a series would pass in silence; here it does not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from pydicom import DataElement, Dataset
from pydicom.dataelem import RawDataElement

from dicomnode.faults import SOURCES_DISAGREE, NodeError
from dicomnode.report.heading.characters import read_encoded, read_unicode, terms_of
from dicomnode.report.heading.cleaning import element_of, tag_of, written, wrong
from dicomnode.report.heading.frame_places import Places, numbers_of, places_of_frames
from dicomnode.store.names import UTF_8, Name, read_name
from dicomnode.store.persons import KEYWORDS, NO_RENAMING, Person, Renaming, difference, plain_date
from dicomnode.values import Findings, Float64, Grid, Source
from dicomnode.values.geometry import ALIKE_COSINES, ALIKE_SPACING, axes_of

# One patient: every instance of every input must agree in these (`store.persons`) …
_PERSON: Final = KEYWORDS
_NAME: Final = "PatientName"
_SET: Final = "SpecificCharacterSet"
# … every instance of one series in these …
_SERIES: Final = ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "Modality")
# … and, where a volume was made of it, in these, exactly or within a tolerance.
_SPACE: Final = ("FrameOfReferenceUID", "Rows", "Columns")
_GEOMETRY: Final = ("ImageOrientationPatient", "PixelSpacing")
EQUAL_MM: Final = 1e-6
"""Pixel spacings that differ by less are the same number."""

# Two slices are of one stack where both are like a third, which need not be in it; and a little for rounding
_TWICE: Final = 2.01

# How far a frame may lie off its slice of the grid: a part of the distance, of a pixel, or mm of tiny pixels.
# Slices of real scanners jitter; what `assemble` tolerates is less, and there is a little for rounding
_NEAR: Final = 0.26
_NEAR_MM: Final = 0.025

_READ: Final = (
    *_PERSON,
    *_SERIES,
    *_SPACE,
    *_GEOMETRY,
    "ImagePositionPatient",
    "SOPInstanceUID",
    "SliceThickness",
    "InstanceNumber",
    "SpecificCharacterSet",
    "SyntheticData",
)


@dataclass(frozen=True, slots=True, eq=False)
class SourceInstance:
    """One source instance: its header as it came, and what the gate and the stubs need of it."""

    encoded: bytes
    header: Dataset

    def text(self, keyword: str) -> str:
        """A value as text, without padding; empty if it is missing. Not for texts beyond ASCII.

        Raises NodeError(SOURCE_HEADER_WRONG) as `element_of`.
        """
        element = element_of(self.header, keyword)
        return "" if element is None or element.value is None else str(element.value).strip()

    def numbers(self, keyword: str, count: int) -> Float64:
        """`count` numbers of a DS element. Raises NodeError(SOURCE_HEADER_WRONG) if there are others."""
        return numbers_of(self.header, keyword, count)


def read_instances(source: Source) -> tuple[SourceInstance, ...]:
    """The instances of a source, in its order. Must run within `as_it_is`.

    Raises NodeError(SOURCE_HEADER_WRONG) if a frame of the source has no header.
    """
    tags = () if is_multi_frame(source) else tuple(tag_of(keyword) for keyword in _READ)
    read = tuple(SourceInstance(encoded, read_encoded(encoded, tags)) for encoded in source.headers.encoded)
    named = {frame.sop_instance_uid for frame in source.frames}
    if not read or not named <= {one.text("SOPInstanceUID") for one in read}:
        raise wrong("SOPInstanceUID", "not among the headers that came with the findings")
    return read


def is_multi_frame(source: Source) -> bool:
    """Tell whether the slices of a source are frames of multi-frame objects."""
    return any(frame.frame_number is not None for frame in source.frames)


def check_agreement(
    findings: Findings,
    instances: Sequence[Sequence[SourceInstance]],
    otherwise: str,
    renaming: Renaming = NO_RENAMING,
) -> None:
    """Refuse sources that are not of one patient, or a series that is not of one study and geometry.

    instances: of each source of `findings`. otherwise: see `read_unicode`. renaming: what messages said of
    the patient. Must run within `as_it_is`.
    Raises NodeError(SOURCES_DISAGREE), or SOURCE_HEADER_WRONG where geometry is missing.
    """
    _agree_in_person([one for own in instances for one in own], otherwise, renaming)
    for source, own in zip(findings.sources, instances, strict=True):
        _agree(own, _SERIES, otherwise)
        _expect(own[0], "StudyInstanceUID", source.study_instance_uid)
        _expect(own[0], "SeriesInstanceUID", source.series_instance_uid)
        if source.grid is None:  # no volume was made of it: nothing is placed in its space
            continue
        _expect(own[0], "Rows", str(source.grid.shape_kji[1]))
        _expect(own[0], "Columns", str(source.grid.shape_kji[2]))
        if source.plane is not None:  # a picture: one instance, and it lies nowhere in the patient
            continue
        _agree(own, _SPACE, otherwise)
        _expect(own[0], "FrameOfReferenceUID", source.grid.frame_of_reference_uid)
        if is_multi_frame(source):
            # Results say of its frames what the grid says, not what they say themselves: none else compares
            places = places_of_frames(source.frames, [one.header for one in own])
            _agree_in_position(places, source.grid)
        else:
            places = _places(own)
        _agree_in_geometry(places, source.grid)


def _agree_in_person(instances: Sequence[SourceInstance], otherwise: str, renaming: Renaming) -> None:
    """Refuse headers of two persons, as `assemble` compares them."""
    different = {tuple(_raw(one.header, keyword) for keyword in (*_PERSON, _SET)): one for one in instances}
    differing = [
        keyword
        for keyword, *values in zip((*_PERSON, _SET), *different, strict=True)
        if len(set(values)) > 1 and keyword != _SET
    ]
    if not differing:
        return  # equal bytes: almost always, and the texts need not be decoded
    said = _PERSON if renaming.told else differing
    persons = [person_in(one, otherwise, said) for one in different.values()]
    differs = difference(renaming.of(persons))
    if differs is not None:
        raise _disagree(differs[0])


def person_in(instance: SourceInstance, otherwise: str, keywords: Collection[str] = _PERSON) -> Person:
    """Return what a header says of its patient, in some attributes."""
    said = {keyword: _decoded(instance, keyword, otherwise) for keyword in keywords if keyword != _NAME}
    return Person(
        patient_id=said.get("PatientID", ""),
        issuer=said.get("IssuerOfPatientID", ""),
        name=_name(instance, otherwise) if _NAME in keywords else Name(),
        birth_date=plain_date(said.get("PatientBirthDate", "")),
    )


def _agree(instances: Sequence[SourceInstance], keywords: Iterable[str], otherwise: str) -> None:
    for keyword in keywords:
        if len({_raw(one.header, keyword) for one in instances}) == 1:
            continue  # equal bytes: almost always, and the texts need not be decoded
        if len({_decoded(one, keyword, otherwise) for one in instances}) > 1:
            raise _disagree(keyword)


def _places(instances: Sequence[SourceInstance]) -> Places:
    """Where images of one frame lie. Their positions are not looked at here: results repeat them."""
    return Places(
        np.array([one.numbers("ImagePositionPatient", 3) for one in instances]),
        np.array([one.numbers("ImageOrientationPatient", 6) for one in instances]),
        np.array([one.numbers("PixelSpacing", 2) for one in instances]),
    )


def _agree_in_position(places: Places, grid: Grid) -> None:
    """Refuse frames that lie elsewhere than the slices of the grid, k ascending."""
    k = np.arange(len(places.positions_lps_mm))
    off = places.positions_lps_mm - grid.to_lps_mm(np.column_stack((k, 0 * k, 0 * k)))
    along_mm = off @ grid.normal_lps
    beside_mm = np.linalg.norm(off - np.outer(along_mm, grid.normal_lps), axis=1)
    near_mm = max(_NEAR * min(grid.spacing_kji_mm[1:]), _NEAR_MM)
    if np.abs(along_mm).max() > _NEAR * grid.slice_distance_mm or beside_mm.max() > near_mm:
        raise _disagree("ImagePositionPatient")


def _agree_in_geometry(places: Places, grid: Grid) -> None:
    """Refuse slices that make no volume together, or whose grid is another one.

    What `assemble` tolerates within a stack is tolerated here: else the analysis is lost at its end.
    """
    cosines, spacings = places.cosines, places.spacings_ji_mm
    axes, lengths_mm = axes_of(cosines[0]), np.array(grid.spacing_kji_mm[1:])
    along = grid.affine_lps[:3, :2] / lengths_mm[::-1]
    apart = np.ptp(cosines, axis=0).max() > _TWICE * ALIKE_COSINES
    if apart or axes is None or np.abs(axes[:2] - along.T).max() > ALIKE_COSINES:
        raise _disagree("ImageOrientationPatient")
    apart = (np.ptp(spacings, axis=0) > _TWICE * ALIKE_SPACING * spacings.max(axis=0)).any()
    if apart or np.abs(spacings - lengths_mm).max(axis=1).min() > EQUAL_MM:
        raise _disagree("PixelSpacing")


def _expect(instance: SourceInstance, keyword: str, expected: str) -> None:
    if instance.text(keyword) != expected:
        raise _disagree(keyword)


def _raw(header: Dataset, keyword: str) -> bytes | str | None:
    tag = tag_of(keyword)
    if tag not in header:
        return None
    element: RawDataElement | DataElement = header.get_item(tag)
    return element.value if isinstance(element, RawDataElement) else str(element.value)


def _decoded(instance: SourceInstance, keyword: str, otherwise: str) -> str:
    header, _ = read_unicode(instance.encoded, otherwise)
    element = element_of(header, keyword)
    return "" if element is None or element.value is None else str(element.value).strip()


def _name(instance: SourceInstance, otherwise: str) -> Name:
    written, terms = _raw(instance.header, "PatientName"), terms_of(instance.header)
    element_of(instance.header, "PatientName")  # refuses what is no text
    if isinstance(written, bytes | None):
        return read_name(written or b"", terms, otherwise)
    return read_name(written.encode(), [UTF_8])


def _disagree(keyword: str) -> NodeError:
    return NodeError(SOURCES_DISAGREE, tag=written(tag_of(keyword)), keyword=keyword)
