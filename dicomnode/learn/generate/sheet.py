"""The answer sheet of a teaching set: one HTML page, each case with its picture, plain and solved."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from dicomnode.learn.generate.drawn import Drawing
from dicomnode.learn.generate.marks import COMMENT, WORD
from dicomnode.learn.generate.plan import Case, SynthPlan
from dicomnode.values import FindingKind

NAME: Final = "answers.html"
_HEIGHT: Final = 320  # pixels of a picture, about
_BOX: Final = (255, 160, 0)
Rgb = NDArray[np.uint8]
"""(j, i, 3)."""


def answer_sheet(plan: SynthPlan, sections: Sequence[str]) -> bytes:
    """Write the page of all sections, in UTF-8; it needs nothing beside it."""
    title = f"{WORD} {plan.kind}, seed {plan.seed}: answers"
    body = "".join(sections)
    page = (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f"<style>{_STYLE}</style>\n<h1>{escape(title)}</h1>\n"
        f"<p><strong>{escape(COMMENT)}</strong> Keep this page apart from the images.</p>\n{body}</html>\n"
    )
    return page.encode()


_STYLE: Final = (
    "body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "img{max-width:100%;image-rendering:pixelated}table{border-collapse:collapse;margin:.5rem 0}"
    "td,th{border:1px solid #999;padding:.2rem .6rem;text-align:left}section{margin:2rem 0}"
)


def section(case: Case, study_instance_uid: str, drawing: Drawing) -> str:
    """Write what the sheet tells of a case."""
    classes = "".join(
        f"<li>{escape(one.type.meaning)}: {'present' if one.present else 'absent'}</li>"
        for one in drawing.classes
    )
    cells = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in drawing.row.items()
    )
    picture = b64encode(_png(drawing)).decode("ascii")
    name = escape(case.name)
    return (
        f"<section><h2>{name}</h2><p>Study {escape(study_instance_uid)}</p><ul>{classes}</ul>"
        f'<img alt="{name}: plain, and with what is to be found" src="data:image/png;base64,{picture}">'
        f"<table>{cells}</table></section>\n"
    )


def _png(drawing: Drawing) -> bytes:
    """Draw the image plain and, beside it, with what is to be found."""
    plain, solved = _of_picture(drawing) if drawing.picture is not None else _of_volume(drawing)
    times = max(1, _HEIGHT // plain.shape[0])
    gap = np.full((plain.shape[0], 4, 3), 255, dtype=np.uint8)
    both = np.concatenate([plain, gap, solved], axis=1).repeat(times, axis=0).repeat(times, axis=1)
    stream = BytesIO()
    Image.fromarray(both).save(stream, format="PNG")
    return stream.getvalue()


def _of_picture(drawing: Drawing) -> tuple[Rgb, Rgb]:
    assert drawing.picture is not None
    plain = _shown(drawing.picture.pixels[0])
    solved = plain.copy()
    for segment in drawing.segments:
        solved[_line_around(segment.mask[0])] = segment.colour_rgb
    for box in drawing.boxes:
        (top, bottom), (left, right) = box.rows, box.columns
        solved[[top, bottom - 1], left:right] = _BOX
        solved[top:bottom, [left, right - 1]] = _BOX
    return plain, solved


def _of_volume(drawing: Drawing) -> tuple[Rgb, Rgb]:
    """The slice with most of what is to be found, in every series side by side; the middle one without."""
    lesions = [one for one in drawing.segments if one.kind is FindingKind.LESION]
    area = np.sum([one.mask.sum(axis=(1, 2)) for one in lesions], axis=0)
    k = int(area.argmax()) if area.any() else len(area) // 2
    planes = [_shown(series.voxels[k][..., np.newaxis]) for series in drawing.series]
    solved = [plane.copy() for plane in planes]
    for segment in drawing.segments:
        line = _line_around(segment.mask[k])
        for plane in solved:
            plane[line] = segment.colour_rgb
    return np.concatenate(planes, axis=1), np.concatenate(solved, axis=1)


def _line_around(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(mask & ~ndimage.binary_erosion(mask))


def _shown(values: NDArray[np.generic]) -> Rgb:
    """Show values (j, i, c) from black to white; bytes as they are."""
    if values.dtype != np.uint8:
        numbers = values.astype(np.float64)
        low, high = np.percentile(numbers, (2.0, 99.5))
        values = np.rint(255 * np.clip((numbers - low) / max(high - low, 1e-9), 0, 1)).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(values, (*values.shape[:2], 3)))
