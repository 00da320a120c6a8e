"""fp32 ONNX → fp16, bf16, int8 or fp8 ONNX, with a report of what was done and how far the results agree.

What a strongly typed runtime computes in stands in the network; so precision is put into it here, before a
plan is built. Inputs and outputs stay fp32 in every precision.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from dicomnode.engine.precision.calibration import Calibration
from dicomnode.faults import CALIBRATION_WRONG, CONVERSION_REFUSED, CONVERTER_MISSING, NodeError

if TYPE_CHECKING:
    from onnx import ModelProto

    from dicomnode.engine.precision.agreement import Agreement

# Raised when the same network would be converted to other bytes
CONVERSION_VERSION: Final = "1"
PRECISIONS: Final = ("fp32", "fp16", "bf16", "int8", "fp8")
_HALF: Final = ("fp16", "bf16")
_EIGHT: Final = ("int8", "fp8")
# Weights lie inside from IR 4 on; 10 is the last that ONNX Runtime 1.18 and TensorRT 10 both read
_IR_AT_LEAST: Final = 8
_IR_AT_MOST: Final = 10
_OPSET_AT_LEAST: Final = 13  # axes and scales as inputs; per-channel scales
_BF16_OPSET: Final = 22  # the first with a bf16 Conv


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionReport:
    """What a conversion did.

    weight_bytes, weight_bytes_before: of all weights. casts: nodes added. kept: operators that stay in fp32
    → how often. flushed: weights that became 0. agreement: with fp32 on ONNX Runtime's CPU, one an output;
    empty where it was not compared, and `not_compared` says why.
    """

    precision: str
    sha256: str
    opset: int
    weight_bytes_before: int
    weight_bytes: int
    casts: int = 0
    kept: Mapping[str, int] = field(default_factory=dict)
    flushed: int = 0
    agreement: tuple[Agreement, ...] = ()
    not_compared: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "kept", MappingProxyType(dict(self.kept)))

    def facts(self) -> dict[str, Any]:
        """Give it as JSON values, for the record of a plan."""
        given = {name: getattr(self, name) for name in self.__slots__}
        given["kept"] = dict(self.kept)
        given["agreement"] = [one.facts() for one in self.agreement]
        return given

    @property
    def sentence(self) -> str:
        """In a sentence, for a log."""
        said = f"{self.precision}: weights {self.weight_bytes_before} → {self.weight_bytes} bytes"
        if not self.agreement:
            return f"{said}; not compared with fp32: {self.not_compared}"
        return f"{said}; {'; '.join(one.sentence for one in self.agreement)}"


def conversion_of(precision: str, calibration: Calibration | None = None) -> str:
    """Return what the key of a plan says of the conversion, besides the precision.

    It changes with this code, with the libraries that convert, and with the inputs of the calibration.
    """
    if precision == "fp32":
        return ""
    libraries = ["onnx", *(["onnxruntime"] if precision in _EIGHT else [])]
    said = [f"conversion {CONVERSION_VERSION}", *(f"{name} {_version(name)}" for name in libraries)]
    if precision in _EIGHT and calibration is not None:
        said.append(f"calibration {calibration.digest}")
    return ", ".join(said)


def convert(
    content: bytes, precision: str, calibration: Calibration | None = None
) -> tuple[bytes, ConversionReport]:
    """Put a precision into a network; return the ONNX and the report.

    content: an fp32 ONNX with its weights inside. calibration: needed for int8 and fp8; for the others it
    gives the inputs on which the result is compared with fp32. Raises NodeError: CONVERTER_MISSING,
    CONVERSION_REFUSED, CALIBRATION_WRONG.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"no precision is called {precision!r}")
    if precision in _EIGHT and calibration is None:
        raise NodeError(CALIBRATION_WRONG, reason=f"{precision} needs some, and none were given")
    try:
        import google.protobuf.message  # noqa: PLC0415  heavy, and an extra
        import onnx  # noqa: PLC0415
    except ImportError as error:
        raise NodeError(CONVERTER_MISSING, precision=precision, package="onnx", error=error) from error
    from dicomnode.engine.precision.types import check_types  # noqa: PLC0415

    try:
        model = onnx.load_model_from_string(content)
        made, done = _converted(model, precision, calibration)
        onnx.checker.check_model(made)
        check_types(made.graph, done.opset)
    except (
        google.protobuf.message.Error,
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
        onnx.version_converter.ConvertError,
        ValueError,
    ) as error:
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise NodeError(CONVERSION_REFUSED, precision=precision, reason=reason) from error
    result = made.SerializeToString(deterministic=True)
    return result, _report(content, result, precision, done, calibration)


@dataclass(frozen=True, slots=True)
class _Done:
    opset: int
    before: int
    after: int
    casts: int = 0
    kept: Mapping[str, int] = field(default_factory=dict)
    flushed: int = 0


def _converted(
    model: ModelProto, precision: str, calibration: Calibration | None
) -> tuple[ModelProto, _Done]:
    from onnx import TensorProto  # noqa: PLC0415

    from dicomnode.engine.precision.narrow import narrow, weight_bytes  # noqa: PLC0415
    from dicomnode.engine.precision.types import opset_of  # noqa: PLC0415

    model = _ready(model, precision)
    before = weight_bytes(model.graph)
    if precision in _EIGHT:
        from dicomnode.engine.precision.quantise import quantise  # noqa: PLC0415

        if calibration is None:
            raise ValueError("no calibration")  # `convert` has refused it
        model = quantise(model, precision, calibration)
        return model, _Done(opset_of(model), before, weight_bytes(model.graph))
    if precision in _HALF:
        target = TensorProto.FLOAT16 if precision == "fp16" else TensorProto.BFLOAT16
        done = narrow(model, target)
        counts = (done.casts, dict(done.kept), done.flushed)
        return model, _Done(opset_of(model), before, weight_bytes(model.graph), *counts)
    return model, _Done(opset_of(model), before, before)


def _ready(model: ModelProto, precision: str) -> ModelProto:
    """Bring a network into the form that the conversions start from."""
    import onnx  # noqa: PLC0415

    from dicomnode.engine.precision.narrow import fold_constants  # noqa: PLC0415
    from dicomnode.engine.precision.types import opset_of  # noqa: PLC0415

    opset, wanted = opset_of(model), _BF16_OPSET if precision == "bf16" else _OPSET_AT_LEAST
    if opset < wanted:
        model = onnx.version_converter.convert_version(model, wanted)
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [
        value for value in model.graph.input if value.name not in weights
    ]  # before IR 4 both were listed
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    model.ir_version = min(max(model.ir_version, _IR_AT_LEAST), _IR_AT_MOST)
    fold_constants(model.graph)
    return onnx.shape_inference.infer_shapes(model)


def _report(
    before: bytes, after: bytes, precision: str, done: _Done, calibration: Calibration | None
) -> ConversionReport:
    from dicomnode.engine.precision.agreement import NotComparedError, compare  # noqa: PLC0415

    agreement: tuple[Agreement, ...] = ()
    not_compared = "no inputs were given to compare with" if calibration is None else ""
    if calibration is not None:
        try:
            agreement = compare(before, after, calibration)
        except NotComparedError as error:
            not_compared = str(error)
    return ConversionReport(
        precision=precision,
        sha256=hashlib.sha256(after).hexdigest(),
        opset=done.opset,
        weight_bytes_before=done.before,
        weight_bytes=done.after,
        casts=done.casts,
        kept=done.kept,
        flushed=done.flushed,
        agreement=agreement,
        not_compared=not_compared,
    )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"
