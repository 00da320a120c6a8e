"""What steps for each lesion said of one: classes, numbers, features, put on its segment or region."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from dicomnode.analyse.each import Lesion
from dicomnode.analyse.numbers import Numbers, told_of_lesion
from dicomnode.analyse.steps import Result
from dicomnode.engine import Manifest, OutputSpec
from dicomnode.values import Region, Remark, Segment, Volume

Found = TypeVar("Found", Segment, Region)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """Answers about the lesions of one [[output]]. outputs: those that say something of each of them."""

    manifest: Manifest
    outputs: tuple[OutputSpec, ...]
    results: Mapping[str, Result]
    volume: Volume

    @classmethod
    def about(
        cls, manifest: Manifest, output: OutputSpec, results: Mapping[str, Result], volume: Volume
    ) -> Answers:
        """Return what can be said of the lesions of an output."""
        name = f"{output.step}/{output.head}" if output.head else output.step
        told = tuple(one for one in manifest.output if manifest.each_of(one) == name)
        return cls(manifest=manifest, outputs=told, results=results, volume=volume)

    @property
    def has_attribute(self) -> bool:
        """Whether a value of some attribute is said of each lesion, such as its composition."""
        return any(one.attribute is not None for one in self.outputs)

    def put_on(self, found: Found, lesion: Lesion) -> tuple[Found, list[Remark]]:
        """Return a segment or region with what was said of it, and remarks that name it."""
        told: Numbers = Numbers()
        for output in self.outputs:
            made_by = self.results[output.step].label
            told_of_lesion(
                self.manifest, output, (made_by, lesion.answers.get(output.step)), self.volume, told
            )
        with_them = replace(
            found,
            measurements=(*found.measurements, *told.measurements),
            classes=tuple(told.classifications),
            features=tuple(told.features),
        )
        return with_them, [replace(one, text=f"{found.tracking_id}: {one.text}") for one in told.remarks]
