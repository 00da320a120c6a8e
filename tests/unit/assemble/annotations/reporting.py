"""Measurement reports as highdicom writes them, and where their groups stand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import highdicom as hd
import numpy as np
from highdicom import sr
from pydicom import Dataset
from pydicom.sr.codedict import codes

from dicomnode.values import Grid
from tests.unit.assemble.annotations.objects import hd_file
from tests.unit.report.sources import Series

SMALL = Series(shape_kji=(8, 12, 14))
GRID = Grid(SMALL.shape_kji, SMALL.affine, SMALL.uid("frame of reference"))


def planar(region, tracked: str = "1", **more: object):
    facts: dict[str, object] = {
        "tracking_identifier": sr.TrackingIdentifier(uid=hd.UID(), identifier=tracked),
        "referenced_region": region,
        "finding_type": codes.SCT.Nodule,
    }
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(**{**facts, **more})


def on(image: Dataset, graphic: str, *points: Sequence[float], frames: list[int] | None = None):
    source = sr.SourceImageForRegion(image.SOPClassUID, image.SOPInstanceUID, frames)
    return sr.ImageRegion(graphic, np.array(points, dtype=float), source)


def report(
    evidence: Sequence[Dataset],
    groups: Sequence[object],
    folder: Path,
    *,
    person: bool = True,
    **more: object,
) -> Path:
    """Write a report of a person (or a device) as highdicom writes it."""
    observer = (
        sr.ObserverContext(
            observer_type=codes.DCM.Person,
            observer_identifying_attributes=sr.PersonObserverIdentifyingAttributes("Müller^Reader"),
        )
        if person
        else sr.ObserverContext(
            observer_type=codes.DCM.Device,
            observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(uid=hd.UID()),
        )
    )
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(
            observer_person_context=observer if person else None,
            observer_device_context=None if person else observer,
        ),
        procedure_reported=codes.LN.CTUnspecifiedBodyRegion,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    facts: dict[str, object] = {
        "evidence": evidence,
        "content": content,
        "series_instance_uid": hd.UID(),
        "series_number": 9,
        "sop_instance_uid": hd.UID(),
        "instance_number": 1,
        "manufacturer": "Somebody",
    }
    return hd_file(sr.Comprehensive3DSR(**{**facts, **more}), folder / "sr.dcm")


def group_of(ds: Dataset) -> Dataset:
    """The only measurement group of a report."""
    containers = [one for one in ds.ContentSequence if one.ValueType == "CONTAINER"]
    (group,) = next(
        one for one in containers if one.ConceptNameCodeSequence[0].CodeValue == "126010"
    ).ContentSequence
    return group
