"""HL7 version 2 messages as far as this node reads them: MSH, PID and MRG of ADT^A08 and ADT^A40.

Of the standard: chapter 2 (separators, escapes, acknowledgment), 3 (A08, A40; PID, MRG). Segments and fields
that are not named here are passed over. Nothing here is logged: all of it is of patients.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from dicomnode.faults import MESSAGE_UNWANTED, MESSAGE_WRONG, NodeError
from dicomnode.values import is_text

_VERSION: Final = re.compile(r"2\.[2-9](\.\d)?")
_DATE: Final = re.compile(r"\d{8}")
_HEX: Final = re.compile(r"X((?:[0-9A-Fa-f]{2})+)")
_DELETED: Final = '""'  # section 2.5.3.4: the value is to be taken away; an empty field says nothing
_ID_MAX, _NAME_MAX = 64, 64  # LO, and a component group of PN: PS3.5 6.2
# Table 0211 → Python; what MSH-18 does not say is for the settings
CHARACTER_SETS: Final = {
    "ASCII": "ascii",
    "UNICODE UTF-8": "utf-8",
    **{f"8859/{part}": f"iso8859-{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15)},
}
# Types (table 0203) of an ID that images may have as Patient ID: medical record number, internal and external
# identifier; and none. A social security number (SS) or an account number (AN) is no Patient ID
_PATIENT_IDS: Final = frozenset({"", "MR", "PI", "PT"})
_SUCCESSORS: Final = "PID-3 has {count} IDs that could follow one of MRG-1, by issuer and type"
# Table 0001 → Patient's Sex (0010,0040)
_SEXES: Final = {"M": "M", "F": "F", "O": "O", "A": "O", "N": "O", "U": "", _DELETED: ""}


@dataclass(frozen=True, slots=True)
class PatientNumber:
    """An ID, who assigned it (CX-4.1) and its type (CX-5), empty where these are not said."""

    number: str
    issuer: str
    kind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientChange:
    """What a message says of one patient. known_as: numbers that studies may have.

    successors: of a merge: what each of these becomes, in the same order. None: it is an update.
    left_out: of a merge: old numbers of which it does not say what they become; their studies stay so.
    values: PatientName, PatientBirthDate, PatientSex as DICOM has them, where the message says them.
    """

    known_as: tuple[PatientNumber, ...]
    values: dict[str, str]
    successors: tuple[PatientNumber, ...] = ()
    left_out: tuple[PatientNumber, ...] = ()

    def __post_init__(self) -> None:
        if self.successors and len(self.successors) != len(self.known_as):
            raise ValueError(f"{len(self.known_as)} numbers become {len(self.successors)}")


@dataclass(frozen=True, slots=True)
class Message:
    """A message, taken apart: segments of fields as they stand; the first one is MSH."""

    separators: str  # of field, component, repetition, escape, subcomponent
    segments: tuple[tuple[str, ...], ...] = field(repr=False)

    @property
    def header(self) -> tuple[str, ...]:
        """MSH, so that MSH-n is at index n - 1."""
        return self.segments[0]

    def msh(self, number: int) -> str:
        """Field MSH-number as it stands, empty if it is not there."""
        return self.header[number - 1] if number <= len(self.header) else ""

    @property
    def kind(self) -> str:
        """Message code and trigger event, as ADT^A08."""
        return "^".join(self.msh(9).split(self.separators[1])[:2])

    def components(self, value: str) -> list[str]:
        """Components of a field's first subcomponents, without escapes."""
        parts = value.split(self.separators[1])
        return [self._plain(part.split(self.separators[4])[0]).strip() for part in parts]

    def repetitions(self, value: str) -> list[str]:
        """Repetitions of a field."""
        return [one for one in value.split(self.separators[2]) if one]

    def _plain(self, text: str) -> str:
        of, component, repetition, escape, subcomponent = tuple(self.separators)
        signs = {"F": of, "S": component, "T": subcomponent, "R": repetition, "E": escape}
        parts = text.split(escape)
        if len(parts) % 2 == 0:  # an escape that does not end: as it stands
            return text
        for place in range(1, len(parts), 2):
            found = _HEX.fullmatch(parts[place])
            raw = bytes.fromhex(found[1]) if found else b""
            parts[place] = signs.get(parts[place], raw.decode("ascii", "replace"))
        return "".join(parts)


def parse(content: bytes, otherwise: str, sender: str) -> Message:
    """Take a message apart. otherwise: character set where MSH-18 is empty, of `CHARACTER_SETS`.

    sender: for what is said of a wrong one. Raises NodeError(MESSAGE_WRONG).
    """
    if len(content) < 9 or not content.startswith(b"MSH"):
        raise NodeError(MESSAGE_WRONG, sender=sender, problem="it does not begin with MSH")
    separators = content[3:8].decode("latin-1")
    if len(set(separators)) < 5 or any(sign.isalnum() or sign < " " for sign in separators):
        raise NodeError(MESSAGE_WRONG, sender=sender, problem="MSH-1 and MSH-2 are no separators")
    first = re.split(r"[\r\n]", content.decode("latin-1"), maxsplit=1)[0].split(separators[0])
    declared = first[17].split(separators[2])[0].strip() if len(first) > 17 else ""
    name = CHARACTER_SETS.get(declared or otherwise)
    if name is None:
        raise NodeError(MESSAGE_WRONG, sender=sender, problem="MSH-18 names a character set not known here")
    try:
        text = content.decode(name)
    except UnicodeDecodeError:
        problem = f"it is not in {declared or otherwise}"
        raise NodeError(MESSAGE_WRONG, sender=sender, problem=problem) from None
    lines = [line for line in re.split(r"\r\n|\r|\n", text) if line]
    return Message(separators, tuple(tuple(line.split(separators[0])) for line in lines))


def read_changes(message: Message, sender: str) -> list[PatientChange]:
    """What an ADT^A08 or ADT^A40 says of its patients.

    Raises NodeError: MESSAGE_UNWANTED for another message, MESSAGE_WRONG for one that cannot be understood.
    """
    for number, wrong in ((9, message.kind not in ("ADT^A08", "ADT^A40")), (11, _is_test(message))):
        if wrong:
            problem = f"MSH-{number} is not what is wanted here (ADT^A08 or ADT^A40, in production)"
            raise NodeError(MESSAGE_UNWANTED, sender=sender, problem=problem)
    if _VERSION.fullmatch(message.components(message.msh(12))[0]) is None:
        raise NodeError(MESSAGE_UNWANTED, sender=sender, problem="MSH-12 is not a version from 2.2 to 2.9")
    changes = _merges(message, sender) if message.kind == "ADT^A40" else _updates(message, sender)
    if not changes:
        raise NodeError(MESSAGE_WRONG, sender=sender, problem="it has no PID segment")
    return changes


def acknowledgment(message: Message | None, code: str, text: str, ae_title: str, now: datetime) -> bytes:
    """Answer a message: AA, AE or AR (table 0008) with a sentence. message None: it could not be read."""
    separators = message.separators if message else "|^~\\&"
    of = separators[0]
    msh = message.msh if message else lambda _: ""
    trigger = message.kind.partition("^")[2] if message else ""
    kind = separators[1].join(filter(None, ("ACK", trigger)))
    time, control_id = f"{now:%Y%m%d%H%M%S%z}", msh(10)
    head = ["MSH" + of + separators[1:], ae_title, "", msh(3), msh(4), time, "", kind, control_id or "0"]
    head += [msh(11) or "P", msh(12) or "2.5"]
    plain = "".join(c if c.isprintable() and c not in separators else " " for c in text)[:80]
    lines = (of.join(head), of.join(("MSA", code, control_id, plain)))
    return "".join(f"{line}\r" for line in lines).encode("ascii", "replace")


def _is_test(message: Message) -> bool:
    return message.components(message.msh(11))[0] not in ("P", "")


def _updates(message: Message, sender: str) -> list[PatientChange]:
    found = []
    for pid in message.segments:
        if pid[0] == "PID":
            numbers = _numbers(message, pid, 3, sender)
            values = _values(message, pid, sender)
            found.append(PatientChange(known_as=numbers, values=values))
    return found


def _merges(message: Message, sender: str) -> list[PatientChange]:
    """Pairs of PID and MRG (structure ADT_A39), each MRG of the PID before it."""
    found: list[PatientChange] = []
    pid: tuple[str, ...] | None = None
    for segment in message.segments:
        if segment[0] == "PID":
            if pid is not None:
                raise NodeError(MESSAGE_WRONG, sender=sender, problem="a PID has no MRG")
            pid = segment
        elif segment[0] == "MRG":
            if pid is None:
                raise NodeError(MESSAGE_WRONG, sender=sender, problem="an MRG has no PID")
            old, new = _numbers(message, segment, 1, sender), _numbers(message, pid, 3, sender)
            found.append(_merge(old, new, _values(message, pid, sender), sender))
            pid = None
    if pid is not None:
        raise NodeError(MESSAGE_WRONG, sender=sender, problem="a PID has no MRG")
    return found


def _field(segment: tuple[str, ...], number: int) -> str:
    return segment[number] if number < len(segment) else ""


def _numbers(
    message: Message, segment: tuple[str, ...], number: int, sender: str
) -> tuple[PatientNumber, ...]:
    found = []
    for one in message.repetitions(_field(segment, number)):
        text, _, _, issuer, kind = [*message.components(one), *[""] * 5][:5]
        if text and text != _DELETED and kind in _PATIENT_IDS:
            if not all(map(_is_line, (text, issuer))):
                problem = f"an ID of {segment[0]}-{number} cannot stand in a DICOM header"
                raise NodeError(MESSAGE_WRONG, sender=sender, problem=problem)
            found.append(PatientNumber(text, issuer, kind))
    if not found:
        problem = f"{segment[0]}-{number} has no ID of type MR, PI, PT or none"
        raise NodeError(MESSAGE_WRONG, sender=sender, problem=problem)
    return tuple(found)


def _merge(
    old: tuple[PatientNumber, ...], new: tuple[PatientNumber, ...], values: dict[str, str], sender: str
) -> PatientChange:
    """Say what old numbers become. A number of an issuer that has none any more is left out.

    Raises NodeError(MESSAGE_WRONG) where no number has a successor, or one has several.
    """
    become = {one: _successor(one, new, sender) for one in old}
    pairs = [(one, after) for one, after in become.items() if after is not None]
    if not pairs:
        raise NodeError(MESSAGE_WRONG, sender=sender, problem=_SUCCESSORS.format(count="no"))
    return PatientChange(
        known_as=tuple(one for one, _ in pairs),
        successors=tuple(after for _, after in pairs),
        left_out=tuple(one for one, after in become.items() if after is None),
        values=values,
    )


def _successor(old: PatientNumber, new: tuple[PatientNumber, ...], sender: str) -> PatientNumber | None:
    """The one that an old number becomes, if any: of its issuer and type, as far as both say these."""
    fitting: dict[int, dict[tuple[str, str], PatientNumber]] = {}
    for one in new:
        pairs = ((one.issuer, old.issuer), (one.kind, old.kind))
        if all(theirs == ours or not (theirs and ours) for theirs, ours in pairs):
            sure = sum(theirs == ours for theirs, ours in pairs)
            fitting.setdefault(sure, {})[one.number, one.issuer] = one
    best = list(fitting[max(fitting)].values()) if fitting else []
    if len(best) > 1:
        raise NodeError(MESSAGE_WRONG, sender=sender, problem=_SUCCESSORS.format(count=len(best)))
    return best[0] if best else None


def _is_line(text: str) -> bool:
    return len(text) <= _ID_MAX and is_text(text)


def _values(message: Message, pid: tuple[str, ...], sender: str) -> dict[str, str]:
    found: dict[str, str] = {}
    if names := message.repetitions(_field(pid, 5)):
        found["PatientName"] = _name(message, names[0], sender)
    born = message.components(_field(pid, 7))[0]
    if born == _DELETED:
        found["PatientBirthDate"] = ""
    elif born:
        found |= _birth_date(born, sender)
    sex = message.components(_field(pid, 8))[0]
    if sex:
        if sex not in _SEXES:
            raise NodeError(MESSAGE_WRONG, sender=sender, problem="PID-8 is not of table 0001")
        found["PatientSex"] = _SEXES[sex]
    return found


def _birth_date(born: str, sender: str) -> dict[str, str]:
    if len(born) < 8:  # a year or a month: less than a header can say
        return {}
    try:
        datetime.strptime(born[:8] + "+0000", "%Y%m%d%z")
    except ValueError:
        raise NodeError(MESSAGE_WRONG, sender=sender, problem="PID-7 is no date") from None
    return {"PatientBirthDate": born[:8]} if _DATE.fullmatch(born[:8]) else {}


def _name(message: Message, value: str, sender: str) -> str:
    """XPN has suffix before prefix, PN (PS3.5 6.2.1) prefix before suffix; degrees have no place in PN."""
    if value == _DELETED:
        return ""
    family, given, middle, suffix, prefix = [*message.components(value), *[""] * 5][:5]
    parts = ["" if part == _DELETED else part for part in (family, given, middle, prefix, suffix)]
    name = "^".join(parts).rstrip("^")
    if len(name) > _NAME_MAX or any(not is_text(p) or set(p) & set("^=") for p in parts):
        raise NodeError(MESSAGE_WRONG, sender=sender, problem="PID-5 cannot stand in a DICOM header")
    return name
