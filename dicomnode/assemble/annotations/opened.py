"""One object that annotates images, open: its head, bounded, and how it is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Final

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement

from dicomnode.assemble.attributes import text_of
from dicomnode.assemble.bounded import ITEM_MARKS, TooMuchError
from dicomnode.assemble.dataset import read_up_to_pixels
from dicomnode.assemble.headers import read_headers
from dicomnode.assemble.record import Header
from dicomnode.faults import ANNOTATION_DAMAGED, ANNOTATION_TOO_LARGE, Fault, NodeError
from dicomnode.store.foreign import UNREADABLE, UNREADABLE_ITEMS, file_unreadable, is_of_the_disk, reason
from dicomnode.values import SetAside

MOST_ITEMS: Final = 300_000
"""Items of one sequence, those within them included: 10 s of pydicom's time. A structure set has an item a
contour and one for the image of each; a report some 20 a measurement."""

_HHMMSS: Final = 6  # digits


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Opened:
    """An object with all that stands before its pixels. kind: in a word, for messages."""

    header: Header
    dataset: Dataset
    kind: str

    @property
    def path(self) -> Path:
        """Its file."""
        return self.header.path

    def refused(self, fault: Fault, **values: object) -> NodeError:
        """Make the failure that says why it is set aside."""
        return NodeError(fault, file=self.path.name, kind=self.kind, **values)

    def damaged(self, error: str) -> NodeError:
        """Make the failure of an object that contradicts itself or lacks what it must have."""
        return self.refused(ANNOTATION_DAMAGED, error=error)

    def items(self, dataset: Dataset, keyword: str) -> tuple[Dataset, ...]:
        """Return the items of a sequence; none where it is missing.

        Raises NodeError(ANNOTATION_DAMAGED) where it cannot be read, NodeError(ANNOTATION_TOO_LARGE).
        """
        tag = tag_for_keyword(keyword) or 0
        if tag not in dataset.keys():  # noqa: SIM118  a dict's answer: a data set's own is ten times slower
            return ()
        try:
            raw: object = dataset.get_item(tag)
            if isinstance(raw, RawDataElement) and isinstance(raw.value, bytes):
                count = max(raw.value.count(mark) for mark in ITEM_MARKS)
                if count > MOST_ITEMS:
                    raise self.refused(ANNOTATION_TOO_LARGE, error=f"{keyword} has {count} items")
            return tuple(dataset[tag].value or ())
        except UNREADABLE_ITEMS as error:
            raise self.damaged(f"{keyword} is damaged ({reason(error)})") from error

    def item(self, dataset: Dataset, keyword: str) -> Dataset:
        """Return the first item of a sequence; a data set without attributes where there is none."""
        return next(iter(self.items(dataset, keyword)), Dataset())

    def below(self, dataset: Dataset, *keywords: str) -> Iterator[Dataset]:
        """Yield the items of a sequence in the items of a sequence, and so on."""
        first, *others = keywords
        for item in self.items(dataset, first):
            if others:
                yield from self.below(item, *others)
            else:
                yield item


def open_annotation(path: Path, kind: str) -> Opened | SetAside:
    """Read all of an object but its pixels; or say why it cannot be read. Call it within `quiet()`.

    Raises NodeError(FILE_UNREADABLE) when the disk does not give the file.
    """
    read = read_headers(path)
    if isinstance(read, SetAside):
        return read
    try:
        with path.open("rb") as file:
            dataset = read_up_to_pixels(file).everything()
    except OSError as error:
        if is_of_the_disk(error):
            raise file_unreadable(path, error) from error
        return _damaged(read[0], kind, reason(error))
    except UNREADABLE as error:
        return _damaged(read[0], kind, str(error) if isinstance(error, TooMuchError) else reason(error))
    return Opened(header=read[0], dataset=dataset, kind=kind)


def _damaged(header: Header, kind: str, error: str) -> SetAside:
    fault = ANNOTATION_DAMAGED
    text = fault.text(file=header.path.name, kind=kind, error=error)
    return SetAside(
        sop_instance_uid=header.sop_instance_uid, file=str(header.path), code=fault.code, text=text
    )


def moment_of(dataset: Dataset, date: str, time: str) -> datetime | None:
    """Return the moment of a date and a time attribute; with a time zone where the object gives its own.

    None where it says none that is valid (VR DA and TM, PS3.5 6.2; Timezone Offset From UTC, C.12.1.1.1).
    """
    day = text_of(dataset, date)
    whole, _, part = text_of(dataset, time).replace(":", "").partition(".")
    clock = whole.ljust(_HHMMSS, "0")
    try:
        moment = datetime.strptime(f"{day}{clock}", "%Y%m%d%H%M%S")  # noqa: DTZ007  many write no zone
        moment += timedelta(microseconds=int(part.ljust(6, "0")[:6]) if part.isdigit() else 0)
    except ValueError:
        return None
    offset = text_of(dataset, "TimezoneOffsetFromUTC")
    if len(offset) == len("+0100") and offset[0] in "+-" and offset[1:].isdigit():
        minutes = int(offset[1:3]) * 60 + int(offset[3:])
        if minutes < 24 * 60:
            moment = moment.replace(
                tzinfo=timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))
            )
    return moment
