"""What is known of a plan: its key and digest, how it was built, whether it was accepted; all signed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from dicomnode.engine.plans.key import PlanKey, canonical_json, key_of
from dicomnode.engine.plans.secret import sign, signed

SCHEMA: Final = 1
_FORMAT: Final = "dicomnode plan"


class PlanState(StrEnum):
    """How far a plan has come; only an accepted one serves."""

    BUILT = "built"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class UntrustedRecordError(Exception):
    """A record is not one that this installation has written; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRecord:
    """The record of one plan; it lies beside it as JSON.

    size, sha256: of the plan's bytes. number: counts the plans of a slot, from 1. build_s: how long the
    build took. facts: what else the builder told. figures: of the acceptance (see `PlanCache.accept`).
    """

    key: PlanKey
    size: int
    sha256: str
    number: int
    build_s: float
    state: PlanState = PlanState.BUILT
    facts: Mapping[str, Any] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (self.size > 0 and self.number > 0 and self.build_s >= 0):
            raise ValueError(f"PlanRecord with size {self.size}, number {self.number}, {self.build_s} s")
        object.__setattr__(self, "facts", MappingProxyType(dict(self.facts)))
        object.__setattr__(self, "figures", MappingProxyType(dict(self.figures)))

    def holds(self, content: bytes) -> bool:
        """Whether these are the plan's bytes."""
        return len(content) == self.size and hashlib.sha256(content).hexdigest() == self.sha256

    def pack(self, secret: bytes) -> bytes:
        """Write it as JSON, signed. The signature covers the plan through its SHA-256."""
        document = {
            "schema": SCHEMA,
            "format": _FORMAT,
            "key": self.key.facts(),
            "size": self.size,
            "sha256": self.sha256,
            "number": self.number,
            "build_s": self.build_s,
            "state": self.state.value,
            "facts": dict(self.facts),
            "figures": dict(self.figures),
        }
        document["hmac"] = sign(secret, canonical_json(document))
        return json.dumps(document, indent=1, sort_keys=True, allow_nan=False).encode() + b"\n"


def read_record(content: bytes, secret: bytes) -> PlanRecord:
    """Read what `pack` wrote; raises UntrustedRecordError.

    Nothing in it is looked at before the signature is found right.
    """
    try:
        document = json.loads(content)
        signature = document.pop("hmac")
        message = canonical_json(document)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UntrustedRecordError(f"its record cannot be read ({type(error).__name__})") from error
    if not signed(secret, message, signature):
        raise UntrustedRecordError("its record is not signed with the key of this installation")
    if (document.get("format"), document.get("schema")) != (_FORMAT, SCHEMA):
        found = f"{document.get('format')} {document.get('schema')}"
        raise UntrustedRecordError(
            f"its record is of the form {found}, this version knows {_FORMAT} {SCHEMA}"
        )
    try:
        return PlanRecord(
            key=key_of(document["key"]),
            state=PlanState(document["state"]),
            **{name: document[name] for name in ("size", "sha256", "number", "build_s", "facts", "figures")},
        )
    except (ValueError, KeyError, TypeError) as error:
        raise UntrustedRecordError(f"its record is not complete ({error})") from error
