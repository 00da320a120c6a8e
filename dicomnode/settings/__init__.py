"""The settings of a node: dicomnode.toml, read once into a frozen tree, with every problem at once."""

from __future__ import annotations

from dicomnode.settings.credential import read_credential, read_protected, read_secret
from dicomnode.settings.editing import write_modes
from dicomnode.settings.load import load_settings, located, read_settings
from dicomnode.settings.peers import peer_side
from dicomnode.settings.problem import Problem
from dicomnode.settings.reader import read_table
from dicomnode.settings.schema import (
    AnalyseSettings,
    AssembleSettings,
    EngineSettings,
    Hl7Settings,
    JournalSettings,
    LogSettings,
    NodeSettings,
    ReceiveSettings,
    ReportSettings,
    RuleSettings,
    SenderSettings,
    ServeSettings,
    Settings,
    StoreSettings,
    TritonSettings,
)
from dicomnode.settings.sources import ExpectSettings, PriorsSettings, QuerySettings
from dicomnode.settings.targets import DestinationSettings, ObjectKind
from dicomnode.settings.template import template

__all__ = [
    "AnalyseSettings",
    "AssembleSettings",
    "DestinationSettings",
    "EngineSettings",
    "ExpectSettings",
    "Hl7Settings",
    "JournalSettings",
    "LogSettings",
    "NodeSettings",
    "ObjectKind",
    "PriorsSettings",
    "Problem",
    "QuerySettings",
    "ReceiveSettings",
    "ReportSettings",
    "RuleSettings",
    "SenderSettings",
    "ServeSettings",
    "Settings",
    "StoreSettings",
    "TritonSettings",
    "load_settings",
    "located",
    "peer_side",
    "read_credential",
    "read_protected",
    "read_secret",
    "read_settings",
    "read_table",
    "template",
    "write_modes",
]
