"""What cornerstone, which OHIF reads results with, holds against an object: its adapters, under Node."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from dicomnode.report.objects import Kind
from tests.judges import tools
from tests.judges.cases import Case
from tests.judges.comparing import as_found, differ

ADAPTERS: Final = Path(__file__).parents[2] / "build" / "cornerstone"


def _node(case: Case, script: str, *arguments: str | Path) -> object:
    """What one of the scripts says, as JSON."""
    if shutil.which("node") is None or not (ADAPTERS / "node_modules").is_dir():
        pytest.skip("Node and cornerstone's adapters are not installed (scripts/tools.sh judges)")
    verdict = tools.run("node", Path(__file__).with_name(script), ADAPTERS, *arguments)
    (line,) = verdict.starting("==== ") or [f"==== {json.dumps(verdict.lines[-3:])}"]
    return json.loads(line.removeprefix("==== "))


def _planes(case: Case) -> dict[str, dict[str, object]]:
    """Where each image of the source lies, by image id; k ascending."""
    grid = case.grid
    between_slices, between_rows, between_columns = grid.spacing_kji_mm
    cosines = [*(grid.affine_lps[:3, 0] / between_columns), *(grid.affine_lps[:3, 1] / between_rows)]
    planes: dict[str, dict[str, object]] = {}
    for k, frame in enumerate(case.findings.sources[0].frames):
        # The adapters find a frame of an object by its image id, whose number they put in
        planes[f"image:{frame.sop_instance_uid}?frame={frame.frame_number or 1}"] = {
            "sopInstanceUID": frame.sop_instance_uid,
            "frame": frame.frame_number or 1,
            "frameOfReferenceUID": grid.frame_of_reference_uid,
            "rows": grid.shape_kji[1],
            "columns": grid.shape_kji[2],
            "imageOrientationPatient": [float(v) for v in cosines],
            "rowCosines": [float(v) for v in cosines[:3]],
            "columnCosines": [float(v) for v in cosines[3:]],
            "imagePositionPatient": [float(v) for v in grid.to_lps_mm((k, 0, 0))],
            # cornerstone 5.14 goes along a row by the spacing that it calls the row's
            "rowPixelSpacing": between_columns,
            "columnPixelSpacing": between_rows,
            "sliceThickness": between_slices,
        }
    return planes


def _modules(case: Case) -> Path:
    """The modules that the adapters ask for, as a file."""
    modules = {}
    for image, plane in _planes(case).items():
        rows, columns = plane["rows"], plane["columns"]
        named = {"sopInstanceUID": plane["sopInstanceUID"], "sopClassUID": str(case.images[0].SOPClassUID)}
        modules[image] = {
            "imagePlaneModule": plane,
            "generalImageModule": named,
            "sopCommonModule": named,
            "generalSeriesModule": {"modality": str(case.images[0].Modality)},
            "imagePixelModule": {"rows": rows, "columns": columns, "bitsAllocated": 16, "samplesPerPixel": 1},
            "instance": {
                "Rows": rows,
                "Columns": columns,
                "SOPInstanceUID": plane["sopInstanceUID"],
                "ImageOrientationPatient": plane["imageOrientationPatient"],
                "ImagePositionPatient": plane["imagePositionPatient"],
                "PixelSpacing": [plane["columnPixelSpacing"], plane["rowPixelSpacing"]],
            },
        }
    path = case.folder / "modules.json"
    path.write_text(json.dumps(modules), encoding="utf-8")
    return path


def voxels(case: Case, kind: Kind) -> list[str]:
    told = _node(case, "cornerstone_voxels.mjs", "SEG", case.results[kind][0], _modules(case))
    read = [np.zeros(case.grid.shape_kji, dtype=bool) for _ in case.findings.segments]
    columns = case.grid.shape_kji[2]
    for image, segment, pixel in told:  # type: ignore[attr-defined]
        read[segment - 1][image, pixel // columns, pixel % columns] = True
    return as_found(case, read)


def values(case: Case, kind: Kind) -> list[str]:
    told = _node(case, "cornerstone_voxels.mjs", "PM", case.results[kind][0], _modules(case))
    return differ("the values", np.array(told, dtype=np.float32), case.findings.maps[0].values.ravel())


def annotations(case: Case, kind: Kind) -> list[str]:
    if case.findings.sources[0].plane is not None or case.findings.sources[0].grid is None:
        return []  # lines on a film, and what was not analysed, have no place in the patient
    planes = case.folder / "planes.json"
    planes.write_text(json.dumps(_planes(case)), encoding="utf-8")
    told = _node(case, "cornerstone.mjs", case.results[kind][0], planes)
    made = {one["tracking_uid"]: one["tool"] for one in told}  # type: ignore[attr-defined]
    nodule = case.findings.segments[2]
    point, box = case.findings.regions
    wanted = {
        nodule.tracking_uid: "Length",
        point.tracking_uid: "Probe",
    }
    if np.isclose(np.abs(case.grid.affine_lps[:3, 0]).max(), case.grid.spacing_kji_mm[2]):
        wanted[box.tracking_uid] = "RectangleROI"  # a box of the patient is none on oblique images
    return [] if made == wanted else [f"annotations {made} instead of {wanted}"]
