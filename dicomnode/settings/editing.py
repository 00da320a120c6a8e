"""One value of dicomnode.toml written anew: comments, order and all other lines stay as they are."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from dicomnode.faults import FILE_NOT_WRITTEN, PROMOTE_UNKNOWN, SETTINGS_WRONG, NodeError
from dicomnode.settings.lines import find_lines
from dicomnode.settings.load import read_settings
from dicomnode.settings.schema import Settings

_MARK: Final = b"\xef\xbb\xbf"  # some editors of Windows put it before the text
_MODE: Final = re.compile(r"""^(\s*["']?mode["']?\s*=\s*)(["'])(live|shadow|off)\2(.*)$""")


def with_modes(text: str, settings: Settings, modes: Mapping[str, str], path: Path) -> str:
    """Give the text of dicomnode.toml with other modes of engines, by name.

    settings: as they are read from `text`, the file at `path`. Raises NodeError(PROMOTE_UNKNOWN) for an
    engine that is not there, or whose mode does not stand on a line of its own.
    """
    places = find_lines(text)
    lines = text.splitlines(keepends=True)
    names = [entry.name for entry in settings.engine]
    for name, mode in modes.items():
        number = places.get(f"engine[{names.index(name) + 1}].mode") if name in names else None
        found = None if number is None else _MODE.match(lines[number - 1].rstrip("\r\n"))
        if number is None or found is None:
            raise NodeError(PROMOTE_UNKNOWN, engine=name, path=path)
        end = lines[number - 1][len(lines[number - 1].rstrip("\r\n")) :]
        lines[number - 1] = f"{found[1]}{found[2]}{mode}{found[2]}{found[4]}{end}"
    return "".join(lines)


def write_modes(path: Path, modes: Mapping[str, str]) -> None:
    """Give engines of dicomnode.toml other modes, in place; who may read the file stays.

    What had its name is there until the whole of the new one is. Raises NodeError: as `with_modes` and
    `read_settings`, SETTINGS_WRONG where it would not be read any more, FILE_NOT_WRITTEN.
    """
    path = path.resolve()  # a link to it stays a link
    settings, problems = read_settings(path)
    if settings is None:
        raise NodeError(SETTINGS_WRONG, path=path, count=len(problems), problems=tuple(problems))
    raw = path.read_bytes()
    mark = _MARK if raw.startswith(_MARK) else b""
    new = with_modes(raw.removeprefix(mark).decode("utf-8"), settings, modes, path)
    after, problems = read_settings(path, new)
    if after is None or {one.name: one.mode for one in after.engine} != {
        one.name: modes.get(one.name, one.mode) for one in settings.engine
    }:
        raise NodeError(SETTINGS_WRONG, path=path, count=len(problems), problems=tuple(problems))
    try:
        _replace(path, mark + new.encode())
    except OSError as error:
        raise NodeError(FILE_NOT_WRITTEN, path=path, error=error.strerror or error) from error


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    before = path.stat()
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        shutil.copymode(path, temporary)
        if os.geteuid() == 0 or before.st_uid == os.geteuid():
            os.chown(temporary, before.st_uid, before.st_gid)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
