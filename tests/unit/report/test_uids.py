"""UIDs of results depend on what shapes the bytes, and on nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dicomnode.report.uids import ResultUids, device_serial, device_uid
from dicomnode.values import Findings, Outcome, is_valid_uid
from tests.unit.report.sources import BEFORE, MADE_AT, SALT, Series, findings, provenance


def _all(found: Findings, salt: bytes = SALT, kind: str = "SEG", encoding: str = "BINARY") -> set[str]:
    uids = ResultUids.of(found, salt, kind, encoding)
    return {uids.instance, uids.series, uids.inside("dimensions")}


def test_the_same_findings_give_the_same_valid_uids() -> None:
    assert _all(findings()) == _all(findings())
    assert len(_all(findings())) == 3
    assert all(is_valid_uid(uid) for uid in (*_all(findings()), device_uid(SALT)))


@pytest.mark.parametrize(
    "other",
    [
        lambda: _all(findings(), salt=bytes(32)),
        lambda: _all(findings(), kind="SR"),
        lambda: _all(findings(), encoding="LABELMAP"),
        lambda: _all(findings(study_version=2)),
        lambda: _all(findings(provenance=provenance(engine="other"))),
        lambda: _all(findings(provenance=provenance(version="1.0.1"))),
        lambda: _all(findings(provenance=provenance(engine_digest="f" * 64))),
        lambda: _all(findings(Series(study="another"))),
        lambda: _all(findings(earlier=(BEFORE,))),
        lambda: _all(findings(outcome=Outcome.FAILED)),
    ],
    ids=[
        *("salt", "kind", "encoding", "version", "engine", "engine-version", "digest", "study", "prior"),
        "failed",
    ],
)
def test_anything_that_shapes_the_bytes_gives_other_uids(other) -> None:
    assert not _all(findings()) & other()


def test_other_slices_of_the_same_study_give_other_uids() -> None:
    found = findings(segments=())
    source = replace(found.sources[0], frames=found.sources[0].frames[1:])
    assert not _all(found) & _all(replace(found, sources=(source,)))


def test_the_time_does_not_matter() -> None:
    assert _all(findings()) == _all(findings(made_at=MADE_AT.replace(year=2031)))


def test_the_serial_number_names_the_installation_and_hides_its_salt() -> None:
    assert device_serial(SALT) != device_serial(bytes(32))
    assert len(device_serial(SALT)) == 16
    assert device_serial(SALT) not in SALT.hex()
