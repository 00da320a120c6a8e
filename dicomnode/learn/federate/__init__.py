"""Federated training: sites learn one network together, and their images stay where they are.

Flower (the extra [federated]) carries the messages; what is added up is decided here, by functions that the
tests compare with pooled training. Names are loaded when first used.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

# Flower tells its makers when it starts and stops, unless it reads this on import. A node tells nobody.
os.environ["FLWR_TELEMETRY_ENABLED"] = "0"

if TYPE_CHECKING:
    from dicomnode.learn.federate.arrays import Contribution, fedavg, fedsgd
    from dicomnode.learn.federate.flower_client import join
    from dicomnode.learn.federate.flower_server import Lead, Led, lead
    from dicomnode.learn.federate.needs import require_flower
    from dicomnode.learn.federate.site import LocalTrainer, TorchSite
    from dicomnode.learn.federate.studies import finished_engine, site_of

_HOMES = {
    "arrays": ("Contribution", "fedavg", "fedsgd"),
    "flower_client": ("join",),
    "flower_server": ("Lead", "Led", "lead"),
    "needs": ("require_flower",),
    "site": ("LocalTrainer", "TorchSite"),
    "studies": ("finished_engine", "site_of"),
}

__all__ = [
    "Contribution",
    "Lead",
    "Led",
    "LocalTrainer",
    "TorchSite",
    "fedavg",
    "fedsgd",
    "finished_engine",
    "join",
    "lead",
    "require_flower",
    "site_of",
]

__getattr__ = lazy_face(__name__, _HOMES)
