"""What engines for lungs find on real scans: python -m tests.bench.lung_real [--engine …] [--data DIR].

Three lesions that readers confirmed, and a whole chest without reader truth. That is no sample: it shows that
nothing is lost on the way from phantoms to patients, and no rate may be read from it. None of them is trained
on; the texture of ACRIN-042 may be, so what is found there is counted and judged by nobody.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from dicomnode.analyse import Analyst
from dicomnode.assemble import load_volume, read_studies
from dicomnode.evaluate import match_candidates
from dicomnode.values import PointLps, Volume
from tests.bench.lung.answer import Answer, looking
from tests.bench.lung.engines import package_of
from tests.bench.told import data_folder, machine


@dataclass(frozen=True, slots=True, kw_only=True)
class RealLesion:
    """A lesion that readers confirmed. volumes_mm3: of each reader's outline; () where they drew boxes only.

    centre_lps_mm: mean of the readers' centres. diameter_mm: of the ball of their mean volume. solid: most of
    them say so.
    """

    what: str
    centre_lps_mm: PointLps
    diameter_mm: float
    solid: bool
    volumes_mm3: tuple[float, ...] = ()
    ignore: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RealScan:
    """A folder of the test data. whole: of the lungs. known: whether readers said what there is."""

    folder: str
    whole: bool
    known: bool
    lesions: tuple[RealLesion, ...] = ()


SCANS: Final = (
    # Boxes of Sybil's readers on slices 123 to 130, sr/sybil-boxes.dcm (NLST, CC BY 4.0): centre of the
    # boxes, and the ball of as much as an ellipsoid in their hull of 21.6 x 18.4 x 16 mm
    RealScan(
        folder="chest-ct-nlst-101287/ct",
        whole=True,
        known=True,
        lesions=(
            RealLesion(
                what="left apex, at the mediastinum",
                centre_lps_mm=(4.4, 2.8, 1181.0),
                diameter_mm=18.5,
                solid=True,
            ),
        ),
    ),
    # lidc-annotations.json (LIDC-IDRI, CC BY 3.0), four readers each: voxels within an outline, which itself
    # marks the first pixels outside (Armato et al., Medical Physics 38, 2011). Texture 5 5 5 4
    RealScan(
        folder="chest-ct-lidc-0001",
        whole=False,
        known=True,
        lesions=(
            RealLesion(
                what="left lower lobe",
                centre_lps_mm=(56.4, 86.4, -115.8),
                diameter_mm=23.1,
                solid=True,
                volumes_mm3=(7298.0, 5701.0, 6124.0, 6795.0),
            ),
        ),
    ),
    # Texture 3 5 4 4; other nodules of the case lie outside of the slab
    RealScan(
        folder="chest-ct-lidc-0003",
        whole=False,
        known=True,
        lesions=(
            RealLesion(
                what="left lower lobe",
                centre_lps_mm=(72.1, 76.9, -190.7),
                diameter_mm=22.5,
                solid=True,
                volumes_mm3=(4746.0, 4228.0, 5234.0, 9814.0),
            ),
        ),
    ),
    RealScan(folder="chest-ct-acrin-042/ct", whole=True, known=False),
)


def read_scan(folder: Path) -> Volume:
    """Assemble the one stack of a folder."""
    (study,) = read_studies([folder]).studies
    (stack,) = [stack for series in study.series for stack in series.stacks]
    return load_volume(stack)


def row_of(scan: RealScan, volume: Volume, answer: Answer) -> dict[str, Any]:
    """Compare an answer with what readers said, as JSON values. rank: among all candidates."""
    reported = [(one.centre_lps_mm, one.score) for one in answer.found]
    every = sorted([*reported, *answer.below], key=lambda one: -one[1])
    told, all_ = match_candidates(reported, scan.lesions), match_candidates(every, scan.lesions)
    best = {hit.truth: hit for hit in all_.hits}
    on_it = {hit.truth: hit for hit in told.hits}
    ml = volume.grid.voxel_mm3 / 1000.0
    lesions = []
    for number, one in enumerate(scan.lesions):
        hit = best.get(number)
        found = on_it.get(number)
        voxels = None if found is None else answer.found[found.found].voxels
        lesions.append(
            {
                "what": one.what,
                "diameter_mm": one.diameter_mm,
                "rank": None if hit is None else hit.found + 1,
                "score": None if hit is None else hit.score,
                "reported": found is not None,
                "centre_mm": None if hit is None else hit.distance_mm,
                "volume_mm3": None if voxels is None else voxels.count * volume.grid.voxel_mm3,
                "readers_mm3": list(one.volumes_mm3),
            }
        )
    return {
        "scan": scan.folder,
        "known": scan.known,
        "whole": scan.whole,
        "lesions": lesions,
        "others": [
            {
                "score": answer.found[n].score,
                "centre_lps_mm": [round(x, 1) for x in answer.found[n].centre_lps_mm],
                "volume_mm3": None
                if (voxels := answer.found[n].voxels) is None
                else round(voxels.count * volume.grid.voxel_mm3, 1),
            }
            for n in told.false_positives
        ],
        "lungs_ml": {side: mask.count * ml for side, mask in answer.lungs.items()},
        "doubts": list(answer.doubts),
        "nothing": answer.nothing,
        "seconds": dict(answer.seconds),
    }


def page(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Give the tables of an engine."""
    yield "| lesion that readers confirmed | rank, score | centre off by | volume / readers' mean (range) |"
    yield "| --- | --- | --- | --- |"
    for row in rows:
        for one in row["lesions"]:
            yield f"| {row['scan'].split('/')[0]}, {one['what']}, {one['diameter_mm']:g} mm | {_found(one)} |"
    yield ""
    yield "| scan | candidates on nothing that readers confirmed | lungs right, left | said of the lungs |"
    yield "| --- | --- | --- | --- |"
    for row in rows:
        others = "; ".join(_other(one) for one in row["others"]) or "none"
        unknown = "" if row["known"] else " (no reader truth: not judged)"
        lungs = ", ".join(f"{ml:.0f}" for ml in row["lungs_ml"].values()) + " ml"
        said = row["nothing"] or " ".join(row["doubts"]) or "ok"
        yield (
            f"| {row['scan'].split('/')[0]}{'' if row['whole'] else ' (a slab)'} "
            f"| {len(row['others'])}: {others}{unknown} | {lungs} | {said} |"
        )


def _found(one: dict[str, Any]) -> str:
    if one["rank"] is None:
        return "**no candidate** | |"
    score = f"{one['rank']}, {one['score']:.2f}{'' if one['reported'] else ' **not reported**'}"
    volume = "–" if one["volume_mm3"] is None else f"{one['volume_mm3']:.0f} mm³"
    readers = one["readers_mm3"]
    if readers:
        mean = sum(readers) / len(readers)
        share = "" if one["volume_mm3"] is None else f", {one['volume_mm3'] / mean:.2f} of"
        volume += f"{share} {mean:.0f} ({min(readers):.0f}–{max(readers):.0f})"
    else:
        volume += "; boxes only"
    return f"{score} | {one['centre_mm']:.1f} mm | {volume}"


def _other(one: dict[str, Any]) -> str:
    size = "a point" if one["volume_mm3"] is None else f"{one['volume_mm3']:.0f} mm³"
    return f"{one['score']:.2f}, {size} at ({', '.join(f'{x:.0f}' for x in one['centre_lps_mm'])})"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--engine", nargs="+", default=["lung-ct"], help="names of shipped engines, or folders"
    )
    parser.add_argument("--data", type=Path, default=data_folder())
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    there = [scan for scan in SCANS if (given.data / scan.folder).is_dir()]
    absent = [scan.folder for scan in SCANS if scan not in there]
    volumes = {scan.folder: read_scan(given.data / scan.folder) for scan in there}
    document = {}
    for name in given.engine:
        package = package_of(name)
        analyst = Analyst(package, threads=given.threads, node_version="bench")
        look = looking(analyst)
        rows = [row_of(scan, volumes[scan.folder], look(volumes[scan.folder])) for scan in there]
        analyst.close()
        document[f"{package.manifest.name} {package.manifest.version}"] = {
            "digest": package.digest,
            "scans": rows,
        }
        print(
            f"## {package.manifest.name} {package.manifest.version} ({package.digest[:12]}) on real scans\n"
        )
        for line in page(rows):
            print(line)
        print()
    if absent:
        print(f"Not measured, as they are not there: {', '.join(absent)}.")
    print(machine(("numpy", "scipy", "onnxruntime"), given.threads))
    if given.json:
        given.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
