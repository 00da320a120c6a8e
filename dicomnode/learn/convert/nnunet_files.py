"""The files of an nnU-Net v2 result: a folder, or the zip that nnU-Net exports; never more than is asked for.

A result is `plans.json`, `dataset.json` and `fold_0/checkpoint_final.pth` … in one folder, whose name ends
with that of the configuration. Both may hold several such folders. Nothing is unpacked to the disk, no link
leads out of the folder, and every file has a largest size.
"""

from __future__ import annotations

import json
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, Protocol

from dicomnode.faults import SOURCE_INCOMPLETE, NodeError

KIND: Final = "nnU-Net v2 result"
LARGEST_JSON_BYTES: Final = 64 * 2**20  # dataset.json may list every case
LARGEST_CHECKPOINT_BYTES: Final = 8 * 2**30  # weights and the state of the optimiser, of the largest presets
_DEEPEST: Final = 4  # folders above a result
_MOST_FILES: Final = 100_000

_CASCADE: Final = "cascade"  # in the name of each second stage that nnU-Net plans
_FOLD: Final = re.compile(r"fold_(all|[0-9]{1,3})")


class Files(Protocol):
    """Where the files of one or several results lie."""

    where: Path

    def names(self) -> tuple[str, ...]:
        """Return the paths of all files, with "/", below the folder."""

    def size(self, name: str) -> int:
        """Return the bytes of a file."""

    def read(self, name: str) -> bytes:
        """Return what is in a file."""


@dataclass(frozen=True, slots=True)
class Result:
    """One trained configuration: its folder within `files` ("" or ending with "/"), and its folds there."""

    files: Files
    folder: str
    folds: tuple[str, ...]

    @property
    def title(self) -> str:
        """Name of its folder, for messages."""
        return PurePosixPath(self.folder).name or self.files.where.name

    @property
    def configuration(self) -> str:
        """The configuration that the name of its folder ends with: "3d_fullres"."""
        return self.title.rpartition("__")[2]

    def path(self, name: str) -> str:
        """Say where a file lies, for messages."""
        return f"{self.files.where}/{self.folder}{name}"

    def json(self, name: str) -> Mapping[str, Any]:
        """Read a JSON file; raises NodeError(SOURCE_INCOMPLETE) when it is none, too large or not there."""
        content = self.content(name, LARGEST_JSON_BYTES)
        try:
            table = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise self._wrong(f"{name} is no JSON: {error}") from error
        if not isinstance(table, dict):
            raise self._wrong(f"{name} holds no table")
        return table

    def content(self, name: str, largest: int) -> bytes:
        """Return a file's bytes; raises NodeError(SOURCE_INCOMPLETE)."""
        inner = f"{self.folder}{name}"
        if inner not in self.files.names():
            raise self._wrong(f"{name} is not there")
        size = self.files.size(inner)
        if size > largest:
            raise self._wrong(f"{name} has {size} bytes, at most {largest} are taken")
        try:
            return self.files.read(inner)
        except (OSError, RuntimeError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
            raise self._wrong(f"{name} cannot be read: {error}") from error

    def _wrong(self, problem: str) -> NodeError:
        return incomplete(f"{self.files.where}/{self.folder}".rstrip("/"), problem)


def incomplete(path: object, problem: str) -> NodeError:
    """Say what is wrong with a result as a whole."""
    return NodeError(SOURCE_INCOMPLETE, path=path, kind=KIND, problem=problem)


def find_result(path: Path, configuration: str | None) -> Result:
    """Find the result in a folder or a zip; raises NodeError(SOURCE_INCOMPLETE).

    configuration: which one, where there are several ("3d_fullres").
    """
    files = _files_of(path)
    results = _results(files)
    if configuration is not None:
        results = [one for one in results if one.title.endswith(f"__{configuration}") or len(results) == 1]
    if not results:
        wanted = f" of configuration {configuration}" if configuration else ""
        raise incomplete(path, f"no folder{wanted} has plans.json, dataset.json and fold_… with a checkpoint")
    if len(results) > 1:
        names = sorted(one.configuration for one in results)
        problem = f"it holds several configurations, {', '.join(names)}: say which one"
        raise incomplete(path, f"{problem} (`--set configuration={names[0]}`)")
    return results[0]


def ways_without_cascade(result: Result) -> tuple[str, ...]:
    """Return commands that convert another configuration with checkpoints, of one stage, near a result.

    It lies within the folder or zip that was given, else in a folder beside it.
    """
    where = result.files.where
    others = [one for one in _results(result.files) if one.folder != result.folder]
    if not others and not result.folder and where.is_dir():
        where = where.resolve().parent
        others = [one for one in _results(_Folder(where)) if one.title != result.files.where.resolve().name]
    names = sorted({one.configuration for one in others if _CASCADE not in one.configuration})
    return tuple(f"`dicomnode engine add {where} --set configuration={name}`" for name in names)


def _results(files: Files) -> list[Result]:
    names = set(files.names())
    found = []
    for name in sorted(names):
        folder = name.removesuffix("plans.json")
        if folder == name or (folder and not folder.endswith("/")) or f"{folder}dataset.json" not in names:
            continue
        folds = {
            parts[0]
            for parts in (one[len(folder) :].split("/") for one in names if one.startswith(folder))
            if len(parts) == 2 and _FOLD.fullmatch(parts[0]) and parts[1].endswith(".pth")
        }
        if folds:
            found.append(Result(files, folder, tuple(sorted(folds, key=_order))))
    return found


def _order(fold: str) -> tuple[int, str]:
    number = fold.removeprefix("fold_")
    return (int(number), "") if number.isdigit() else (1000, number)


def _files_of(path: Path) -> Files:
    if path.is_dir():
        return _Folder(path)
    if not path.is_file():
        raise incomplete(path, "it is not there")
    try:
        return _Zip(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise incomplete(path, f"it is neither a folder nor a zip ({error})") from error


class _Folder:
    """Files on the disk, as deep as results lie; one that leads out of the folder is refused."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self._paths: dict[str, Path] = {}
        top = where.resolve()
        for depth in range(_DEEPEST):
            for file in sorted(where.glob("*/" * depth + "*.*")):
                if not file.is_file() or file.suffix not in {".json", ".pth"}:
                    continue
                name = file.relative_to(where).as_posix()
                if not file.resolve().is_relative_to(top):
                    raise incomplete(where, f"{name} is a link that leads out of the folder")
                self._paths[name] = file

    def names(self) -> tuple[str, ...]:
        return tuple(self._paths)

    def size(self, name: str) -> int:
        return self._paths[name].stat().st_size

    def read(self, name: str) -> bytes:
        return self._paths[name].read_bytes()


class _Zip:
    """Files within a zip, read one at a time into memory."""

    def __init__(self, where: Path) -> None:
        self.where = where
        with zipfile.ZipFile(where) as archive:
            entries = archive.infolist()
        if len(entries) > _MOST_FILES:
            raise incomplete(where, f"it holds {len(entries)} files")
        self._entries: dict[str, zipfile.ZipInfo] = {}
        for entry in entries:
            if entry.filename in self._entries or not _is_plain(entry.filename):
                raise incomplete(where, f"it holds the unsafe name {entry.filename!r}")
            self._entries[entry.filename] = entry

    def names(self) -> tuple[str, ...]:
        return tuple(name for name, entry in self._entries.items() if not entry.is_dir())

    def size(self, name: str) -> int:
        return self._entries[name].file_size

    def read(self, name: str) -> bytes:
        with zipfile.ZipFile(self.where) as archive, archive.open(self._entries[name]) as file:
            # The directory may say less than what is packed: no more than it says is unpacked
            return file.read(self._entries[name].file_size)


def _is_plain(name: str) -> bool:
    """Tell whether a path within a zip stays below it."""
    return not (name.startswith("/") or "\\" in name or ":" in name or ".." in name.split("/"))
