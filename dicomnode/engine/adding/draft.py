"""An engine package in the making: what a converter gives, before anything is written or tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What becomes a folder with engine.toml, networks and card.

    table: engine.toml as nested tables and lists. Left out of it are `schema`, the digests of the networks
    and the expectations of their gates: these are computed when the draft is written.
    networks: ONNX files by name. card: card.md. left_out: sentences on what the source has and this engine
    does not do, because it cannot be converted. files: what else lies in the folder for people and for
    training, by name; nothing that serves reads it.
    """

    table: Mapping[str, Any]
    networks: Mapping[str, bytes]
    card: str
    left_out: tuple[str, ...] = field(default=())
    files: Mapping[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", MappingProxyType(dict(self.table)))
        object.__setattr__(self, "networks", MappingProxyType(dict(self.networks)))
        object.__setattr__(self, "files", MappingProxyType(dict(self.files)))
