"""Whose the folders are that decide what computes: plans are code, records say which runtime may serve."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from dicomnode.cli.options import no_folder_because
from dicomnode.faults import NodeError

if TYPE_CHECKING:
    from pathlib import Path

    from dicomnode.settings import Problem, StoreSettings

_OF_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
_ROOT: Final = 0


def private_folders(store: StoreSettings) -> tuple[list[Problem], list[str]]:
    """Look at them with the rights of whose the store is: that is the user of the service.

    Gives the problems, and notes on what was not looked at. Folders that are yet to be made are no problem.
    """
    if not store.path.is_dir():
        return [], []
    keeper = store.path.stat().st_uid
    if os.geteuid() not in (keeper, _ROOT):
        name = user_name(keeper)
        return [], [
            f"Plans and acceptance records are private to {name}: run this as {name} to look at them."
        ]
    # All modules are loaded before: the user of the service need not be able to read those of this user
    from dicomnode.engine.acceptance import FOLDER
    from dicomnode.engine.plans.private import require_private

    with acting_as(keeper):
        return [
            *_plans(store.plans_path, require_private),
            *_acceptance(store.path, store.path / FOLDER, keeper),
        ], []


def user_name(number: int) -> str:
    """Name of a user, for people."""
    try:
        return f"user {pwd.getpwuid(number).pw_name}"
    except KeyError:
        return f"user {number}"


@contextmanager
def acting_as(user: int) -> Iterator[None]:
    """Look at files as that user does; root can."""
    before = os.geteuid()
    if user != before:
        os.seteuid(user)
    try:
        yield
    finally:
        if user != before:
            os.seteuid(before)


def _plans(folder: Path, require_private: Callable[[Path], None]) -> list[Problem]:
    """What the plan cache would refuse."""
    from dicomnode.settings import Problem

    expected = "a folder of the service's user alone, mode 0700"
    try:
        if os.path.lexists(folder):
            require_private(folder)
            return []
        why_not = no_folder_because(folder)
        hint = "" if why_not is None else f"{why_not[:1].upper()}{why_not[1:]}."
    except NodeError as error:
        hint = f"{error} {error.remedy}"
    except OSError as error:
        hint = f"It cannot be looked at: {error.strerror or error}."
    return [Problem(key="store.plans", value=str(folder), expected=expected, hint=hint)] if hint else []


def _acceptance(store: Path, folder: Path, keeper: int) -> list[Problem]:
    """Whoever can write a record can have a runtime serve that does not agree."""
    from dicomnode.settings import Problem

    if not os.path.lexists(folder):
        return []
    try:
        wrong = next(
            (why for path in (folder, *sorted(folder.iterdir())) if (why := _open(path, keeper))), ""
        )
    except OSError as error:
        wrong = f"{folder} cannot be looked at: {error.strerror or error}"
    if not wrong:
        return []
    expected = f"acceptance records that {user_name(keeper)} alone may write"
    hint = f"{wrong}. Remove {folder}: each runtime is then accepted anew."
    return [Problem(key="store.path", value=str(store), expected=expected, hint=hint)]


def _open(path: Path, keeper: int) -> str:
    """Why a folder or file is open to others; "" where it is not."""
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        return f"{path} is a link to another place"
    if found.st_uid != keeper:
        return f"{path} belongs to {user_name(found.st_uid)}, not to {user_name(keeper)}, whose the store is"
    if found.st_mode & _OF_OTHERS:
        return f"{path} has mode {stat.S_IMODE(found.st_mode):04o}, so others may write to it"
    return ""
