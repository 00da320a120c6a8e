"""TensorRT 10.16, 11 and TensorRT-RTX 1.7: one code path that builds plans and runs them.

Names are loaded when first used: matching and receiving pay for none of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.engine.runtimes.tensorrt.build import build_plan
    from dicomnode.engine.runtimes.tensorrt.flavours import (
        FLAVOURS,
        TENSORRT,
        TENSORRT_RTX,
        Flavour,
        Trt,
        bindings,
    )
    from dicomnode.engine.runtimes.tensorrt.options import BuildOptions, InputRange
    from dicomnode.engine.runtimes.tensorrt.plan import PlanSource, ReadyPlan, ready_plan
    from dicomnode.engine.runtimes.tensorrt.progress import BuildWatch, Progress
    from dicomnode.engine.runtimes.tensorrt.runtime import TensorRtRuntime

_HOMES = {
    "build": ("build_plan",),
    "flavours": ("FLAVOURS", "TENSORRT", "TENSORRT_RTX", "Flavour", "Trt", "bindings"),
    "options": ("BuildOptions", "InputRange"),
    "plan": ("PlanSource", "ReadyPlan", "ready_plan"),
    "progress": ("BuildWatch", "Progress"),
    "runtime": ("TensorRtRuntime",),
}

__all__ = [
    "FLAVOURS",
    "TENSORRT",
    "TENSORRT_RTX",
    "BuildOptions",
    "BuildWatch",
    "Flavour",
    "InputRange",
    "PlanSource",
    "Progress",
    "ReadyPlan",
    "TensorRtRuntime",
    "Trt",
    "bindings",
    "build_plan",
    "ready_plan",
]

__getattr__ = lazy_face(__name__, _HOMES)
