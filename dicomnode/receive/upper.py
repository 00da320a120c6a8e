"""pynetdicom's upper layer (its DUL thread), with one wait that ends when there is nothing to wait for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from pynetdicom.dul import DULServiceProvider

if TYPE_CHECKING:
    from pynetdicom.pdu_primitives import A_ABORT, A_ASSOCIATE, A_P_ABORT, A_RELEASE

_STEP_S: Final = 0.1


class UpperLayer(DULServiceProvider):
    """The DUL service provider of one association (PS3.8 section 9)."""

    def receive_pdu(
        self, wait: bool = False, timeout: float | None = None
    ) -> A_ASSOCIATE | A_RELEASE | A_ABORT | A_P_ABORT | None:
        """Return the next primitive for the association's thread, None when there is none.

        pynetdicom waits out the time even when the connection has gone (AA-5 tells nobody): a port scan
        would hold its threads for as long as a request may take.
        """
        if not wait:
            return super().receive_pdu()
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.is_alive() and (deadline is None or time.monotonic() < deadline):
            primitive = super().receive_pdu(wait=True, timeout=_STEP_S)
            if primitive is not None:
                return primitive
        return super().receive_pdu()
