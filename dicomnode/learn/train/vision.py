"""DeepLabv3 and VGG16 of torchvision, for any number of channels: two dimensions, named as its own are."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional


class DeepLab(nn.Module):
    """Images (n, c, j, i) → (n, outputs, j, i): torchvision's backbone and head, without a table of maps."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.backbone: nn.Module = network.backbone
        self.classifier: nn.Module = network.classifier

    def forward(self, image: Tensor) -> Tensor:
        """Return the map, as large as the image."""
        found: Tensor = self.classifier(self.backbone(image)["out"])
        return functional.interpolate(found, size=image.shape[-2:], mode="bilinear", align_corners=False)


class Vgg(nn.Module):
    """Images (n, c, j, i) → (n, outputs): the convolutions, the mean over places, one linear layer.

    VGG16's own three linear layers hold 120 of its 138 million numbers and want pictures of one size; a mean
    in their place is usual where little is to be learned from, and gives a class activation map.
    """

    def __init__(self, features: nn.Module, outputs: int, dropout: float) -> None:
        super().__init__()
        self.features = features
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(512, outputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image: Tensor) -> Tensor:
        """Return the row."""
        found: Tensor = self.head(self.dropout(self.pool(self.features(image)).flatten(1)))
        return found


def deeplab(models: Any, channels: int, outputs: int) -> nn.Module:
    """DeepLabv3 on ResNet-50 (Chen et al. 2017). models: torchvision.models."""
    network: Any = models.segmentation.deeplabv3_resnet50(
        weights=None, weights_backbone=None, num_classes=outputs, aux_loss=False
    )
    network.backbone.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
    return DeepLab(network)


def vgg(models: Any, channels: int, outputs: int, dropout: float) -> nn.Module:
    """VGG16 with batch normalisation (Simonyan and Zisserman 2015). models: torchvision.models."""
    features: Any = models.vgg.make_layers(models.vgg.cfgs["D"], batch_norm=True)
    features[0] = nn.Conv2d(channels, 64, 3, padding=1)
    return Vgg(features, outputs, dropout)
