"""The export: each file of each patient is read, refused or made nobody's, looked at again, and written."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pydicom
from pydicom import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from dicomnode.faults import (
    EXPORT_BURNED_IN,
    EXPORT_DAMAGED,
    EXPORT_KIND,
    EXPORT_LEAK,
    FILE_NOT_WRITTEN,
    NodeError,
)
from dicomnode.learn.deidentify.codestreams import cut_what_is_no_pixel
from dicomnode.learn.deidentify.keys import ExportKey, shifted_date
from dicomnode.learn.deidentify.people import Identity, identity_of, name_people
from dicomnode.learn.deidentify.pixels import Mask, mask_pixels, may_show_text, overlay_in_pixels
from dicomnode.learn.deidentify.profile import Options, require_library
from dicomnode.learn.deidentify.scrubbing import Scrubber
from dicomnode.learn.deidentify.second_look import Traces, look
from dicomnode.learn.deidentify.subjects import NO_DATE
from dicomnode.store import SharedDisk, write_whole
from dicomnode.store.foreign import UNREADABLE_ITEMS, file_unreadable, is_of_the_disk, quiet, reason
from dicomnode.values import Progress, SetAside, no_progress

READING: Final = "reading headers"
STAGE: Final = "de-identifying"
_STRUCTURES: Final = frozenset({"1.2.840.10008.5.1.4.1.1.481.3"})  # RT Structure Set
_REPORTS: Final = "1.2.840.10008.5.1.4.1.1.88."
_HEADS: Final = frozenset({"BRAIN", "FACE", "HEAD", "HEADNECK", "SKULL"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is exported, and how. files: (name in messages, path). masks: for images that may show text."""

    files: tuple[tuple[str, Path], ...]
    out: Path
    key: ExportKey
    options: Options
    masks: tuple[Mask, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written, and what was not and why.

    studies: pseudonymous Study Instance UID by that of the source; of_accession: the same by accession
    number, which several studies may have. things: new UIDs of the series and instances. traces: what the
    sources tell of their patients, never to be shown. too_short: how many of those values are too short to
    be looked for in bytes; they were compared attribute by attribute. heads: images of heads, whose faces
    can be rebuilt.
    """

    files: int
    patients: int
    studies: Mapping[str, str] = field(repr=False)
    of_accession: Mapping[str, set[str]] = field(repr=False)
    things: frozenset[str] = field(repr=False)
    refused: tuple[SetAside, ...]
    masked: int
    heads: int
    too_short: int
    traces: tuple[Traces, ...] = field(repr=False)


@dataclass(slots=True)
class _Person:
    """One patient. name: what tells the patient from others."""

    name: str
    traces: Traces = field(default_factory=Traces)


@dataclass(slots=True)
class _Source:
    file: str
    path: Path
    identity: Identity
    sop_instance_uid: str


@dataclass(slots=True)
class _Tally:
    written: set[Path] = field(default_factory=set)
    patients: set[str] = field(default_factory=set)
    studies: dict[str, str] = field(default_factory=dict)
    of_accession: dict[str, set[str]] = field(default_factory=dict)
    things: set[str] = field(default_factory=set)
    refused: list[SetAside] = field(default_factory=list)
    masked: int = 0
    heads: int = 0


def export_files(order: Order, progress: Progress = no_progress) -> Exported:
    """Write what may go, PATIENT/STUDY/INSTANCE.dcm below `out`; what may not is refused by name.

    Raises NodeError: EXPORT_MISSING, FILE_UNREADABLE, FILE_NOT_WRITTEN.
    """
    require_library()
    tally = _Tally()
    told: dict[Identity, Traces] = {}
    sources = []
    for done, (file, path) in enumerate(order.files):
        progress(READING, done, len(order.files))
        with quiet():
            source = _meet(file, path, told, tally)
        if source is not None:
            sources.append(source)
    progress(READING, len(order.files), len(order.files))
    people = _people(told)
    for done, source in enumerate(sources):
        progress(STAGE, done, len(sources))
        with quiet():
            _export(source, people[source.identity], order, tally)
    progress(STAGE, len(sources), len(sources))
    everybody = {person.name: person for person in people.values()}.values()
    return Exported(
        things=frozenset(tally.things),
        files=len(tally.written),
        patients=len(tally.patients),
        studies=tally.studies,
        of_accession=tally.of_accession,
        refused=tuple(tally.refused),
        masked=tally.masked,
        heads=tally.heads,
        too_short=sum(len(person.traces.short) for person in everybody),
        traces=tuple(person.traces for person in everybody),
    )


def _meet(file: str, path: Path, told: dict[Identity, Traces], tally: _Tally) -> _Source | None:
    """Take note of what a file tells of its patient; what cannot be read is refused."""
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True)
        identity = identity_of(header)
        source = _Source(file, path, identity, str(header.SOPInstanceUID))
        told.setdefault(identity, Traces()).take(header)
    except UNREADABLE_ITEMS as error:
        if isinstance(error, OSError) and is_of_the_disk(error):
            raise file_unreadable(path, error) from error
        tally.refused.append(_refusal(NodeError(EXPORT_DAMAGED, file=file, error=reason(error)), file))
        return None
    return source


def _people(told: Mapping[Identity, Traces]) -> dict[Identity, _Person]:
    """Put together what the files of each patient tell."""
    names = name_people(told)
    people = {name: _Person(name) for name in names.values()}
    for identity, traces in told.items():
        people[names[identity]].traces.add(traces)
    return {identity: people[name] for identity, name in names.items()}


def _export(source: _Source, person: _Person, order: Order, tally: _Tally) -> None:
    try:
        dataset = pydicom.dcmread(source.path)
        of_source = Traces()
        of_source.take(dataset)
        person.traces.add_texts(of_source)  # what follows the pixels, too
        accession, study = str(dataset.get("AccessionNumber") or "").strip(), str(dataset.StudyInstanceUID)
        cut_what_is_no_pixel(dataset, source.file)
        masked = _admit(dataset, order, source.file)
        head = _shows_a_head(dataset)
        scrubber = Scrubber(key=order.key, options=order.options, patient=person.name)
        scrubber.scrub(dataset, masked=masked)
        content = _encoded(dataset)
        found = _look(content, person, of_source, order)
    except NodeError as refused:
        tally.refused.append(_refusal(refused, source.file, source.sop_instance_uid))
        return
    except UNREADABLE_ITEMS as error:
        if isinstance(error, OSError) and is_of_the_disk(error):
            raise file_unreadable(source.path, error) from error
        damaged = NodeError(EXPORT_DAMAGED, file=source.file, error=reason(error))
        tally.refused.append(_refusal(damaged, source.file, source.sop_instance_uid))
        return
    if found is not None:
        leak = NodeError(EXPORT_LEAK, file=source.file, keyword=found)
        tally.refused.append(_refusal(leak, source.file, source.sop_instance_uid))
        return
    _write(dataset, content, order, tally)
    tally.studies[study] = str(dataset.StudyInstanceUID)
    tally.of_accession.setdefault(accession, set()).add(tally.studies[study])
    tally.things |= {str(dataset.get("SeriesInstanceUID", "")), str(dataset.SOPInstanceUID)}
    tally.masked += masked
    tally.heads += head


def _admit(dataset: Dataset, order: Order, file: str) -> bool:
    """Refuse what may not go; return whether parts of the image were made black. Raises NodeError."""
    sop_class = str(dataset.SOPClassUID)
    image = any(keyword in dataset for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"))
    if not (image or sop_class in _STRUCTURES or sop_class.startswith(_REPORTS)):
        raise NodeError(EXPORT_KIND, file=file, kind=dataset.SOPClassUID.name)
    if overlay_in_pixels(dataset):
        raise NodeError(EXPORT_BURNED_IN, file=file, why="a drawing lies in unused bits of its pixels")
    why = may_show_text(dataset) if image else ""
    if not why:
        return False
    if not order.masks:
        raise NodeError(EXPORT_BURNED_IN, file=file, why=why)
    mask_pixels(dataset, order.masks, file)
    return True


def _shows_a_head(dataset: Dataset) -> bool:
    """Tell whether a face may be rebuilt from an image; no option taken here cleans faces (PS3.15 E.3.2)."""
    part = str(dataset.get("BodyPartExamined") or "").upper()
    return part in _HEADS or str(dataset.get("RecognizableVisualFeatures") or "") == "YES"


def _encoded(dataset: Dataset) -> bytes:
    """Encode a file; deflated ones are written plain, since nobody can look into those bytes."""
    if dataset.file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian:
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _look(content: bytes, person: _Person, of_source: Traces, order: Order) -> str | None:
    days = order.key.shift_days(person.name)
    moved = [shifted_date(date, days) for date in person.traces.dates] if order.options.shift_dates else []
    read_back = pydicom.dcmread(io.BytesIO(content))
    return look(
        content, read_back, person.traces.of_file(of_source), [NO_DATE, *(date for date in moved if date)]
    )


def _write(dataset: Dataset, content: bytes, order: Order, tally: _Tally) -> None:
    folder = order.out / str(dataset.PatientID) / str(dataset.StudyInstanceUID)
    path = folder / f"{dataset.SOPInstanceUID}.dcm"
    number = 1
    while path in tally.written:  # the source has two files of one UID
        number += 1
        path = folder / f"{dataset.SOPInstanceUID}-{number}.dcm"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(SharedDisk(), path, content)
    except OSError as error:
        raise NodeError(FILE_NOT_WRITTEN, path=path, error=error.strerror or error) from error
    tally.written.add(path)
    tally.patients.add(str(dataset.PatientID))


def _refusal(refused: NodeError, file: str, sop_instance_uid: str | None = None) -> SetAside:
    text = refused.fault.text(**refused.values)
    return SetAside(sop_instance_uid=sop_instance_uid, file=file, code=refused.fault.code, text=text)


def files_below(paths: Sequence[Path], found: Sequence[Path]) -> list[tuple[str, Path]]:
    """Name files as messages do: by the path within the folder that was given, else by their own name."""
    named = []
    for path in found:
        root = next((one for one in paths if path.is_relative_to(one) and path != one), path.parent)
        named.append((path.relative_to(root).as_posix(), path))
    return named
