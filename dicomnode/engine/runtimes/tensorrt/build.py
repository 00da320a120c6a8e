"""From ONNX to a plan: minutes of a GPU's time, so never while a study waits.

Networks are strongly typed: the precision stands in the ONNX, and what TensorRT may change is TF32 alone.
TensorRT tells failures by returning None or False; here they become rows with what its log said.
"""

from __future__ import annotations

from collections.abc import Sequence

from dicomnode.engine.runtimes.contract import Network
from dicomnode.engine.runtimes.tensorrt import api
from dicomnode.engine.runtimes.tensorrt.flavours import Trt
from dicomnode.engine.runtimes.tensorrt.guard import Guard
from dicomnode.engine.runtimes.tensorrt.logger import TensorRtLog, logger_of
from dicomnode.engine.runtimes.tensorrt.options import BuildOptions, InputRange
from dicomnode.engine.runtimes.tensorrt.plan import fault
from dicomnode.engine.runtimes.tensorrt.progress import BuildWatch, Progress, monitor_of
from dicomnode.faults import PLAN_NOT_BUILT, PLAN_REFUSED, NodeError


def build_plan(trt: Trt, network: Network, options: BuildOptions, watch: BuildWatch | None = None) -> bytes:
    """Build the plan of a network (`network.content`: its ONNX, in the precision that is wanted).

    Two builds of one network may differ in their bytes: nothing is keyed on these. Raises NodeError:
    PLAN_REFUSED with node and reason where the network cannot be read or the profiles are not its own,
    PLAN_NOT_BUILT with TensorRT's words where it makes no plan. What `watch` raises is raised once TensorRT
    has returned.
    """
    watch = watch or BuildWatch()
    guard = Guard()
    logger, kept = logger_of(trt)
    since = kept.count
    with kept.followed(lambda severity, text: guard.call(lambda: watch.line(severity, text))):
        try:
            job = _Job(trt, network, logger, kept)
        except TypeError as error:  # of pybind11: the library gave nothing
            raise fault(PLAN_NOT_BUILT, network, reasons=f"{error}; {kept.errors(since)}") from error
        job.read(since)
        job.configure(options)
        job.config.progress_monitor = monitor_of(trt, watch, guard)
        plan = job.builder.build_serialized_network(job.network, job.config)
        guard.raise_kept()
        if plan is None:
            raise job.failed(kept.errors(since))
        watch.progress(Progress(phase="done", part=1.0))
    return bytes(plan)


class _Job:
    """The objects of one build, which need one another until it is done."""

    def __init__(self, trt: Trt, source: Network, logger: api.ILogger, kept: TensorRtLog) -> None:
        self._trt = trt
        self._source = source
        self._kept = kept
        self.builder = trt.Builder(logger)
        self.network = self.builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        self.parser = trt.OnnxParser(self.network, logger)
        self.config = self.builder.create_builder_config()

    def read(self, since: int) -> None:
        if not self.parser.parse(self._source.content):
            errors = [self.parser.get_error(index) for index in range(self.parser.num_errors)]
            raise self.refused("; ".join(map(_told, errors)) or self._kept.errors(since))

    def configure(self, options: BuildOptions) -> None:
        config, trt = self.config, self._trt
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_bytes)
        change = config.set_flag if options.tf32 else config.clear_flag  # it is set on a new configuration
        change(trt.BuilderFlag.TF32)
        config.builder_optimization_level = options.optimisation_level
        # Else a context works in the memory of the largest shapes, whatever its own are
        config.set_preview_feature(trt.PreviewFeature.RUNTIME_ACTIVATION_RESIZE_10_10, True)
        inputs = [self.network.get_input(index) for index in range(self.network.num_inputs)]
        if not options.profiles and (dynamic := [one.name for one in inputs if -1 in _lengths(one.shape)]):
            raise self.refused(f"lengths of {', '.join(dynamic)} may vary, and no profile says how far")
        for profile in options.profiles:
            self._add(profile, inputs)

    def _add(self, ranges: Sequence[InputRange], inputs: Sequence[api.ITensor]) -> None:
        given = {one.name: one for one in ranges}
        shapes = {one.name: _lengths(one.shape) for one in inputs}
        if not set(given) <= set(shapes):
            raise self.refused(f"it takes the inputs {sorted(shapes)}, the profile has {sorted(given)}")
        made = self.builder.create_optimization_profile()
        for name, shape in shapes.items():
            if name not in given:
                if -1 in shape:
                    raise self.refused(f"lengths of {name} may vary, and the profile does not say how far")
                continue
            one = given[name]
            for wanted in (one.smallest, one.best, one.largest):
                if not _fits(wanted, shape):
                    raise self.refused(f"{name} is {shape} (-1: any), the profile says {wanted}")
            made.set_shape(name, *(self._trt.Dims(s) for s in (one.smallest, one.best, one.largest)))
        if self.config.add_optimization_profile(made) < 0:
            raise self.failed("a profile was refused")

    def refused(self, reasons: str) -> NodeError:
        return fault(PLAN_REFUSED, self._source, reasons=reasons)

    def failed(self, reasons: str) -> NodeError:
        return fault(PLAN_NOT_BUILT, self._source, reasons=reasons)


def _told(error: api.ParserError) -> str:
    """Return one reason of the parser with the node that it is about."""
    where = f"node {error.node_name() or 'without a name'} ({error.node_operator() or 'unknown'})"
    return f"{where}: {error.desc()} [{error.code().name}]"


def _lengths(shape: api.Dims) -> tuple[int, ...]:
    return tuple(shape[axis] for axis in range(len(shape)))


def _fits(wanted: Sequence[int], shape: Sequence[int]) -> bool:
    return len(wanted) == len(shape) and all(b in (-1, a) for a, b in zip(wanted, shape, strict=True))
