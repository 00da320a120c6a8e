"""The command set of a DIMSE message: read with bounds, written in one piece (PS3.7 section 6.3, Annex E).

It is always Implicit VR Little Endian, so a handful of lines read it; nothing that a sender puts there can
make a decoder stumble.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

C_STORE_RQ: Final = 0x0001
C_ECHO_RQ: Final = 0x0030
C_CANCEL_RQ: Final = 0x0FFF
N_EVENT_REPORT_RQ: Final = 0x0100
N_SET_RQ: Final = 0x0120
N_ACTION_RQ: Final = 0x0130
N_CREATE_RQ: Final = 0x0140
RESPONSE: Final = 0x8000  # the bit that makes a response of a request (PS3.7 E.1)

MAXIMUM_BYTES: Final = 16 * 1024
_MAXIMUM_ELEMENTS: Final = 64

_NO_DATA_SET: Final = 0x0101

_AFFECTED_CLASS: Final = 0x0002
_REQUESTED_CLASS: Final = 0x0003
_FIELD: Final = 0x0100
_MESSAGE_ID: Final = 0x0110
_ANSWERED_ID: Final = 0x0120
_DATA_SET_TYPE: Final = 0x0800
_STATUS: Final = 0x0900
_OFFENDING: Final = 0x0901
_COMMENT: Final = 0x0902
_AFFECTED_INSTANCE: Final = 0x1000
_REQUESTED_INSTANCE: Final = 0x1001
_EVENT_TYPE: Final = 0x1002
_ACTION_TYPE: Final = 0x1008
_MOVE_ORIGINATOR: Final = 0x1030

# PS3.7 10.1: these name what there is ("Requested"), where others name what is to be ("Affected")
_OF_WHAT_THERE_IS: Final = (N_SET_RQ, N_ACTION_RQ)

_COMMENT_CHARACTERS: Final = 64  # (0000,0902) is LO


class CommandError(Exception):
    """The bytes are no command set; str() says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A request as it came. UIDs are as the sender wrote them, without padding; None when missing.

    action_type: Action Type ID (0000,1008) of an N-ACTION. event_type: Event Type ID (0000,1002) of an
    N-EVENT-REPORT. move_originator: AE title of who asked the sender
    for it by C-MOVE (0000,1030); None for what it sends of its own accord.
    """

    field: int
    message_id: int
    has_data_set: bool
    sop_class_uid: str | None = None
    sop_instance_uid: str | None = None
    action_type: int | None = None
    event_type: int | None = None
    move_originator: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A response: status, and for those that refuse, what the sender's log should say.

    comment: Error Comment (0000,0902), at most 64 characters. offending: Offending Element (0000,0901).
    """

    status: int
    comment: str = ""
    offending: tuple[int, ...] = field(default=())

    def __post_init__(self) -> None:
        if len(self.comment) > _COMMENT_CHARACTERS or not self.comment.isascii() or "\\" in self.comment:
            raise ValueError(
                f"an Error Comment is ASCII without backslash, at most {_COMMENT_CHARACTERS} characters, "
                f"got {self.comment!r}"
            )


def read_command(encoded: bytes | bytearray) -> Command:
    """Read a whole command set. Raises CommandError when it is none, or has no field or message ID."""
    elements = _elements(encoded)
    field = _number(elements, _FIELD, "Command Field (0000,0100)")
    named = (_AFFECTED_CLASS, _AFFECTED_INSTANCE)
    if field in _OF_WHAT_THERE_IS:
        named = (_REQUESTED_CLASS, _REQUESTED_INSTANCE)
    return Command(
        field=field,
        message_id=_number(elements, _MESSAGE_ID, "Message ID (0000,0110)"),
        has_data_set=_number(elements, _DATA_SET_TYPE, "Command Data Set Type (0000,0800)") != _NO_DATA_SET,
        sop_class_uid=_text(elements.get(named[0])),
        sop_instance_uid=_text(elements.get(named[1])),
        action_type=_optional(elements, _ACTION_TYPE),
        event_type=_optional(elements, _EVENT_TYPE),
        move_originator=_text(elements.get(_MOVE_ORIGINATOR)),
    )


def write_response(command: Command, answer: Answer) -> bytes:
    """Write the command set of the response to a request."""
    parts = [
        _uid(_AFFECTED_CLASS, command.sop_class_uid),
        _element(_FIELD, struct.pack("<H", command.field | RESPONSE)),
        _element(_ANSWERED_ID, struct.pack("<H", command.message_id)),
        _element(_DATA_SET_TYPE, struct.pack("<H", _NO_DATA_SET)),
        _element(_STATUS, struct.pack("<H", answer.status)),
    ]
    if answer.offending:
        tags = b"".join(struct.pack("<HH", tag >> 16, tag & 0xFFFF) for tag in answer.offending)
        parts.append(_element(_OFFENDING, tags))
    if answer.comment:
        parts.append(_element(_COMMENT, _even(answer.comment.encode("ascii"), b" ")))
    parts.append(_uid(_AFFECTED_INSTANCE, command.sop_instance_uid))
    if command.event_type is not None:
        parts.append(_element(_EVENT_TYPE, struct.pack("<H", command.event_type)))
    if command.action_type is not None:
        parts.append(_element(_ACTION_TYPE, struct.pack("<H", command.action_type)))
    body = b"".join(parts)
    return _element(0x0000, struct.pack("<L", len(body))) + body


def _elements(encoded: bytes | bytearray) -> Mapping[int, bytes]:
    elements: dict[int, bytes] = {}
    position = 0
    while position < len(encoded):
        if len(elements) >= _MAXIMUM_ELEMENTS:
            raise CommandError(f"the command set has more than {_MAXIMUM_ELEMENTS} elements")
        if position + 8 > len(encoded):
            raise CommandError("the command set ends within an element")
        group, element, length = struct.unpack_from("<HHL", encoded, position)
        end = position + 8 + length
        if group != 0:
            raise CommandError(f"the command set has an element of group {group:04X}")
        if end > len(encoded):
            raise CommandError(f"(0000,{element:04X}) is longer than the command set")
        elements[element] = bytes(encoded[position + 8 : end])
        position = end
    return elements


def _number(elements: Mapping[int, bytes], element: int, name: str) -> int:
    value = elements.get(element)
    if value is None or len(value) != 2:
        raise CommandError(f"the command set has no {name}")
    return int.from_bytes(value, "little")


def _optional(elements: Mapping[int, bytes], element: int) -> int | None:
    value = elements.get(element, b"")
    return int.from_bytes(value, "little") if len(value) == 2 else None


def _text(value: bytes | None) -> str | None:
    # Latin-1 takes any byte, and gives it back as it was
    return None if value is None else value.rstrip(b"\0 ").decode("latin-1")


def _uid(element: int, uid: str | None) -> bytes:
    # PS3.7 9.1.1: given back as it came, where it came
    return _element(element, _even(uid.encode("latin-1"), b"\0")) if uid else b""


def _even(value: bytes, padding: bytes) -> bytes:
    return value + padding if len(value) % 2 else value


def _element(element: int, value: bytes) -> bytes:
    return struct.pack("<HHL", 0, element, len(value)) + value
