"""The engine package: a folder with engine.toml, its networks and its card, verified when it is loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from dicomnode.engine.manifest import Manifest, StepSpec
from dicomnode.engine.onnx_file import UnsafeNetworkError, check_onnx
from dicomnode.engine.read import MANIFEST_FILE, read_manifest
from dicomnode.faults import DIGEST_MISMATCH, MANIFEST_WRONG, NETWORK_UNSAFE, NodeError
from dicomnode.settings import Problem

# A protobuf message ends at 2 GiB; a network that is larger cannot be one file.
LARGEST_NETWORK_BYTES: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class EnginePackage:
    """An engine as it lies on disk, verified.

    digest: SHA-256, 64 hex digits, over engine.toml and the networks; it stands in every result. The card
    is not part of it: correcting a sentence for people changes no voxel.
    """

    manifest: Manifest
    folder: Path
    digest: str

    def step(self, network: str) -> StepSpec:
        """Return the network step of that name or file name; KeyError when there is none."""
        for step in self.manifest.networks:
            if network in {step.name, step.network}:
                return step
        raise KeyError(network)

    def network_bytes(self, step: StepSpec) -> bytes:
        """Read a network, verified again: a runtime is given these bytes, not a path that may change.

        Raises NodeError(NETWORK_UNSAFE, DIGEST_MISMATCH).
        """
        return _read_network(self.folder, step)


def load_package(folder: Path) -> EnginePackage:
    """Read and verify an engine package.

    Raises NodeError: MANIFEST_WRONG with all problems of engine.toml, DIGEST_MISMATCH when a network is not
    the one that engine.toml names, NETWORK_UNSAFE when it is no network or has data outside its file.
    """
    path = folder / MANIFEST_FILE
    try:
        text = path.read_bytes()
    except OSError as error:
        raise NodeError(MANIFEST_WRONG, path=path, problems=error.strerror or str(error)) from error
    manifest, problems = read_manifest(path, text)
    if manifest is None:
        raise NodeError(MANIFEST_WRONG, path=path, problems=_listed(problems))
    contents = {MANIFEST_FILE: hashlib.sha256(text).digest()}
    for step in manifest.networks:
        content = _read_network(folder, step)
        contents[step.network or ""] = hashlib.sha256(content).digest()
        try:
            check_onnx(content)
        except UnsafeNetworkError as error:
            raise NodeError(NETWORK_UNSAFE, path=folder / (step.network or ""), reason=error) from error
    return EnginePackage(manifest, folder, _digest(contents))


def _listed(problems: Sequence[Problem]) -> str:
    """One problem in the sentence, several one a line."""
    texts = [
        (f"line {one.line}: " if one.line else "") + str(replace(one, file="", line=None)) for one in problems
    ]
    return texts[0].rstrip(".") if len(texts) == 1 else "\n  " + "\n  ".join(texts).rstrip(".")


def _read_network(folder: Path, step: StepSpec) -> bytes:
    path = folder / (step.network or "")
    try:
        # A link may lead out of the folder, and then the network is not the package's own.
        if path.resolve(strict=True).parent != folder.resolve(strict=True):
            raise NodeError(NETWORK_UNSAFE, path=path, reason="it is a link to outside the engine's folder")
        size = path.stat().st_size
        if size > LARGEST_NETWORK_BYTES:
            raise NodeError(NETWORK_UNSAFE, path=path, reason=f"it has {size} bytes, more than 2 GiB")
        content = path.read_bytes()
    except OSError as error:
        raise NodeError(NETWORK_UNSAFE, path=path, reason=error.strerror or str(error)) from error
    found = hashlib.sha256(content).hexdigest()
    if found != step.sha256:
        raise NodeError(DIGEST_MISMATCH, path=path, found=found, expected=step.sha256)
    return content


def _digest(contents: dict[str, bytes]) -> str:
    """SHA-256 over (length of name, name, SHA-256 of content), sorted by name."""
    digest = hashlib.sha256()
    for name, content in sorted(contents.items()):
        digest.update(len(name.encode()).to_bytes(8, "big") + name.encode() + content)
    return digest.hexdigest()
