"""Pictures of the worst cases, inside of the page itself."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.evaluate.outcomes import CaseName
from dicomnode.evaluate.page.frames import section
from dicomnode.evaluate.page.markup import Markup, element
from dicomnode.evaluate.page.words import case_text

_PNG: Final = b"\x89PNG\r\n\x1a\n"
BURNED_IN: Final = (
    "Pictures show pixels as they came: what a device burned into them, a name it may be, is seen here, too. "
    "Look before you pass the page on."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorstPicture:
    """A case that went wrong. output: label of the output; said: what is wrong; png: the picture.

    Raises ValueError where the bytes are no PNG.
    """

    output: str
    case: CaseName
    said: str
    png: bytes

    def __post_init__(self) -> None:
        if not self.png.startswith(_PNG):
            raise ValueError("WorstPicture.png must be a PNG")


def gallery_section(pictures: Sequence[WorstPicture]) -> Markup:
    """The pictures in their order, each with its case and what is wrong."""
    shown = [_picture(one) for one in pictures]
    return section(
        "gallery",
        "The worst cases in pictures",
        element("p", BURNED_IN, class_="faint"),
        element("div", *shown, class_="gallery"),
    )


def png_element(greys: NDArray[np.uint8], told: str) -> Markup:
    """A small grey picture (rows, columns) within the page. told: what is read aloud."""
    from PIL import Image  # noqa: PLC0415 (of use only here)

    buffer = BytesIO()
    Image.fromarray(greys).save(buffer, format="PNG", optimize=True)
    rows, columns = greys.shape
    source = f"data:image/png;base64,{b64encode(buffer.getvalue()).decode('ascii')}"
    return element("img", src=source, alt=told, width=columns, height=rows)


def _picture(one: WorstPicture) -> Markup:
    name = case_text(one.case)
    source = f"data:image/png;base64,{b64encode(one.png).decode('ascii')}"
    picture = element("img", src=source, alt=f"{one.output}, {name}: {one.said}")
    caption = element("figcaption", f"{one.output}: {name}")
    return element("figure", caption, picture, element("p", one.said))
