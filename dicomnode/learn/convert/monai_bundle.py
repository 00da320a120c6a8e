"""The files of a MONAI bundle, from a folder or a zip file, read without unpacking anything.

A bundle comes from elsewhere: only the files that are wanted are read, by their exact names, whole and within
limits, and no name, link or compression leads anywhere else.
Source: docs/source/mb_specification.rst of MONAI 1.6.
"""

from __future__ import annotations

import json
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final, Protocol

from dicomnode.faults import BUNDLE_UNSAFE, SOURCE_INCOMPLETE, TRAIN_MISSING, NodeError

KIND: Final = "MONAI bundle"
_METADATA: Final = "configs/metadata.json"
_INFERENCE: Final = ("configs/inference.json", "configs/inference.yaml", "configs/inference.yml")
_LARGEST_TEXT_BYTES: Final = 4_000_000  # of a configuration; the largest known has 60 kB
LARGEST_WEIGHTS_BYTES: Final = 2**32  # 4 GiB; what becomes ONNX ends at 2
_MOST_FILES: Final = 10_000
_LARGEST_RATIO: Final = 200.0  # packed well: texts reach 20, weights 1.1
_SMALL_BYTES: Final = 1_000_000  # below it no ratio harms


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleTexts:
    """What a bundle says: its name (of the folder), configs/metadata.json and configs/inference.*, as tables.

    files: names of all that lies in it, with "/" between folders.
    """

    name: str
    metadata: Mapping[str, Any]
    inference: Mapping[str, Any]
    files: tuple[str, ...] = field(default=())


def data_format(texts: BundleTexts, which: str) -> Mapping[str, Any]:
    """Return the first entry of network_data_format's "inputs" or "outputs"; empty where there is none."""
    formats = texts.metadata.get("network_data_format")
    tables = formats.get(which) if isinstance(formats, Mapping) else None
    first = next(iter(tables.values()), None) if isinstance(tables, Mapping) and tables else None
    return first if isinstance(first, Mapping) else {}


class Bundle(Protocol):
    """An opened bundle: names of its files, and their content."""

    path: Path
    name: str
    files: tuple[str, ...]

    def read(self, name: str, at_most: int) -> bytes:
        """Return a file whole; raises NodeError(BUNDLE_UNSAFE) when it is larger, or no plain file."""
        ...


@contextmanager
def opened(path: Path) -> Iterator[Bundle]:
    """Open a bundle that is a folder or a zip file.

    Raises NodeError: SOURCE_INCOMPLETE for what is neither, BUNDLE_UNSAFE for names, links and sizes that
    lead elsewhere.
    """
    if path.is_dir():
        yield _Folder(path)
        return
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        problem = "it is neither a folder nor a zip file" if path.exists() else "there is no such file"
        raise NodeError(SOURCE_INCOMPLETE, path=path, kind=KIND, problem=problem) from error
    with archive:
        yield _Zip(path, archive)


def texts_of(bundle: Bundle) -> BundleTexts:
    """Read what a bundle says of itself; raises NodeError(SOURCE_INCOMPLETE, BUNDLE_UNSAFE)."""
    inference = [name for name in _INFERENCE if name in bundle.files]
    missing = [name for name in (_METADATA,) if name not in bundle.files]
    if missing or len(inference) != 1:
        problem = (
            f"it has no {missing[0]}"
            if missing
            else f"it has {len(inference) or 'none'} of {', '.join(_INFERENCE)}, one is needed"
        )
        raise NodeError(SOURCE_INCOMPLETE, path=bundle.path, kind=KIND, problem=problem)
    return BundleTexts(
        name=bundle.name,
        metadata=_table(bundle, _METADATA),
        inference=_table(bundle, inference[0]),
        files=bundle.files,
    )


def _table(bundle: Bundle, name: str) -> Mapping[str, Any]:
    content = bundle.read(name, _LARGEST_TEXT_BYTES)
    try:
        text = content.decode("utf-8")
        found = json.loads(text) if name.endswith(".json") else _yaml(text)
    except (ValueError, RecursionError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise NodeError(
            SOURCE_INCOMPLETE, path=bundle.path, kind=KIND, problem=f"{name} cannot be read: {first}"
        ) from error
    if not isinstance(found, dict):
        raise NodeError(SOURCE_INCOMPLETE, path=bundle.path, kind=KIND, problem=f"{name} is no table of keys")
    return found


def _yaml(text: str) -> Any:
    """Read YAML by its safe loader, which makes plain values alone; raises ValueError."""
    try:
        import yaml  # noqa: PLC0415  one bundle in many has YAML
    except ImportError as error:
        raise NodeError(
            TRAIN_MISSING, what="a configuration in YAML", package="PyYAML", error=error
        ) from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


class _Folder:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._root = path.resolve()
        self.name = self._root.name
        found = []
        for count, one in enumerate(sorted(path.rglob("*"))):
            if count >= _MOST_FILES:
                raise NodeError(BUNDLE_UNSAFE, path=path, reason=f"it holds more than {_MOST_FILES} files")
            if one.is_file() or one.is_symlink():
                found.append(one.relative_to(path).as_posix())
        self.files = tuple(found)

    def read(self, name: str, at_most: int) -> bytes:
        place = self.path / name
        if place.resolve() != self._root / name:
            raise NodeError(BUNDLE_UNSAFE, path=self.path, reason=f"{name} is a link")
        try:
            status = place.stat()
            if not stat.S_ISREG(status.st_mode):
                raise NodeError(BUNDLE_UNSAFE, path=self.path, reason=f"{name} is no plain file")
            _check_size(self.path, name, status.st_size, at_most)
            return place.read_bytes()
        except OSError as error:
            problem = f"{name} cannot be read: {error.strerror}"
            raise NodeError(SOURCE_INCOMPLETE, path=self.path, kind=KIND, problem=problem) from error


class _Zip:
    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path = path
        self._archive = archive
        members = archive.infolist()
        if len(members) > _MOST_FILES:
            raise NodeError(BUNDLE_UNSAFE, path=path, reason=f"it holds more than {_MOST_FILES} files")
        for member in members:
            _check_member(path, member)
        plain = [member for member in members if not member.is_dir()]
        top = {PurePosixPath(member.filename).parts[0] for member in plain}
        # One folder around everything is how a folder is packed
        around = f"{next(iter(top))}/" if len(top) == 1 and "configs" not in top else ""
        self.name = around.rstrip("/") or path.stem
        self._members = {member.filename.removeprefix(around): member for member in plain}
        if len(self._members) != len(plain):
            raise NodeError(BUNDLE_UNSAFE, path=path, reason="two of its files have one name")
        self.files = tuple(self._members)

    def read(self, name: str, at_most: int) -> bytes:
        if name not in self._members:
            raise NodeError(SOURCE_INCOMPLETE, path=self.path, kind=KIND, problem=f"it has no {name}")
        member = self._members[name]
        _check_size(self.path, name, member.file_size, at_most)
        try:
            with self._archive.open(member) as file:
                content = file.read(member.file_size + 1)
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            NotImplementedError,
            RuntimeError,
            OSError,
        ) as error:
            problem = f"{name} cannot be unpacked: {error}"
            raise NodeError(SOURCE_INCOMPLETE, path=self.path, kind=KIND, problem=problem) from error
        if len(content) != member.file_size:
            raise NodeError(BUNDLE_UNSAFE, path=self.path, reason=f"{name} is not as long as it says")
        return content


def _check_member(path: Path, member: zipfile.ZipInfo) -> None:
    name = member.filename
    parts = PurePosixPath(name).parts
    if name.startswith("/") or "\\" in name or ":" in name or ".." in parts or not parts:
        raise NodeError(BUNDLE_UNSAFE, path=path, reason=f"the name {name!r} in it leads out of it")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise NodeError(BUNDLE_UNSAFE, path=path, reason=f"{name} in it is a link")
    if member.file_size > max(_SMALL_BYTES, member.compress_size * _LARGEST_RATIO):
        reason = (
            f"{name} in it unpacks to {member.file_size / max(member.compress_size, 1):.0f} times its size"
        )
        raise NodeError(BUNDLE_UNSAFE, path=path, reason=reason)


def _check_size(path: Path, name: str, size: int, at_most: int) -> None:
    if size > at_most:
        raise NodeError(BUNDLE_UNSAFE, path=path, reason=f"{name} has {size} bytes, more than {at_most}")
