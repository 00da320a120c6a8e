"""The peers of a configuration: whether they answer, and whether what a login wants can be read."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from dicomnode.cli.private_folders import acting_as, user_name
from dicomnode.faults import NodeError

if TYPE_CHECKING:
    from dicomnode.net import WebPeer
    from dicomnode.settings import DestinationSettings, Problem, Settings

_ROOT: Final = 0
# A study that nobody has, under the root for UIDs of UUIDs (PS3.5 B.2): whoever answers, answers "none"
_NO_STUDY: Final = "2.25.0"
_ANYWHERE: Final = "https://localhost"  # nobody is called: what TLS needs is read alone


def unreadable_secrets(settings: Settings) -> tuple[list[Problem], list[str]]:
    """Read what logins and certificates of peers want, as the user of the service; keep nothing of it.

    Gives the problems, and notes on what was not looked at.
    """
    from dicomnode.net import Peer, WebPeer
    from dicomnode.net.login import login_of, trust_of
    from dicomnode.serve.asking.fetching import peer_to_ask

    problems: list[Problem] = []
    notes: list[str] = []
    keeper = settings.store.path.stat().st_uid if settings.store.path.is_dir() else os.geteuid()
    asked: list[tuple[str, Any, Peer | WebPeer]]
    asked = [(f"query[{n}]", query, peer_to_ask(query)) for n, query in enumerate(settings.query, 1)]
    asked += [
        (
            f"destination[{n}]",
            to,
            WebPeer(to.name, to.url or _ANYWHERE, login=login_of(to), trust=trust_of(to)),
        )
        for n, to in enumerate(settings.destination, 1)
        if to.url or to.tls
    ]
    for where, table, peer in asked:
        if not isinstance(peer, WebPeer):
            continue
        if os.geteuid() not in (keeper, _ROOT):
            name = user_name(keeper)
            notes.append(f"{where} ({table.name}): run this as {name} to look at what its login needs.")
        elif "credential:" in f"{table.password} {table.token}" and "CREDENTIALS_DIRECTORY" not in os.environ:
            notes.append(
                f"{where} ({table.name}): systemd gives its secret to the service alone, so it was not read."
            )
        else:
            with acting_as(keeper):
                problems += _unreadable(where, peer)
    return problems, notes


def _unreadable(where: str, peer: WebPeer) -> list[Problem]:
    from dicomnode.settings import Problem

    wanted: tuple[tuple[str, Callable[[str], object]], ...] = (
        ("login", peer.login.header),
        ("certificates", peer.trust.context),
    )
    problems = []
    for what, read in wanted:
        try:
            read(peer.name)
        except NodeError as error:
            expected = f"{what} that the service can read"
            hint = f"{error} {error.remedy}"
            problems.append(Problem(key=f"{where}.{what}", value=None, expected=expected, hint=hint))
    return problems


def probe_destinations(settings: Settings) -> list[dict[str, Any]]:
    """Ask each destination whether it is there, and which of its objects it would get, as far as it tells.

    asked: false of senders, who are known when a study comes. gets: kinds of objects, null where that is not
    known before something is sent. instead: what it would get for a kind that it refuses, null for nothing.
    """
    return [_probed(destination, settings) for destination in settings.destination]


def _probed(to: DestinationSettings, settings: Settings) -> dict[str, Any]:
    from dicomnode.deliver import route_to
    from dicomnode.report import choose, classes_for

    address = to.url or (str(to.folder) if to.folder else f"{to.ae_title.strip()}@{to.host}:{to.port}")
    entry: dict[str, Any] = {
        "name": to.name,
        "address": address,
        "asked": not to.to_sender,
        "problem": None,
        "gets": None,
        "instead": {},
    }
    if to.to_sender:
        return entry | {"address": f"who sent a study, port {to.port}"}
    try:
        taken = route_to(to, settings.node.ae_title).takes(classes_for(to.objects))
    except NodeError as error:
        return entry | {"problem": f"{error} {error.remedy}"}
    if not taken:
        return entry
    choice = choose(to.objects, {uid for uid, is_taken in taken.items() if not is_taken})
    entry |= {"gets": list(choice.kinds), "instead": dict(choice.instead)}
    if not choice.kinds or (choice.instead and not to.fallback):
        entry["problem"] = _waits(to, ", ".join(choice.instead), nothing=not choice.kinds)
    return entry


def _waits(to: DestinationSettings, refused: str, *, nothing: bool) -> str:
    """Say that results would wait for a person."""
    from dicomnode.faults import NO_PRESENTATION_CONTEXT, NOTHING_TAKEN

    either = "Explicit or Implicit VR Little Endian"
    error = (
        NodeError(NOTHING_TAKEN, destination=to.name, refused=refused)
        if nothing
        else NodeError(NO_PRESENTATION_CONTEXT, name=to.name, sop_class=refused, transfer_syntax=either)
    )
    return f"{error} {error.remedy}"


def probe_sources(settings: Settings) -> list[dict[str, Any]]:
    """Ask each peer of [[query]] for a study that nobody has, as the service asks it."""
    from dicomnode.net import Peer, WebPeer, count_by_web, count_instances
    from dicomnode.serve.asking.fetching import peer_to_ask

    def ask(peer: Peer | WebPeer) -> Callable[[], object]:
        if isinstance(peer, WebPeer):
            return lambda: count_by_web(peer, _NO_STUDY)
        return lambda: count_instances(peer, settings.node.ae_title, _NO_STUDY)

    answers = []
    for query in settings.query:
        address = query.url or f"{query.ae_title.strip()}@{query.host}:{query.port}"
        answers.append(_asked(query.name, address, ask(peer_to_ask(query))))
    return answers


def _asked(name: str, address: str, ask: Callable[[], object]) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": name, "address": address, "problem": None}
    try:
        ask()
    except NodeError as error:
        entry["problem"] = f"{error} {error.remedy}"
    return entry
