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
from typing import Final
from unicodedata import normalize

UTF_8: Final = "ISO_IR 192"
ASSUMED: Final = "ISO_IR 100"
"""Of texts that are in no declared set and no UTF-8: what most of those who declare none write."""

DAMAGED: Final = "\ufffd"
"""What a decoder puts where bytes make no character."""

Reading = tuple[str, ...]
"""What the bytes of a name may mean: its component groups, in form NFC of Unicode; "" for one left out."""

_ESCAPE: Final = "\x1b"
_DELIMITERS: Final = frozenset(b"^=")  # PS3.5 6.1.2.5.3: behind these the first set holds again


@dataclass(frozen=True, slots=True)
class Name:
    """What a header says of a name.

    declared: its header tells the character set, and the bytes are in it. written: its bytes, as Latin-1.
    readings: what it may be, one where the set is declared.
    """

    declared: bool = False
    written: str = ""
    readings: frozenset[Reading] = frozenset({("",)})

    def hidden(self, by: Callable[[str], str]) -> Name:
        """Return what compares as this name does, of texts that `by` has made unreadable."""
        readings = (tuple(group and by(group) for group in one) for one in self.readings)
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
    distinct = set(names)
    if len(distinct) < 2 or frozenset.intersection(*(one.readings for one in distinct)):
        return True
    return all(_may_be_one(one, other) for one, other in combinations(distinct, 2))


def _may_be_one(one: Name, other: Name) -> bool:
    if any(_agree(mine, theirs) for mine, theirs in product(one.readings, other.readings)):
        return True
    # In the set that the other one declares, the same bytes are the same name
    return not (one.declared and other.declared) and one.written == other.written


def _agree(one: Reading, other: Reading) -> bool:
    """Tell whether two readings are equal; where both have an alphabetic group, in the groups of both."""
    if not one[0] or not other[0]:
        return one == other
    pairs = enumerate(zip(one, other, strict=False))
    return all(mine == theirs or (number > 0 and not (mine and theirs)) for number, (mine, theirs) in pairs)


def _groups(text: str) -> Reading:
    """Return the component groups of a name without what may be left out at their ends (PS3.5 6.2.1.1).

    What holds an escape sequence is not read in its own set: which of its bytes are delimiters is not known.
    """
    text = normalize("NFC", text).rstrip("^= ")
    return (text,) if _ESCAPE in text else tuple(group.rstrip("^ ") for group in text.split("="))


def _decoded(written: bytes, terms: Sequence[str]) -> str | None:
    """Decode a name; None where the bytes are not all in these sets."""
    from pydicom.charset import convert_encodings, decode_bytes  # noqa: PLC0415  see `read_name`

    text = decode_bytes(written, convert_encodings(list(terms)), set(_DELIMITERS))
    return None if DAMAGED in text else text
