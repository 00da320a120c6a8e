"""A mismatch: an object that does not say what was found, kept with it, so that somebody can look at both.

Each check of the geometry guard is `guarded`: whatever it finds, and an object that it cannot even read, is a
`MismatchError` that carries the object as it was written. Nothing of it is sent.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from dicomnode.faults import GEOMETRY_GUARD, NodeError
from dicomnode.store.elements import ScanError
from dicomnode.store.foreign import UNREADABLE_ITEMS

_Check = TypeVar("_Check", bound=Callable[..., None])


class MismatchError(NodeError):
    """A GEOMETRY_GUARD failure. contents: Part 10 files of the series, as they were written."""

    def __init__(self, difference: str, contents: tuple[bytes, ...]) -> None:
        super().__init__(GEOMETRY_GUARD, difference=difference)
        self.difference, self.contents = difference, contents


def differs(difference: str) -> NodeError:
    """Make the failure of a check: what was read back is not what was found."""
    return NodeError(GEOMETRY_GUARD, difference=difference)


def guarded(check: _Check) -> _Check:
    """Keep what a check looked at, its first argument, with the difference that it found.

    Raises MismatchError.
    """

    @wraps(check)
    def checked(written: bytes | tuple[bytes, ...] | list[bytes], *more: Any, **how: Any) -> None:
        contents = (written,) if isinstance(written, bytes) else tuple(written)
        try:
            check(written, *more, **how)
        except NodeError as error:
            if error.fault is not GEOMETRY_GUARD:
                raise
            raise MismatchError(str(error.values["difference"]), contents) from error
        except ScanError as error:
            raise MismatchError(f"it cannot be read: {error}", contents) from error
        except UNREADABLE_ITEMS as error:  # what it says may be a value: its kind is enough
            raise MismatchError(f"it cannot be read ({type(error).__name__})", contents) from error

    return cast("_Check", checked)
