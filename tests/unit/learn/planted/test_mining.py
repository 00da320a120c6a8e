"""What counts as a mistake: in worlds that were drawn everything, in real scans what comes and goes."""

from __future__ import annotations

import numpy as np

from tests.fixtures.frameworks import needed

needed("torch")

from dicomnode.learn.planted.mining import mined_procedural, mined_real  # noqa: E402

from .small_worlds import small_world  # noqa: E402


def brightest(hot_above: float, *, at=None, heat: float = 4.0):
    """A network that is sure of every cell with a voxel above so many HU, and of one cell of the box."""

    def run(box: np.ndarray) -> dict[str, np.ndarray]:
        k, j, i = (side // 2 for side in box.shape[2:])
        cells = box[0, 0].reshape(k, 2, j, 2, i, 2).max(axis=(1, 3, 5))
        logits = np.where(cells > hot_above, heat, -9.0).astype(np.float32)
        if at is not None:
            logits[at] = heat
        size = np.full((k, j, i), np.log(10.0), dtype=np.float32)
        mask = np.full(box.shape, -9.0, dtype=np.float32)
        return {"heat": logits[None, None], "logd": size[None, None], "mask": mask}

    return run


def marked(seed: int, spot: tuple[int, int, int], **more):
    """A world with a small cube that stands out."""
    world = small_world(seed, **more)
    hu = np.array(world.hu)
    hu[tuple(slice(at - 1, at + 2) for at in spot)] = 2500
    return type(world)(
        name=world.name,
        hu=hu,
        lungs=world.lungs,
        sigma_kji=world.sigma_kji,
        balls=world.balls,
        places=world.places,
    )


SPOT = (28, 40, 24)
REAL = (0.6, 0.45, 0.45)


def test_in_a_drawn_world_what_is_found_is_wrong() -> None:
    found = mined_procedural(brightest(600.0), marked(1, SPOT), np.random.default_rng(0))
    assert len(found.wrong) == 1
    assert np.abs(found.wrong[0] - SPOT).max() <= 2
    assert found.ignored.shape == (0, 4)


def test_what_is_to_be_ignored_is_no_mistake() -> None:
    world = marked(1, SPOT, balls=[(*SPOT, 6)])
    assert mined_procedural(brightest(600.0), world, np.random.default_rng(0)).wrong.shape == (0, 3)


def test_in_a_real_scan_what_stays_where_it_is_may_be_a_nodule() -> None:
    found = mined_real(brightest(1500.0), marked(1, SPOT, sigma=REAL))
    assert found.wrong.shape == (0, 3)
    assert len(found.ignored) == 1
    assert np.abs(found.ignored[0, :3] - SPOT).max() <= 2
    assert found.ignored[0, 3] > 4


def test_in_a_real_scan_what_is_gone_when_it_is_shifted_is_wrong() -> None:
    world = marked(1, SPOT, sigma=REAL)
    seen: list[int] = []

    def run(box: np.ndarray) -> dict[str, np.ndarray]:
        seen.append(1)
        return brightest(9000.0, at=(14, 20, 12) if len(seen) == 1 else None)(box)

    found = mined_real(run, world)
    assert len(seen) == 3
    assert len(found.wrong) == 1
    assert found.ignored.shape == (0, 4)
