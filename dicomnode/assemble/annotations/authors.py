"""Who made an object, as a key: two objects of one person are told from those of two; nobody is named.

Source: PS3.3 10.9 (Content Creator's Name), C.8.8.8 (ROI Interpreter), C.7.3.1 (Operators' Name), C.17.2
(Author Observer, Verifying Observer); PS3.16 TID 1003 (Person Observer Name).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

from pydicom import Dataset
from pydicom.multival import MultiValue

from dicomnode.assemble.annotations.content import Item
from dicomnode.assemble.annotations.opened import Opened
from dicomnode.store.foreign import UNREADABLE_ITEMS
from dicomnode.values import Code

_OBSERVER: Final = Code("121008", "DCM", "Person Observer Name")
_DIGITS: Final = 16
_WITHIN: Final = (  # sequences whose items name a person, what tells most first
    ("RTROIObservationsSequence", "ROIInterpreter"),
    ("AuthorObserverSequence", "PersonName"),
    ("VerifyingObserverSequence", "VerifyingObserverName"),
)
_BESIDE: Final = ("ContentCreatorName", "OperatorsName", "ReviewerName")


def author_of(opened: Opened) -> str:
    """Return a key of whose work an object is, 16 hex digits; "" where it names nobody, or several people.

    Of all attributes that may name a person the first that does decides. Equal names, equal keys: case,
    spaces and carets are not told apart. It is for telling readers apart within one run: a name can be
    guessed from it, so it is neither written nor shown. Raises NodeError(ANNOTATION_DAMAGED).
    """
    names = next((found for found in _named(opened) if found), set())
    if len(names) != 1:
        return ""
    return hashlib.sha256(f"author {names.pop()}".encode()).hexdigest()[:_DIGITS]


def _named(opened: Opened) -> Iterator[set[str]]:
    """Give what each attribute that may name a person says."""
    dataset = opened.dataset
    if "ContentSequence" in dataset:
        items = Item(dataset, opened).named(_OBSERVER, "PNAME")
        yield {name for item in items for name in _names(item.dataset, "PersonName")}
    yield set(_names(dataset, _BESIDE[0]))
    for sequence, keyword in _WITHIN:
        yield {name for item in opened.items(dataset, sequence) for name in _names(item, keyword)}
    for keyword in _BESIDE[1:]:
        yield set(_names(dataset, keyword))


def _names(dataset: Dataset, keyword: str) -> list[str]:
    """Return the names of an attribute of VR PN as they are compared; none where they cannot be read."""
    try:
        given = dataset.get(keyword)
        names = [str(one) for one in (given if isinstance(given, MultiValue | list) else [given or ""])]
    except UNREADABLE_ITEMS:
        return []
    # PS3.5 6.2.1: the alphabetic group may be empty, and the name stand in the ideographic one alone
    groups = (next((one for one in name.split("=") if one.strip(" ^")), "") for name in names)
    words = (" ".join(one.replace("^", " ").split()).casefold() for one in groups)
    return [one for one in words if one]
