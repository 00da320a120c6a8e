"""Copies: a drawing that repeats a training image is told from one that is as far as other patients' are."""

from __future__ import annotations

import numpy as np
import pytest

from dicomnode.learn.generate.generator_copies import (
    Known,
    discrepancy,
    distances,
    kernel_width,
    reduced_of,
    threshold_of,
)

from .generators import images, known


def reduced(some: list[np.ndarray]) -> np.ndarray:
    return np.stack([reduced_of(one) for one in some])


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("as it is", lambda one: one),
        ("mirrored", lambda one: one[:, :, ::-1]),
        ("paler and darker", lambda one: 0.5 * one - 0.3),
        ("with a little noise", lambda one: one + 0.02 * np.random.default_rng(9).standard_normal(one.shape)),
    ],
)
def test_a_copy_is_near_to_its_training_image_and_named_by_it(name: str, change) -> None:
    learned = known()
    threshold = threshold_of(learned.reduced, learned.names)
    assert threshold is not None
    for number, image in enumerate(images()):
        nearest = learned.nearest(reduced_of(change(image).astype(np.float32)))
        assert nearest.image == f"image-{number}", name
        assert nearest.distance <= threshold, name


def test_images_of_other_people_are_no_copies() -> None:
    learned = known(images(40))
    threshold = threshold_of(learned.reduced, learned.names)
    assert threshold is not None
    others = [learned.nearest(reduced_of(one)).distance for one in images(40, seed=2)]
    assert np.mean([one <= threshold for one in others]) <= 0.2
    assert threshold > 0.02


def test_the_threshold_is_the_twentieth_of_nearest_distances_between_patients() -> None:
    """Recomputed one pair after the other; images of the same patient do not count."""
    some = images(10)
    patients = [f"p{n // 2}" for n in range(10)]
    some[1] = some[0] + 0.001  # the same patient, nearly the same slice
    learned = Known.of((str(n), one) for n, one in enumerate(some))
    small = reduced(some).astype(float)
    nearest = []
    for n in range(10):
        far = []
        for m in range(10):
            if patients[n] != patients[m]:
                apart = [np.sqrt(np.mean((one - small[m]) ** 2)) for one in (small[n], small[n][:, ::-1])]
                far.append(min(apart) / 255)
        nearest.append(min(far))
    assert threshold_of(learned.reduced, patients) == pytest.approx(min(nearest), abs=1e-12)
    assert distances(reduced(some), learned.reduced)[3, 7] == pytest.approx(
        min(np.sqrt(np.mean((one - small[7]) ** 2)) for one in (small[3], small[3][:, ::-1])) / 255, abs=1e-12
    )


def test_of_one_patient_nothing_tells_what_a_copy_is() -> None:
    assert threshold_of(reduced(images(4)), ["p"] * 4) is None


def test_the_discrepancy_is_that_of_gretton() -> None:
    """Equation 3 there, term by term."""
    x, y = reduced(images(5)), reduced(images(7, seed=3))
    width = 0.2

    def k(a: np.ndarray, b: np.ndarray) -> float:
        squared = np.mean((a.astype(float) - b.astype(float)) ** 2) / 255**2
        return float(np.exp(-squared / (2 * width**2)))

    own_x = sum(k(x[i], x[j]) for i in range(5) for j in range(5) if i != j) / (5 * 4)
    own_y = sum(k(y[i], y[j]) for i in range(7) for j in range(7) if i != j) / (7 * 6)
    both = sum(k(one, other) for one in x for other in y) / 35
    assert discrepancy(list(x), list(y), width) == pytest.approx(own_x + own_y - 2 * both, abs=1e-9)


def test_the_discrepancy_tells_noise_from_images_of_the_same_kind() -> None:
    real, like = list(reduced(images(30))), list(reduced(images(30, seed=5)))
    rng = np.random.default_rng(1)
    noise = list(reduced([rng.standard_normal((1, 16, 16)).astype(np.float32) for _ in range(30)]))
    width = kernel_width(real, like)
    found = [discrepancy(one, real, width) for one in (like, noise)]
    assert abs(found[0]) < 0.02 < 0.05 < found[1]
    assert discrepancy(real[:1], real, width) is None
