"""The content tree of a structured report: items with their concept, relation and children (PS3.3 C.17.3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from pydicom import Dataset

from dicomnode.assemble.annotations.codes import code_of
from dicomnode.assemble.annotations.frame_planes import source_frames
from dicomnode.assemble.annotations.opened import Opened
from dicomnode.assemble.attributes import text_of, value_of, whole_of
from dicomnode.values import Code, SourceFrame

DEEPEST: Final = 16
"""Levels of a content tree; measurement reports have six."""


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """A content item. depth: the root has 0."""

    dataset: Dataset
    opened: Opened = field(repr=False)
    depth: int = 0

    @property
    def value_type(self) -> str:
        """What kind of value it has: CONTAINER, CODE, NUM and others."""
        return text_of(self.dataset, "ValueType").upper()

    @property
    def name(self) -> Code | None:
        """Its concept."""
        return code_of(self.opened.item(self.dataset, "ConceptNameCodeSequence"))

    @property
    def code(self) -> Code | None:
        """The value of a CODE."""
        return code_of(self.opened.item(self.dataset, "ConceptCodeSequence"))

    @property
    def code_text(self) -> str:
        """The meaning of a CODE, also of one that is longer than a code may be."""
        return text_of(self.opened.item(self.dataset, "ConceptCodeSequence"), "CodeMeaning")

    @property
    def children(self) -> Iterator[Item]:
        """What it holds. Raises NodeError(ANNOTATION_DAMAGED) for a tree that is too deep."""
        if self.depth >= DEEPEST:
            raise self.opened.damaged(f"its content is nested more than {DEEPEST} deep")
        for one in self.opened.items(self.dataset, "ContentSequence"):
            yield Item(one, self.opened, self.depth + 1)

    def named(self, name: Code, value_type: str = "") -> Iterator[Item]:
        """Yield the children of a concept."""
        for child in self.children:
            if child.name == name and value_type in {"", child.value_type}:
                yield child

    @property
    def images(self) -> list[SourceFrame]:
        """The images or objects that an IMAGE or COMPOSITE names."""
        return [
            frame
            for one in self.opened.items(self.dataset, "ReferencedSOPSequence")
            for frame in source_frames(one)
        ]

    @property
    def segment(self) -> tuple[str, int] | None:
        """The segment that an IMAGE names."""
        for one in self.opened.items(self.dataset, "ReferencedSOPSequence"):
            uid, number = text_of(one, "ReferencedSOPInstanceUID"), whole_of(one, "ReferencedSegmentNumber")
            if uid and number is not None:
                return uid, number
        return None

    @property
    def number(self) -> tuple[float, Code] | None:
        """Value and unit of a NUM; None where it has none that is valid."""
        measured = self.opened.item(self.dataset, "MeasuredValueSequence")
        value = value_of(measured, "FloatingPointValue")
        if value is None:
            value = value_of(measured, "NumericValue")
        unit = code_of(self.opened.item(measured, "MeasurementUnitsCodeSequence"))
        return (float(value), unit) if isinstance(value, int | float) and unit is not None else None
