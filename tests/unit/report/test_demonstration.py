"""Series of an engine that only demonstrates are named by that, whatever lists them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dicomnode.report import ReportProfile, make_objects
from dicomnode.report.objects import Kind
from dicomnode.values import DEMONSTRATION
from tests.unit.report.kinds import KINDS
from tests.unit.report.pages.paged import read
from tests.unit.report.sources import SALT, findings, provenance

WHY = "It knows drawn lungs alone."


@pytest.mark.parametrize("kind", ["SEG", "SR", "PM", "SC"])
def test_the_name_of_every_series_begins_with_it(kind: Kind) -> None:
    found = KINDS["an anomaly"][0] if kind == "PM" else findings()
    shown = replace(found, provenance=replace(provenance(), details={DEMONSTRATION: WHY}))
    names = {}
    for one in (found, shown):
        made = make_objects(one, ReportProfile(kinds=(kind,)), SALT)
        assert made
        names[one is shown] = [str(read(single.content).SeriesDescription) for single in made]
    assert all(name.startswith("Demonstration: ") for name in names[True])
    assert not any("Demonstration" in name for name in names[False])
