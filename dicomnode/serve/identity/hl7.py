"""The HL7 listener of the service: a message is applied and durable before it is acknowledged."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Final

import structlog

from dicomnode.faults import ENTRY_BEHIND, MESSAGE_UNWANTED, MESSAGE_WRONG, NodeError
from dicomnode.journal import Journal
from dicomnode.receive.hl7_message import Message, acknowledgment, parse, read_changes
from dicomnode.receive.mllp import MllpLimits, MllpListener
from dicomnode.serve.identity.patients import Patients
from dicomnode.serve.logs import bug, fault_facts
from dicomnode.settings import Settings
from dicomnode.store import Store

log = structlog.get_logger("dicomnode.serve")

_ENTERED_S: Final = 30.0  # so long a message waits for the images that came before it
_POLL_S: Final = 0.1


class Hl7Desk:
    """Answers messages, one at a time. AE: it was not understood. AR: it is not wanted, or not now."""

    def __init__(self, settings: Settings, store: Store, journal: Journal, stopping: threading.Event) -> None:
        """Open the port. Raises NodeError(PORT_IN_USE)."""
        hl7 = settings.hl7
        self._character_set = hl7.character_set
        self._ae_title = settings.node.ae_title
        self._store = store
        self._patients = Patients(store, journal)
        self._alone = threading.Lock()
        self._stopping = stopping
        limits = MllpLimits(
            senders=hl7.senders, message_bytes=hl7.maximum_message_kb * 1000, timeout_s=hl7.timeout_s
        )
        self._listener = MllpListener(hl7.address, hl7.port, limits, self.answer, stopping)

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self._listener.port

    def run(self) -> None:
        """Take messages until the service stops."""
        # Of a store with many studies this takes long: the first sender need not wait for all of it
        threading.Thread(target=self.make_keys, name="hl7-keys", daemon=True).start()
        self._listener.run()

    def make_keys(self) -> None:
        """Find out whose the studies are that are here, before a message asks; a message may come between."""
        try:
            batches = self._patients.without_key()
            while batches and not self._stopping.is_set():
                with self._alone:
                    unread = self._patients.make_keys(batches.pop(0))
                for study_uid, why in unread.items():  # the next message asks again
                    log.warning("hl7.key_failed", study=study_uid, **fault_facts(why))
        except NodeError as error:  # as above, and it is answered with it
            log.warning("hl7.keys_failed", **fault_facts(error))

    def answer(self, content: bytes, address: str) -> bytes:
        """Apply a message and acknowledge it. Never raises."""
        now = datetime.now(UTC)
        message: Message | None = None
        try:
            message = parse(content, self._character_set, address)
            changes = read_changes(message, address)
            self._await_entry()
            with self._alone:
                count = self._patients.apply(changes, f"{message.kind} of {address}", now)
        except NodeError as error:
            log.warning("hl7.refused", address=address, **fault_facts(error))
            # Table 0008: AE for what is wrong in the message, AR for what has nothing to do with its content
            code = "AE" if error.fault is MESSAGE_WRONG else "AR"
            ours = error.fault not in (MESSAGE_WRONG, MESSAGE_UNWANTED)
            text = error.fault.code if ours else f"{error.fault.code} {error.values['problem']}"
            return acknowledgment(message, code, text, self._ae_title, now)
        # The connection, and those after it, must outlive any message
        except Exception as error:  # noqa: BLE001
            log.error("hl7.failed", address=address, **fault_facts(bug(error, "HL7 message")))
            return acknowledgment(message, "AR", "internal error", self._ae_title, now)
        log.info("hl7.applied", address=address, kind=message.kind, studies=count)
        return acknowledgment(message, "AA", "", self._ae_title, now)

    def _await_entry(self) -> None:
        """Wait until the scheduler has entered what was sealed before: the message speaks of it too.

        Raises NodeError: ENTRY_BEHIND, STORE_WRITE_FAILED.
        """
        until = time.monotonic() + _ENTERED_S
        waiting = self._store.waiting()
        while waiting:
            # The oldest are entered first: one look tells of all. But a damaged file is put aside out of turn
            while waiting[-1].exists():
                if self._stopping.wait(_POLL_S) or time.monotonic() > until:
                    count = len(set(waiting).intersection(self._store.waiting()))
                    raise NodeError(ENTRY_BEHIND, count=count, wait_s=f"{_ENTERED_S:g}")
            still = set(self._store.waiting())
            waiting = [path for path in waiting if path in still]
