"""One association as the acceptor: admission, then messages one after the other until it ends.

pynetdicom keeps the upper layer (PDUs, states of PS3.8 table 9-10, release, abort). What it calls on the
way in is ours: who may come in (ACSE), what a message is (DIMSE), and what is answered.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, cast

import structlog
from pynetdicom import AE
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.acse import ACSE
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import PresentationContext

from dicomnode.faults import CONTEXT_MISMATCH, OPERATION_UNKNOWN, UID_MISSING
from dicomnode.net.contexts import narrow, supported_contexts
from dicomnode.receive.admission import Admission, Rejection
from dicomnode.receive.answers import SUCCESS, answer_for
from dicomnode.receive.command import (
    C_CANCEL_RQ,
    C_ECHO_RQ,
    C_STORE_RQ,
    RESPONSE,
    Answer,
    Command,
    write_response,
)
from dicomnode.receive.connection import BoundedSocket
from dicomnode.receive.desk import Desk
from dicomnode.receive.dimse import Message, ReceivingDimse
from dicomnode.receive.notices import COMMITMENT_CLASS, NoticeService
from dicomnode.receive.storage import StorageService, StoreRequest
from dicomnode.receive.upper import UpperLayer
from dicomnode.values import Sender

log = structlog.get_logger("dicomnode.receive")

# A sender that cannot make a request does not learn it by repetition
_MISSING_UIDS_AT_MOST: Final = 3

_THREAD_ENDS_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What all associations of a receiver share. ae_title: of this node."""

    ae_title: str
    admission: Admission
    storage: StorageService
    notices: NoticeService
    desk: Desk
    classes: frozenset[str]


class StorageAssociation(Association):
    """An accepted connection; a thread of its own, and pynetdicom's DUL thread beside it."""

    def __init__(self, entity: AE, rules: Rules, address: str) -> None:
        super().__init__(entity, MODE_ACCEPTOR)
        self.rules = rules
        self.sender = Sender(calling_ae="", called_ae="", address=address)
        self._upper = UpperLayer(self)
        self.dul = self._upper
        self.acse_timeout = entity.acse_timeout  # sets the timers of the layer below
        self.network_timeout = entity.network_timeout
        self.acse = _Gate(self)
        self._receiving = ReceivingDimse(self, rules.storage.maximum_bytes)
        self.dimse = self._receiving
        self._missing_uids = 0
        self._arriving = rules.storage.arriving()

    def context(self, context_id: int) -> PresentationContext | None:
        """Return a negotiated presentation context."""
        return self._accepted_cx.get(context_id)

    def give_up(self) -> None:
        """End it from another thread, without a word to the peer."""
        self._bounded().give_up()

    def release_descriptors(self) -> None:
        """Close what it holds, when no thread of it runs (any more)."""
        self._bounded().release_descriptor()
        self._upper.release_descriptor()

    def _bounded(self) -> BoundedSocket:
        return cast("BoundedSocket", self.dul.socket)

    def run_reactor(self) -> None:
        """Serve the association until it ends (the thread's target)."""
        try:
            super().run_reactor()
        finally:
            self._arriving.end()  # first: it brings nothing more, and its study may wait for that
            # However it ended: the peer does not wait, and the DUL thread ends with its connection
            self.give_up()
            if self.dul.is_alive():
                self.dul.join(_THREAD_ENDS_S)
            self.release_descriptors()
            self.rules.desk.leave(self)

    def _serve_request(self, msg: object, context_id: int) -> None:
        """Answer one message; called by pynetdicom's reactor in this thread."""
        message = cast("Message", msg)
        command = message.command
        if command.field == C_STORE_RQ:
            self._store(message)
        elif command.field == C_ECHO_RQ:
            self._reply(context_id, command, SUCCESS)
        elif command.field in self.rules.notices.operations:
            self._take_notice(message)
        elif command.field != C_CANCEL_RQ and not command.field & RESPONSE:
            text = OPERATION_UNKNOWN.text(command=command.field)
            log.warning("request.refused", code=OPERATION_UNKNOWN.code, text=text, **_who(self.sender))
            self._reply(context_id, command, answer_for(OPERATION_UNKNOWN))

    def _store(self, message: Message) -> None:
        context = self.context(message.context_id)
        if context is None:  # checked when the message came
            return
        if context.abstract_syntax in self.rules.notices.classes:
            self._reply(message.context_id, message.command, answer_for(CONTEXT_MISMATCH))
            return
        request = self._request(message, context)

        def reply(answer: Answer) -> None:
            self._reply(message.context_id, message.command, answer)
            if answer.status == UID_MISSING.dimse_status and answer.comment.startswith(UID_MISSING.code):
                self._missing_uids += 1

        self.rules.storage.take(request, reply)
        if self._missing_uids >= _MISSING_UIDS_AT_MOST:
            self.abort()

    def _take_notice(self, message: Message) -> None:
        context = self.context(message.context_id)
        if context is not None:
            answer = self.rules.notices.take(self._request(message, context))
            self._reply(message.context_id, message.command, answer)

    def _request(self, message: Message, context: PresentationContext) -> StoreRequest:
        asked_for = message.command.move_originator == self.rules.ae_title
        return StoreRequest(
            command=message.command,
            data=message.data.getbuffer(),
            size=message.size,
            abstract_syntax=str(context.abstract_syntax),
            transfer_syntax=str(context.transfer_syntax[0]),
            sender=replace(self.sender, fetched=True) if asked_for else self.sender,
            announce=self._arriving.say,
        )

    def _reply(self, context_id: int, command: Command, answer: Answer) -> None:
        self._receiving.send_command(context_id, write_response(command, answer))


class _Gate(ACSE):
    """Negotiation as the acceptor, behind our admission. Until it has passed, nothing is supported."""

    def __init__(self, association: StorageAssociation) -> None:
        super().__init__(association)
        self._association = association

    def negotiate_association(self) -> None:
        """Accept or reject the association request that has come (PS3.8 7.1)."""
        association, rules = self._association, self._association.rules
        request = cast("A_ASSOCIATE", self.requestor.primitive)
        association.sender = Sender(
            calling_ae=(request.calling_ae_title or "").strip(),
            called_ae=(request.called_ae_title or "").strip(),
            address=association.sender.address,
        )
        rejections: list[Rejection] = []

        def may(open_now: int) -> bool:
            rejection = rules.admission.decide(association.sender, open_now)
            rejections.extend([rejection] if rejection else [])
            return rejection is None

        if not rules.desk.open(association, may):
            self._reject(rejections[0])
            return
        request.presentation_context_definition_list = narrow(request.presentation_context_definition_list)
        may_send = rules.admission.may_send(association.sender)
        self.acceptor.supported_contexts = supported_contexts(
            request.presentation_context_definition_list,
            rules.classes if may_send else rules.classes & {COMMITMENT_CLASS},
        )
        super().negotiate_association()
        log.debug("association.open", **_who(association.sender))

    def _reject(self, rejection: Rejection) -> None:
        fault, values = rejection.fault, rejection.values
        log.warning(
            "association.rejected",
            code=fault.code,
            text=fault.text(**values),
            remedy=fault.remedy.format(**values),
            **_who(self._association.sender),
        )
        self.requestor.ae_title = self._association.sender.calling_ae
        self.send_reject(rejection.result, rejection.source, rejection.reason)
        # As pynetdicom does: waits until the A-ASSOCIATE-RJ is out and the connection closed
        self._association.kill()


def _who(sender: Sender) -> dict[str, str]:
    return {"calling_ae": sender.calling_ae, "address": sender.address}
