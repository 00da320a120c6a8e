"""Which instance a file is: the UIDs that journal and folders need, read without decoding anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dicomnode.faults import DATASET_UNREADABLE, STORE_WRITE_FAILED, UID_INVALID, UID_MISMATCH, NodeError
from dicomnode.store.elements import ScanError
from dicomnode.store.header import FileMeta, Tag, plain_text, read_elements, read_meta
from dicomnode.values import is_valid_uid

_SOP_CLASS: Final = (0x0008, 0x0016)
_SOP_INSTANCE: Final = (0x0008, 0x0018)
_ACCESSION: Final = (0x0008, 0x0050)
_MODALITY: Final = (0x0008, 0x0060)
_STUDY: Final = (0x0020, 0x000D)
_SERIES: Final = (0x0020, 0x000E)
_UIDS: Final[Mapping[Tag, str]] = {
    _SOP_INSTANCE: "SOP Instance UID (0008,0018)",
    _SOP_CLASS: "SOP Class UID (0008,0016)",
    _STUDY: "Study Instance UID (0020,000D)",
    _SERIES: "Series Instance UID (0020,000E)",
}
_LAST_GROUP: Final = 0x0020
# Accession Number is SH (16 characters), Modality is CS (16): longer ones are wrong, and cut
_TEXT_MAX: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceIds:
    """What a data set says of itself. accession_number and modality are empty where it says nothing."""

    sop_instance_uid: str
    sop_class_uid: str
    study_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    accession_number: str
    modality: str


def read_ids(path: Path) -> InstanceIds:
    """Read the ids of a Part 10 file; reads no further than group 0020, and does bounded work.

    Raises NodeError: DATASET_UNREADABLE when it is no Part 10 file, broken, deflated, or lacks a UID;
    UID_INVALID for what is no UID (PS3.5 9.1); UID_MISMATCH when meta information (made from the C-STORE
    request) and data set name different instances; STORE_WRITE_FAILED when the disk does not give it.
    """
    meta: FileMeta | None = None
    try:
        with path.open("rb") as file:
            meta = read_meta(file)
            found = read_elements(file, meta, {*_UIDS, _ACCESSION, _MODALITY}, _LAST_GROUP)
    except ScanError as error:
        raise _unreadable(meta, str(error)) from error
    except OSError as error:
        raise NodeError(STORE_WRITE_FAILED, path=path, error=error) from error
    uids = {tag: _uid(meta, found.get(tag, b""), name) for tag, name in _UIDS.items()}
    _agree(meta, uids)
    if not is_valid_uid(meta.transfer_syntax_uid):
        raise NodeError(
            UID_INVALID, attribute="Transfer Syntax UID (0002,0010)", uid=meta.transfer_syntax_uid
        )
    return InstanceIds(
        sop_instance_uid=uids[_SOP_INSTANCE],
        sop_class_uid=uids[_SOP_CLASS],
        study_instance_uid=uids[_STUDY],
        series_instance_uid=uids[_SERIES],
        transfer_syntax_uid=meta.transfer_syntax_uid,
        accession_number=plain_text(found.get(_ACCESSION, b""))[:_TEXT_MAX],
        modality=plain_text(found.get(_MODALITY, b""))[:_TEXT_MAX],
    )


def _uid(meta: FileMeta, value: bytes, name: str) -> str:
    uid = plain_text(value)
    if not uid:
        raise _unreadable(meta, f"it has no {name}")
    if not is_valid_uid(uid):
        raise NodeError(UID_INVALID, attribute=name, uid=uid[:_TEXT_MAX])
    return uid


def _agree(meta: FileMeta, uids: Mapping[Tag, str]) -> None:
    for tag, said in ((_SOP_INSTANCE, meta.sop_instance_uid), (_SOP_CLASS, meta.sop_class_uid)):
        if said and said != uids[tag]:
            raise NodeError(
                UID_MISMATCH, attribute=_UIDS[tag], command_uid=said[:_TEXT_MAX], dataset_uid=uids[tag]
            )


def _unreadable(meta: FileMeta | None, error: str) -> NodeError:
    uid = meta.sop_instance_uid if meta is not None else ""
    return NodeError(
        DATASET_UNREADABLE, sop_instance_uid=uid if is_valid_uid(uid) else "without UID", error=error
    )
