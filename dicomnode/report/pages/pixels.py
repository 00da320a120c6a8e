"""The pixels of what was looked at, where they are still at hand."""

from __future__ import annotations

from dataclasses import dataclass

from dicomnode.values import Findings, Picture, Volume


@dataclass(frozen=True, slots=True, eq=False)
class SourcePixels:
    """The voxels or pixels of the sources of Findings, in their order; the last ones may be missing.

    Pictures are best given as their own window shows them (`load_picture(..., display=True)`).
    """

    volumes: tuple[Volume | Picture, ...]

    def check(self, findings: Findings) -> None:
        """Raise ValueError where the findings do not lie in these: no outline lands on another image."""
        if not 1 <= len(self.volumes) <= len(findings.sources):
            raise ValueError(f"{len(self.volumes)} volumes for {len(findings.sources)} sources")
        for images, source in zip(self.volumes, findings.sources, strict=False):
            frames = images.sources if isinstance(images, Picture) else images.frames
            # Phases of one series lie on one grid: their frames tell them apart
            if isinstance(images, Picture) != (source.plane is not None) or frames != source.frames:
                raise ValueError(f"the pixels are not those of the source {source.name!r}")
            if source.grid is None or not source.grid.same_as(images.grid):
                raise ValueError(f"the pixels lie on another grid than the source {source.name!r}")

    @property
    def volume(self) -> Volume | None:
        """The volume that findings lie in; None where that is a picture."""
        first = self.volumes[0]
        return first if isinstance(first, Volume) else None

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """The pictures, the one that findings lie on first; none where that is a volume."""
        if self.volume is not None:
            return ()
        return tuple(one for one in self.volumes if isinstance(one, Picture))
