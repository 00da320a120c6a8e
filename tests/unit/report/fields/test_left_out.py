"""Derived images beyond the Series Numbers that there are: none is made, and the report says of which."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO

import pytest
from pydicom import Dataset, dcmread

from dicomnode.report import ReportProfile, make_objects
from dicomnode.report.fields.left_out import MOST_IMAGES
from dicomnode.report.objects import Kind
from dicomnode.values import Findings
from tests.unit.report.fields.fields import an_image, grid_of
from tests.unit.report.sources import SALT, Series, findings

SMALL = Series(shape_kji=(4, 12, 8))


def with_images(count: int) -> Findings:
    image = an_image(grid_of(SMALL))
    many = tuple(replace(image, label=f"clean-{n}") for n in range(1, count + 1))
    return findings(SMALL, segments=(), images=many)


def made(found: Findings, *kinds: Kind) -> list[Dataset]:
    return [dcmread(BytesIO(one.content)) for one in make_objects(found, ReportProfile(kinds=kinds), SALT)]


def texts(item: Dataset) -> Iterator[str]:
    """All texts of a report."""
    if "TextValue" in item:
        yield str(item.TextValue)
    for inner in item.get("ContentSequence", ()):
        yield from texts(inner)


@pytest.mark.parametrize("beyond", [-1, 0, 1, 3])
def test_a_report_says_of_each_derived_image_that_is_one_too_many_and_of_no_other(beyond: int) -> None:
    (report,) = made(with_images(MOST_IMAGES + beyond), "SR")
    said = [text for text in texts(report) if "no DICOM object holds it" in text]
    assert len(said) == max(0, beyond)
    for number, sentence in enumerate(said, start=MOST_IMAGES + 1):
        assert f"clean-{number}: no DICOM object holds it, as there are more than {MOST_IMAGES}." in sentence


def test_no_more_series_of_them_are_made_and_each_has_a_number_of_its_own() -> None:
    images = made(with_images(MOST_IMAGES + 1), "IMAGES")
    assert len(images) == 4 * MOST_IMAGES
    numbers = {str(one.SeriesInstanceUID): int(one.SeriesNumber) for one in images}
    assert sorted(numbers.values()) == list(range(9020, 9020 + MOST_IMAGES))
