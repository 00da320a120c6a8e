"""C-GET: bring a study back from a peer, over the association that asks for it (PS3.4 C.4.3).

Each pair of SOP Class and transfer syntax has a presentation context of its own, so that the peer can send
an object as it holds it and need not transcode.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final, cast

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.dimse_primitives import C_STORE

from dicomnode.faults import NO_PRESENTATION_CONTEXT, NodeError
from dicomnode.net.association import MAXIMUM_CONTEXTS, Link, ProposedContext, open_association
from dicomnode.net.peer import Peer
from dicomnode.net.query import list_instances, query_failure
from dicomnode.values import is_valid_uid

_STUDY_ROOT_GET: Final = "1.2.840.10008.5.1.4.1.2.2.3"
_EXPLICIT_LE: Final = "1.2.840.10008.1.2.1"
_IMPLICIT_LE: Final = "1.2.840.10008.1.2"
_STORED_AS: Final = (
    _EXPLICIT_LE,
    _IMPLICIT_LE,
    "1.2.840.10008.1.2.5",  # RLE lossless
    "1.2.840.10008.1.2.4.70",  # JPEG lossless, first-order prediction
    "1.2.840.10008.1.2.4.80",  # JPEG-LS lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 lossless
    "1.2.840.10008.1.2.4.50",  # JPEG baseline
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
)
_PENDING: Final = 0xFF00
_INVALID_UID: Final = 0x0117
_OUT_OF_RESOURCES: Final = 0xA700


def fetch_study(
    peer: Peer, calling_ae: str, study_uid: str, folder: Path, *, series: Collection[str] = ()
) -> list[Path]:
    """Fetch the instances of a study into `folder` as `<SOP Instance UID>.dcm`, as the peer encodes them.

    series: Series Instance UIDs of those wanted, empty: all. Returns the files in order of name; none when
    the peer knows no such study. What to propose for them is asked by C-FIND first.
    Raises NodeError PEER_UNREACHABLE, PEER_REJECTED, NO_PRESENTATION_CONTEXT, or QUERY_FAILED when the
    peer could not send all of them (those that came are in the folder then).
    """
    wanted = [
        found
        for found in list_instances(peer, calling_ae, study_uid)
        if not series or found.series_instance_uid in series
    ]
    sop_classes = {found.sop_class_uid for found in wanted if found.sop_class_uid}
    if not sop_classes:
        return []
    arrived: set[Path] = set()

    def keep(event: evt.Event) -> int:
        uid = str(cast(C_STORE, event.request).AffectedSOPInstanceUID)
        if not is_valid_uid(uid):  # it becomes the name of a file
            return _INVALID_UID
        path = folder / f"{uid}.dcm"
        try:
            path.write_bytes(event.encoded_dataset())
        except OSError:
            return _OUT_OF_RESOURCES
        arrived.add(path)
        return 0

    with open_association(
        peer, calling_ae, _contexts(sop_classes), provides=sop_classes, handlers=[(evt.EVT_C_STORE, keep)]
    ) as link:
        if not any(abstract == _STUDY_ROOT_GET for abstract, _ in link.accepted):
            raise NodeError(
                NO_PRESENTATION_CONTEXT,
                name=peer.name,
                sop_class="Study Root Query/Retrieve Information Model - GET",
                transfer_syntax="Explicit or Implicit VR Little Endian",
            )
        for series_uid in dict.fromkeys(found.series_instance_uid for found in wanted):
            _get(link, study_uid, series_uid)
    return sorted(arrived)


def _get(link: Link, study_uid: str, series_uid: str) -> None:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "SERIES"
    identifier.StudyInstanceUID = study_uid
    identifier.SeriesInstanceUID = series_uid
    for status, _ in link.association.send_c_get(identifier, _STUDY_ROOT_GET):
        if status.get("Status") not in {0, _PENDING}:
            raise query_failure(link, "C-GET", status)


def _contexts(sop_classes: Collection[str]) -> list[ProposedContext]:
    """As many transfer syntaxes for each SOP Class as fit into one association."""
    syntaxes = _STORED_AS[: max(1, (MAXIMUM_CONTEXTS - 1) // len(sop_classes))]
    query: ProposedContext = (_STUDY_ROOT_GET, (_EXPLICIT_LE, _IMPLICIT_LE))
    storage: list[ProposedContext] = [
        (sop_class, (syntax,)) for sop_class in sorted(sop_classes) for syntax in syntaxes
    ]
    return [query, *storage]
