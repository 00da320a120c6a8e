"""The names that groups of our own reports have: Tracking Identifier and Tracking UID (PS3.16 TID 1501)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from pydicom import Dataset, dcmread

from dicomnode.faults import FILE_UNREADABLE, NodeError
from dicomnode.store.foreign import UNREADABLE_ITEMS

_IDENTIFIER: Final = ("112039", "DCM")
_UID: Final = ("112040", "DCM")


def tracked_in(reports: Iterable[Path]) -> dict[str, str]:
    """Give the Tracking UID of each Tracking Identifier in some reports of ours; of those that are there.

    Raises NodeError(FILE_UNREADABLE).
    """
    found: dict[str, str] = {}
    for path in (one for one in reports if one.exists()):
        try:
            for name, uid in _tracked(dcmread(path, stop_before_pixels=True)):
                found.setdefault(name, uid)
        except UNREADABLE_ITEMS as error:
            raise NodeError(FILE_UNREADABLE, path=path, error=type(error).__name__) from error
    return found


def _tracked(item: Dataset) -> Iterator[tuple[str, str]]:
    children = list(item.get("ContentSequence", ()))
    told = {_concept(one): one for one in children}
    if _IDENTIFIER in told and _UID in told:
        yield str(told[_IDENTIFIER].TextValue), str(told[_UID].UID)
    for one in children:
        if one.get("ValueType") == "CONTAINER":
            yield from _tracked(one)


def _concept(item: Dataset) -> tuple[str, str]:
    for code in item.get("ConceptNameCodeSequence", ()):
        return str(code.get("CodeValue", "")), str(code.get("CodingSchemeDesignator", ""))
    return "", ""
