"""Reading back: whether the archive holds what was sent, element for element."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.tag import BaseTag

from dicomnode.deliver.proposal import read_header
from dicomnode.net import Peer, fetch_study

_TRAILING_PADDING: Final = 0xFFFCFFFC  # PS3.10 7.2
_GROUP_LENGTH: Final = 0x0000  # element number; retired, PS3.5 7.2


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBack:
    """What came back of the objects that were sent, by SOP Instance UID.

    same: equal data sets. missing: not in the archive. different: UID → the tags that differ, "GGGGEEEE".
    """

    same: tuple[str, ...]
    missing: tuple[str, ...]
    different: dict[str, tuple[str, ...]]

    @property
    def is_whole(self) -> bool:
        """Whether the archive holds all of them, equal."""
        return not self.missing and not self.different


def read_back(peer: Peer, calling_ae: str, study_uid: str, sent: Sequence[Path], folder: Path) -> ReadBack:
    """Fetch the series of what was sent into `folder` by C-GET, and compare.

    sent: Part 10 files. Raises NodeError as `fetch_study`, and SEND_UNREADABLE for a file that is none.
    """
    headers = [read_header(path) for path in sent]
    series = {
        str(dcmread(path, specific_tags=["SeriesInstanceUID"]).get("SeriesInstanceUID", "")) for path in sent
    }
    fetched = fetch_study(peer, calling_ae, study_uid, folder, series=series)
    arrived = {path.stem: path for path in fetched}
    tags = {
        header.sop_instance_uid: differing_tags(header.path, arrived[header.sop_instance_uid])
        for header in headers
        if header.sop_instance_uid in arrived
    }
    return ReadBack(
        same=tuple(uid for uid, found in tags.items() if not found),
        missing=tuple(h.sop_instance_uid for h in headers if h.sop_instance_uid not in arrived),
        different={uid: found for uid, found in tags.items() if found},
    )


def differing_tags(one: Path, other: Path) -> tuple[str, ...]:
    """Tags of the top level whose elements differ between two files, "GGGGEEEE"; empty for equal data sets.

    File Meta Information does not count: each holder writes its own (PS3.10 7.1); nor do group lengths and
    trailing padding, which say nothing. Another encoding of the same values is equal.
    """
    return tuple(f"{tag:08X}" for tag in _differing(dcmread(one), dcmread(other)))


def _differing(first: Dataset, second: Dataset) -> list[BaseTag]:
    tags = {
        tag
        for tag in first.keys() | second.keys()
        if tag.element != _GROUP_LENGTH and tag != _TRAILING_PADDING
    }
    return [tag for tag in sorted(tags) if not _same(first, second, tag)]


def _same(first: Dataset, second: Dataset, tag: BaseTag) -> bool:
    if tag not in first or tag not in second:
        return False
    one, other = first[tag], second[tag]
    if one.VR == other.VR == "SQ":
        pairs = zip(one.value, other.value, strict=False)
        return len(one.value) == len(other.value) and not any(_differing(*pair) for pair in pairs)
    # The VR may differ, where one encoding does not write it: then the bytes decide
    return bool(one == other) or _encoded(first, tag) == _encoded(second, tag)


def _encoded(data: Dataset, tag: BaseTag) -> bytes:
    """The element in Implicit VR Little Endian, which names no VR (PS3.5 A.1)."""
    target = DicomBytesIO()
    target.is_implicit_VR, target.is_little_endian = True, True
    write_data_element(target, data[tag], data.get("SpecificCharacterSet"))
    return bytes(target.getvalue())
