"""What dicomnode.toml says of the places that results go to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from dicomnode.settings import login_keys
from dicomnode.settings.keys import (
    AE_TITLE_OR_EMPTY,
    NAME,
    NOT_NEGATIVE,
    PORT,
    POSITIVE,
    Rule,
    key,
    needed,
)

_HOURS: Final = re.compile(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d")


def _are_hours(text: str) -> bool:
    return bool(_HOURS.fullmatch(text)) and len(set(text.split("-"))) == 2


HOURS: Final = Rule(
    'two different times of day as "19:00-06:30", or nothing', lambda text: not text or _are_hours(text)
)

ObjectKind = Literal["SEG", "LABELMAP", "SR", "GSPS", "SC", "PM", "RTSTRUCT", "PDF", "KOS", "IMAGES"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationSettings:
    """[[destination]]: where results go: an archive (C-STORE, or STOW-RS with a url), a folder, or the sender."""

    name: str = needed("A name for this destination, for people.", NAME)
    ae_title: str = key(
        "", "AE title of the archive; empty with a url, a folder or to_sender.", AE_TITLE_OR_EMPTY
    )
    host: str = key("", "Its host name or IP address; empty with a url, a folder or to_sender.")
    port: int = key(104, "Its port; with to_sender: the port at the address that a study came from.", PORT)
    tls: bool = key(
        False, "Whether the association goes over TLS (PS3.15 B.12), as ca_file and certificate say."
    )
    url: str = login_keys.url(", for STOW-RS; empty: C-STORE.")
    user: str = login_keys.user()
    password: str = login_keys.password()
    token: str = login_keys.token()
    ca_file: Path | None = login_keys.ca_file("With https or tls", "the archive's")
    certificate: Path | None = login_keys.certificate("With https or tls", "the archive")
    certificate_key: Path | None = login_keys.certificate_key()
    folder: Path | None = key(
        None, "A folder that gets the results as files, in folders by study and series; empty: none."
    )
    to_sender: bool = key(
        False,
        "Whether results go back to the AE and address that the study came from, at `port`; no ae_title, host, url "
        "or folder then.",
    )
    objects: tuple[ObjectKind, ...] = key(
        ("SEG", "SR"),
        "Kinds of objects that it gets: SEG, LABELMAP (beside SEG only), SR, GSPS (contours), SC (pages in colour), "
        "PM (maps), RTSTRUCT, PDF, KOS (key images), IMAGES (derived series).",
    )
    fallback: bool = key(
        True,
        "Whether it gets the next best kind instead of one whose SOP Class it refuses, or that cannot be made of a "
        "picture: GSPS for SEG, SC for GSPS, PDF for SR …; false: the delivery waits for a person.",
    )
    viewer: Literal["", "cornerstone"] = key(
        "",
        "cornerstone: its viewer is OHIF or another of that family, and gets long axes in the form that it draws.",
    )
    coordinates: Literal["2d", "3d"] = key(
        "2d",
        "How reports place regions: 2d: on images (Enhanced SR); 3d: in the patient (Comprehensive 3D SR).",
    )
    frames_maximum: int = key(
        0, "Most frames of a SEG, which is divided by segments beyond; 0: no limit.", NOT_NEGATIVE
    )
    empty_frames: bool = key(
        False, "Whether a SEG has frames also where a segment has nothing, which some viewers need."
    )
    confirm: Literal["auto", "commitment", "query", "status"] = key(
        "auto",
        "How it is known that it keeps what it stored: commitment: it says so when asked (storage commitment); "
        "query: it lists it (C-FIND, QIDO-RS); status: its answer to the sending is enough; auto: the first of "
        "these that it can do.",
    )
    confirm_wait_s: float = key(
        3600.0, "Longest wait for a storage commitment; then it is asked by query.", POSITIVE
    )
    filed_within_s: float = key(
        60.0, "How long it may take to list what it stored; what is not there then is sent again.", POSITIVE
    )
    hold: bool = key(False, "Whether results wait until a person lets them go (`dicomnode release`).")
    hours: str = key("", 'Only in these hours, local time, as "19:00-06:30"; empty: at any time.', HOURS)
    rate_mb_s: float = key(0.0, "Most MB that are sent in a second; 0: no limit.", NOT_NEGATIVE)
    timeout_s: float = key(30.0, "Longest wait for an answer.", POSITIVE)
    retry_first_s: float = key(10.0, "Wait before the second try; doubled each time.", POSITIVE)
    retry_longest_s: float = key(1800.0, "Longest wait between two tries; the node never gives up.", POSITIVE)
    warn_after_s: float = key(
        3600.0,
        "When results wait for it longer than that, within its hours, the log warns: once, and once a day while it "
        "lasts; 0: never.",
        NOT_NEGATIVE,
    )
