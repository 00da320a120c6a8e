"""Findings as a Grayscale Softcopy Presentation State (PS3.3 A.33.1): lines and words on the source images.

For viewers without segmentations, which most of them can show. Every segment has a layer of its own that can
be switched off, its outline on each slice, and a text on the slice with most of it; regions are drawn on the
slices that they cut. The images themselves are not touched.

Coordinates of graphics count from the upper left corner of the first pixel, whose centre is 0.5, 0.5
(C.10.5.1); those of the displayed area count pixels from 1 (C.10.4).
"""

from __future__ import annotations

from typing import Final

from pydicom import Dataset
from pydicom.uid import CTImageStorage

from dicomnode.report.drawing.colours import coloured
from dicomnode.report.heading.identity import MANUFACTURER, Imprint
from dicomnode.report.outlines.drawn_slices import MOST_BYTES, drawn
from dicomnode.report.outlines.grey_scale import add_tables, modality_transformation, windows
from dicomnode.report.outlines.layer_words import code_string
from dicomnode.report.outlines.layers import Layers
from dicomnode.report.outlines.placed import PlacedSlices
from dicomnode.report.outlines.source_greys import SourceGreys, read_greys
from dicomnode.report.uids import ResultUids
from dicomnode.values import Findings

_LO_MAX: Final = 64
_OF_STAND_INS: Final = ("SOPClassUID", "SamplesPerPixel", "Rows", "Columns")


def greys_to_draw_on(findings: Findings) -> SourceGreys | None:
    """Read what the images of the first source look like.

    None where there is nothing to draw: nothing has a place on an image, or the images are in colour, which
    the object cannot refer to.
    """
    source = findings.sources[0]
    if source.grid is None or not (findings.segments or findings.regions):
        return None
    greys = read_greys(source)
    return None if greys.is_colour else greys


def build_presentation_states(
    imprint: Imprint, uids: ResultUids, series_number: int, greys: SourceGreys | None
) -> tuple[Dataset, ...]:
    """Write one presentation state of all images of the first source; () without `greys_to_draw_on`.

    Outlines take 8 MiB at most, see `drawn_slices`: what is left out is said beside the finding.
    """
    if greys is None:
        return ()
    findings = imprint.findings
    slices = PlacedSlices(imprint)
    images = [_stand_in(stub, imprint) for stub in imprint.heading.stubs[0]]
    layers = Layers(imprint, slices, drawn(coloured(findings.segments), MOST_BYTES), images)
    layers.add_segments()
    layers.add_regions()
    layers.add_notice()
    return (_written(imprint, uids, series_number, greys, slices, layers),)


def _written(
    imprint: Imprint,
    uids: ResultUids,
    series_number: int,
    greys: SourceGreys,
    slices: PlacedSlices,
    layers: Layers,
) -> Dataset:
    from highdicom import PresentationLUTTransformation, pr  # noqa: PLC0415  heavy

    made_by, made_at = imprint.findings.provenance, imprint.made_at
    result = pr.GrayscaleSoftcopyPresentationState(
        referenced_images=layers.images,
        series_instance_uid=uids.series,
        series_number=series_number,
        sop_instance_uid=uids.instance,
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=made_by.engine,
        software_versions=made_by.engine_digest,  # all of them are set with the identity
        device_serial_number=imprint.serial_number,
        content_label=code_string(made_by.engine, "OUTLINES"),
        content_description=made_by.title[:_LO_MAX],
        graphic_annotations=layers.annotations,
        graphic_layers=layers.layers,
        modality_lut_transformation=modality_transformation(greys),
        voi_lut_transformations=windows(imprint, greys, slices),
        presentation_lut_transformation=PresentationLUTTransformation(
            presentation_lut_shape="INVERSE" if greys.dark_is_more else "IDENTITY"
        ),
    )
    add_tables(result, greys)
    created = made_at.strftime("%Y%m%d %H%M%S.%f").split()
    result.PresentationCreationDate, result.PresentationCreationTime = created
    if body_part := imprint.heading.equipment.get("BodyPartExamined"):
        result.BodyPartExamined = body_part
    else:
        result.Laterality = ""  # Type 2C: without the part of the body, whether it is paired is unknown
    _set_displayed_area(result, imprint, greys)
    _set_classes(result, imprint)
    return result


def _set_displayed_area(result: Dataset, imprint: Imprint, greys: SourceGreys) -> None:
    """Show whole images in their true proportions; the library takes pixels for squares."""
    source = imprint.findings.sources[0]
    assert source.grid is not None
    (area,) = result.DisplayedAreaSelectionSequence
    del area.PixelOriginInterpretation  # of tiled images
    if source.plane is not None and source.plane.spacing_ji_mm is None:
        area.PresentationPixelAspectRatio = list(greys.aspect)
        return
    del area.PresentationPixelAspectRatio
    area.PresentationPixelSpacing = [f"{mm:.9g}" for mm in source.grid.spacing_kji_mm[1:]]


def _stand_in(stub: Dataset, imprint: Imprint) -> Dataset:
    """Return a source image for the library: of one frame, since it takes only one object of the others."""
    grid = imprint.findings.sources[0].grid
    assert grid is not None
    image = Dataset()
    # A data set that is updated shares its elements: what is set below must be none of those of the stub
    image.update({element.tag: element for element in stub if element.keyword not in _OF_STAND_INS})
    image.SOPClassUID = CTImageStorage
    image.SamplesPerPixel = 1
    _, image.Rows, image.Columns = grid.shape_kji
    return image


def _set_classes(result: Dataset, imprint: Imprint) -> None:
    """Refer to the source images by their own SOP classes."""
    classes = {str(stub.SOPInstanceUID): stub.SOPClassUID for stub in imprint.heading.stubs[0]}
    items = [one for series in result.ReferencedSeriesSequence for one in series.ReferencedImageSequence]
    for annotation in result.GraphicAnnotationSequence:
        if not annotation.ReferencedImageSequence:  # the library looks for it, and here it may not be empty
            del annotation.ReferencedImageSequence
        items += annotation.get("ReferencedImageSequence", ())
    for item in items:
        item.ReferencedSOPClassUID = classes[str(item.ReferencedSOPInstanceUID)]
