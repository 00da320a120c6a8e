"""TensorRT comes in flavours: which of them is installed here, and its Python module.

All code of this package takes the module as an argument (`trt`): TensorRT 10.16 and 11 and TensorRT-RTX 1.7
go the same way.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, cast

from dicomnode.engine.runtimes.contract import Reason
from dicomnode.engine.runtimes.tensorrt import api


class Trt(Protocol):
    """The Python module of TensorRT, as far as it is used."""

    __version__: str
    ILogger: type[api.ILogger]
    IProgressMonitor: type[api.IProgressMonitor]
    Dims: type[api.Dims]
    Builder: type[api.Builder]
    OnnxParser: type[api.OnnxParser]
    Runtime: type[api.Runtime]
    NetworkDefinitionCreationFlag: type[api.NetworkDefinitionCreationFlag]
    BuilderFlag: type[api.BuilderFlag]
    MemoryPoolType: type[api.MemoryPoolType]
    PreviewFeature: type[api.PreviewFeature]
    TensorIOMode: type[api.TensorIOMode]
    TensorLocation: type[api.TensorLocation]
    ExecutionContextAllocationStrategy: type[api.ExecutionContextAllocationStrategy]

    def __hash__(self) -> int: ...


class TrtRtx(Trt, Protocol):
    """What the module of TensorRT-RTX has besides."""

    CudaGraphStrategy: type[api.CudaGraphStrategy]
    DynamicShapesKernelSpecializationStrategy: type[api.DynamicShapesKernelSpecializationStrategy]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flavour:
    """A product of the TensorRT family.

    name: as settings, messages and results call it. modules: Python modules to try, in this order.
    extra: of this package, that installs it. at_least, below: versions that the used part of the API was
    read off from.
    """

    name: str
    title: str
    modules: tuple[str, ...]
    extra: str
    at_least: tuple[int, ...]
    below: tuple[int, ...]

    def supports(self, version: str) -> bool:
        """Tell whether a version is one that the used part of the API is known of."""
        return self.at_least <= _numbers(version) < self.below

    @property
    def versions(self) -> str:
        """The versions that are supported, in words."""
        return f"{_dotted(self.at_least)} or later, below {_dotted(self.below)}"


TENSORRT: Final = Flavour(
    name="tensorrt",
    title="TensorRT",
    # The first is NVIDIA's thin face around the second; a distribution's own package has the first alone
    modules=("tensorrt", "tensorrt_bindings"),
    extra="gpu",
    at_least=(10, 16),
    below=(12,),
)
TENSORRT_RTX: Final = Flavour(
    name="tensorrt-rtx",
    title="TensorRT-RTX",
    modules=("tensorrt_rtx", "tensorrt_rtx_bindings"),
    extra="rtx",
    at_least=(1, 7),
    below=(1, 8),
)
FLAVOURS: Final[tuple[Flavour, ...]] = (TENSORRT, TENSORRT_RTX)


def flavour_named(name: str) -> Flavour:
    """Return a flavour by its name; ValueError when there is none of that name."""
    for flavour in FLAVOURS:
        if flavour.name == name:
            return flavour
    raise ValueError(f"no flavour of TensorRT is called {name!r}")


def installed(flavour: Flavour) -> bool:
    """Tell whether a module of it can be found, without importing it."""
    return any(importlib.util.find_spec(module) is not None for module in flavour.modules)


def bindings(flavour: Flavour) -> Trt | Reason:
    """Import the Python module of a flavour, or say what the site's administrator can do about it.

    No driver is needed: nothing of it is called.
    """
    if not installed(flavour):
        return Reason(flavour.name, not_installed(flavour), installed=False)
    errors = []
    for module in flavour.modules:
        try:
            trt = cast("Trt", importlib.import_module(module))
        except (ImportError, OSError) as error:
            errors.append(" ".join(str(error).split()))
            continue
        if not flavour.supports(trt.__version__):
            text = f"{flavour.title} {trt.__version__} is installed, {flavour.versions} is needed"
            return Reason(flavour.name, f"{text}: {install_line(flavour)}")
        return trt
    text = f"{flavour.title} is installed in part: {errors[-1]}. Its libraries come from NVIDIA's own index"
    return Reason(flavour.name, f"{text}: {install_line(flavour)}")


def not_installed(flavour: Flavour) -> str:
    """Say that a flavour is not there and how to get it."""
    return f"{flavour.title} is not installed: {install_line(flavour)}"


def install_line(flavour: Flavour) -> str:
    """Return what to type; the libraries of TensorRT are on NVIDIA's own index alone."""
    index = "" if flavour.extra == "rtx" else "--extra-index-url https://pypi.nvidia.com "
    return f"`pip install {index}'dicomnode[{flavour.extra}]'`"


def cuda_major(flavour: Flavour, names: Sequence[str] | None = None) -> int | None:
    """Return the major version of CUDA that the installed wheels are for; None: they do not say.

    names: of the installed distributions, this process's own by default.
    """
    if names is None:
        names = [found.name for found in importlib.metadata.distributions()]
    stem = re.compile(re.escape(flavour.modules[0].replace("_", "-")) + r"-cu(\d+)")
    found = [stem.match(re.sub(r"[-_.]+", "-", name).lower()) for name in names]
    majors = {int(match.group(1)) for match in found if match}
    return max(majors, default=None)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(str(number) for number in numbers)
