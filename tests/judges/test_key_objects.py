"""Key object selections before dicom3tools and DCMTK."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread

from dicomnode.report import ReportProfile, make_objects
from dicomnode.report.heading.headers import read_heading
from dicomnode.report.heading.identity import Imprint, apply_identity, to_bytes
from dicomnode.report.selections.key_objects import build_key_objects
from dicomnode.report.uids import ResultUids
from dicomnode.store.foreign import strict
from dicomnode.values import Findings
from tests.judges import tools
from tests.judges.test_report_iod import ASCII, HEADERS
from tests.unit.report.fields.fields import maps_of, with_map
from tests.unit.report.kinds import KINDS
from tests.unit.report.real import findings_of, read_series, reader_mask
from tests.unit.report.sources import PLANES, SALT, Series, findings, part_10
from tests.unit.report.test_multi_frame import ORDERS, on_frames

pytestmark = pytest.mark.judge


def write(found: Findings, folder: Path) -> list[Path]:
    """The selection, and behind it the objects that it names."""
    results = [one.content for one in make_objects(found, ReportProfile(), SALT)]
    if found.maps:
        results += [to_bytes(one) for one in maps_of(found)]
    imprint = Imprint(found, read_heading(found, "ISO_IR 100"), SALT)
    uids = ResultUids.of(found, SALT, "KOS", "of interest")
    with strict():
        (document,) = build_key_objects(imprint, uids, 9010, [dcmread(BytesIO(one)) for one in results])
    apply_identity(document, imprint, uids, "KOS")
    paths = []
    for n, content in enumerate((to_bytes(document), *results)):
        paths.append(folder / f"result-{n}.dcm")
        paths[-1].write_bytes(content)
    return paths


def held(path: Path) -> list[str]:
    return tools.dciodvfy(path) + tools.dsrdump(path)


CONTENTS: dict[str, Callable[[], Findings]] = {
    **{plane: lambda plane=plane: findings(Series(plane=plane)) for plane in PLANES},  # type: ignore[misc]
    "frames of one object": lambda: on_frames(ORDERS["in no order"]),
    "points and boxes": lambda: KINDS["points and boxes"][0],
    "a sequence of slices": lambda: KINDS["a sequence of slices"][0],
    "a lesion and a map": lambda: findings(maps=with_map(Series()).maps),
}


@pytest.mark.parametrize("content", CONTENTS)
def test_the_judges_find_nothing_whatever_was_found(content: str, tmp_path: Path) -> None:
    assert held(write(CONTENTS[content](), tmp_path)[0]) == []


@pytest.mark.slow
@pytest.mark.parametrize("header", HEADERS)
def test_the_judges_find_nothing_whatever_the_source_header_holds(header: str, tmp_path: Path) -> None:
    assert held(write(findings(HEADERS[header]), tmp_path)[0]) == []


def test_dcentvfy_takes_the_selection_with_all_that_it_names_and_the_source_for_one_study(
    tmp_path: Path,
) -> None:
    series = Series(extra=ASCII)
    paths = write(findings(series, maps=with_map(series).maps), tmp_path)
    for k, ds in enumerate(series.datasets()):
        paths.append(tmp_path / f"ct-{k:02}.dcm")
        paths[-1].write_bytes(part_10(ds))
    assert tools.dcentvfy(paths) == []


def test_dsrdump_sees_the_image_before_the_other_objects(tmp_path: Path) -> None:
    dump = tools.run("dsrdump", write(findings(Series(extra=ASCII)), tmp_path)[0]).lines
    references = [line for line in dump if "IMAGE:" in line or "COMPOSITE:" in line]
    assert ["CT image" in references[0], "SG image" in references[1], "EnhancedSR" in references[2]] == [
        True
    ] * 3


def test_the_judges_find_nothing_in_a_selection_on_a_real_ct(
    real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = real_data("chest-ct-lidc-0001")
    volume, _ = read_series(folder)
    assert held(write(findings_of(volume, reader_mask(folder, volume)), tmp_path)[0]) == []
