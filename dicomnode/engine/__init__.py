"""The engine package: what it says (manifest), what it wants (match), what it is (package), how it runs.

Names are loaded when first used: a session needs numpy and a runtime, matching needs neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.engine.gate import GateCheck, GateReport, check_engine, open_session
    from dicomnode.engine.manifest import (
        CentreHeat,
        CodeSpec,
        Crop,
        Fingerprint,
        GateSpec,
        InputSpec,
        Manifest,
        OutputSpec,
        Preference,
        Requirement,
        StepSpec,
        Window,
    )
    from dicomnode.engine.matching import match, may_want, wanted_but_refused
    from dicomnode.engine.package import EnginePackage, load_package
    from dicomnode.engine.preparation import Preparation
    from dicomnode.engine.read import read_manifest
    from dicomnode.engine.runtimes.contract import Capability, Reason, Session
    from dicomnode.engine.shelf import engine_folders, find_engine, list_engines, shipped_engines_dir

_HOMES = {
    "gate": ("GateCheck", "GateReport", "check_engine", "open_session"),
    "manifest": (
        "CentreHeat",
        "CodeSpec",
        "Crop",
        "Fingerprint",
        "GateSpec",
        "InputSpec",
        "Manifest",
        "OutputSpec",
        "Preference",
        "Requirement",
        "StepSpec",
        "Window",
    ),
    "matching": ("match", "may_want", "wanted_but_refused"),
    "package": ("EnginePackage", "load_package"),
    "preparation": ("Preparation",),
    "read": ("read_manifest",),
    "runtimes.contract": ("Capability", "Reason", "Session"),
    "shelf": ("engine_folders", "find_engine", "list_engines", "shipped_engines_dir"),
}

__all__ = [
    "Capability",
    "CentreHeat",
    "CodeSpec",
    "Crop",
    "EnginePackage",
    "Fingerprint",
    "GateCheck",
    "GateReport",
    "GateSpec",
    "InputSpec",
    "Manifest",
    "OutputSpec",
    "Preference",
    "Preparation",
    "Reason",
    "Requirement",
    "Session",
    "StepSpec",
    "Window",
    "check_engine",
    "engine_folders",
    "find_engine",
    "list_engines",
    "load_package",
    "match",
    "may_want",
    "open_session",
    "read_manifest",
    "shipped_engines_dir",
    "wanted_but_refused",
]

__getattr__ = lazy_face(__name__, _HOMES)
