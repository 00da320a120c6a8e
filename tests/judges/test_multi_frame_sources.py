"""Results of multi-frame sources: they name the frames, and lie where SimpleITK sees the source's voxels.

files → assemble → SEG and SR → dcmqi, dciodvfy → SimpleITK, on frames in no order, with pixels that are not
square. A frame number that is off by one would show.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from dicomnode.assemble import load_volume, read_studies
from dicomnode.phantom import SeriesForm, write_enhanced
from dicomnode.report import ReportProfile, make_objects
from dicomnode.values import Findings, Grid, Volume
from tests.judges import tools
from tests.unit.assemble.multi_frame import NM, item, whole
from tests.unit.assemble.series import PLANES, affine_of, write_all
from tests.unit.report.real import source_of
from tests.unit.report.sources import SALT, findings, lung_segments

pytestmark = pytest.mark.judge

sitk = pytest.importorskip("SimpleITK")

SHAPE = (12, 20, 28)
SPACING_KJI_MM = (4.5, 1.6, 2.0)


def enhanced(folder: Path, plane: str, *, legacy: bool) -> None:
    grid = Grid(SHAPE, affine_of(*PLANES[plane], SPACING_KJI_MM), "1.2.826.0.1.3680043.10.1.5")
    voxels = np.arange(np.prod(SHAPE)).reshape(SHAPE) % 2000 - 1000
    form = SeriesForm(instance_order="shuffled")
    write_enhanced(voxels, grid, folder / "x.dcm", seed=1, form=form, legacy=legacy)


def single_frames(folder: Path, plane: str) -> None:
    """A series of enhanced objects of one frame each."""
    grid = Grid(SHAPE, affine_of(*PLANES[plane], SPACING_KJI_MM), "1.2.826.0.1.3680043.10.1.5")
    voxels = np.arange(np.prod(SHAPE)).reshape(SHAPE) % 2000 - 1000
    ds = dcmread(write_enhanced(voxels, grid, folder / "x.dcm", seed=1))
    pixels, groups, uid = ds.pixel_array, ds.PerFrameFunctionalGroupsSequence, ds.SOPInstanceUID
    for n, plane_of_pixels in enumerate(pixels):
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{uid[:-4]}{n + 1}"
        ds.NumberOfFrames = 1
        ds.PerFrameFunctionalGroupsSequence = [groups[n]]
        ds.PixelData = plane_of_pixels.tobytes()
        ds.save_as(folder / f"{n}.dcm")
    (folder / "x.dcm").unlink()


def nuclear(folder: Path, plane: str) -> None:
    """Slices against the normal, in no order."""
    row, column = PLANES[plane]
    ds: Dataset = whole(
        NM,
        SHAPE[0],
        Modality="NM",
        ImageType=["ORIGINAL", "PRIMARY", "RECON TOMO", "EMISSION"],
        PixelSpacing=list(SPACING_KJI_MM[1:]),
        SpacingBetweenSlices=-SPACING_KJI_MM[0],
        SliceVector=[int(n) for n in np.random.default_rng(3).permutation(SHAPE[0]) + 1],
        DetectorInformationSequence=[
            item(ImageOrientationPatient=[*row, *column], ImagePositionPatient=[-10.0, 20.0, 30.0])
        ],
    )
    ds.Rows, ds.Columns = SHAPE[1:]
    ds.PixelData = (np.arange(np.prod(SHAPE)) % 997).astype("<i2").tobytes()
    write_all([ds], folder)


def read(folder: Path) -> Volume:
    ((series,),) = (study.series for study in read_studies([folder]).studies)
    (stack,) = series.stacks
    assert stack.facts.refusal is None, stack.facts.refusal
    return load_volume(stack)


@pytest.fixture(
    params=[
        *((kind, plane) for kind in ("enhanced", "legacy") for plane in ("axial", "oblique", "sagittal")),
        ("single", "oblique"),
        ("nuclear", "axial"),
        ("nuclear", "oblique"),
    ],
    ids=" ".join,
)
def found(request: pytest.FixtureRequest, tmp_path: Path) -> Findings:
    kind, plane = request.param
    folder = tmp_path / "source"
    folder.mkdir()
    if kind == "nuclear":
        nuclear(folder, plane)
    elif kind == "single":
        single_frames(folder, plane)
    else:
        enhanced(folder, plane, legacy=kind == "legacy")
    volume = read(folder)
    return findings(None, sources=(source_of(volume),), segments=lung_segments(volume.grid))


def made(found: Findings, folder: Path, kind: str) -> Path:
    (one,) = make_objects(found, ReportProfile(kinds=(kind,)), SALT)
    path = folder / f"{kind}.dcm"
    path.write_bytes(one.content)
    return path


def onto_grid(image, grid: Grid) -> np.ndarray:
    """What a judge read, by geometry alone, on the grid of the source."""
    k, j, i = grid.shape_kji
    reference = sitk.Image(i, j, k, sitk.sitkUInt8)
    spacing = grid.spacing_kji_mm[::-1]
    reference.SetSpacing(spacing)
    reference.SetOrigin(tuple(map(float, grid.affine_lps[:3, 3])))
    reference.SetDirection(tuple(map(float, (grid.affine_lps[:3, :3] / spacing).ravel())))
    moved = sitk.Resample(image, reference, sitk.Transform(), sitk.sitkNearestNeighbor, 0, sitk.sitkUInt8)
    return sitk.GetArrayFromImage(moved) > 0


def test_every_voxel_of_a_segmentation_is_where_it_was_found(found: Findings, tmp_path: Path) -> None:
    path = made(found, tmp_path, "SEG")
    assert tools.dciodvfy(path) == []
    verdict = tools.run(
        "segimage2itkimage", "--inputDICOM", path, "--outputDirectory", tmp_path, "-t", "nrrd"
    )
    assert verdict.status == 0, verdict.lines
    grid = found.sources[0].grid
    assert grid is not None
    for number, segment in enumerate(found.segments, start=1):
        image = sitk.ReadImage(str(tmp_path / f"{number}.nrrd"))
        assert np.array_equal(onto_grid(image, grid), segment.mask.to_array()), segment.label


def test_each_frame_of_a_segmentation_names_the_frame_that_it_lies_on(
    found: Findings, tmp_path: Path
) -> None:
    seg = dcmread(made(found, tmp_path, "SEG"))
    grid = found.sources[0].grid
    assert grid is not None
    frames = found.sources[0].frames
    named = {(frame.sop_instance_uid, frame.frame_number): k for k, frame in enumerate(frames)}
    for group in seg.PerFrameFunctionalGroupsSequence:
        image = group.DerivationImageSequence[0].SourceImageSequence[0]
        position = [float(x) for x in group.PlanePositionSequence[0].ImagePositionPatient]
        k = named[image.ReferencedSOPInstanceUID, image.get("ReferencedFrameNumber")]
        assert np.allclose(position, grid.to_lps_mm((k, 0, 0)), atol=1e-3)
    (series,) = seg.ReferencedSeriesSequence
    referenced = [one.ReferencedSOPInstanceUID for one in series.ReferencedInstanceSequence]
    assert sorted(referenced) == sorted({frame.sop_instance_uid for frame in frames})


def test_a_report_is_valid_and_names_the_object_once(found: Findings, tmp_path: Path) -> None:
    objects = make_objects(found, ReportProfile(kinds=("SEG", "SR")), SALT)
    (content,) = (one.content for one in objects if one.kind == "SR")
    path = tmp_path / "SR.dcm"
    path.write_bytes(content)
    assert tools.dsrdump(path) == []
    held = [line for line in tools.dciodvfy(path) if "99DICOMNODE" not in line]
    assert held == []
    report = dcmread(BytesIO(content))
    uid = found.sources[0].frames[0].sop_instance_uid
    evidence = [
        one.ReferencedSOPInstanceUID
        for study in (
            *report.get("CurrentRequestedProcedureEvidenceSequence", ()),
            *report.get("PertinentOtherEvidenceSequence", ()),
        )
        for series in study.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    ]
    assert evidence.count(uid) == 1
