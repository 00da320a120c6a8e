"""An archive keeps maps, derived images and selections: what Orthanc gives back is what was sent."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from dicomnode.deliver import differing_tags, send_files
from dicomnode.report.heading.identity import apply_identity, to_bytes
from dicomnode.report.selections.key_objects import build_key_objects
from dicomnode.report.uids import ResultUids
from tests.unit.report.fields.fields import an_image, grid_of, images_of, imprint_of, maps_of, with_map
from tests.unit.report.sources import SALT, Series, findings
from tests.wire.peers import orthanc

pytestmark = pytest.mark.wire


def objects() -> list[Dataset]:
    """Two maps, a series of derived images, and the selection that names the maps."""
    series = Series(plane="oblique")
    found = findings(
        series,
        maps=(*with_map(series).maps, *with_map(series, "finer", label="fine").maps),
        images=(an_image(grid_of(series)),),
    )
    maps = maps_of(found)
    imprint, uids = imprint_of(found), ResultUids.of(found, SALT, "KOS", "of interest")
    (selection,) = build_key_objects(imprint, uids, 9010, maps)
    apply_identity(selection, imprint, uids, "KOS")
    return [*maps, *images_of(found), selection]


def test_orthanc_keeps_maps_images_and_selections(tmp_path: Path) -> None:
    files = []
    for n, one in enumerate(objects()):
        files.append(tmp_path / f"{n:02}.dcm")
        files[-1].write_bytes(to_bytes(one))
    with orthanc(tmp_path) as archive:
        outcomes = send_files(archive.peer, "DICOMNODE", files)
        held = archive.files()
    assert [one.outcome for one in outcomes] == ["stored"] * 15
    for path in files:
        copy = tmp_path / "copy.dcm"
        copy.write_bytes(held[str(dcmread(path).SOPInstanceUID)])
        assert differing_tags(path, copy) == ()
