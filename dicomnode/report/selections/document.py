"""Key Object Selection (PS3.3 A.35.4, TID 2010): a title, and the objects that it stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from pydicom import Dataset

from dicomnode.report import concepts as c
from dicomnode.report.heading.identity import MANUFACTURER
from dicomnode.report.uids import device_serial, device_uid
from dicomnode.values import Code

Frames = Mapping[str, Sequence[int]]
"""Numbers of the frames that are meant, by SOP Instance UID; of an image that is not here, all of it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Selection:
    """What a document selects. title: of CID 7010.

    objects: in order; the document is of the study of the first one. description: what they are, for people.
    Its series holds the document alone.
    """

    title: Code
    objects: tuple[Dataset, ...]
    series_number: int
    series_instance_uid: str
    sop_instance_uid: str
    description: str | None = None
    frames: Frames = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        if not self.objects:
            raise ValueError("Selection.objects must name at least one object")


def build_selection(selection: Selection, salt: bytes) -> Dataset:
    """Write the document; its evidence is all that it names. Patient, study, dates are to be set on it."""
    from highdicom import ko, sr  # noqa: PLC0415  heavy

    content = ko.KeyObjectSelection(
        document_title=sr.CodedConcept.from_code(c.coded(selection.title)),
        referenced_objects=selection.objects,
        observer_device_context=sr.ObserverContext(
            observer_type=sr.CodedConcept.from_code(c.coded(c.DEVICE)),
            observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
                uid=device_uid(salt), manufacturer_name=MANUFACTURER, serial_number=device_serial(salt)
            ),
        ),
        description=selection.description,
    )
    for item in content[0].ContentSequence:
        for named in item.get("ReferencedSOPSequence", ()):
            if frames := selection.frames.get(str(named.ReferencedSOPInstanceUID)):
                named.ReferencedFrameNumber = list(frames)
    document: Dataset = ko.KeyObjectSelectionDocument(
        evidence=selection.objects,
        content=content,
        series_instance_uid=selection.series_instance_uid,
        series_number=selection.series_number,
        sop_instance_uid=selection.sop_instance_uid,
        instance_number=1,
        manufacturer=MANUFACTURER,
    )
    return document
