"""The engine without weights that measures what a body is made of."""

from __future__ import annotations

import pytest
from pydicom.sr._concepts_dict import concepts

from dicomnode.engine import CodeSpec, EnginePackage, check_engine, find_engine


@pytest.fixture(scope="module")
def package() -> EnginePackage:
    return find_engine("ct-body")


def test_it_has_no_network_so_that_its_gate_is_its_manifest(package):
    assert package.manifest.networks == ()
    assert check_engine(package, 1).checks == ()


def test_it_takes_a_ct_of_any_part_of_the_body(package):
    rules = package.manifest.input[0].require
    assert {rule.fact or rule.tag for rule in rules} == {
        "Modality",
        "SOPClassUID",
        "unit",
        "lossy",
        "rows",
        "columns",
        "spacing_k_mm",
        "extent_k_mm",
    }


def test_every_code_of_it_is_one_of_the_standard(package):
    """Compared with pydicom's own table of the concepts of PS3.16."""
    codes = [
        code
        for output in package.manifest.output
        for code in (output.category, output.type, output.site)
        if isinstance(code, CodeSpec)
    ]
    assert len(codes) == 19
    for code in codes:
        known = {
            meaning
            for entries in concepts[code.scheme].values()
            for value, (meaning, _) in entries.items()
            if value == code.code
        }
        assert code.meaning in known, code


def test_fat_under_the_skin_and_fat_of_the_cavities_are_told_apart_by_where_they_lie(package):
    fat = [one for one in package.manifest.output if one.type is not None and one.type.meaning == "Fat"]
    assert [(one.segment, one.site.meaning if one.site else None) for one in fat] == [
        ("fat", None),
        ("subcutaneous-fat", "Subcutaneous tissue"),
        ("visceral-fat", "Body cavity"),
    ]


def test_its_card_names_the_use_the_version_and_what_it_cannot_do(package):
    card = (package.folder / "card.md").read_text(encoding="utf-8")
    assert package.manifest.use in card
    assert f"ct-body {package.manifest.version}" in card
    for word in ("python -m tests.bench.body_composition", "Where it fails", "Not measured", "vertebral"):
        assert word in card


def test_its_folder_holds_nothing_that_is_not_named(package):
    assert sorted(path.name for path in package.folder.iterdir()) == ["card.md", "engine.toml"]
