"""What stands on both sides of a split: the same patient, the same objects, the same pixels.

A double makes figures come out too good, and nobody sees it afterwards. De-identified copies have other UIDs
and other Patient IDs: so pixels are compared, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from dicomnode.assemble import DecodeSlices, Header, Stack, decode_here
from dicomnode.evaluate.data.studies import LabelledStudy, has_id
from dicomnode.faults import FILE_UNREADABLE, SPLIT_LEAKS, NodeError
from dicomnode.values import Progress, no_progress

_SHOWN: Final = 20
_FEWEST_VALUES: Final = 16
"""A slice with fewer different values is air, or a test pattern: it says nothing of whose it is."""


class LeakKind(StrEnum):
    """What two studies share."""

    PATIENT = "patient"
    STUDY = "Study Instance UID"
    SERIES = "Series Instance UID"
    INSTANCE = "SOP Instance UID"
    PIXELS = "pixels"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """Two places, in two parts, that hold the same. Places are folders or files within the data."""

    kind: LeakKind
    parts: tuple[str, str]
    places: tuple[str, str]

    @property
    def text(self) -> str:
        """One sentence without a full stop."""
        (first, second), (here, there) = self.parts, self.places
        return f"{here or '.'} ({first}) and {there or '.'} ({second}) have the same {self.kind}"


@dataclass(frozen=True, slots=True)
class _Seen:
    part: str
    place: str
    study: str


def find_leaks(
    parts: Mapping[str, Sequence[LabelledStudy]],
    decode: DecodeSlices = decode_here,
    progress: Progress = no_progress,
) -> tuple[Leak, ...]:
    """Find what parts share; of two studies the first thing that they share, as `LeakKind` orders it.

    The first, the middle and the last slice of each stack are decoded; so a copy of a series with other UIDs
    is found, also in another transfer syntax. A Patient ID without an issuer is the same as one with any.
    Progress: "looking for leaks", studies. Raises
    NodeError(FILE_UNREADABLE) about the disk.
    """
    seen: dict[tuple[LeakKind, str], _Seen] = {}
    leaks: dict[tuple[str, str], Leak] = {}
    numbers = _without_issuer(study for studies in parts.values() for study in studies)
    total = sum(len(studies) for studies in parts.values())
    done = 0
    for part, studies in parts.items():
        for study in studies:
            progress("looking for leaks", done, total)
            done += 1
            uid = study.study.study_instance_uid
            for kind, mark, place in _marks(study, numbers, decode):
                first = seen.setdefault((kind, mark), _Seen(part, place, uid))
                if first.part != part and (first.study, f"{part} {uid}") not in leaks:
                    leaks[first.study, f"{part} {uid}"] = Leak(
                        kind=kind, parts=(first.part, part), places=(first.place, place)
                    )
    progress("looking for leaks", total, total)
    return tuple(leaks.values())


def check_leaks(
    parts: Mapping[str, Sequence[LabelledStudy]],
    decode: DecodeSlices = decode_here,
    progress: Progress = no_progress,
) -> None:
    """Refuse parts that share anything, by what files: NodeError(SPLIT_LEAKS). Otherwise as `find_leaks`."""
    leaks = find_leaks(parts, decode, progress)
    if not leaks:
        return
    shown = [leak.text for leak in leaks[:_SHOWN]]
    if len(leaks) > len(shown):
        shown.append(f"and {len(leaks) - len(shown)} more")
    told = shown[0] if len(shown) == 1 else "\n  " + "\n  ".join(shown)
    raise NodeError(SPLIT_LEAKS, count=len(leaks), problems=told)


def _without_issuer(studies: Iterable[LabelledStudy]) -> frozenset[str]:
    """Return Patient IDs (hashes) that somewhere stand without an issuer: they may be of the same person."""
    firsts = [study.stacks[0].headers[0] for study in studies if study.stacks]
    return frozenset(one.patient_key for one in firsts if has_id(one) and not one.person_keys.issuer)


def _marks(
    study: LabelledStudy, numbers: Collection[str], decode: DecodeSlices
) -> Iterator[tuple[LeakKind, str, str]]:
    """Give all that tells a study from others, what tells most first, with the place of each."""
    yield LeakKind.PATIENT, study.patient, study.place
    if study.stacks and study.stacks[0].headers[0].patient_key in numbers:
        yield LeakKind.PATIENT, f"number {study.stacks[0].headers[0].patient_key}", study.place
    yield LeakKind.STUDY, study.study.study_instance_uid, study.place
    for series in study.study.series:
        if series.stacks:
            yield LeakKind.SERIES, series.series_instance_uid, study.place
    for stack in study.stacks:
        for header in stack.headers:
            yield LeakKind.INSTANCE, header.sop_instance_uid, _file(study, header)
    for stack in study.stacks:
        for header, digest in _pixels(stack, decode):
            yield LeakKind.PIXELS, digest, _file(study, header)


def _file(study: LabelledStudy, header: Header) -> str:
    return f"{study.place}/{header.path.name}" if study.place else header.path.name


def _pixels(stack: Stack, decode: DecodeSlices) -> Iterator[tuple[Header, str]]:
    """Give a digest of the stored values of some slices; what cannot be decoded has none."""
    last = len(stack.headers) - 1
    wanted = [stack.headers[k] for k in sorted({0, last // 2, last})]
    try:
        for header, decoded in zip(wanted, decode(wanted), strict=True):
            if isinstance(decoded, Exception):
                continue
            stored = np.ascontiguousarray(decoded.stored, dtype=np.int64)
            if len(np.unique(stored)) >= _FEWEST_VALUES:
                yield header, hashlib.sha256(repr(stored.shape).encode() + stored.tobytes()).hexdigest()
    except NodeError as error:
        if error.fault is FILE_UNREADABLE:
            raise
