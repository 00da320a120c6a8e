"""What every child process of the service gets."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import Final

from dicomnode.serve.process.line import ChildLine
from dicomnode.serve.process.place import Place
from dicomnode.settings import Settings

_DRAIN_SHARE: Final = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildFrame:
    """What every child gets: settings, its line to the supervisor, the listening socket where it has one.

    place: where a worker works.
    """

    settings: Settings
    line: ChildLine
    listener: socket.socket | None
    place: Place = field(default_factory=Place)

    @property
    def drain_s(self) -> float:
        """How long a stop may wait for what is under way; the rest of the time is for ending in order."""
        return self.settings.serve.stop_timeout_s * _DRAIN_SHARE
