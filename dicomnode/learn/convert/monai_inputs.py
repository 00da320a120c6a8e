"""What a bundle gives its network: one series or several as channels, volumes or slices of them.

MONAI stacks channels in two ways: LoadImaged of a list of files for one key, or one key a channel and
ConcatItemsd. Either way all lie on one grid, that of the first. A network of two dimensions sees slices:
those of a volume (SliceInferer), or pictures that each were a file; here both are the slices of a series.
Source: monai.data.image_reader, monai.transforms.utility, monai.inferers (1.6).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dicomnode.faults import NO_FORM, NodeError
from dicomnode.learn.convert.monai_bundle import BundleTexts, data_format
from dicomnode.learn.convert.monai_calls import Call, unanswered
from dicomnode.learn.convert.monai_transforms import Origin, image_keys, preparation_of

Entry = dict[str, Any]

_CHANGES_GRID: Final = frozenset(
    {"orient", "resample", "resize", "crop_foreground", "crop_centre", "pad"}
)  # of what `preparation_of` makes
_SPATIAL: Final = frozenset(
    {
        "Orientationd",
        "Spacingd",
        "Resized",
        "CropForegroundd",
        "CenterSpatialCropd",
        "SpatialPadd",
        "DivisiblePadd",
    }
)
_COLOURS: Final = ({"r", "g", "b"}, {"red", "green", "blue"})
_PUT_ONTO: Final = "ResampleToMatchd"
_JOINED: Final = "ConcatItemsd"
_BY_THE_NODE: Final = (
    f"{_PUT_ONTO}: further series are put onto the grid of the first one by the node, trilinear."
)
_MOST_CHANNELS: Final = 16
_LAST: Final = 2  # the axis of a stack of pictures that they follow each other along


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleImage:
    """The image that a bundle's network sees.

    names: of its channels. entries: `prepare` of each channel, which change the grid alike. slices_along:
    axis of MONAI's tensor that a network of two dimensions sees slice by slice, which is k after `entries`;
    None of a network of three. left_out: sentences on what is not the same.
    """

    names: tuple[str, ...]
    entries: tuple[list[Entry], ...]
    slices_along: int | None = None
    left_out: tuple[str, ...] = ()

    @property
    def flat(self) -> bool:
        """Whether the network has two dimensions."""
        return self.slices_along is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a network of two dimensions sees the series; both say nothing of one of three.

    slices: axis of a volume that it goes along slice by slice. pictures: each slice was an image of its own.
    """

    slices: int | None = None
    pictures: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Channels:
    """Channels of the image under the key `joined`: the key that each is loaded under, and its name."""

    keys: tuple[str, ...]
    names: tuple[str, ...]
    joined: str


def image_of(
    calls: Sequence[Call], texts: BundleTexts, answers: Mapping[str, Any], source: str, layout: Layout
) -> BundleImage:
    """Read what the transforms before the network make of the images.

    Raises NodeError: NO_FORM by name, QUESTIONS_OPEN where nobody says the orientation.
    """
    leave_out = [str(one) for one in answers.get("leave_out", ())]
    channels = _channels(calls, texts, leave_out, source)
    onto_first = [call for call in calls if _puts_onto_first(call, calls, channels)]
    entries = []
    for number, key in enumerate(channels.keys):
        origin = Origin(
            keys=tuple(dict.fromkeys((key, channels.joined))),
            joined=channels.joined,
            channels=len(channels.keys),
            channel=number,
            pictures=layout.pictures,
            monai_version=_version(texts.metadata),
        )
        made = preparation_of([call for call in calls if call not in onto_first], origin, leave_out)
        entries.append(_oriented(made, answers, source))
    grids = [[entry for entry in one if _CHANGES_GRID & set(entry)] for one in entries]
    if any(one != grids[0] for one in grids):
        reason = f"its transforms change the grids of {', '.join(channels.keys)} in different ways"
        raise NodeError(NO_FORM, source=source, what=_JOINED, reason=reason)
    axis = _LAST if layout.pictures else layout.slices
    return BundleImage(
        names=channels.names,
        entries=tuple(entries if axis is None else [_slices_first(one, axis) for one in entries]),
        slices_along=axis,
        left_out=(*_left_out(calls, leave_out), *([_BY_THE_NODE] if onto_first else [])),
    )


def _left_out(calls: Sequence[Call], leave_out: Sequence[str]) -> list[str]:
    names = [call.name for call in calls if call.name in leave_out]
    return [f"{name} of the bundle is left out, as the answers say." for name in names]


def _slices_first(entries: Sequence[Entry], axis: int) -> list[Entry]:
    """Return the entries with a last one that makes `axis` of MONAI's tensor the first of its axes.

    Last, as where MONAI puts a new grid hangs on the order of the axes, by the rounding of its arithmetic.
    """
    if axis == 0:
        return list(entries)
    letters = next(entry["orient"] for entry in reversed(entries) if "orient" in entry)[::-1]
    order = (axis, *(one for one in range(len(letters)) if one != axis))
    return [*entries, {"orient": "".join(letters[one] for one in reversed(order))}]


# ── channels ──


def _channels(calls: Sequence[Call], texts: BundleTexts, leave_out: Sequence[str], source: str) -> _Channels:
    loaded = tuple(dict.fromkeys(image_keys(calls))) or ("image",)
    stated = data_format(texts, "inputs")
    count = stated.get("num_channels", len(loaded))
    if isinstance(count, bool) or not isinstance(count, int) or not 0 < count <= _MOST_CHANNELS:
        reason = f"num_channels is {count!r}, not a number from 1 to {_MOST_CHANNELS}"
        raise NodeError(NO_FORM, source=source, what="network", reason=reason)
    names = _stated_names(stated, count)
    if {name.lower() for name in names} in _COLOURS:
        reason = "its channels are the colours of a photograph; the node gives networks volumes"
        raise NodeError(NO_FORM, source=source, what="network", reason=reason)
    join = next((call for call in calls if call.name == _JOINED), None)
    if join is not None:
        keys = tuple(_listed(join.take("keys")))
        join.only("dim", 0)
        joined = str(join.take("name"))
    elif len(loaded) == 1:
        return _Channels(keys=loaded * count, names=names, joined=loaded[0])
    elif leave_out and count == len(loaded):
        # What stacks them is code of the bundle that the answers leave out: the network's input is the stack
        keys, joined = loaded, stated_key(texts)
    else:
        reason = f"it loads {', '.join(loaded)} and stacks them by nothing that is known ({_JOINED})"
        raise NodeError(NO_FORM, source=source, what="LoadImaged", reason=reason)
    if not set(keys) <= set(loaded) or len(set(keys)) != len(keys) or count != len(keys):
        reason = f"it stacks {', '.join(keys)} for a network of {count} channels; here one key is one channel"
        raise NodeError(NO_FORM, source=source, what=_JOINED, reason=reason)
    return _Channels(keys=keys, names=keys, joined=joined)


def stated_key(texts: BundleTexts) -> str:
    """Return the key of the network's input in metadata.json."""
    formats = texts.metadata.get("network_data_format")
    inputs = formats.get("inputs") if isinstance(formats, Mapping) else None
    return str(next(iter(inputs), "image")) if isinstance(inputs, Mapping) else "image"


def _stated_names(stated: Mapping[str, Any], count: int) -> tuple[str, ...]:
    named = stated.get("channel_def")
    table = named if isinstance(named, Mapping) else {}
    return tuple(str(table.get(str(n)) or n) for n in range(count))


def _puts_onto_first(call: Call, calls: Sequence[Call], channels: _Channels) -> bool:
    """Tell whether a transform puts further channels onto the grid that the first one still has."""
    if call.name != _PUT_ONTO or call.take("key_dst") != channels.keys[0]:
        return False
    first = channels.keys[0]
    before = [one for one in calls[: calls.index(call)] if one.name in _SPATIAL]
    if any(first in _listed(one.take("keys", [])) for one in before):
        call.refuse(f"{first} had another grid by then; the node puts series together before all else")
    if call.take("mode", "bilinear") not in ("bilinear", "trilinear", ["bilinear"]):
        call.refuse(f"mode is {call.take('mode')!r}")
    return True


def _listed(value: Any) -> list[str]:
    return [str(one) for one in (value if isinstance(value, list) else [value])]


# ── what holds for all ──


def _oriented(entries: list[Entry], answers: Mapping[str, Any], source: str) -> list[Entry]:
    """A bundle that turns nothing takes images as their files lie: that is for its maker to say."""
    if any("orient" in entry for entry in entries):
        return entries
    code = answers.get("orientation")
    if code is None:
        question = "how the axes of its training images ran, as it turns none (RAS, LPS …)"
        raise unanswered(source, {"orientation": question}, "orientation=RAS")
    call = Call(source, "orientation", "Orientationd", {"keys": ["image"], "axcodes": code})
    return [*preparation_of([call], Origin(keys=("image",), monai_version=(1,)), ()), *entries]


def _version(metadata: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(int(one) for one in re.findall(r"\d+", str(metadata.get("monai_version", "")))[:3]) or (1,)
