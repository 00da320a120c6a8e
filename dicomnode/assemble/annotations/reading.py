"""Which of some files annotate images, and what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydicom.datadict import tag_for_keyword

from dicomnode.assemble.annotations.contours import read_structure_set
from dicomnode.assemble.annotations.opened import Opened, open_annotation
from dicomnode.assemble.annotations.reports import read_report
from dicomnode.assemble.annotations.segmentations import read_segmentation
from dicomnode.assemble.annotations.targets import Targets
from dicomnode.assemble.attributes import text_of
from dicomnode.assemble.dataset import Wanted, read_by_pydicom, scanned
from dicomnode.assemble.studies import Stack, find_files
from dicomnode.faults import FILE_UNREADABLE, HEADER_DAMAGED, NodeError
from dicomnode.store.foreign import (
    UNREADABLE,
    UNREADABLE_ITEMS,
    file_unreadable,
    is_of_the_disk,
    quiet,
    reason,
)
from dicomnode.values import Annotation, Progress, SetAside, no_progress

_SEGMENTATION: Final = "1.2.840.10008.5.1.4.1.1.66.4"
_LABELMAP: Final = "1.2.840.10008.5.1.4.1.1.66.7"
_STRUCTURE_SET: Final = "1.2.840.10008.5.1.4.1.1.481.3"

_CLASS_ONLY: Final = Wanted(tags=frozenset({tag_for_keyword("SOPClassUID") or 0}), longest=128, longer={})

# Structured reports, also those that are no measurement reports: which are set aside with a reason
_REPORTS: Final = "1.2.840.10008.5.1.4.1.1.88."

_Read = Callable[[Opened, Targets], Annotation | tuple[Annotation, ...]]
_READERS: Final[Mapping[str, tuple[str, _Read]]] = {
    _SEGMENTATION: ("segmentation", read_segmentation),
    _LABELMAP: ("label map segmentation", read_segmentation),
    _STRUCTURE_SET: ("structure set", read_structure_set),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotationReading:
    """What annotations say, in the order of their files; and each that could not be read or placed."""

    annotations: tuple[Annotation, ...]
    set_aside: tuple[SetAside, ...]


def read_annotations(
    paths: Iterable[Path], stacks: Sequence[Stack], progress: Progress = no_progress
) -> AnnotationReading:
    """Read the SEG, RTSTRUCT and SR among and below `paths`, each on the one of `stacks` that it speaks of.

    A report on several stacks gives an annotation for each.

    An object lies on the stack whose images it names most, else on one of the series that it names, else on
    one of its Frame of Reference; what names none of these is set aside. All others (images, files that are
    not DICOM) are left to `read_studies`, and are not told of here. Pixels are decoded in this process.
    Progress: "reading annotations", files. Raises NodeError(NO_INSTANCES) for a path that does not exist,
    NodeError(FILE_UNREADABLE) when the disk does not give a file.
    """
    targets = Targets.of(stacks)
    files = find_files(paths)
    annotations: list[Annotation] = []
    set_aside: list[SetAside] = []
    with quiet():
        for done, path in enumerate(files):
            progress("reading annotations", done, len(files))
            found = _read(path, targets)
            if isinstance(found, SetAside):
                set_aside.append(found)
            else:
                annotations += found
        progress("reading annotations", len(files), len(files))
    return AnnotationReading(annotations=tuple(annotations), set_aside=tuple(set_aside))


def _read(path: Path, targets: Targets) -> tuple[Annotation, ...] | SetAside:
    sop_class = _class_of(path)
    if isinstance(sop_class, SetAside):
        return sop_class
    report = ("structured report", read_report) if sop_class.startswith(_REPORTS) else None
    reader = _READERS.get(sop_class, report)
    if reader is None:
        return ()
    kind, read = reader
    opened = open_annotation(path, kind)
    if isinstance(opened, SetAside):
        return opened
    try:
        found = read(opened, targets)
        return found if isinstance(found, tuple) else (found,)
    except NodeError as error:
        if error.fault is FILE_UNREADABLE:
            raise
        failure = error
    except UNREADABLE_ITEMS as error:  # the disk is not asked any more, but by who says so by NodeError
        failure = opened.damaged(reason(error))
    return SetAside(
        sop_instance_uid=opened.header.sop_instance_uid,
        file=str(path),
        code=failure.fault.code,
        text=failure.fault.text(**failure.values),
    )


def _class_of(path: Path) -> str | SetAside:
    """Return the SOP Class of a Part 10 file; or say why it cannot be read."""
    try:
        with path.open("rb") as file:
            read = scanned(file, _CLASS_ONLY) or read_by_pydicom(file, _CLASS_ONLY)
            sop_class = text_of(read.dataset, "SOPClassUID")
            if sop_class:
                return sop_class
            why = "SOPClassUID is missing"
    except OSError as error:
        if is_of_the_disk(error):
            raise file_unreadable(path, error) from error
        why = reason(error)
    except UNREADABLE as error:
        why = reason(error)
    text = HEADER_DAMAGED.text(file=path.name, error=why)
    return SetAside(sop_instance_uid=None, file=str(path), code=HEADER_DAMAGED.code, text=text)
