"""What a plan is bound to: everything that would make another plan out of the same network.

A plan is found by the SHA-256 of this, written as canonical JSON, and by nothing else: plans of one network
differ byte by byte from build to build, and a runtime may call a plan valid that was made elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from types import MappingProxyType
from typing import Any, Final

# Raised when the code that builds changes what a plan is
BUILDER_VERSION: Final = "1"

_HEX_DIGITS: Final = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuIdentity:
    """The device that a plan is made for, as the driver describes it; of a MIG slice its own share.

    compute_capability: major, minor. multiprocessors: streaming multiprocessors; 0 where that is not told.
    """

    name: str
    compute_capability: tuple[int, int]
    multiprocessors: int
    memory_bytes: int

    def __post_init__(self) -> None:
        if not self.name or not self.multiprocessors >= 0 or not self.memory_bytes > 0:
            raise ValueError(f"GpuIdentity is not complete: {self!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanKey:
    """All that a plan depends on; frozen, and the same text on every machine.

    engine, network: name of the engine and file of the network. onnx_sha256: of the network as the package
    has it, before it is converted; precision and conversion (what else went into the converted weights:
    versions, digest of the calibration) say the rest. flavour: "tensorrt" or "tensorrt-rtx"; version: all
    of it. gpu: None for a plan that is not bound to one device. driver, cuda_runtime: empty where none was
    needed. options: profiles, workspace, TF32, level, flags, as JSON values. builder: version of
    the code that builds.
    """

    engine: str
    network: str
    onnx_sha256: str
    precision: str
    flavour: str
    version: str
    gpu: GpuIdentity | None = None
    driver: str = ""
    cuda_runtime: str = ""
    conversion: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    builder: str = BUILDER_VERSION

    def __post_init__(self) -> None:
        if len(self.onnx_sha256) != 64 or not set(self.onnx_sha256) <= _HEX_DIGITS:
            raise ValueError(f"PlanKey.onnx_sha256 must be 64 hexadecimal digits, got {self.onnx_sha256!r}")
        for name in ("engine", "network", "precision", "flavour", "version"):
            if not getattr(self, name):
                raise ValueError(f"PlanKey.{name} is empty")
        # Through JSON and back: tuples become lists, and what JSON cannot say is a TypeError here
        options = json.loads(canonical_json(dict(self.options)))
        object.__setattr__(self, "options", MappingProxyType(options))

    def __hash__(self) -> int:
        return hash(self.digest)

    def facts(self) -> dict[str, Any]:
        """Give everything as JSON values; `key_of` reads it back."""
        given = {name.name: getattr(self, name.name) for name in fields(self)}
        given["gpu"] = None if self.gpu is None else asdict(self.gpu)
        given["options"] = dict(self.options)
        return given

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, 64 hex digits: the name of the plan."""
        return hashlib.sha256(canonical_json(self.facts())).hexdigest()

    @property
    def slot(self) -> tuple[object, ...]:
        """What the plan is for. Keys of one slot replace each other when something else changes."""
        return (self.engine, self.network, self.flavour, self.precision, self.gpu)

    @property
    def title(self) -> str:
        """For people: "lung-ct nodules.onnx fp16, tensorrt 11.4.0.106"."""
        return f"{self.engine} {self.network} {self.precision}, {self.flavour} {self.version}"

    def may_stand_in(self, older: PlanKey) -> bool:
        """Whether a plan of `older` may still serve until this one is built and accepted.

        It must be the same network, and made by the same version for the same device: nothing else loads,
        or would compute what the engine promises. A driver, an option or a builder may differ.
        """
        return (
            self.slot == older.slot
            and self.onnx_sha256 == older.onnx_sha256
            and self.version == older.version
        )


def key_of(facts: Mapping[str, Any]) -> PlanKey:
    """Make a key of what `PlanKey.facts` gave and JSON carried; ValueError when it is none."""
    try:
        given = dict(facts)
        if (gpu := given.pop("gpu")) is not None:
            given["gpu"] = GpuIdentity(**{**gpu, "compute_capability": tuple(gpu["compute_capability"])})
        return PlanKey(**given)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"it is no key of a plan: {error}") from error


def canonical_json(document: Mapping[str, Any]) -> bytes:
    """Write JSON in the one way that is hashed and signed: sorted, without spaces, ASCII, finite numbers."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.encode("ascii")
