"""The network and what it loses."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest

from tests.fixtures.frameworks import needed

torch = needed("torch")

from dicomnode.learn.planted.loss import Target, lost  # noqa: E402
from dicomnode.learn.planted.network import Calibrated, NoduleNetwork, folded, unfolded  # noqa: E402


def target() -> Target:
    mask = torch.zeros(1, 1, 16, 16, 16)
    mask[..., 6:10, 6:10, 6:10] = 1.0
    heat = torch.zeros(1, 1, 8, 8, 8)
    heat[..., 4, 4, 4] = 1.0
    return Target(mask=mask, ignore=torch.zeros_like(mask), heat=heat, size=heat * 1.6, sized=heat.clone())


def said(of: Target, sure: float) -> tuple:
    heat = torch.where(of.heat > 0.9, sure, -sure)
    return heat, of.size.clone(), torch.where(of.mask > 0.5, sure, -sure)


def test_folding_loses_nothing() -> None:
    x = torch.randn(2, 1, 8, 12, 16)
    assert folded(x).shape == (2, 8, 4, 6, 8)
    assert torch.equal(unfolded(folded(x)), x)


def test_its_outputs_lie_on_the_cells_and_voxels_of_any_box() -> None:
    network = NoduleNetwork().eval()
    with torch.no_grad():
        heat, size, mask = network(torch.full((1, 1, 16, 32, 48), -850.0))
    assert heat.shape == size.shape == (1, 1, 8, 16, 24)
    assert mask.shape == (1, 1, 16, 32, 48)


def test_its_weights_are_no_more_than_4_mb() -> None:
    content = io.BytesIO()
    torch.save(
        {name: one for name, one in NoduleNetwork().state_dict().items() if "norm" not in name}, content
    )
    assert len(content.getvalue()) < 4_010_000  # of which some 30 kB are the archive's own
    assert sum(one.numel() for one in NoduleNetwork().parameters()) * 4 < 4_000_000


def test_what_is_said_of_a_place_does_not_hang_on_the_size_of_the_box() -> None:
    torch.manual_seed(0)
    network = NoduleNetwork().eval()
    box = torch.full((1, 1, 160, 32, 32), -1000.0)
    box[:, :, :48] = torch.randn(1, 1, 48, 32, 32) * 100 - 800
    with torch.no_grad():
        small, large = network(box[:, :, :128])[0], network(box)[0]
    assert torch.allclose(small[:, :, :16], large[:, :, :16], atol=1e-5)


def test_a_calibrated_network_says_the_same_on_another_scale() -> None:
    network = NoduleNetwork().eval()
    hu = torch.randn(1, 1, 16, 16, 16) * 100 - 800
    with torch.no_grad():
        plain, lined = network(hu), Calibrated(network, 1.5, -0.25)(hu)
    assert torch.allclose(lined[0], plain[0] * 1.5 - 0.25)
    assert torch.equal(lined[1], plain[1])
    assert torch.equal(lined[2], plain[2])
    with pytest.raises(ValueError, match="above 0"):
        Calibrated(network, 0.0, 0.0)


def test_who_is_right_loses_less_in_every_part() -> None:
    truth = target()
    right, wrong = lost(said(truth, 4.0), truth), lost(said(truth, -4.0), truth)
    # Dice of so small a box is softened by the voxels that an empty batch has
    for part, share in (("heat", 0.1), ("entropy", 0.1), ("dice", 0.5)):
        assert float(getattr(right, part)) < share * float(getattr(wrong, part))
    heat, size, mask = said(truth, 4.0)
    assert float(lost((heat, size + 0.7, mask), truth).size) == pytest.approx(0.5 * (0.7 - 0.05), abs=1e-5)


def test_what_is_ignored_teaches_nothing() -> None:
    truth = target()
    ignore = torch.zeros_like(truth.ignore)
    ignore[..., :8, :, :] = 1.0
    known = replace(truth, ignore=ignore)
    found = tuple(one.clone().requires_grad_() for one in said(truth, 0.5))
    lost(found, known).whole.backward()
    heat, size, mask = (one.grad for one in found)
    assert not heat[..., :4, :, :].any()
    assert not mask[..., :8, :, :].any()
    assert heat[..., 4:, :, :].any()
    assert mask[..., 8:, :, :].any()
    assert size[..., 4:, :, :].numpy().size == np.count_nonzero(size[..., 4:, :, :].numpy() == 0)  # all said


def test_an_empty_batch_can_be_learned_from() -> None:
    truth = target()
    empty = Target(**{name: torch.zeros_like(getattr(truth, name)) for name in Target.__slots__})
    found = tuple(one.clone().requires_grad_() for one in said(truth, 1.0))
    whole = lost(found, empty).whole
    whole.backward()
    assert torch.isfinite(whole)
    assert found[0].grad.any()
