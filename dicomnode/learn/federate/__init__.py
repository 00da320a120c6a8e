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
    from dicomnode.learn.federate.address import host_and_port
    from dicomnode.learn.federate.arrays import Contribution, fedavg, fedsgd
    from dicomnode.learn.federate.channel import Tls
    from dicomnode.learn.federate.flower_client import join
    from dicomnode.learn.federate.flower_server import Lead, lead
    from dicomnode.learn.federate.kept import Kept, Round, read_kept, weights_file
    from dicomnode.learn.federate.local import LocalTrainer, SiteRound
    from dicomnode.learn.federate.needs import require_flower
    from dicomnode.learn.federate.site import TorchSite
    from dicomnode.learn.federate.studies import Place, finished_engine, made_engine, site_of

_HOMES = {
    "arrays": ("Contribution", "fedavg", "fedsgd"),
    "address": ("host_and_port",),
    "channel": ("Tls",),
    "flower_client": ("join",),
    "flower_server": ("Lead", "lead"),
    "kept": ("Kept", "Round", "read_kept", "weights_file"),
    "local": ("LocalTrainer", "SiteRound"),
    "needs": ("require_flower",),
    "site": ("TorchSite",),
    "studies": ("Place", "finished_engine", "made_engine", "site_of"),
}

__all__ = [
    "Contribution",
    "Kept",
    "Lead",
    "LocalTrainer",
    "Place",
    "Round",
    "SiteRound",
    "Tls",
    "TorchSite",
    "fedavg",
    "fedsgd",
    "finished_engine",
    "host_and_port",
    "join",
    "lead",
    "made_engine",
    "read_kept",
    "require_flower",
    "site_of",
    "weights_file",
]

__getattr__ = lazy_face(__name__, _HOMES)
