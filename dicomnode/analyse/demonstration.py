"""What an engine that only demonstrates says of itself in each result."""

from __future__ import annotations

from dicomnode.engine import Manifest
from dicomnode.values import DEMONSTRATION, Remark, RemarkKind


def shown_only(manifest: Manifest) -> list[Remark]:
    """Return the remark that stands before what else limits a result; none of an engine that is meant."""
    if manifest.demonstration is None:
        return []
    return [Remark(kind=RemarkKind.QUALITY, text=manifest.demonstration)]


def told_of(manifest: Manifest) -> dict[str, str]:
    """Return what the provenance keeps of it: writers of objects name their series by that."""
    return {} if manifest.demonstration is None else {DEMONSTRATION: manifest.demonstration}
