"""Patient's Names as they are written: which may be one name, and which are those of two persons.

Some writers leave out Specific Character Set (0008,0005) for a part of the images of a study, or write it for
a part: then the same bytes stand under a declared set and under none. Names are two only where nothing that
the bytes may mean makes them one. A name has up to three component groups, alphabetic, ideographic and
phonetic, and some writers leave out the later ones: what only one of two names has is no difference.
Source: PS3.3 C.12.1.1.2, PS3.5 6.1, 6.2.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Final, TypeVar
from unicodedata import normalize

UTF_8: Final = "ISO_IR 192"
ASSUMED: Final = "ISO_IR 100"
"""Of texts that are in no declared set and no UTF-8: what most of those who declare none write."""

DAMAGED: Final = "\ufffd"
"""What a decoder puts where bytes make no character."""

Reading = tuple[tuple[str, ...], ...]
"""What the bytes of a name may mean: the components of its groups, by `plain`, () for a group left out."""

_Part = TypeVar("_Part", str, tuple[str, ...])

_ESCAPE: Final = "\x1b"
_DELIMITERS: Final = frozenset(b"^=")  # PS3.5 6.1.2.5.3: behind these the first set holds again
_NEEDED: Final = 2  # family and given name; middle name, prefix and suffix are left out by many


@dataclass(frozen=True, slots=True)
class Name:
    """What a header says of a name.

    declared: its header tells the character set, and the bytes are in it. written: its bytes, as Latin-1.
    readings: what it may be, one where the set is declared.
    """

    declared: bool = False
    written: str = ""
    readings: frozenset[Reading] = frozenset({()})

    @property
    def is_empty(self) -> bool:
        """Whether nothing is said: the attribute is of Type 2, and what is not known contradicts nothing."""
        return not any(self.readings)

    def hidden(self, by: Callable[[str], str]) -> Name:
        """Return what compares as this name does, of texts that `by` has made unreadable."""
        readings = (
            tuple(tuple(part and by(part) for part in group) for group in one) for one in self.readings
        )
        return Name(self.declared, by(self.written), frozenset(readings))


def read_name(written: bytes, terms: Sequence[str], assumed: str = ASSUMED) -> Name:
    """Read the bytes of a name. terms: of Specific Character Set. Call it within `quiet()`.

    assumed: what those may have written, too, who declare none.
    """
    from pydicom.charset import python_encoding  # noqa: PLC0415  whoever only names a set loads this module

    written = written.rstrip(b"\0 ")
    if any(terms) and all(term in python_encoding for term in terms):
        text = _decoded(written, terms)
        if text is not None:
            return Name(True, written.decode("latin-1"), frozenset({_groups(text)}))
    tried = [_decoded(written, [one]) for one in {UTF_8, ASSUMED, assumed}]
    readings = (_groups(text) for text in tried if text is not None)
    return Name(False, written.decode("latin-1"), frozenset(readings))


def may_be_one(names: Iterable[Name]) -> bool:
    """Tell whether nothing speaks against it that these are the name of one person, each with each."""
    distinct = {one for one in names if not one.is_empty}
    if len(distinct) < 2 or frozenset.intersection(*(one.readings for one in distinct)):
        return True
    return all(_may_be_one(one, other) for one, other in combinations(distinct, 2))


def _may_be_one(one: Name, other: Name) -> bool:
    if any(_agree(mine, theirs) for mine, theirs in product(one.readings, other.readings)):
        return True
    # In the set that the other one declares, the same bytes are the same name
    return not (one.declared and other.declared) and one.written == other.written


def _agree(one: Reading, other: Reading) -> bool:
    """Tell whether two readings are equal in the groups that both have, of which the alphabetic is one.

    Or neither has it.
    """
    both = [(mine, theirs) for mine, theirs in zip(one, other, strict=False) if mine and theirs]
    alphabetic = bool(one and one[0]), bool(other and other[0])
    return len(set(alphabetic)) == 1 and bool(both) and all(_agree_in_group(*pair) for pair in both)


def _agree_in_group(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Tell whether family and given name are equal, and of the other components those that both have."""
    later = zip(one[_NEEDED:], other[_NEEDED:], strict=False)
    return one[:_NEEDED] == other[:_NEEDED] and all(a == b or not (a and b) for a, b in later)


def _groups(text: str) -> Reading:
    """Return the component groups of a name without what may be left out at their ends (PS3.5 6.2.1.1).

    What holds an escape sequence is not read in its own set: which of its bytes are delimiters is not known.
    """
    if _ESCAPE in text:
        return ((normalize("NFC", text).rstrip("^= "),),)
    groups = [_without_end([plain(part) for part in group.split("^")]) for group in text.split("=")]
    return _without_end(groups)


def plain(text: str) -> str:
    """Return a text as all have it who write it: without capitals, wide letters, and spaces beyond one."""
    return " ".join(normalize("NFKC", normalize("NFKC", text).casefold()).split())


def _without_end(parts: Sequence[_Part]) -> tuple[_Part, ...]:
    """Leave out the empty ones behind the last that says something."""
    said = max((number for number, one in enumerate(parts, start=1) if one), default=0)
    return tuple(parts[:said])


def _decoded(written: bytes, terms: Sequence[str]) -> str | None:
    """Decode a name; None where the bytes are not all in these sets."""
    from pydicom.charset import convert_encodings, decode_bytes  # noqa: PLC0415  see `read_name`

    text = decode_bytes(written, convert_encodings(list(terms)), set(_DELIMITERS))
    return None if DAMAGED in text else text
