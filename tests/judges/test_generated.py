"""Images of a generator before dicom3tools: valid, of each kind that it can have learned from."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread

from dicomnode.learn.generate import SynthPlan, synth_cases
from dicomnode.learn.generate.generator_form import ImageForm, usual_attributes
from dicomnode.learn.generate.generator_synth import GeneratorPlan, draw_cases
from tests.judges import tools
from tests.unit.learn.generate.generators import SIDE, generator, images

pytestmark = pytest.mark.judge

KINDS = ("discs", "mammograms", "photos", "fundus", "ultrasound", "volumes", "contrasts")


@pytest.mark.parametrize("kind", KINDS)
def test_dciodvfy_finds_nothing_in_a_drawn_image(kind: str, tmp_path: Path) -> None:
    learned = synth_cases(SynthPlan(kind=kind, cases=2, seed=1), tmp_path / "learned")
    headers = [dcmread(next(one.images.iterdir()), stop_before_pixels=True) for one in learned.cases]
    first = headers[0]
    colour = first.SamplesPerPixel == 3
    form = ImageForm(
        kind="volume" if "ImagePositionPatient" in first else "picture",
        sop_class_uid=first.SOPClassUID,
        modality=first.Modality,
        colour=colour,
        side=SIDE,
        low=0.0,
        high=255.0 if first.BitsStored == 8 else 3000.0,
        bits=8 if first.BitsStored == 8 else 12,
        spacing_mm=(2.0, 2.0),
        thickness_mm=3.0,
        attributes=usual_attributes(headers),
    )
    made = generator(tmp_path / "generator", form)
    drawn = images(1, seed=9, channels=form.channels)[0]
    plan = GeneratorPlan(generator=made, cases=1, seed=1)
    paths = sorted(draw_cases(plan, tmp_path / "drawn", draws=lambda *_: drawn).folder.rglob("*.dcm"))
    assert len(paths) == 1
    assert tools.dciodvfy(paths[0]) == []
    assert tools.dcentvfy(paths) == []
