"""Where findings come from: the engine, what it ran on, and the images that it was given."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import scipy

from dicomnode.analyse.demonstration import told_of
from dicomnode.analyse.ran import Ran
from dicomnode.engine import EnginePackage, Session
from dicomnode.values import Picture, Provenance, Source, Volume


def provenance_of(
    package: EnginePackage,
    by_step: Mapping[str, Session],
    ran: Ran,
    told: Mapping[str, str],
    node_version: str,
) -> Provenance:
    """Tell by what, and on what, a study was analysed.

    by_step: the session of each network step. told: what is said of the study's other images.
    """
    manifest, sessions = package.manifest, list(by_step.values())
    here = f"numpy {np.__version__}, scipy {scipy.__version__}"
    return Provenance(
        engine=manifest.name,
        version=manifest.version,
        title=manifest.title,
        use=manifest.use,
        engine_digest=package.digest,
        runtime=", ".join(dict.fromkeys(one.runtime for one in sessions)) or here,
        precision=", ".join(dict.fromkeys(one.precision for one in sessions)) or "fp32",
        device=", ".join(dict.fromkeys(one.device for one in sessions)) or "CPU",
        node_version=node_version,
        details=_details({name: one.provenance for name, one in by_step.items()})
        | dict(ran.where)
        | dict(told)
        | dict(ran.told)
        | told_of(manifest),
    )


def _details(sessions: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Put together what the sessions tell: what all of them say alike stands once, the rest with its step."""
    names = dict.fromkeys(name for told in sessions.values() for name in told)
    details: dict[str, str] = {}
    for name in names:
        values = {told.get(name) for told in sessions.values()}
        if len(values) == 1:
            details[name] = str(values.pop())
        else:
            details |= {f"{step}: {name}": told[name] for step, told in sessions.items() if name in told}
    return details


def source_of(name: str, volume: Volume | Picture) -> Source:
    """Describe one input of the engine, as its results refer to it."""
    if isinstance(volume, Picture):
        return Source(
            name=name,
            study_instance_uid=volume.study_instance_uid,
            series_instance_uid=volume.series_instance_uid,
            grid=volume.grid,
            frames=volume.sources,
            headers=volume.headers,
            repairs=volume.repairs,
            plane=volume.plane,
        )
    return Source(
        name=name,
        study_instance_uid=volume.study_instance_uid,
        series_instance_uid=volume.series_instance_uid,
        grid=volume.grid,
        frames=volume.frames,
        headers=volume.headers,
        repairs=volume.repairs,
    )
