"""What dicomnode.toml says of the peers that are asked about studies, and of what studies must have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dicomnode.settings import login_keys
from dicomnode.settings.keys import (
    AE_TITLE_OR_EMPTY,
    AT_LEAST_ONE,
    MODALITIES,
    NAME,
    PORT,
    POSITIVE,
    key,
    needed,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuerySettings:
    """[[query]]: a peer that is asked how many images a study has (C-FIND, or QIDO-RS where it has a url)."""

    name: str = needed("A name for this peer, for people.", NAME)
    senders: tuple[str, ...] = key(
        (), "Calling AE titles whose studies it is asked about; empty: those of all senders."
    )
    ae_title: str = key("", "Its AE title; empty with a url.", AE_TITLE_OR_EMPTY)
    host: str = key("", "Its host name or IP address; empty with a url.")
    port: int = key(104, "Its port.", PORT)
    url: str = login_keys.url("; empty: C-FIND.")
    user: str = login_keys.user()
    password: str = login_keys.password()
    token: str = login_keys.token()
    ca_file: Path | None = login_keys.ca_file("With a url", "the server's")
    certificate: Path | None = login_keys.certificate("With a url", "the server")
    certificate_key: Path | None = login_keys.certificate_key()
    timeout_s: float = key(10.0, "Longest wait for an answer; without one, the quiet time decides.", POSITIVE)
    ask_after_s: float = key(
        20.0,
        "It is asked when nothing new of a study has come for so long (the quiet time at most).",
        POSITIVE,
    )
    whole_study: bool = key(
        False,
        "Whether series of which nothing came are missing too; false: only those that have begun.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorsSettings:
    """[priors]: what is taken from a peer of [[query]] for an engine that asks for an earlier study."""

    studies: int = key(3, "Earlier studies that are looked into, the latest first.", AT_LEAST_ONE)
    series: int = key(3, "Series that are fetched until one holds the rules of the engine.", AT_LEAST_ONE)
    instances: int = key(3000, "Most images that are fetched for one input.", AT_LEAST_ONE)
    gb: float = key(2.0, "Most GB that are fetched for one input.", POSITIVE)
    time_s: float = key(
        300.0, "Longest time for one input; then the engine goes on without a prior, and says so.", POSITIVE
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectSettings:
    """[[expect]]: series that a study must have, whatever its sender says."""

    name: str = needed("A name for this rule, for people.", NAME)
    senders: tuple[str, ...] = key((), "Calling AE titles whose studies it is for; empty: all.")
    modalities: tuple[str, ...] = needed(
        'Modality of each series, as ["CT", "PT", "PT"]: a CT and two PT series at least.', MODALITIES
    )
