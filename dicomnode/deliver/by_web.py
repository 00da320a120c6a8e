"""Results to a DICOMweb service: STOW-RS, and QIDO-RS to ask what it has."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydicom import dcmread

from dicomnode.deliver.outcome import FileOutcome, Word, answered
from dicomnode.deliver.proposal import ObjectHeader, read_header
from dicomnode.deliver.sending import STOPPED, OnNegotiated, OnOutcome, tell
from dicomnode.faults import COMMITMENT_REFUSED, SEND_UNREADABLE, WEB_FAILED, WEB_REFUSED, NodeError
from dicomnode.net import WebPeer
from dicomnode.net.commitment import CommitmentAnswer
from dicomnode.net.dicomweb import query
from dicomnode.net.rate import Rate
from dicomnode.net.stow import store_by_web
from dicomnode.store.foreign import UNREADABLE, quiet
from dicomnode.values import is_valid_uid

_NO_SUCH_CLASS: Final = 0x0122  # SOP Class not supported, PS3.7 C.5.21
_MOST_INSTANCES: Final = 50_000
_FAILURES: Final = 2  # so many in a row are no matter of the instance any more: the rest waits
# Under the root for UIDs of UUIDs (PS3.5 B.2): whoever answers, answers "none"
_NO_STUDY: Final = "2.25.0"


@dataclass(frozen=True, slots=True)
class WebRoute:
    """To a DICOMweb service."""

    peer: WebPeer
    rate: Rate | None = None

    def send(
        self,
        files: Sequence[Path],
        *,
        on_outcome: OnOutcome,
        on_negotiated: OnNegotiated,
        stop: threading.Event,
    ) -> list[FileOutcome]:
        """Store one after the other. What a service takes is known only when it refuses an instance."""
        outcomes: list[FileOutcome] = []
        away: NodeError | None = None
        failures = 0
        for path in files:
            outcome = self._left(path, away) if away or stop.is_set() else self._store(path)
            if outcome.status == _NO_SUCH_CLASS:
                refused = {read_header(path).sop_class_uid: False}
                if not on_negotiated(refused):
                    return outcomes
            if away is None and outcome.outcome == "retry" and outcome.status is None:
                failures += 1
                # It answered, and another instance may fare better
                here = outcome.fault is not None and outcome.fault.fault is WEB_FAILED
                away = outcome.fault if not here or failures >= _FAILURES else None
            else:
                failures = 0
            tell(outcome, self.peer.name)
            on_outcome(outcome)
            outcomes.append(outcome)
        return outcomes

    def _store(self, path: Path) -> FileOutcome:
        uid = ""
        try:
            header = read_header(path)
            uid = header.sop_instance_uid
            status = store_by_web(self.peer, _study_of(path), path, uid, self.rate)
        except NodeError as fault:
            # What cannot be read is never better; what the service or the way to it says may be, later
            word: Word = "refused" if fault.fault in (SEND_UNREADABLE, WEB_REFUSED) else "retry"
            return FileOutcome(path=path, sop_instance_uid=uid, outcome=word, fault=fault)
        return answered(header, status, self.peer.name)

    def _left(self, path: Path, why: NodeError | None) -> FileOutcome:
        """Settle what is to be tried again later: the service is away, or the node stops."""
        header: ObjectHeader | None = None
        try:
            header = read_header(path)
        except NodeError as fault:
            return FileOutcome(path=path, sop_instance_uid="", outcome="refused", fault=fault)
        note = "" if why else STOPPED
        return FileOutcome(
            path=path, sop_instance_uid=header.sop_instance_uid, outcome="retry", fault=why, note=note
        )

    def lists(self, study_uid: str, series: Collection[str]) -> frozenset[str] | None:
        """Ask by QIDO-RS, series by series; 404 of one says that it has none of it.

        Of a study, too, it says that there is no QIDO-RS: raises NodeError(WEB_FAILED).
        """
        found: set[str] = set()
        for uid in sorted(series):
            path = f"studies/{study_uid}/series/{uid}/instances"
            wanted = {"SOPInstanceUID": ""}
            matches = query(self.peer, path, wanted, limit=_MOST_INSTANCES, may_be_none=True)
            found.update(str(match.SOPInstanceUID) for match in matches)
        if not found:
            query(self.peer, "studies", {"StudyInstanceUID": study_uid}, limit=1)
        return frozenset(found)

    def ask_commitment(
        self, transaction: str, instances: Sequence[tuple[str, str]]
    ) -> Mapping[str, CommitmentAnswer]:
        """Refuse: storage commitment is asked for by DIMSE here."""
        del transaction, instances
        raise NodeError(COMMITMENT_REFUSED, name=self.peer.name, reason="it is a web service")

    def takes(self, classes: Sequence[str]) -> Mapping[str, bool]:
        """Ask by QIDO-RS for a study that nobody has. What it takes is known when it refuses an instance."""
        del classes
        query(self.peer, "studies", {"StudyInstanceUID": _NO_STUDY}, limit=1)
        return {}


def _study_of(path: Path) -> str:
    """Study Instance UID, which becomes a part of the address. Raises NodeError(SEND_UNREADABLE)."""
    try:
        with quiet():
            uid = str(dcmread(path, specific_tags=["StudyInstanceUID"]).get("StudyInstanceUID", ""))
    except (OSError, *UNREADABLE) as error:
        raise NodeError(SEND_UNREADABLE, path=path, error=type(error).__name__) from error
    if not is_valid_uid(uid):
        raise NodeError(SEND_UNREADABLE, path=path, error="it has no Study Instance UID")
    return uid
