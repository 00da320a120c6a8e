"""The keys of a table that names a web service: its address, a login, and what TLS needs.

What tables mean by them is the same, so each sentence stands here once; `logins` checks them together.
"""

from __future__ import annotations

from typing import Any

from dicomnode.settings.keys import SECRET_OR_EMPTY, USER_OR_EMPTY, WEB_OR_EMPTY, key


def url(then: str) -> Any:
    """Declare `url`. then: what it is for, if that needs saying, and what holds without it."""
    return key("", f"Root of its DICOMweb service, as https://pacs/dicom-web{then}", WEB_OR_EMPTY)


def user() -> Any:
    """Declare `user`."""
    return key("", "With a url: the name to log in with (HTTP Basic); empty: no such login.", USER_OR_EMPTY)


def password() -> Any:
    """Declare `password`: where it is, never what it is."""
    return key(
        "",
        "Where its password is, as file:/etc/dicomnode/pacs.password (mode 0600) or credential:NAME (systemd "
        "LoadCredential=).",
        SECRET_OR_EMPTY,
    )


def token() -> Any:
    """Declare `token`."""
    return key(
        "",
        "Where a bearer token is that it wants instead, as for password; read again for each request.",
        SECRET_OR_EMPTY,
    )


def ca_file(when: str, whose: str) -> Any:
    """Declare `ca_file`, which may be None. when: it is of use. whose: certificate is checked."""
    return key(
        None,
        f"{when}: certificates that {whose} own is checked against, as of the hospital's own authority; "
        "empty: those of the system.",
    )


def certificate(when: str, whom: str) -> Any:
    """Declare `certificate`, which may be None. when: it is of use. whom: it is shown to."""
    return key(None, f"{when}: certificate (PEM) that this node shows {whom}; empty: none.")


def certificate_key() -> Any:
    """Declare `certificate_key`, which may be None."""
    return key(
        None, "Its private key (PEM, mode 0600, without a passphrase); empty: it stands in `certificate`."
    )
