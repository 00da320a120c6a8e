"""multipart/related, read as it comes: one part at a time, each with a limit (RFC 2046 section 5.1).

What a peer sends is not held beyond the part that is being read; a part that is too long, a header without
end or a body without its last boundary ends in ValueError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from email.message import Message
from typing import Final

_PREAMBLE_MOST: Final = 64 * 1024  # bytes before the first boundary, and of the headers of a part
_BLANK: Final = b"\r\n\r\n"

Read = Callable[[], bytes]
"""Gives the next bytes of a body, none at its end."""


def boundary_of(content_type: str) -> bytes:
    """Return the delimiter of a multipart/related body; ValueError where the type is another one."""
    message = Message()
    message["Content-Type"] = content_type
    boundary = message.get_param("boundary")
    if message.get_content_type() != "multipart/related" or not isinstance(boundary, str) or not boundary:
        raise ValueError(f"it is {message.get_content_type()}, not multipart/related with a boundary")
    if len(boundary) > 70 or not boundary.isascii():
        raise ValueError("its boundary is none")
    return b"--" + boundary.encode("ascii")


def parts(read: Read, delimiter: bytes, most_bytes: int) -> Iterator[bytearray]:
    """Give the bodies of the parts, one after the other; each is of `most_bytes` at most.

    Raises ValueError when the body breaks a rule above; what was given before is whole.
    """
    body = _Body(read)
    # A body may begin with the delimiter at once: it is looked for as at the beginning of a line
    body.held[:0] = b"\r\n"
    mark = b"\r\n" + delimiter
    body.until(mark, _PREAMBLE_MOST, "there is no boundary")
    while not body.last():
        body.until(_BLANK, _PREAMBLE_MOST, "the headers of a part have no end")
        yield body.until(mark, most_bytes, f"a part is longer than {most_bytes} bytes")


class _Body:
    """The bytes that came and were not given yet."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self.held = bytearray()

    def until(self, mark: bytes, most: int, problem: str) -> bytearray:
        """Take what is before `mark`, and the mark itself; give the former."""
        looked = 0
        while (at := self.held.find(mark, looked)) < 0:
            if len(self.held) > most + len(mark):
                raise ValueError(problem)
            looked = max(0, len(self.held) - len(mark) + 1)
            self._more()
        if at > most:
            raise ValueError(problem)
        found = self.held[:at]
        del self.held[: at + len(mark)]
        return found

    def last(self) -> bool:
        """Tell whether the boundary that was just taken is the last one."""
        while len(self.held) < 2:
            self._more()
        return self.held[:2] == b"--"

    def _more(self) -> None:
        more = self._read()
        if not more:
            raise ValueError("it ends before its last boundary")
        self.held += more
