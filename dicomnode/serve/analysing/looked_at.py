"""What an engine looked at, decoded again: for pages with pictures, and for people who look at what was kept.

The Findings name the frames. Files may have gone since, or make another stack: then it is said why not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dicomnode.assemble import DecodeSlices, Stack, decode_here, load_picture, load_volume, read_studies
from dicomnode.faults import NodeError
from dicomnode.values import Findings, Picture, Source, Volume


def looked_at(
    findings: Findings, paths: Mapping[str, Path], decode: DecodeSlices = decode_here
) -> tuple[tuple[Volume | Picture, ...], str]:
    """Decode the sources of Findings, in their order; and say why where that ends before the last.

    paths: of instances, by SOP Instance UID. decode: as `load_volume`.
    """
    found: list[Volume | Picture] = []
    for source in findings.sources:
        images, why_not = _of(source, paths, decode)
        if images is None:
            return tuple(found), why_not
        found.append(images)
    return tuple(found), ""


def _of(
    source: Source, paths: Mapping[str, Path], decode: DecodeSlices
) -> tuple[Volume | Picture | None, str]:
    if source.grid is None:
        return None, "no volume could be made of it"
    uids = {frame.sop_instance_uid for frame in source.frames}
    files = [path for uid, path in paths.items() if uid in uids and path.exists()]
    if len(files) < len(uids):
        gone = len(uids) - len(files)
        return None, f"{gone} of the {len(uids)} images that it looked at are not in the store any more"
    try:
        images = _decoded(files, source, decode)
    except NodeError as error:
        return None, str(error).rstrip(".")
    if images is None:
        return None, "the images in the store do not make the volume any more that it looked at"
    return images, ""


def _decoded(files: Sequence[Path], source: Source, decode: DecodeSlices) -> Volume | Picture | None:
    """Load the stack of the files whose frames the source has; raises NodeError as `load_volume`.

    Phases of one series lie on one grid: of them the frames tell which was looked at.
    """
    for stack in _stacks(files):
        if stack.facts.refusal is not None or (stack.kind == "volume") != (source.plane is None):
            continue
        if source.plane is not None:
            picture = load_picture(stack, decode=decode, display=True)
            if picture.sources == source.frames:
                return picture
        elif tuple(header.source_frame for header in stack.headers) == source.frames:
            volume = load_volume(stack, decode=decode)
            if source.grid is not None and source.grid.same_as(volume.grid):
                return volume
    return None


def _stacks(files: Sequence[Path]) -> list[Stack]:
    reading = read_studies(files)
    return [stack for study in reading.studies for series in study.series for stack in series.stacks]
