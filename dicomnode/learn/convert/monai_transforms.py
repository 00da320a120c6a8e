"""What MONAI's transforms before the network are in `prepare`, one reader a transform.

A tensor of MONAI begins with the axis that its orientation names first; here that is k. So "RAS" is orient =
"SAR", and lists along its axes stand as they are. Where a transform has choices that `prepare` has not, it is
refused by its name: a preparation that is almost the same gives a mask that is almost right.
Source: monai.transforms 1.6, each compared with MONAI's own in tests/parity/test_monai.py.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from dicomnode.engine.manifest.preparation_geometry import LONGEST_AXIS
from dicomnode.learn.convert.monai_calls import Call
from dicomnode.learn.convert.monai_config import Code

Entry = dict[str, Any]
Reader = Callable[[Call, "Origin"], list[Entry]]

# Reading, types and channels: a volume comes as float32 with its channel here
_PASSED_OVER: Final = frozenset(
    {
        "LoadImaged",
        "EnsureChannelFirstd",
        "AddChanneld",
        "AsChannelFirstd",
        "EnsureTyped",
        "ToTensord",
        "CastToTyped",
        "ToDeviced",
        "SelectItemsd",
        "DeleteItemsd",
        "ConcatItemsd",
        "CopyItemsd",
        "Identityd",
        "DataStatsd",
    }
)
_PAD_MODES: Final[Mapping[str, str]] = {
    "constant": "constant",
    "edge": "edge",
    "replicate": "edge",
    "reflect": "reflect",
}
_MEASURES_PICTURES: Final = "it measures each picture, and the node the whole series"
_ALLOWS_SMALLER_BEFORE: Final = (
    1,
    5,
)  # CropForeground's allow_smaller became False with this version of MONAI


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a reader must know beside the transform.

    keys: of the image that is prepared, before and after it is stacked with others under the key `joined`.
    channels: of the image that a transform sees, of which this one is number `channel`. pictures: each slice
    was an image of its own, with two axes. monai_version: of the bundle.
    """

    keys: tuple[str, ...]
    monai_version: tuple[int, ...]
    joined: str = ""
    channels: int = 1
    channel: int = 0
    pictures: bool = False


def preparation_of(calls: Sequence[Call], origin: Origin, leave_out: Sequence[str]) -> list[Entry]:
    """Return the entries of `prepare` that these transforms are, in their order.

    Transforms that touch none of the images are passed over, and those that the answers leave out. Raises
    NodeError(NO_FORM) with the name of the first that has no form here.
    """
    entries: list[Entry] = []
    for call in calls:
        keys = _keys(call)
        if call.name in _PASSED_OVER or call.name in leave_out:
            continue
        if keys and not set(keys) & set(origin.keys):
            continue
        if call.name not in READERS:
            call.refuse("the node has no such preparation")
        call.ignore("keys", "allow_missing_keys", "dtype", "track_meta", "meta_keys", "meta_key_postfix")
        call.only("lazy", False, None)
        stacked = not origin.joined or origin.joined in keys
        entries += READERS[call.name](call, origin if stacked else replace(origin, channels=1))
        call.done()
    return entries


def image_keys(calls: Sequence[Call]) -> tuple[str, ...]:
    """Return the keys that are loaded: "image" in nearly all bundles."""
    return tuple(key for call in calls if call.name == "LoadImaged" for key in _keys(call))


def _keys(call: Call) -> list[str]:
    keys = call.take("keys", [])
    return [str(one) for one in (keys if isinstance(keys, list) else [keys])]


def _of_image(call: Call, key: str, default: Any, origin: Origin) -> Any:
    """Return an argument that may be a list with one for each key: that of the image."""
    value = call.take(key, default)
    if not isinstance(value, list):
        return value
    for name, one in zip(_keys(call), value, strict=False):
        if name in origin.keys:
            return one
    return value[0] if value else default


# ── the grid ──


def _orientation(call: Call, _origin: Origin) -> list[Entry]:
    call.only("labels", None, [["L", "R"], ["P", "A"], ["I", "S"]])
    axcodes = call.take("axcodes", "RAS" if call.take("as_closest_canonical", False) else None)
    code = "".join(axcodes) if isinstance(axcodes, list) else axcodes
    if not isinstance(code, str) or sorted(code.translate(str.maketrans("LPI", "RAS"))) != sorted("RAS"):
        call.refuse(f"axcodes is {axcodes!r}, not three letters such as RAS")
    return [{"orient": code[::-1]}]


def _spacing(call: Call, origin: Origin) -> list[Entry]:
    pixdim = _along_axes(call, "pixdim", origin, rest=0.0)
    mode = _of_image(call, "mode", "bilinear", origin)
    if mode not in ("bilinear", "trilinear"):
        call.refuse(f"mode is {mode!r}, only bilinear has the same numbers here")
    padding = _of_image(call, "padding_mode", "border", origin)
    if padding != "border":
        call.refuse(f"padding_mode is {padding!r}")
    # Whether corners are aligned changes nothing: both grids are given by their affines
    call.ignore("align_corners")
    for key in ("diagonal", "scale_extent", "recompute_affine"):
        if _of_image(call, key, False, origin):
            call.refuse(f"{key} is true")
    call.only("min_pixdim", None)
    call.only("max_pixdim", None)
    spacing = [max(one, 0.0) for one in pixdim]  # 0 and less: as the image has it
    return [{"resample": {"spacing_kji_mm": spacing, "align": "monai", "blur": False}}]


def _resize(call: Call, origin: Origin) -> list[Entry]:
    if origin.pictures:
        call.refuse("it resizes each picture, and resize here the whole series")
    shape = _counts(call, "spatial_size", origin, least=1)
    call.only("size_mode", "all")
    call.only("anti_aliasing", False, [False])
    call.ignore("anti_aliasing_sigma")
    mode = _of_image(call, "mode", "area", origin)
    corners = bool(_of_image(call, "align_corners", None, origin))
    if mode == "area":
        return [{"resize": {"shape_kji": shape, "interpolation": "area"}}]
    if mode == "nearest-exact":
        return [{"resize": {"shape_kji": shape, "interpolation": "nearest", "blur": False}}]
    if mode not in ("trilinear", "bilinear", "linear"):
        call.refuse(f"mode is {mode!r}")
    how = {"shape_kji": shape, "interpolation": "linear", "blur": False}
    return [{"resize": {**how, "align": "corners"} if corners else how}]


def _crop_foreground(call: Call, origin: Origin) -> list[Entry]:
    source_key = call.take("source_key", origin.keys[0])
    if source_key not in origin.keys:
        call.refuse(f"it goes by {source_key!r}, and the node by the image itself, of all its channels")
    if origin.pictures:
        call.refuse(_MEASURES_PICTURES)
    call.only("channel_indices", None, *([0, [0]] if origin.channels == 1 else []))
    call.ignore("start_coord_key", "end_coord_key")
    if call.take("mode", "constant") != "constant":
        call.refuse("it pads with something else than a value")
    value = call.number("value", 0.0) if "value" in call.arguments else call.number("constant_values", 0.0)
    margin, multiple = call.one_for_all("margin", 0), call.one_for_all("k_divisible", 1)
    if not isinstance(margin, int) or not isinstance(multiple, int) or margin < 0:
        call.refuse(f"margin is {margin!r} and k_divisible {multiple!r}, not whole numbers")
    smaller = call.take("allow_smaller", origin.monai_version < _ALLOWS_SMALLER_BEFORE)
    if smaller and margin and multiple > 1:
        call.refuse("allow_smaller with a margin and k_divisible: the node either stops at the edge or pads")
    how: Entry = {}
    above = _foreground(call)
    if above is not None:
        how["above"] = above
    if margin:
        how["margin_voxels"] = margin
    if multiple > 1:
        how["multiple"] = multiple
    if (margin and not smaller) or multiple > 1:
        how["outside"] = "pad"
        how |= {"value": value} if value else {}
    return [{"crop_foreground": how}]


def _foreground(call: Call) -> float | None:
    """Return the value above which a voxel is foreground; None where all that are not 0 are.

    A function is Python; of two forms, `lambda x: x > 0` and `lambda x: x != 0`, the tree says what they do.
    """
    raw = call.arguments.get("select_fn")
    call.ignore("select_fn")
    if raw is None or (isinstance(raw, Code) and raw.text.strip() == "$monai.transforms.utils.is_positive"):
        return 0.0
    op, limit = _comparison(raw.text) if isinstance(raw, Code) else (None, None)
    if isinstance(op, ast.NotEq) and limit == 0:
        return None
    if limit is None or not isinstance(op, ast.Gt):
        call.refuse("its select_fn is neither `lambda x: x > NUMBER` nor `lambda x: x != 0`")
    return limit


def _comparison(text: str) -> tuple[ast.cmpop | None, float | None]:
    """Read `lambda x: x > NUMBER`, any comparison; (None, None) for any other text."""
    try:
        tree = ast.parse(text.lstrip("$").strip(), mode="eval").body
    except (SyntaxError, RecursionError, MemoryError):
        return None, None
    match tree:
        case ast.Lambda(
            args=ast.arguments(args=[ast.arg(arg=name)]),
            body=ast.Compare(left=ast.Name(id=left), ops=[op], comparators=[right]),
        ) if name == left:
            try:
                limit = ast.literal_eval(right)
            except (ValueError, RecursionError):
                return None, None
            if isinstance(limit, int | float) and not isinstance(limit, bool):
                return op, float(limit)
    return None, None


def _crop_centre(call: Call, origin: Origin) -> list[Entry]:
    return [{"crop_centre": {"shape_kji": _counts(call, "roi_size", origin, least=LONGEST_AXIS)}}]


def _spatial_pad(call: Call, origin: Origin) -> list[Entry]:
    return [{"pad": {"shape_kji": _counts(call, "spatial_size", origin, least=1), **_padding(call)}}]


def _divisible_pad(call: Call, origin: Origin) -> list[Entry]:
    return [{"pad": {"multiple_kji": _counts(call, "k", origin, least=1), **_padding(call)}}]


def _padding(call: Call) -> Entry:
    mode = call.one_for_all("mode", "constant")
    if mode not in _PAD_MODES:
        call.refuse(f"mode is {mode!r}")
    how: Entry = {} if mode == "constant" else {"mode": _PAD_MODES[mode]}
    value = call.number("value", 0.0) if "value" in call.arguments else call.number("constant_values", 0.0)
    if value and mode == "constant":
        how["value"] = value
    if call.only("method", "symmetric", "end") == "end":
        how["where"] = "end"
    return how


def _along_axes(call: Call, key: str, origin: Origin, rest: float) -> list[float]:
    """Return a number along each axis; of pictures `rest` along the one that they follow each other on."""
    numbers = call.along_axes(key)
    return [*numbers[:2], rest] if origin.pictures else numbers


def _counts(call: Call, key: str, origin: Origin, least: int) -> list[int]:
    """Return voxels along k, j, i; `least` for those that are to stay (0 or less)."""
    numbers = _along_axes(call, key, origin, rest=0.0)
    if any(one != int(one) for one in numbers):
        call.refuse(f"{key} is {numbers}, not whole numbers")
    if min(numbers) <= 0 and call.name == "Resized":
        call.refuse(f"{key} is {numbers}: an axis that keeps its length has no form")
    return [int(one) if one > 0 else least for one in numbers]


# ── values ──


def _measures(call: Call, origin: Origin) -> None:
    """Refuse what is measured on more or less than one channel of one series."""
    if not call.take("channel_wise", False) and origin.channels > 1:
        call.refuse("channel_wise is false: it measures all channels together, and the node each for itself")
    if origin.pictures:
        call.refuse(_MEASURES_PICTURES)


def _scale_minmax(call: Call, origin: Origin) -> list[Entry]:
    call.ignore("channel_wise")
    low, high, factor = call.take("minv", 0.0), call.take("maxv", 1.0), call.take("factor")
    if low is None and high is None:
        return [] if factor is None else [{"rescale": {"slope": 1.0 + call.number("factor")}}]
    _measures(call, origin)
    b_min, b_max = call.number("minv", 0.0), call.number("maxv", 1.0)
    if not b_min < b_max:
        call.refuse(f"minv {b_min:g} is not below maxv {b_max:g}")
    return [{"scale_minmax": {"b_min": b_min, "b_max": b_max}}]


def _scale_range(call: Call, _origin: Origin) -> list[Entry]:
    how = {"a_min": call.number("a_min"), "a_max": call.number("a_max"), **_target_range(call)}
    if not how["a_min"] < how["a_max"]:
        call.refuse("a_min is not below a_max")
    return [{"scale_range": how}]


def _target_range(call: Call) -> Entry:
    low, high, clip = call.take("b_min"), call.take("b_max"), bool(call.take("clip", False))
    if low is None and high is None:
        return {"b_min": 0.0, "b_max": 1.0}  # without a range nothing is clipped
    if low is None or high is None:
        call.refuse("it has one of b_min and b_max")
    b_min, b_max = call.number("b_min"), call.number("b_max")
    if not b_min < b_max:
        call.refuse("b_min is not below b_max")
    return {"b_min": b_min, "b_max": b_max, **({"clip": True} if clip else {})}


def _percentiles(call: Call, origin: Origin) -> list[Entry]:
    _measures(call, origin)
    lower, upper, how = call.number("lower"), call.number("upper"), _target_range(call)
    if not lower < upper:
        call.refuse("lower is not below upper")
    if call.take("relative", False):
        # The percentiles become those parts of the range, which are numbers that are known
        low, width = how["b_min"], how["b_max"] - how["b_min"]
        how |= {"b_min": low + width * lower / 100.0, "b_max": low + width * upper / 100.0}
    return [{"percentile": {"lower": lower, "upper": upper, **how}}]


def _normalise(call: Call, origin: Origin) -> list[Entry]:
    call.ignore("channel_wise")
    over = {"over": "nonzero"} if call.take("nonzero", False) else {}
    mean, deviation = _of_channel(call, "subtrahend", origin), _of_channel(call, "divisor", origin)
    if mean is None and deviation is None:
        _measures(call, origin)
        return [{"z_score": over}]
    if mean is None or deviation is None:
        call.refuse("it has one of subtrahend and divisor")
    for name, one in (("subtrahend", mean), ("divisor", deviation)):
        if isinstance(one, bool) or not isinstance(one, int | float):
            call.refuse(f"{name} is {one!r}, not a number")
    if not deviation > 0:
        call.refuse(f"divisor is {deviation:g}")
    return [{"z_score": {"mean": float(mean), "std": float(deviation), **over}}]


def _of_channel(call: Call, key: str, origin: Origin) -> Any:
    """Return an argument that is one value, or a list with one for each channel."""
    value = call.take(key)
    if call.take("channel_wise", False) and isinstance(value, list) and len(value) == origin.channels:
        return value[origin.channel]
    return call.one_for_all(key, None)


READERS: Final[Mapping[str, Reader]] = {
    "CenterSpatialCropd": _crop_centre,
    "CropForegroundd": _crop_foreground,
    "DivisiblePadd": _divisible_pad,
    "NormalizeIntensityd": _normalise,
    "Orientationd": _orientation,
    "Resized": _resize,
    "ScaleIntensityRangePercentilesd": _percentiles,
    "ScaleIntensityRanged": _scale_range,
    "ScaleIntensityd": _scale_minmax,
    "Spacingd": _spacing,
    "SpatialPadd": _spatial_pad,
}
