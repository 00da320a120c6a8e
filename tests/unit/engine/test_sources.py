"""What a file or folder is, told by what is in it."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from dicomnode.engine.adding.sources import SourceKind, kind_of
from dicomnode.faults import SOURCE_UNKNOWN, NodeError
from tests.unit.engine.foreign import one, save


def archive(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            file.writestr(name, b"{}")
    return path


def folder(path: Path, *names: str) -> Path:
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(b"{}")
    return path


def file(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


MONAI = ("configs/metadata.json", "configs/inference.json", "models/model.ts")
NNUNET = ("plans.json", "dataset.json", "fold_0/checkpoint_final.pth")

KNOWN = {
    "ONNX": (lambda d: save(one("Relu"), d / "net.onnx"), SourceKind.ONNX),
    "ONNX by another name": (lambda d: save(one("Relu"), d / "net.bin"), SourceKind.ONNX),
    "a bundle": (lambda d: folder(d / "lung", *MONAI), SourceKind.MONAI),
    "a zipped bundle": (lambda d: archive(d / "lung.zip", *(f"lung/{n}" for n in MONAI)), SourceKind.MONAI),
    "a bundle that is called TorchScript": (
        lambda d: archive(d / "lung.ts", *(f"lung/{n}" for n in MONAI)),
        SourceKind.MONAI,
    ),
    "a result": (lambda d: folder(d / "nnUNetTrainer__nnUNetPlans__3d", *NNUNET), SourceKind.NNUNET),
    "a folder above a result": (
        lambda d: folder(d / "Dataset001", *(f"nnUNetTrainer__nnUNetPlans__3d/{n}" for n in NNUNET)),
        SourceKind.NNUNET,
    ),
    "an exported result": (lambda d: archive(d / "x.zip", *(f"D/T/{n}" for n in NNUNET)), SourceKind.NNUNET),
    "TorchScript": (
        lambda d: archive(d / "net.pt", "net/data.pkl", "net/code/a.py", "net/constants.pkl"),
        SourceKind.TORCHSCRIPT,
    ),
    "skops": (lambda d: archive(d / "model.skops", "schema.json"), SourceKind.SKLEARN),
    "joblib": (lambda d: file(d / "model.joblib", b"\x80\x04\x95" + bytes(30)), SourceKind.SKLEARN),
    "compressed joblib": (lambda d: file(d / "model.joblib", b"x\x9c" + bytes(30)), SourceKind.SKLEARN),
}


@pytest.mark.parametrize("case", list(KNOWN))
def test_it_is_told_by_what_is_in_it(tmp_path, case):
    make, kind = KNOWN[case]
    assert kind_of(make(tmp_path)) is kind


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda d: archive(d / "net.pt2", "net/archive_format", "net/models/m.json"), "torch.export"),
        (lambda d: archive(d / "net.keras", "config.json", "model.weights.h5"), "Keras 3"),
        (lambda d: archive(d / "net.onnx", "readme.txt"), "nothing in this archive"),
        (lambda d: file(d / "net.tflite", b"\x1c\x00\x00\x00TFL3" + bytes(20)), "TensorFlow Lite"),
        (lambda d: file(d / "image.dcm", bytes(128) + b"DICM" + bytes(20)), "a DICOM file"),
        (lambda d: file(d / "weights.npy", b"\x93NUMPY\x01\x00"), "an array"),
        (lambda d: folder(d / "none", "a/b/c/d/e/plans.json"), "nothing in this folder"),
    ],
)
def test_what_cannot_be_taken_is_called_by_its_name(tmp_path, make, reason):
    with pytest.raises(NodeError, match=reason) as caught:
        kind_of(make(tmp_path))
    assert caught.value.fault is SOURCE_UNKNOWN


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(NodeError, match="no plain file"):
        kind_of(tmp_path / "pipe.onnx")


def test_a_damaged_archive_is_said_to_be_one(tmp_path):
    path = archive(tmp_path / "net.pt", "net/data.pkl", "net/constants.pkl")
    # The list of contents is none; its end, which says where it is, is whole
    path.write_bytes(path.read_bytes().replace(b"PK\x01\x02", b"PK\x00\x00"))
    with pytest.raises(NodeError, match="damaged archive"):
        kind_of(path)
