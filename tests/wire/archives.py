"""Archives that keep, lose, list and commit themselves as told: pynetdicom SCPs on the loopback."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Literal

from pydicom import Dataset, dcmread
from pynetdicom import AE, build_context, build_role, evt

from dicomnode.net import Peer
from tests.wire.peers import DEADLINE_S, EXPLICIT_LE, IMPLICIT_LE, STEP_S, peer_at

FIND = "1.2.840.10008.5.1.4.1.2.2.1"
COMMITMENT = "1.2.840.10008.1.20.1"
COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"
NO_SUCH_INSTANCE = 0x0112

Commits = Literal["no", "same", "next", "later", "never"]


@dataclass
class Archive:
    """An archive and what it keeps. loses: so many objects are acknowledged and thrown away.

    commits: "same": on the same association; "next": on that of the next request; "later": on one of its
    own, to `node`; "never": it takes requests and does not answer.
    """

    keeps: tuple[str, ...]
    finds: bool = True
    commits: Commits = "no"
    loses: int = 0
    peer: Peer = field(default_factory=lambda: peer_at(1))
    node: Peer | None = None
    objects: dict[str, Dataset] = field(default_factory=dict)
    taken: list[str] = field(default_factory=list)  # SOP Instance UIDs of all C-STOREs, in order
    transactions: list[str] = field(default_factory=list)
    open_request: Dataset | None = None
    queries: int = 0
    server: Any = None

    def allow(self, classes: Sequence[str]) -> None:
        """Take these SOP Classes, too, from the next association on."""
        assert self.server is not None
        self.server.contexts += [build_context(uid, [EXPLICIT_LE, IMPLICIT_LE]) for uid in classes]

    def of_class(self, sop_class: str) -> list[Dataset]:
        return [one for one in list(self.objects.values()) if one.SOPClassUID == sop_class]

    def store(self, event: evt.Event) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        self.taken.append(uid)
        if self.loses:
            self.loses -= 1
            return 0x0000
        self.objects[uid] = dcmread(BytesIO(event.encoded_dataset()), force=True)
        return 0x0000

    def find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        self.queries += 1
        asked = event.identifier
        level = str(asked.QueryRetrieveLevel)
        of_study = [one for one in self.objects.values() if one.StudyInstanceUID == asked.StudyInstanceUID]
        if level == "SERIES":
            for uid in {str(one.SeriesInstanceUID) for one in of_study}:
                yield 0xFF00, _match(level, StudyInstanceUID=asked.StudyInstanceUID, SeriesInstanceUID=uid)
            return
        for one in of_study:
            if one.SeriesInstanceUID == asked.SeriesInstanceUID:
                yield (
                    0xFF00,
                    _match(
                        level,
                        StudyInstanceUID=one.StudyInstanceUID,
                        SeriesInstanceUID=one.SeriesInstanceUID,
                        SOPInstanceUID=one.SOPInstanceUID,
                        SOPClassUID=one.SOPClassUID,
                    ),
                )

    def asked(self, event: evt.Event) -> tuple[int, Dataset | None]:
        """N-ACTION: take the request, and answer as told."""
        said = event.action_information
        self.transactions.append(str(said.TransactionUID))
        if self.commits == "same":
            self._in_a_thread(self._report, event.assoc, said)
        elif self.commits == "next":
            if self.open_request is not None:
                self._in_a_thread(self._report, event.assoc, self.open_request)
            self.open_request = said
        elif self.commits == "later":
            self._in_a_thread(self.report_later, said)
        return 0x0000, None

    def _in_a_thread(self, report: Callable[..., object], *arguments: object) -> None:
        """Report; where the network is cut meanwhile the report is lost, as one of many archives is."""

        def run() -> None:
            with contextlib.suppress(AssertionError, RuntimeError, ValueError):
                report(*arguments)

        threading.Thread(target=run, daemon=True).start()

    def report_later(self, said: Dataset) -> int | None:
        """Open an association of its own to the node, as the SCP, and report; gives the status."""
        assert self.node is not None
        ae = AE(self.peer.ae_title)
        ae.add_requested_context(COMMITMENT, [EXPLICIT_LE, IMPLICIT_LE])
        association = ae.associate(
            self.node.host,
            self.node.port,
            ae_title=self.node.ae_title,
            ext_neg=[build_role(COMMITMENT, scp_role=True)],
        )
        assert association.is_established
        try:
            return self._report(association, said)
        finally:
            association.release()

    def _report(self, association: Any, said: Dataset) -> int | None:
        report = Dataset()
        report.TransactionUID = said.TransactionUID
        there = [one for one in said.ReferencedSOPSequence if one.ReferencedSOPInstanceUID in self.objects]
        missing = [one for one in said.ReferencedSOPSequence if one not in there]
        report.ReferencedSOPSequence = there
        if missing:
            for one in missing:
                one.FailureReason = NO_SUCH_INSTANCE
            report.FailedSOPSequence = missing
        kind = 2 if missing else 1
        status, _ = association.send_n_event_report(report, kind, COMMITMENT, COMMITMENT_INSTANCE)
        return status.get("Status")


def _match(level: str, **values: object) -> Dataset:
    found = Dataset()
    found.QueryRetrieveLevel = level
    for keyword, value in values.items():
        setattr(found, keyword, value)
    return found


@contextlib.contextmanager
def running_archive(
    keeps: Sequence[str], called: str = "", port: int = 0, **behaviour: Any
) -> Iterator[Archive]:
    """An archive that takes these SOP Classes, until the block ends. called: it goes by this AE title."""
    archive = Archive(tuple(keeps), **behaviour)
    contexts = [build_context(uid, [EXPLICIT_LE, IMPLICIT_LE]) for uid in archive.keeps]
    handlers: list[Any] = [(evt.EVT_C_STORE, archive.store)]
    if archive.finds:
        contexts.append(build_context(FIND, [EXPLICIT_LE, IMPLICIT_LE]))
        handlers.append((evt.EVT_C_FIND, archive.find))
    if archive.commits != "no":
        contexts.append(build_context(COMMITMENT, [EXPLICIT_LE, IMPLICIT_LE]))
        handlers.append((evt.EVT_N_ACTION, archive.asked))
    ae = AE(called or "ARCHIVE")
    ae.require_called_aet = bool(called)
    server = ae.make_server(("127.0.0.1", port), contexts=contexts, evt_handlers=handlers)
    archive.server = server
    archive.peer = peer_at(server.socket.getsockname()[1])
    ae._servers.append(server)  # as start_server does, whose loop takes half a second to end
    thread = threading.Thread(target=server.serve_forever, args=(STEP_S,), daemon=True)
    thread.start()
    try:
        yield archive
    finally:
        server.shutdown()
        thread.join(DEADLINE_S)
