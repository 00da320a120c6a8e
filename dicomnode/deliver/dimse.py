"""Sending files to an archive with C-STORE: one answer for each file, whatever happens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

import structlog

from dicomnode.deliver.convert import converted
from dicomnode.deliver.outcome import FileOutcome, Word, answered
from dicomnode.deliver.proposal import ObjectHeader, Proposal, propose, read_header
from dicomnode.deliver.sending import STOPPED, OnNegotiated, OnOutcome, tell
from dicomnode.deliver.stream import StoreRequest, c_store, response_taken_here
from dicomnode.faults import NO_PRESENTATION_CONTEXT, PEER_ABORTED, SEND_UNREADABLE, NodeError
from dicomnode.net import Link, NoAnswer, Peer, echo, open_association
from dicomnode.net.association import is_rejected_without_reason
from dicomnode.net.rate import Paced, Rate

log = structlog.get_logger("dicomnode.deliver")

_ABORTS: Final = 2  # so many ended associations in one call are too many: the rest waits
_MESSAGE_IDS: Final = 65535


def send_files(  # noqa: PLR0913  what a sending is
    peer: Peer,
    calling_ae: str,
    files: Sequence[Path],
    *,
    on_outcome: OnOutcome | None = None,
    on_negotiated: OnNegotiated | None = None,
    stop: threading.Event | None = None,
    rate: Rate | None = None,
) -> list[FileOutcome]:
    """Send Part 10 files to the peer; return what became of each, in the order of `files`.

    The presentation contexts proposed are those of the files, and Verification, in several associations if
    128 do not suffice. A peer that rejects all that without a reason, and answers a C-ECHO, takes none of
    them. A file that the peer takes in no context is refused at once, and the others go on. When the peer
    cannot be reached, rejects us or falls silent, all that is left is to be tried again later; when it
    aborts, the file that it had in hand is, and the others go over a second association.
    on_outcome hears of each file as soon as it is settled. on_negotiated hears, before anything goes over an
    association, whether the peer takes each SOP Class (by UID) of what is to go over it; where it answers
    False nothing is sent any more, and what was not sent has no outcome. stop, once set, ends the sending
    after the object under way. rate: most that is sent in a second. What goes wrong is in the outcomes; only
    what the hooks raise is raised, and ends the sending.
    """
    delivery = _Delivery(
        peer=peer,
        calling_ae=calling_ae,
        on_outcome=on_outcome or (lambda _: None),
        on_negotiated=on_negotiated or (lambda _: True),
        stop=stop or threading.Event(),
        rate=rate,
    )
    delivery.run(files)
    return sorted(delivery.outcomes, key=_order(files))


def _order(files: Sequence[Path]) -> Callable[[FileOutcome], int]:
    place = {path: n for n, path in enumerate(files)}
    return lambda outcome: place[outcome.path]


class _Over(Exception):  # noqa: N818  not an error: the file in hand is settled
    """The association is of no use any more, or did not open.

    why: NodeError when it did not open, NoAnswer when the peer ended it, None when a file of ours did.
    """

    def __init__(self, why: NodeError | NoAnswer | None) -> None:
        super().__init__()
        self.why = why

    @property
    def rest_waits(self) -> bool:
        """Whether another association would fare no better now."""
        return isinstance(self.why, NodeError) or (isinstance(self.why, NoAnswer) and self.why.timed_out)


@dataclass(slots=True, kw_only=True)
class _Delivery:
    """One call of send_files: what each file came to, and how often an association ended.

    declined: what was negotiated is not wanted. ended: why no association is opened any more.
    """

    peer: Peer
    calling_ae: str
    on_outcome: OnOutcome
    on_negotiated: OnNegotiated
    stop: threading.Event
    rate: Rate | None
    declined: bool = False
    outcomes: list[FileOutcome] = field(default_factory=list)
    aborts: int = 0
    ended: NodeError | NoAnswer | None = None

    def run(self, files: Sequence[Path]) -> None:
        waiting = propose([header for path in files if (header := self._read(path)) is not None])
        while waiting and not self.declined:
            left = self._associate(waiting.pop(0))
            waiting[:0] = propose(left)

    def _read(self, path: Path) -> ObjectHeader | None:
        try:
            return read_header(path)
        except NodeError as fault:
            self._settle(FileOutcome(path=path, sop_instance_uid="", outcome="refused", fault=fault))
            return None

    def _associate(self, proposal: Proposal) -> list[ObjectHeader]:
        """Send over one association; return what is to go over another."""
        left = list(proposal.headers)
        try:
            if self.ended is None and not self.stop.is_set():
                self._over_one(proposal, left)
        except _Over as over:
            self.aborts += over.why is not None
            if over.rest_waits or self.aborts >= _ABORTS:
                self.ended = over.why
        if self.ended is not None or self.stop.is_set():
            self._leave(left, self.ended)
            return []
        return left

    def _over_one(self, proposal: Proposal, left: list[ObjectHeader]) -> None:
        """Open the association and send what is left over it. Raises _Over."""
        with ExitStack() as stack:
            link: Link | None = None
            try:
                link = stack.enter_context(open_association(self.peer, self.calling_ae, proposal.contexts))
            except NodeError as fault:
                if not (is_rejected_without_reason(fault) and self._knows_us()):
                    raise _Over(fault) from fault
            taken = {header.sop_class_uid: False for header in left}
            accepted = link.accepted if link else {}
            taken |= {sop_class: True for sop_class, _ in accepted if sop_class in taken}
            self.declined = not self.on_negotiated(taken)
            if self.declined:
                return
            if link is not None:
                stack.enter_context(response_taken_here(link))
                self._send_all(link, left)
                return
            while left:
                header = left.pop(0)
                self._refuse(header, self._no_context(header))

    def _knows_us(self) -> bool:
        """Whether the peer answers a C-ECHO: who rejects the same node with objects takes none of these."""
        try:
            echo(self.peer, self.calling_ae)
        except NodeError:
            return False
        return True

    def _send_all(self, link: Link, left: list[ObjectHeader]) -> None:
        """Send one after the other until none is left or the node stops. Raises _Over."""
        message_id = 0
        while left and not self.stop.is_set():
            message_id = message_id % _MESSAGE_IDS + 1
            self._send(link, left.pop(0), message_id)

    def _send(self, link: Link, header: ObjectHeader, message_id: int) -> None:
        pair = next((pair for pair in header.pairs() if pair in link.accepted), None)
        if pair is None:
            self._refuse(header, self._no_context(header))
            return
        request = StoreRequest(
            context_id=link.accepted[pair],
            message_id=message_id,
            sop_class_uid=header.sop_class_uid,
            sop_instance_uid=header.sop_instance_uid,
        )
        try:
            with _data_set(header, pair[1]) as data:
                status = c_store(link, request, Paced(data, self.rate) if self.rate else data)
        except NodeError as fault:  # the conversion failed: nothing was sent yet
            self._refuse(header, fault)
        except OSError as error:
            self._refuse(header, NodeError(SEND_UNREADABLE, path=header.path, error=str(error)))
            raise _Over(None) from error
        except NoAnswer as why:
            self._leave([header], why)
            raise _Over(why) from why
        else:
            self._settle(answered(header, status, self.peer.name))

    def _no_context(self, header: ObjectHeader) -> NodeError:
        return NodeError(
            NO_PRESENTATION_CONTEXT,
            name=self.peer.name,
            sop_class=header.sop_class,
            transfer_syntax=header.transfer_syntax,
        )

    def _unanswered(self, header: ObjectHeader, why: NoAnswer) -> NodeError:
        uid = header.sop_instance_uid
        return NodeError(PEER_ABORTED, name=self.peer.name, sop_instance_uid=uid, reason=str(why))

    def _refuse(self, header: ObjectHeader, fault: NodeError) -> None:
        self._settle(_untaken(header, "refused", fault))

    def _leave(self, headers: Sequence[ObjectHeader], why: NodeError | NoAnswer | None) -> None:
        """Settle what is to be tried again later. why: None because of the stop."""
        if headers:
            log.warning(
                "delivery.waits", destination=self.peer.name, instances=len(headers), why=str(why or STOPPED)
            )
        for header in headers:
            fault = self._unanswered(header, why) if isinstance(why, NoAnswer) else why
            self._tell(_untaken(header, "retry", fault, "" if fault else STOPPED))

    def _settle(self, outcome: FileOutcome) -> None:
        """Settle what was decided of this file by itself: one line in the log."""
        tell(outcome, self.peer.name)
        self._tell(outcome)

    def _tell(self, outcome: FileOutcome) -> None:
        self.outcomes.append(outcome)
        self.on_outcome(outcome)


def _untaken(header: ObjectHeader, word: Word, fault: NodeError | None, note: str = "") -> FileOutcome:
    uid = header.sop_instance_uid
    return FileOutcome(path=header.path, sop_instance_uid=uid, outcome=word, fault=fault, note=note)


@contextmanager
def _data_set(header: ObjectHeader, transfer_syntax_uid: str) -> Iterator[BinaryIO]:
    """The object's data set in the transfer syntax agreed on: straight from the file where it is its own."""
    if transfer_syntax_uid != header.transfer_syntax_uid:
        yield converted(header, transfer_syntax_uid)
        return
    with header.path.open("rb") as file:
        file.seek(header.offset)
        yield file
