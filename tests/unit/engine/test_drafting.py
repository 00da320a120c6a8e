"""A draft becomes an engine package whole, with digests and expectations that hold, or nothing is written."""

from __future__ import annotations

import errno
import os
import stat
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from dicomnode.engine import Draft, check_engine, load_package, write_draft
from dicomnode.engine.adding.trial import Limits
from dicomnode.faults import (
    DRAFT_WRONG,
    ENGINE_EXISTS,
    ENGINE_NOT_WRITTEN,
    NETWORK_UNFIT,
    TRIAL_FAILED,
    NodeError,
)
from tests.unit.engine.foreign import endless, greedy, one
from tests.unit.engine.small_engine import MANIFEST, network

LIMITS = Limits(seconds=60.0)


def draft(content: bytes | None = None, **changes: object) -> Draft:
    """The small engine of these tests as a draft, out of order and with tables of other kinds."""
    table = tomllib.loads(MANIFEST)
    del table["schema"], table["step"][1]["sha256"]
    step = {**table["step"][1], **changes}
    table = {"output": table.pop("output"), **table, "step": (table["step"][0], step)}
    content = network().SerializeToString() if content is None else content
    return Draft(
        table=table, networks={"net.onnx": content}, card="# Small\n", left_out=("It has no sound.",)
    )


def failure(made: Draft, folder: Path, fault: object, **about: object) -> NodeError:
    with pytest.raises(NodeError) as caught:
        write_draft(made, folder, limits=about.pop("limits", LIMITS), **about)
    assert caught.value.fault is fault
    assert sorted(folder.parent.iterdir()) == [one for one in (folder,) if one.exists()]
    return caught.value


def test_a_draft_becomes_a_package_that_passes_its_gate(tmp_path):
    package = write_draft(draft(), tmp_path / "small", limits=LIMITS)
    assert package == load_package(tmp_path / "small")
    report = check_engine(package, threads=1)
    assert report.passed
    assert {one.name for one in report.checks} >= {"heat mean", "logd probe 6", "mask largest"}


def test_expectations_are_those_that_the_shipped_form_has(tmp_path):
    text = (write_draft(draft(), tmp_path / "small", limits=LIMITS).folder / "engine.toml").read_text()
    table = tomllib.loads(text)
    assert list(table) == ["schema", "name", "version", "title", "use", "input", "step", "output"]
    assert list(table["step"][1])[:2] == ["network", "sha256"]
    gate = table["step"][1]["gate"]
    assert list(gate) == ["shape", "low", "high", "seed", "tolerance", "expect"]
    assert [one["output"] for one in gate["expect"]] == ["heat", "logd", "mask"]
    assert text.startswith("# A small engine. card.md says what it was made from.\nschema = 1\n")


def test_the_tolerance_grows_with_the_span_of_the_outputs(tmp_path):
    made = draft(gate={"shape": [1, 1, 4, 6, 8], "low": -100000.0, "high": 100000.0})
    [step] = write_draft(made, tmp_path / "small", limits=LIMITS).manifest.networks
    assert step.gate is not None
    assert step.gate.tolerance == 20.0  # of 175,000
    assert check_engine(load_package(tmp_path / "small"), threads=1).passed


def test_a_tolerance_and_a_seed_that_are_given_stay(tmp_path):
    gate = {"shape": [1, 1, 4, 6, 8], "low": -1.0, "high": 1.0, "seed": 7, "tolerance": 0.5}
    [step] = write_draft(draft(gate=gate), tmp_path / "small", limits=LIMITS).manifest.networks
    assert step.gate is not None
    assert (step.gate.seed, step.gate.tolerance) == (7, 0.5)


def test_the_card_says_what_was_left_out_once(tmp_path):
    write_draft(draft(), tmp_path / "a", limits=LIMITS)
    assert "- It has no sound." in (tmp_path / "a" / "card.md").read_text()
    own = replace(draft(), card="# Small\n\nIt has no sound.\n")
    write_draft(own, tmp_path / "b", limits=LIMITS)
    assert (tmp_path / "b" / "card.md").read_text() == "# Small\n\nIt has no sound.\n"


def test_the_user_of_the_service_may_read_it_and_nobody_else_writes(tmp_path):
    folder = write_draft(draft(), tmp_path / "small", limits=LIMITS).folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert {stat.S_IMODE(one.stat().st_mode) for one in folder.iterdir()} == {0o644}


def test_a_folder_that_is_there_stays_and_an_engine_is_replaced_when_asked(tmp_path):
    write_draft(draft(), tmp_path / "small", limits=LIMITS)
    before = load_package(tmp_path / "small").digest
    failure(draft(), tmp_path / "small", ENGINE_EXISTS)
    other = draft(memory_bytes_per_voxel=3.0)
    assert write_draft(other, tmp_path / "small", replace=True, limits=LIMITS).digest != before
    assert [one.name for one in tmp_path.iterdir()] == ["small"]


def test_a_link_is_not_replaced(tmp_path):
    write_draft(draft(), tmp_path / "in" / "small", limits=LIMITS)
    (tmp_path / "small").symlink_to(tmp_path / "in" / "small")
    with pytest.raises(NodeError) as caught:
        write_draft(draft(), tmp_path / "small", replace=True, limits=LIMITS)
    assert caught.value.fault is ENGINE_EXISTS


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"interpret": "labelz"}, "step[2].interpret"),
        ({"crop": "heart"}, "step[2].crop"),
        ({"memory_bytes_per_voxel": float("nan")}, "finite"),
        ({"gate": {"shape": [1], "low": 2.0, "high": 1.0}}, "step[2].gate.high"),
    ],
)
def test_a_wrong_manifest_is_found_before_the_network_runs(tmp_path, change, said):
    made = draft(endless().SerializeToString(), **change)
    assert said in str(failure(made, tmp_path / "small", DRAFT_WRONG))


@pytest.mark.parametrize(
    ("content", "fault", "limits"),
    [
        (endless(), TRIAL_FAILED, Limits(seconds=2.0)),
        (greedy(), TRIAL_FAILED, Limits(seconds=60.0, memory_bytes=2 * 1024**3)),
        (network("Log"), NETWORK_UNFIT, LIMITS),
        (network("RandomNormalLike"), NETWORK_UNFIT, LIMITS),
    ],
    ids=["a loop without an end", "100 GB", "not a number", "other numbers each time"],
)
def test_a_network_that_does_not_pass_leaves_nothing_behind(tmp_path, content, fault, limits):
    failure(draft(content.SerializeToString()), tmp_path / "small", fault, limits=limits)


def test_a_network_with_data_elsewhere_is_refused_before_it_runs(tmp_path):
    model = one("Relu")
    tensor = model.graph.initializer.add(name="w", data_type=1, dims=[1], data_location=1)
    tensor.external_data.add(key="location", value="/etc/passwd")
    error = failure(draft(model.SerializeToString()), tmp_path / "small", NETWORK_UNFIT)
    assert "/etc/passwd" in str(error)


@pytest.mark.parametrize("call", ["fsync", "rename", "open"])
def test_when_writing_fails_the_old_engine_stays_and_no_part_of_the_new(tmp_path, monkeypatch, call):
    write_draft(draft(), tmp_path / "small", limits=LIMITS)
    before = load_package(tmp_path / "small").digest

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        if call == "fsync":
            patch.setattr(os, "fsync", fail)
        else:
            real = getattr(Path, call)

            def of_staged(path: Path, *given: object, **about: object) -> object:
                new = path if call == "rename" else path.parent
                if new.name.startswith(".") and new.suffix != ".old":
                    return fail()
                return real(path, *given, **about)

            patch.setattr(Path, call, of_staged)
        changed = draft(memory_bytes_per_voxel=3.0)
        error = failure(changed, tmp_path / "small", ENGINE_NOT_WRITTEN, replace=True)
    assert "No space left" in str(error)
    assert load_package(tmp_path / "small").digest == before
