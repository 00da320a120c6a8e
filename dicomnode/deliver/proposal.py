"""What to propose to the peer for a set of files: exactly the presentation contexts that they need.

A decision without I/O; `read_header` is what it decides on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydicom.errors import InvalidDicomError
from pydicom.uid import UID
from pynetdicom.dsutils import split_dataset

from dicomnode.faults import SEND_UNREADABLE, NodeError
from dicomnode.net.association import MAXIMUM_CONTEXTS, VERIFICATION_TOO, ProposedContext
from dicomnode.store.elements import ScanError
from dicomnode.store.header import FileMeta, Tag, plain_text, read_elements
from dicomnode.values import is_valid_uid

EXPLICIT_LE: Final = "1.2.840.10008.1.2.1"
IMPLICIT_LE: Final = "1.2.840.10008.1.2"
# What else a file may go out as when the peer does not take it as it is: the same bytes of pixels, other
# headers. Nothing compressed, deflated or big endian is ever converted.
CONVERTIBLE: Final = {EXPLICIT_LE: IMPLICIT_LE, IMPLICIT_LE: EXPLICIT_LE}

_MOST_PAIRS: Final = MAXIMUM_CONTEXTS - 1  # one is for Verification
_SOP_CLASS: Final = (0x0008, 0x0016)
_SOP_INSTANCE: Final = (0x0008, 0x0018)

Pair = tuple[str, str]  # SOP Class UID, Transfer Syntax UID


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectHeader:
    """What sending needs to know of a file. offset: where its data set begins, in bytes."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    offset: int

    @property
    def sop_class(self) -> str:
        """The SOP Class by name, for people."""
        return UID(self.sop_class_uid).name

    @property
    def transfer_syntax(self) -> str:
        """The transfer syntax by name, for people."""
        return UID(self.transfer_syntax_uid).name

    def pairs(self) -> list[Pair]:
        """The contexts that this object can go out on, its own first."""
        own = (self.sop_class_uid, self.transfer_syntax_uid)
        other = CONVERTIBLE.get(self.transfer_syntax_uid)
        return [own] if other is None else [own, (self.sop_class_uid, other)]


@dataclass(frozen=True, slots=True)
class Proposal:
    """One association: its presentation contexts and the objects that go over it, in the order given."""

    headers: list[ObjectHeader] = field(default_factory=list)
    pairs: dict[Pair, None] = field(default_factory=dict)  # an ordered set

    @property
    def contexts(self) -> list[ProposedContext]:
        """Each pair as a context of its own: so the peer cannot choose the conversion where it takes both."""
        return [*((sop_class, (syntax,)) for sop_class, syntax in self.pairs), VERIFICATION_TOO]


def read_header(path: Path) -> ObjectHeader:
    """Read the File Meta Information of a Part 10 file (PS3.10 section 7.1), and which object it holds.

    What the data set says of itself counts before the meta information: the receiver compares the command
    with the data set (PS3.7 9.1.1.1). Raises NodeError(SEND_UNREADABLE) when there is no meta
    information, or when neither names the object.
    """
    try:
        meta, offset = split_dataset(path)
        size = path.stat().st_size
        named = _named_by_data_set(path, str(meta.TransferSyntaxUID), offset)
        header = ObjectHeader(
            path=path,
            sop_class_uid=named.get(_SOP_CLASS) or str(meta.MediaStorageSOPClassUID),
            sop_instance_uid=named.get(_SOP_INSTANCE) or str(meta.MediaStorageSOPInstanceUID),
            transfer_syntax_uid=str(meta.TransferSyntaxUID),
            offset=offset,
        )
    except InvalidDicomError as error:
        raise NodeError(SEND_UNREADABLE, path=path, error="it is not a DICOM Part 10 file") from error
    except AttributeError as error:
        what = "it lacks its SOP Class, SOP Instance or Transfer Syntax UID"
        raise NodeError(SEND_UNREADABLE, path=path, error=what) from error
    except (OSError, EOFError, ValueError, KeyError) as error:
        raise NodeError(SEND_UNREADABLE, path=path, error=str(error)) from error
    if offset >= size:
        raise NodeError(SEND_UNREADABLE, path=path, error="it has no data set")
    for uid in (header.sop_class_uid, header.sop_instance_uid, header.transfer_syntax_uid):
        if not is_valid_uid(uid):
            raise NodeError(SEND_UNREADABLE, path=path, error=f"{uid!r} is not a UID (PS3.5 9.1)")
    return header


def _named_by_data_set(path: Path, transfer_syntax_uid: str, offset: int) -> dict[Tag, str]:
    """Read SOP Class and Instance UID (PS3.3 C.12.1) of the data set; none where it is deflated or odd."""
    meta = FileMeta(
        sop_class_uid="", sop_instance_uid="", transfer_syntax_uid=transfer_syntax_uid, end=offset
    )
    try:
        with path.open("rb") as file:
            found = read_elements(file, meta, {_SOP_CLASS, _SOP_INSTANCE}, last_group=0x0008)
    except ScanError:
        return {}
    texts = {tag: plain_text(value) for tag, value in found.items()}
    return {tag: text for tag, text in texts.items() if is_valid_uid(text)}


def propose(headers: Iterable[ObjectHeader]) -> list[Proposal]:
    """Deal the objects out to as few associations as 128 contexts each allow, keeping their order."""
    proposals: list[Proposal] = []
    for header in headers:
        wanted = header.pairs()
        for proposal in proposals:
            if len(proposal.pairs.keys() | set(wanted)) <= _MOST_PAIRS:
                break
        else:
            proposal = Proposal()
            proposals.append(proposal)
        proposal.headers.append(header)
        proposal.pairs.update(dict.fromkeys(wanted))
    return proposals
