"""A MONAI bundle becomes a draft of an engine: nothing in it runs but its network, in a limited child.

What decides the result is read from configs/inference.json: the transforms before the network, the inferer,
the transforms after it. What reads data, chooses devices, writes files or prints is passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from dicomnode.engine.adding.draft import Draft
from dicomnode.faults import SOURCE_INCOMPLETE, NodeError
from dicomnode.learn.convert.monai_bundle import (
    KIND,
    LARGEST_WEIGHTS_BYTES,
    Bundle,
    BundleTexts,
    data_format,
    opened,
    texts_of,
)
from dicomnode.learn.convert.monai_calls import Call, call_of, plain, transforms_of
from dicomnode.learn.convert.monai_config import Code, Config, ConfigError
from dicomnode.learn.convert.monai_engine import GIVEN, IMAGE, draft_of
from dicomnode.learn.convert.monai_inputs import Layout, image_of
from dicomnode.learn.convert.monai_networks import network_name
from dicomnode.learn.convert.monai_read import Read
from dicomnode.learn.convert.monai_results import after_of, slices_of, window_of
from dicomnode.learn.convert.torch_network import MadeNetwork, TorchInput, TorchNetwork, to_onnx

_WEIGHTS: Final = "models/model.pt"
_SCRIPT: Final = "models/model.ts"
_PLANE: Final = 2  # axes of a slice


def convert_monai(path: Path, answers: Mapping[str, Any] | None = None) -> Draft:
    """Make a draft of an engine from a MONAI bundle, a folder or a zip file.

    answers: what the bundle does not say, in the words of engine.toml (name, version, title, use, modality,
    require, outputs by channel), and four of its own: channels (by number or name: require, prefer, outside
    of the series), orientation ("RAS": axes of its training images, where it does not turn them),
    leave_out (names of transforms), config (by id: values that are Python there).
    Raises NodeError: SOURCE_INCOMPLETE, BUNDLE_UNSAFE, CODE_NOT_RUN, NO_FORM, QUESTIONS_OPEN, and as
    `to_onnx`.
    """
    given = dict(answers or {})
    with opened(path) as bundle:
        texts = texts_of(bundle)
        config = Config(texts.inference, given.get("config"))
        try:
            read = _read(texts, config, given, str(path))
        except ConfigError as error:
            raise NodeError(SOURCE_INCOMPLETE, path=path, kind=KIND, problem=str(error)) from error
        network = _network(bundle, config, read)
    return draft_of(read, network)


def _read(texts: BundleTexts, config: Config, answers: Mapping[str, Any], source: str) -> Read:
    leave_out = [str(one) for one in answers.get("leave_out", ())]
    before = _transforms(config, "preprocessing", source)
    inferer = call_of(config.value("inferer"), "inferer", source) if "inferer" in config else None
    flat, slices = _is_flat(config, texts, source), slices_of(inferer)
    window = window_of(inferer, flat=flat)
    layout = Layout(slices=slices, pictures=flat and slices is None)
    image = image_of(before, texts, answers, source, layout)
    after = after_of(_transforms(config, "postprocessing", source), leave_out)
    after.left_out[:0] = image.left_out
    return Read(texts=texts, source=source, answers=answers, image=image, window=window, after=after)


def _transforms(config: Config, key: str, source: str) -> list[Call]:
    if key not in config:
        raise NodeError(
            SOURCE_INCOMPLETE, path=source, kind=KIND, problem=f"its configuration for inference has no {key}"
        )
    return list(transforms_of(config.value(key), key, source))


def _is_flat(config: Config, texts: BundleTexts, source: str) -> bool:
    """Tell whether the network has two dimensions: by its arguments, else by the shape that is stated."""
    if network_name(_target(config)) is not None:
        arguments = call_of(config.value("network_def"), "network_def", source).arguments
        stated = arguments.get("spatial_dims", arguments.get("dimensions"))
        if stated is not None:
            return bool(plain(stated, source) == _PLANE)
    shape = data_format(texts, "inputs").get("spatial_shape")
    return isinstance(shape, list) and len(shape) == _PLANE


# ── the network ──


def _network(bundle: Bundle, config: Config, read: Read) -> MadeNetwork:
    """Convert the weights with the network that they are of, or else the TorchScript of both."""
    build = _build(config, read.source) if _WEIGHTS in bundle.files else None
    file = _WEIGHTS if build is not None else _SCRIPT
    if file not in bundle.files:
        target = _target(config)
        problem = (
            f"it has no {_SCRIPT}, and its network_def {target!r} is not on the list of MONAI's networks"
            if _WEIGHTS in bundle.files
            else f"it has neither {_WEIGHTS} nor {_SCRIPT}"
        )
        raise NodeError(SOURCE_INCOMPLETE, path=read.source, kind=KIND, problem=problem)
    low, high = read.range
    free = () if read.fixed_size else tuple(range(2, len(read.example)))
    return to_onnx(
        TorchNetwork(
            source=read.source,
            content=bundle.read(file, LARGEST_WEIGHTS_BYTES),
            inputs={IMAGE: TorchInput(shape=read.example, low=low, high=high, free=free)},
            outputs=(GIVEN,),
            build=build,
        )
    )


def _target(config: Config) -> str:
    found = config.value("network_def") if "network_def" in config else None
    if isinstance(found, Code):
        return found.text
    return str(found.get("_target_", "")) if isinstance(found, Mapping) else ""


def _build(config: Config, source: str) -> tuple[str, Mapping[str, Any]] | None:
    """Return name and arguments of the network of the weights; None where it is not on the list."""
    name = network_name(_target(config))
    if name is None:
        return None
    call = call_of(config.value("network_def"), "network_def", source)
    arguments = {key: plain(value, source) for key, value in call.arguments.items()}
    return name, arguments
