"""What plans.json and dataset.json of an nnU-Net v2 result say, read into values that cannot be wrong.

Field names and defaults are those of nnunetv2 2.8 (plans_handler, label_handling, default_preprocessor).
Whatever the node has no form for raises `UnfitError` with a sentence: no key that would change the result is
passed over.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from dicomnode.learn.convert.nnunet_architecture import Architecture, check_patch, read_architecture
from dicomnode.learn.convert.nnunet_keys import (
    Json,
    UnfitError,
    counts,
    items,
    number,
    positive,
    short,
    subtable,
)

Interpolation = Literal["linear", "cubic"]

NORMALISATIONS: Final = (
    "CTNormalization",
    "ZScoreNormalization",
    "RescaleTo01Normalization",
    "RGBTo01Normalization",
    "NoNormalization",
)
# Of volumes; others read pictures without a place in the patient
READERS: Final = ("SimpleITKIO", "NibabelIO", "SimpleITKIOWithReorient", "NibabelIOWithReorient")
_ORDERS: Final[Mapping[int, Interpolation]] = {1: "linear", 3: "cubic"}
_LONGEST_PATCH: Final = 4096
_LARGEST_PATCH: Final = 2**24  # what the gate of an engine tries
_CT: Final = "CTNormalization"
_MEASURED: Final = ("percentile_00_5", "percentile_99_5", "mean", "std")
_MOST_LABELS: Final = 1000
_LEAST_STD: Final = 1e-8  # what nnU-Net divides by where there is no spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampling:
    """How values come onto another grid. thick: across thick slices the nearest plane is taken."""

    interpolation: Interpolation
    thick: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One input channel: its name, how it is normalised, and by which intensities (of CT alone)."""

    name: str
    normalisation: str
    masked: bool
    low: float
    high: float
    mean: float
    std: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One channel of the output. rest: a region that later ones are taken out of in nnU-Net's answer."""

    name: str
    rest: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A configuration of an nnU-Net. Axes are the network's own, after `transpose`.

    spacing_mm, patch: along them, two for a 2D configuration. transpose: which axis of the image (z, y, x)
    each axis of the network is. resampling: None where the images are taken as they are. labels: of the
    output's channels; of `regions` channel 0 is the first, else channel 0 is the background.
    """

    dataset: str
    configuration: str
    reader: str
    architecture: Architecture
    spacing_mm: tuple[float, ...]
    patch: tuple[int, ...]
    transpose: tuple[int, int, int]
    resampling: Resampling | None
    back: Resampling | None
    channels: tuple[Channel, ...]
    labels: tuple[Label, ...]
    regions: bool

    @property
    def classes(self) -> int:
        """Channels of the network's output."""
        return len(self.labels) + (0 if self.regions else 1)


class SecondStageError(UnfitError):
    """A configuration that sees, beside the images, what another one found on a grid of its own."""

    def __init__(self, previous: str) -> None:
        super().__init__(f"it needs the answer of {previous}")
        self.previous = previous


def read_plan(plans: Json, dataset: Json, configuration: str) -> Plan:
    """Read one configuration; raises UnfitError, of a cascade's second stage SecondStageError."""
    settings = _inherited(plans, configuration)
    if settings.get("previous_stage"):
        raise SecondStageError(short(settings["previous_stage"]).strip("'"))
    _only_known(settings, "preprocessor_name", "DefaultPreprocessor")
    _only_known(plans, "label_manager", "LabelManager")
    reader = str(plans.get("image_reader_writer", READERS[0]))
    if reader not in READERS:
        raise UnfitError(f"its images are read by {reader}; known are {', '.join(READERS)}")
    patch, spacing = counts(settings, "patch_size", _LONGEST_PATCH), positive(settings, "spacing")
    if len(patch) not in {2, 3} or len(spacing) != len(patch):
        raise UnfitError(f"patch_size is {list(patch)} and spacing {list(spacing)}: 2 or 3 axes are known")
    if math.prod(patch) > _LARGEST_PATCH:
        raise UnfitError(f"its patch has {' × '.join(map(str, patch))} voxels, more than {_LARGEST_PATCH}")
    architecture = read_architecture(settings, len(patch))
    check_patch(patch, architecture)
    labels, regions = _labels(dataset)
    return Plan(
        dataset=str(plans.get("dataset_name", "nnU-Net")),
        configuration=configuration,
        reader=reader,
        architecture=architecture,
        spacing_mm=spacing,
        patch=patch,
        transpose=_transpose(plans),
        resampling=_resampling(settings, "resampling_fn_data", 3),
        back=_resampling(settings, "resampling_fn_probabilities", 1),
        channels=_channels(plans, dataset, settings),
        labels=labels,
        regions=regions,
    )


def _only_known(table: Json, key: str, known: str) -> None:
    found = str(table.get(key, known))
    if found != known:
        raise UnfitError(f"{key} is {found}; {known} is known")


# ── the parts of plans.json ──


def _inherited(plans: Json, name: str) -> Json:
    """Return the keys of a configuration with those that it inherits."""
    known = subtable(plans, "configurations")
    chain: list[dict[str, Any]] = []
    seen: list[str] = []
    while name:
        if name in seen or not subtable(known, name):
            raise UnfitError(f"plans.json has no configuration {name!r}; it has {', '.join(sorted(known))}")
        seen.append(name)
        chain.append(subtable(known, name))
        name = str(chain[-1].get("inherits_from") or "")
    merged: dict[str, Any] = {}
    for one in reversed(chain):
        merged |= one
    return merged


def _transpose(plans: Json) -> tuple[int, int, int]:
    given = plans.get("transpose_forward", [0, 1, 2])
    if not isinstance(given, list) or sorted(map(str, given)) != ["0", "1", "2"]:
        raise UnfitError(f"transpose_forward is {short(given)}, not an order of three axes")
    first, second, third = (int(axis) for axis in given)
    return first, second, third


def _resampling(settings: Json, key: str, usual: int) -> Resampling | None:
    """Read how values are resampled; None where they are not. usual: order of the spline where none is."""
    name = str(settings.get(key, "resample_data_or_seg_to_shape"))
    how = subtable(settings, f"{key}_kwargs")
    if name == "no_resampling_data_or_seg_to_shape":
        return None
    separate = how.get("force_separate_z")
    if separate not in {None, False} or how.get("order_z", 0) != 0:
        raise UnfitError(f"{key} treats thick slices in a way that the node has no form for: {short(how)}")
    thick = separate is None
    if name == "resample_torch_fornnunet":
        modes = (how.get("mode", "linear"), how.get("aniso_axis_mode", "nearest-exact"))
        if modes != ("linear", "nearest-exact"):
            raise UnfitError(
                f"{key} interpolates by {modes[0]} and {modes[1]}; linear and nearest-exact are known"
            )
        return Resampling(interpolation="linear", thick=thick)
    if name not in {"resample_data_or_seg_to_shape", "resample_data_or_seg_to_spacing"}:
        raise UnfitError(f"{key} is {name}, which the node does not know")
    order = how.get("order", usual)
    if order not in _ORDERS:
        raise UnfitError(f"{key} has the order {short(order)}; 1 and 3 are known")
    return Resampling(interpolation=_ORDERS[order], thick=thick)


def _channels(plans: Json, dataset: Json, settings: Json) -> tuple[Channel, ...]:
    names = subtable(dataset, "channel_names") or subtable(dataset, "modality")
    schemes, masked = items(settings, "normalization_schemes"), items(settings, "use_mask_for_norm")
    if not len(names) == len(schemes) == len(masked):
        raise UnfitError(f"dataset.json has {len(names)} channels, plans.json normalises {len(schemes)}")
    measured = subtable(plans, "foreground_intensity_properties_per_channel") or subtable(
        plans, "foreground_intensity_properties_by_modality"
    )
    return tuple(
        _channel(str(name), str(scheme), subtable(measured, str(n)), masked=bool(mask))
        for n, (name, scheme, mask) in enumerate(zip(names.values(), schemes, masked, strict=True))
    )


def _channel(name: str, scheme: str, measured: Json, *, masked: bool) -> Channel:
    if scheme not in NORMALISATIONS:
        raise UnfitError(f"channel {name} is normalised by {scheme}; known are {', '.join(NORMALISATIONS)}")
    low, high, mean, std = (
        (number(measured, key, math.nan) for key in _MEASURED) if scheme == _CT else (0.0,) * 4
    )
    if scheme == _CT and not low < high:
        raise UnfitError(f"the percentiles of channel {name} are {low:g} and {high:g}")
    return Channel(
        name=name,
        normalisation=scheme,
        masked=masked,
        low=low,
        high=high,
        mean=mean,
        std=max(std, _LEAST_STD),
    )


# ── dataset.json ──


def _labels(dataset: Json) -> tuple[tuple[Label, ...], bool]:
    """Return the labels of the output's channels, and whether they are regions."""
    given = subtable(dataset, "labels")
    if "background" not in given:
        raise UnfitError("dataset.json has no labels with a background")
    # What was not annotated ("ignore") is nothing that a network learns to find
    covers = {str(name): _values(name, value) for name, value in given.items() if name != "ignore"}
    wanted = {name: values for name, values in covers.items() if values != {0}}
    if not wanted:
        raise UnfitError("dataset.json has no label beside the background")
    if any(len(values) > 1 for values in covers.values()):
        return _regions(dataset, wanted), True
    names = {next(iter(values)): name for name, values in covers.items()}
    if len(names) != len(covers) or sorted(names) != list(range(len(names))):
        raise UnfitError(f"labels are {sorted(names)}; nnU-Net counts them 0, 1, 2 … without a gap")
    return tuple(Label(name=names[n]) for n in range(1, len(names))), False


def _regions(dataset: Json, wanted: Mapping[str, frozenset[int]]) -> tuple[Label, ...]:
    order = counts(dataset, "regions_class_order", _MOST_LABELS)
    if len(order) != len(wanted) or len(set(order)) != len(order):
        raise UnfitError(f"regions_class_order is {list(order)}, for {len(wanted)} regions")
    values = list(wanted.values())
    return tuple(
        Label(name=name, rest=any(values[n] & later for later in values[n + 1 :]))
        for n, name in enumerate(wanted)
    )


def _values(name: object, value: object) -> frozenset[int]:
    listed = value if isinstance(value, list) else [value]
    if not listed or not all(isinstance(one, int) and 0 <= one <= _MOST_LABELS for one in listed):
        raise UnfitError(f"label {name} is {short(value)}, not a number or a list of numbers")
    return frozenset(listed)
