"""What is written on pages: every text with the image that it is written on, its place and its size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from PIL import ImageDraw


@dataclass
class Written:
    """Texts as they were written: the image's id and size, the text, its box, the size of its letters."""

    all: list[tuple[int, tuple[int, int], str, tuple[float, float, float, float], int]] = field(
        default_factory=list
    )
    kept: list[object] = field(default_factory=list)  # so that no two images have one id

    def on_pages(self) -> Iterator[tuple[int, str, tuple[float, float, float, float], int]]:
        return ((page, text, box, size) for page, (w, _), text, box, size in self.all if w == 1280)

    def on_panels(self) -> list[str]:
        return [text for _, (w, _), text, _, _ in self.all if w != 1280]

    def texts(self) -> list[str]:
        return [text for _, _, text, _, _ in self.all]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Written:
    seen = Written()
    write = ImageDraw.ImageDraw.text

    def recorded(pen: ImageDraw.ImageDraw, xy, text, *more, **how) -> None:
        box = pen.textbbox(xy, text, font=how["font"], anchor=how.get("anchor"))
        seen.kept.append(pen.im)
        seen.all.append((id(pen.im), pen.im.size, text, box, how["font"].size))
        write(pen, xy, text, *more, **how)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", recorded)
    return seen
