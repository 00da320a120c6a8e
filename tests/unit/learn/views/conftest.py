"""What the tests of the view check share: one thread, and patients of a few ellipses, drawn in no time."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fixtures.frameworks import needed

needed("torch")
needed("monai")

from dicomnode.learn.views.patients import Patient  # noqa: E402
from dicomnode.phantom.projection import SIDE  # noqa: E402
from tests.unit.learn.drawn.trainings import one_thread  # noqa: E402

__all__ = ["few_resamples", "one_thread", "patient", "plain_patient", "plain_patients"]


def plain_patient(seed: int) -> Patient:
    """Two lungs and a heart on the patient's left, five views alike; lungs fill rows 70 to 190."""
    y, x = np.indices((SIDE, SIDE)).astype(np.float32)
    soft = np.where(np.abs(x - 128) < 100, 250.0, 0.0)
    lungs = np.zeros((SIDE, SIDE), dtype=bool)
    for middle in (85, 171):
        lungs |= ((x - middle) / 34) ** 2 + ((y - 130) / 60) ** 2 < 1
    soft = np.where(lungs, 120.0, soft)
    soft = np.where(((x - 140) / 34) ** 2 + ((y - 160) / 28) ** 2 < 1, 260.0, soft)
    bone = np.where(np.abs(x - 128) < 9, 12.0, 0.0) + seed % 3
    return Patient(
        seed=seed,
        soft_mm=np.stack([soft] * 5).astype(np.float16),
        bone_mm=np.stack([bone] * 5).astype(np.float16),
        lungs=np.stack([lungs] * 5),
        slices=np.full((3, SIDE, SIDE), -1000.0, dtype=np.float16),
    )


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch) -> None:
    monkeypatch.setattr("dicomnode.learn.train.held_out._RESAMPLES", 100)


@pytest.fixture
def patient() -> Patient:
    return plain_patient(1)


@pytest.fixture
def plain_patients(monkeypatch) -> None:
    """No patient is drawn: those who are asked for are plain ones."""
    monkeypatch.setattr(
        "dicomnode.learn.views.making.kept_patients",
        lambda seeds, *_: [plain_patient(seed) for seed in seeds],
    )
