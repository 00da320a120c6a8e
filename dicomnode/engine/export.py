"""The networks of an engine as a model repository of Triton Inference Server.

A repository is a folder of models, each a folder with config.pbtxt and numbered versions (Triton user guide,
"Model Repository"). The server reads inputs and outputs from the ONNX file itself.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from dicomnode.engine.package import EnginePackage
from dicomnode.engine.runtimes.contract import Network
from dicomnode.engine.runtimes.triton import model_name
from dicomnode.faults import EXPORT_FAILED, NodeError
from dicomnode.store import SharedDisk, write_whole

# max_batch_size 0: the shape of the network is the whole shape, batch included
_CONFIG: Final = """# {title}, step {step}: {use}
platform: "onnxruntime_onnx"
max_batch_size: 0
"""


def export_to_triton(package: EnginePackage, repository: Path) -> list[Path]:
    """Write each network of the engine into a model repository; return the folders of the models.

    A model's name holds digits of its digest: other versions that lie there stay, and go on being served. Of
    a model that cannot be written whole nothing is left.
    Raises NodeError(EXPORT_FAILED), and as `EnginePackage.network_bytes`.
    """
    manifest = package.manifest
    folders = []
    for step in manifest.networks:
        content = package.network_bytes(step)
        name = model_name(
            Network(engine=f"{manifest.name} {manifest.version}", file=step.network or "", content=content)
        )
        config = _CONFIG.format(title=_line(manifest.title), step=step.name, use=_line(manifest.use))
        folder = repository / name
        try:
            _place(folder, content, config.encode())
        except OSError as error:
            raise NodeError(EXPORT_FAILED, path=folder, error=error.strerror or str(error)) from error
        folders.append(folder)
    return folders


def _place(folder: Path, network: bytes, config: bytes) -> None:
    """Write a model; one that cannot be written whole is not there at all, unless it was there before.

    Each file appears whole: a server that polls the repository reads it at any moment.
    """
    was_there, disk = folder.exists(), SharedDisk()
    try:
        (folder / "1").mkdir(parents=True, exist_ok=True)
        write_whole(disk, folder / "1" / "model.onnx", network)
        write_whole(disk, folder / "config.pbtxt", config)
    except BaseException:
        if not was_there:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _line(text: str) -> str:
    return " ".join(text.split())
