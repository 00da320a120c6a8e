"""What is told of an attribute of a finding: the one of its values that it has, or none that is sure."""

from __future__ import annotations

from collections.abc import Sequence

from dicomnode.values.codes import Code
from dicomnode.values.findings import Classification


def told_attributes(classes: Sequence[Classification]) -> list[tuple[Code, Classification | None]]:
    """Return each attribute that classes are values of, in their order, and the value that is present.

    Values of one attribute exclude one another: of several that reach their thresholds the surest counts.
    None: no value is sure, which is another thing than that all are absent.
    """
    told: dict[Code, Classification | None] = {}
    for one in classes:
        if one.attribute is None:
            continue
        best = told.setdefault(one.attribute, None)
        if one.present and (best is None or one.probability > best.probability):
            told[one.attribute] = one
    return list(told.items())


def plain_classes(classes: Sequence[Classification]) -> list[Classification]:
    """Return the classes that are values of no attribute: each is present or absent by itself."""
    return [one for one in classes if one.attribute is None]
