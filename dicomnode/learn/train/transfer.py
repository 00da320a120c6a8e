"""Beginning from what was learned before: weights of an engine of ours, or of a file, as tensors alone."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from dicomnode.faults import INIT_UNFIT, NodeError

WEIGHTS_FILE: Final = "weights.pt"
_SCHEMA: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a network began from. taken: tensors of the same name and shape; fresh: those that were drawn."""

    source: str
    taken: int
    fresh: tuple[str, ...]


def weights_bytes(network: str, weights: Mapping[str, Tensor]) -> bytes:
    """Return the file of weights of a package: tensors and plain values, read by `weights_only`."""
    content = io.BytesIO()
    state = {name: one.detach().cpu() for name, one in sorted(weights.items())}
    torch.save({"schema": _SCHEMA, "network": network, "state": state}, content)
    return content.getvalue()


def take_weights(network: nn.Module, name: str, path: Path) -> Taken:
    """Give a network the weights of an engine folder or a file, where names and shapes are the same.

    What has another shape, such as a head for other classes, stays as it was drawn. name: of the network.
    Nothing but tensors and plain values is read. Raises NodeError(INIT_UNFIT) where nothing fits.
    """
    file = path / WEIGHTS_FILE if path.is_dir() else path
    found = _read(file)
    said = found.get("network", name)
    if said != name:
        raise NodeError(INIT_UNFIT, path=file, reason=f"it is a {said}, and not a {name}")
    state = found.get("state", found)
    own = network.state_dict()
    fits = {
        key: one
        for key, one in state.items()
        if isinstance(one, Tensor) and key in own and own[key].shape == one.shape
    }
    learned = [key for key, _ in network.named_parameters()]
    if not any(key in fits for key in learned):
        raise NodeError(INIT_UNFIT, path=file, reason=f"no tensor of it has a name and shape of this {name}")
    network.load_state_dict({**own, **fits})
    fresh = tuple(key for key in learned if key not in fits)
    return Taken(source=path.name, taken=len(learned) - len(fresh), fresh=fresh)


def _read(file: Path) -> dict[str, Any]:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise NodeError(INIT_UNFIT, path=file, reason=error.strerror or str(error)) from error
    try:
        found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, KeyError, TypeError, pickle.UnpicklingError) as error:
        reason = "it is no file of tensors and plain values that torch reads"
        raise NodeError(INIT_UNFIT, path=file, reason=reason) from error
    if not isinstance(found, dict):
        raise NodeError(INIT_UNFIT, path=file, reason="it holds no table of tensors")
    return found
