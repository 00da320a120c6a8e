"""What the outputs of a network may mean, told from their shapes, values and the operator that makes them.

A shape leaves choices open; they come in the order of likelihood, and the first is what is proposed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from dicomnode.engine.adding.looking import Looked
from dicomnode.engine.adding.trial import Given
from dicomnode.faults import NETWORK_UNFIT, NodeError

Form = Literal["grid", "coarse", "class numbers", "row", "frames", "boxes", "list", "other"]

_SOFTMAX: Final = frozenset({"Softmax"})
_BOX: Final = 6  # numbers of a box in space
_FEATURES: Final = 64  # a longer row without probabilities is no list of classes
_EVEN: Final = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """One way to read a network.

    interpret: word of engine.toml. output: name of the output that is read; "" where several are, or there is
    one only. channels: classes or numbers that it gives. parameters: [step.INTERPRET]. sure: no other way
    is likely.
    """

    interpret: str
    output: str = ""
    channels: int = 1
    parameters: Mapping[str, Any] = field(default_factory=dict)
    sure: bool = False


def meanings(looked: Looked) -> tuple[Meaning, ...]:
    """Return the ways to read a network, the likeliest first; NodeError(NETWORK_UNFIT) when there is none."""
    forms = {one.name: _form(one, looked) for one in looked.outputs}
    found = list(_all(looked, forms))
    if found:
        return tuple(found)
    numbers = [name for name, form in forms.items() if form == "class numbers"]
    if numbers:
        reason = f"its output {numbers[0]} has the number of a class for each voxel"
        advice = "Export it without its last step (ArgMax): the node needs a number for each class."
    else:
        reason = "no output of it can be read: " + ", ".join(
            f"{one.name} {list(one.shape)}" for one in looked.outputs
        )
        advice = (
            "Maps on the grid of the input or a coarser one, rows of numbers, and boxes with scores can be."
        )
    raise NodeError(NETWORK_UNFIT, path=looked.file.name, reason=reason, advice=advice)


def _all(looked: Looked, forms: Mapping[str, Form]) -> Iterator[Meaning]:
    several = len(forms) > 1
    yield from _groups(looked, forms)
    for form, reader in _READERS.items():
        for one in looked.outputs:
            if forms[one.name] == form:
                yield from reader(one, looked, one.name if several else "")


# ── shapes ──


def _form(one: Given, looked: Looked) -> Form:
    image = looked.image
    shape = [n for n in one.shape if n != 1]
    if image is not None and image.space:
        on_grid = _on_grid(one, looked)
        if on_grid is not None:
            return on_grid
    if one.shape[-1:] == (_BOX,) and len(one.shape) in {2, 3} and image is not None:
        return "boxes"
    if len(one.shape) == 1 and image is not None:
        return "list"
    if image is not None and "t" in image.axes and one.shape[:2] == (1, looked.sides["t"]):
        return "frames"
    if len(shape) <= 1 and one.shape[:1] == (1,) and one.dtype.startswith("float"):
        return "row"
    return "other"


def _on_grid(one: Given, looked: Looked) -> Form | None:
    """Tell whether an output lies on the grid of the image, or a coarser one."""
    image = looked.image
    if image is None:
        return None
    axes = image.axes.replace("c", "") if len(one.shape) == len(image.axes) - 1 else image.axes
    if len(one.shape) != len(axes) or not set(image.space) <= set(axes):
        return None
    lengths = dict(zip(axes, one.shape, strict=True))
    steps = [looked.sides[axis] / lengths[axis] if lengths[axis] else 0.0 for axis in image.space]
    if all(step == 1.0 for step in steps):
        if one.dtype.startswith("float"):
            return "grid"
        return "class numbers"
    whole = all(step.is_integer() and step >= 1 for step in steps)
    # Pooled to a point it is a row
    return "coarse" if whole and any(lengths[axis] > 1 for axis in image.space) else None


def _channels(one: Given, looked: Looked) -> int:
    image = looked.image
    if image is None or "c" not in image.axes or len(one.shape) != len(image.axes):
        return 1
    return one.shape[image.axes.index("c")]


# ── ways to read them ──


def _groups(looked: Looked, forms: Mapping[str, Form]) -> Iterator[Meaning]:
    """Outputs that belong together: boxes with scores; heat, size and mask."""
    by_name = {one.name: one for one in looked.outputs}
    boxes = [name for name, form in forms.items() if form == "boxes"]
    lists = [name for name, form in forms.items() if form in {"list", "other", "row"}]
    if boxes and lists:
        scores = next((name for name in lists if "score" in name.lower()), "")
        scores = scores or next((name for name in lists if by_name[name].dtype.startswith("float")), lists[0])
        classes = next((n for n in lists if n != scores and not by_name[n].dtype.startswith("float")), None)
        table = {"boxes": boxes[0], "scores": scores, "activation": _activation(by_name[scores], looked)}
        count = by_name[scores].shape[-1] if len(by_name[scores].shape) > 1 else 1
        found = table | ({"classes": classes} if classes else {})
        yield Meaning(interpret="boxes", channels=count, parameters=found)
    coarse = [n for n, form in forms.items() if form == "coarse" and _channels(by_name[n], looked) == 1]
    grids = [n for n, form in forms.items() if form == "grid" and _channels(by_name[n], looked) == 1]
    if len(coarse) == 2 and len(grids) == 1 and looked.image is not None:
        heat = next((n for n in coarse if "heat" in n.lower() or "cent" in n.lower()), coarse[0])
        [size] = [n for n in coarse if n != heat]
        at = looked.image.axes.index("k" if "k" in looked.image.axes else "j")
        stride = looked.sides[looked.image.axes[at]] // by_name[heat].shape[at]
        parameters = {"heat": heat, "size": size, "mask": grids[0], "stride": stride}
        yield Meaning(interpret="centre_heat", parameters=parameters)


def _activation(one: Given, looked: Looked) -> str:
    """What makes the numbers probabilities: nothing where they are."""
    print_ = one.fingerprint
    inside = print_ is not None and print_.smallest >= 0.0 and print_.largest <= 1.0
    if inside or looked.graph.endings.get(one.name) in {"Softmax", "Sigmoid"}:
        return "none"
    return "sigmoid"


def _grid(one: Given, looked: Looked, name: str) -> Iterator[Meaning]:
    count = _channels(one, looked)
    ending = looked.graph.endings.get(one.name, "")
    values = "probabilities" if _activation(one, looked) == "none" else "logits"
    labels = Meaning(interpret="labels", output=name, channels=count, sure=ending in _SOFTMAX)
    overlap = Meaning(
        interpret="sigmoid",
        output=name,
        channels=count,
        parameters={"threshold": 0.5, "values": values},
        sure=ending == "Sigmoid",
    )
    if count > 1:
        yield from (overlap, labels) if ending == "Sigmoid" else (labels, overlap)
    else:
        yield overlap
    yield Meaning(interpret="map", output=name, channels=count)
    if count == 1:
        yield Meaning(interpret="image", output=name)


def _coarse(one: Given, looked: Looked, name: str) -> Iterator[Meaning]:
    count = _channels(one, looked)
    yield Meaning(interpret="map", output=name, channels=count)
    yield Meaning(interpret="features", output=name, channels=count)


def _row(one: Given, looked: Looked, name: str) -> Iterator[Meaning]:
    count = math.prod(one.shape)
    image = looked.image
    by_slice = image is not None and "k" not in image.axes and "t" not in image.axes
    activation = _row_activation(one, looked, count)
    word = "sequence" if by_slice else "classes"
    classes = Meaning(
        interpret=word,
        output=name,
        channels=count,
        parameters={"activation": activation},
        sure=activation == "none",
    )
    regression = Meaning(interpret="regression", output=name, channels=count)
    features = Meaning(interpret="features", output=name, channels=count)
    if activation != "none" and count == 1:
        ways = [regression, classes, features]
    elif activation != "none" and count >= _FEATURES:
        ways = [features, classes, regression]
    else:
        ways = [classes, regression, features]
    # One row a slice is no row of the whole
    yield from (one for one in ways if not by_slice or one is classes)


def _row_activation(one: Given, looked: Looked, count: int) -> str:
    print_ = one.fingerprint
    ending = looked.graph.endings.get(one.name, "")
    if ending in {"Softmax", "Sigmoid"}:
        return "none"
    if print_ is not None and count > 1 and print_.smallest >= 0.0 and abs(print_.mean * count - 1.0) < _EVEN:
        return "none"
    return "softmax" if count > 1 else "sigmoid"


def _frames(one: Given, looked: Looked, name: str) -> Iterator[Meaning]:
    count = math.prod(one.shape[2:])
    activation = _row_activation(one, looked, 1) if count == 1 else "softmax"
    if looked.graph.endings.get(one.name) in {"Softmax", "Sigmoid"}:
        activation = "none"
    yield Meaning(interpret="sequence", output=name, channels=count, parameters={"activation": activation})


_READERS: Final = {"grid": _grid, "frames": _frames, "row": _row, "coarse": _coarse}
