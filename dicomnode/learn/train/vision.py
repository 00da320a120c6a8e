"""DeepLabv3 and VGG16 of torchvision, for any number of channels: two dimensions, weights of one's own."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class Map(nn.Module):
    """Gives the map of a network that answers with a table of maps."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, image: Tensor) -> Tensor:
        """Return what stands under "out"."""
        found: Tensor = self.inner(image)["out"]
        return found


def deeplab(models: Any, channels: int, outputs: int) -> nn.Module:
    """DeepLabv3 on ResNet-50 (Chen et al. 2017). models: torchvision.models."""
    network: Any = models.segmentation.deeplabv3_resnet50(
        weights=None, weights_backbone=None, num_classes=outputs, aux_loss=False
    )
    network.backbone.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
    return Map(network)


def vgg(models: Any, channels: int, outputs: int, dropout: float) -> nn.Module:
    """VGG16 with batch normalisation (Simonyan and Zisserman 2015). models: torchvision.models."""
    network: Any = models.vgg16_bn(weights=None, num_classes=outputs, dropout=dropout or 0.5)
    network.features[0] = nn.Conv2d(channels, 64, 3, padding=1)
    made: nn.Module = network
    return made
