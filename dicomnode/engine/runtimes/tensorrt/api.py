"""The part of the TensorRT Python API that this package uses, in TensorRT's own names.

It is valid on TensorRT 10.16 and 11 and on TensorRT-RTX 1.7, and nothing else of the API may be used: what
TensorRT 11 removed (precision flags, calibrators, implicit batch, bindings by index) is not in it. The type
checker holds the code to these classes; the tests hold these classes to the real bindings, and check the
code once more against the types of each.
"""

# ruff: noqa: D102  what the members do is told by TensorRT's own reference, under these names

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol


class _Enum(Protocol):
    @property
    def name(self) -> str: ...
    def __int__(self) -> int: ...


class Severity(_Enum, Protocol):
    """Of a line of the log: INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE."""


class NetworkDefinitionCreationFlag(_Enum, Protocol):
    """Strongly typed: required on 10, the only kind on 11."""

    STRONGLY_TYPED: ClassVar[NetworkDefinitionCreationFlag]


class BuilderFlag(_Enum, Protocol):
    """TF32 is set on a new configuration."""

    TF32: ClassVar[BuilderFlag]


class MemoryPoolType(_Enum, Protocol):
    """Pools that a builder may be limited in."""

    WORKSPACE: ClassVar[MemoryPoolType]


class TensorIOMode(_Enum, Protocol):
    """Which way a tensor goes."""

    INPUT: ClassVar[TensorIOMode]


class TensorLocation(_Enum, Protocol):
    """Where a tensor lies: HOST for one that carries a shape."""

    DEVICE: ClassVar[TensorLocation]


class ExecutionContextAllocationStrategy(_Enum, Protocol):
    """Who gives a context its memory."""

    USER_MANAGED: ClassVar[ExecutionContextAllocationStrategy]


class DataType(_Enum, Protocol):
    """Of a tensor: FLOAT, HALF, INT32 and others."""


class PreviewFeature(_Enum, Protocol):
    """What a build does when it is asked to; RUNTIME_ACTIVATION_RESIZE: since 10.10."""

    RUNTIME_ACTIVATION_RESIZE_10_10: ClassVar[PreviewFeature]


class EngineValidity(_Enum, Protocol):
    """TensorRT-RTX alone: whether this machine can load a plan."""


class CudaGraphStrategy(_Enum, Protocol):
    """TensorRT-RTX alone: whether a run is captured and played again, by TensorRT-RTX itself."""

    WHOLE_GRAPH_CAPTURE: ClassVar[CudaGraphStrategy]


class DynamicShapesKernelSpecializationStrategy(_Enum, Protocol):
    """TensorRT-RTX alone: when kernels are compiled for a shape. Its own choice is LAZY: beside the runs."""

    EAGER: ClassVar[DynamicShapesKernelSpecializationStrategy]
    NONE: ClassVar[DynamicShapesKernelSpecializationStrategy]


class ILogger(Protocol):
    """Base of loggers."""

    def __init__(self) -> None: ...


class IProgressMonitor(Protocol):
    """Base of what follows a build."""

    def __init__(self) -> None: ...


class Dims(Protocol):
    """Lengths of the axes; -1: not known before run time."""

    def __init__(self, shape: Sequence[int]) -> None: ...
    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> int: ...


class IHostMemory(Protocol):
    """Bytes that TensorRT owns; `bytes(memory)` copies them."""

    def __buffer__(self, flags: int, /) -> memoryview: ...


class ITensor(Protocol):
    """A tensor of a network."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> Dims: ...


class INetworkDefinition(Protocol):
    """A network that is being read."""

    @property
    def num_inputs(self) -> int: ...
    def get_input(self, index: int) -> ITensor: ...


class ParserError(Protocol):
    """Why the parser refused, and at which node."""

    def code(self) -> _Enum: ...
    def desc(self) -> str: ...
    def node_name(self) -> str: ...
    def node_operator(self) -> str: ...


class OnnxParser(Protocol):
    """Reads ONNX into a network; the network needs the parser until it is built."""

    def __init__(self, network: INetworkDefinition, logger: ILogger) -> None: ...
    def parse(self, model: bytes) -> bool: ...
    @property
    def num_errors(self) -> int: ...
    def get_error(self, index: int) -> ParserError: ...


class IOptimizationProfile(Protocol):
    """The shapes that a plan is made for."""

    def set_shape(self, input: str, min: Dims, opt: Dims, max: Dims) -> None: ...  # noqa: A002  its names


class IBuilderConfig(Protocol):
    """How to build."""

    builder_optimization_level: int
    progress_monitor: IProgressMonitor

    def set_memory_pool_limit(self, pool: MemoryPoolType, pool_size: int) -> None: ...
    def set_flag(self, flag: BuilderFlag) -> None: ...
    def clear_flag(self, flag: BuilderFlag) -> None: ...
    def set_preview_feature(self, feature: PreviewFeature, enable: bool) -> None: ...
    def add_optimization_profile(self, profile: IOptimizationProfile) -> int: ...


class Builder(Protocol):
    """Makes plans."""

    def __init__(self, logger: ILogger) -> None: ...
    def create_network(self, flags: int) -> INetworkDefinition: ...
    def create_builder_config(self) -> IBuilderConfig: ...
    def create_optimization_profile(self) -> IOptimizationProfile: ...
    def build_serialized_network(
        self, network: INetworkDefinition, config: IBuilderConfig
    ) -> IHostMemory | None: ...


class IRuntimeConfig(Protocol):
    """How to run: read when a context is made of it."""

    def set_execution_context_allocation_strategy(
        self, strategy: ExecutionContextAllocationStrategy
    ) -> None: ...


class RtxRuntimeConfig(IRuntimeConfig, Protocol):
    """What that of TensorRT-RTX says besides."""

    cuda_graph_strategy: CudaGraphStrategy
    dynamic_shapes_kernel_specialization_strategy: DynamicShapesKernelSpecializationStrategy


class IExecutionContext(Protocol):
    """One run of an engine at a time."""

    def set_device_memory(self, memory: int, size: int) -> None: ...
    def update_device_memory_size_for_shapes(self) -> int: ...
    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool: ...
    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool: ...
    def infer_shapes(self) -> list[str]: ...
    def get_tensor_shape(self, name: str) -> Dims: ...
    def set_tensor_address(self, name: str, memory: int) -> bool: ...
    def execute_async_v3(self, stream_handle: int) -> bool: ...


class ICudaEngine(Protocol):
    """A plan that is loaded."""

    @property
    def num_io_tensors(self) -> int: ...
    @property
    def num_optimization_profiles(self) -> int: ...
    def get_tensor_name(self, index: int) -> str: ...
    def get_tensor_mode(self, name: str) -> TensorIOMode: ...
    def get_tensor_dtype(self, name: str) -> DataType: ...
    def get_tensor_shape(self, name: str) -> Dims: ...
    def get_tensor_location(self, name: str) -> TensorLocation: ...
    def get_tensor_profile_shape(self, name: str, profile_index: int) -> Sequence[Dims]: ...
    def create_runtime_config(self) -> IRuntimeConfig | None: ...
    def create_execution_context(self, runtime_config: IRuntimeConfig) -> IExecutionContext | None: ...


class Runtime(Protocol):
    """Loads plans. Never made before the driver is proven: without one, TensorRT ends the process."""

    def __init__(self, logger: ILogger) -> None: ...
    def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None: ...


class RtxRuntime(Protocol):
    """What the runtime of TensorRT-RTX has besides."""

    def get_engine_validity(self, buffer: bytes) -> tuple[EngineValidity, int]: ...
