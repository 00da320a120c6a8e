"""Films with planted opacities, and a small network that learns in seconds to tell who has one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from dicomnode.evaluate.pointing import LesionBox
from dicomnode.learn.generate.flat import draw_film
from dicomnode.learn.generate.plan import SynthPlan, planned_cases
from dicomnode.values import Grid

SIDE = 64
GRID = Grid((1, SIDE, SIDE), np.diag([5.0, 5.0, 5.0, 1.0]), "")
_EPOCHS, _BATCH = 10, 16


@dataclass(frozen=True)
class Film:
    """inputs: (1, 1, j, i), scaled. box: of its opacity, None without one."""

    patient: str
    inputs: np.ndarray
    box: LesionBox | None


def films(seed: int, count: int) -> list[Film]:
    plan = SynthPlan(kind="discs", cases=count, seed=seed, contrast_to_noise=20.0)
    made = []
    for case in planned_cases(plan):
        drawing = draw_film(plan, case)
        pixels = drawing.picture.pixels[0, :, :, 0].astype(np.float32)
        box = None
        for one in drawing.boxes:
            mask = np.zeros(GRID.shape_kji, dtype=bool)
            mask[0, slice(*one.rows), slice(*one.columns)] = True
            box = LesionBox.around(mask, GRID)
        inputs = ((pixels - pixels.mean()) / pixels.std())[np.newaxis, np.newaxis]
        made.append(Film(patient=str(case.patient), inputs=inputs, box=box))
    return made


def network(seed: int, width: int = 8) -> nn.Module:
    """Five convolutions, a mean, a linear layer; with random weights."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    channels = 1
    for wide, step in ((width, 1), (width, 2), (2 * width, 1), (2 * width, 2), (2 * width, 1)):
        layers += [nn.Conv2d(channels, wide, 3, step, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU()]
        channels = wide
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 2)).eval()


def taught(some: list[Film]) -> nn.Module:
    """Learn who has an opacity, and nothing of where."""
    images = torch.from_numpy(np.concatenate([one.inputs for one in some]))
    truth = torch.tensor([int(one.box is not None) for one in some])
    net, draw = network(0).train(), torch.Generator().manual_seed(0)
    steps = -(-len(some) // _BATCH)
    optimiser = torch.optim.AdamW(net.parameters(), 3e-3, weight_decay=1e-2)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, total_steps=_EPOCHS * steps)
    for _ in range(_EPOCHS):
        for batch in torch.randperm(len(some), generator=draw).split(_BATCH):
            given = images[batch]
            if torch.rand((), generator=draw) < 0.5:
                given = given.flip(3)
            optimiser.zero_grad()
            nn.functional.cross_entropy(net(given), truth[batch]).backward()
            optimiser.step()
            rate.step()
    return net.eval()
