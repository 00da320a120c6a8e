"""Writing the objects of this package as `make_objects` does, until the Part 10 file."""

from __future__ import annotations

from io import BytesIO

from pydicom import Dataset, dcmread

from dicomnode.report.heading.headers import read_heading
from dicomnode.report.heading.identity import Imprint, apply_identity, to_bytes
from dicomnode.report.outlines.pixel_window import lacks_window, with_window_of
from dicomnode.report.outlines.presentation_states import build_presentation_states, greys_to_draw_on
from dicomnode.report.outlines.structure_set import build_structure_set
from dicomnode.report.pages.pixels import SourcePixels
from dicomnode.report.uids import ResultUids
from dicomnode.store.foreign import strict
from dicomnode.values import Findings
from tests.unit.report.sources import SALT


def written(
    kind: str, found: Findings, *, for_a_look: bool = False, pixels: SourcePixels | None = None
) -> list[bytes]:
    """The instances of one kind, as files. pixels: of the sources, where they are at hand."""
    imprint = Imprint(found, read_heading(found, "ISO_IR 100"), SALT, for_a_look)
    uids = ResultUids.of(found, SALT, kind, "test")
    with strict():
        if kind == "RTSTRUCT":
            made = build_structure_set(imprint, uids, 9010)
        else:
            greys = greys_to_draw_on(found)
            if greys is not None and pixels is not None and lacks_window(imprint, greys):
                greys = with_window_of(greys, pixels, found)
            made = build_presentation_states(imprint, uids, 9010, greys)
    for one in made:
        apply_identity(one, imprint, uids, kind)
    return [to_bytes(one) for one in made]


def read(
    kind: str, found: Findings, *, for_a_look: bool = False, pixels: SourcePixels | None = None
) -> Dataset:
    """The only instance of one kind, read again."""
    (content,) = written(kind, found, for_a_look=for_a_look, pixels=pixels)
    return dcmread(BytesIO(content))
