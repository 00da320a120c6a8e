"""The engine package: what it says (manifest), what it wants (match), what it is (package), how it runs.

Names are loaded when first used: a session needs numpy and a runtime, matching needs neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.engine.acceptance import Acceptance, records_of
    from dicomnode.engine.adding.draft import Draft
    from dicomnode.engine.adding.drafting import write_draft
    from dicomnode.engine.gate import GateCheck
    from dicomnode.engine.manifest.inputs import Feed, TagNumber
    from dicomnode.engine.manifest.interpretation import (
        Activation,
        Anomaly,
        Boxes,
        Classes,
        Features,
        Head,
        ImageHow,
        Labels,
        MapHow,
        SequenceHow,
        Sigmoid,
    )
    from dicomnode.engine.manifest.preparation import Preparation
    from dicomnode.engine.manifest.read import read_manifest
    from dicomnode.engine.manifest.tree import (
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
    from dicomnode.engine.matching import (
        COVERS_FROM,
        PIXELS,
        hang_on_pixels,
        match,
        match_further,
        match_prior,
        match_tied,
        may_be_prior,
        may_want,
        wanted_but_refused,
    )
    from dicomnode.engine.package import EnginePackage, load_package
    from dicomnode.engine.runtimes.contract import Capability, Reason, Session
    from dicomnode.engine.runtimes.wish import RuntimeWish, wish_of
    from dicomnode.engine.serving import GateReport, check_engine, open_session
    from dicomnode.engine.shelf import (
        configured_engine,
        engine_folders,
        find_engine,
        list_engines,
        shipped_engines_dir,
    )

_HOMES = {
    "acceptance": ("Acceptance", "records_of"),
    "adding.draft": ("Draft",),
    "adding.drafting": ("write_draft",),
    "gate": ("GateCheck",),
    "manifest.inputs": ("Feed", "TagNumber"),
    "manifest.interpretation": (
        "Activation",
        "Anomaly",
        "Boxes",
        "Classes",
        "Features",
        "Head",
        "ImageHow",
        "Labels",
        "MapHow",
        "SequenceHow",
        "Sigmoid",
    ),
    "manifest.tree": (
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
    "matching": (
        "COVERS_FROM",
        "PIXELS",
        "hang_on_pixels",
        "match",
        "match_further",
        "match_prior",
        "match_tied",
        "may_be_prior",
        "may_want",
        "wanted_but_refused",
    ),
    "package": ("EnginePackage", "load_package"),
    "manifest.preparation": ("Preparation",),
    "manifest.read": ("read_manifest",),
    "runtimes.contract": ("Capability", "Reason", "Session"),
    "runtimes.wish": ("RuntimeWish", "wish_of"),
    "serving": ("GateReport", "check_engine", "open_session"),
    "shelf": ("configured_engine", "engine_folders", "find_engine", "list_engines", "shipped_engines_dir"),
}

__all__ = [
    "COVERS_FROM",
    "PIXELS",
    "Acceptance",
    "Activation",
    "Anomaly",
    "Boxes",
    "Capability",
    "CentreHeat",
    "Classes",
    "CodeSpec",
    "Crop",
    "Draft",
    "EnginePackage",
    "Features",
    "Feed",
    "Fingerprint",
    "GateCheck",
    "GateReport",
    "GateSpec",
    "Head",
    "ImageHow",
    "InputSpec",
    "Labels",
    "Manifest",
    "MapHow",
    "OutputSpec",
    "Preference",
    "Preparation",
    "Reason",
    "Requirement",
    "RuntimeWish",
    "SequenceHow",
    "Session",
    "Sigmoid",
    "StepSpec",
    "TagNumber",
    "Window",
    "check_engine",
    "configured_engine",
    "engine_folders",
    "find_engine",
    "hang_on_pixels",
    "list_engines",
    "load_package",
    "match",
    "match_further",
    "match_prior",
    "match_tied",
    "may_be_prior",
    "may_want",
    "open_session",
    "read_manifest",
    "records_of",
    "shipped_engines_dir",
    "wanted_but_refused",
    "wish_of",
    "write_draft",
]

__getattr__ = lazy_face(__name__, _HOMES)
