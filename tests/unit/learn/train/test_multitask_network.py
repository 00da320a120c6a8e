"""The network of several questions: a map and rows of one encoder, of every size that is planned."""

from __future__ import annotations

import pytest

from dicomnode.faults import NETWORK_UNBUILT, NodeError
from dicomnode.learn.train.multitask_network import multitask_network
from dicomnode.learn.train.networks import freeze
from dicomnode.learn.train.recipe import read_recipe
from dicomnode.learn.train.shapes import shape_of
from tests.fixtures.frameworks import needed

torch = needed("torch")

VOLUME, FLAT, THICK = (16, 16, 16), (1, 32, 32), (6, 32, 32)
WIDTHS = (3, 1, 2)


def made(network: str | None, patch, structures: int = 2, **more):
    given = {"width": 8, "levels": 3, **more, **({"network": network} if network else {})}
    recipe = read_recipe(None, "multitask", given)
    torch.manual_seed(1)
    return multitask_network(recipe, shape_of(patch, (1.0, 1.0, 1.0), 3), 1, structures, WIDTHS)


@pytest.mark.parametrize(
    ("network", "patch"),
    [("dynunet", VOLUME), ("dynunet", FLAT), ("dynunet", THICK), ("segresnet", VOLUME), ("segresnet", FLAT)],
)
def test_it_gives_a_map_of_the_size_of_the_images_and_a_row_for_each_question(network, patch) -> None:
    size = patch[1:] if patch[0] == 1 else patch
    network = made(network, patch)
    found = network(torch.randn(2, 1, *size))
    assert [tuple(one.shape) for one in found] == [(2, 2, *size), (2, 3), (2, 1), (2, 2)]
    assert len(network.state_dict()) == len(list(network.parameters())), "each weight has one name"


def test_segresnet_gives_the_map_that_monai_gives() -> None:
    """The blocks are taken apart and put together: of MONAI's whole network nothing is lost."""
    from monai.networks.nets import SegResNet

    inner = SegResNet(
        spatial_dims=3,
        in_channels=1,
        out_channels=2,
        init_filters=8,
        blocks_down=(1,) * 3,
        blocks_up=(1,) * 2,
    )
    network = made("segresnet", VOLUME)
    renamed = {}
    for name, tensor in inner.state_dict().items():
        where, _, rest = name.partition(".")
        number, _, deep = rest.partition(".")
        renamed[
            {
                "convInit": f"encoder.0.0.{rest}",
                "down_layers": f"encoder.0.1.{deep}" if number == "0" else f"encoder.{number}.{deep}",
                "up_samples": f"decoder.{number}.larger.{deep}",
                "up_layers": f"decoder.{number}.block.{deep}",
                "conv_final": f"last.{rest}",
            }[where]
        ] = tensor
    missing, strange = network.load_state_dict(renamed, strict=False)
    assert not strange
    assert all(name.startswith("rows.") for name in missing)
    image = torch.randn(1, 1, *VOLUME)
    with torch.no_grad():
        assert torch.allclose(network.eval()(image)[0], inner.eval()(image), atol=1e-6)


def test_without_outlines_a_network_of_rows_is_cut_and_keeps_the_names_of_its_weights() -> None:
    from dicomnode.learn.train.networks import build

    network = made("gru", VOLUME, structures=0)
    found = network(torch.randn(2, 1, *VOLUME))
    assert [tuple(one.shape) for one in found] == [(2, 3), (2, 1), (2, 2)]
    recipe = read_recipe(None, "classify", {"network": "gru", "width": 8})
    alone = build(recipe, shape_of(VOLUME, (1.0, 1.0, 1.0), 3), 1, 6)
    assert list(network.state_dict()) == list(alone.state_dict())


@pytest.mark.parametrize(("network", "structures"), [("densenet121", 1), ("dynunet", 0)])
def test_a_map_is_asked_of_networks_that_have_one_alone(network: str, structures: int) -> None:
    with pytest.raises(NodeError) as caught:
        made(network, VOLUME, structures=structures)
    assert caught.value.fault is NETWORK_UNBUILT
    assert "dynunet or segresnet" in str(caught.value)


def test_what_cannot_be_built_is_told_in_words() -> None:
    with pytest.raises(NodeError) as caught:
        made("dynunet", (4, 4, 4))
    assert caught.value.fault is NETWORK_UNBUILT


@pytest.mark.parametrize(
    ("part", "free"), [("encoder", {"decoder", "last", "rows"}), ("all-but-head", {"rows"})]
)
def test_what_is_frozen_is_the_encoder_or_all_but_the_rows(part: str, free: set[str]) -> None:
    network = made("dynunet", VOLUME)
    freeze(network, part)
    learned = {name.partition(".")[0] for name, one in network.named_parameters() if one.requires_grad}
    assert learned == free


@pytest.mark.parametrize("network", ["dynunet", "segresnet"])
def test_at_first_hardly_a_voxel_is_taken_for_a_structure(network: str) -> None:
    found = made(network, VOLUME)(torch.zeros(1, 1, *VOLUME))[0]
    assert torch.sigmoid(found).max() < 0.05


def test_a_row_hears_how_strong_a_feature_is() -> None:
    """Norms of each channel alone would take it away: a brighter organ gives another row."""
    network = made("dynunet", VOLUME).eval()
    image = torch.zeros(2, 1, *VOLUME)
    image[:, :, 4:12, 4:12, 4:12] = 1.0
    image[1] *= 3.0
    with torch.no_grad():
        first, second = network(image)[1]
    assert (first - second).abs().max() > 1e-3
