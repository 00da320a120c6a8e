"""A plan in TensorRT's hands: runtime, engine, execution context and its memory; the order of their end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, cast

from dicomnode.engine.runtimes.contract import Network
from dicomnode.engine.runtimes.tensorrt import api
from dicomnode.engine.runtimes.tensorrt.flavours import Trt, TrtRtx
from dicomnode.engine.runtimes.tensorrt.logger import logger_of
from dicomnode.engine.runtimes.tensorrt.plan import SpoiledPlanError, fault
from dicomnode.engine.runtimes.tensorrt.tensors import not_supported, tensors_of
from dicomnode.faults import CUDA_MEMORY, PLAN_NOT_LOADED, NodeError

if TYPE_CHECKING:
    from dicomnode.device.cuda import CudaBuffer, CudaContext

# EngineInvalidityDiagnostics of TensorRT-RTX, in words
_INVALID: Final = {
    1: "it was built by another version",
    2: "this GPU is not supported",
    4: "the driver is too old",
    8: "the CUDA runtime is too old",
    16: "the GPU has too little memory",
    32: "it is damaged",
    64: "CUDA failed",
}


# TensorRT writes of it as OutOfMemory (its own error code), CUDA as "out of memory"
_MEMORY_SHORT: Final = re.compile(r"out ?of ?memory", re.IGNORECASE)


class LoadedPlan:
    """One engine with one execution context, on one CUDA context.

    Raises NodeError: PLAN_NOT_LOADED, CUDA_MEMORY where the device is full, which says nothing of the plan.

    The memory that a run works in is ours (USER_MANAGED), of the size that its shapes take: it is counted
    with everything else, and given back with everything else.
    """

    def __init__(self, trt: Trt, network: Network, plan: bytes, cuda: CudaContext) -> None:
        logger, self._log = logger_of(trt)
        self._network, self._device = network, cuda.device.name
        self._since = self._log.count
        # In the order in which they end, also where nobody closes them: attributes go as they came
        self._context: api.IExecutionContext | None = None
        self._engine: api.ICudaEngine | None = None
        self._runtime: api.Runtime | None = None
        self._memory: CudaBuffer | None = None
        self._cuda = cuda
        # TensorRT takes memory for weights by itself: what our pool keeps for later is not free to it
        cuda.pool.free_held()
        try:
            self._runtime = trt.Runtime(logger)
            self._open(trt, plan)
        except TypeError as error:  # of pybind11: the library gave nothing
            self.close()
            raise self._refused(f"{error}; {self._log.errors(self._since)}") from error
        except BaseException:
            self.close()
            raise

    def _open(self, trt: Trt, plan: bytes) -> None:
        # No names of our own for what TensorRT made: the traceback of a failure would keep it alive.
        # Code of the host inside a plan stays forbidden: `engine_host_code_allowed` is False unless set.
        self._engine = self._runtime.deserialize_cuda_engine(plan) if self._runtime else None
        if self._engine is None:
            self._check_memory()
            refused = self._refused(self._validity(plan) + self._log.errors(self._since))
            raise SpoiledPlanError(refused.fault, **refused.values)
        problem = not_supported(trt, self._engine)
        if problem:
            raise self._refused(problem)
        self.tensors = tensors_of(trt, self._engine)
        config = self._engine.create_runtime_config()
        if config is not None:
            _configure(trt, config, fixed=self.tensors.fixed)
            self._context = self._engine.create_execution_context(config)
        if self._context is None:
            self._check_memory()
            raise self._refused(self._log.errors(self._since))

    @property
    def context(self) -> api.IExecutionContext:
        """What runs; to be called at once, not kept. ValueError once it is closed."""
        if self._context is None:
            raise ValueError("the plan is closed")
        return self._context

    def memory_bytes(self) -> int:
        """Return the memory that a run works in, for the shapes that the context was given."""
        return int(self.context.update_device_memory_size_for_shapes())

    def make_room(self) -> None:
        """Give the context memory of the size that its shapes take; raises NodeError(CUDA_MEMORY).

        What it had goes back first: in the order of the stream, so behind the runs that are queued.
        """
        wanted = max(self.memory_bytes(), 1)
        if self._memory is not None and self._memory.nbytes != wanted:
            self._memory.close()
            self._memory = None
        if self._memory is None:
            self._memory = self._cuda.empty((wanted,), "uint8")
        self.context.set_device_memory(self._memory.address, self._memory.nbytes)

    def said(self) -> str:
        """What TensorRT has said since this was asked last."""
        since, self._since = self._since, self._log.count
        return self._log.errors(since)

    def close(self) -> None:
        """Let go: execution context, engine, runtime, then memory. What is queued must be done."""
        self._context = None
        self._engine = None
        self._runtime = None
        if self._memory is not None:
            self._memory.close()
            self._memory = None

    def _validity(self, plan: bytes) -> str:
        """Return why TensorRT-RTX calls a plan invalid; TensorRT itself tells by its log alone."""
        if not hasattr(self._runtime, "get_engine_validity"):
            return ""
        _, why = cast("api.RtxRuntime", self._runtime).get_engine_validity(plan)
        words = [text for bit, text in _INVALID.items() if why & bit]
        return f"{', '.join(words)}; " if words else ""

    def _check_memory(self) -> None:
        """Raise NodeError(CUDA_MEMORY) where TensorRT says that this was the reason."""
        if _MEMORY_SHORT.search(self._log.errors(self._since)):
            free, pool = self._cuda.memory().free, self._cuda.pool
            used_mb = (pool.used + pool.held) / 1e6
            doing = f"loading {self._network.file}"
            raise NodeError(
                CUDA_MEMORY, device=self._device, doing=doing, used_mb=used_mb, free_mb=free / 1e6
            )

    def _refused(self, reasons: str) -> NodeError:
        return fault(PLAN_NOT_LOADED, self._network, device=self._device, reasons=reasons)


def _configure(trt: Trt, config: api.IRuntimeConfig, *, fixed: bool) -> None:
    """Say how a plan is run. fixed: see `Tensors.fixed`.

    TensorRT-RTX compiles kernels where it runs. By itself it takes general ones first and changes to those of
    the shape when they are ready: which ones a study met would depend on the time. For windows they are
    compiled at the first run of their shape, in the warm-up, and the whole run is captured and played again;
    TensorRT-RTX sees itself to addresses that change, and runs as usual what cannot be captured. Boxes, of
    another shape with each study, go by the general kernels: to compile or to capture for each would cost
    more than it saves.
    """
    config.set_execution_context_allocation_strategy(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
    if not hasattr(trt, "CudaGraphStrategy"):
        return
    rtx, own = cast("TrtRtx", trt), cast("api.RtxRuntimeConfig", config)
    kernels = rtx.DynamicShapesKernelSpecializationStrategy
    own.dynamic_shapes_kernel_specialization_strategy = kernels.EAGER if fixed else kernels.NONE
    if fixed:
        own.cuda_graph_strategy = rtx.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
