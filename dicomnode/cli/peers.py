"""The peers of a configuration: whether they answer, and whether what a login wants can be read."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from dicomnode.cli.private_folders import acting_as, user_name
from dicomnode.faults import NodeError

if TYPE_CHECKING:
    from dicomnode.net import WebPeer
    from dicomnode.settings import Problem, Settings

_ROOT: Final = 0
# A study that nobody has, under the root for UIDs of UUIDs (PS3.5 B.2): whoever answers, answers "none"
_NO_STUDY: Final = "2.25.0"


def unreadable_secrets(settings: Settings) -> tuple[list[Problem], list[str]]:
    """Read what logins and certificates of [[query]] want, as the user of the service; keep nothing of it.

    Gives the problems, and notes on what was not looked at.
    """
    from dicomnode.net import WebPeer
    from dicomnode.serve.asking.fetching import peer_to_ask

    problems: list[Problem] = []
    notes: list[str] = []
    keeper = settings.store.path.stat().st_uid if settings.store.path.is_dir() else os.geteuid()
    for number, query in enumerate(settings.query, 1):
        peer = peer_to_ask(query)
        if not isinstance(peer, WebPeer):
            continue
        where = f"query[{number}]"
        if os.geteuid() not in (keeper, _ROOT):
            name = user_name(keeper)
            notes.append(f"{where} ({query.name}): run this as {name} to look at what its login needs.")
        elif "credential:" in f"{query.password} {query.token}" and "CREDENTIALS_DIRECTORY" not in os.environ:
            notes.append(
                f"{where} ({query.name}): systemd gives its secret to the service alone, so it was not read."
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
    """Ask each destination by C-ECHO whether it is there."""
    from dicomnode.net import Peer, echo

    def ask(peer: Peer) -> Callable[[], object]:
        return lambda: echo(peer, settings.node.ae_title)

    answers = []
    for d in settings.destination:
        peer = Peer(name=d.name, ae_title=d.ae_title, host=d.host, port=d.port, timeout_s=d.timeout_s)
        answers.append(_asked(d.name, f"{d.ae_title}@{d.host}:{d.port}", ask(peer)))
    return answers


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
