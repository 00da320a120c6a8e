"""What is true of a phantom, kept beside its files: `truth.json` for people and tools, masks in `truth.npz`.

truth.json, schema 1 (lengths mm, points LPS, array order k, j, i):
{"schema": 1, "phantom_version", "seed", "size", "study_instance_uid", "series_instance_uid",
 "frame_of_reference_uid", "shape_kji": [k, j, i], "affine_lps": 4 rows,
 "lungs": {"right": {"volume_ml"}, "left": {"volume_ml"}},
 "nodules": [{"label", "side", "kind", "centre_lps_mm", "diameter_mm", "volume_mm3", "box_kji"}],
 "files": {name: bytes}}
and of a chest scan (patients.py) besides: "chest_version", "diseases", "enhanced", "protocol", of each nodule
"place", "margin", "ignore", and
 "distractors": [{"kind", "centre_lps_mm", "radius_mm", "ignore"}].
truth.npz holds, for "lung-right", "lung-left" and each nodule's label, the packed bits (see
`dicomnode.values.Mask`) as LABEL and the box as LABEL.box, int64 (3, 2).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from dicomnode.phantom.anatomy import Size, Thorax
from dicomnode.phantom.header import PHANTOM_VERSION, SeriesForm, series_uid, study_uid
from dicomnode.phantom.nodules import PlantedNodule
from dicomnode.phantom.patients import CHEST_VERSION, ChestScan, Distractor
from dicomnode.values import Grid, Mask

SCHEMA: Final = 1
_JSON: Final = "truth.json"
_MASKS: Final = "truth.npz"


@dataclass(frozen=True, kw_only=True, eq=False)
class Truth:
    """What is true of one phantom; masks lie on `grid`."""

    seed: int
    size: Size
    study_instance_uid: str
    series_instance_uid: str
    grid: Grid
    lung_right: Mask
    lung_left: Mask
    nodules: tuple[PlantedNodule, ...]
    distractors: tuple[Distractor, ...] = ()


def save_truth(phantom: Thorax | ChestScan, files: list[Path], folder: Path) -> None:
    """Write truth.json and truth.npz of `phantom`, whose series was written as `files`, into `folder`."""
    grid = phantom.grid
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "phantom_version": PHANTOM_VERSION,
        "seed": phantom.seed,
        "size": phantom.size,
        "study_instance_uid": study_uid(phantom.seed),
        "series_instance_uid": series_uid(phantom.seed, grid, SeriesForm()),
        "frame_of_reference_uid": grid.frame_of_reference_uid,
        "shape_kji": list(grid.shape_kji),
        "affine_lps": grid.affine_lps.tolist(),
        "lungs": {
            side: {"volume_ml": mask.count * grid.voxel_mm3 / 1000.0}
            for side, mask in (("right", phantom.lung_right), ("left", phantom.lung_left))
        },
        "nodules": [_nodule(nodule) for nodule in phantom.nodules],
        "files": {path.name: path.stat().st_size for path in files},
    }
    if isinstance(phantom, ChestScan):
        _add_patient(document, phantom)
    masks = {"lung-right": phantom.lung_right, "lung-left": phantom.lung_left}
    masks |= {nodule.label: nodule.mask for nodule in phantom.nodules}
    arrays: dict[str, Any] = {label: mask.bits for label, mask in masks.items()}
    arrays |= {f"{label}.box": np.array(mask.box_kji) for label, mask in masks.items()}
    np.savez_compressed(folder / _MASKS, **arrays)
    (folder / _JSON).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _nodule(nodule: PlantedNodule) -> dict[str, Any]:
    return {
        "label": nodule.label,
        "side": nodule.side,
        "kind": nodule.kind,
        "centre_lps_mm": list(nodule.centre_lps_mm),
        "diameter_mm": nodule.diameter_mm,
        "volume_mm3": nodule.volume_mm3,
        "box_kji": [list(span) for span in nodule.mask.box_kji],
    }


def _add_patient(document: dict[str, Any], scan: ChestScan) -> None:
    """Add what is known of the patient of a chest scan."""
    document["chest_version"] = CHEST_VERSION
    document["diseases"] = list(scan.diseases)
    document["enhanced"] = scan.enhanced
    document["protocol"] = asdict(scan.protocol)
    document["distractors"] = [asdict(one) for one in scan.distractors]
    for row, nodule in zip(document["nodules"], scan.nodules, strict=True):
        row |= {"place": nodule.place, "margin": nodule.margin, "ignore": nodule.ignore}


def read_document(folder: Path) -> dict[str, Any]:
    """Read truth.json; OSError when it is not there, ValueError when it is another schema or no JSON."""
    document: Any = json.loads((folder / _JSON).read_text(encoding="utf-8"))
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise ValueError(f"{folder / _JSON} is not a truth of schema {SCHEMA}")
    return document


def load_truth(folder: Path) -> Truth:
    """Read what `save_truth` wrote; errors as `read_document`, and KeyError for what is missing."""
    document = read_document(folder)
    k, j, i = document["shape_kji"]
    grid = Grid((k, j, i), np.array(document["affine_lps"]), document["frame_of_reference_uid"])
    with (folder / _MASKS).open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:

        def mask(label: str) -> Mask:
            (k0, k1), (j0, j1), (i0, i1) = arrays[f"{label}.box"].tolist()
            return Mask(grid.shape_kji, ((k0, k1), (j0, j1), (i0, i1)), arrays[label])

        nodules = tuple(
            PlantedNodule(
                label=row["label"],
                centre_lps_mm=tuple(row["centre_lps_mm"]),
                diameter_mm=row["diameter_mm"],
                volume_mm3=row["volume_mm3"],
                kind=row["kind"],
                side=row["side"],
                mask=mask(row["label"]),
                ignore=row.get("ignore", False),
                place=row.get("place", "free"),
                margin=row.get("margin", "smooth"),
            )
            for row in document["nodules"]
        )
        return Truth(
            seed=document["seed"],
            size=document["size"],
            study_instance_uid=document["study_instance_uid"],
            series_instance_uid=document["series_instance_uid"],
            grid=grid,
            lung_right=mask("lung-right"),
            lung_left=mask("lung-left"),
            nodules=nodules,
            distractors=tuple(_distractor(row) for row in document.get("distractors", ())),
        )


def _distractor(row: dict[str, Any]) -> Distractor:
    x, y, z = row["centre_lps_mm"]
    return Distractor(row["kind"], (x, y, z), row["radius_mm"], row["ignore"])
