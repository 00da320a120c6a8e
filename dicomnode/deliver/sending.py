"""What every way to a destination tells while it sends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import structlog

from dicomnode.deliver.outcome import FileOutcome

log = structlog.get_logger("dicomnode.deliver")

STOPPED: Final = "not tried: the node is stopping"

OnOutcome = Callable[[FileOutcome], None]  # hears what became of a file
OnNegotiated = Callable[
    [Mapping[str, bool]], bool
]  # hears which SOP Classes are taken; False: send nothing more


def tell(outcome: FileOutcome, destination: str) -> None:
    """Write one line in the log on a file that is settled."""
    (log.warning if outcome.outcome == "refused" else log.info)(
        f"instance.{outcome.outcome}",
        destination=destination,
        sop_instance_uid=outcome.sop_instance_uid,
        status=outcome.status,
        code=outcome.fault.fault.code if outcome.fault else None,
    )
