"""What whoever leads has after a round, kept in a file until the last is over: weights, and how it went."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np

from dicomnode.faults import FEDERATED_KEPT, NodeError
from dicomnode.learn.federate.arrays import Array

Method = Literal["fedavg", "fedsgd"]
_SCHEMA: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Of all sites together, weighted by their samples. score: of the weights after the round."""

    number: int
    loss: float
    score: float
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kept:
    """Weights by name after the last of the rounds. of: digest that all sites share."""

    method: Method
    of: str
    weights: dict[str, Array]
    rounds: tuple[Round, ...]

    def written(self) -> bytes:
        """Return it as a file (npz); names of tensors are told beside them, as any name may be one."""
        told = {
            "schema": _SCHEMA,
            "method": self.method,
            "of": self.of,
            "names": list(self.weights),
            "rounds": [asdict(one) for one in self.rounds],
        }
        content = io.BytesIO()
        np.savez(content, np.frombuffer(json.dumps(told).encode(), np.uint8), *self.weights.values())
        return content.getvalue()


def read_kept(path: Path) -> Kept | None:
    """Read it; None where there is no file. Raises NodeError(FEDERATED_KEPT) for one that cannot be read."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise NodeError(FEDERATED_KEPT, path=path, problem=error.strerror or error) from error
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            told = json.loads(file["arr_0"].tobytes())
            if told["schema"] != _SCHEMA:
                raise NodeError(FEDERATED_KEPT, path=path, problem="it is of another version")
            arrays = [file[f"arr_{number}"] for number in range(1, len(told["names"]) + 1)]
        return Kept(
            method=told["method"],
            of=told["of"],
            weights=dict(zip(told["names"], arrays, strict=True)),
            rounds=tuple(Round(**one) for one in told["rounds"]),
        )
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise NodeError(FEDERATED_KEPT, path=path, problem="it is damaged") from error


def weights_file(weights: dict[str, Array]) -> bytes:
    """Return weights alone, by their names (npz)."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, array in weights.items():
            stream = io.BytesIO()
            np.save(stream, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), stream.getvalue())
    return content.getvalue()
