"""A TorchScript file becomes ONNX in a limited child, and then a draft as any ONNX file does.

TorchScript says nothing of its inputs but how many there are: their shape is asked.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from dicomnode.engine.adding.answers import Answers
from dicomnode.engine.adding.draft import Draft
from dicomnode.engine.adding.propose import draft_from_onnx
from dicomnode.engine.adding.trial import Limits
from dicomnode.faults import SOURCE_INCOMPLETE, NodeError
from dicomnode.learn.convert.monai_bundle import LARGEST_WEIGHTS_BYTES
from dicomnode.learn.convert.torch_network import TorchInput, TorchNetwork, to_onnx

_KIND: Final = "TorchScript file"
_LARGEST_EXAMPLE: Final = 2**24  # numbers; the gate takes no more
_SPACE: Final = 2  # axes before those of space: n and c
_SHAPE: Final = "what is the shape of its input, with the batch first, such as [1, 1, 96, 96, 96]?"
_ANY: Final = "does it take inputs of other lengths along the axes of space too, by multiples of 16?"


def convert_torchscript(
    path: Path, answers: Mapping[str, Any] | Answers | None = None, limits: Limits | None = None
) -> Draft:
    """Make a draft of an engine from a TorchScript file (.pt, .ts).

    answers: `shape` of its input, `any_size` (whether other lengths will do), and all that an ONNX file is
    asked for. Raises NodeError: QUESTIONS_OPEN, ANSWER_WRONG, SOURCE_INCOMPLETE, and as `to_onnx` and
    `draft_from_onnx`.
    """
    said = answers if isinstance(answers, Answers) else Answers(given=dict(answers or {}))
    shape = said.get("shape", _SHAPE, None, _shape)
    any_size = said.get("any_size", _ANY, False, _yes_or_no, sure=True)
    if shape is None:
        said.finish(path)
        raise AssertionError("finish raises while an answer is missing")
    free = tuple(range(_SPACE, len(shape))) if any_size else ()
    example = TorchInput(shape=tuple(shape), free=free)
    made = to_onnx(TorchNetwork(source=str(path), content=_content(path), inputs={"image": example}))
    with tempfile.TemporaryDirectory(prefix="dicomnode-") as folder:
        file = Path(folder) / f"{path.stem}.onnx"
        file.write_bytes(made.content)
        return draft_from_onnx(file, said, limits or Limits())


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST_WEIGHTS_BYTES:
            problem = f"it has more than {LARGEST_WEIGHTS_BYTES} bytes"
            raise NodeError(SOURCE_INCOMPLETE, path=path, kind=_KIND, problem=problem)
        return path.read_bytes()
    except OSError as error:
        problem = error.strerror or str(error)
        raise NodeError(SOURCE_INCOMPLETE, path=path, kind=_KIND, problem=problem) from error


def _shape(value: Any) -> list[int]:
    wanted = "whole numbers above 0, the batch first, such as [1, 1, 96, 96, 96]"
    if not isinstance(value, list | tuple) or not all(type(one) is int and one > 0 for one in value):
        raise ValueError(wanted)
    count = 1
    for one in value:
        count *= one
    if len(value) < _SPACE or count > _LARGEST_EXAMPLE:
        raise ValueError(f"{wanted}; at most {_LARGEST_EXAMPLE} numbers in all")
    return list(value)


def _yes_or_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")  # noqa: TRY004  what a Check raises
    return value
