"""Lungs by classical code, by the network, and by both: python -m tests.bench.lung_masks ENGINE [--each 10].

ENGINE is a folder that `dicomnode train lung-masks` made. Phantoms of seeds from 160000, which nothing is
trained or tuned on: four groups, without dense lung, with consolidation, with collapse, with effusion, and
what their seeds have beside it. Prints Dice and HD95 of each way of looking, what was warned of and what was
not, and with --data what is said of real scans. Counts of phantoms are no clinical figures.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import structlog

from dicomnode.analyse import Analysis, Analyst
from dicomnode.assemble import load_volume, read_studies
from dicomnode.engine import Draft, load_package, write_draft
from dicomnode.evaluate import dice, hausdorff95_mm
from dicomnode.phantom import ChestScan, World, chest, refuse_reserved, write_series
from dicomnode.phantom.change import Disease
from dicomnode.phantom.disease import draw_diseases
from dicomnode.values import Findings, RemarkKind, Volume
from tests.fixtures.hand_lungs import hand_slices

FIRST: Final = 160_000
GROUPS: Final[tuple[Disease | None, ...]] = (None, "consolidation", "collapse", "effusion")
WAYS: Final = {"classical": "lungs", "network": "again", "both": "lungs_checked"}
SIDES: Final = ("right", "left")
SCANS: Final = (
    "chest-ct-nlst-101287/ct",
    "chest-ct-acrin-042/ct",
    "chest-ct-lidc-0001",
    "chest-ct-lidc-0003",
)
WRONG: Final = 0.95  # Dice of a lung below which its outline is called wrong
WHEN: Final = datetime(2026, 1, 1, tzinfo=UTC)
# Of quality, but not of the outline
_BESIDE: Final = ("The images do not cover", "ml of air lie beside")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One phantom, one way of looking. doubts: what it says against the outline."""

    seed: int
    group: str
    way: str
    right: float
    left: float
    hd95_mm: float
    doubts: tuple[str, ...]

    @property
    def wrong(self) -> bool:
        """Whether a lung's outline is wrong."""
        return min(self.right, self.left) < WRONG


def three_ways(engine: Path, folder: Path) -> Path:
    """Write the engine again with an output of each way of looking: right and left by each step."""
    table = tomllib.loads((engine / "engine.toml").read_text(encoding="utf-8"))
    lungs, seen, both = table["step"]
    again = {key: value for key, value in seen.items() if key not in ("map", "interpret", "sha256")}
    outputs = []
    for way, step in WAYS.items():
        for number, side in enumerate(SIDES):
            (given,) = [one for one in table["output"] if one["laterality"] == side]
            named = {"segment": f"lung-{way}", "step": step, "tracking": f"{way} {side}", "measure": []}
            outputs.append(given | named | ({"channel": number + 1} if way == "network" else {}))
    again |= {"name": WAYS["network"], "interpret": "labels"}
    table |= {"step": [lungs, seen, again, both], "output": outputs, "name": "three-ways"}
    for one in table["step"]:
        one.pop("sha256", None)
    table.pop("schema")
    made = folder / "three-ways"
    content = {seen["network"]: (engine / seen["network"]).read_bytes()}
    write_draft(Draft(table=table, networks=content, card="# For measuring.\n"), made)
    return made


def phantom(seed: int, group: Disease | None) -> ChestScan:
    """A small scan of the patient of a seed, with one dense disease or none of them."""
    refuse_reserved([seed])
    own = tuple(one for one in draw_diseases(seed) if one not in GROUPS)
    return chest(seed, "small", world=World(diseases=own if group is None else (*own, group)))


def walked(analyst: Analyst, folder: Path) -> tuple[Volume, Findings]:
    """Assemble and analyse the one stack of a folder, as the node does."""
    (study,) = read_studies([folder]).studies
    (stack,) = [stack for series in study.series for stack in series.stacks]
    volume = load_volume(stack)
    return volume, analyst.analyse(
        Analysis(volumes={"ct": volume}, salt=b"b" * 32, study_version=1, made_at=WHEN)
    )


def doubts_of(findings: Findings) -> dict[str, tuple[str, ...]]:
    """What speaks against the outlines: by classical code alone, and with the network."""
    texts = [one.text for one in findings.remarks if one.kind is RemarkKind.QUALITY]
    texts = [one for one in texts if not any(beside in one for beside in _BESIDE)]
    alone = tuple(one for one in texts if "network" not in one)
    return {"classical": alone, "network": (), "both": tuple(texts)}


def rows_of(analyst: Analyst, seed: int, group: Disease | None) -> Iterator[Row]:
    """Three rows, one of each way of looking."""
    scan = phantom(seed, group)
    with tempfile.TemporaryDirectory() as folder:
        write_series(scan.voxels, scan.grid, Path(folder), seed=seed)
        volume, findings = walked(analyst, Path(folder))
    truth = {"right": scan.lung_right, "left": scan.lung_left}
    found = {one.tracking_id: one.mask for one in findings.segments}
    doubts = doubts_of(findings)
    nothing = np.zeros(volume.grid.shape_kji, dtype=bool)
    for way in WAYS:
        masks = {
            side: found[f"{way} {side}"].to_array() if f"{way} {side}" in found else nothing for side in SIDES
        }
        near = {side: dice(masks[side], truth[side].to_array()) for side in SIDES}
        far = [
            hausdorff95_mm(masks[side], truth[side].to_array(), volume.grid.spacing_kji_mm) for side in SIDES
        ]
        said = doubts[way]
        if findings.outcome == "not-analysed":
            said = ("not analysed",)
        yield Row(
            seed=seed, group=group or "none", way=way, right=near["right"], left=near["left"],
            hd95_mm=max(far), doubts=said,
        )  # fmt: skip


def real_lines(analyst: Analyst, data: Path, name: str) -> Iterator[str]:
    """What is said of a real scan, and how each way agrees with slices that were drawn by hand."""
    volume, findings = walked(analyst, data / name)
    found = {one.tracking_id: one.mask.to_array() for one in findings.segments}
    said = " ".join(doubts_of(findings)["both"]) or "nothing is said against the outlines"
    yield f"\n{name}: {said}"
    planes = {frame.sop_instance_uid: k for k, frame in enumerate(volume.frames)}
    nothing = np.zeros(volume.grid.shape_kji, dtype=bool)
    for slice_ in (one for one in hand_slices() if one.folder == name):
        k = planes[slice_.sop_instance_uid]
        for side, drawn in slice_.lungs.items():
            truth = drawn.mask(volume.grid.shape_kji[1:])[None]
            near = {way: dice(found.get(f"{way} {side}", nothing)[k][None], truth) for way in WAYS}
            told_of = ", ".join(f"{way} {value:.3f}" for way, value in near.items())
            yield f"  {slice_.level}, {side}: {told_of}"


def told(rows: Sequence[Row]) -> Iterator[str]:
    """The table: a line for each group and way."""
    yield (
        "| dense | way | lungs | Dice, mean | Dice, least | HD95, median mm | wrong | wrong and called ok | "
        "right and doubted |"
    )
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for group in dict.fromkeys(row.group for row in rows):
        for way in WAYS:
            some = [row for row in rows if (row.group, row.way) == (group, way)]
            values = [value for row in some for value in (row.right, row.left)]
            wrong = [row for row in some if row.wrong]
            fine = [row for row in some if not row.wrong]
            silent = "–" if way == "network" else sum(not row.doubts for row in wrong)
            loud = "–" if way == "network" else sum(bool(row.doubts) for row in fine)
            middle = float(np.median([row.hd95_mm for row in some]))
            figures = f"{np.mean(values):.3f} | {min(values):.3f} | {middle:.1f}"
            counts = f"{len(wrong)} of {len(some)} | {silent} | {loud}"
            yield f"| {group} | {way} | {len(values)} | {figures} | {counts} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("engine", type=Path)
    parser.add_argument("--each", type=int, default=10, help="phantoms of each group")
    parser.add_argument("--first", type=int, default=FIRST, help="seed of the first one")
    parser.add_argument("--data", type=Path, help="folder with the real scans of the tests")
    parser.add_argument("--json", type=Path, help="where all rows are written")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    folder = Path(tempfile.mkdtemp())
    analyst = Analyst(load_package(three_ways(given.engine, folder)), threads=1, node_version="0")
    rows: list[Row] = []
    for number in range(given.each * len(GROUPS)):
        rows += rows_of(analyst, given.first + number, GROUPS[number % len(GROUPS)])
        print(f"{rows[-1].seed} {rows[-1].group}: {rows[-1].right:.3f} {rows[-1].left:.3f}", flush=True)
    print("\n".join(told(rows)) if rows else "no phantoms")
    if given.json is not None:
        given.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    for name in SCANS if given.data is not None else ():
        if (given.data / name).is_dir():
            print("\n".join(real_lines(analyst, given.data, name)), flush=True)
    analyst.close()
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
