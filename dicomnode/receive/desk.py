"""The receiver's register of connections: which are silent, which are open, and when all have gone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from dicomnode.receive.association import StorageAssociation

# Connections that have not yet asked for an association. A good peer asks within milliseconds, so only
# those that have been silent for a while count against their address; bursts of good ones do not.
_SILENT_AFTER_S: Final = 1.0
_SILENT_PER_ADDRESS: Final = 8
_WAITING_IN_ALL: Final = 32


@dataclass(slots=True)
class _Entry:
    address: str
    since: float
    is_open: bool = False


class Desk:
    """Knows every connection from accept to its end; used by all threads.

    clock: seconds that only go forward.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._entries: dict[StorageAssociation, _Entry] = {}

    def has_room(self, address: str) -> bool:
        """Tell whether a connection from there may wait for its association request."""
        now = self._clock()
        with self._changed:
            waiting = [entry for entry in self._entries.values() if not entry.is_open]
            silent = [e for e in waiting if e.address == address and now - e.since >= _SILENT_AFTER_S]
        return len(waiting) < _WAITING_IN_ALL and len(silent) < _SILENT_PER_ADDRESS

    def enter(self, association: StorageAssociation, address: str) -> None:
        """Note a connection."""
        with self._changed:
            self._entries[association] = _Entry(address, self._clock())

    def open(self, association: StorageAssociation, may: Callable[[int], bool]) -> bool:
        """Note that a connection is an association now, if `may` allows it with so many open ones."""
        with self._changed:
            allowed = may(self._open())
            self._entries[association].is_open = allowed
        return allowed

    def leave(self, association: StorageAssociation) -> None:
        """Note that a connection has ended; its threads hold nothing any more."""
        with self._changed:
            self._entries.pop(association, None)
            self._changed.notify_all()

    @property
    def open_now(self) -> int:
        """How many associations are open."""
        with self._changed:
            return self._open()

    def everybody(self) -> list[StorageAssociation]:
        """All connections there are."""
        with self._changed:
            return list(self._entries)

    def wait_empty(self, timeout_s: float) -> bool:
        """Wait until all connections have ended; False when the time is over before."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._entries, timeout_s)

    def _open(self) -> int:
        return sum(entry.is_open for entry in self._entries.values())
