"""What a bundle does with its network and after it: windows, activations, classes, the way to the images.

The order decides: probabilities that are taken back and then cut give another mask than classes that are
taken back. Source: monai.inferers and monai.transforms.post (1.6).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from dicomnode.learn.convert.monai_calls import Call

Entry = dict[str, Any]

PREDICTION: Final = "pred"  # the key that MONAI's evaluators put the network's output under
_SPACE: Final = 3
_LARGEST_OVERLAP: Final = 0.9
_FULL_CONNECTIVITY: Final = (None, 3)
_HALF: Final = 0.5
_PADDINGS: Final[Mapping[str, str]] = {
    "constant": "constant",
    "replicate": "edge",
    "reflect": "reflect",
    "circular": "wrap",
}
# They write files, change types or keys
_PASSED_OVER: Final = frozenset(
    {
        "CopyItemsd",
        "DataStatsd",
        "DeleteItemsd",
        "EnsureTyped",
        "SaveClassificationd",
        "SelectItemsd",
        "ToDeviced",
        "ToNumpyd",
        "ToTensord",
        "CastToTyped",
    }
)


@dataclass(slots=True)
class After:
    """What stands after the network, in the order of the bundle.

    activation: what makes probabilities, and `late` where that comes after the way back only. cut: how
    classes are made of them (a threshold for "threshold"). back: how they are taken to the images, and
    `cut_first` where classes had been made before. largest: parts kept of each class (None: of all).
    """

    activation: Literal["softmax", "sigmoid"] | None = None
    late: bool = False
    cut: Literal["argmax", "threshold"] | None = None
    threshold: float = _HALF
    back: Literal["linear", "nearest"] | None = None
    cut_first: bool = False
    saved_resampled: bool = False
    largest: dict[int | None, int] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def slices_of(call: Call | None) -> int | None:
    """Return the axis that an inferer goes along slice by slice; None of any other inferer."""
    if call is None or call.name != "SliceInferer":
        return None
    axis = call.whole("spatial_dim", 0)
    if not 0 <= axis < _SPACE:
        call.refuse(f"spatial_dim is {axis}")
    return axis


def window_of(call: Call | None, *, flat: bool = False) -> Entry | Literal["whole"]:
    """Return the [step.window] of an inferer; NodeError(NO_FORM) names one that has none.

    flat: the network has two dimensions; its windows are one slice thick, along k.
    """
    if call is None or call.name == "SimpleInferer":
        return "whole"
    if call.name not in ("SlidingWindowInferer", "SlidingWindowInfererAdapt", "SliceInferer"):
        call.refuse("the node knows SlidingWindowInferer, SliceInferer and SimpleInferer")
    if call.name == "SliceInferer" and not flat:
        call.refuse("it gives slices to a network that does not have two dimensions")
    call.ignore("spatial_dim")
    call.ignore("sw_device", "device", "progress", "cache_roi_weight_map", "cpu_thresh")
    call.ignore("buffer_steps", "buffer_dim")  # where sums are kept; they are the same sums
    call.only("with_coord", False)
    size = _window_size(call, flat=flat)
    overlap = float(call.one_for_all("overlap", 0.25))
    if not 0 <= overlap <= _LARGEST_OVERLAP:
        call.refuse(f"overlap is {overlap:g}")
    padding = call.take("padding_mode", "constant")
    if padding not in _PADDINGS:
        call.refuse(f"padding_mode is {padding!r}")
    window: Entry = {"size_kji": size, "overlap": overlap, "rule": "monai"}
    window["blend"] = call.only("mode", "constant", "gaussian")
    if window["blend"] == "gaussian":
        window["sigma"] = float(call.one_for_all("sigma_scale", 0.125))
    else:
        call.ignore("sigma_scale")
    if padding != "constant":
        window["pad"] = _PADDINGS[padding]
    if value := call.number("cval", 0.0):
        window["pad_value"] = value
    if (batch := call.whole("sw_batch_size", 1)) > 1:
        window["batch"] = batch
    call.done()
    return window


def _window_size(call: Call, *, flat: bool) -> list[int]:
    roi = call.take("roi_size")
    axes = 2 if flat else _SPACE
    size = [int(one) for one in call.along_axes("roi_size")][:axes]
    if isinstance(roi, list) and len(roi) != axes:
        call.refuse(f"roi_size is {roi!r}, the node gives the network {'slices' if flat else 'volumes'}")
    if min(size) <= 0:
        call.refuse(f"roi_size is {size}: an axis without windows has no form")
    return [1, *size] if flat else size


def after_of(calls: Sequence[Call], leave_out: Sequence[str]) -> After:
    """Return what the transforms after the network do; NodeError(NO_FORM) names one that has no form."""
    after = After()
    for call in calls:
        keys = call.take("keys", PREDICTION)
        mine = PREDICTION in keys if isinstance(keys, list) else keys == PREDICTION
        if call.name in leave_out:
            after.left_out.append(f"{call.name} of the bundle is left out, as the answers say.")
        elif call.name in _READERS and mine:
            call.ignore("keys", "allow_missing_keys", "meta_keys", "meta_key_postfix", "track_meta")
            _READERS[call.name](call, after)
            call.done()
        elif call.name == "SaveImaged":
            # Without Invertd the file is resampled to the images when it is written, by the nearest voxel
            call.ignore(*call.arguments)
            after.saved_resampled |= bool(call.take("resample", True))
        elif mine and call.name not in _PASSED_OVER:
            call.refuse("the node does no such thing after a network")
    return after


def _activations(call: Call, after: After) -> None:
    call.only("other", None)
    softmax, sigmoid = (_first(call.take(name, False)) for name in ("softmax", "sigmoid"))
    if not softmax and not sigmoid:
        call.done()
        return
    if after.activation is not None or after.cut is not None or (softmax and sigmoid):
        call.refuse("it is a second activation, or one of classes")
    call.only("dim", 0)
    after.activation = "softmax" if softmax else "sigmoid"
    after.late = after.back is not None


def _as_discrete(call: Call, after: After) -> None:
    call.ignore("to_onehot", "dtype", "keepdim", "num_classes", "n_classes")
    call.only("dim", 0)
    argmax, threshold = _first(call.take("argmax", False)), _first(call.take("threshold"))
    rounding = _first(call.take("rounding"))
    if isinstance(threshold, bool):  # as MONAI before 0.8: whether, and at which value
        threshold = call.number("logit_thresh", _HALF) if threshold else None
    if threshold is None and rounding is not None:
        threshold = _HALF
    if not argmax and threshold is None:
        return
    if after.cut is not None:
        return  # one-hot and thresholds of what are classes already
    after.cut = "argmax" if argmax else "threshold"
    after.cut_first = after.back is None
    if not argmax:
        after.threshold = float(threshold)


def _invert(call: Call, after: After) -> None:
    call.ignore("transform", "orig_keys", "orig_meta_keys", "to_tensor", "device")
    call.only("post_func", None)
    if after.back is not None:
        call.refuse("the result is taken back a second time")
    after.back = "nearest" if _first(call.take("nearest_interp", True)) else "linear"


def _keep_largest(call: Call, after: After) -> None:
    call.ignore("is_onehot")
    labels = call.take("applied_labels")
    count = call.whole("num_components", 1)
    call.only("connectivity", *_FULL_CONNECTIVITY)
    wanted = labels if isinstance(labels, list) else [labels]
    if not all(one is None or isinstance(one, int) for one in wanted):
        call.refuse(f"applied_labels is {labels!r}")
    if not call.take("independent", True) and len(wanted) != 1:
        call.refuse("independent is false: the node keeps the largest part of each class")
    if after.cut is None:
        call.refuse("it stands before the classes are made")
    after.largest |= dict.fromkeys(wanted, count)


_READERS: Final[Mapping[str, Callable[[Call, After], None]]] = {
    "Activationsd": _activations,
    "AsDiscreted": _as_discrete,
    "Invertd": _invert,
    "KeepLargestConnectedComponentd": _keep_largest,
}


def _first(value: Any) -> Any:
    """Return an argument that may be a list with one for each key."""
    return value[0] if isinstance(value, list) and value else value


def segments_step(after: After, call: Call, *, regrids: bool) -> Entry:
    """Return the keys of a step that makes segments of a map with one channel a class.

    call: the postprocessing, for messages. regrids: whether the network's grid is interpolated from that of
    the images, so that the way back matters.
    """
    if after.cut is None:
        call.refuse("it ends with numbers and makes no classes (AsDiscreted)")
    between = _between(after, call) if regrids else "numbers"
    how: Entry = {} if between == "numbers" else {"interpolate": between}
    if after.cut == "argmax":
        if after.activation == "sigmoid" and between == "probabilities":
            call.refuse("it takes the sigmoid back to the images and then the largest of them")
        return {"interpret": "labels", **({"labels": how} if how else {})}
    if after.activation == "softmax":
        call.refuse("it cuts a softmax at a threshold; the node takes the largest class, or cuts a sigmoid")
    if after.threshold != _HALF:
        how["threshold"] = after.threshold
    if not 0.0 < after.threshold < 1.0:
        call.refuse(f"its threshold is {after.threshold:g}, and not between 0 and 1")
    if after.activation is None:
        how["values"] = "probabilities"
    return {"interpret": "sigmoid", **({"sigmoid": how} if how else {})}


def _between(after: After, call: Call) -> str:
    """Say what is interpolated onto the grid of the images."""
    if after.back == "nearest" or (after.back is None and after.saved_resampled):
        return "classes"
    if after.back is None:
        after.left_out.append(
            "The bundle leaves its result on the network's grid; here probabilities are interpolated onto "
            "the grid of the images, where results go."
        )
        return "probabilities" if after.activation else "numbers"
    if after.cut_first:
        after.left_out.append(
            f"{call.name}: the bundle interpolates numbers of classes, which makes other classes at their "
            "borders; here a voxel has the class of the nearest one."
        )
        return "classes"
    return "probabilities" if after.activation and not after.late else "numbers"
