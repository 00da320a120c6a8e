"""A peer: the other end of an association, and what an AE title may be."""

from __future__ import annotations

from dataclasses import dataclass

from dicomnode.net.login import Trust
from dicomnode.settings.keys import AE_TITLE


def is_ae_title(text: str) -> bool:
    """Tell whether `text` may be an AE title (PS3.5 table 6.2-1, AE); spaces around it do not count."""
    return AE_TITLE.holds(text)


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer as it is reached: a name for people, AE title, host and port.

    timeout_s: longest wait for the association to open, and then for each answer. trust: what TLS is made
    with (PS3.15 B.12); None: no TLS.
    Raises ValueError for an AE title, port or time that cannot be.
    """

    name: str
    ae_title: str
    host: str
    port: int
    timeout_s: float = 30.0
    trust: Trust | None = None

    def __post_init__(self) -> None:
        if not is_ae_title(self.ae_title):
            raise ValueError(f"Peer.ae_title must be {AE_TITLE.expected}, got {self.ae_title!r}")
        if not 1 <= self.port <= 65535:
            raise ValueError(f"Peer.port must be 1 to 65535, got {self.port!r}")
        if not 0 < self.timeout_s < float("inf"):
            raise ValueError(f"Peer.timeout_s must be > 0 s, got {self.timeout_s!r}")
