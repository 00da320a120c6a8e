"""What a file or folder is that an engine shall be made of: told by what is in it, not by its name alone."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Final

from dicomnode.engine.manifest.read import MANIFEST_FILE
from dicomnode.engine.onnx_file import LARGEST_MESSAGE_BYTES
from dicomnode.engine.onnx_wire import UnsafeNetworkError, fields
from dicomnode.faults import SOURCE_UNKNOWN, NodeError


class SourceKind(StrEnum):
    """Kinds of things that an engine can be made of."""

    ONNX = "ONNX file"
    MONAI = "MONAI bundle"
    NNUNET = "nnU-Net v2 result"
    TORCHSCRIPT = "TorchScript file"
    SKLEARN = "scikit-learn model"


_DEEPEST: Final = 4  # folders within a folder that a result may lie in
_MOST_LOOKED_AT: Final = 20_000
_HEAD_BYTES: Final = 16
_PICKLE: Final = b"\x80"
# joblib compresses what it pickles: zlib, gzip, bz2, xz, lz4
_COMPRESSED: Final = (b"x\x9c", b"x\x01", b"x\xda", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x04\x22M\x18")
_MODEL_GRAPH: Final = 7
# What lies in a file that cannot be taken → what it is, and what to do
_OTHERS: Final = (
    (
        0,
        b"\x89HDF",
        "an HDF5 file, as Keras writes",
        "Export it as ONNX: `python -m tf2onnx.convert --keras`.",
    ),
    (4, b"TFL3", "a TensorFlow Lite file", "Export it as ONNX: `python -m tf2onnx.convert --tflite`."),
    (0, b"\x93NUMPY", "an array of numpy", "Give the network, not its weights alone."),
    (128, b"DICM", "a DICOM file", "Give the network, not an image."),
)
_STATE: Final = (
    "a checkpoint of PyTorch: weights without the network",
    "Load it where it was trained and export it: `torch.onnx.export(model.eval(), example, FILE)`.",
)


def kind_of(path: Path) -> SourceKind:
    """Tell what a file or folder is; raises NodeError(SOURCE_UNKNOWN) with what to do."""
    if not path.exists():
        raise _unknown(path, "it is not there", "Give the path of a file or folder.")
    try:
        return _of_folder(path) if path.is_dir() else _of_file(path)
    except OSError as error:
        advice = "Give the path of a file or folder that you may read."
        raise _unknown(path, error.strerror or str(error), advice) from error


def _of_folder(path: Path) -> SourceKind:
    names = list(_names(path))
    if MANIFEST_FILE in names:
        advice = f"It is used as it is: `dicomnode try DIR --engine-path {path}`."
        raise _unknown(path, "it is an engine already", advice)
    kind = _of_names(names)
    if kind is not None:
        return kind
    networks = [name for name in names if name.endswith(".onnx")]
    if networks:
        advice = f"Give the file: {path / networks[0]}."
        raise _unknown(path, "it is a folder with an ONNX file", advice)
    if "saved_model.pb" in names:
        advice = "Export it as ONNX: `python -m tf2onnx.convert --saved-model`."
        raise _unknown(path, "it is a SavedModel of TensorFlow", advice)
    raise _unknown(
        path, "nothing in this folder is known", "Give the file or folder that the framework wrote."
    )


def _names(path: Path) -> Iterator[str]:
    """Yield the names of the files in a folder, with "/" between folders; links are not followed."""
    count = 0
    for folder, folders, files in os.walk(path):
        inner = Path(folder).relative_to(path)
        if len(inner.parts) >= _DEEPEST:
            folders.clear()
        for name in sorted(files):
            count += 1
            if count > _MOST_LOOKED_AT:
                return
            yield (inner / name).as_posix()


def _of_names(names: list[str]) -> SourceKind | None:
    """Tell a folder or an archive by the names in it."""
    ends = {name.rpartition("/")[2] for name in names}
    if any(name.endswith("configs/metadata.json") for name in names):
        return SourceKind.MONAI
    if {"plans.json", "dataset.json"} <= ends:
        return SourceKind.NNUNET
    return None


def _of_file(path: Path) -> SourceKind:
    if not path.is_file():  # a pipe or a device has no end
        raise _unknown(path, "it is no plain file", "Give the file or folder that the framework wrote.")
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES + 128)
    for place, mark, what, advice in _OTHERS:
        if head[place : place + len(mark)] == mark:
            raise _unknown(path, f"it is {what}", advice)
    if zipfile.is_zipfile(path):
        return _of_archive(path)
    if head[:1] == _PICKLE or head.startswith(_COMPRESSED):
        if path.suffix in {".joblib", ".pkl", ".pickle"}:
            return SourceKind.SKLEARN
        raise _unknown(path, f"it is {_STATE[0]}, or another pickle", _STATE[1])
    if path.suffix != ".onnx" and not _has_graph(path):
        raise _unknown(
            path, "what is in it is not known", "Give the file or folder that the framework wrote."
        )
    return SourceKind.ONNX


def _of_archive(path: Path) -> SourceKind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile as error:
        raise _unknown(path, "it is a damaged archive", "Copy it again.") from error
    kind = _of_names(names)
    if kind is not None:
        return kind
    if any(name.endswith("/constants.pkl") for name in names):
        return SourceKind.TORCHSCRIPT
    if "schema.json" in names:  # skops
        return SourceKind.SKLEARN
    if any(name.endswith("/data.pkl") for name in names):
        raise _unknown(path, f"it is {_STATE[0]}", _STATE[1])
    if any("archive_format" in name or name.endswith(".pt2") for name in names):
        advice = "Export it as ONNX: `torch.onnx.export(torch.export.load(FILE).module(), example, OUT)`."
        raise _unknown(path, "it is a program of torch.export", advice)
    if any(name.endswith("model.weights.h5") for name in names):
        raise _unknown(path, "it is a Keras 3 file", "Export it as ONNX: `model.export(OUT, format='onnx')`.")
    raise _unknown(
        path, "nothing in this archive is known", "Give the file or folder that the framework wrote."
    )


def _has_graph(path: Path) -> bool:
    """Whether it is protobuf with the field of a graph: an ONNX file by another name."""
    if path.stat().st_size > LARGEST_MESSAGE_BYTES:
        return False
    try:
        return any(number == _MODEL_GRAPH for number, _, _ in fields(memoryview(path.read_bytes())))
    except UnsafeNetworkError:
        return False


def _unknown(path: Path, reason: str, advice: str) -> NodeError:
    return NodeError(SOURCE_UNKNOWN, path=path, reason=reason, advice=advice)
