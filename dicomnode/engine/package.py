"""The engine package: a folder with engine.toml, its networks and its card, verified when it is loaded."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from dicomnode.engine.manifest.read import MANIFEST_FILE, read_manifest
from dicomnode.engine.manifest.tree import Manifest, StepSpec
from dicomnode.engine.onnx_file import LARGEST_MESSAGE_BYTES, check_onnx, whole_onnx
from dicomnode.engine.onnx_wire import UnsafeNetworkError
from dicomnode.faults import (
    DIGEST_MISMATCH,
    GENERATOR_NO_ENGINE,
    MANIFEST_WRONG,
    NETWORK_UNSAFE,
    NodeError,
)
from dicomnode.settings import Problem

_OTHERS_MAY_WRITE: Final = 0o002
_GENERATOR_FILE: Final = "generator.toml"  # as `dicomnode train generator` names it


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

        Tensors that lie in the package's data files are inside. Raises NodeError(NETWORK_UNSAFE,
        DIGEST_MISMATCH).
        """
        content, data = _read_network(self.folder, step)
        try:
            return whole_onnx(content, data)
        except UnsafeNetworkError as error:
            raise NodeError(NETWORK_UNSAFE, path=self.folder / (step.network or ""), reason=error) from error


def load_package(folder: Path) -> EnginePackage:
    """Read and verify an engine package.

    Raises NodeError: MANIFEST_WRONG with all problems of engine.toml, DIGEST_MISMATCH when a network is not
    the one that engine.toml names, NETWORK_UNSAFE when it is no network or has data outside its file,
    GENERATOR_NO_ENGINE for what draws images and analyses none.
    """
    path = folder / MANIFEST_FILE
    try:
        text = _read_regular(path)
    except OSError as error:
        if (folder / _GENERATOR_FILE).is_file():
            raise NodeError(GENERATOR_NO_ENGINE, path=folder) from error
        raise NodeError(MANIFEST_WRONG, path=path, problems=error.strerror or str(error)) from error
    manifest, problems = read_manifest(path, text)
    if manifest is None:
        raise NodeError(MANIFEST_WRONG, path=path, problems=_listed(problems))
    contents = {MANIFEST_FILE: hashlib.sha256(text).digest()}
    for step in manifest.networks:
        content, data = _read_network(folder, step)
        contents |= {name: hashlib.sha256(one).digest() for name, one in data.items()}
        contents[step.network or ""] = hashlib.sha256(content).digest()
        try:
            check_onnx(content, data)
        except UnsafeNetworkError as error:
            raise NodeError(NETWORK_UNSAFE, path=folder / (step.network or ""), reason=error) from error
    return EnginePackage(manifest, folder, _digest(contents))


def _listed(problems: Sequence[Problem]) -> str:
    """One problem in the sentence, several one a line."""
    texts = [
        (f"line {one.line}: " if one.line else "") + str(replace(one, file="", line=None)) for one in problems
    ]
    return texts[0].rstrip(".") if len(texts) == 1 else "\n  " + "\n  ".join(texts).rstrip(".")


def _read_network(folder: Path, step: StepSpec) -> tuple[bytes, dict[str, bytes]]:
    """Return a network and its data files by name, all with the digests that engine.toml names."""
    content = _read_file(folder, step.network or "", step.sha256 or "")
    return content, {name: _read_file(folder, name, digest) for name, digest in sorted(step.data.items())}


def _read_file(folder: Path, name: str, sha256: str) -> bytes:
    path = folder / name
    try:
        # A link may lead out of the folder, and then the network is not the package's own.
        if path.resolve(strict=True).parent != folder.resolve(strict=True):
            raise NodeError(NETWORK_UNSAFE, path=path, reason="it is a link to outside the engine's folder")
        content = _read_regular(path)
    except OSError as error:
        raise NodeError(NETWORK_UNSAFE, path=path, reason=error.strerror or str(error)) from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise NodeError(DIGEST_MISMATCH, path=path, found=found, expected=sha256)
    return content


def _read_regular(path: Path) -> bytes:
    """Read a file; OSError also for what is none, such as a pipe, and for one that is too large."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # else opening a pipe waits for who writes
    with open(fd, "rb") as file:  # noqa: PTH123  a descriptor, not a path
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        if status.st_size > LARGEST_MESSAGE_BYTES:
            raise OSError(errno.EFBIG, f"it has {status.st_size} bytes, more than 2 GiB")
        return file.read()


def check_owner(package: EnginePackage, owners: Sequence[int]) -> None:
    """Refuse a package that somebody else than `owners` (user numbers) could change.

    Raises NodeError(NETWORK_UNSAFE) for a folder or file that another user owns, or that everybody may
    write: who can change an engine can change what is said of patients.
    """
    names = [MANIFEST_FILE]
    for step in package.manifest.networks:
        names += [step.network or "", *step.data]
    for path in (package.folder, *(package.folder / name for name in names)):
        try:
            status = path.stat()
        except OSError as error:
            raise NodeError(NETWORK_UNSAFE, path=path, reason=error.strerror or str(error)) from error
        if status.st_uid not in owners:
            reason = f"it belongs to user {status.st_uid}, who may not own engines ([[engine]] owners)"
            raise NodeError(NETWORK_UNSAFE, path=path, reason=reason)
        if status.st_mode & _OTHERS_MAY_WRITE:
            raise NodeError(NETWORK_UNSAFE, path=path, reason=f"everybody may write to it: chmod o-w {path}")


def _digest(contents: dict[str, bytes]) -> str:
    """SHA-256 over (length of name, name, SHA-256 of content), sorted by name."""
    digest = hashlib.sha256()
    for name, content in sorted(contents.items()):
        digest.update(len(name.encode()).to_bytes(8, "big") + name.encode() + content)
    return digest.hexdigest()
