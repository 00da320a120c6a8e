"""Whether the networks of a package are what its engine.toml says, found out when they are loaded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dicomnode.analyse.interpret import UnreadableError
from dicomnode.analyse.networks import feeds_of
from dicomnode.engine import Classes, Feed, Head, Manifest, Session, StepSpec

_LEAST_SIDE = 32  # voxels of the box that warms a network up


def network_problems(manifest: Manifest, step: StepSpec, session: Session) -> list[str]:
    """Say what the inputs and outputs of a network have that engine.toml does not, or the other way round."""
    try:
        feeds = feeds_of(step, session, manifest.input[0].name)
    except UnreadableError as error:
        return [f"step {step.name}: {error}"]
    problems = []
    for spec in session.inputs:
        axes = _axes(manifest, feeds[spec.name])
        if len(spec.shape) != len(axes):
            problems.append(
                f"step {step.name}: the network takes {spec}, engine.toml gives it the axes {axes}"
            )
            continue
        given, taken = _given(manifest, feeds[spec.name]), dict(zip(axes, spec.shape, strict=True))
        wanted = taken.get("f" if axes == "nf" else "c", 1)
        if given is not None and wanted and wanted != given:
            what = "numbers" if axes == "nf" else "channels"
            problems.append(f"step {step.name}: {spec.name} takes {wanted} {what}, engine.toml gives {given}")
    names = [spec.name for spec in session.outputs]
    for head in step.heads:
        if _always_certain(head, session):
            problems.append(
                f"step {step.name}: a softmax over the only class is always 1; "
                'activation = "sigmoid" makes a probability of one number'
            )
        problems += [
            f"step {step.name}: the network has no output {name}, it has {', '.join(names)}"
            for name in _named(head)
            if name not in names
        ]
    return problems


def empty_inputs(manifest: Manifest, step: StepSpec, session: Session) -> dict[str, NDArray[np.generic]]:
    """Make the inputs of a small empty box, that a network can be warmed up with."""
    feeds = feeds_of(step, session, manifest.input[0].name)
    multiple = step.crop.multiple if step.crop else 1
    side = -(-_LEAST_SIDE // multiple) * multiple
    sides = dict(zip("kji", step.window.size_kji or (side, side, side), strict=True))
    made: dict[str, NDArray[np.generic]] = {}
    for spec in session.inputs:
        feed = feeds[spec.name]
        axes = _axes(manifest, feed)
        tried = step.gate.for_input(spec.name).shape if step.gate else ()
        free = {"n": 1, "c": _channels(manifest, feed), "t": side, **sides}
        if len(tried) == len(axes):  # what no name tells, the gate was tried with
            free["f"] = tried[-1]
        shape = [length or free.get(axis, 1) for axis, length in zip(axes, spec.shape, strict=True)]
        made[spec.name] = np.full(shape, step.crop.pad if step.crop else 0.0, dtype=spec.dtype)
    return made


def _axes(manifest: Manifest, feed: Feed) -> str:
    """Return the axes of an input: of a row of numbers, "nf"."""
    return "nf" if _is_row(manifest, feed.of[0]) else feed.axes


def _given(manifest: Manifest, feed: Feed) -> int | None:
    """Return how many channels, or numbers, engine.toml gives an input; None where a step decides that."""
    inputs = {one.name: one for one in manifest.input}
    if not set(feed.of) <= set(inputs):
        return None
    if _is_row(manifest, feed.of[0]):
        return sum(len(inputs[name].tags) for name in feed.of)
    return _channels(manifest, feed)


def _channels(manifest: Manifest, feed: Feed) -> int:
    """Return how many channels an input of a network has; one of each earlier step."""
    inputs = {one.name: one.channels for one in manifest.input}
    return sum(inputs.get(name, 1) for name in feed.of) * (2 * feed.neighbours + 1)


def _always_certain(head: Head, session: Session) -> bool:
    """Tell whether the classes of a head are the softmax of a single number."""
    if head.interpret != "classes" or (head.classes or Classes()).activation != "softmax":
        return False
    shapes = [one.shape for one in session.outputs if head.output in (None, one.name)]
    return len(shapes) == 1 and len(shapes[0]) > 1 and all(length == 1 for length in shapes[0][1:])


def _is_row(manifest: Manifest, source: str) -> bool:
    for given in manifest.input:
        if given.name == source:
            return given.kind == "tags"
    step, _, head = source.partition("/")
    return manifest.step_named(step).head_named(head).interpret == "features"


def _named(head: Head) -> list[str]:
    """Return the outputs of the network that a head names."""
    named: list[str | None] = [head.output]
    if head.boxes is not None:
        named += [head.boxes.boxes, head.boxes.scores, head.boxes.classes]
    if head.anomaly is not None:
        named += [head.anomaly.score, head.anomaly.map, head.anomaly.reconstruction]
    if head.sequence is not None:
        named.append(head.sequence.study)
    return [name for name in named if name is not None]
