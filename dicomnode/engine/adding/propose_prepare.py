"""What is asked and proposed about the way from a series to a network's input: prepare, and window."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from dicomnode.engine.adding.answers import Answers, matching, numbers, one_of
from dicomnode.engine.adding.looking import Entry, Looked
from dicomnode.engine.adding.meaning import Meaning

# Rules for intensities by a word; those with numbers are what such networks are mostly trained with
INTENSITIES: Final[Mapping[str, list[dict[str, Any]]]] = {
    "none": [],
    "minmax": [{"scale_minmax": {}}],
    "percentile": [{"percentile": {"lower": 0.5, "upper": 99.5, "clip": True}}],
    "z_score": [{"z_score": {}}],
    "z_score_nonzero": [{"z_score": {"over": "nonzero"}}],
}
_OF_MODALITY: Final = {"CT": "-1000..400", "MR": "z_score", "PT": "z_score"}
_RANGE: Final = re.compile(r"\s*(-?[0-9.]+)\s*\.\.\s*(-?[0-9.]+)\s*")
_RAW_RANGES: Final = {"CT": (-1000.0, 400.0)}
_RAW_RANGE: Final = (0.0, 1000.0)
_SIGMAS: Final = 3.0  # nearly all values of a z-score lie within so many
_ONE_ANSWER: Final = ("classes", "sequence", "regression", "features")
_IN_PLANE: Final = 256  # rows and columns for a network that takes any
_WINDOW: Final = 96
_HEAD_VOXELS: Final = 256**3  # a box of 256 mm at 1 mm
_OVERLAP: Final = 0.5
_BATCH: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """How a series comes to a network. values: the entries of `prepare` that change values alone."""

    prepare: list[dict[str, Any]]
    values: list[dict[str, Any]]
    window: Any


def propose_frame(looked: Looked, meaning: Meaning, answers: Answers, modality: str) -> Frame:
    """Ask for orientation, spacing or size, and intensities; or take `prepare` and `window` as given."""
    image = looked.image
    if image is None:
        return Frame(prepare=[], values=[], window="whole")
    given, window = answers.raw("prepare"), answers.raw("window", _window_given)
    if given is not None:
        proposed = window or _window(looked, image, meaning, _fits(looked, image, meaning))
        return Frame(prepare=given, values=[], window=proposed)
    orient = answers.get(
        "orientation",
        "where do i, j, k of its input run to? Letters as in orient: LPS is the order of DICOM; arrays of "
        'nibabel and MONAI are read backwards (their "RAS" is SAR)',
        "LPS",
        _orientation,
    )
    flat = "k" not in image.axes and "t" not in image.axes
    geometry, end, size = (
        _in_plane(looked, image, answers) if flat else _in_space(looked, image, meaning, answers)
    )
    values = _intensity(image, answers, modality)
    prepare = [{"orient": orient}, *geometry, *values, *end]
    return Frame(prepare=prepare, values=values, window=window or _window(looked, image, meaning, size))


def _orientation(value: Any) -> str:
    check = matching(
        r"[LR][PA][SI]|[LR][SI][PA]|[PA][LR][SI]|[PA][SI][LR]|[SI][LR][PA]|[SI][PA][LR]", _LETTERS
    )
    return str(check(value))


_LETTERS: Final = "one of L and R, one of P and A, one of S and I, such as LPS"


# ── size and spacing ──


def _in_plane(
    looked: Looked, image: Entry, answers: Answers
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], tuple[int, int, int] | None]:
    """A network of slices: they are put into a box of rows and columns."""
    rows, columns = image.fixed.get("j"), image.fixed.get("i")
    if rows is None or columns is None:
        side = -(-_IN_PLANE // looked.multiple) * looked.multiple
        question = "how many rows and columns does it see? Slices are scaled alike and padded"
        asked = answers.get("shape_ji", question, [rows or side, columns or side], numbers(2, whole=True))
        rows, columns = rows or int(asked[0]), columns or int(asked[1])
    return [{"letterbox": {"shape_ji": [rows, columns]}}], [], (1, rows, columns)


def _in_space(
    looked: Looked, image: Entry, meaning: Meaning, answers: Answers
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], tuple[int, int, int] | None]:
    """A network of volumes: of one size that all are brought to, or of a spacing."""
    size = _fixed(image)
    if size is not None and _fit(answers, size, meaning) == "resize":
        return [{"resize": {"shape_kji": list(size)}}], [], None
    question = "which spacing along k, j, i in mm was it trained on?"
    spacing = answers.get("spacing_kji_mm", question, "keep", numbers(3, word="keep"))
    geometry = [] if spacing == "keep" else [{"resample_mm": spacing}]
    end = [{"pad": {"multiple_kji": [looked.multiple] * 3, "where": "end"}}] if looked.multiple > 1 else []
    return geometry, end, size


def _fixed(image: Entry) -> tuple[int, int, int] | None:
    lengths = [image.fixed.get(axis) for axis in "kji"]
    k, j, i = lengths
    return None if k is None or j is None or i is None else (k, j, i)


def _fit(answers: Answers, size: tuple[int, int, int], meaning: Meaning) -> str:
    if meaning.interpret in _ONE_ANSWER:
        return "resize"
    question = (
        f"it takes {' x '.join(map(str, size))} voxels: is the volume brought to that size (resize), or seen "
        "through a window of it (window)?"
    )
    return str(answers.get("fit", question, "window", one_of("resize", "window")))


def _fits(looked: Looked, image: Entry, meaning: Meaning) -> tuple[int, int, int] | None:
    """The window that goes with a `prepare` that is given as it is: none, where it brings the size."""
    size = _fixed(image)
    if "k" in image.axes or meaning.interpret in _ONE_ANSWER:
        return None
    return size or (1, image.fixed.get("j", looked.sides["j"]), image.fixed.get("i", looked.sides["i"]))


# ── windows ──


def _window_given(value: Any) -> Any:
    if value != "whole" and not isinstance(value, Mapping):
        raise ValueError('"whole", or a table with size_kji, as in engine.toml')
    return value


def _window(looked: Looked, image: Entry, meaning: Meaning, size: tuple[int, int, int] | None) -> Any:
    """Whole, where one pass gives one answer or there is memory for it; else windows that overlap."""
    if meaning.interpret in _ONE_ANSWER or "t" in image.axes:
        return "whole"
    if "k" not in image.axes:
        batch = 1 if "n" in image.fixed else _BATCH
        return {"size_kji": list(size or (1, 1, 1)), "overlap": 0.0, "batch": batch}
    if size is not None:
        return {"size_kji": list(size), "overlap": _OVERLAP}
    if _fixed(image) is not None or _there_is_memory(looked):
        return "whole"
    side = -(-_WINDOW // looked.multiple) * looked.multiple
    return {"size_kji": [side] * 3, "overlap": _OVERLAP}


def _there_is_memory(looked: Looked) -> bool:
    """Whether half of the machine's memory would do for a head at 1 mm."""
    voxels = looked.sides["k"] * looked.sides["j"] * looked.sides["i"]
    needed = looked.tried.memory_bytes / voxels * _HEAD_VOXELS
    return needed < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2


# ── intensities ──


def _intensity(image: Entry, answers: Answers, modality: str) -> list[dict[str, Any]]:
    question = (
        f"how are values scaled? One of {', '.join(INTENSITIES)}; LOW..HIGH scales that range to 0..1, "
        f"clipped; or entries of prepare. Often of CT {_OF_MODALITY['CT']}, of MR and PT {_OF_MODALITY['MR']}"
    )
    # A network that takes whole numbers takes them as they are stored
    proposal = _OF_MODALITY.get(modality, "minmax") if image.port.dtype.startswith("float") else "none"
    found = answers.get("intensity", question, proposal, _rule)
    if isinstance(found, list):
        return found
    if found in INTENSITIES:
        return list(INTENSITIES[found])
    low, high = _ends(found)
    return [{"scale_range": {"a_min": low, "a_max": high, "clip": True}}]


def _rule(value: Any) -> Any:
    expected = f"one of {', '.join(INTENSITIES)}, LOW..HIGH, or a list of entries of prepare"
    if isinstance(value, list) and all(isinstance(one, Mapping) for one in value):
        return [dict(one) for one in value]
    if not isinstance(value, str) or (value not in INTENSITIES and _RANGE.fullmatch(value) is None):
        raise ValueError(expected)
    if value not in INTENSITIES:
        low, high = _ends(value)
        if not low < high:
            raise ValueError("the smaller number first")
    return value


def _ends(value: str) -> tuple[float, float]:
    found = _RANGE.fullmatch(value)
    if found is None:
        raise ValueError("LOW..HIGH")
    return float(found[1]), float(found[2])


def range_after(prepare: object, modality: str) -> tuple[float, float]:
    """Return between which values a prepared volume lies, about: the range of the gate's input."""
    low, high = _RAW_RANGES.get(modality, _RAW_RANGE)
    for entry in prepare if isinstance(prepare, list) else ():
        for word, how in entry.items():
            low, high = _range_of(word, how, (low, high))
    return low, high


def _range_of(word: str, how: Any, before: tuple[float, float]) -> tuple[float, float]:
    low, high = before
    table = how if isinstance(how, Mapping) else {}
    after = before
    if word == "clip":
        after = max(low, how[0]), min(high, how[1])
    elif word == "window":
        after = table.get("low", 0.0), table.get("high", 1.0)
    elif word in {"scale_range", "scale_minmax", "percentile", "clahe"}:
        after = table.get("b_min", 0.0), table.get("b_max", 1.0)
    elif word == "z_score" and "mean" in table and "std" in table:
        after = (low - table["mean"]) / table["std"], (high - table["mean"]) / table["std"]
    elif word == "z_score":
        after = -_SIGMAS, _SIGMAS
    elif word == "rescale":
        ends = [n * table.get("slope", 1.0) + table.get("intercept", 0.0) for n in before]
        after = min(ends), max(ends)
    elif word == "landmarks":
        after = table["values"][0], table["values"][-1]
    return float(f"{after[0]:.6g}"), float(f"{after[1]:.6g}")
