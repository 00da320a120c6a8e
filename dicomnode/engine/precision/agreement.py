"""How far a converted network agrees with the fp32 one, both run by ONNX Runtime on the CPU.

It is a first look and no acceptance: ONNX Runtime computes some fp16 operators wider than a GPU does, so a
network that agrees here may still be wrong there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.device import cpu_device
from dicomnode.engine.precision.calibration import Calibration
from dicomnode.engine.runtimes.onnxruntime import error_types, import_onnxruntime

_CHANNELS: Final = 1  # axis
_ERRORS_ONLY: Final = 3
_DTYPES: Final = {
    "tensor(float)": "float32",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(uint8)": "uint8",
}


class NotComparedError(Exception):
    """The two could not be run side by side; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """The differences of one output, over all inputs that were tried.

    max_abs: largest difference; None when an output was not finite. relative_l2: of all differences, in
    parts of the norm of the fp32 output. argmax: part of the voxels with the same largest channel; None for
    outputs with one channel.
    """

    output: str
    inputs: int
    max_abs: float | None
    relative_l2: float | None
    argmax: float | None

    def facts(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @property
    def sentence(self) -> str:
        """For a log."""
        if self.max_abs is None or self.relative_l2 is None:
            return f"{self.output}: not finite"
        said = f"{self.output}: largest difference {self.max_abs:.3g}, relative L2 {self.relative_l2:.3g}"
        return said if self.argmax is None else f"{said}, same class in {self.argmax:.5%}"


@dataclass(slots=True)
class _Sums:
    inputs: int = 0
    max_abs: float = 0.0
    apart: float = 0.0
    norm: float = 0.0
    same: int = 0
    voxels: int = 0

    def add(self, wanted: NDArray[Any], found: NDArray[Any]) -> None:
        difference = found.astype(np.float64) - wanted
        self.inputs += 1
        # A NaN stays one: max() would pass over it
        self.max_abs = float(np.max([self.max_abs, np.max(np.abs(difference), initial=0.0)]))
        self.apart += float(np.sum(difference**2))
        self.norm += float(np.sum(wanted.astype(np.float64) ** 2))
        if wanted.ndim > _CHANNELS + 1 and wanted.shape[_CHANNELS] > 1:
            same = wanted.argmax(_CHANNELS) == found.argmax(_CHANNELS)
            self.same, self.voxels = self.same + int(same.sum()), self.voxels + same.size

    def agreement(self, output: str) -> Agreement:
        finite = math.isfinite(self.max_abs) and math.isfinite(self.apart)
        relative = math.sqrt(self.apart / self.norm) if finite and self.norm else float(self.apart > 0)
        return Agreement(
            output=output,
            inputs=self.inputs,
            max_abs=self.max_abs if finite else None,
            relative_l2=relative if finite else None,
            argmax=self.same / self.voxels if self.voxels else None,
        )


def compare(before: bytes, after: bytes, calibration: Calibration) -> tuple[Agreement, ...]:
    """Run both networks on the inputs; raises NotComparedError, NodeError(CALIBRATION_WRONG)."""
    reference, converted = _Runner(before), _Runner(after)
    sums = {name: _Sums() for name in reference.outputs}
    for feed in calibration.feeds(list(reference.dtypes), reference.dtypes):
        wanted, found = reference.run(feed), converted.run(feed)
        with np.errstate(invalid="ignore", over="ignore"):
            for name, one in sums.items():
                one.add(wanted[name], found[name])
    return tuple(one.agreement(name) for name, one in sums.items())


class _Runner:
    """A network as it stands: unoptimised, so that each node computes in the type that it says.

    (Optimised, ONNX Runtime 1.31 moves fp8 over operators that have no fp8, and then refuses the network.)
    """

    def __init__(self, content: bytes) -> None:
        library = import_onnxruntime()
        self._errors = error_types(library)
        options = library.SessionOptions()
        options.graph_optimization_level = library.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = cpu_device().threads
        options.log_severity_level = _ERRORS_ONLY
        try:
            self._session = library.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except self._errors as error:
            raise NotComparedError(f"ONNX Runtime on the CPU cannot run it: {_line(error)}") from error
        self.outputs = [one.name for one in self._session.get_outputs()]
        self.dtypes = {one.name: _DTYPES.get(one.type, "float32") for one in self._session.get_inputs()}

    def run(self, feed: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        try:
            return dict(zip(self.outputs, self._session.run(self.outputs, dict(feed)), strict=True))
        except self._errors as error:
            raise NotComparedError(f"ONNX Runtime on the CPU failed: {_line(error)}") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
