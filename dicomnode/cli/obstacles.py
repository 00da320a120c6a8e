"""What `serve` would stumble over on this machine, found without leaving anything behind."""

from __future__ import annotations

import fcntl
import ipaddress
import os
from typing import TYPE_CHECKING, Final

from dicomnode.cli.options import existing_parent, no_folder_because
from dicomnode.cli.peers import unreadable_secrets
from dicomnode.cli.private_folders import private_folders
from dicomnode.faults import STORE_FULL, NodeError

if TYPE_CHECKING:
    from pathlib import Path

    from dicomnode.settings import Problem, QuerySettings, SenderSettings, Settings

_LOCK: Final = "lock"  # in the store's folder; a running node holds it


def find_obstacles(settings: Settings, *, probe: bool = False) -> tuple[list[Problem], list[str]]:
    """Look at store, free space, private folders, secrets, runtimes and port.

    probe: whether an inference server may be asked. Gives the problems, and notes on what was not looked at.
    """
    problems = _store(settings.store.path) or _space(settings.store.path, settings.store.reserve_gb)
    notes: list[str] = []
    secrets = unreadable_secrets(settings)
    for more, said in (private_folders(settings.store), secrets, _runtimes(settings, probe=probe)):
        problems += more
        notes += said
    if node_runs(settings.store.path):
        return problems, [*notes, "The node runs, so its port was not tried."]
    return [*problems, *_port(settings.receive.address, settings.receive.port)], notes


def shut_out(settings: Settings) -> list[str]:
    """Tell of archives that are asked for priors and could not send them by C-MOVE, for want of a [[sender]].

    Only told: an archive that offers C-GET needs no door, and one may send by another AE title or address.
    """
    if settings.receive.unknown_senders != "deny":
        return []
    return [
        f"query[{number}] ({query.name}): priors that it sends by C-MOVE come by an association of its own, "
        f"which is rejected, as no [[sender]] fits it. Unless it offers C-GET, add [[sender]] with "
        f'ae_title = "{query.ae_title.strip()}", and without an address or with that of {query.host}.'
        for number, query in enumerate(settings.query, 1)
        if not query.url and not any(_lets_in(entry, query) for entry in settings.sender)
    ]


def _lets_in(entry: SenderSettings, query: QuerySettings) -> bool:
    """Tell whether the door is open for an archive; of a host by name the address is not known here."""
    if entry.ae_title.strip() != query.ae_title.strip():
        return False
    try:
        address = ipaddress.ip_address(query.host)
    except ValueError:
        return True
    return not entry.address or address in ipaddress.ip_network(entry.address, strict=False)


def node_runs(store: Path) -> bool:
    """Tell whether a node holds the lock of the store."""
    try:
        fd = os.open(store / _LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _store(path: Path) -> list[Problem]:
    from dicomnode.settings import Problem
    from dicomnode.store import require_local

    why_not = no_folder_because(path)
    if why_not is not None:
        hint = f"{why_not[:1].upper()}{why_not[1:]}."
        if existing_parent(path).is_dir():
            hint += " `dicomnode check` tells of the user that runs it: run it as the user of the service."
        expected = "a folder that the node can make and write to"
        return [Problem(key="store.path", value=str(path), expected=expected, hint=hint)]
    try:
        require_local(path)
    except NodeError as error:
        hint = f"{error} {error.remedy}"
        return [Problem(key="store.path", value=str(path), expected="a folder on a local disk", hint=hint)]
    return []


def _space(path: Path, reserve_gb: float) -> list[Problem]:
    """Below the reserve the node accepts nothing."""
    from dicomnode.settings import Problem
    from dicomnode.store import Disk

    there = existing_parent(path)
    free_gb = Disk().free_bytes(there) / 1e9
    if free_gb >= reserve_gb:
        return []
    expected = f"no more than what is free on the disk of {path}, which is {free_gb:.2f} GB"
    full = NodeError(STORE_FULL, path=path, free_gb=free_gb, reserve_gb=reserve_gb)
    hint = f"{full} {full.remedy}"
    return [Problem(key="store.reserve_gb", value=reserve_gb, expected=expected, hint=hint)]


def _runtimes(settings: Settings, *, probe: bool) -> tuple[list[Problem], list[str]]:
    """Try the runtimes that are named, where an engine uses them; "auto" takes what is there."""
    from dicomnode.settings import Problem

    wanted = [(number, one) for number, one in enumerate(settings.engine, 1) if one.mode != "off"]
    named = [
        (f"engine[{number}].runtime", one.runtime, one.fallback) for number, one in wanted if one.runtime
    ]
    if len(named) < len(wanted):
        named.append(("analyse.runtime", settings.analyse.runtime, settings.analyse.fallback))
    problems, notes = [], []
    for key, runtime, fallback in named:
        if runtime == "triton" and not probe:
            notes.append(f"{key} names an inference server, which was not asked: --probe asks it.")
            continue
        why_not = _missing(settings, runtime)
        if why_not and fallback:
            notes.append(f"{key}: {runtime} does not work on this machine, so another one serves: {why_not}.")
        elif why_not:
            expected = "a runtime that works on this machine"
            hint = f'It does not: {why_not}. Or allow another one: "auto", or fallback = true beside it.'
            problems.append(Problem(key=key, value=runtime, expected=expected, hint=hint))
    return problems, notes


def _missing(settings: Settings, runtime: str) -> str:
    """Why a runtime cannot be used here; "" where it can, or none is named."""
    if runtime == "auto":
        return ""
    from dicomnode.engine.runtimes import RUNTIMES, Reason, RuntimeWish, survey, wish_of

    # Without a state folder: nothing of this is left behind
    wish = RuntimeWish(triton=wish_of(settings, "").triton)
    which = [one for one in RUNTIMES if one.name == runtime]
    answers = [one for one in survey(wish=wish, runtimes=which) if one.runtime == runtime]
    if not answers:
        return "[analyse.triton] names no server"
    return answers[0].text.rstrip(".") if isinstance(answers[0], Reason) else ""


def _port(address: str, port: int) -> list[Problem]:
    from dicomnode.receive import open_listening
    from dicomnode.settings import Problem

    if port == 0:  # any free one
        return []
    try:
        open_listening(address, port).close()
    except NodeError as error:
        hint = f"{error} {error.remedy}"
        expected = "a port that can be listened on"
        return [Problem(key="receive.port", value=port, expected=expected, hint=hint)]
    return []
