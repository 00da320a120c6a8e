"""A MONAI bundle becomes a draft of an engine: nothing in it runs but its network, in a limited child.

What decides the result is read from configs/inference.json: the transforms before the network, the inferer,
the transforms after it. What reads data, chooses devices, writes files or prints is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from dicomnode.engine.adding.draft import Draft
from dicomnode.faults import NO_FORM, SOURCE_INCOMPLETE, NodeError
from dicomnode.learn.convert.monai_bundle import (
    KIND,
    LARGEST_WEIGHTS_BYTES,
    Bundle,
    BundleTexts,
    opened,
    texts_of,
)
from dicomnode.learn.convert.monai_calls import Call, call_of, plain, transforms_of, unanswered
from dicomnode.learn.convert.monai_config import Code, Config, ConfigError
from dicomnode.learn.convert.monai_engine import Read, draft_of
from dicomnode.learn.convert.monai_networks import network_name
from dicomnode.learn.convert.monai_results import after_of, window_of
from dicomnode.learn.convert.monai_transforms import Origin, image_keys, preparation_of
from dicomnode.learn.convert.torch_network import MadeNetwork, TorchInput, TorchNetwork, to_onnx

_WEIGHTS: Final = "models/model.pt"
_SCRIPT: Final = "models/model.ts"
_SPACE: Final = 3


def convert_monai(path: Path, answers: Mapping[str, Any] | None = None) -> Draft:
    """Make a draft of an engine from a MONAI bundle, a folder or a zip file.

    answers: what the bundle does not say, in the words of engine.toml (name, version, title, use, modality,
    require, outputs by channel), and three of its own: orientation ("RAS": axes of its training images, where
    it does not turn them), leave_out (names of transforms), config (by id: values that are Python there).
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
    origin = Origin(keys=image_keys(before) or ("image",), monai_version=_version(texts.metadata))
    if len(origin.keys) != 1:
        reason = f"it loads {', '.join(origin.keys)}; the node gives a network one series"
        raise NodeError(NO_FORM, source=source, what="LoadImaged", reason=reason)
    entries = preparation_of(before, origin, leave_out)
    after = after_of(_transforms(config, "postprocessing", source), leave_out)
    after.left_out[:0] = [
        f"{call.name} of the bundle is left out, as the answers say."
        for call in before
        if call.name in leave_out
    ]
    inferer = call_of(config.value("inferer"), "inferer", source) if "inferer" in config else None
    return Read(
        texts=texts,
        source=source,
        answers=answers,
        entries=_oriented(entries, answers, source),
        window=window_of(inferer),
        after=after,
        channels=_channels(texts, source),
    )


def _transforms(config: Config, key: str, source: str) -> list[Call]:
    if key not in config:
        raise NodeError(
            SOURCE_INCOMPLETE, path=source, kind=KIND, problem=f"its configuration for inference has no {key}"
        )
    return list(transforms_of(config.value(key), key, source))


def _oriented(entries: list[dict[str, Any]], answers: Mapping[str, Any], source: str) -> list[dict[str, Any]]:
    """A bundle that turns nothing takes images as their files lie: that is for its maker to say."""
    if any("orient" in entry for entry in entries):
        return entries
    code = answers.get("orientation")
    if code is None:
        question = "how the axes of its training images ran, as it turns none (RAS, LPS …)"
        raise unanswered(source, {"orientation": question}, "orientation=RAS")
    call = Call(source, "orientation", "Orientationd", {"keys": ["image"], "axcodes": code})
    turned = preparation_of([call], Origin(keys=("image",), monai_version=(1,)), ())
    return [*turned, *entries]


def _version(metadata: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(int(one) for one in re.findall(r"\d+", str(metadata.get("monai_version", "")))[:3]) or (1,)


def _channels(texts: BundleTexts, source: str) -> int:
    formats = texts.metadata.get("network_data_format")
    inputs = formats.get("inputs") if isinstance(formats, Mapping) else None
    one = next(iter(inputs.values()), None) if isinstance(inputs, Mapping) and inputs else None
    count = one.get("num_channels", 1) if isinstance(one, Mapping) else 1
    if count != 1:
        reason = f"it takes {count} channels; the node gives a network of a bundle one series"
        raise NodeError(NO_FORM, source=source, what="network", reason=reason)
    return 1


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
    return to_onnx(
        TorchNetwork(
            source=read.source,
            content=bundle.read(file, LARGEST_WEIGHTS_BYTES),
            inputs={
                "image": TorchInput(
                    shape=read.example, low=low, high=high, free=() if read.fixed_size else (2, 3, 4)
                )
            },
            outputs=("pred",),
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
    if arguments.get("spatial_dims", arguments.get("dimensions", _SPACE)) != _SPACE:
        reason = "it works on pictures; the node gives a network of a bundle volumes"
        raise NodeError(NO_FORM, source=source, what=name, reason=reason)
    return name, arguments
