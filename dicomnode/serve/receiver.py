"""The receiver process: one room, `receive`, and nothing else; no database, no array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dicomnode.faults import BUG, STORE_WRITE_FAILED, NodeError
from dicomnode.receive import Receiver
from dicomnode.serve.process.frame import ChildFrame
from dicomnode.serve.process.line import Beat
from dicomnode.settings import DestinationSettings
from dicomnode.store import Store

_BEAT_S: Final = 1.0
_BY_COMMITMENT: Final = ("auto", "commitment")


def _asked(destinations: Sequence[DestinationSettings]) -> list[str] | None:
    """Who may answer about storage commitment and is perhaps no sender; None: nobody is asked for one."""
    by_dimse = [d for d in destinations if d.confirm in _BY_COMMITMENT and (d.ae_title or d.to_sender)]
    return [d.ae_title for d in by_dimse if d.ae_title] if by_dimse else None


def run_receiver(frame: ChildFrame) -> None:
    """Receive until the supervisor says stop, then let open associations end."""
    settings = frame.settings
    store = Store.open(settings.store.path, reserve_gb=settings.store.reserve_gb)
    receiver = Receiver(
        settings.receive,
        settings.node.ae_title,
        settings.sender,
        store,
        listener=frame.listener,
        asked=_asked(settings.destination),
    )
    receiver.start()
    drain_s = frame.drain_s
    try:
        while not frame.line.stopping.wait(_BEAT_S):
            if store.failure is not None:
                # A failed flush is final: what the kernel says of this disk from now on cannot be believed
                # (fsyncgate). Ending here makes the supervisor end; the next start reads it all again.
                drain_s = 0.0  # nothing more is accepted: senders learn it sooner by an abort
                raise NodeError(STORE_WRITE_FAILED, path=store.root, error=store.failure)
            if not receiver.is_accepting:
                raise NodeError(BUG, where="the receiver", error="nobody accepts connections any more")
            open_now = receiver.active_associations
            state = f"receiving on port {receiver.port} ({open_now} associations)"
            frame.line.beat(Beat(state=state, port=receiver.port))
    finally:
        receiver.stop(drain_s=drain_s)
        store.close()
