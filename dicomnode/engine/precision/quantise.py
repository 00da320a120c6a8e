"""int8 and fp8 by explicit QuantizeLinear and DequantizeLinear around convolutions, calibrated with inputs.

Done by ONNX Runtime's static quantisation. Its default of int32 biases is what TensorRT's parser refuses
("input has type Int32 but must have type FP8, FP4, Int4, Int8, or UInt8"), so biases stay fp32; both are
symmetric, and weights have one scale an output channel. For fp8 (E4M3, without infinities) the same ranges
are laid on its largest number, 448, as TensorRT does: ONNX Runtime's own fp8 method scales by the standard
deviation, and on lung-ct was off by a tenth to a third.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from dicomnode.engine.precision.calibration import Calibration
from dicomnode.engine.precision.types import opset_of
from dicomnode.engine.runtimes.onnxruntime import error_types, import_onnxruntime
from dicomnode.faults import CONVERSION_REFUSED, CONVERTER_MISSING, NodeError

_OPERATORS: Final = ["Conv"]
_QUANTISED: Final = frozenset({"QuantizeLinear", "DequantizeLinear"})
# What the quantiser raises of its own, besides what ONNX Runtime does
_ITS_OWN: Final = (KeyError, AssertionError, NotImplementedError)
# FLOAT8E4M3FN in QuantizeLinear: from opset 19 on
_FP8_OPSET: Final = 19
_INT8_LARGEST: Final = 127
_FP8_LARGEST: Final = 448


def quantise(model: ModelProto, precision: str, calibration: Calibration) -> ModelProto:
    """Return the network with its convolutions in `precision` ("int8" or "fp8").

    Raises NodeError: CONVERTER_MISSING, CONVERSION_REFUSED where nothing could be quantised.
    """
    try:
        errors: tuple[type[Exception], ...] = (*error_types(import_onnxruntime()), *_ITS_OWN)
        from onnxruntime import quantization  # noqa: PLC0415  needs onnx, an extra
    except ImportError as error:
        package = "onnxruntime.quantization"
        raise NodeError(CONVERTER_MISSING, precision=precision, package=package, error=error) from error
    if not any(node.op_type in _OPERATORS for node in model.graph.node):
        raise NodeError(CONVERSION_REFUSED, precision=precision, reason="it has no convolution")
    if precision == "fp8" and opset_of(model) < _FP8_OPSET:
        model = onnx.version_converter.convert_version(model, _FP8_OPSET)
    with tempfile.TemporaryDirectory(prefix="dicomnode-quantise-") as folder, _quiet():
        output = Path(folder) / "quantised.onnx"
        try:
            quantization.quantize_static(
                model,
                output,
                _reader(quantization, model, calibration),
                op_types_to_quantize=_OPERATORS,
                **_options(quantization),
            )
        except errors as error:
            reason = f"ONNX Runtime could not quantise it: {' '.join(str(error).split())}"
            raise NodeError(CONVERSION_REFUSED, precision=precision, reason=reason) from error
        made = onnx.load(output)
    if not any(node.op_type in _QUANTISED for node in made.graph.node):
        raise NodeError(CONVERSION_REFUSED, precision=precision, reason="no convolution could be quantised")
    if precision == "fp8":
        _to_fp8(made)
    _fold_weights(made)
    made.ir_version = model.ir_version
    return made


def _options(quantization: Any) -> dict[str, Any]:
    symmetric = {"QuantizeBias": False, "ActivationSymmetric": True, "WeightSymmetric": True}
    return {
        "quant_format": quantization.QuantFormat.QDQ,
        "per_channel": True,
        "activation_type": quantization.QuantType.QInt8,
        "weight_type": quantization.QuantType.QInt8,
        # Weights stay fp32 before a QuantizeLinear of their own; `_fold_weights` rounds them, once
        "extra_options": {**symmetric, "AddQDQPairToWeight": True},
    }


def _to_fp8(model: ModelProto) -> None:
    """Turn int8 quantisation into fp8: scales for 127 become such for 448, zero points fp8 zeros."""
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    scales, zeros = set(), set()
    for node in model.graph.node:
        if node.op_type in _QUANTISED:
            scales.add(node.input[1])
            zeros.add(node.input[2])
    for name in scales:
        values = numpy_helper.to_array(weights[name])
        weights[name].CopyFrom(
            numpy_helper.from_array(values * np.float32(_INT8_LARGEST / _FP8_LARGEST), name)
        )
    dtype = helper.tensor_dtype_to_np_dtype(TensorProto.FLOAT8E4M3FN)
    for name in zeros:
        zero = np.zeros(tuple(weights[name].dims), dtype=dtype)
        weights[name].CopyFrom(numpy_helper.from_array(zero, name))


def _fold_weights(model: ModelProto) -> None:
    """Quantise the weights here, so that the network is as small as its numbers are."""
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    kept = []
    for node in model.graph.node:
        if node.op_type != "QuantizeLinear" or node.input[0] not in weights:
            kept.append(node)
            continue
        values, scale, zero = (numpy_helper.to_array(weights[name]) for name in node.input)
        axis = next((one.i for one in node.attribute if one.name == "axis"), 1)
        if scale.ndim:
            scale = scale.reshape([-1 if one == axis else 1 for one in range(values.ndim)])
        quotient = values / scale
        if zero.dtype == np.int8:
            quotient = np.clip(np.rint(quotient), -_INT8_LARGEST - 1, _INT8_LARGEST)
        else:  # beyond the largest number there is only NaN in this type
            quotient = np.clip(quotient, -_FP8_LARGEST, _FP8_LARGEST)
        weights[node.output[0]] = numpy_helper.from_array(quotient.astype(zero.dtype), node.output[0])
    del model.graph.node[:]
    model.graph.node.extend(kept)
    used = {name for node in kept for name in node.input} | {value.name for value in model.graph.output}
    del model.graph.initializer[:]
    model.graph.initializer.extend(tensor for name, tensor in weights.items() if name in used)


def _reader(quantization: Any, model: ModelProto, calibration: Calibration) -> Any:
    dtypes = {
        value.name: helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name
        for value in model.graph.input
        if value.type.tensor_type.elem_type != TensorProto.UNDEFINED
    }
    base: Any = quantization.CalibrationDataReader

    class Reader(base):  # type: ignore[misc]  # the library ships no types
        def __init__(self) -> None:
            self._feeds = calibration.feeds(list(dtypes), dtypes)

        def get_next(self) -> Mapping[str, NDArray[Any]] | None:
            return next(self._feeds, None)

        def rewind(self) -> None:
            self._feeds = calibration.feeds(list(dtypes), dtypes)

    return Reader()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the advice that the library writes to the root logger ("consider pre-processing") out of ours."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(before)
