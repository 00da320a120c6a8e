"""Patients are kept as they were drawn; poses follow from the seed; a network that learns gets better."""

from __future__ import annotations

import numpy as np

from tests.fixtures.frameworks import needed

torch = needed("torch")

from dicomnode.learn.drawn.state import State, first_weights  # noqa: E402
from dicomnode.learn.views import patients  # noqa: E402
from dicomnode.learn.views.network import ViewNet  # noqa: E402
from dicomnode.learn.views.patients import kept_patient, kept_patients, poses_of  # noqa: E402
from dicomnode.learn.views.training import Course, draw_picture, habit_of, lost_on  # noqa: E402

from .conftest import plain_patient  # noqa: E402


def test_a_patient_that_is_kept_is_read_and_not_drawn_again(tmp_path, monkeypatch) -> None:
    drawn: list[int] = []

    def draw(seed: int) -> patients.Patient:
        drawn.append(seed)
        return plain_patient(seed)

    monkeypatch.setattr(patients, "draw_patient", draw)
    first = kept_patient(7, tmp_path)
    again = kept_patient(7, tmp_path)
    assert drawn == [7]
    for name in ("soft_mm", "bone_mm", "lungs", "slices"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert [one.seed for one in kept_patients(range(7, 9), tmp_path)] == [7, 8]
    assert drawn == [7, 8]


def test_a_patient_whose_file_is_damaged_is_drawn_again(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(patients, "draw_patient", plain_patient)
    kept_patient(7, tmp_path)
    (file,) = tmp_path.glob("*.npz")
    file.write_bytes(file.read_bytes()[:100])
    assert kept_patient(7, tmp_path).views == 5
    assert len(file.read_bytes()) > 100


def test_frontal_poses_come_first_and_a_seed_gives_the_same_ones() -> None:
    poses = poses_of(340_000)
    assert [one.is_lateral for one in poses] == [False] * 3 + [True] * 2
    assert poses == poses_of(340_000) != poses_of(340_001)
    assert all(abs(one.turned_deg) <= 10.0 for one in poses)


def test_a_network_that_sees_the_same_films_loses_less_of_them() -> None:
    state = State(first_weights(ViewNet, 0), habit_of(Course(seed=0, steps=60, batch=8)))
    some = [plain_patient(seed) for seed in (1, 2)]
    films = [draw_picture(some, (0, 0, n), 64) for n in range(8)]
    lost = []
    for _ in range(25):
        state.learn(films, lost_on)
        lost.append(sum(state.row().lost.values()))
    assert np.mean(lost[-3:]) < 0.7 * np.mean(lost[:3])
