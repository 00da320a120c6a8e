"""What is learned by asking a destination whether it keeps something, and when asking so brings no more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from dicomnode.faults import (
    FETCH_LATE,
    PEER_BUSY,
    PEER_NOT_TRUSTED,
    PEER_REJECTED,
    PEER_UNREACHABLE,
    QUERY_FAILED,
    WEB_FAILED,
    WEB_LOGIN_REFUSED,
    WEB_NOT_TRUSTED,
    WEB_SECRET_UNREADABLE,
    WEB_UNREACHABLE,
    NodeError,
)
from dicomnode.journal import TaskRecord

Way = Literal["commitment", "query"]

# The destination is not there now: it is asked as long as it takes
_AWAY: Final = (
    PEER_UNREACHABLE,
    PEER_NOT_TRUSTED,
    PEER_BUSY,
    WEB_UNREACHABLE,
    WEB_NOT_TRUSTED,
    WEB_SECRET_UNREADABLE,
)
# It did not answer as it should, or lets nobody ask: it may the next time, and if not, it cannot
_UNSURE: Final = (PEER_REJECTED, WEB_LOGIN_REFUSED, QUERY_FAILED, WEB_FAILED, FETCH_LATE)
_TRIES: Final = 3


@dataclass(slots=True)
class Memory:
    """What earlier tries of a confirm task learned.

    late: the answer to a commitment was waited for long enough. absent: it was asked what it has, and had not
    all. failures: questions in a row without an answer. unnamed: answers to commitments that left some out.
    """

    late: bool = False
    absent: bool = False
    failures: int = 0
    unnamed: int = 0

    @classmethod
    def of(cls, task: TaskRecord) -> Memory:
        """Read what stands in the payload."""
        said = task.payload
        return cls(
            late=bool(said.get("late")),
            absent=bool(said.get("absent")),
            failures=int(said.get("failures") or 0),
            unnamed=int(said.get("unnamed") or 0),
        )

    @property
    def payload(self) -> Mapping[str, int]:
        """What stands in the payload of the task for the next try."""
        return {
            "late": int(self.late),
            "absent": int(self.absent),
            "failures": self.failures,
            "unnamed": self.unnamed,
        }

    def answered(self) -> None:
        """A question was answered, or is not asked any more."""
        self.failures = 0

    def failed(self) -> int:
        """A question was not answered; give how many in a row."""
        self.failures += 1
        return self.failures


def is_passing(error: NodeError) -> bool:
    """Whether a question may be answered later."""
    return error.fault in (*_AWAY, *_UNSURE)


def is_over(error: NodeError, memory: Memory) -> bool:
    """Whether asking in that way again would bring no more. memory: before this failure is counted."""
    if error.fault in _UNSURE:
        return memory.failures + 1 >= _TRIES
    return error.fault not in _AWAY
