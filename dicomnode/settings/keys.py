"""What a key of a TOML file is: its default, its line of documentation, and what its values must satisfy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition on a value, with the words for what was expected."""

    expected: str
    holds: Callable[[Any], bool]


def key(default: Any, doc: str, rule: Rule | None = None) -> Any:
    """Declare a key of dicomnode.toml with its default, its one line of documentation and its rule."""
    return field(default=default, metadata={"doc": doc, "rule": rule})


def needed(doc: str, rule: Rule | None = None) -> Any:
    """Declare a key that has no default."""
    return field(metadata={"doc": doc, "rule": rule})


def _is_ae_title(text: str) -> bool:
    # PS3.5 6.2: AE is at most 16 characters of the default repertoire without backslash and control
    # characters, leading and trailing spaces not significant
    return 0 < len(text.strip()) <= 16 and all(" " <= c <= "~" and c != "\\" for c in text)


AE_TITLE: Final = Rule("1 to 16 printable ASCII characters without backslash", _is_ae_title)
AE_TITLE_OR_EMPTY: Final = Rule(
    "1 to 16 printable ASCII characters without backslash, or nothing",
    lambda text: not text or _is_ae_title(text),
)
MODALITIES: Final = Rule(
    'a list of modalities as "CT", at least one',
    lambda words: bool(words) and all(0 < len(word) <= 16 and word == word.upper().strip() for word in words),
)
PORT: Final = Rule("a port number, 1 to 65535", lambda n: 1 <= n <= 65535)
PORT_OR_ANY: Final = Rule("a port number, 0 (any free one) to 65535", lambda n: 0 <= n <= 65535)
PORT_OR_NONE: Final = Rule("a port number, or 0 for none", lambda n: 0 <= n <= 65535)
POSITIVE: Final = Rule("a number above 0", lambda n: n > 0)
NOT_NEGATIVE: Final = Rule("0 or more", lambda n: n >= 0)
AT_LEAST_ONE: Final = Rule("1 or more", lambda n: n >= 1)


def _is_name(text: str) -> bool:
    return 0 < len(text) <= 64 and all(c.isalnum() or c in "-_." for c in text)


NAME: Final = Rule("1 to 64 letters, digits, '-', '_' or '.'", _is_name)
CREDENTIAL_OR_EMPTY: Final = Rule(
    "credential: and a name, or nothing",
    lambda text: not text or (text.startswith("credential:") and _is_name(text.partition(":")[2])),
)
SECRET_OR_EMPTY: Final = Rule(
    "file: and the whole path of a file, or credential: and a name, or nothing; never the secret itself",
    lambda text: text.startswith("file:/") or CREDENTIAL_OR_EMPTY.holds(text),
)
# RFC 7617 section 2: the first colon ends the name
USER_OR_EMPTY: Final = Rule(
    "a name without colon and control characters, or nothing",
    lambda text: text.isprintable() and ":" not in text,
)
NOT_EMPTY: Final = Rule("some text", lambda text: bool(text.strip()))


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port_is_right = parts.port is None or parts.port > 0
    except ValueError:  # a port that is no number, a bracket that is not closed
        return False
    plain = not (parts.query or parts.fragment or parts.username)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and plain and port_is_right


WEB_OR_EMPTY: Final = Rule(
    "http:// or https://, a host, perhaps a port and a path, or nothing",
    lambda url: not url or _is_web_address(url),
)
SERVER_OR_EMPTY: Final = Rule(
    "http:// or https://, a host and perhaps a port, or nothing",
    lambda url: not url or (_is_web_address(url) and not urlsplit(url).path.strip("/")),
)


def _are_devices(devices: tuple[str, ...]) -> bool:
    named = [one for one in devices if one != "cpu"]
    each = all(one.startswith(("GPU-", "MIG-")) for one in named)
    return devices == ("auto",) or (bool(devices) and each and len(set(named)) == len(named))


DEVICES: Final = Rule(
    'a list: "auto" alone, or GPU-… and MIG-… as `nvidia-smi -L` shows them, each once, and "cpu"',
    _are_devices,
)


CHARACTER_SET: Final = Rule(
    'a character set of HL7 table 0211: "ASCII", "UNICODE UTF-8", "8859/1" to "8859/9" or "8859/15"',
    lambda name: name in ("ASCII", "UNICODE UTF-8", "8859/15", *(f"8859/{n}" for n in range(1, 10))),
)
