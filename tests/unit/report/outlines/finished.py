"""Writing the objects of this package as `make_objects` does, until the Part 10 file."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

from pydicom import Dataset, dcmread

from dicomnode.report.headers import read_heading
from dicomnode.report.identity import Imprint, apply_identity, to_bytes
from dicomnode.report.outlines.presentation_states import build_presentation_states
from dicomnode.report.outlines.structure_set import build_structure_set
from dicomnode.report.uids import ResultUids
from dicomnode.store.foreign import strict
from dicomnode.values import Findings
from tests.unit.report.sources import SALT

Build = Callable[[Imprint, ResultUids, int], tuple[Dataset, ...]]
BUILD: dict[str, Build] = {"GSPS": build_presentation_states, "RTSTRUCT": build_structure_set}


def written(kind: str, found: Findings, *, for_a_look: bool = False) -> list[bytes]:
    """The instances of one kind, as files."""
    imprint = Imprint(found, read_heading(found, "ISO_IR 100"), SALT, for_a_look)
    uids = ResultUids.of(found, SALT, kind, "test")
    with strict():
        made = BUILD[kind](imprint, uids, 9010)
    for one in made:
        apply_identity(one, imprint, uids, kind)
    return [to_bytes(one) for one in made]


def read(kind: str, found: Findings, *, for_a_look: bool = False) -> Dataset:
    """The only instance of one kind, read again."""
    (content,) = written(kind, found, for_a_look=for_a_look)
    return dcmread(BytesIO(content))
