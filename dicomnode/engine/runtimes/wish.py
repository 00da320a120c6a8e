"""What a site wishes: which runtime, in which precision, and whether another one may stand in for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dicomnode.engine.precision import site_folder
from dicomnode.engine.runtimes.triton import TritonServer
from dicomnode.settings import Settings

AUTO: Final = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeWish:
    """How the networks of an engine shall run.

    runtime: "auto" is the best that works here and agrees with the reference. precision: "" is the best liked
    one of engine.toml that does. fallback: whether another runtime may take over from one that is named.
    state: folder where answers of probes and records of acceptance are kept; None: nothing is kept. plans:
    folder of what was compiled for the GPU; plan_key: as [store] plan_key; calibration: as [[engine]] says.
    triton: the inference server of the site.
    """

    runtime: str = AUTO
    precision: str = ""
    fallback: bool = False
    state: Path | None = None
    plans: Path | None = None
    plan_key: str = ""
    calibration: Path | None = None
    triton: TritonServer | None = None

    @property
    def others_allowed(self) -> bool:
        """Whether a runtime that fails may be passed over."""
        return self.runtime == AUTO or self.fallback


def wish_of(settings: Settings, engine: str) -> RuntimeWish:
    """What dicomnode.toml wishes for an engine: its own [[engine]], and [analyse] where that says nothing."""
    own = next((one for one in settings.engine if one.name == engine), None)
    named = own if own is not None and own.runtime else settings.analyse
    return RuntimeWish(
        runtime=named.runtime,
        fallback=named.fallback,
        precision=own.precision if own is not None else "",
        state=settings.store.path,
        plans=settings.store.plans_path,
        plan_key=settings.store.plan_key,
        calibration=site_folder(own.calibration if own is not None else None, settings.store.path, engine),
        triton=_server(settings),
    )


def _server(settings: Settings) -> TritonServer | None:
    said = settings.analyse.triton
    return TritonServer(url=said.url, timeout_s=said.timeout_s, ca_file=said.ca_file) if said.url else None
