"""Copies of one image, turned, mirrored, resampled, encoded again: they are found, and others are not."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from dicomnode.assemble import decode_here
from dicomnode.evaluate.data import numbered, read_labelled
from dicomnode.evaluate.dataset import FeatureTable, Watching, image_features, look_at_studies, table_of
from dicomnode.evaluate.dataset.neighbours import TURNS, near_duplicates
from dicomnode.serve import Answering, AnsweringPlan, Occasion
from dicomnode.values import SourceFrame, SourceHeaders, Volume
from dicomnode.values.codes import HOUNSFIELD
from tests.unit.evaluate.evaluations import case_name
from tests.unit.evaluate.running.engines import liver_engine
from tests.unit.learn.features.test_rows import answering
from tests.unit.learn.heads.test_package import ENGINE

PLAN = AnsweringPlan(
    threads=1, occasion=Occasion(study_version=1, made_at=datetime(2026, 1, 2, tzinfo=UTC), salt=b"s" * 32)
)


def scene(seed: int, shape: tuple[int, int] = (240, 200)) -> np.ndarray:
    """A smooth picture, another one for each seed."""
    rough = np.random.default_rng(seed).normal(size=shape)
    smooth = ndimage.gaussian_filter(rough, 16) * 4 + ndimage.gaussian_filter(rough, 4)
    return (smooth / smooth.std() * 200).astype(np.float32)


def table(planes: list[np.ndarray], mm: list[float] | None = None) -> FeatureTable:
    """Features of volumes of one slice."""
    features = []
    for plane, spacing in zip(planes, mm or [1.0] * len(planes), strict=True):
        volume = Volume(
            np.ascontiguousarray(plane[None]),
            np.diag([spacing, spacing, 2.5, 1.0]),
            HOUNSFIELD,
            "1.2",
            "1.3",
            "1.4",
            (SourceFrame("1.5"),),
            SourceHeaders(()),
        )
        features.append(image_features(volume))
    names = [case_name(3 * n) for n in range(len(planes))]
    return table_of(
        names,
        [one.row for one in features],
        [one.thumbnail for one in features],
        [one.fine for one in features],
    )


OTHERS = [scene(n) for n in range(1, 12)]


@settings(deadline=None, max_examples=24)
@given(st.integers(0, 7), st.integers(100, 10_000))
def test_each_of_the_eight_ways_to_lay_a_picture_is_found_and_told(turn: int, seed: int) -> None:
    first = scene(seed)
    laid = np.rot90(first, k=-(turn % 4))
    laid = laid[:, ::-1] if turn >= 4 else laid
    (one,) = near_duplicates(table([first, *OTHERS, laid]))
    assert (one.first, one.second) == (0, len(OTHERS) + 1)
    assert one.turned == TURNS[turn]


def jpeg(plane: np.ndarray) -> np.ndarray:
    """Encode it as JPEG, of eight bits, and decode it again."""
    low, high = float(plane.min()), float(plane.max())
    grey = np.rint((plane - low) / (high - low) * 255).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(grey).save(buffer, format="JPEG", quality=60)
    return (np.asarray(Image.open(buffer)) / 255.0 * (high - low) + low).astype(np.float32)


def resampled(plane: np.ndarray, times: float) -> np.ndarray:
    """Give it more or fewer pixels."""
    rows, columns = (round(n * times) for n in plane.shape)
    return np.asarray(Image.fromarray(plane).resize((columns, rows), Image.Resampling.BILINEAR))


@pytest.mark.parametrize(
    ("change", "mm"),
    [
        (lambda one: resampled(one, 0.5), 2.0),
        (lambda one: resampled(one, 1.7), 1 / 1.7),
        (jpeg, 1.0),
        (lambda one: one + np.random.default_rng(0).normal(0, 8, one.shape).astype(np.float32), 1.0),
        (lambda one: np.rot90(jpeg(resampled(one, 0.5))), 2.0),
    ],
    ids=["half as many pixels", "more pixels", "JPEG", "some noise", "all at once"],
)
def test_copies_that_were_made_smaller_or_encoded_again_are_found(change, mm: float) -> None:
    first = scene(77)
    (one,) = near_duplicates(table([first, *OTHERS, change(first)], [1.0] * 12 + [mm]))
    assert (one.first, one.second) == (0, 12)


def test_pictures_that_differ_and_empty_ones_are_no_copies() -> None:
    assert near_duplicates(table(OTHERS)) == ()
    blank = [np.full((240, 200), value, dtype=np.float32) for value in (0.0, 300.0)]
    assert near_duplicates(table([*OTHERS, *blank])) == ()
    # The same picture in a slice of which the rest differs: greys of the whole tell
    darker = scene(5) * 0.3 - 400
    assert near_duplicates(table([scene(5), *OTHERS[5:], darker])) == ()


def test_five_hundred_cases_are_compared_in_a_moment() -> None:
    generator = np.random.default_rng(3)
    names = table(OTHERS).names
    made = FeatureTable(
        cases=tuple(case_name(3 * n) for n in range(500)),
        names=names,
        values=generator.normal(size=(500, len(names))),
        thumbnails=generator.integers(0, 255, (500, 16, 16)).astype(np.uint8),
        fine=generator.integers(0, 255, (500, 64, 64)).astype(np.uint8),
    )
    assert near_duplicates(made) == ()


@pytest.fixture(scope="module")
def data(volumes):
    return numbered(read_labelled([volumes[0]], volumes[0] / "labels.csv"))


def _watched(answerer: Answering, data, watching: Watching) -> None:
    asked = watching.answered(answerer)
    for study in data.studies:
        asked(study.study, lambda *_: None)


def test_what_was_decoded_for_an_engine_is_not_decoded_again(data, tmp_path) -> None:
    watching, decoded = Watching(), Counter[str]()
    package = liver_engine(tmp_path / "liver")

    with Answering(package, replace(PLAN, watch=watching.images)) as answerer:
        _watched(answerer, data, watching)

    def counting(headers):
        decoded["stacks"] += 1
        return decode_here(headers)

    look = look_at_studies(data, decode=counting, watched=watching)
    alone = look_at_studies(data, decode=counting)
    assert decoded["stacks"] == len(data.studies), "the second look alone has decoded"
    assert np.array_equal(look.places, alone.places)
    assert look.duplicates == alone.duplicates
    assert look.by == "greys, spacing and extent"  # the engine gives no features


def test_features_that_an_engine_gives_are_looked_at(data, tmp_path) -> None:
    watching = Watching()
    with answering(tmp_path / "texture", ENGINE) as answerer:
        _watched(answerer, data, watching)
        names = watching.given[next(iter(watching.given))].names
    look = look_at_studies(data, watched=watching)
    assert look.by.startswith("features of the engine texture")
    assert 1 < look.features <= len(names)
    assert len(look.pictures) == len(look.cases) == len(data.studies)


def test_cases_without_features_of_the_engine_are_left_out_and_told(data, tmp_path, volumes) -> None:
    watching = Watching()
    with answering(tmp_path / "texture", ENGINE) as answerer:
        _watched(answerer, data, watching)
    lost = next(iter(watching.given))
    del watching.given[lost]
    look = look_at_studies(data, watched=watching)
    assert len(look.cases) == len(data.studies) - 1
    assert any("the engine gave no features of it" in text for text in look.remarks)
