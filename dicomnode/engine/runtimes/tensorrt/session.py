"""A network that TensorRT runs: everything in the stream of one CUDA context, nothing waits."""

from __future__ import annotations

import math
import weakref
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.device import Buffer, HostBuffer
from dicomnode.engine.memory import SessionMemory
from dicomnode.engine.runtimes.contract import Capability, Network, TensorSpec, arrays_of, check_inputs
from dicomnode.engine.runtimes.tensorrt.flavours import Trt
from dicomnode.engine.runtimes.tensorrt.loaded import LoadedPlan
from dicomnode.engine.runtimes.tensorrt.plan import ReadyPlan
from dicomnode.engine.runtimes.tensorrt.tensors import Shape, lengths
from dicomnode.faults import NETWORK_FAILED, NodeError

if TYPE_CHECKING:
    from dicomnode.device.cuda import CudaBuffer, CudaContext

_ALIGNED_BYTES: Final = 256  # what TensorRT wants of every address (NvInferRuntime.h, setTensorAddress)
_WARM_RUNS: Final = 2  # the first loads kernels, the second shows that they are loaded


class TensorRtSession:
    """A plan that is loaded (see `Session`). It belongs to the thread of its CUDA context.

    `infer` queues and returns: outputs are CUDA buffers, and who takes one down waits for it. A buffer that
    lies on the device already is read where it lies; one on the host goes up through the page-locked blocks
    of the context.
    """

    def __init__(
        self, trt: Trt, network: Network, capability: Capability, plan: ReadyPlan, cuda: CudaContext
    ) -> None:
        # Neither ONNX nor plan stays on the host beside what is on the device
        self._network = replace(network, content=b"")
        self._capability = capability
        self._plan = replace(plan, content=b"")
        self._plan_bytes = len(plan.content)
        self._cuda = cuda
        self._profile = 0
        self._shapes: dict[str, Shape] = {}  # that the context has memory for
        self._closed = False
        self._loaded = LoadedPlan(trt, self._network, plan.content, cuda)
        self._version = trt.__version__
        # Before the CUDA context ends, for what TensorRT frees then is freed in it
        mine = weakref.ref(self)
        cuda.before_close(lambda: session.close() if (session := mine()) else None)

    @property
    def runtime(self) -> str:
        """Name, version and kind of device."""
        return self._capability.title

    @property
    def precision(self) -> str:
        """Of the ONNX that the plan was built from."""
        return self._plan.precision

    @property
    def device(self) -> str:
        """Name of the GPU."""
        return self._capability.device.name

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What the plan takes."""
        return self._loaded.tensors.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What it gives."""
        return self._loaded.tensors.outputs

    @property
    def provenance(self) -> Mapping[str, str]:
        """Everything that a result must tell: flavour and version, device and driver, plan, arithmetic."""
        device = self._cuda.device
        return {
            "flavour": self._capability.runtime,
            "version": self._version,
            "driver": device.driver,
            "device_uuid": device.uuid,
            "plan": self._plan.key,
            "precision": self._plan.precision,
            "tf32": "on" if self._plan.tf32 else "off",
        }

    @property
    def cuda(self) -> CudaContext:
        """Where it computes."""
        return self._cuda

    @property
    def best_batch(self) -> int:
        """Items at a time that the plan is made fast for, in each of its profiles; 1 where that is fixed."""
        free = [spec.name for spec in self.inputs if spec.shape and spec.shape[0] is None]
        batches = [profile[name].best[0] for profile in self._loaded.tensors.profiles for name in free]
        return min(batches, default=1)

    def infer(self, inputs: Mapping[str, Buffer]) -> dict[str, Buffer]:
        """Queue one run; see `Session`. Inputs may be closed and written to by later work when this returns.

        Whether the numbers are numbers is not looked at here: who takes them down, or blends them, does.
        Raises NodeError: NETWORK_FAILED, and as `CudaContext.working` does.
        """
        self._check_open()
        check_inputs(self._network.engine, self.inputs, inputs)
        fitted, self._shapes = self._shapes, {}
        shapes = self._set_shapes({name: buffer.shape for name, buffer in inputs.items()})
        if shapes != fitted:
            self._loaded.make_room()
        self._shapes = shapes
        with ExitStack() as ours:
            for name, buffer in inputs.items():
                self._place(name, self._on_device(buffer, ours))
            outputs: dict[str, Buffer] = {}
            try:
                for spec in self.outputs:
                    made = outputs[spec.name] = self._cuda.empty(shapes[spec.name], spec.dtype)
                    self._place(spec.name, made)
                self._run()
            except BaseException:
                for buffer in outputs.values():
                    buffer.close()
                raise
        return outputs

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run it from and to arrays; NodeError(NETWORK_FAILED) also for an output that is not finite."""
        outputs = arrays_of(self.infer({name: HostBuffer(array) for name, array in inputs.items()}))
        for name, array in outputs.items():
            if not np.isfinite(array).all():
                raise self._failure(f"its output {name} holds what is not a number, or infinite")
        return outputs

    def warm_up(self) -> int:
        """Run what each profile is made fast for, twice on zeros; return how many runs that were.

        That is the best shape, and where batches vary the best items in the largest batch: never the largest
        box. Kernels are loaded (TensorRT-RTX: compiled) at the first run of a shape, not for a patient.
        """
        runs = 0
        for profile in self._loaded.tensors.profiles:
            best = {name: one.best for name, one in profile.items()}
            most = {name: (*one.largest[:1], *one.best[1:]) for name, one in profile.items()}
            for shapes in [best] if most == best else [best, most]:
                for _ in range(_WARM_RUNS):
                    runs += 1
                    zeros = {one.name: self._cuda.zeros(shapes[one.name], one.dtype) for one in self.inputs}
                    for buffer in (*self.infer(zeros).values(), *zeros.values()):
                        buffer.close()
        self._cuda.stream.synchronize()
        return runs

    def memory(self, shape: Sequence[int]) -> int:
        """Return the device memory of a run on an input of this shape: weights, work space, inputs, outputs.

        The plan's own figures, but for its weights: those are about the size of the plan. Of several inputs
        those that do not take the shape have the one that they are made fast for. Raises
        NodeError(NETWORK_FAILED) for a shape that no profile takes.
        """
        parts = self.memory_parts(self._loaded.tensors.shapes_with(shape))
        return parts.weights + parts.context + parts.io

    def memory_parts(self, shapes: Mapping[str, Sequence[int]]) -> SessionMemory:
        """Return the same in parts, for inputs of several shapes."""
        self._check_open()
        found = self._set_shapes({name: tuple(shape) for name, shape in shapes.items()})
        self._shapes = {}  # the context was told of other shapes: it is fitted anew before it runs
        sizes = [
            math.prod(found[spec.name]) * np.dtype(spec.dtype).itemsize
            for spec in (*self.inputs, *self.outputs)
        ]
        weights, context = self._plan_bytes, self._loaded.memory_bytes()
        return SessionMemory(weights=weights, context=context, io=sum(sizes))

    def close(self) -> None:
        """Wait for what is queued, then let go of everything; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            if not self._cuda.broken:
                self._cuda.stream.synchronize()
        finally:
            self._loaded.close()
            self._plan.release()

    def _set_shapes(self, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
        """Tell TensorRT the shapes of the inputs; return those of all inputs and outputs."""
        loaded = self._loaded
        profile = loaded.tensors.profile_for(shapes, self._profile)
        if profile is None:
            given = ", ".join(f"{name} {tuple(shape)}" for name, shape in shapes.items())
            raise self._failure(f"its plan takes {loaded.tensors.ranges()}, it was given {given}")
        if profile != self._profile:
            if not loaded.context.set_optimization_profile_async(profile, self._cuda.stream.handle):
                raise self._failure(loaded.said())
            self._profile = profile
        try:
            taken = all(loaded.context.set_input_shape(name, tuple(shape)) for name, shape in shapes.items())
            missing = loaded.context.infer_shapes() if taken else []
        except RuntimeError as error:  # "shape inference fails", by its documentation
            raise self._failure(f"{error}: {loaded.said()}") from error
        if not taken or missing:
            raise self._failure(f"shapes of {missing} are not known" if missing else loaded.said())
        found = {spec.name: lengths(loaded.context.get_tensor_shape(spec.name)) for spec in self.outputs}
        for name, shape in found.items():
            if min(shape, default=0) < 0:
                raise self._failure(f"the shape of {name} depends on the numbers: not supported")
        return {**shapes, **found}

    def _on_device(self, buffer: Buffer, ours: ExitStack) -> CudaBuffer:
        """Return an input on the device, where TensorRT takes it; what is made for it ends with `ours`.

        That end is in the order of the stream: the memory is used again behind this run only.
        """
        from dicomnode.device.cuda import CudaBuffer  # noqa: PLC0415  the room with pycuda, where there is one

        if not isinstance(buffer, CudaBuffer) or buffer.context is not self._cuda:
            made = self._cuda.upload(buffer.host())
        elif buffer.address % _ALIGNED_BYTES == 0:
            return buffer
        else:
            made = self._cuda.empty(buffer.shape, buffer.dtype)
            with self._cuda.working("aligning an input") as driver:
                driver.memcpy_dtod_async(made.address, buffer.address, buffer.nbytes, self._cuda.stream.raw)
        ours.callback(made.close)
        return made

    def _place(self, name: str, buffer: CudaBuffer) -> None:
        if not self._loaded.context.set_tensor_address(name, buffer.address):
            raise self._failure(self._loaded.said())

    def _run(self) -> None:
        """Queue it; the CUDA context says before whether it can work, and after a failure whether it did."""
        with self._cuda.working("running a network"):
            queued = self._loaded.context.execute_async_v3(self._cuda.stream.handle)
        if not queued:
            said = self._loaded.said()
            self._cuda.stream.synchronize()  # raises what ends the process, where that is what happened
            raise self._failure(said)

    def _check_open(self) -> None:
        if self._closed:
            raise self._failure("its session is closed")

    def _failure(self, error: str) -> NodeError:
        text = " ".join(error.split())
        return NodeError(NETWORK_FAILED, engine=f"{self._network.engine} ({self._network.file})", error=text)
