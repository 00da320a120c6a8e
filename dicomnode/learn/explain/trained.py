"""The network of an engine as it was trained: in torch, with the weights that lie beside the package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from scipy.special import softmax
from torch import nn

from dicomnode.analyse.grids import Float32
from dicomnode.engine import Classes, EnginePackage, Head, StepSpec
from dicomnode.faults import EXPLANATION_CLASS, NOT_EXPLAINABLE, NodeError
from dicomnode.learn.train.networks import build
from dicomnode.learn.train.recipe import RECIPE_FILE, read_recipe
from dicomnode.learn.train.row_lessons import tensor_of
from dicomnode.learn.train.shapes import Shape
from dicomnode.learn.train.transfer import WEIGHTS_FILE, take_weights


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainedNetwork:
    """A classifier. names: of all its classes in their order; labels: the channel of each [[output]].

    flat: it sees pictures, without the axis k. temperature: divides its logits.
    """

    engine: str
    network: nn.Module
    names: tuple[str, ...]
    labels: Mapping[str, int]
    temperature: float
    flat: bool

    def channel_of(self, name: str) -> int:
        """Return the number of a class, by its name or its output's label; NodeError(EXPLANATION_CLASS)."""
        if name in self.labels:
            return self.labels[name]
        if name in self.names:
            return self.names.index(name)
        known = ", ".join(dict.fromkeys((*self.labels, *self.names)))
        raise NodeError(EXPLANATION_CLASS, engine=self.engine, name=name, known=known)

    def probability(self, inputs: Float32, channel: int) -> float:
        """Return what it says of an input (c, k, j, i)."""
        with torch.no_grad():
            row = self.network(tensor_of([inputs], flat=self.flat))[0].double().numpy()
        return float(softmax(row / self.temperature)[channel])


def read_network(package: EnginePackage) -> TrainedNetwork:
    """Build the network of an engine that `dicomnode train classify` made, and give it its weights.

    Raises NodeError: NOT_EXPLAINABLE, RECIPE_WRONG, INIT_UNFIT, TRAIN_MISSING, NETWORK_UNBUILT.
    """
    manifest = package.manifest
    step, head = _classifier(package)
    for name in (RECIPE_FILE, WEIGHTS_FILE):
        if not (package.folder / name).is_file():
            raise NodeError(NOT_EXPLAINABLE, engine=manifest.name, reason=f"its folder has no {name}")
    recipe = read_recipe(package.folder / RECIPE_FILE, "classify", {})
    how = head.classes or Classes()
    _, channels, *sides = step.gate.shape if step.gate is not None else ()
    flat = len(sides) == 2
    k, j, i = (1, *sides) if flat else sides
    # Strides are of networks that give maps
    network = build(recipe, Shape(patch_kji=(k, j, i), strides=()), channels, len(how.names))
    taken = take_weights(network, recipe.net, package.folder)
    if taken.fresh:
        reason = f"{WEIGHTS_FILE} lacks {len(taken.fresh)} tensors of the network"
        raise NodeError(NOT_EXPLAINABLE, engine=manifest.name, reason=reason)
    labels = {one.label: manifest.channel_of(one) for one in manifest.output if one.what == "classification"}
    return TrainedNetwork(
        engine=manifest.name,
        network=network.eval(),
        names=how.names,
        labels=labels,
        temperature=how.temperature,
        flat=flat,
    )


def _classifier(package: EnginePackage) -> tuple[StepSpec, Head]:
    """Return the only network and its head of classes; NodeError(NOT_EXPLAINABLE)."""
    manifest = package.manifest
    found = [(step, head) for step in manifest.networks for head in step.heads if head.interpret == "classes"]
    if len(manifest.step) != 1 or len(found) != 1 or found[0][0].gate is None:
        reason = "it is not a single network that tells classes"
        raise NodeError(NOT_EXPLAINABLE, engine=manifest.name, reason=reason)
    ((step, head),) = found
    others = {one.interpret for one in step.heads} - {"classes", "map"}
    if others:
        reason = f"its network answers further questions ({', '.join(sorted(map(str, others)))})"
        raise NodeError(NOT_EXPLAINABLE, engine=manifest.name, reason=reason)
    how = head.classes or Classes()
    if how.activation != "softmax" or len(how.names) < 2 or len(manifest.volumes) != 1:
        reason = "its classes are not named, do not exclude each other, or are of several series"
        raise NodeError(NOT_EXPLAINABLE, engine=manifest.name, reason=reason)
    return step, head
