"""Beginning from what was learned before: weights of an engine of ours, or of a file, as tensors alone.

A file may be one of torchvision's, such as one that was learned on ImageNet (see `imagenet`).
"""

from __future__ import annotations

import io
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from dicomnode.faults import INIT_UNFIT, NodeError
from dicomnode.learn.train.imagenet import fitted, named_as_ours

WEIGHTS_FILE: Final = "weights.pt"
_SCHEMA: Final = 1
_WITHIN: Final = ("state", "state_dict", "model")  # where files of weights keep their table of tensors
_DAMAGED: Final = (  # what torch says of files that are none, or were changed on the way
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    OverflowError,
    pickle.UnpicklingError,
)
_NAMED: Final = 4  # tensors that were drawn anew, in the card
_IMAGES: Final = "images."  # what sees the images in a network that sees numbers, too


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a network began from. taken: tensors of the same name and shape; fresh: those that were drawn."""

    source: str
    taken: int
    fresh: tuple[str, ...]

    @property
    def text(self) -> str:
        """A sentence for the card and for who trains: how many were taken, and which were not."""
        drawn = ", ".join(self.fresh[:_NAMED]) + (" …" if len(self.fresh) > _NAMED else "")
        anew = f"{len(self.fresh)} drawn anew" + (f" ({drawn})" if drawn else "")
        return f"begun from {self.source}: {self.taken} tensors taken, {anew}"


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
    ours = "schema" in found
    said = found.get("network") if ours else name
    if said != name:
        raise NodeError(INIT_UNFIT, path=file, reason=f"it is a {said}, and not a {name}")
    own = network.state_dict()
    state = _tensors_of(found)
    if not ours:
        state = _of_torchvision(name, state, own, file)
    fits = {key: one for key, one in state.items() if key in own and _is_like(one, own[key])}
    learned = [key for key, _ in network.named_parameters()]
    if not any(key in fits for key in learned):
        raise NodeError(INIT_UNFIT, path=file, reason=f"no tensor of it has a name and shape of this {name}")
    wrong = next((key for key, one in fits.items() if not torch.isfinite(one).all()), None)
    if wrong is not None:
        raise NodeError(INIT_UNFIT, path=file, reason=f"its tensor {wrong} holds what is no number")
    network.load_state_dict({**own, **fits})
    fresh = tuple(key for key in learned if key not in fits)
    return Taken(source=path.name, taken=len(learned) - len(fresh), fresh=fresh)


def _is_like(one: Tensor, own: Tensor) -> bool:
    """Tell whether a tensor can stand for one of the network's: as long, and of numbers of the same kind."""
    plain = one.layout is torch.strided and not one.is_meta and not one.is_quantized
    alike = one.shape == own.shape and one.is_floating_point() == own.is_floating_point()
    return plain and alike and not one.is_complex()


def _tensors_of(found: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the table of tensors of a file, without the name that a network of several GPUs goes by."""
    within = next((found[key] for key in _WITHIN if isinstance(found.get(key), dict)), found)
    return {str(key).removeprefix("module."): one for key, one in within.items() if isinstance(one, Tensor)}


def _of_torchvision(
    name: str, state: dict[str, Tensor], own: Mapping[str, Tensor], file: Path
) -> dict[str, Tensor]:
    """Return a file of torchvision's as ours, another one as it is; NodeError(INIT_UNFIT)."""
    named = named_as_ours(name, state)
    if named is None:
        return state
    inside = {key.removeprefix(_IMAGES): one for key, one in own.items() if key.startswith(_IMAGES)}
    made, problem = fitted(name, named, inside or own)
    if problem:
        raise NodeError(INIT_UNFIT, path=file, reason=problem)
    return {f"{_IMAGES}{key}": one for key, one in made.items()} if inside else made


def _read(file: Path) -> dict[str, Any]:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise NodeError(INIT_UNFIT, path=file, reason=error.strerror or str(error)) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a pickle of another protocol, which is then read or refused
            found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except _DAMAGED as error:
        reason = "it is no file of tensors and plain values that torch reads"
        raise NodeError(INIT_UNFIT, path=file, reason=reason) from error
    if not isinstance(found, dict):
        raise NodeError(INIT_UNFIT, path=file, reason="it holds no table of tensors")
    return found
