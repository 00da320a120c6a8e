"""What engine.toml says of pictures, and which stacks match."""

from __future__ import annotations

import pytest

from dicomnode.engine import load_package, match, match_further
from dicomnode.faults import NodeError
from dicomnode.values import SeriesFacts
from tests.unit.serve.picture_engines import asymmetry, effusion, masses, moles, opacities


def stack(number=0, kind="picture", tags=None, **facts):
    return SeriesFacts(
        study_instance_uid="1.2",
        series_instance_uid="1.2.3",
        stack=number,
        tags={"Modality": "MG", **(tags or {})},
        facts={"kind": kind, "instances": 1, "capture": False, **facts},
    )


# What is replaced, by what, and where and how it is said
WRONG = [
    (masses, 'kind = "picture"', 'kind = "volume"', "input[1].picture", "of kind picture or cine"),
    (masses, 'rows_toward = "A"', "frames_per_s = 5.0", "input[1].picture.frames_per_s", "has no frames"),
    (
        masses,
        'rows_toward = "A"',
        'rows_toward = "A"\ncolumns_toward = "P"',
        "input[1].picture.columns_toward",
        "another axis of the body",
    ),
    (masses, 'rows_toward = "A"', 'rows_toward = "Z"', "input[1].picture.rows_toward", '"A"'),
    (masses, 'rows_toward = "A"', "sd = [1.0, 2.0, 3.0]", "input[1].picture.sd", "1 number(s)"),
    (masses, 'rows_toward = "A"', "sd = [0.0]", "input[1].picture.sd", "above 0"),
    (
        opacities,
        '["long_axis_mm"]',
        '["volume_ml"]',
        "output[1].measure",
        "what a picture has: long_axis_mm, short_axis_mm",
    ),
    (
        effusion,
        'classification = "effusion"',
        'region = "effusion"',
        "output[1].region",
        "without a place",
    ),
    (
        asymmetry,
        'name = "rcc"\nkind = "picture"',
        'name = "rcc"\nkind = "volume"',
        "input[1].kind",
        "no place in patient space",
    ),
    (
        asymmetry,
        'name = "rcc"\nkind = "picture"',
        'name = "rcc"\nkind = "picture"\nbeside_first = true',
        "input[2].beside_first",
        "no such key",
    ),
    (
        asymmetry,
        'name = "rcc"\nkind = "picture"',
        'name = "rcc"\nkind = "picture"\nregister = "rigid"',
        "input[2].register",
        "no such key",
    ),
]


@pytest.mark.parametrize(("make", "old", "new", "key", "words"), WRONG, ids=[case[3] for case in WRONG])
def test_what_is_wrong_is_said_with_its_key(tmp_path, make, old, new, key, words):
    folder = make(tmp_path / "engine").folder
    file = folder / "engine.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(NodeError) as caught:
        load_package(folder)
    said = str(caught.value)
    assert key in said
    assert words in said


def test_the_view_and_the_side_choose_among_the_pictures_of_one_series(tmp_path):
    views = [("MLO", "R"), ("CC", "R"), ("CC", "L"), ("MLO", "L")]
    stacks = [stack(n, view=view, laterality=side) for n, (view, side) in enumerate(views)]
    manifest = asymmetry(tmp_path / "asymmetry").manifest
    (first,) = [one for one, verdict in zip(stacks, match(manifest, stacks), strict=True) if verdict.chosen]
    assert first.stack == 2
    further = match_further(manifest, stacks, first)
    assert {name: one.stack for name, one in further.items()} == {"rcc": 1, "lmlo": 3, "rmlo": 0}


@pytest.mark.parametrize("kind", ["volume", "cine"])
def test_another_kind_of_images_is_passed_over_by_name(tmp_path, kind):
    (verdict,) = match(masses(tmp_path / "masses").manifest, [stack(kind=kind, intent="for presentation")])
    assert (verdict.chosen, verdict.rule, verdict.found) == (False, "kind of images is picture", kind)


def test_what_was_read_before_kinds_were_told_is_a_volume(tmp_path):
    old = SeriesFacts(study_instance_uid="1.2", series_instance_uid="1.2.3", tags={"Modality": "MG"})
    (verdict,) = match(masses(tmp_path / "masses").manifest, [old])
    assert verdict.found == "volume"


def test_a_capture_is_taken_where_a_rule_speaks_of_it(tmp_path):
    one = stack(capture=True, colour=True)
    assert not match(moles(tmp_path / "moles").manifest, [one])[0].chosen
    asked = moles(tmp_path / "asked", '{ fact = "capture", equals = true }')
    assert match(asked.manifest, [one])[0].chosen
