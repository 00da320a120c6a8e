"""C-FIND: what a peer holds of a study (PS3.4 C.4.1, Study Root).

The query walks down the levels, series by series: that is what every archive must answer (PS3.4 C.4.1.3.1);
asking for all instances of a study at once is an extension.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pydicom.dataset import Dataset

from dicomnode.faults import NO_PRESENTATION_CONTEXT, QUERY_FAILED, NodeError
from dicomnode.net.association import Link, open_association
from dicomnode.net.peer import Peer
from dicomnode.net.status import query_status_text

_STUDY_ROOT_FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
_EXPLICIT_LE: Final = "1.2.840.10008.1.2.1"
_IMPLICIT_LE: Final = "1.2.840.10008.1.2"
_PENDING: Final = (0xFF00, 0xFF01)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundInstance:
    """An instance that the peer says it holds. sop_class_uid: None when the peer does not tell."""

    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str | None


def find_instances(peer: Peer, calling_ae: str, study_uid: str) -> set[str]:
    """SOP Instance UIDs that the peer holds of the study; empty when it knows no such study.

    Raises NodeError PEER_UNREACHABLE, PEER_REJECTED, NO_PRESENTATION_CONTEXT or QUERY_FAILED.
    """
    return {found.sop_instance_uid for found in list_instances(peer, calling_ae, study_uid)}


def list_instances(peer: Peer, calling_ae: str, study_uid: str) -> list[FoundInstance]:
    """As find_instances, with series and SOP Class of each; in the order in which the peer answers."""
    proposed = [(_STUDY_ROOT_FIND, (_EXPLICIT_LE, _IMPLICIT_LE))]
    with open_association(peer, calling_ae, proposed) as link:
        if not link.accepted:
            raise NodeError(
                NO_PRESENTATION_CONTEXT,
                name=peer.name,
                sop_class="Study Root Query/Retrieve Information Model - FIND",
                transfer_syntax="Explicit or Implicit VR Little Endian",
            )
        study = {"StudyInstanceUID": study_uid}
        series = _find(link, "SERIES", {**study, "SeriesInstanceUID": ""})
        return [
            FoundInstance(
                series_instance_uid=uid,
                sop_instance_uid=str(match.SOPInstanceUID),
                sop_class_uid=str(match.SOPClassUID) if match.get("SOPClassUID") else None,
            )
            for uid in [str(match.SeriesInstanceUID) for match in series if match.get("SeriesInstanceUID")]
            for match in _find(
                link, "IMAGE", {**study, "SeriesInstanceUID": uid, "SOPInstanceUID": "", "SOPClassUID": ""}
            )
            if match.get("SOPInstanceUID")
        ]


def _find(link: Link, level: str, keys: dict[str, str]) -> list[Dataset]:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    return list(_matches(link, identifier))


def _matches(link: Link, identifier: Dataset) -> Iterator[Dataset]:
    for status, match in link.association.send_c_find(identifier, _STUDY_ROOT_FIND):
        if status.get("Status") in _PENDING and match is not None:
            yield match
        elif status.get("Status") != 0:
            raise query_failure(link, "C-FIND", status)


def query_failure(link: Link, request: str, status: Dataset) -> NodeError:
    """Make the failure of a C-FIND or C-GET from its last response; an empty one means there was none."""
    code = status.get("Status")
    if code is None:
        reason = f"no answer within {link.peer.timeout_s:g} s, or the association ended"
    else:
        reason = f"status 0x{code:04X}, {query_status_text(code)}"
    return NodeError(
        QUERY_FAILED,
        name=link.peer.name,
        request=request,
        reason=reason,
        calling_ae=link.association.requestor.ae_title,
    )
