"""What engine.toml can say of a picture that goes in: [input.picture]."""

# ruff: noqa: RUF009  keys are declared by calls, as in dicomnode.settings.schema

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from dicomnode.engine.manifest.vocabulary import POSITIVES
from dicomnode.settings.keys import POSITIVE, Rule, key

Letters = Literal["L", "R", "A", "P", "H", "F"]

_CHANNELS: Final = Rule("one or three numbers", lambda numbers: len(numbers) in {1, 3})
_DIVISORS: Final = Rule(
    "one or three numbers above 0", lambda numbers: _CHANNELS.holds(numbers) and POSITIVES.holds(numbers)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureSpec:
    """[input.picture]: how a picture or cine is taken before its `prepare`.

    Grey values come after the image's modality LUT or rescale, brighter is more; colours are red, green and
    blue as stored, most often 0 to 255. A grey picture that is to be colour has three equal channels; a
    colour picture that is to be grey becomes its luminance (0.299 R + 0.587 G + 0.114 B).
    """

    colour: Literal["grey", "rgb"] = key("grey", "Channels: one, or red, green and blue.")
    display: bool = key(
        False, "Of grey pictures: the image's own window or VOI LUT is applied, values become 0 to 1."
    )
    rows_toward: Letters | None = key(
        None,
        "Flips or turns the picture so that its rows run to there: A puts the chest wall of a breast left.",
    )
    columns_toward: Letters | None = key(None, "The same of its columns, downwards: F for a patient upright.")
    frames_per_s: float | None = key(
        None, "Of a cine: takes the frame nearest in time so often a second.", POSITIVE
    )
    mean: tuple[float, ...] | None = key(None, "Taken off each channel after `prepare`.", _CHANNELS)
    sd: tuple[float, ...] | None = key(None, "Divides each channel then.", _DIVISORS)

    @property
    def channels(self) -> int:
        """How many there are."""
        return 3 if self.colour == "rgb" else 1
