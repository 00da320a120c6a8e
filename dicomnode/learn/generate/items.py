"""Items of sequences, as short as they can be said."""

from __future__ import annotations

from pydicom import Dataset

from dicomnode.values import Code


def item(**values: object) -> Dataset:
    """Make an item of what is given by keyword."""
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def code_item(code: Code) -> Dataset:
    """Make an item of a code sequence (PS3.3 section 8)."""
    return item(CodeValue=code.value, CodingSchemeDesignator=code.scheme, CodeMeaning=code.meaning)
