"""A checkpoint of nnU-Net, read without running anything of it.

A checkpoint is a pickle: it names Python objects that are called when it is read. torch's reader for weights
takes tensors and plain values only; numbers of numpy, which nnU-Net logs beside its weights, are allowed too.
What else a file names is read off the pickle beforehand, refused, and said; nothing is called.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dicomnode.faults import CHECKPOINT_REFUSED, CHECKPOINT_UNFIT, NodeError
from dicomnode.learn.convert.nnunet_files import LARGEST_CHECKPOINT_BYTES

if TYPE_CHECKING:
    from torch import Tensor, nn

_WEIGHTS: Final = "network_weights"
_MOST_NAMED: Final = 5  # of the objects that a refused file names, in the message
# Weights that stand there twice: nnU-Net's modules hold their parts under two names, the decoder the encoder
_TWICE: Final = (".all_modules.", "decoder.encoder.")
_WRAPPED: Final = ("module.", "_orig_mod.")  # by training on several GPUs, by torch.compile


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """The weights of one fold by name, and what the trainer wrote beside them."""

    path: str
    weights: Mapping[str, Tensor]
    configuration: str | None
    trainer: str
    mirror_axes: tuple[int, ...]


def read_checkpoint(content: bytes, path: str) -> Checkpoint:
    """Read a checkpoint; path: for messages.

    Raises NodeError: CHECKPOINT_REFUSED when it wants to call what is not allowed, CHECKPOINT_UNFIT when it
    is broken or no checkpoint of nnU-Net.
    """
    import torch  # noqa: PLC0415  heavy: only who converts pays for it

    _check_zip(content, path)
    with torch.serialization.safe_globals(_allowed()):
        try:
            wanted = torch.serialization.get_unsafe_globals_in_checkpoint(BytesIO(content))
            if wanted:
                raise _refused(path, wanted)
            table = torch.load(BytesIO(content), map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise _refused(path, [_last_words(error)]) from error
        except (RuntimeError, ValueError, TypeError, KeyError, EOFError, AttributeError, IndexError) as error:
            raise _unfit(path, f"it cannot be read: {_last_words(error)}") from error
    if not isinstance(table, dict) or not isinstance(table.get(_WEIGHTS), dict):
        raise _unfit(path, f"it has no {_WEIGHTS}")
    said = table.get("init_args")
    configuration = said.get("configuration") if isinstance(said, dict) else None
    return Checkpoint(
        path=path,
        weights=_weights(table[_WEIGHTS], path),
        configuration=configuration if isinstance(configuration, str) else None,
        trainer=str(table.get("trainer_name", "")),
        mirror_axes=_mirror(table.get("inference_allowed_mirroring_axes"), path),
    )


def load_weights(network: nn.Module, checkpoint: Checkpoint) -> None:
    """Put the weights into a network; raises NodeError(CHECKPOINT_UNFIT) unless all fit and none is left."""
    import torch  # noqa: PLC0415  heavy: only who converts pays for it

    wanted = network.state_dict()
    missing = sorted(set(wanted) - set(checkpoint.weights))
    strange = sorted(set(checkpoint.weights) - set(wanted))
    if missing or strange:
        which = f"{missing[0]} is missing" if missing else f"{strange[0]} belongs nowhere"
        problem = f"{len(missing)} weights of the plans are missing and {len(strange)} are too many: {which}"
        raise _unfit(checkpoint.path, problem)
    for name, tensor in checkpoint.weights.items():
        if tensor.shape != wanted[name].shape:
            problem = f"{name} is {tuple(tensor.shape)}, the plans say {tuple(wanted[name].shape)}"
            raise _unfit(checkpoint.path, problem)
        if not bool(torch.isfinite(tensor).all()):
            raise _unfit(checkpoint.path, f"{name} holds what is not a number")
    network.load_state_dict(dict(checkpoint.weights), assign=True)


def _check_zip(content: bytes, path: str) -> None:
    """Refuse what is no zip of torch, or unpacks to more than a checkpoint can have."""
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except zipfile.BadZipFile as error:
        problem = f"it is no file of torch.save, or was cut off ({error})"
        raise _unfit(path, problem) from error
    if unpacked > LARGEST_CHECKPOINT_BYTES:
        raise _unfit(path, f"it unpacks to {unpacked} bytes, at most {LARGEST_CHECKPOINT_BYTES} are taken")


def _allowed() -> list[Any]:
    """Return what a checkpoint may name beside what torch allows: numbers of numpy, of version 1 and 2."""
    scalar: Any = np._core.multiarray.scalar  # type: ignore[attr-defined]  # noqa: SLF001  where pickles find it
    kinds = (np.float64, np.float32, np.float16, np.int64, np.int32, np.int16, np.int8, np.uint8, np.bool_)
    return [
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
        np.dtype,
        *(type(np.dtype(kind)) for kind in kinds),
    ]


def _weights(table: Mapping[Any, Any], path: str) -> dict[str, Tensor]:
    import torch  # noqa: PLC0415  heavy: only who converts pays for it

    weights = {}
    for name, tensor in table.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise _unfit(path, f"{_WEIGHTS} holds {type(tensor).__name__} beside tensors")
        for prefix in _WRAPPED:
            name = name.removeprefix(prefix)  # noqa: PLW2901  the same weight without what it was wrapped in
        if not any(part in name for part in _TWICE):
            weights[name] = tensor
    return weights


def _mirror(axes: object, path: str) -> tuple[int, ...]:
    if axes is None:
        return ()
    if not isinstance(axes, (tuple, list)) or not all(axis in (0, 1, 2) for axis in axes):
        raise _unfit(path, f"inference_allowed_mirroring_axes is {str(axes)[:80]}")
    return tuple(sorted({int(axis) for axis in axes}))


def _refused(path: str, wanted: list[str]) -> NodeError:
    listed = ", ".join(sorted(wanted)[:_MOST_NAMED])
    more = f" and {len(wanted) - _MOST_NAMED} more" if len(wanted) > _MOST_NAMED else ""
    return NodeError(CHECKPOINT_REFUSED, path=path, wanted=f"{listed}{more}")


def _unfit(path: str, problem: str) -> NodeError:
    return NodeError(CHECKPOINT_UNFIT, path=path, problem=problem)


def _last_words(error: BaseException) -> str:
    """Return the sentence that says what is wrong; around it torch gives advice that does not hold here."""
    text = str(error).partition("WeightsUnpickler error:")[2] or str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200]
