"""All that a bundle's texts say of an engine, before its network is converted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dicomnode.learn.convert.monai_bundle import BundleTexts, data_format
from dicomnode.learn.convert.monai_inputs import BundleImage
from dicomnode.learn.convert.monai_results import After

Entry = dict[str, Any]

_MODALITIES: Final[Mapping[str, str]] = {"CT": "CT", "MR": "MR", "MRI": "MR", "PT": "PT", "PET": "PT"}
_RANGES: Final[Mapping[str, tuple[float, float]]] = {"CT": (-1000.0, 1000.0)}
_SPREAD: Final = 3.0  # standard deviations that a z-score is tried with
_EXAMPLE_SIDE: Final = 64  # of a network that takes any size; what it may be longer by are multiples of 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """All that a bundle's texts say of an engine. source: for messages."""

    texts: BundleTexts
    source: str
    answers: Mapping[str, Any]
    image: BundleImage
    window: Entry | str
    after: After

    @property
    def example(self) -> tuple[int, ...]:
        """Shape of an input of the network: (n, c, k, j, i), or (n, c, j, i) of one of two dimensions."""
        size = self.fixed_size or tuple(self._stated_size())
        return (1, len(self.image.names), *size[-self.axes :])

    @property
    def axes(self) -> int:
        """Axes of space that the network sees."""
        return 2 if self.image.flat else 3

    @property
    def fixed_size(self) -> tuple[int, ...] | None:
        """Voxels along k, j, i that the network always sees; None where it depends on the images."""
        if isinstance(self.window, Mapping):
            return tuple(self.window["size_kji"])
        return prepared_size(self.image.entries[0])

    def _stated_size(self) -> list[int]:
        stated = data_format(self.texts, "inputs").get("spatial_shape")
        sides = stated if isinstance(stated, list) and len(stated) == self.axes else []
        return [
            one if isinstance(one, int) and not isinstance(one, bool) and one > 0 else _EXAMPLE_SIDE
            for one in (sides or [_EXAMPLE_SIDE] * self.axes)
        ]

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest number that the network is tried with, by how its input is scaled."""
        ranges = [self._range(entries) for entries in self.image.entries]
        return min(low for low, _ in ranges), max(high for _, high in ranges)

    def _range(self, entries: Sequence[Entry]) -> tuple[float, float]:
        for entry in reversed(entries):
            if "z_score" in entry:
                return -_SPREAD, _SPREAD
            for name in ("scale_range", "scale_minmax", "percentile"):
                if name in entry:
                    return entry[name]["b_min"], entry[name]["b_max"]
        return _RANGES.get(self.modality or "", (0.0, 1.0))

    @property
    def modality(self) -> str | None:
        """Modality (0008,0060) of the series that it wants; None where nobody says it."""
        said = self.answers.get("modality", data_format(self.texts, "inputs").get("modality"))
        return _MODALITIES.get(str(said).upper(), str(said).upper()) if said and str(said) != "n/a" else None


def said_of(read: Read, channel: int) -> Entry | None:
    """Return what the answers say of a channel of the output; None where they leave it out (false)."""
    outputs = read.answers.get("outputs", {})
    said = outputs.get(str(channel), outputs.get(channel, {})) if isinstance(outputs, Mapping) else {}
    return None if said is False else dict(said)


def output_names(read: Read, count: int) -> list[str]:
    """Return the names of the output's channels as metadata.json has them."""
    named = data_format(read.texts, "outputs").get("channel_def")
    table = named if isinstance(named, Mapping) else {}
    return [str(table.get(str(n)) or f"class {n}").strip() or f"class {n}" for n in range(count)]


def prepared_size(entries: Sequence[Entry]) -> tuple[int, ...] | None:
    """Return the voxels along k, j, i that all images have after `prepare`; None where they differ."""
    size: list[int] | None = None
    least = [1, 1, 1]  # of every image, where its size is not known
    for entry in entries:
        if "resize" in entry:
            size = list(entry["resize"]["shape_kji"])
        elif "pad" in entry:
            shape, multiple = entry["pad"].get("shape_kji"), entry["pad"].get("multiple_kji")
            if size is not None:
                size = (
                    [max(a, b) for a, b in zip(size, shape, strict=True)]
                    if shape
                    else [-(-a // b) * b for a, b in zip(size, multiple, strict=True)]
                )
            least = [max(a, b) for a, b in zip(least, shape or multiple, strict=True)]
        elif "crop_centre" in entry:
            most = entry["crop_centre"]["shape_kji"]
            if size is not None:
                size = [min(a, b) for a, b in zip(size, most, strict=True)]
            elif all(a <= b for a, b in zip(most, least, strict=True)):
                size = list(most)
            least = [min(a, b) for a, b in zip(least, most, strict=True)]
        elif {"orient", "resample", "crop_foreground"} & set(entry):
            size, least = None, [1, 1, 1]
    return tuple(size) if size is not None else None
