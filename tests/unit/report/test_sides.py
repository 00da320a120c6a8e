"""A side is in the report whether or not a site is: below the site, else as an evaluation of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO

import pytest
from pydicom import Dataset, dcmread

from dicomnode.report import ReportProfile, make_objects
from dicomnode.values import Code, Findings, Region, RegionKind
from tests.unit.report.sources import LUNG, NODULE, RIGHT, SALT, findings

_SITE, _SIDE = "363698007", "272741003"


def with_one(kind: str, site: Code | None, side: Code | None) -> Findings:
    """A segment of a volume, or a region of it that lies on a slice or beyond."""
    found = findings()
    if kind == "segment":
        return replace(found, segments=(replace(found.segments[2], site=site, laterality=side),))
    grid = found.sources[0].grid
    assert grid is not None
    index = (3.0, 5.0, 6.0) if kind == "region" else (300.0, 5.0, 6.0)
    x, y, z = (float(one) for one in grid.to_lps_mm(index))
    region = Region(
        label="spot-1",
        kind=RegionKind.POINT,
        points_lps_mm=((x, y, z),),
        type=NODULE,
        tracking_uid="1.2.3",
        tracking_id="Spot 1",
        algorithm="spots 1",
        site=site,
        laterality=side,
    )
    return replace(found, segments=(), regions=(region,))


def codes(item: Dataset, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every coded answer below an item: the concepts that lead to it, and its meaning."""
    for one in item.get("ContentSequence", ()):
        here = path
        if "ConceptNameCodeSequence" in one:
            here = (*path, str(one.ConceptNameCodeSequence[0].CodeValue))
        if one.ValueType == "CODE":
            yield here, str(one.ConceptCodeSequence[0].CodeMeaning)
        yield from codes(one, here)


@pytest.mark.parametrize("kind", ["segment", "region", "region beyond the images"])
@pytest.mark.parametrize(
    ("site", "side", "expected"),
    [
        (LUNG, RIGHT, [(_SITE, _SIDE)]),
        (None, RIGHT, [(_SIDE,)]),
        (LUNG, None, []),
        (None, None, []),
    ],
    ids=["both", "side alone", "site alone", "neither"],
)
def test_the_coded_report_has_the_side(
    kind: str, site: Code | None, side: Code | None, expected: list[tuple[str, ...]]
) -> None:
    made = make_objects(with_one(kind, site, side), ReportProfile(), SALT)
    (report,) = (dcmread(BytesIO(one.content)) for one in made if one.kind == "SR")
    sides = [(path, said) for path, said in codes(report) if path[-1] == _SIDE]
    assert [(path[-len(end) :], said) for (path, said), end in zip(sides, expected, strict=True)] == [
        (end, "Right") for end in expected
    ]
    assert len({path[:-1] for path, _ in sides if path[-2] != _SITE}) == (expected == [(_SIDE,)])
