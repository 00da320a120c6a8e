"""An engine that runs on an earlier study, too: what it gives, and what comes of one that it cannot take.

Where the earlier volume lies is given here; how that is found, `test_register` asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from dicomnode.analyse import Analysis, Analyst, laying
from dicomnode.analyse.register import Registration
from dicomnode.engine import load_package
from dicomnode.faults import NETWORK_FAILED, NO_LUNGS, NOT_COMPARED, PREPARATION_FAILED, Fault, NodeError
from dicomnode.values import ChangeKind, Findings, Outcome, RemarkKind, Volume
from dicomnode.values.codes import NO_UNIT
from tests.unit.analyse import chest
from tests.unit.analyse.engines import LUNGS_FIRST, tissue_engine
from tests.unit.analyse.forms import CT, LESION, TISSUE, engine, node, onnx_bytes, step
from tests.unit.analyse.test_register import OTHER_SPACE, volume

pytest.importorskip("SimpleITK")

SPACE = "1.2.3.9"
SHIFT_MM = (6.0, -4.0, 9.0)
BEFORE = """
[[input]]
name = "before"
kind = "volume"
require = [{ tag = "Modality", equals = "CT" }]
register = "rigid"
[input.prior]
compare = true
"""
CHANGES = ["earlier_volume_ml", "growth_percent", "interval_days", "doubling_time_days"]


def block(size: int, shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0), space: str = SPACE) -> Volume:
    """A cube of soft tissue of so many voxels along its sides, in air; its middle stays where it is."""
    voxels = np.full((24, 24, 24), -1000.0)
    low, high = 12 - size // 2, 12 + size - size // 2
    voxels[low:high, low:high, low:high] = 40.0
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    affine[:3, 3] = shift_mm
    return volume(voxels, affine, space)


def before(size: int) -> Volume:
    return block(size, SHIFT_MM, OTHER_SPACE)


@pytest.fixture
def known_place(monkeypatch: pytest.MonkeyPatch) -> None:
    back = np.eye(4)
    back[:3, 3] = np.negative(SHIFT_MM)
    found = Registration(kind="rigid", moved_lps=back, error_mm=0.1, overlap=0.9, information=1.5)
    monkeypatch.setattr(laying, "register", lambda *_: found)


@pytest.fixture
def analysed(tmp_path: Path, known_place: None) -> Iterator[Callable[..., Findings]]:
    opened: list[Analyst] = []

    def run(
        now: Volume,
        then: Volume | None,
        *,
        prior: str = BEFORE,
        days: int = 100,
        steps: str = "",
        **more: object,
    ) -> Findings:
        folder = tmp_path / "tissue"
        package = tissue_engine(folder, interpret="sigmoid", kind="lesion", first=prior + steps)
        analyst = Analyst(package, threads=1, node_version="9.9", **more)  # type: ignore[arg-type]
        opened.append(analyst)
        volumes = {"ct": now} if then is None else {"ct": now, "before": then}
        when = datetime(2026, 1, 2, tzinfo=UTC)
        return analyst.analyse(
            Analysis(volumes=volumes, salt=b"s" * 32, study_version=1, made_at=when, days={"before": days})
        )

    yield run
    for analyst in opened:
        analyst.close()


def test_a_lesion_that_grew_has_its_growth_in_numbers(analysed: Callable[..., Findings]) -> None:
    found = analysed(block(10), before(8))
    (change,) = found.changes
    assert (change.kind, change.label, change.days) == (ChangeKind.MEASURED, "soft-1", 100)
    assert change.centre_lps_mm == pytest.approx((23.0, 23.0, 34.5))
    assert change.earlier_volume_mm3 == pytest.approx(8**3 * 12.0)
    assert change.percent == pytest.approx(100.0 * (1000 / 512 - 1))
    (lesion,) = [one for one in found.segments if one.label == "soft-1"]
    numbers = {one.name: one.value for one in lesion.measurements}
    assert list(numbers)[-4:] == CHANGES
    assert numbers["earlier_volume_ml"] == pytest.approx(8**3 * 0.012)
    assert numbers["doubling_time_days"] == pytest.approx(change.doubling_days)
    assert [source.name for source in found.sources] == ["ct"]
    assert found.outcome is Outcome.FINDINGS


def test_what_is_found_now_is_what_an_engine_without_a_comparison_finds(
    analysed: Callable[..., Findings], tmp_path: Path
) -> None:
    compared = analysed(block(10), before(8)).segments[0]
    alone = tissue_engine(tmp_path / "alone", interpret="sigmoid", kind="lesion")
    when = datetime(2026, 1, 2, tzinfo=UTC)
    volumes = {"ct": block(10)}
    found = Analyst(alone, threads=1, node_version="9.9").analyse(
        Analysis(volumes=volumes, salt=b"s" * 32, study_version=1, made_at=when)
    )
    assert compared.mask == found.segments[0].mask
    assert compared.measurements[:-4] == found.segments[0].measurements


@pytest.mark.parametrize("days", [0, -5])
def test_over_no_time_nothing_grows(analysed: Callable[..., Findings], days: int) -> None:
    found = analysed(block(10), before(8), days=days)
    (change,) = found.changes
    assert change.percent is not None
    assert change.days is change.doubling_days is None
    names = [one.name for one in found.segments[0].measurements]
    assert names[-2:] == CHANGES[:2]


def test_a_lesion_that_is_gone_is_no_finding_and_still_told(analysed: Callable[..., Findings]) -> None:
    found = analysed(block(0), before(8))
    assert found.outcome is Outcome.NO_FINDINGS
    (change,) = found.changes
    assert (change.kind, change.label) == (ChangeKind.NOT_FOUND_NOW, None)
    assert change.centre_lps_mm == pytest.approx((23.0, 23.0, 34.5))


def test_without_an_earlier_study_nothing_is_compared(analysed: Callable[..., Findings]) -> None:
    found = analysed(block(10), None)
    assert found.changes == ()
    assert found.outcome is Outcome.FINDINGS
    assert not {one.name for one in found.segments[0].measurements} & set(CHANGES)


@pytest.fixture(scope="module")
def chests() -> tuple[Volume, Volume]:
    """A chest, and the same one in a unit in which lungs are not looked for."""
    voxels, affine = chest.draw(), chest.affine()
    return volume(voxels, affine, SPACE), volume(voxels, affine, OTHER_SPACE, NO_UNIT)


def test_an_earlier_study_that_cannot_be_analysed_is_a_remark(
    analysed: Callable[..., Findings], chests: tuple[Volume, Volume]
) -> None:
    found = analysed(*chests, steps=LUNGS_FIRST)
    assert found.outcome is Outcome.FINDINGS
    assert found.changes == ()
    (remark,) = [one for one in found.remarks if one.code == NOT_COMPARED.code]
    assert remark.kind is RemarkKind.QUALITY
    assert NO_LUNGS.text(reason="the voxels are in 1, not in [hnsf'U]").rstrip(".") in remark.text


def test_where_it_is_required_the_study_is_not_analysed(
    analysed: Callable[..., Findings], chests: tuple[Volume, Volume]
) -> None:
    found = analysed(*chests, prior=f"{BEFORE}required = true\n", steps=LUNGS_FIRST)
    assert found.outcome is Outcome.NOT_ANALYSED
    assert found.remarks[0].code == NOT_COMPARED.code
    assert found.segments == found.changes == ()


class FailsOnThe:
    """A session that fails when it is run for the n-th time."""

    def __init__(self, session: object, nth: int, fault: Fault) -> None:
        self._session, self._left, self._fault = session, nth, fault

    def __getattr__(self, name: str) -> object:
        return getattr(self._session, name)

    def run(self, inputs: object) -> object:
        self._left -= 1
        if self._left == 0:
            raise NodeError(self._fault, engine="tissue", error="no memory", reason="it is too small")
        return self._session.run(inputs)  # type: ignore[attr-defined]


def test_what_may_pass_is_tried_again_with_the_whole_study(analysed: Callable[..., Findings]) -> None:
    """Else one study would stay without its comparison because of a moment."""
    with pytest.raises(NodeError) as caught:
        analysed(block(10), before(8), watch=lambda _, one: FailsOnThe(one, 2, NETWORK_FAILED))
    assert caught.value.fault is NETWORK_FAILED


def test_what_never_passes_is_a_remark(analysed: Callable[..., Findings]) -> None:
    found = analysed(block(10), before(8), watch=lambda _, one: FailsOnThe(one, 2, PREPARATION_FAILED))
    assert found.outcome is Outcome.FINDINGS
    (remark,) = [one for one in found.remarks if one.code == NOT_COMPARED.code]
    assert "it is too small" in remark.text


def test_the_engine_runs_on_both_with_its_own_digest(
    analysed: Callable[..., Findings], tmp_path: Path
) -> None:
    found = analysed(block(10), before(8))
    assert found.provenance.engine_digest == load_package(tmp_path / "tissue").digest
    assert "rigid, forth and back" in found.provenance.details["registration of before"]


NODULES = f"""
[[output]]
segment = "nodule"
step = "net"
kind = "lesion"
category = {TISSUE}
type = {LESION}
tracking = "Nodule {{number}}"
measure = ["volume_mm3"]
"""


def unary(kind: str) -> bytes:
    shape = [1, 1, "k", "j", "i"]
    return onnx_bytes([node(kind, ["x"], ["y"])], [("x", shape)], [("y", shape, TensorProto.FLOAT)])


@pytest.mark.usefixtures("known_place")
@pytest.mark.parametrize(
    ("sizes", "outcome", "said"),
    [((10, 0), Outcome.FINDINGS, True), ((0, 8), Outcome.NOT_ANALYSED, False)],
)
def test_where_a_study_was_not_looked_at_nothing_is_new_or_gone(
    tmp_path: Path, sizes: tuple[int, int], outcome: Outcome, said: bool
) -> None:
    """A network that is cropped to what an earlier step found looks at nothing where that found nothing."""
    body = step("find.onnx", 'interpret = "sigmoid"') + step(keys='crop = "find"\ninterpret = "sigmoid"')
    networks = {"find.onnx": unary("Identity"), "net.onnx": unary("Identity")}
    analyst = Analyst(engine(tmp_path / "e", body + NODULES, networks, CT + BEFORE), node_version="9.9")
    volumes = {"ct": block(sizes[0]), "before": before(sizes[1])}
    when = datetime(2026, 1, 2, tzinfo=UTC)
    found = analyst.analyse(Analysis(volumes=volumes, salt=b"s" * 32, study_version=1, made_at=when))
    analyst.close()
    assert found.changes == ()
    assert found.outcome is outcome
    told = [one.text for one in found.remarks if one.code == NOT_COMPARED.code]
    assert len(told) == said
    assert all("not looked for, as there was nothing to look at" in one for one in told)
