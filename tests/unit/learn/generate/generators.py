"""Generators for tests: folders as `train generator` writes them, with what draws given by the test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.uid import ComputedRadiographyImageStorage

from dicomnode.learn.generate.generator_copies import Known, threshold_of
from dicomnode.learn.generate.generator_form import ImageForm
from dicomnode.learn.generate.generator_package import Generator, image_table, write_generator

SIDE = 16
FILM = ImageForm(
    kind="picture",
    sop_class_uid=ComputedRadiographyImageStorage,
    modality="CR",
    colour=False,
    side=SIDE,
    low=0.0,
    high=4000.0,
    spacing_mm=(5.0, 5.0),
    attributes={"BodyPartExamined": "CHEST", "ViewPosition": "PA", "KVP": "", "PlateID": ""},
)

TABLE: dict[str, Any] = {
    "name": "films",
    "version": "1.0.0",
    "title": "Films",
    "threshold": 0.1,
    "patients": 1,
    "images": 1,
    "synthetic": 0,
    "image": image_table(FILM),
    "network": {
        "width": 8,
        "levels": 2,
        "noise_steps": 10,
        "draw_steps": 2,
        "column": "",
        "labels": [],
    },
}


def images(count: int = 12, seed: int = 1, channels: int = 1) -> list[np.ndarray]:
    """Smooth images (c, j, i) that differ from each other, with a little noise."""
    made = []
    for number in range(count):
        draw = np.random.default_rng([seed, number])
        j, i = np.indices((SIDE, SIDE)) / SIDE
        waves = sum(np.sin(2 * np.pi * (draw.uniform(0, 2) * j + draw.uniform(0, 2) * i)) for _ in range(3))
        values = waves / 3 + 0.02 * draw.standard_normal((SIDE, SIDE))
        made.append(np.clip(np.stack([values] * channels), -1, 1).astype(np.float32))
    return made


def known(of: Sequence[np.ndarray] | None = None) -> Known:
    """What was learned from: an image a patient."""
    some = images() if of is None else of
    return Known.of((f"image-{n}", one) for n, one in enumerate(some))


def generator(
    folder: Path, form: ImageForm = FILM, labels: Sequence[str] = (), learned: Known | None = None
) -> Generator:
    """A generator without weights: the test gives what draws."""
    learned = learned or known(images(channels=form.channels))
    network = {**TABLE["network"], "column": "finding" if labels else "", "labels": list(labels)}
    table = {
        **TABLE,
        "threshold": threshold_of(learned.reduced, learned.names),
        "patients": len(learned.names),
        "images": len(learned.names),
        "image": image_table(form),
        "network": network,
    }
    return write_generator(folder, table, b"no weights", learned, {"card.md": b"# Films\n"})


def formed(**changes: object) -> ImageForm:
    return replace(FILM, **changes)  # type: ignore[arg-type]
