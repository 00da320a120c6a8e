"""Findings come back from the disk as they were, or not at all."""

from __future__ import annotations

import dataclasses
import json
import typing
import zipfile
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from dicomnode.faults import FINDINGS_UNREADABLE, NodeError
from dicomnode.store import Store, read_provenance, read_remarks
from dicomnode.store.codec import Blobs, Undecodable, decode, encode
from dicomnode.store.findings_file import load_findings, pack_findings
from dicomnode.values import Findings, Measurement, PicturePlane, SourceHeaders
from dicomnode.values.codes import MILLILITRE
from tests.unit.store.findings import (
    LUNG,
    differences,
    full_findings,
    not_analysed,
    provenance,
    source,
)


@pytest.fixture
def store(tmp_path: Path) -> typing.Iterator[Store]:
    with Store.open(tmp_path / "store") as store:
        yield store


@pytest.mark.parametrize("findings", [full_findings(), not_analysed()], ids=["full", "not-analysed"])
def test_findings_come_back_as_they_were(store: Store, findings: Findings) -> None:
    assert differences(findings, store.load_findings(store.save_findings(findings))) == []


def test_the_example_holds_every_field_of_every_value_with_something_in_it() -> None:
    """So that the test above means what it says, also when a field is added."""
    empty: set[str] = set()
    filled: set[str] = set()

    def visit(value: object) -> None:
        if dataclasses.is_dataclass(value):
            for field in dataclasses.fields(value):
                inner = getattr(value, field.name)
                name = f"{type(value).__name__}.{field.name}"
                (empty if inner is None or (isinstance(inner, tuple) and not inner) else filled).add(name)
                visit(inner)
        elif isinstance(value, tuple):
            for inner in value:
                visit(inner)

    visit(full_findings())
    assert empty - filled == {
        "Segment.short_axis_lps_mm",
        "Region.site",
        "Region.measurements",
        "Source.plane",  # of pictures: below
    }


def test_the_plane_of_a_picture_comes_back(store: Store) -> None:
    plane = PicturePlane(
        spacing_ji_mm=(0.1, 0.2),
        frame_times_ms=(0.0, 33.3),
        view="MLO",
        laterality="R",
        toward=("P", "F"),
    )
    findings = full_findings()
    sources = (dataclasses.replace(findings.sources[0], plane=plane), *findings.sources[1:])
    findings = dataclasses.replace(findings, sources=sources)
    found = store.load_findings(store.save_findings(findings))
    assert found.sources[0].plane == plane
    assert found.sources[1].plane is None


def test_a_file_of_schema_1_is_read_and_has_nothing_of_what_came_later() -> None:
    """It was written by version 0.1.0, from an example that had every value of its time."""
    path = Path(__file__).parents[2] / "fixtures" / "findings" / "schema-1.findings"
    found = load_findings(path)
    now = full_findings()
    old = dataclasses.replace(
        now,
        provenance=dataclasses.replace(now.provenance, details={}),
        classifications=tuple(
            dataclasses.replace(one, probabilities=(), algorithm="") for one in now.classifications
        ),
        measurements=(Measurement(name="laa950_percent", concept=LUNG, value=0.0, unit=MILLILITRE),),
        segments=tuple(dataclasses.replace(one, classes=(), features=()) for one in now.segments),
        regions=tuple(dataclasses.replace(one, classes=(), features=()) for one in now.regions),
        maps=(),
        images=(),
        features=(),
        frame_scores=(),
        earlier=(),
        changes=(),
    )
    assert differences(old, found) == []


def test_a_file_of_schema_2_is_read_and_has_no_changes(store: Store, tmp_path: Path) -> None:
    with zipfile.ZipFile(store.save_findings(full_findings())) as archive:
        tree, blobs = json.loads(archive.read("findings.json")), archive.read("blobs.bin")
    tree["schema"] = 2
    del tree["findings"]["changes"]
    path = tmp_path / "schema-2.findings"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("findings.json", json.dumps(tree))
        archive.writestr("blobs.bin", blobs)
    assert differences(full_findings(changes=()), load_findings(path)) == []


def test_a_file_of_schema_3_is_read_and_nothing_of_it_is_calibrated(store: Store, tmp_path: Path) -> None:
    with zipfile.ZipFile(store.save_findings(full_findings())) as archive:
        tree, blobs = json.loads(archive.read("findings.json")), archive.read("blobs.bin")
    tree["schema"] = 3
    for kind in ("segments", "regions", "classifications"):
        for one in tree["findings"][kind]:
            one.pop("calibrated")
    path = tmp_path / "schema-3.findings"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("findings.json", json.dumps(tree))
        archive.writestr("blobs.bin", blobs)
    found = load_findings(path)
    assert not any(one.calibrated for one in (*found.segments, *found.regions, *found.classifications))


def test_a_file_of_schema_4_is_read_and_says_nothing_of_a_single_lesion(store: Store, tmp_path: Path) -> None:
    with zipfile.ZipFile(store.save_findings(full_findings())) as archive:
        tree, blobs = json.loads(archive.read("findings.json")), archive.read("blobs.bin")
    tree["schema"] = 4
    for kind in ("segments", "regions"):
        for one in tree["findings"][kind]:
            del one["classes"], one["features"]
    path = tmp_path / "schema-4.findings"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("findings.json", json.dumps(tree))
        archive.writestr("blobs.bin", blobs)
    found = load_findings(path)
    assert not any(one.classes or one.features for one in (*found.segments, *found.regions))
    assert [one.label for one in found.segments] == [one.label for one in full_findings().segments]


def test_a_file_of_schema_5_is_read_and_its_classes_are_values_of_nothing(
    store: Store, tmp_path: Path
) -> None:
    with zipfile.ZipFile(store.save_findings(full_findings())) as archive:
        tree, blobs = json.loads(archive.read("findings.json")), archive.read("blobs.bin")
    tree["schema"] = 5
    found = tree["findings"]
    classes = [one for kind in ("segments", "regions") for each in found[kind] for one in each["classes"]]
    for one in (*classes, *found["classifications"]):
        del one["attribute"]
    path = tmp_path / "schema-5.findings"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("findings.json", json.dumps(tree))
        archive.writestr("blobs.bin", blobs)
    read = load_findings(path)
    assert {one.attribute for segment in read.segments for one in segment.classes} == {None}
    assert classes


def test_arrays_that_come_back_are_read_only_and_hold_no_file_open(store: Store) -> None:
    path = store.save_findings(full_findings())
    found = store.load_findings(path)
    path.unlink()
    grid = found.sources[0].grid
    assert grid is not None
    assert not grid.affine_lps.flags.writeable
    assert not found.segments[0].mask.bits.flags.writeable
    assert found.segments[0].mask.count == 6


def test_the_same_findings_give_the_same_bytes() -> None:
    assert pack_findings(full_findings()) == pack_findings(full_findings())


def test_headers_of_a_long_series_cost_little(store: Store) -> None:
    rng = np.random.default_rng(1)
    common = rng.bytes(3000)
    headers = SourceHeaders(tuple(common + number.to_bytes(4, "big") for number in range(500)))
    findings = full_findings(sources=(dataclasses.replace(source(), headers=headers),))
    path = store.save_findings(findings)
    assert path.stat().st_size < 100_000
    assert store.load_findings(path).sources[0].headers == headers


def test_the_file_can_be_read_without_dicomnode(store: Store) -> None:
    with zipfile.ZipFile(store.save_findings(full_findings())) as archive:
        tree = json.loads(archive.read("findings.json"))
    assert tree["schema"] == 6
    assert tree["findings"]["provenance"]["engine"] == "lung-ct"


def test_what_made_findings_is_read_without_their_masks(store: Store) -> None:
    path = store.save_findings(full_findings())
    assert read_provenance(path) == full_findings().provenance
    assert read_remarks(path) == full_findings().remarks != ()
    with zipfile.ZipFile(path) as archive:
        text = archive.read("findings.json")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("findings.json", text)
    assert read_remarks(path) == full_findings().remarks, "it asked for the masks"
    path.write_bytes(path.read_bytes()[:100])
    for read in (read_provenance, read_remarks):
        with pytest.raises(NodeError) as caught:
            read(path)
        assert caught.value.fault is FINDINGS_UNREADABLE


def test_each_study_version_and_engine_has_a_file_of_its_own(store: Store) -> None:
    made = [
        full_findings(),
        full_findings(study_version=3),
        full_findings(provenance=provenance(engine="liver")),
        full_findings(provenance=provenance(version="1.0.1")),
        full_findings(sources=(dataclasses.replace(source(), study_instance_uid="1.2.4"),)),
    ]
    assert len({store.save_findings(findings) for findings in made}) == len(made)


def test_the_first_findings_win(store: Store) -> None:
    first = full_findings()
    late = full_findings(made_at=first.made_at + timedelta(hours=1))
    path = store.save_findings(first)
    assert store.save_findings(late) == path
    assert store.load_findings(path).made_at == first.made_at


def test_findings_that_cannot_be_read_give_way_to_new_ones_and_are_kept_for_the_bug_report(
    store: Store,
) -> None:
    path = store.save_findings(full_findings())
    path.write_bytes(b"not a file of ours")
    assert store.save_findings(full_findings()) == path
    assert differences(full_findings(), store.load_findings(path)) == []
    kept = list((store.root / "quarantine").rglob("*.findings"))
    assert [file.read_bytes() for file in kept] == [b"not a file of ours"]


def test_a_file_that_was_changed_or_cut_anywhere_is_refused_or_reads_the_same(
    store: Store, tmp_path: Path
) -> None:
    content = pack_findings(full_findings())
    path = tmp_path / "changed.findings"
    faults = set()
    for at in range(0, len(content), max(1, len(content) // 300)):
        for broken in (content[:at], content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :]):
            path.write_bytes(broken)
            try:
                found = store.load_findings(path)
            except NodeError as error:
                faults.add(error.fault)
            else:  # a byte of the archive that says nothing of the content, its time for example
                assert differences(full_findings(), found) == []
    assert faults == {FINDINGS_UNREADABLE}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda tree: tree.update(schema=7), "schema 7"),
        (lambda tree: tree["findings"].update(colour="red"), "Findings has no 'colour'"),
        (lambda tree: tree["findings"].pop("outcome"), "Findings lacks 'outcome'"),
        (lambda tree: tree["findings"].update(outcome="maybe"), "maybe"),
        (lambda tree: tree["findings"].update(study_version="2"), "int is wanted, found str"),
        (lambda tree: tree["findings"].update(study_version=True), "int is wanted, found bool"),
        (lambda tree: tree["findings"].update(sources=[]), "name the series"),
        (lambda tree: tree["findings"].update(sources=3), "a list is wanted"),
        (lambda tree: tree["findings"]["provenance"].update(details={"a": 1}), "texts"),
        (lambda tree: tree["findings"]["maps"][0].update(label=1), "str is wanted"),
        (lambda tree: tree["findings"].update(provenance=[]), "Provenance must be an object"),
        (
            lambda tree: tree["findings"]["segments"][0]["mask"]["bits"].update(blob=[0, 1 << 40]),
            "lies outside",
        ),
        (lambda tree: tree["findings"]["segments"][0]["mask"]["bits"].update(dtype="O"), "objects"),
        (lambda tree: tree["findings"]["segments"][0].update(centre_lps_mm=[1.0, 2.0]), "2 elements"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_reason(
    store: Store, tmp_path: Path, change, says: str
) -> None:
    with zipfile.ZipFile(store.save_findings(full_findings())) as archive:
        tree = json.loads(archive.read("findings.json"))
        blobs = archive.read("blobs.bin")
    change(tree)
    path = tmp_path / "other.findings"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("findings.json", json.dumps(tree))
        archive.writestr("blobs.bin", blobs)
    with pytest.raises(NodeError, match=says) as caught:
        store.load_findings(path)
    assert caught.value.fault is FINDINGS_UNREADABLE


def test_findings_that_are_not_there_are_unreadable(store: Store) -> None:
    with pytest.raises(NodeError) as caught:
        store.load_findings(store.root / "findings" / "none.findings")
    assert caught.value.fault is FINDINGS_UNREADABLE


def test_numbers_of_numpy_are_stored_as_plain_ones() -> None:
    blobs = Blobs()
    assert encode((np.float32(0.5), np.float64(0.25), 1), tuple[float, float, float], blobs) == [
        0.5,
        0.25,
        1.0,
    ]
    assert decode([1, 2.5], tuple[float, ...], blobs) == (1.0, 2.5)


def test_a_kind_of_value_that_nobody_thought_of_is_an_error_and_not_a_loss() -> None:
    with pytest.raises(TypeError, match="cannot be stored yet"):
        encode({"a": 1}, dict[str, int], Blobs())
    with pytest.raises(TypeError, match="cannot be stored yet"):
        encode(1, int | str, Blobs())
    with pytest.raises(Undecodable):
        decode([1], tuple[int, int], Blobs())
