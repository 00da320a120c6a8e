"""Another patient, another order: which corrected headers name one, and which only say more of the same.

Results of the wrong patient or order go out again by themselves only where nobody can doubt that the header
names another one: by another Patient ID, or another Accession Number. A name is put right for the same
patient as often as for another, so that a name, a birth date or a sex is for a person to look at.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from dicomnode.store.names import plain

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_NAMING: Final = ("PatientID", "AccessionNumber")


def of_another(one: Dataset, other: Dataset, keywords: Collection[str]) -> frozenset[str]:
    """Which of these attributes name another patient or order in one header than in the other.

    They do where both say something, and it is not the same number (`is_same_number`).
    """
    said = {
        keyword: [str(header.get(keyword) or "").strip() for header in (one, other)]
        for keyword in _NAMING
        if keyword in keywords
    }
    return frozenset(
        keyword for keyword, values in said.items() if all(values) and not is_same_number(*values)
    )


def is_same_number(one: str, other: str) -> bool:
    """Tell whether two texts are one number, which systems write with spaces, zeros before it, capitals."""
    return _number(one) == _number(other)


def _number(text: str) -> str:
    return plain(text).replace(" ", "").lstrip("0")
