"""The images that annotations speak of: stacks that were placed, and pictures; and which of them is meant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from dicomnode.assemble.annotations.opened import Opened
from dicomnode.assemble.record import Header
from dicomnode.assemble.studies import Stack
from dicomnode.faults import ANNOTATION_OF_OTHERS, ANNOTATION_OTHER_SPACE
from dicomnode.values import Grid, SourceFrame


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Target:
    """A stack that annotations may lie on. grid: of its voxels; of a picture that of its pixels."""

    stack: Stack
    grid: Grid

    @property
    def is_picture(self) -> bool:
        """Whether it has no patient space."""
        return self.stack.placement is None

    @property
    def series_instance_uid(self) -> str:
        """Series that the stack is of."""
        return self.stack.facts.series_instance_uid

    @property
    def slices(self) -> dict[SourceFrame, int]:
        """Which slice (k) each image is."""
        first = self.stack.headers[0]
        if self.is_picture and first.frames > 1:
            return {SourceFrame(first.sop_instance_uid, n + 1): n for n in range(first.frames)}
        return {one.source_frame: k for k, one in enumerate(self.stack.headers)}


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """What an object names: instances (each once), series, Frames of Reference (the first is its own)."""

    instances: tuple[str, ...] = ()
    series: tuple[str, ...] = ()
    frames_of_reference: tuple[str, ...] = ()


@dataclass(frozen=True)
class Targets:
    """All that annotations may lie on, the largest first."""

    all: Sequence[Target]
    _chosen: dict[str, Target] = field(default_factory=dict)

    @classmethod
    def of(cls, stacks: Iterable[Stack]) -> Targets:
        """Take the stacks that volumes or pictures can be made of."""
        found = [one for stack in stacks if (one := _target(stack)) is not None]
        return cls(sorted(found, key=_order))

    @cached_property
    def _of_instance(self) -> Mapping[str, list[int]]:
        where: dict[str, list[int]] = {}
        for number, target in enumerate(self.all):
            for uid in dict.fromkeys(one.sop_instance_uid for one in target.stack.headers):
                where.setdefault(uid, []).append(number)
        return where

    @cached_property
    def _of_image(self) -> Mapping[tuple[str, int | None], tuple[Target, Header]]:
        images: dict[tuple[str, int | None], tuple[Target, Header]] = {}
        for target in self.all:
            for header in target.stack.headers:
                images.setdefault((header.sop_instance_uid, header.frame_number), (target, header))
        return images

    def image(self, frame: SourceFrame) -> tuple[Target, Header] | None:
        """Find the image that a reference names; that of a whole object where it has one frame.

        The header of a picture's frame is that of its object.
        """
        images = self._of_image
        numbers = (frame.frame_number, None, 1) if frame.frame_number in {None, 1} else (frame.frame_number,)
        for number in numbers:
            if found := images.get((frame.sop_instance_uid, number)):
                return found
        whole = images.get((frame.sop_instance_uid, None))
        if whole is not None and whole[0].is_picture and (frame.frame_number or 1) <= whole[1].frames:
            return whole
        return None

    def find(self, named: References) -> Target | None:
        """Return what is meant: most of the instances, else the series, else the Frame of Reference.

        Of several the one with most slices: so the same files give the same.
        """
        counts = Counter(n for uid in named.instances for n in self._of_instance.get(uid, ()))
        if counts:
            return self.all[min(counts, key=lambda n: (-counts[n], n))]
        for series in named.series:
            for target in self.all:
                if target.series_instance_uid == series:
                    return target
        for space in named.frames_of_reference:
            for target in self.all:
                if space and target.grid.frame_of_reference_uid == space:
                    return target
        return None

    def choose(self, named: References, opened: Opened) -> Target:
        """Do it; raises NodeError(ANNOTATION_OF_OTHERS), or NodeError(ANNOTATION_OTHER_SPACE).

        An object that names a Frame of Reference must lie in that of its images.
        """
        target = self.find(named)
        if target is None:
            series = ", ".join(named.series[:3]) or "none named"
            raise opened.refused(ANNOTATION_OF_OTHERS, series=series)
        spaces = [space for space in named.frames_of_reference if space]
        if not target.is_picture and spaces and target.grid.frame_of_reference_uid not in spaces:
            raise opened.refused(
                ANNOTATION_OTHER_SPACE, found=spaces[0], expected=target.grid.frame_of_reference_uid
            )
        return target


def _target(stack: Stack) -> Target | None:
    if stack.facts.refusal is not None:
        return None
    if stack.placement is not None:
        return Target(stack=stack, grid=stack.placement.grid)
    first = stack.headers[0]
    if first.picture is None or not first.rows or not first.columns:
        return None
    return Target(stack=stack, grid=first.picture.plane.grid((first.frames, first.rows, first.columns)))


def _order(target: Target) -> tuple[int, str, int]:
    return (-target.grid.shape_kji[0], target.series_instance_uid, target.stack.facts.stack)
